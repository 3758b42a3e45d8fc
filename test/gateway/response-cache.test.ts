import { expect, onTestFinished, test } from 'vitest'
import { createChangeTracker } from '../../src/events/change-tracker.ts'
import type { Hub } from '../../src/events/principal-hub.ts'
import { createResponseCache } from '../../src/graphql/response-cache.ts'
import {
  eventually,
  hasServiceStream,
  openSubscription,
  post,
  socketClient,
  startTestApp,
} from '../support/app.ts'
import type { Nick } from '../support/backend.ts'
import { createRandom } from '../support/query-generator.ts'
import { ScriptedStreams } from '../support/scripted-service.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

const query =
  '{ viewer { nick } flow(by: { path: "example/main" }) { name messages(last: 3) { nodes { databaseId ... on ChatMessage { content } } } } }'
const contents = (data: {
  flow: { messages: { nodes: readonly { content?: string }[] } }
}): (string | undefined)[] => data.flow.messages.nodes.map(({ content }) => content)

async function start(settings: Record<string, string> = {}, upstreamUrl?: string) {
  const app = await startTestApp({
    settings: { RESPONSE_CACHE_SECONDS: '60', ...settings },
    ...(upstreamUrl === undefined ? {} : { upstreamUrl }),
  })
  onTestFinished(app.close)
  const ask = async (nick: Nick, text = query) =>
    post(app.url, { query: text }, await app.backend.token(nick))
  return {
    app,
    ask,
    /** Asks until answers are kept: the second question opens the stream that keeps them true. */
    async warm(nick: Nick, text = query) {
      await eventually(async () => {
        await ask(nick, text)
        app.calls.length = 0
        await ask(nick, text)
        return app.calls.length === 0
      })
    },
    say: (nick: Nick, content: string) =>
      app.backend.as(nick)('POST', '/flows/example/main/messages', { event: 'message', content }),
    send: (nick: Nick, content: string) =>
      app.graphql(
        nick,
        'mutation ($content: String!) { sendMessage(input: { flow: { path: "example/main" }, content: $content }) { __typename } }',
        { content },
      ),
  }
}

test('a response is sent again while no event comes, and made again after one', async () => {
  const { app, ask, warm, say } = await start()
  await warm('Ada')
  const first = await ask('Ada')
  expect(await ask('Ada')).toEqual(first)
  expect(app.calls).toEqual([])
  // Whatever else is asked is answered by itself.
  await ask('Ada', '{ viewer { email } }')
  expect(app.calls).toHaveLength(1)
  await say('Ben', 'something new')
  await eventually(async () => contents((await ask('Ada')).data).includes('something new'))
  const { stores, hits } = app.state().responseCache ?? { stores: 0, hits: 0 }
  expect(stores).toBeGreaterThan(1)
  expect(hits).toBeGreaterThan(1)
})

test('a principal that makes a change sees it in the next response, by mutation and by upload', async () => {
  const { app, ask, warm, send } = await start()
  await warm('Ada')
  for (let count = 0; count < 20; count += 1) {
    await send('Ada', `change ${count}`)
    expect(contents((await ask('Ada')).data).at(-1)).toBe(`change ${count}`)
    await ask('Ada')
  }
  const files =
    '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { ... on FileMessage { file { name } } } } } }'
  await warm('Ada', files)
  const { data } = await app.graphql(
    'Ada',
    'mutation { createUpload(input: { flow: { path: "example/main" }, name: "new.txt", contentType: "text/plain" }) { ... on CreateUploadPayload { url } } }',
  )
  await warm('Ada', files)
  await fetch(app.url + data.createUpload.url, { method: 'PUT', body: 'x' })
  expect((await ask('Ada', files)).data.flow.messages.nodes).toEqual([{ file: { name: 'new.txt' } }])
})

