import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { callThings } from '../../support/things.ts'
import { type Fact, makeWorld, testFacts, unknownFlow, type World } from './facts.ts'

/* How requests are sent, and what is around every response. */

let world: World & { close(): Promise<void> }
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

const urls: Fact[] = [
  { ref: '0.3', fact: 'version 0.1 is served', request: () => ({ path: '/flow', version: 'v0.1' }) },
  { ref: '0.3', fact: 'version 4.0 is served', request: () => ({ path: '/flow', version: 'v4.0' }) },
  { ref: '0.3', fact: 'any other version is served', request: () => ({ path: '/flow', version: 'v17' }) },
  {
    ref: '0.3',
    fact: 'a version is a v and something more',
    request: () => ({ path: '/flow', version: '0.1' }),
    status: 404,
  },
  { ref: '1.1', fact: 'a slash at the end makes no difference', request: () => ({ path: '/flow/' }) },
  {
    ref: '1.1',
    fact: 'nor does one after an id',
    request: ({ flow }) => ({ path: `/flow/${flow.id}/` }),
    body: ({ flow }) => ({ id: flow.id }),
  },
  {
    ref: '1.1',
    fact: 'an account has no case in URLs',
    request: () => ({ raw: true, path: '/v0.1/ALICE/flow' }),
  },
  { ref: '1.4', fact: 'an unknown resource is 404', request: () => ({ path: '/nothing' }), status: 404 },
  { ref: '1.4', fact: 'the URL of an account alone is 404', request: () => ({ path: '' }), status: 404 },
  { ref: '1.4', fact: 'the root is 404', request: () => ({ raw: true, path: '/' }), status: 404 },
  {
    ref: '1.4',
    fact: 'a URL with broken encoding is 404',
    request: () => ({ path: '/flow/%E0%A4%A' }),
    status: 404,
  },
  {
    ref: '1.4',
    fact: 'a path with too many segments is 404',
    request: ({ flow }) => ({ path: `/flow/${flow.id}/a/b` }),
    status: 404,
  },
]

const credentials: Fact[] = [
  {
    ref: '1.2',
    fact: 'the account comes from the URL: its header may be missing',
    request: ({ alice }) => ({
      as: 'nobody',
      raw: true,
      path: '/v0.1/alice/flow',
      headers: { 'x-auth-token': alice.token },
    }),
  },
  {
    ref: '1.2',
    fact: 'headers have no case',
    request: ({ alice }) => ({
      as: 'nobody',
      raw: true,
      path: '/v0.1/alice/flow',
      headers: { 'X-AUTH-TOKEN': alice.token, 'X-Auth-Account': 'Alice' },
    }),
  },
  {
    ref: '1.2',
    fact: 'a header that names another account than the URL is refused',
    request: ({ alice }) => ({
      as: 'nobody',
      raw: true,
      path: '/v0.1/alice/flow',
      headers: { 'x-auth-token': alice.token, 'x-auth-account': 'bob' },
    }),
    status: 403,
  },
  {
    ref: '1.4',
    fact: 'a missing token is 403',
    request: () => ({ as: 'nobody', path: '/flow' }),
    status: 403,
  },
  {
    ref: '1.4',
    fact: 'a wrong token is 403',
    request: () => ({ token: 'x'.repeat(32), path: '/flow' }),
    status: 403,
  },
  {
    ref: '1.4',
    fact: 'a token of another account is 403',
    request: ({ bob }) => ({ token: bob.token, path: '/flow' }),
    status: 403,
  },
  {
    ref: '1.4',
    fact: 'an unknown account is 403, as a wrong token is',
    request: ({ alice }) => ({
      raw: true,
      path: '/v0.1/nobody/flow',
      as: 'nobody',
      headers: { 'x-auth-token': alice.token },
    }),
    status: 403,
  },
  {
    ref: '1.4',
    fact: 'a token with other characters is 403',
    request: () => ({ token: "' or 1=1 --".padEnd(32, 'x'), path: '/flow' }),
    status: 403,
  },
]

