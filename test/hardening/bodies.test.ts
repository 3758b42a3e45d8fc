import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { executeOverSocket } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'

/* Bodies and variables as no client of good will sends them. */

let fortress: Fortress
beforeAll(async () => {
  fortress = await startFortress()
})
afterAll(() => fortress.close())

const json = { 'content-type': 'application/json' }
const mebibyte = 1024 * 1024
const padded = (length: number) => {
  const body = '{"query":"{__typename}","extensions":{"x":""}}'
  return body.replace('""', `"${'x'.repeat(length - body.length)}"`)
}
const chunked = (text: string) =>
  new ReadableStream({
    start(controller) {
      for (let at = 0; at < text.length; at += 65_536)
        controller.enqueue(Buffer.from(text.slice(at, at + 65_536)))
      controller.close()
    },
  })
const encode = (text: string) => Buffer.from(text, 'utf16le')

describe('a body', () => {
  test.each<[string, RequestInit & { duplex?: 'half' }, number]>([
    ['of 1 MiB less a byte', { headers: json, body: padded(mebibyte - 1) }, 200],
    ['of 1 MiB', { headers: json, body: padded(mebibyte) }, 200],
    ['of 1 MiB and a byte', { headers: json, body: padded(mebibyte + 1) }, 413],
    ['of 1 MiB in chunks', { headers: json, body: chunked(padded(mebibyte)), duplex: 'half' }, 200],
    [
      'of 1 MiB and a byte in chunks',
      { headers: json, body: chunked(padded(mebibyte + 1)), duplex: 'half' },
      413,
    ],
    ['that is empty', { headers: json, body: '' }, 400],
    ['that is no JSON', { headers: json, body: '{"query":' }, 400],
    [
      'that is a list of operations',
      { headers: json, body: '[{"query":"{__typename}"},{"query":"{__typename}"}]' },
      400,
    ],
    [
      'that is a list of a thousand',
      { headers: json, body: `[${'{"query":"{__typename}"},'.repeat(1000)}{}]` },
      400,
    ],
    [
      'that nests 100,000 deep',
      {
        headers: json,
        body: `{"query":"{__typename}","variables":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
      },
      413,
    ],
    [
      'that nests 100,000 deep and does not end',
      { headers: json, body: `{"variables":${'{"a":'.repeat(100_000)}` },
      413,
    ],
    [
      'of 60,000 members',
      {
        headers: json,
        body: `{"query":"{__typename}","variables":{${Array.from({ length: 60_000 }, (_, i) => `"k${i}":1`).join(',')}}}`,
      },
      413,
    ],
    ['with members nobody knows', { headers: json, body: '{"query":"{__typename}","more":1}' }, 400],
    [
      'with the query twice, of which the last counts',
      { headers: json, body: '{"query":"{","query":"{__typename}"}' },
      200,
    ],
    [
      'in UTF-16',
      {
        headers: { 'content-type': 'application/json; charset=utf-16' },
        body: encode('{"query":"{__typename}"}'),
      },
      415,
    ],
    ['in UTF-16 that does not say so', { headers: json, body: encode('{"query":"{__typename}"}') }, 400],
    [
      'that says it is UTF-16 and is UTF-8',
      {
        headers: { 'content-type': 'application/json; charset="UTF-16LE"' },
        body: '{"query":"{__typename}"}',
      },
      415,
    ],
    [
      'that says it is UTF-7',
      { headers: { 'content-type': 'application/json; charset=utf-7' }, body: '{"query":"{__typename}"}' },
      415,
    ],
    ['with a byte order mark', { headers: json, body: '\ufeff{"query":"{__typename}"}' }, 200],
    ['with bytes that are no UTF-8', { headers: json, body: Buffer.from([0x7b, 0xff, 0x7d]) }, 400],
    [
      'with a half of a surrogate pair',
      { headers: json, body: '{"query":"{ search(text: \\"\\ud800\\") { nodes { __typename } } }"}' },
      200,
    ],
    ['with a NUL in the document', { headers: json, body: '{"query":"{ __typename \\u0000 }"}' }, 200],
    [
      'that is compressed',
      { headers: { ...json, 'content-encoding': 'gzip' }, body: gzipSync('{"query":"{__typename}"}') },
      415,
    ],
    [
      'that is a bomb',
      { headers: { ...json, 'content-encoding': 'gzip' }, body: gzipSync(Buffer.alloc(64 * mebibyte)) },
      415,
    ],
    [
      'that is encoded as nobody does',
      { headers: { ...json, 'content-encoding': 'x' }, body: '{"query":"{__typename}"}' },
      415,
    ],
    [
      'that is encoded as itself',
      { headers: { ...json, 'content-encoding': 'identity' }, body: '{"query":"{__typename}"}' },
      200,
    ],
    ['of another type', { headers: { 'content-type': 'text/plain' }, body: '{"query":"{__typename}"}' }, 415],
    [
      'of a form',
      { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'query={__typename}' },
      415,
    ],
    [
      'of two types',
      { headers: { 'content-type': 'text/plain, application/json' }, body: '{"query":"{__typename}"}' },
      415,
    ],
    [
      'of a type with a tail',
      { headers: { 'content-type': 'application/json;text/plain' }, body: '{"query":"{__typename}"}' },
      200,
    ],
    ['of no type', { headers: {}, body: Buffer.from('{"query":"{__typename}"}') }, 415],
    ['of graphql itself', { headers: { 'content-type': 'application/graphql' }, body: '{__typename}' }, 415],
  ])('%s', async (_, init, status) => {
    const headers = { authorization: basic(fortress.token), ...(init.headers as Record<string, string>) }
    const answer = await fortress.beside(() => fortress.send({ ...init, headers } as RequestInit))
    expect(answer.status).toBe(status)
  })
})

test.each([
  [
    'no part has a name',
    '--b\r\nContent-Disposition: form-data\r\n\r\na\r\n--b\r\nContent-Disposition: form-data\r\n\r\nb\r\n--b--\r\n',
  ],
  [
    'no file has a name',
    '--b\r\nContent-Disposition: form-data; filename="a"\r\n\r\na\r\n--b\r\nContent-Disposition: form-data; filename="a"\r\n\r\nb\r\n--b--\r\n',
  ],
  ['a part has no head', '--b\r\n\r\na\r\n--b--\r\n'],
  ['a part does not end', '--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{'],
  ['there is no part', '--b--\r\n'],
  [
    'a name is that of an ancestor',
    '--b\r\nContent-Disposition: form-data; name="__proto__"\r\n\r\n{}\r\n--b--\r\n',
  ],
])('a multipart body in which %s is refused, by the gateway and by the backend', async (_, body) => {
  const headers = {
    'content-type': 'multipart/form-data; boundary=b',
    'x-requested-with': 'x',
    authorization: basic(fortress.token),
  }
  expect((await fortress.send({ headers, body })).status).toBe(400)
  const stored = await fetch(`${fortress.app.backend.url}/flows/example/main/messages`, {
    method: 'POST',
    headers,
    body,
  })
  expect(stored.status).toBeGreaterThanOrEqual(400)
  expect(stored.status).toBeLessThan(500)
  expect((await fortress.post({ query: '{ viewer { nick } }' })).data).toEqual({ viewer: { nick: 'Ada' } })
})

describe('variables', () => {
  const flow = 'query ($path: String!) { flow(by: { path: $path }) { name } }'
  const list =
    'query ($n: Int) { flow(by: { path: "example/main" }) { messages(first: $n) { nodes { id } } } }'
  const node = 'query ($id: ID!) { node(id: $id) { id } }'
  const nodes = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }'
  const send =
    'mutation ($content: String!) { sendMessage(input: { flow: { path: "example/nowhere" }, content: $content }) { __typename } }'
  const nested = (levels: number) => {
    let value: unknown = 'x'
    for (let level = 0; level < levels; level += 1) value = { path: value }
    return value
  }

  test.each<[string, string, Record<string, unknown>]>([
    ['with an ancestor for a name', flow, { path: '__proto__' }],
    ['with a path through ancestors', flow, { path: 'constructor/prototype' }],
    ['that are an object for a text', flow, { path: { toString: 'x' } }],
    ['that are a list for a text', flow, { path: ['example/main'] }],
    ['that are a number for a text', flow, { path: 1e308 }],
    ['that are another tree', flow, { path: '../users' }],
    ['that nest a thousand deep', 'query ($by: FlowBy!) { flow(by: $by) { name } }', { by: nested(1000) }],
    ['that are too large a number', list, { n: 2 ** 53 }],
    ['that are a fraction', list, { n: 1.5 }],
    ['that are below nothing', list, { n: -1 }],
    ['that are a text for a number', list, { n: '1' }],
    ['that are NUL for an id', node, { id: '\u0000' }],
    ['that are a number for an id', node, { id: 2 ** 63 }],
    ['that are no id', node, { id: 'x'.repeat(100_000) }],
    ['that are an id of something else', node, { id: btoa('__proto__:1') }],
    ['that are an id with a path in it', node, { id: btoa('Flow:../../users') }],
    ['that are an object for an id', node, { id: { toString: null } }],
    ['that are 1,000 ids', nodes, { ids: Array.from({ length: 1000 }, () => 'x') }],
    ['that are missing', node, {}],
    ['that are half a surrogate pair', send, { content: '\ud800' }],
    ['that are a NUL', send, { content: '\u0000' }],
    ['that are 100,000 spaces', send, { content: ' '.repeat(100_000) }],
    ['that make patterns slow', send, { content: `${'@a'.repeat(50_000)}!` }],
    ['that make patterns slower', send, { content: `${'#a '.repeat(30_000)}\u0000` }],
    ['that are brackets', send, { content: '['.repeat(100_000) }],
    ['that are an address without an end', send, { content: `http://${'a.'.repeat(50_000)}` }],
    [
      'that are markup and statements',
      send,
      { content: '<script>alert(1)</script>\'; DROP TABLE messages; --%_"' },
    ],
  ])('%s harm nobody, whichever way they come', async (_, query, variables) => {
    const texts = await fortress.beside(async () => [
      await fortress.post({ query, variables }),
      await fortress.post({ query, variables }, { accept: 'application/json;q=1' }),
      await fortress.post({ query, variables }, { accept: 'text/event-stream' }),
      await executeOverSocket(fortress.url, fortress.token, query, variables),
    ])
    for (const { errors, data } of texts) {
      for (const error of errors ?? []) expect(error.extensions?.['code']).not.toBe('INTERNAL_SERVER_ERROR')
      expect(errors !== undefined || data !== undefined).toBe(true)
    }
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  test('with ancestors of objects for names change nothing', async () => {
    for (const text of [
      '{"query":"{__typename}","variables":{"__proto__":{"polluted":1}}}',
      '{"query":"{__typename}","extensions":{"constructor":{"prototype":{"polluted":1}}}}',
      '{"query":"{__typename}","__proto__":{"polluted":1}}',
    ])
      await fortress.send({ headers: { ...json, authorization: basic(fortress.token) }, body: text })
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  test('as they may be are answered', async () => {
    expect((await fortress.post({ query: flow, variables: { path: 'example/main' } })).data).toEqual({
      flow: { name: 'Main' },
    })
    expect((await fortress.post({ query: list, variables: { n: 100 } })).errors).toBeUndefined()
    expect((await fortress.post({ query: nodes, variables: { ids: [] } })).data).toEqual({ nodes: [] })
  })
})
