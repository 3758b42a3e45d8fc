import { once } from 'node:events'
import { request } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { eventually, liveMembers, startTestApp, type TestApp } from '../support/app.ts'
import { basic, type Nick } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

/* [graphql-sse] PROTOCOL.md, "Single connection mode" */

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
beforeEach(() => eventually(() => app.state().live.operations === 0))
afterAll(() => app.close())

const query = `subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) {
  ... on MessageAdded { message { ... on ChatMessage { content } } } } }`
const say = (content: string) =>
  app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })

const reserve = async () => {
  const response = await fetch(`${app.url}/graphql`, { method: 'PUT' })
  expect(response.status).toBe(201)
  return response.text()
}

async function open() {
  const token = await reserve()
  const stream = await openRawStream(`${app.url}/graphql?token=${token}`, { accept: 'text/event-stream' })
  onTestFinished(stream.close)
  await stream.until(/^:/)
  const call = async (method: string, body: object | undefined, address = '', nick: Nick = 'Ada') => {
    const response = await fetch(`${app.url}/graphql${address}`, {
      method,
      headers: {
        'x-graphql-event-stream-token': token,
        'content-type': 'application/json',
        authorization: basic(await app.backend.token(nick)),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
  }
  const ask = (operationId: string, document: string, nick?: Nick) =>
    call('POST', { query: document, extensions: { operationId } }, '', nick)
  return { token, stream, call, ask }
}

test('many operations share one stream, each with its own credential and id', async () => {
  const { stream, ask } = await open()
  expect(await ask('who', '{ viewer { nick } }')).toEqual({ status: 202, json: undefined })
  await ask('other', '{ viewer { nick } }', 'Ben')
  await stream.until(
    /event: next\ndata: \{"id":"who","payload":\{"data":\{"viewer":\{"nick":"Ada"\}\}\}\}\n\n/,
  )
  await stream.until(/event: complete\ndata: \{"id":"who"\}\n\n/)
  await stream.until(/"id":"other","payload":\{"data":\{"viewer":\{"nick":"Ben"\}\}\}/)
  expect((await ask('live', query)).status).toBe(202)
  expect((await ask('also', query)).status).toBe(202)
  await eventually(() => liveMembers(app) === 2)
  await say('to both')
  for (const id of ['live', 'also']) await stream.until(new RegExp(`"id":"${id}","payload":.*to both`))
})

test('an operation ends on request, and the others continue', async () => {
  const { stream, ask, call } = await open()
  await ask('one', query)
  await ask('two', query)
  await eventually(() => liveMembers(app) === 2)
  expect((await call('DELETE', undefined, '?operationId=one')).status).toBe(200)
  await eventually(() => liveMembers(app) === 1)
  await say('still heard')
  await stream.until(/"id":"two","payload":.*still heard/)
  expect(stream.text).not.toContain('"id":"one"')
  expect((await call('DELETE', undefined, '?operationId=one')).status).toBe(404)
})

test('an operation that is one too many may be sent again when another has ended', async () => {
  const { token, ask } = await open()
  for (let index = 0; index < 100; index += 1) expect((await ask(`${index}`, query)).status).toBe(202)
  const refused = await fetch(`${app.url}/graphql?token=${token}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: basic(await app.backend.token('Ada')) },
    body: JSON.stringify({ query, extensions: { operationId: 'more' } }),
  })
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
})

test('everything ends with the stream', async () => {
  const { stream, ask } = await open()
  await ask('live', query)
  await eventually(() => liveMembers(app) === 1)
  expect(app.state().streamingResponses).toBe(1)
  stream.close()
  await eventually(() => liveMembers(app) === 0 && app.state().streamingResponses === 0)
})

test('an operation whose stream closes while its body comes is not begun', async () => {
  const { token, stream } = await open()
  const body = JSON.stringify({ query, extensions: { operationId: 'late' } })
  const outgoing = request(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'x-graphql-event-stream-token': token,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      authorization: basic(await app.backend.token('Ada')),
    },
  })
  const answered = once(outgoing, 'response')
  outgoing.write(body.slice(0, 10))
  // What comes later is read later: then the first half was read, too.
  await app.graphql('Ada', '{ viewer { nick } }')
  stream.close()
  await eventually(() => app.state().streamingResponses === 0)
  outgoing.end(body.slice(10))
  const [{ statusCode }] = await answered
  expect(statusCode).toBe(404)
  expect(app.state().live.operations).toBe(0)
})

describe('what is refused', () => {
  test('a stream that is not there, or open already', async () => {
    const { token } = await open()
    const get = (name: string) =>
      fetch(`${app.url}/graphql?token=${name}`, { headers: { accept: 'text/event-stream' } })
    expect((await get('nothing')).status).toBe(404)
    expect((await get(token)).status).toBe(409)
  })

  test('an operation before its stream is open', async () => {
    const token = await reserve()
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'x-graphql-event-stream-token': token, 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ viewer { nick } }', extensions: { operationId: '1' } }),
    })
    expect(response.status).toBe(409)
  })

  test.each([
    ['no id', { query: '{ viewer { nick } }' }, 400, 'BAD_USER_INPUT'],
    ['no query', { extensions: { operationId: '1' } }, 400, 'BAD_USER_INPUT'],
    ['broken syntax', { query: '{', extensions: { operationId: '1' } }, 400, 'GRAPHQL_PARSE_FAILED'],
    [
      'an unknown field',
      { query: '{ x }', extensions: { operationId: '1' } },
      400,
      'GRAPHQL_VALIDATION_FAILED',
    ],
  ])('%s', async (_, body, status, code) => {
    const { call } = await open()
    const answer = await call('POST', body)
    expect(answer).toMatchObject({ status, json: { errors: [{ extensions: { code } }] } })
  })

  test('the same id twice', async () => {
    const { ask } = await open()
    await ask('live', query)
    await eventually(() => liveMembers(app) === 1)
    expect((await ask('live', query)).status).toBe(409)
  })

  test('another origin', async () => {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'PUT',
      headers: { origin: 'https://elsewhere.example' },
    })
    expect(response.status).toBe(403)
  })
})
