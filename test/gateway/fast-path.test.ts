import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

let app: TestApp
let token: string

beforeAll(async () => {
  app = await startTestApp()
  token = await app.backend.token('Ada')
})
afterAll(() => app.close())

/** All that a client sees of an answer, but when it was given. */
function send(body: string, headers: Record<string, string>): Promise<object> {
  return new Promise((resolve, reject) => {
    const authorization = basic(token)
    const options = {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization, 'x-request-id': 'one', ...headers },
    }
    request(`${app.url}/graphql`, options, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      const { date, ...rest } = response.headers
      resolve({ status: response.statusCode, headers: rest, body: Buffer.concat(chunks).toString() })
    })
      .on('error', reject)
      .end(body)
  })
}

const two = 'query A { __typename } query B { viewer { name } }'
const bodies: [string, object][] = [
  ['a query', { query: '{ viewer { name } }' }],
  ['one of two operations', { query: two, operationName: 'B' }],
  ['two operations without a name', { query: two }],
  ['an operation that is not there', { query: two, operationName: 'C' }],
  ['an empty name', { query: '{ __typename }', operationName: '' }],
  ['nulls', { query: '{ __typename }', operationName: null, variables: null, extensions: null }],
  ['variables', { query: 'query ($n: Int) { flows(first: $n) { nodes { name } } }', variables: { n: 1 } }],
  [
    'a variable of another type',
    { query: 'query ($n: Int) { flows(first: $n) { nodes { name } } }', variables: { n: '1' } },
  ],
  ['variables that are a list', { query: '{ __typename }', variables: [] }],
  ['extensions that are text', { query: '{ __typename }', extensions: 'x' }],
  ['a wish to know the cost', { query: '{ viewer { name } }', extensions: { cost: true } }],
  ['a member nobody knows', { query: '{ __typename }', more: 1 }],
  ['a query that is a number', { query: 5 }],
  ['an empty query', { query: '' }],
  ['no document', { query: '{ viewer {' }],
  ['a field that is not there', { query: '{ viewer { nam } }' }],
  ['fragments alone', { query: 'fragment F on Query { __typename }' }],
  ['more than is allowed', { query: `{ ${Array.from({ length: 30 }, (_, n) => `a${n}: __typename`)} }` }],
  ['an error of a field', { query: '{ flow(by: { path: "x" }) { name } viewer { name } }' }],
  [
    'a mutation that finds nothing',
    { query: 'mutation { sendMessage(input: { flow: { path: "a/b" }, content: "x" }) { __typename } }' },
  ],
  ['a subscription', { query: 'subscription { flowEvents(input: {}) { cursor } }' }],
]

const accepted = [
  'application/json',
  'application/graphql-response+json',
  '*/*',
  'application/json, text/plain, */*',
  'application/graphql-response+json,application/json;q=0.9',
]

/** The same operation as a multipart request without files, which the framework answers. */
function sendByFramework(body: string, headers: Record<string, string>): Promise<object> {
  const part = (name: string, text: string) =>
    `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`
  return send(`${part('operations', body)}${part('map', '{}')}--x--\r\n`, {
    ...headers,
    'content-type': 'multipart/form-data; boundary=x',
    'x-requested-with': 'x',
  })
}

describe.each(accepted)(
  'to a client that accepts %s, the fast path answers as the framework does',
  (accept) => {
    test.each(bodies)('%s', async (_, body) => {
      const text = JSON.stringify(body)
      expect(await send(text, { accept })).toEqual(await sendByFramework(text, { accept }))
    })
  },
)

/** The framework is asked by valid credentials alone: multipart requests without one are refused before. */
test.each<[string, string, object]>([
  ['no credential', '', { data: null, errors: [{ path: ['viewer'] }] }],
  ['a malformed credential', 'Nope x', { errors: [{}] }],
  ['an unknown credential', basic('0'.repeat(32)), { data: null, errors: [{ path: ['viewer'] }] }],
])('%s is an error of the operation', async (_, authorization, expected) => {
  const answer = await send('{"query":"{ viewer { name } }"}', { accept: 'application/json', authorization })
  expect(answer).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
  const result = JSON.parse((answer as { body: string }).body)
  expect(result).toMatchObject(expected)
  expect(result.errors[0].extensions).toEqual({ code: 'UNAUTHENTICATED' })
})

describe('an answer that was got', () => {
  const get = (query: string, headers: Record<string, string> = {}, nick: 'Ada' | 'Ben' = 'Ada') =>
    app.backend.token(nick).then((own) =>
      fetch(`${app.url}/graphql?query=${encodeURIComponent(query)}`, {
        headers: { authorization: basic(own), accept: 'application/json', ...headers },
      }),
    )

  test('has a tag by which a client receives that it is still the same, and what it is when it is not', async () => {
    const query = '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { id } } } }'
    const first = await get(query)
    const tag = first.headers.get('etag') ?? ''
    expect(first.headers.get('cache-control')).toBe('private, no-cache')
    expect(first.headers.get('vary')).toContain('Authorization')
    for (const known of [tag, tag.replace('W/', ''), `"x", ${tag}`, '*']) {
      const same = await get(query, { 'if-none-match': known })
      expect([same.status, same.headers.get('etag'), await same.text()]).toEqual([304, tag, ''])
    }
    await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content: 'new' })
    const changed = await get(query, { 'if-none-match': tag })
    expect([changed.status, changed.headers.get('etag') === tag]).toEqual([200, false])
  })

  test('is never that of another user', async () => {
    const tag = (await get('{ viewer { nick } }')).headers.get('etag') ?? ''
    const other = await get('{ viewer { nick } }', { 'if-none-match': tag }, 'Ben')
    expect([other.status, (await other.json()).data.viewer.nick]).toEqual([200, 'Ben'])
  })

  test('has none after a failure; responses to POST are not cached', async () => {
    const failed = await get('{ flow(by: { path: "x" }) { name } viewer { nick } }', {
      'if-none-match': '*',
    })
    expect([failed.status, failed.headers.get('etag')]).toEqual([200, null])
    expect(await send('{"query":"{__typename}"}', { accept: '*/*' })).toMatchObject({
      headers: { 'cache-control': 'no-store' },
    })
  })
})

test.each([
  ['gzip, deflate, br', 'gzip'],
  ['br, GZIP;q=0.5', 'gzip'],
  ['gzip;q=0, br', undefined],
  ['identity', undefined],
  ['', undefined],
])(
  'a long answer to a client that takes %j is encoded as %s, a short one never',
  async (encoding, expected) => {
    const long = JSON.stringify({ query: '{ __schema { types { name description fields { name } } } }' })
    const answer = (await send(long, { accept: '*/*', 'accept-encoding': encoding })) as {
      headers: Record<string, string>
    }
    expect(answer.headers['content-encoding']).toBe(expected)
    const short = await send('{"query":"{__typename}"}', { accept: '*/*', 'accept-encoding': encoding })
    expect(short).toMatchObject({ body: '{"data":{"__typename":"Query"}}' })
  },
)