/** An upstream with one flow, whose name and stream the test plays. */
async function startQuiet() {
  const organization = { id: 1, parameterized_name: 'acme', name: 'Acme' }
  const flow = { id: 'f', parameterized_name: 'f', organization, joined: true, users: [] }
  const upstream = {
    name: 'first',
    streams: new ScriptedStreams(),
    hold: undefined as Promise<void> | undefined,
    reads: 0,
  }
  const { url } = await startScriptedUpstream(async (request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://x')
    if (upstream.streams.answer(request, response)) return
    if (pathname === '/capabilities') answerJson(response, 404, { message: 'not found' })
    else if (request.method !== 'GET') {
      upstream.name = 'second'
      const file = { path: '/files/x', file_name: 'x', file_size: 1, content_type: 'text/plain' }
      const message = { event: 'file', flow: 'f', id: 9, sent: 1, user: '0', tags: [], content: file }
      request.resume()
      answerJson(response, 200, request.method === 'PUT' ? { ...flow, name: upstream.name } : message)
    } else if (pathname === '/flows') answerJson(response, 200, [{ ...flow, name: upstream.name }])
    else if (pathname.startsWith('/service/')) answerJson(response, 404, {})
    else {
      const { name, hold } = upstream
      upstream.reads += 1
      await hold
      answerJson(response, 200, { ...flow, name })
    }
  })
  const { app, ask } = await start({}, url)
  const nameQuery = '{ flow(by: { path: "acme/f" }) { name } }'
  const name = async () => (await ask('Ada', nameQuery)).data.flow.name
  await eventually(async () => {
    await name()
    app.calls.length = 0
    await name()
    return app.calls.length === 0
  })
  return { app, upstream, name }
}

test.each(['a mutation', 'an upload'])(
  'what is changed by %s is seen at once by whoever did, also where no stream tells of it',
  async (way) => {
    const { app, upstream, name } = await startQuiet()
    const { data } = await app.graphql(
      'Ada',
      'mutation { createUpload(input: { flow: { path: "acme/f" }, name: "x", contentType: "text/plain" }) { ... on CreateUploadPayload { url } } }',
    )
    expect(await name()).toBe('first')
    upstream.name = 'changed behind our back'
    expect(await name()).toBe('first')
    if (way === 'a mutation')
      await app.graphql(
        'Ada',
        'mutation { updateFlow(input: { flow: { path: "acme/f" }, name: "second" }) { __typename } }',
      )
    else expect((await fetch(app.url + data.createUpload.url, { method: 'PUT', body: 'x' })).status).toBe(201)
    expect(await name()).toBe('second')
  },
)

test('a read from before an event is not cached, and not joined', async () => {
  const { app, upstream, name } = await startQuiet()
  const message = { event: 'message', flow: 'f', id: 1, sent: 1, user: '0', tags: [], content: 'x' }
  const place = () => app.state().sources[0]?.offset
  upstream.streams.tell(message)
  await eventually(() => place() === '1')
  const release = Promise.withResolvers<void>()
  upstream.hold = release.promise
  const { reads } = upstream
  const before = name()
  await eventually(() => upstream.reads > reads)
  upstream.name = 'second'
  upstream.streams.tell({ ...message, id: 2 })
  await eventually(() => place() === '2')
  const after = name()
  await eventually(() => app.state().load.inFlight === 2)
  await new Promise(setImmediate)
  release.resolve()
  expect(await Promise.all([before, after])).toEqual(['first', 'second'])
  expect(await name()).toBe('second')
})

