import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

/* The bytes of answers that go on. [graphql-sse] PROTOCOL.md; [spec] SSE; [apollo-router] multipart-subscriptions-protocol */

let app: TestApp
let authorization: string

beforeAll(async () => {
  app = await startTestApp()
  authorization = basic(await app.backend.token('Ada'))
})
afterAll(() => app.close())

/** Asks, and reads until `until` is there or the answer ends. */
function ask(
  body: object | undefined,
  headers: Record<string, string>,
  { until, method = 'POST', path = '/graphql' }: { until?: string; method?: string; path?: string } = {},
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' }
    const asking = request(
      app.url + path,
      { method, headers: { authorization, ...json, ...headers } },
      (response) => {
        let text = ''
        const done = () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
        response.setEncoding('utf8')
        response.on('data', (chunk) => {
          text += chunk
          if (until !== undefined && text.includes(until)) {
            done()
            asking.destroy()
          }
        })
        response.on('end', done)
        response.on('error', () => undefined)
      },
    )
    asking.on('error', reject)
    asking.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

const sse = { accept: 'text/event-stream' }
const multipart = { accept: 'multipart/mixed;subscriptionSpec="1.0"' }
const typename = { query: '{ __typename }' }
const messages = {
  query: `subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) {
    cursor ... on MessageAdded { message { ... on ChatMessage { content } } } } }`,
}

async function say(content: string): Promise<void> {
  await eventually(() => app.state().live.groups.some(({ members }) => members > 0))
  await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })
}