const bodies: Fact[] = [
  ...[
    'application/json',
    'application/json; charset="UTF-8"',
    'text/plain',
    'application/x-www-form-urlencoded',
  ].map(
    (type, index): Fact => ({
      ref: '1.2',
      fact: `a body of JSON is read as ${type}`,
      request: () => ({
        method: 'POST',
        path: '/flow',
        body: { path: `/alice/types/${index}` },
        headers: { 'content-type': type },
      }),
      status: 201,
    }),
  ),
  {
    ref: '1.2',
    fact: 'a body that is compressed with gzip is read',
    async check({ things, alice }) {
      const headers = { 'x-auth-token': alice.token, 'content-encoding': 'gzip' }
      const body = gzipSync(JSON.stringify({ path: '/alice/gzip' })) as unknown as string
      const response = await fetch(`${things.thingsUrl}/v4.0/alice/flow`, { method: 'POST', headers, body })
      expect(response.status).toBe(201)
    },
  },
  {
    ref: '1.2',
    fact: 'so is one that comes in chunks',
    async check({ things, alice }) {
      const body = new ReadableStream({
        start(controller) {
          for (const part of ['{"path": ', '"/alice/chunked"}'])
            controller.enqueue(new TextEncoder().encode(part))
          controller.close()
        },
      })
      const response = await fetch(`${things.thingsUrl}/v4.0/alice/flow`, {
        ...{ method: 'POST', headers: { 'x-auth-token': alice.token }, body, duplex: 'half' },
      } as RequestInit)
      expect(response.status).toBe(201)
    },
  },
  {
    ref: '1.4',
    fact: 'a body that is no JSON is 400',
    request: () => ({ method: 'POST', path: '/flow', body: '{"path":' }),
    status: 400,
    error: /JSON/,
  },
  {
    ref: '1.4',
    fact: 'a body that is a list is 400',
    request: () => ({ method: 'POST', path: '/flow', body: [] }),
    status: 400,
  },
  {
    ref: '1.4',
    fact: 'no body is 400 where one is needed',
    request: () => ({ method: 'POST', path: '/flow' }),
    status: 400,
  },
  {
    ref: '1.4',
    fact: 'a body that is not UTF-8 is 400',
    async check({ things, alice }) {
      const headers = { 'x-auth-token': alice.token }
      const body = Buffer.from([0x7b, 0xff, 0x7d]) as unknown as string
      const response = await fetch(`${things.thingsUrl}/v4.0/alice/flow`, { method: 'POST', headers, body })
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ head: { errors: [expect.stringMatching(/UTF-8/)] } })
    },
  },
  {
    ref: '1.4',
    fact: 'a number that a double cannot hold is 400',
    async check({ things, alice }) {
      const response = await fetch(`${things.thingsUrl}/v4.0/alice/drop`, {
        method: 'POST',
        headers: { 'x-auth-token': alice.token },
        body: '{"path":"/alice/deleted","elems":{"n":1e400}}',
      })
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({
        head: { errors: [expect.stringContaining('got 1e400')] },
      })
    },
  },
  {
    ref: '1.6',
    fact: 'a deletion without a body is served',
    async check({ alice }) {
      const { body } = await alice('POST', '/flow', { path: '/alice/deleted' })
      expect((await alice('DELETE', `/flow/${body.id}`)).body).toEqual({})
    },
  },
  {
    ref: '1.6',
    fact: 'a deletion with a body is served',
    async check({ alice }) {
      const { body } = await alice('POST', '/flow', { path: '/alice/deleted' })
      expect((await alice('DELETE', `/flow/${body.id}`, { why: 'not' })).body).toEqual({})
    },
  },
]

const envelopes: Fact[] = [
  {
    ref: '1.3',
    fact: 'a success has its status, ok, and lists without entries',
    request: () => ({ path: '/flow' }),
    check: (_, { head }) => {
      expect(head).toEqual({ status: 200, ok: true, messages: [], errors: [], references: {} })
    },
  },
  {
    ref: '1.3',
    fact: 'a creation is 201 and says so',
    request: () => ({ method: 'POST', path: '/flow', body: { path: '/alice/created' } }),
    status: 201,
    check: (_, { head }) => {
      expect(head.messages).toEqual([
        'Your request has been processed successfully. A new resource has been created.',
      ])
    },
  },
  {
    ref: '1.3',
    fact: 'an error has a text, and a body that is an object',
    request: () => ({ path: `/flow/${unknownFlow}` }),
    status: 404,
    error: /There is no flow/,
  },
  { ref: '1.3', fact: 'the result of a find is a list', request: () => ({ path: '/group' }), is: () => [] },
  {
    ref: '1.3',
    fact: 'that of a bulk read is an object',
    request: () => ({ method: 'MGET', path: '/flow', body: [] }),
    is: () => ({}),
  },
  {
    ref: '3',
    fact: 'pretty makes lines',
    request: () => ({ path: '/flow?pretty=true' }),
    check: (_, { text }) => expect(text).toContain('\n  "head": {\n'),
  },
  {
    ref: '3',
    fact: 'unknown parameters are ignored',
    request: () => ({ path: '/flow?nonsense=1&limits=x' }),
  },
]