test('volatile responses, failures, responses with costs, and those without a credential are not cached', async () => {
  const { app, ask, warm } = await start({ CALLS_PER_MINUTE: '600' })
  await warm('Ada')
  const limited =
    '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { id } } } rateLimit { resetsAt } }'
  const limit = async () => (await ask('Ada', limited)).data.rateLimit
  expect((await limit()).resetsAt).not.toBe((await limit()).resetsAt)
  const failing = '{ viewer { nick } node(id: "nonsense") { id } }'
  for (let count = 0; count < 3; count += 1) {
    app.calls.length = 0
    expect((await ask('Ada', failing)).errors).toHaveLength(1)
    expect(app.calls.length).toBeGreaterThan(0)
  }
  const counted = await post(app.url, { query, extensions: { cost: true } }, await app.backend.token('Ada'))
  // With a service stream the gateway knows the viewer and the flow.
  expect(counted.extensions?.['cost'].actual).toBe(hasServiceStream ? 1 : 3)
  expect((await post(app.url, { query })).errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
})

test('while the stream is not open each response is made again', async () => {
  const { app, upstream, name } = await startQuiet()
  upstream.streams.cut()
  await eventually(() => app.state().sources[0]?.lastDisconnect !== null)
  for (const each of ['third', 'fourth']) {
    upstream.name = each
    expect(await name()).toBe(each)
  }
})

test('a revoked token gets no cached responses', async () => {
  const { app, ask, warm } = await start()
  await warm('Ada')
  await app.backend.store.write((db) => db.deleteFrom('tokens').where('user_id', '=', 1).execute())
  await eventually(async () => (await ask('Ada')).errors?.[0]?.extensions?.['code'] === 'UNAUTHENTICATED')
})

const confirmed = { confirm: async () => undefined, confirmWithinMs: 10_000 }

test('a principal with repeated requests gets a subscription until the requests end; others get none', async () => {
  let now = 0
  const open: string[] = []
  const hub = {
    async subscribe({ owner }: { owner: string }, signal: AbortSignal) {
      open.push(owner)
      const ended = Promise.withResolvers<{ kind: 'evicted' }>()
      signal.addEventListener('abort', () => {
        open.splice(open.indexOf(owner), 1)
        ended.resolve({ kind: 'evicted' })
      })
      return { channel: { listen: () => () => undefined }, ended: ended.promise, leave: () => undefined }
    },
  } as unknown as Hub<string, never>
  const changeTracker = createChangeTracker<string, never>({
    ...{ hub, keyOf: (owner) => owner, stateOf: () => undefined, isPassing: () => false },
    ...{ isLive: () => true, onChange: () => undefined, ...confirmed, idleMs: 20, now: () => now },
  })
  onTestFinished(changeTracker.close)
  expect(changeTracker.versionOf('once')).toBeUndefined()
  expect(changeTracker.versionOf('again')).toBeUndefined()
  now = 1
  expect(changeTracker.versionOf('again')).toBeUndefined()
  await eventually(() => changeTracker.versionOf('again') !== undefined)
  expect(open).toEqual(['again'])
  const version = changeTracker.versionOf('again')
  expect(changeTracker.versionOf('again')).toBe(version)
  changeTracker.changed('again')
  expect(changeTracker.versionOf('again')).not.toBe(version)
  now = 1000
  await eventually(() => open.length === 0)
  expect(changeTracker.versionOf('again')).toBeUndefined()
})

test('two hundred principals have subscriptions; another gets one when one of them was idle for a while', async () => {
  let now = 0
  const open = new Set<string>()
  const hub = {
    async subscribe({ owner }: { owner: string }, signal: AbortSignal) {
      open.add(owner)
      const ended = Promise.withResolvers<{ kind: 'evicted' }>()
      signal.addEventListener('abort', () => {
        open.delete(owner)
        ended.resolve({ kind: 'evicted' })
      })
      return { channel: { listen: () => () => undefined }, ended: ended.promise, leave: () => undefined }
    },
  } as unknown as Hub<string, never>
  const changeTracker = createChangeTracker<string, never>({
    ...{ hub, keyOf: (owner) => owner, stateOf: () => undefined, isPassing: () => false },
    ...{ isLive: () => true, onChange: () => undefined, ...confirmed, idleMs: 1_000_000, now: () => now },
  })
  onTestFinished(changeTracker.close)
  const people = Array.from({ length: 300 }, (_, index) => `person ${index}`)
  for (let round = 0; round < 5; round += 1) {
    now += 1000
    for (const each of people) changeTracker.versionOf(each)
    await new Promise(setImmediate)
    if (round > 0) expect([...open]).toEqual(people.slice(0, 200))
  }
  // The first of them leaves.
  for (let round = 0; round < 12; round += 1) {
    now += 1000
    for (const each of people.slice(1)) changeTracker.versionOf(each)
    await new Promise(setImmediate)
  }
  expect([...open]).toEqual(people.slice(1, 201))
})

test('who may not listen is not tried for again at once', async () => {
  let now = 0
  let tries = 0
  const hub = {
    async subscribe() {
      tries += 1
      throw new Error('denied')
    },
  } as unknown as Hub<string, never>
  const changeTracker = createChangeTracker<string, never>({
    ...{ hub, keyOf: (owner) => owner, stateOf: () => undefined, isPassing: () => false },
    ...{ isLive: () => true, onChange: () => undefined, ...confirmed, now: () => now },
  })
  onTestFinished(changeTracker.close)
  for (; now < 25_000; now += 1000) {
    expect(changeTracker.versionOf('nobody')).toBeUndefined()
    await new Promise(setImmediate)
  }
  expect(tries).toBe(3)
})

test('a principal without confirmed access for ten seconds has no version, even with a live stream', async () => {
  let now = 0
  let outcome: 'confirms' | 'fails' | 'hangs' = 'confirms'
  let asked = 0
  const hub = {
    subscribe: async () => ({
      channel: { listen: () => () => undefined },
      ended: new Promise(() => undefined),
      leave: () => undefined,
    }),
  } as unknown as Hub<string, never>
  const changeTracker = createChangeTracker<string, never>({
    ...{ hub, keyOf: (owner) => owner, stateOf: () => undefined, isPassing: () => false },
    ...{ isLive: () => true, onChange: () => undefined, idleMs: 1_000_000, now: () => now },
    async confirm() {
      asked += 1
      if (outcome === 'fails') throw new Error('HTTP 500')
      if (outcome === 'hangs') await new Promise(() => undefined)
    },
    confirmWithinMs: 10_000,
  })
  onTestFinished(changeTracker.close)
  const isKnown = async () => {
    const version = changeTracker.versionOf('ada')
    await new Promise(setImmediate)
    return version !== undefined
  }
  await eventually(isKnown)
  for (; now < 60_000; now += 1000) expect(await isKnown()).toBe(true)
  // Once when it begins, then every six seconds or so.
  expect(asked).toBeLessThan(13)
  outcome = 'fails'
  now += 6000
  await isKnown()
  expect(await isKnown()).toBe(false)
  outcome = 'confirms'
  await isKnown()
  expect(await isKnown()).toBe(true)
  outcome = 'hangs'
  now += 6000
  expect(await isKnown()).toBe(true)
  now += 5000
  expect(await isKnown()).toBe(false)
})

test('over random changes by three users, no user sees others’ data, or misses their own changes', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
  const random = createRandom(seed)
  const { app, ask, warm, say, send } = await start()
  const people = ['Ada', 'Ben', 'Cleo'] as const
  for (const nick of people) await warm(nick)
  // What each has heard is what an answer must have at least.
  const heard = new Map<Nick, string>()
  const listening = await Promise.all(
    people.map(async (nick) => {
      const client = socketClient(app.url, await app.backend.token(nick))
      const subscription = openSubscription(
        client,
        'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { ... on MessageAdded { message { ... on ChatMessage { content } } } } }',
      )
      void (async () => {
        for (let next = await subscription.next(); next !== undefined; next = await subscription.next())
          heard.set(nick, next.data.messageAdded.message.content)
      })()
      return subscription
    }),
  )
  const numberOf = (content: string | undefined) => Number(content?.split(' ')[1] ?? -1)
  for (let step = 0; step < 300; step += 1) {
    const nick = people[Math.floor(random() * 3)] as Nick
    const kind = random()
    if (kind < 0.1) await say(nick, `step ${step}`)
    else if (kind < 0.2) {
      await send(nick, `step ${step}`)
      expect(numberOf(contents((await ask(nick)).data).at(-1)), `SEED=${seed}`).toBe(step)
    } else {
      const least = numberOf(heard.get(nick))
      const { data } = await ask(nick)
      expect(data.viewer.nick, `SEED=${seed}`).toBe(nick)
      expect(numberOf(contents(data).at(-1)), `SEED=${seed}`).toBeGreaterThanOrEqual(least)
    }
  }
  expect(app.state().responseCache?.hits).toBeGreaterThan(20)
  for (const subscription of listening) await subscription.close()
})

test('a response is not cached for longer than the limit, even without events', () => {
  let now = 0
  const kept = createResponseCache(1000, () => now)
  kept.store('a', 1, '{}')
  now = 999
  expect(kept.find('a', 1)?.text()).toBe('{}')
  expect(kept.find('a', 2)).toBeUndefined()
  kept.store('a', 2, '{}')
  now = 1999
  expect(kept.find('a', 2)).toBeUndefined()
  for (let count = 0; count < 100; count += 1) kept.store(`${count}`, 2, 'x'.repeat(1024 * 1024))
  expect(kept.state().bytes).toBeLessThanOrEqual(32 * 1024 * 1024)
  kept.store('too long', 2, 'x'.repeat(3 * 1024 * 1024))
  expect(kept.find('too long', 2)).toBeUndefined()
})