describe('server-sent events', () => {
  test('of a query are one result and the end, and none has an id', async () => {
    expect(await ask(typename, sse)).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
        'x-content-type-options': 'nosniff',
      },
      text: ':\n\nevent: next\ndata: {"data":{"__typename":"Query"}}\n\nevent: complete\ndata: \n\n',
    })
  })

  test('of a subscription have the cursor for an id; a text of many lines is one line of data', async () => {
    const asking = ask(messages, sse, { until: 'two\\nlines' })
    await say('two\nlines\r\nid: 5\n\nevent: complete')
    const { text } = await asking
    const [, , event = ''] = /^(:\n\n)+([\s\S]+)$/.exec(text) ?? []
    expect(event).toMatch(/^event: next\nid: ([^\n]+)\ndata: \{"data":\{"messageAdded":\{"cursor":"\1",/)
    expect(text).not.toMatch(/^id: 5$/m)
    expect(text).not.toMatch(/^event: complete$/m)
  })

  test.each<[string, object | undefined, { method?: string; path?: string }, number, string]>([
    ['no query', {}, {}, 400, 'BAD_USER_INPUT'],
    ['variables that are a list', { ...typename, variables: [] }, {}, 400, 'BAD_USER_INPUT'],
    [
      'a mutation by GET',
      undefined,
      { method: 'GET', path: '/graphql?query=mutation{__typename}' },
      405,
      'BAD_USER_INPUT',
    ],
  ])('are none for %s, which is refused in JSON', async (_, body, options, status, code) => {
    const answer = await ask(body, sse, options)
    expect(answer).toMatchObject({
      status,
      headers: { 'content-type': expect.stringContaining('application/json') },
    })
    expect(JSON.parse(answer.text).errors[0].extensions.code).toBe(code)
  })

  test('of a query by GET are the same', async () => {
    const answer = await ask(undefined, sse, { method: 'GET', path: '/graphql?query={__typename}' })
    expect(answer.text).toContain('event: next\ndata: {"data":{"__typename":"Query"}}\n\n')
  })

  test.each<[string, object, string]>([
    ['a document that is none', { query: '{' }, 'GRAPHQL_PARSE_FAILED'],
    ['a field that is not there', { query: '{ nothing }' }, 'GRAPHQL_VALIDATION_FAILED'],
    ['a query that is too long', { query: ' '.repeat(40_000) }, 'LIMIT_EXCEEDED'],
  ])('deliver why %s is not executed, and end', async (_, body, code) => {
    const { status, text } = await ask(body, sse)
    expect([status, text.match(/"code":"(\w+)"/)?.[1]]).toEqual([200, code])
    expect(text).toMatch(/^:\n\nevent: next\ndata: \{"errors":.+\n\nevent: complete\ndata: \n\n$/)
  })

  test.each(['text/event-stream', 'text/event-stream; charset=utf-8', 'TEXT/EVENT-STREAM'])(
    'are what a client that accepts %s gets',
    async (accept) => {
      const answer = await ask(typename, { accept })
      expect(answer.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    },
  )
})

test.each([
  [
    'server-sent events',
    sse,
    /^:\n\nevent: next\nid: (\S+)\ndata: \{"data":null,"extensions":\{"cursor":"\1"\}\}\n\n/,
  ],
  ['multipart', multipart, /\r\n\r\n\{"payload":\{"data":null,"extensions":\{"cursor":"[^"]+"\}\}\}\r\n--/],
])('%s with `position` begin with the cursor, and go on after it', async (transport, headers, pattern) => {
  const begun = await ask({ ...messages, extensions: { position: true } }, headers, { until: '"}}' })
  expect(begun.text).toMatch(pattern)
  const [, cursor = ''] = /"cursor":"([^"]+)"/.exec(begun.text) ?? []
  const content = `missed over ${transport}`
  await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })
  const resumed = await ask({ ...messages, extensions: { lastEventId: cursor } }, headers, { until: content })
  expect(resumed.text).toContain(content)
})

describe('one stream for many operations', () => {
  const reserve = async () => (await ask(undefined, {}, { method: 'PUT' })).text
  const tokenHeader = 'x-graphql-event-stream-token'

  test('is reserved, opened, and distinguishes the operations', async () => {
    const reserved = await ask(undefined, {}, { method: 'PUT' })
    expect(reserved).toMatchObject({ status: 201, headers: { 'content-type': 'text/plain; charset=utf-8' } })
    const token = reserved.text
    expect(token).toMatch(/^[\w-]{32}$/)
    const reading = ask(
      undefined,
      { ...sse, [tokenHeader]: token },
      { method: 'GET', until: 'complete\ndata: {"id":"a' },
    )
    await eventually(() => app.state().streamingResponses > 0)
    const begun = await ask({ ...typename, extensions: { operationId: 'a"b' } }, { [tokenHeader]: token })
    expect([begun.status, begun.text]).toEqual([202, ''])
    expect((await reading).text).toMatch(
      /^:\n\nevent: next\ndata: \{"id":"a\\"b","payload":\{"data":\{"__typename":"Query"\}\}\}\n\nevent: complete\ndata: \{"id":"a/,
    )
  })

  test.each<[string, object, number]>([
    ['without an id', typename, 400],
    ['with an id that is a number', { ...typename, extensions: { operationId: 1 } }, 400],
    ['with an empty id', { ...typename, extensions: { operationId: '' } }, 400],
    ['with an id of 101 characters', { ...typename, extensions: { operationId: 'x'.repeat(101) } }, 400],
    ['that is no document', { query: '{', extensions: { operationId: 'x' } }, 400],
  ])('does not take an operation %s', async (_, body, status) => {
    const token = await reserve()
    const reading = ask(undefined, { ...sse, [tokenHeader]: token }, { method: 'GET', until: '"id":"last"' })
    await eventually(() => app.state().streamingResponses > 0)
    expect((await ask(body, { [tokenHeader]: token })).status).toBe(status)
    await ask({ ...typename, extensions: { operationId: 'last' } }, { [tokenHeader]: token })
    expect((await reading).text).not.toContain('errors')
  })

  test.each<[string, string]>([
    ['GET', 'nobody'],
    ['POST', 'nobody'],
    ['DELETE', 'nobody'],
  ])('that nobody reserved is not there for %s', async (method, token) => {
    const answer = await ask(
      method === 'POST' ? typename : undefined,
      { ...sse, [tokenHeader]: token },
      { method },
    )
    expect(answer.status).toBe(404)
  })

  test('is read once', async () => {
    const token = await reserve()
    const reading = ask(undefined, { ...sse, [tokenHeader]: token }, { method: 'GET', until: '"id":"z"' })
    await eventually(() => app.state().streamingResponses > 0)
    expect((await ask(undefined, { ...sse, [tokenHeader]: token }, { method: 'GET' })).status).toBe(409)
    await ask({ ...typename, extensions: { operationId: 'z' } }, { [tokenHeader]: token })
    await reading
  })
})

describe('multipart', () => {
  test('of a query is one part and the end', async () => {
    expect(await ask(typename, multipart)).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"',
        'cache-control': 'no-store',
      },
      text:
        '\r\n--graphql\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql' +
        '\r\nContent-Type: application/json\r\n\r\n{"payload":{"data":{"__typename":"Query"}}}\r\n--graphql--\r\n',
    })
  })

  test('of a subscription has its boundary after each part, and no text can contain it', async () => {
    const asking = ask(messages, multipart, { until: 'evil\\r\\n--graphql--' })
    await say('evil\r\n--graphql--\r\n')
    const { text } = await asking
    expect(text.split('\r\n--graphql')[2]).toMatch(
      /^\r\nContent-Type: application\/json\r\n\r\n\{"payload":\{"data":\{/,
    )
    expect(text).not.toContain('--graphql--\r\n')
  })

  test.each([
    'multipart/mixed;subscriptionSpec=1.0',
    'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"',
    'multipart/mixed;deferSpec=20220824;subscriptionSpec=1.0',
  ])('is what a client that accepts %s gets', async (accept) => {
    expect((await ask(typename, { accept })).headers['content-type']).toContain('multipart/mixed')
  })

  test('is not for clients that do not know of subscriptions', async () => {
    const answer = await ask(typename, { accept: 'application/json, multipart/mixed' })
    expect(answer.headers['content-type']).toContain('application/json')
  })
})
