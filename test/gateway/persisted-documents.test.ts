import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startApp } from '../../src/app.ts'
import { ConfigError } from '../../src/config.ts'
import {
  executeOverSocket,
  post,
  type Result,
  startTestApp,
  type TestApp,
  testConfig,
} from '../support/app.ts'
import { basic, makeFolder } from '../support/backend.ts'

let app: TestApp
let token: string

beforeAll(async () => {
  app = await startTestApp()
  token = await app.backend.token('Ada')
})
afterAll(() => app.close())

const hashOf = (text: string) => createHash('sha256').update(text).digest('hex')
const persisted = (text: string) => ({ persistedQuery: { version: 1, sha256Hash: hashOf(text) } })

async function get(search: Record<string, string>): Promise<Result> {
  const headers = { authorization: basic(token), accept: 'application/json' }
  const response = await fetch(`${app.url}/graphql?${new URLSearchParams(search)}`, { headers })
  expect(response.status).toBe(200)
  return (await response.json()) as Result
}

const overSocket = (extensions: Record<string, unknown>) =>
  executeOverSocket(app.url, token, '', undefined, extensions)

const notFound = [{ message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }]

test('an unregistered hash is not found; with its text it is registered, and then works on all transports', async () => {
  const query = '{ viewer { name nick } }'
  const extensions = persisted(query)
  const data = { viewer: { name: 'Ada Byron', nick: 'Ada' } }
  const search = { extensions: JSON.stringify(extensions) }
  expect(await post(app.url, { extensions }, token)).toEqual({ errors: notFound })
  expect(await get(search)).toEqual({ errors: notFound })
  expect(await overSocket(extensions)).toMatchObject({ errors: notFound })

  expect(await post(app.url, { query, extensions }, token)).toEqual({ data })
  expect(await post(app.url, { extensions }, token)).toEqual({ data })
  expect(await get(search)).toEqual({ data })
  expect(await overSocket(extensions)).toEqual({ data })
  expect(await post(app.url, { documentId: `sha256:${hashOf(query)}` }, token)).toEqual({ data })
  expect(await get({ documentId: `sha256:${hashOf(query)}` })).toEqual({ data })
})

test('a subscription begins by its hash, over SSE too', async () => {
  const query = 'subscription { userTyping(input: { flows: [{ path: "example/main" }] }) { cursor } }'
  await post(app.url, { query, extensions: persisted(query) }, token)
  const left = new AbortController()
  onTestFinished(() => left.abort())
  const response = await fetch(
    `${app.url}/graphql?${new URLSearchParams({ documentId: `sha256:${hashOf(query)}` })}`,
    { headers: { authorization: basic(token), accept: 'text/event-stream' }, signal: left.signal },
  )
  expect(response.headers.get('content-type')).toContain('text/event-stream')
})

test('on a socket, a documentId is enough, without a query', async () => {
  const query = '{ viewer { name } }'
  await post(app.url, { query, extensions: persisted(query) }, token)
  const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  onTestFinished(() => socket.close())
  await once(socket, 'open')
  const say = async (message: object) => {
    socket.send(JSON.stringify(message))
    return JSON.parse(String((await once(socket, 'message'))[0]))
  }
  await say({ type: 'connection_init', payload: { Authorization: basic(token) } })
  const payload = { documentId: `sha256:${hashOf(query)}` }
  expect(await say({ id: '1', type: 'subscribe', payload })).toMatchObject({
    type: 'next',
    payload: { data: { viewer: { name: 'Ada Byron' } } },
  })
})

test('a text cannot be registered under another hash', async () => {
  const query = '{ viewer { email } }'
  const answer = await post(app.url, { query: '{ __typename }', extensions: persisted(query) }, token)
  expect(answer.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
  expect(await post(app.url, { extensions: persisted(query) }, token)).toEqual({ errors: notFound })
})

test.each([
  { persistedQuery: { version: 2, sha256Hash: hashOf('x') } },
  { persistedQuery: { version: 1, sha256Hash: 'x' } },
  { persistedQuery: null },
])('%j is refused', async (extensions) => {
  const { errors } = await post(app.url, { extensions }, token)
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
})

test('a blank documentId is none', async () => {
  const data = { __typename: 'Query' }
  const got = await fetch(`${app.url}/graphql?query={__typename}&documentId=`, {
    headers: { authorization: basic(token) },
  })
  expect(await got.json()).toEqual({ data })
  for (const documentId of ['', ' '])
    expect(await post(app.url, { query: '{__typename}', documentId }, token)).toEqual({ data })
})

describe('with trusted documents', () => {
  const query = '{ viewer { name } }'

  async function startTrusting(documents: object) {
    const file = join(await makeFolder(), 'documents.json')
    writeFileSync(file, JSON.stringify(documents))
    return startApp(testConfig(app.backend.url, { TRUSTED_DOCUMENTS: file }))
  }

  test('those are executed, by text or hash, and nothing else', async () => {
    const trusting = await startTrusting({ [`sha256:${hashOf(query)}`]: query })
    onTestFinished(() => trusting.close())
    const data = { viewer: { name: 'Ada Byron' } }
    expect(await post(trusting.url, { query }, token)).toEqual({ data })
    expect(await post(trusting.url, { extensions: persisted(query) }, token)).toEqual({ data })
    const forbidden = { errors: [{ extensions: { code: 'FORBIDDEN' } }] }
    const other = '{ viewer { nick } }'
    expect(await post(trusting.url, { query: other }, token)).toMatchObject(forbidden)
    expect(await post(trusting.url, { query: other, extensions: persisted(other) }, token)).toMatchObject(
      forbidden,
    )
    expect(await post(trusting.url, { extensions: persisted(other) }, token)).toEqual({ errors: notFound })
    expect(await executeOverSocket(trusting.url, token, other)).toMatchObject(forbidden)
  })

  test('a hash that is not its text’s keeps the gateway from starting', async () => {
    await expect(startTrusting({ [hashOf('other')]: query })).rejects.toThrow(ConfigError)
  })
})
