import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addToken } from '../../src/backend/flowdock/operations/credentials.ts'
import { streamLog } from '../../src/backend/flowdock/service-stream.ts'
import { startBackend } from '../../src/backend/index.ts'
import { type EventRow, findLogPosition, lastEventSeq } from '../../src/backend/store/events.ts'
import type { WireEntitlement, WireServiceSignal } from '../../src/wire/service.ts'
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
      ...{ position: { id: 'log', first: 1, last: 0 }, after: 0, base: '' },
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
    const without = await startTestBackend()
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
