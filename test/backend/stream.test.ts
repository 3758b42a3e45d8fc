import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { keepHouse } from '../../src/backend/admin/retention.ts'
import { createBackground } from '../../src/backend/background.ts'
import { createBus } from '../../src/backend/bus/bus.ts'
import { createMemoryNetwork } from '../../src/backend/bus/memory.ts'
import { createOpenCredentials } from '../../src/backend/flowdock/open-credentials.ts'
import { createPresence } from '../../src/backend/flowdock/presence.ts'
import { streamEvents } from '../../src/backend/flowdock/stream.ts'
import { type EventScope, firstEventSeq, lastEventSeq } from '../../src/backend/store/events.ts'
import { basic, makeFolder, startTestBackend, type TestBackend } from '../support/backend.ts'
import { eventIds, openRawStream, type RawStream } from '../support/stream.ts'

let backend: TestBackend
let ada: ReturnType<TestBackend['as']>
let ben: ReturnType<TestBackend['as']>

beforeAll(async () => {
  backend = await startTestBackend({ keepAliveMs: 50 })
  ada = backend.as('Ada')
  ben = backend.as('Ben')
})
afterAll(() => backend.close())

async function listen(
  query: string,
  { nick = 'Ada' as 'Ada' | 'Ben' | 'Cleo', sse = true, lastEventId = '', host = '' } = {},
): Promise<RawStream> {
  const stream = await openRawStream(`${backend.url}${query}`, {
    authorization: basic(await backend.token(nick)),
    accept: sse ? 'text/event-stream' : 'application/json',
    ...(lastEventId === '' ? {} : { 'last-event-id': lastEventId }),
    ...(host === '' ? {} : { host }),
  })
  onTestFinished(stream.close)
  return stream
}

const say = (content: string, flow = 'main') =>
  ben('POST', `/flows/example/${flow}/messages`, { event: 'message', content })

describe('a JSON stream', () => {
  test('begins with a line feed, ends each object in CR LF, and stays alive by lone line feeds', async () => {
    const stream = await listen('/stream/flows?filter=example/main', { sse: false })
    expect(stream.headers['content-type']).toMatch(/^application\/json/)
    await stream.until(/^\n\n/)
    await say('one\r\ntwo')
    const text = await stream.until(/\r\n\n/)
    const [, json = ''] = /\n(\{.*\})\r\n/.exec(text) ?? []
    expect(JSON.parse(json)).toMatchObject({
      event: 'message',
      content: 'one\r\ntwo',
      user: '2',
      thread: { title: 'one\r\ntwo' },
    })
    expect(text.replace(/\{.*\}\r\n/, '')).toMatch(/^\n+$/)
  })
})

