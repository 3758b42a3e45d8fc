import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { flowdockRoutes } from '../../src/backend/flowdock/routes/index.ts'
import { lastEventSeq } from '../../src/backend/store/events.ts'
import { disableUser } from '../../src/backend/store/rights.ts'
import { basic, call, type TestBackend } from '../support/backend.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'
import { openServiceStream, serviceToken } from '../support/service.ts'
import { openRawStream } from '../support/stream.ts'

/*
 * The service interface shows everything, so nobody gets at it without its token, and the token is in nothing that the servers
 * say: the fortress searches their logs, metrics and answers for it.
 */

let fortress: Fortress
let backend: TestBackend
beforeAll(async () => {
  fortress = await startFortress({
    settings: { SERVICE_TOKEN: serviceToken },
    backend: { serviceTokens: [serviceToken] },
  })
  backend = fortress.app.backend
})
afterAll(() => fortress.close())

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const service = bearer(serviceToken)

/** A request to the backend. What it answers must not have the token in it. */
async function send(method: string, path: string, headers: Record<string, string>, body?: unknown) {
  const answer = await call(backend.url + path, method, headers, body)
  const said = JSON.stringify([...answer.headers]) + answer.text
  expect(said).not.toContain(serviceToken)
  expect(said).not.toMatch(/node_modules|\/src\/|\.ts:\d/)
  return answer
}

const paths: readonly (readonly [method: string, path: string])[] = [
  ['GET', '/service/v1/stream'],
  ['HEAD', '/service/v1/stream'],
  ['GET', '/service/v1/stream?back=100'],
  ['POST', '/service/v1/audit'],
  ['POST', '/service/v1/entitlements'],
  ['GET', '/service/v1/users?ids=1'],
  ['GET', '/service/v1/flows?ids=1'],
]

describe.each(paths)('%s %s', (method, path) => {
  const statusWith = async (headers: Record<string, string>, more = '') =>
    (await send(method, path + more, headers, method === 'POST' ? [] : undefined)).status

  test('is refused without a service token', async () => {
    const person = await backend.token('Ada')
    const query = `${path.includes('?') ? '&' : '?'}access_token=${serviceToken}`
    expect(await statusWith({})).toBe(401)
    expect(await statusWith(bearer('x'.repeat(serviceToken.length)))).toBe(401)
    expect(await statusWith(bearer(serviceToken.slice(0, -1)))).toBe(401)
    expect(await statusWith(bearer(`${serviceToken}${serviceToken}`))).toBe(401)
    expect(await statusWith(bearer(person))).toBe(401)
    expect(await statusWith({ authorization: basic(person) })).toBe(401)
    expect(await statusWith({ authorization: basic(serviceToken) })).toBe(401)
    expect(await statusWith({ authorization: serviceToken })).toBe(401)
    expect(await statusWith({ authorization: `Bearer ${serviceToken} more` })).toBe(401)
    expect(await statusWith({}, query)).toBe(401)
  })

  test('is refused to pages, whatever they send', async () => {
    for (const origin of ['https://evil.example', 'null', backend.url])
      expect(await statusWith({ ...service, origin })).toBe(403)
  })
})

test.each(['//service/v1/stream', '/v1/service/v1/stream', '/rest/service/v1/users', '/%73ervice/v1/stream'])(
  'it is not found by another spelling of its path, which a proxy may let through: %s',
  async (path) => {
    expect((await send('GET', path, service)).status).toBe(404)
  },
)

test('a page is not allowed to send the headers of the service interface', async () => {
  const { status, headers } = await send('OPTIONS', '/service/v1/stream', {
    origin: 'https://evil.example',
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'authorization,flowdock-act-as',
  })
  expect(status).toBe(204)
  expect(headers.get('access-control-allow-headers')?.toLowerCase()).not.toContain('flowdock-act-as')
})

test('by the name of a proxy for streams, nothing of it is found', async () => {
  for (const [, path] of paths) {
    const headers = { ...service, host: 'stream.team.example' }
    const answer = await openRawStream(backend.url + path, headers)
    onTestFinished(answer.close)
    expect([401, 404, 405]).toContain(answer.status)
  }
})

