import { createHash, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { makeToken } from '../../src/backend/flowdock/auth.ts'
import { addToken } from '../../src/backend/flowdock/operations/credentials.ts'
import { streamLog } from '../../src/backend/flowdock/service-stream.ts'
import { startBackend } from '../../src/backend/index.ts'
import { type EventRow, findLogPosition, lastEventSeq } from '../../src/backend/store/events.ts'
import { deleteToken, disableUser } from '../../src/backend/store/rights.ts'
import { insertToken } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import type {
  WireAuditClaim,
  WireEntitlement,
  WireServiceOrganizations,
  WireServiceSignal,
  WireServiceUsers,
} from '../../src/wire/service.ts'
import { basic, call, makeFolder, startTestBackend, type TestBackend } from '../support/backend.ts'
import { framesOf, openServiceStream, serviceFrames, serviceToken } from '../support/service.ts'
import { openRawStream } from '../support/stream.ts'

let backend: TestBackend
let ada: ReturnType<TestBackend['as']>
let ben: ReturnType<TestBackend['as']>

beforeAll(async () => {
  backend = await startTestBackend({ serviceTokens: ['x'.repeat(32), serviceToken] })
  ada = backend.as('Ada')
  ben = backend.as('Ben')
})
afterAll(() => backend.close())

const main = '/flows/example/main'
const say = (content: string) => ben('POST', `${main}/messages`, { event: 'message', content })
const end = () => lastEventSeq(backend.store.reader)
const listen = (query?: string, headers?: Record<string, string>) =>
  openServiceStream(backend.url, { ...(query && { query }), ...(headers && { headers }) })

describe('the service stream', () => {
  test('begins at the end of the log, says so, and delivers what happens', async () => {
    await say('before')
    const last = await end()
    const stream = await listen()
    const { id, first } = await findLogPosition(backend.store.reader)
    expect(stream.status).toBe(200)
    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'flowdock-service': '1',
      'flowdock-log-id': id,
      'flowdock-event-id': String(last),
      'flowdock-first-event': String(first),
    })
    expect(id).toMatch(/^[0-9a-f]{32}$/)
    await stream.until(/event: h\n.*\n\n/)
    expect(framesOf(stream.text, 'h')).toEqual([{ name: 'h', id: undefined, data: { head: last } }])
    const { json: flow } = await ada('GET', main)
    const before = Date.now()
    await say('after\r\ntwo lines')
    await stream.until(/two lines.*\n\n/)
    const [event] = framesOf(stream.text, 'e')
    expect(event).toMatchObject({
      id: last + 1,
      data: { a: `f:${flow.id}`, p: { event: 'message', content: 'after\r\ntwo lines', flow: flow.id } },
    })
    expect(event?.data.t).toBeGreaterThanOrEqual(before)
  })

  test('replays every event of the log without a hole, and then says where it is', async () => {
    const stream = await listen('?back=1000000')
    expect(stream.headers['flowdock-event-id']).toBe('0')
    await stream.until(/event: h\n.*\n\n/)
    const frames = serviceFrames(stream.text)
    const numbers = frames.flatMap(({ id }) => id ?? [])
    expect(numbers).toEqual(Array.from({ length: await end() }, (_, index) => index + 1))
    expect(frames.at(-1)).toMatchObject({ name: 'h', data: { head: numbers.length } })
    expect(framesOf(stream.text, 'e').some(({ data }) => data.a === 'u:1')).toBe(true)
  })

  test('begins some events before the end, or after the last event of a reader', async () => {
    await say('one')
    await say('two')
    const last = await end()
    const warm = await listen('?back=2')
    await warm.until(/event: h/)
    expect(framesOf(warm.text, 'e').map(({ id }) => id)).toEqual([last - 1, last])
    const resumed = await listen('?back=2', { 'last-event-id': String(last - 1) })
    await resumed.until(/event: h/)
    expect(resumed.headers['flowdock-event-id']).toBe(String(last - 1))
    expect(framesOf(resumed.text, 'e').map(({ id }) => id)).toEqual([last])
  })

  test('has the URL that the request reached the API at', async () => {
    await call(`${backend.url}/user/avatar`, 'DELETE', { authorization: basic(await backend.token('Ben')) })
    const stream = await listen('?back=20', { host: 'backend.internal:8080' })
    await stream.until(/event: h/)
    expect(stream.text).toContain('http://backend.internal:8080/avatars/')
    expect(stream.text).not.toContain('flowdock-gateway.invalid')
  })

  test('has null for a message that was removed since, and no text of one that was emptied', async () => {
    const { json: removed } = await ben('POST', `${main}/messages`, {
      ...{
        event: 'file',
        content: { data: 'aGVsbG8=', file_name: 'secret.txt', content_type: 'text/plain' },
      },
    })
    const { json: emptied } = await say('regretted')
    const last = await end()
    for (const { id } of [removed, emptied]) await ben('DELETE', `${main}/messages/${id}`)
    const stream = await listen(undefined, { 'last-event-id': String(last - 2) })
    await stream.until(/event: h/)
    expect(framesOf(stream.text, 'e').slice(0, 2)).toMatchObject([
      { id: last - 1, data: { p: null } },
      { id: last, data: { p: { id: emptied.id, content: '' } } },
    ])
    expect(stream.text).not.toMatch(/secret\.txt|regretted/)
  })

  test.each([
    ['later than its end', async () => String((await end()) + 1), 410],
    ['of nothing', async () => 'here', 400],
  ])('refuses a Last-Event-ID %s', async (_, id, status) => {
    expect((await listen('', { 'last-event-id': await id() })).status).toBe(status)
  })

  test('refuses to go on from an event that was dropped from the log', async () => {
    const old = await startTestBackend({ serviceTokens: [serviceToken] })
    onTestFinished(old.close)
    await old.store.write((db) => db.deleteFrom('events').where('seq', '<=', 3).execute())
    const at = (id: number) =>
      openServiceStream(old.url, { headers: { 'last-event-id': String(id) } }).then(({ status }) => status)
    expect(await at(2)).toBe(410)
    expect(await at(3)).toBe(200)
    const all = await openServiceStream(old.url, { query: '?back=100' })
    expect(all.headers).toMatchObject({ 'flowdock-event-id': '3', 'flowdock-first-event': '4' })
  })

  test('refuses to go on when the gateway knows another event by a number, because commits were lost', async () => {
    await say('known')
    const known = await listen('?back=1')
    const text = await known.until(/event: h/)
    const [event] = framesOf(text, 'e')
    const resume = async (storedAt: number) => {
      const headers = {
        'last-event-id': String(event?.id),
        'flowdock-known-event': `${event?.id} ${storedAt}`,
      }
      return (await listen('', headers)).status
    }
    expect(await resume(event?.data.t ?? 0)).toBe(200)
    expect(await resume((event?.data.t ?? 0) - 1)).toBe(410)
  })

  test('says who is online before it says where it is, and then who comes and goes', async () => {
    const present = await openRawStream(`${backend.url}/stream/flows?filter=example/main&active=true`, {
      authorization: basic(await backend.token('Ben')),
    })
    onTestFinished(present.close)
    const stream = await listen()
    await stream.until(/event: h/)
    const { json: flow } = await ben('GET', main)
    const frames = serviceFrames(stream.text)
    const before = frames.slice(
      0,
      frames.findIndex(({ name }) => name === 'h'),
    )
    expect(before.map(({ data }) => data)).toContainEqual({
      f: expect.arrayContaining([flow.id]) as string[],
      presence: true,
      p: expect.objectContaining({ event: 'presence', user_id: 2 }) as object,
    } satisfies WireServiceSignal)
    present.close()
    await stream.until(/event: h[\s\S]*"state":0/)
  })

  test('says where it is every few seconds', async () => {
    const { text } = await openLog({ headEveryMs: 5 })
    expect(await text(/(event: h[\s\S]*){4}/)).toMatch(/^(event: h\ndata: \{"head":0\}\n\n)+$/)
  })

  test('disconnects a reader who does not read', async () => {
    const { stream, listener, isListening } = await openLog({ maxUnsentBytes: 1024 * 1024 })
    stream.pause()
    const payload = JSON.stringify('x'.repeat(100_000))
    const row = { flow_id: 'f', user_id: null, payload, created_at: 1, kind: 0 }
    let seq = 0
    while (isListening()) {
      await new Promise(setImmediate)
      seq += 1
      listener({ seq, ...row })
      // 1 MiB, and what the sockets of both sides take.
      expect(seq).toBeLessThan(1000)
    }
  })

  test('is cut where the log has a hole', async () => {
    const { stream, listener } = await openLog({})
    listener({ seq: 2, flow_id: 'f', user_id: null, payload: '{}', created_at: 1, kind: 0 })
    await stream.ended
    expect(stream.text).not.toContain('id: 2')
  })
})