const methods: Fact[] = [
  {
    ref: '1.5',
    fact: 'a preflight is answered with the methods and headers of the API',
    request: () => ({
      as: 'nobody',
      method: 'OPTIONS',
      path: '/flow',
      headers: { origin: 'https://app.example' },
    }),
    headers: {
      'access-control-allow-origin': '*',
      'access-control-allow-methods': /GET, POST, PUT, DELETE, MGET, MPUT/,
      'access-control-allow-headers': /x-auth-token.*x-auth-account.*content-type/,
    },
  },
  {
    ref: '1.5',
    fact: 'pages of other origins read responses',
    request: () => ({ path: '/flow', headers: { origin: 'https://app.example' } }),
    headers: { 'access-control-allow-origin': '*' },
  },
  {
    ref: '1.5',
    fact: 'so they do errors',
    request: () => ({ as: 'nobody', path: '/flow', headers: { origin: 'https://app.example' } }),
    status: 403,
    headers: { 'access-control-allow-origin': '*' },
  },
  {
    ref: '1.5',
    fact: 'the session is there for pages, too',
    request: () => ({ as: 'nobody', raw: true, method: 'OPTIONS', path: '/session' }),
    headers: { 'access-control-allow-origin': '*' },
  },
  {
    ref: '1.4',
    fact: 'another method is refused with those that are served',
    request: () => ({ method: 'PATCH', path: '/flow' }),
    status: 405,
    headers: { allow: 'GET, MGET, POST, MPUT, OPTIONS' },
  },
  {
    ref: '1.4',
    fact: 'so it is of one resource',
    request: ({ flow }) => ({ method: 'POST', path: `/flow/${flow.id}` }),
    status: 405,
    headers: { allow: 'GET, PUT, DELETE, OPTIONS' },
  },
  {
    ref: '1.4',
    fact: 'HEAD has the headers of GET alone',
    request: () => ({ method: 'HEAD', path: '/flow' }),
    check: (_, { text }) => expect(text).toBe(''),
  },
]

const ids: Fact[] = [
  {
    ref: '4',
    fact: 'the id of a flow is f and 24 hexadecimal digits',
    check: ({ flow }) => expect(flow.id).toMatch(/^f[0-9a-f]{24}$/),
  },
  {
    ref: '4',
    fact: 'that of a drop begins with d',
    check: ({ drops }) => expect(drops[0].id).toMatch(/^d[0-9a-f]{24}$/),
  },
  {
    ref: '4',
    fact: 'that of an identity begins with i',
    check: ({ aliceId }) => expect(aliceId).toMatch(/^i[0-9a-f]{24}$/),
  },
  {
    ref: '16.20',
    fact: 'an id that is none is 400',
    request: () => ({ path: '/flow/nonsense' }),
    status: 400,
  },
  {
    ref: '16.20',
    fact: 'so is one of another kind',
    request: ({ drops }) => ({ path: `/flow/${drops[0].id}` }),
    status: 400,
  },
  {
    ref: '16.20',
    fact: 'so is one in capitals',
    request: ({ flow }) => ({ path: `/flow/${flow.id.toUpperCase()}` }),
    status: 400,
  },
  {
    ref: '1.4',
    fact: 'an unknown id is 404',
    request: () => ({ path: `/flow/${unknownFlow}` }),
    status: 404,
  },
  {
    ref: '16.10',
    fact: 'unknown ids are left out of a bulk read',
    request: ({ flow }) => ({ method: 'MGET', path: '/flow', body: [unknownFlow, flow.id] }),
    check: ({ flow }, { body }) => expect(Object.keys(body)).toEqual([flow.id]),
  },
  {
    ref: '4',
    fact: 'dates are milliseconds',
    check: ({ flow }) => {
      expect(Number.isInteger(flow.creationDate)).toBe(true)
      expect(Math.abs(flow.creationDate - Date.now())).toBeLessThan(600_000)
    },
  },
]

describe('URLs', () => testFacts(() => world, urls))
describe('credentials', () => testFacts(() => world, credentials))
describe('bodies', () => testFacts(() => world, bodies))
describe('envelopes', () => testFacts(() => world, envelopes))
describe('methods', () => testFacts(() => world, methods))
describe('ids', () => testFacts(() => world, ids))

describe('a request with the same header twice', () =>
  testFacts(
    () => world,
    [
      {
        ref: '1.2',
        fact: 'is refused in JSON, too',
        async check({ things }) {
          const { port, hostname } = new URL(things.thingsUrl)
          const { connect } = await import('node:net')
          const socket = connect(Number(port), hostname)
          socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-Auth-Token: a\r\nX-Auth-Token: b\r\n\r\n')
          const chunks: Buffer[] = []
          for await (const chunk of socket) chunks.push(chunk as Buffer)
          const text = Buffer.concat(chunks).toString()
          expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
          expect(JSON.parse(text.slice(text.indexOf('{'))).head).toMatchObject({ status: 400, ok: false })
        },
      },
      {
        ref: '1.5',
        fact: 'MGET and MPUT are methods that fetch and Node.js clients send',
        async check({ things, alice, flow }) {
          const headers = { 'x-auth-token': alice.token }
          const url = `${things.thingsUrl}/v0.1/alice/flow`
          const read = await callThings(url, 'MGET', headers, [flow.id])
          expect(read.body[flow.id].path).toBe('/alice/sensors')
          const written = await callThings(url, 'MPUT', headers, {
            [flow.id]: { description: 'Read by MGET' },
          })
          expect(written.body[flow.id].description).toBe('Read by MGET')
        },
      },
    ],
  ))