describe('an SSE stream', () => {
  test('gives each event an id and one line of data, comments in between, never a retry', async () => {
    const stream = await listen('/stream/flows/example/main')
    expect(stream.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    expect(stream.headers['cache-control']).toBe('no-store')
    await stream.until(/^:\n/)
    await say('first')
    await say('second')
    const text = await stream.until(/second[\s\S]*\n:\n/)
    const ids = eventIds(text)
    expect(ids).toEqual(ids.toSorted((a, b) => a - b))
    expect(text).not.toMatch(/^(retry|event):/m)
  })

  test('resumes after Last-Event-ID: everything missed, once, in order, then what comes', async () => {
    const before = await listen('/stream/flows?filter=example/main')
    await say('seen')
    const [last = 0] = eventIds(await before.until(/seen.*\n\n/)).slice(-1)
    before.close()
    await Promise.all(Array.from({ length: 50 }, (_, index) => say(`missed ${index};`)))
    await say('elsewhere', 'engineering')
    const after = await listen('/stream/flows?filter=example/main', { lastEventId: String(last) })
    await say('live')
    const text = await after.until(/live.*\n\n/)
    expect(eventIds(text)).toHaveLength(51)
    expect(new Set(text.match(/missed \d+;(?=",)/g)).size).toBe(50)
    expect(text).not.toContain('elsewhere')
    expect(text).not.toContain('"seen"')
  })

  test('is served at the root of a host called stream', async () => {
    const stream = await listen('/flows/example/main', { host: 'stream.team.example' })
    await say('by host')
    expect(await stream.until(/by host.*\n\n/)).toContain('data: ')
  })

  test('delivers integration items with the URL that the reader uses', async () => {
    const stream = await listen('/stream/flows?filter=example/engineering', { lastEventId: '0' })
    const text = await stream.until(/"event":"discussion"[^\n]*\n\n/)
    expect(text).toContain(`${backend.url}/flows/example/engineering/sources/1`)
    expect(text).not.toContain('.invalid')
  })
})

describe('a replay', () => {
  test('delivers to a user who came back what happened before, during and after a block', async () => {
    await ada('POST', '/flows/example', { name: 'Return' })
    const flow = '/flows/example/return'
    await ada('POST', `${flow}/users`, { id: 2 })
    const before = await listen('/stream/flows?filter=example/return', { nick: 'Ben' })
    await ada('POST', `${flow}/messages`, { event: 'message', content: 'first' })
    const [last = 0] = eventIds(await before.until(/first.*\n\n/)).slice(-1)
    before.close()
    await ada('PUT', `${flow}/users/2`, { disabled: true })
    await ada('POST', `${flow}/messages`, { event: 'message', content: 'second' })
    await ada('PUT', `${flow}/users/2`, { disabled: false })
    await ada('POST', `${flow}/messages`, { event: 'message', content: 'third' })
    const after = await listen('/stream/flows?filter=example/return', {
      nick: 'Ben',
      lastEventId: String(last),
    })
    const text = await after.until(/third.*\n\n/)
    expect(text).toContain('second')
    await ada('PUT', `${flow}/users/2`, { disabled: true })
    await ada('POST', `${flow}/messages`, { event: 'message', content: 'fourth' })
    expect(await after.until(/backend.user.block[\s\S]*backend.user.block[\s\S]*:\n/)).not.toContain('fourth')
  })

  test('of more than 8 MiB reaches a reader completely', { timeout: 90_000 }, async () => {
    const content = 'x'.repeat(8000)
    const start = await listen('/stream/flows?filter=example/engineering')
    await say('the start', 'engineering')
    const [first = 0] = eventIds(await start.until(/the start.*\n\n/)).slice(-1)
    for (let index = 0; index < 600; index += 1) await say(`${index} ${content}`, 'engineering')
    const stream = await listen('/stream/flows?filter=example/engineering', { lastEventId: String(first) })
    const text = await stream.until(/"content":"599 .*\n\n/)
    expect(eventIds(text)).toHaveLength(600)
    expect(text.length).toBeGreaterThan(8 * 1024 * 1024)
  })
})

describe('deliveries', () => {
  test('user=1 brings what happens to oneself, a filter only its flows', async () => {
    const mine = await listen('/stream/flows?user=1', { nick: 'Cleo' })
    const { json } = await ada('POST', '/flows/example', { name: 'For Cleo' })
    await ada('POST', '/flows/example/for-cleo/users', { id: 3 })
    await ada('PUT', '/flows/example/for-cleo/users/3', { disabled: true })
    const text = await mine.until(/flow-remove.*\n\n/)
    expect(text).toContain(
      `data: {"user":3,"event":"flow-add","content":{"id":"${json.id}","name":"For Cleo","organization":"Example","open":true}}`,
    )
    expect(text).not.toContain('backend.user.join')
  })

  test('a user who is blocked in a flow receives nothing more of it', async () => {
    await ada('POST', '/flows/example', { name: 'Closing' })
    await ada('POST', '/flows/example/closing/users', { id: 2 })
    const stream = await listen('/stream/flows?filter=example/closing,example/main', { nick: 'Ben' })
    await ada('PUT', '/flows/example/closing/users/2', { disabled: true })
    await ada('POST', '/flows/example/closing/messages', { event: 'message', content: 'secret' })
    await say('still here')
    const text = await stream.until(/still here.*\n\n/)
    expect(text).toContain('backend.user.block')
    expect(text).not.toContain('secret')
  })

  test('edits, tags and deletions are delivered as the service did', async () => {
    const stream = await listen('/stream/flows?filter=example/main', { sse: false })
    const { json } = await say('to edit')
    await ben('PUT', `/flows/example/main/messages/${json.id}`, { content: 'edited' })
    await ada('PUT', `/flows/example/main/messages/${json.id}`, { tags: ['t'] })
    await ben('DELETE', `/flows/example/main/messages/${json.id}`)
    const text = await stream.until(/"updated_content":""[^\n]*\r\n/)
    const events = text.split('\r\n').flatMap((line) => (line.includes('{') ? [JSON.parse(line.trim())] : []))
    expect(events.slice(1)).toMatchObject([
      { event: 'message-edit', content: { message: json.id, updated_content: 'edited' }, user: '2' },
      { event: 'tag-change', content: { message: json.id, add: ['t'], remove: [] }, user: '1' },
      { event: 'message-edit', content: { message: json.id, updated_content: '' } },
    ])
  })
})

describe('filters', () => {
  test('may be repeated and posted, and name 150 flows, however they are spelt', async () => {
    const { json } = await ada('GET', '/flows')
    const ids = json.map((flow: { id: string }) => flow.id)
    const repeated = await listen(`/stream/flows?${ids.map((id: string) => `filter=${id}`).join('&')}`)
    const authorization = basic(await backend.token('Ada'))
    const post = (length: number) =>
      fetch(`${backend.url}/stream/flows`, {
        method: 'POST',
        headers: { authorization, accept: 'text/event-stream', 'content-type': 'application/json' },
        body: JSON.stringify({
          filter: Array.from({ length }, (_, index) => ids[index % ids.length]),
        }),
      })
    const tooMany = await post(151)
    expect([tooMany.status, (await tooMany.json()).errors]).toEqual([
      400,
      { filter: ['names too many flows (maximum is 150; * is all)'] },
    ])
    const posted = await post(150)
    expect(posted.status).toBe(200)
    await say('in any of them', 'engineering')
    await repeated.until(/in any of them/)
    const reader = posted.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes('in any of them')) text += (await reader?.read())?.value ?? ''
    await reader?.cancel()
  })

  test('* does not take in a flow again that one was shut out of, when it comes back from the archive', async () => {
    await ada('POST', '/flows/example', { name: 'Archive' })
    await ada('POST', '/flows/example/archive/users', { id: 3 })
    const stream = await listen('/stream/flows?filter=*', { nick: 'Cleo' })
    await ada('PUT', '/flows/example/archive/users/3', { disabled: true })
    await ada('PUT', '/flows/example/archive', { disabled: true })
    await ada('PUT', '/flows/example/archive', { disabled: false })
    expect(
      (await ada('POST', '/flows/example/archive/messages', { event: 'message', content: 'secret' })).status,
    ).toBe(201)
    await say('public')
    const text = await stream.until(/"public"/)
    expect(text).toContain('backend.user.block')
    expect(text).not.toContain('secret')
  })

  test('* is every flow one has joined, and follows joins and leaves', async () => {
    const stream = await listen('/stream/flows?filter=*', { nick: 'Cleo' })
    await ada('POST', '/flows/example', { name: 'Wild' })
    await ada('POST', '/flows/example/wild/messages', { event: 'message', content: 'before she came' })
    await ada('POST', '/flows/example/wild/users', { id: 3 })
    await ada('POST', '/flows/example/wild/messages', { event: 'message', content: 'while she is there' })
    await ada('PUT', '/flows/example/wild/users/3', { disabled: true })
    await ada('POST', '/flows/example/wild/messages', { event: 'message', content: 'after she left' })
    await say('everywhere else')
    const text = await stream.until(/everywhere else/)
    expect(text).toContain('while she is there')
    expect(text).not.toMatch(/before she came|after she left|"flow-add"/)
  })
})

describe('refusals', () => {
  test.each([
    ['without filter or user', '/stream/flows', 400],
    ['for a flow that is not there', '/stream/flows?filter=example/main,example/nothing', 404],
    ['for a flow one has not joined', '/stream/flows?filter=example/main,example/support', 403],
  ])('the whole request fails %s', async (_, path, status) => {
    expect((await ben('GET', path)).status).toBe(status)
  })

  test('ids that are none of this stream', async () => {
    expect((await listen('/stream/flows?filter=example/main', { lastEventId: 'x' })).status).toBe(400)
  })

  test('ids the log has not reached, as after a backup was restored', async () => {
    const stream = await listen('/stream/flows?filter=example/main', { lastEventId: '999999' })
    expect(stream.status).toBe(410)
    expect(await stream.until(/}/)).toMatch(/Last-Event-ID 999999 is not in the log, which ends at \d+/)
  })

  test('strangers', async () => {
    const stream = await openRawStream(`${backend.url}/stream/flows?filter=example/main`)
    expect(stream.status).toBe(401)
  })
})

test('ids go on where they were after a restart', async () => {
  const dataDir = await makeFolder()
  const first = await startTestBackend({ dataDir })
  const { json } = await first.as('Ada')('POST', '/flows/example/main/messages', {
    event: 'message',
    content: 'before',
  })
  await first.close()
  const second = await startTestBackend({ dataDir })
  onTestFinished(second.close)
  const again = await second.as('Ada')('POST', '/flows/example/main/messages', {
    event: 'message',
    content: 'after',
  })
  expect(again.json.id).toBe(json.id + 1)
  const stream = await openRawStream(`${second.url}/stream/flows?filter=example/main`, {
    authorization: basic(await second.token('Ada')),
    accept: 'text/event-stream',
    'last-event-id': '0',
  })
  const text = await stream.until(/"after".*\n\n/)
  const ids = eventIds(text)
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
  expect(text.match(/"content":"before"/g)).toHaveLength(1)
  stream.close()
})

test('events are stored for the configured days; an older id is 410 with the beginning of the log', async () => {
  const old = await startTestBackend()
  onTestFinished(old.close)
  const post = (content: string) =>
    old.as('Ada')('POST', '/flows/example/main/messages', { event: 'message', content })
  const open = async (lastEventId: string) => {
    const stream = await openRawStream(`${old.url}/stream/flows/example/main`, {
      authorization: basic(await old.token('Ada')),
      accept: 'text/event-stream',
      'last-event-id': lastEventId,
    })
    onTestFinished(stream.close)
    return stream
  }
  const newest = await lastEventSeq(old.store.reader)
  const day = 24 * 3600_000
  await keepHouse(old.log, 30, Date.now() + 29 * day)
  expect(await firstEventSeq(old.store.reader)).toBe(1)
  await keepHouse(old.log, 30, Date.now() + 31 * day)
  // The newest one stays: the next one's number goes on from it.
  expect(await firstEventSeq(old.store.reader)).toBe(newest)

  const gone = await open('1')
  expect(gone.status).toBe(410)
  expect(await gone.until(/\}$/)).toContain(`the log begins at ${newest}`)
  await post('still numbered')
  const stream = await open(String(newest))
  expect(eventIds(await stream.until(/still numbered.*\n\n/))).toEqual([newest + 1])
})

test('a user who left before their stream begins is not present', async () => {
  const left = Promise.withResolvers<ServerResponse>()
  const server = createServer((_, response) => {
    response.once('close', () => left.resolve(response))
    client.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  const presence = createPresence(backend.store, {
    ...{ activityEveryMs: 1000, presenceLastsMs: 1000, signal: stopping.signal, ...alone() },
    background: createBackground((error) => expect.unreachable(String(error))),
  })
  await streamEvents(await left.promise, {
    ...{ log: backend.log, scope: { flowIds: [], userId: 2 }, userId: 2, format: 'sse', base: '' },
    ...{ followsUser: false, after: 0, checkedAt: 0, until: undefined, keepAliveMs: 1000 },
    ...{ presence, activity: 'active', wantsPresence: false },
    ...{ listMembers: async () => [], watchCredential: () => () => undefined, signal: stopping.signal },
  })
  expect(presence.list()).toEqual([])
})

/** What a presence needs that knows no other backend. */
function alone() {
  const bus = createBus({ instance: 'a', log: 'l' }, createMemoryNetwork().open)
  return { bus, instances: { onGone: () => () => undefined } }
}

test('a flow that is joined while a stream begins is delivered from the event that says so', async () => {
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  const presence = createPresence(backend.store, {
    ...{ activityEveryMs: 1000, presenceLastsMs: 1000, signal: stopping.signal, ...alone() },
    background: createBackground((error) => expect.unreachable(String(error))),
  })
  const row = (seq: number, flow_id: string | null, user_id: number | null, payload: object) => ({
    ...{ seq, flow_id, user_id, payload: JSON.stringify(payload), created_at: 0, kind: 0 },
  })
  // All of it was written between the look-up of the flows and the first page.
  const written = [
    row(11, 'one', null, { event: 'message', content: 'known' }),
    row(12, null, 2, { event: 'flow-add', content: { id: 'two' } }),
    row(13, 'two', null, { event: 'message', content: 'just joined' }),
    row(14, 'one', null, { event: 'message', content: 'last' }),
  ]
  const log = {
    ...backend.log,
    replay: async ({ flowIds, userId }: EventScope, after: number) =>
      written.filter(
        ({ seq, flow_id, user_id }) =>
          seq > after && (flow_id === null ? user_id === userId : flowIds.includes(flow_id)),
      ),
  }
  const server = createServer((_, response) => {
    void streamEvents(response, {
      ...{ log, scope: { flowIds: ['one'], userId: 2 }, userId: 2, format: 'sse', base: '' },
      ...{ followsUser: true, after: 10, checkedAt: 10, until: undefined, keepAliveMs: 1000 },
      ...{ presence, activity: undefined, wantsPresence: false },
      ...{ listMembers: async () => [], watchCredential: () => () => undefined, signal: stopping.signal },
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const stream = await openRawStream(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {})
  onTestFinished(stream.close)
  expect(eventIds(await stream.until(/"last".*\n\n/))).toEqual([11, 12, 13, 14])
})

test.each<[string, () => Promise<never>]>([
  ['fails', async () => Promise.reject(new Error('the database is locked'))],
  ['never ends', () => new Promise(() => undefined)],
])('a stream ends when its credential cannot be confirmed, because the look-up %s', async (_, lookUp) => {
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  const background = createBackground((error) => expect.unreachable(String(error)))
  const presence = createPresence(backend.store, {
    ...{ activityEveryMs: 1000, presenceLastsMs: 1000, signal: stopping.signal, background, ...alone() },
  })
  let isBroken = false
  let lookUps = 0
  const openCredentials = createOpenCredentials({
    ...{ background, signal: stopping.signal, everyMs: 10 },
    async findValid(credentials) {
      lookUps += 1
      return isBroken ? lookUp() : new Set(credentials)
    },
  })
  const server = createServer((_, response) => {
    void streamEvents(response, {
      ...{ log: backend.log, scope: { flowIds: [], userId: 2 }, userId: 2, format: 'sse', base: '' },
      ...{ followsUser: false, after: 0, checkedAt: 0, until: undefined, keepAliveMs: 10 },
      ...{ presence, activity: undefined, wantsPresence: false, listMembers: async () => [] },
      watchCredential: (stream) =>
        openCredentials.watch({ ...stream, signedInBy: { userId: 2, passwordHash: null } }),
      ...{ confirmWithinMs: 200, signal: stopping.signal },
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const stream = await openRawStream(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  let isOver = false
  void stream.ended.then(() => {
    isOver = true
  })
  // As long as it is confirmed it goes on, for much longer than it would without.
  await expect.poll(() => lookUps).toBeGreaterThan(50)
  expect(isOver).toBe(false)
  isBroken = true
  await stream.ended
})