/** A service stream over a log of its own, which is empty. */
async function openLog(options: { headEveryMs?: number; maxUnsentBytes?: number }) {
  const { promise, resolve } = Promise.withResolvers<(event: EventRow) => void>()
  let isListening = true
  const server = createServer((_, response) => {
    void streamLog(response, {
      log: {
        listen(listener) {
          resolve(listener)
          return () => {
            isListening = false
          }
        },
      },
      ...{ position: { id: 'log', first: 1 }, after: 0, base: '' },
      readPage: async () => [],
      presence: { listen: () => () => undefined, list: () => [] },
      listFlowIds: async () => new Map(),
      signal: new AbortController().signal,
      ...options,
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => void server.close())
  const stream = await openRawStream(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  onTestFinished(stream.close)
  const text = (pattern: RegExp) => stream.until(pattern)
  await text(/event: h/)
  return { stream, text, listener: await promise, isListening: () => isListening }
}

test('several entitlements are read in one call, each as by itself; a password is left to a call of its own', async () => {
  const url = `${backend.url}/service/v1`
  const headers = { authorization: `Bearer ${serviceToken}` }
  const read = (credentials: unknown) => call(`${url}/entitlements`, 'POST', headers, credentials)
  const tokens = [basic(await backend.token('Ada')), `Bearer ${await backend.token('Ben')}`]
  const alone = await Promise.all(
    tokens.map(async (authorization) => (await call(`${url}/entitlement`, 'GET', { authorization })).json),
  )
  const { status, json } = await read([
    ...tokens,
    'Bearer unknown',
    `Basic ${btoa('ada@example.com:password')}`,
    'nonsense',
  ])
  expect(status).toBe(200)
  expect(json).toEqual([...alone, { status: 401 }, { status: 501 }, { status: 401 }])
  expect((await read([])).json).toEqual([])
  for (const wrong of [[7], Array.from({ length: 101 }, () => ''), 'text'])
    expect((await read(wrong)).status).toBe(400)
  const [ada] = tokens
  expect((await call(`${url}/entitlements`, 'POST', { authorization: ada as string }, tokens)).status).toBe(
    401,
  )
})

describe('an entitlement', () => {
  const prove = async (authorization: string) =>
    call(`${backend.url}/service/v1/entitlement`, 'GET', { authorization })

  test('says what a token may receive, and at which number of the log', async () => {
    const { json: flows } = await ben('GET', '/flows')
    const { id: log } = await findLogPosition(backend.store.reader)
    const { status, json } = await prove(basic(await backend.token('Ben')))
    expect(status).toBe(200)
    expect(json).toEqual({
      log,
      at: await end(),
      user: 2,
      grant: expect.stringMatching(/^[\w-]{43}$/) as string,
      flows: flows.map(({ id }: { id: string }) => id).sort(),
      private: true,
      organizations: [{ id: 1, admin: false }],
      scopes: null,
      expires_at: null,
    } satisfies WireEntitlement)
  })

  test('names two tokens of a user differently, and each always alike', async () => {
    await backend.log.write((change) => addToken(change, 2, 'f'.repeat(32)))
    const [one, other, again] = await Promise.all([
      prove(basic('f'.repeat(32))),
      prove(basic(await backend.token('Ben'))),
      prove(`Bearer ${'f'.repeat(32)}`),
    ])
    expect(one.json.grant).not.toBe(other.json.grant)
    expect(again.json).toEqual(one.json)
  })

  test('is refused without a valid credential, and to a service token', async () => {
    for (const authorization of ['', basic('nobody'), `Bearer ${serviceToken}`])
      expect((await prove(authorization)).status, authorization).toBe(401)
  })
})

const service = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  call(
    `${backend.url}${path}`,
    method,
    { authorization: `Bearer ${serviceToken}`, ...headers },
    body === undefined ? undefined : JSON.stringify(body),
  )

describe('an audit', () => {
  const hash = (flows: readonly string[]) =>
    createHash('sha256')
      .update(flows.map((id) => `${id}\n`).join(''))
      .digest('hex')
  const claim = ({ grant, user, flows, at }: WireEntitlement): WireAuditClaim => ({
    ...{ grant, user, at, flowsHash: hash(flows) },
  })
  const entitlement = async (authorization: string) =>
    (await call(`${backend.url}/service/v1/entitlement`, 'GET', { authorization })).json as WireEntitlement

  /** A token of Cleo that an application was given. */
  async function giveToken(scope: string): Promise<string> {
    const token = makeToken()
    await backend.store.write(async (db) => {
      const { id } = await db
        .insertInto('applications')
        .values({ name: 'Polls', icon_url: null, url: null, redirect_uri: null, client_id: null })
        .returning('id')
        .executeTakeFirstOrThrow()
      const grant = { applicationId: id, scope, expiresAt: Date.now() + 60_000, codeHash: null }
      await insertToken(db, hashToken(token), 3, grant)
    })
    return `Bearer ${token}`
  }

  test('finds nothing wrong with what entitlements say', async () => {
    const claims = []
    for (const nick of ['Ada', 'Ben', 'Cleo'] as const)
      claims.push(claim(await entitlement(basic(await backend.token(nick)))))
    for (const scope of ['flow private', 'private'])
      claims.push(claim(await entitlement(await giveToken(scope))))
    expect(await service('POST', '/service/v1/audit', claims)).toMatchObject({ status: 200, json: [] })
  })

  test('finds credentials that are gone, and users with other flows', async () => {
    const token = makeToken()
    await backend.log.write((change) => addToken(change, 3, token))
    const [gone, before] = [
      claim(await entitlement(basic(token))),
      claim(await entitlement(await giveToken('flow'))),
    ]
    const [withoutFlows, ofAnother] = [
      claim(await entitlement(await giveToken('private'))),
      { ...before, user: 2 },
    ]
    await backend.log.write((change) => deleteToken(change, 3, hashToken(token)))
    await backend.as('Cleo')('PUT', '/flows/example/main/users/3', { disabled: true })
    const { json } = await service('POST', '/service/v1/audit', [gone, before, withoutFlows, ofAnother])
    expect(json).toEqual([
      { grant: gone.grant, user: 3, state: 'gone' },
      { grant: before.grant, user: 3, state: 'differs' },
      { grant: before.grant, user: 2, state: 'gone' },
    ])
    await backend.as('Cleo')('PUT', main, { open: true })
  })

  test('finds every credential of a disabled user gone', async () => {
    const other = await startTestBackend({ serviceTokens: [serviceToken] })
    onTestFinished(other.close)
    const token = basic(await other.token('Ben'))
    const url = `${other.url}/service/v1`
    const { json } = await call(`${url}/entitlement`, 'GET', { authorization: token })
    await other.log.write((change) => disableUser(change, 2))
    const headers = { authorization: `Bearer ${serviceToken}` }
    const audited = await call(`${url}/audit`, 'POST', headers, JSON.stringify([claim(json)]))
    expect(audited.json).toEqual([{ grant: json.grant, user: 2, state: 'gone' }])
  })

  test.each<[string, unknown]>([
    ['no list', { grant: 'g' }],
    ['a list of something else', [{ grant: 'g', user: '2' }]],
    [
      'more than 1,000 claims',
      Array.from({ length: 1001 }, () => ({ grant: '', user: 1, flowsHash: '', at: 1 })),
    ],
  ])('is refused for %s', async (_, body) => {
    expect((await service('POST', '/service/v1/audit', body)).status).toBe(400)
  })
})

describe('the directory', () => {
  test('has users by id, with their organizations, and leaves out those that do not exist', async () => {
    const { status, json } = await service('GET', '/service/v1/users?ids=2,999,1,no')
    const { json: users } = await ada('GET', '/users')
    const user = (id: number) => users.find((each: { id: number }) => each.id === id)
    const flowIds = await Promise.all(
      [ada, ben].map(async (as) =>
        (await as('GET', '/flows')).json.map(({ id }: { id: string }) => id).sort(),
      ),
    )
    expect(status).toBe(200)
    expect(json).toEqual({
      at: await end(),
      users: [1, 2].map((id) => ({
        ...{ ...user(id), disabled: false, organizations: [1], administers: id === 1 ? [1] : [] },
        ...{ joined: flowIds[id - 1], open: flowIds[id - 1], left: [] },
      })),
    } satisfies WireServiceUsers)
  })

  test('says which flows a user has joined, has open, and left or was blocked in', async () => {
    const made = (await ada('POST', '/flows/example', { name: 'Closed' })).json
    const archived = (await ada('POST', '/flows/example', { name: 'Archived' })).json
    const flows = async () => (await service('GET', '/service/v1/users?ids=2')).json.users[0]
    const { joined, open, left } = await flows()
    for (const { id, parameterized_name: slug } of [made, archived]) {
      await ada('POST', `/flows/example/${slug}/users`, { id: 2 })
      expect((await flows()).open).toContain(id)
    }
    await ben('PUT', '/flows/example/closed', { open: false })
    await ada('PUT', '/flows/example/archived', { disabled: true })
    const ids = (list: string[], ...more: string[]) => [...list, ...more].sort()
    expect(await flows()).toMatchObject({
      ...{ joined: ids(joined, made.id, archived.id), open: ids(open, archived.id), left },
    })
    await ada('PUT', '/flows/example/closed/users/2', { disabled: true })
    expect(await flows()).toMatchObject({ joined: ids(joined, archived.id), left: ids(left, made.id) })
  })

  test('has organizations by id, with the numbers of their users', async () => {
    const { json: flow } = await ada('GET', main)
    const { json } = await service('GET', '/service/v1/organizations?ids=1,99,no')
    expect(json).toEqual({
      at: await end(),
      organizations: [flow.organization],
    } satisfies WireServiceOrganizations)
  })

  test('says where the log ends: after whatever was answered before', async () => {
    const read = async () => (await service('GET', '/service/v1/head')).json
    const { log, at } = await read()
    expect({ log, at }).toEqual({ log: expect.any(String), at: await end() })
    await ada('PUT', main, { description: 'Later' })
    expect(await read()).toEqual({ log, at: at + 1 })
  })

  test('has flows by id, without what depends on who asks and what each message changes', async () => {
    const { json: flow } = await ada('GET', main)
    const { json } = await service('GET', `/service/v1/flows?ids=${flow.id},nowhere`)
    const { flow_admin, joined, open, unread_mentions, users, api_token, join_url, ...shared } = flow
    const { last_message_at, last_message_id, ...itself } = shared
    expect([last_message_at, last_message_id]).toEqual([expect.any(String), expect.any(Number)])
    expect(json).toEqual({ at: await end(), flows: [itself] })
    expect(api_token).toBeDefined()
  })

  test('is one of the capabilities of a backend with a service token, and of no other', async () => {
    const other = await startTestBackend({ serviceTokens: [] })
    onTestFinished(other.close)
    const named = async (by: TestBackend) => (await by.as('Ada')('GET', '/capabilities')).json.extensions
    const extensions: string[] = await named(backend)
    expect(extensions).toContain('service-stream')
    expect(await named(other)).toEqual(extensions.filter((name) => name !== 'service-stream'))
  })

  test('takes 500 ids of flows in one URL, and no more', async () => {
    const ids = Array.from({ length: 501 }, () => randomUUID())
    const read = (count: number) => service('GET', `/service/v1/flows?ids=${ids.slice(0, count).join()}`)
    expect(await read(500)).toMatchObject({ status: 200, json: { flows: [] } })
    expect((await read(501)).status).toBe(400)
    expect((await service('GET', `/service/v1/users?ids=${ids.map(() => 1).join()}`)).status).toBe(400)
    expect((await service('GET', '/service/v1/users')).json.users).toEqual([])
  })
})

describe('a read as a user', () => {
  const readAs = (id: number, path: string, method = 'GET') =>
    service(method, path, undefined, { 'flowdock-act-as': String(id) })

  test.each([
    '/user',
    '/flows',
    '/flows/all',
    '/users',
    main,
    `${main}/messages`,
    '/organizations',
    '/private',
  ])('is what the user reads: %s', async (path) => {
    for (const [id, as] of [
      [1, ada],
      [2, ben],
    ] as const) {
      const [acted, own] = [await readAs(id, path), await as('GET', path)]
      expect(acted.status).toBe(200)
      expect(acted.json).toEqual(own.json)
      expect(acted.headers.get('flowdock-user')).toBe(String(id))
    }
  })

  test('is refused where the user is', async () => {
    const { json: flow } = await ada('POST', '/flows/example', { name: 'Board' })
    const path = new URL(flow.url).pathname
    expect((await readAs(1, path)).status).toBe(200)
    expect((await readAs(2, path)).status).toBe((await ben('GET', path)).status)
    expect((await readAs(2, '/flows/example/nowhere')).status).toBe(404)
  })

  test('shows a private conversation that there is not yet, and does not create it', async () => {
    const isThere = async () => (await ben('GET', '/private')).json.some(({ id }: { id: number }) => id === 3)
    expect(await isThere()).toBe(false)
    const acted = await readAs(2, '/private/3')
    expect((await readAs(2, '/private/3/messages')).json).toEqual([])
    expect(await isThere()).toBe(false)
    expect(acted.json).toEqual((await ben('GET', '/private/3')).json)
  })

  test('is not taken for an access of the user', async () => {
    await backend.store.write((db) =>
      db.updateTable('users').set({ last_access_at: 5 }).where('id', '=', 3).execute(),
    )
    await readAs(3, '/user')
    const { json } = await ada('GET', '/organizations/example/audits/users')
    expect(json.find(({ id }: { id: number }) => id === 3).accessed_at).toBe(new Date(5).toISOString())
  })
})

describe('the service interface', () => {
  const status = async (path: string, headers: Record<string, string>, url = backend.url) =>
    (await call(url + path, 'GET', headers)).status

  test('is for service tokens alone, each of which is accepted', async () => {
    const path = '/service/v1/stream'
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
    expect(await status(path, {})).toBe(401)
    expect(await status(path, bearer(`${serviceToken}x`))).toBe(401)
    expect(await status(path, bearer(await backend.token('Ada')))).toBe(401)
    expect(await status(path, { authorization: basic(serviceToken) })).toBe(401)
    expect(await status(`${path}?access_token=${serviceToken}`, {})).toBe(401)
    expect((await listen('', bearer('x'.repeat(32)))).status).toBe(200)
  })

  test('is refused to pages, which send an origin', async () => {
    const headers = { authorization: `Bearer ${serviceToken}`, origin: 'https://example.com' }
    expect(await status('/service/v1/stream', headers)).toBe(403)
    expect(
      await status('/service/v1/entitlement', {
        ...headers,
        authorization: basic(await backend.token('Ada')),
      }),
    ).toBe(403)
  })

  test('is not there where no service token is set, whatever is sent', async () => {
    const without = await startTestBackend({ serviceTokens: [] })
    onTestFinished(without.close)
    const headers = [{}, { authorization: `Bearer ${serviceToken}` }]
    for (const path of ['stream', 'entitlement', 'audit'])
      for (const each of headers) expect(await status(`/service/v1/${path}`, each, without.url)).toBe(404)
  })

  test('of an embedded backend takes a token that its process made', async () => {
    const options = { host: '127.0.0.1', port: 0, dataDir: await makeFolder(), demoToken: undefined }
    const embedded = await startBackend(
      {
        ...{ ...options, publicUrl: undefined, databaseUrl: undefined, trustedProxies: 0 },
        ...{ demoOrganization: true, demoHistory: false, privateActionTargets: false },
      },
      (message) => expect.unreachable(message),
    )
    onTestFinished(embedded.close)
    expect(embedded.serviceToken.length).toBeGreaterThanOrEqual(32)
    const stream = await openServiceStream(embedded.url, {
      headers: { authorization: `Bearer ${embedded.serviceToken}` },
    })
    await stream.until(/event: h/)
  })
})