test('a stream that was opened with the token ends when the backend does, and shows no token', async () => {
  const stream = await openServiceStream(backend.url, { query: '?back=1000000' })
  await stream.until(/event: h/)
  expect(stream.text).not.toContain(serviceToken)
  expect(stream.text).not.toContain(await backend.token('Ada'))
  expect(JSON.stringify(stream.headers)).not.toContain(serviceToken)
  stream.close()
})

describe('a read as a user', () => {
  const as = (id: number | string) => ({ ...service, 'flowdock-act-as': String(id) })
  const main = '/flows/example/main'

  test('needs a service token: with another credential it is refused, not ignored', async () => {
    const person = { authorization: basic(await backend.token('Ben')) }
    for (const headers of [{}, person, bearer('x'.repeat(40))])
      for (const path of ['/user', main, '/service/v1/users?ids=1', '/health/ready'])
        expect([401, 403]).toContain((await send('GET', path, { 'flowdock-act-as': '1', ...headers })).status)
  })

  test('is refused to pages', async () => {
    expect((await send('GET', '/user', { ...as(1), origin: backend.url })).status).toBe(403)
  })

  test('is nothing but a read: every other method is refused and changes nothing', async () => {
    const before = await lastEventSeq(backend.store.reader)
    const writes: readonly [string, string, unknown?][] = [
      ['POST', `${main}/messages`, { event: 'message', content: 'forged' }],
      ['PUT', main, { name: 'forged' }],
      ['PATCH', main, { name: 'forged' }],
      ['DELETE', `${main}/messages/1`],
      ['POST', `${main}/users`, { id: 3 }],
      ['PUT', '/users/1', { nick: 'forged' }],
      ['PUT', '/user/presence', { state: 'active' }],
      ['POST', '/stream/flows', { filter: 'example/main' }],
      ['POST', '/service/v1/audit', []],
      ['HEAD', '/user'],
    ]
    for (const [method, path, body] of writes) {
      expect((await send(method, path, as(1), body)).status, `${method} ${path}`).toBe(403)
      const override = { ...as(1), 'x-http-method-override': method }
      expect((await send('GET', path, override, undefined)).status, path).not.toBe(500)
    }
    for (const [method, path, body] of writes.slice(0, 7))
      expect((await send(method, path, service, body)).status, `${method} ${path}`).toBe(401)
    expect(await lastEventSeq(backend.store.reader)).toBe(before)
  })

  test('reads through no route that changes something', async () => {
    const before = await lastEventSeq(backend.store.reader)
    const reads = flowdockRoutes.filter(({ method, auth }) => method === 'GET' && auth === 'user')
    expect(reads.length).toBeGreaterThan(30)
    for (const { pattern } of reads) {
      const path = pattern
        .replace(':organization', 'example')
        .replace(':flow', 'main')
        .replace(':user', '2')
        .replace(/:\w+/g, '1')
      const { status, text } = await send('GET', path, as(1))
      expect(status, path).toBeLessThan(500)
      expect(text, path).not.toContain('changes nothing')
    }
    expect(await lastEventSeq(backend.store.reader)).toBe(before)
  })

  test('opens no stream, proves nothing and reads nothing that no user is asked for', async () => {
    for (const path of [
      '/stream/flows?filter=example/main',
      '/stream/flows?user=1',
      `/stream${main}`,
      '/service/v1/entitlement',
      '/service/v1/stream',
      '/service/v1/users?ids=1',
      '/oauth/authorize',
      '/health/ready',
    ])
      expect((await send('GET', path, as(1))).status, path).toBe(403)
  })

  test.each(['', 'ada', '1,2', '-1', '1e3', '0x1', ' 1 2', '9'.repeat(30)])(
    'is refused as "%s"',
    async (id) => {
      expect((await send('GET', '/user', as(id))).status).toBe(400)
    },
  )

  test('is refused as a user who does not exist or is disabled', async () => {
    await backend.log.write((change) => disableUser(change, 3))
    for (const id of [0, 3, 999]) expect((await send('GET', '/user', as(id))).status).toBe(403)
  })

  test('is not to be had through the gateway', async () => {
    const query = '{ viewer { nick } }'
    const asked = await fortress.post({ query }, { 'flowdock-act-as': '2' })
    expect(asked.data).toEqual({ viewer: { nick: 'Ada' } })
    const stolen = await fortress.send({
      headers: { 'content-type': 'application/json', 'flowdock-act-as': '2', ...service },
      body: JSON.stringify({ query }),
    })
    expect(stolen.body.errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
  })
})
