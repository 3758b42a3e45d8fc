import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { keepHouse } from '../../src/backend/admin/retention.ts'
import { makeToken } from '../../src/backend/flowdock/auth.ts'
import { ensureApplication } from '../../src/backend/store/applications.ts'
import { newEvent } from '../../src/backend/store/events.ts'
import { insertToken } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import {
  eventually,
  hasServiceStream,
  isAtRest,
  liveMembers,
  openSubscription,
  placeIn,
  type Subscription,
  socketClient,
  startTestApp,
  type TestApp,
} from '../support/app.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const query = `subscription ($after: String) { flowEvents(input: { flows: [{ path: "example/main" }], after: $after }) {
  __typename cursor ... on MessageAdded { message { ... on ChatMessage { content } } } ... on Gap { after } } }`
const say = (content: string) =>
  app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })

interface Heard {
  readonly __typename: string
  readonly cursor: string
  readonly after?: string
  readonly message?: { readonly content: string }
}

async function next(subscription: Subscription): Promise<Heard> {
  const result = await subscription.next()
  expect(result?.errors).toBeUndefined()
  return result?.data.flowEvents
}

/** The cursor of something that happened just now. */
async function cursorNow(): Promise<string> {
  const subscription = await app.subscribe('Ada', query)
  const first = next(subscription)
  await eventually(() => liveMembers(app) > 0)
  const said: Promise<unknown>[] = []
  const saying = setInterval(() => said.push(say('are we live')), 20)
  let event = await first
  clearInterval(saying)
  await Promise.all(said)
  await say('where are we')
  while (event.message?.content !== 'where are we') event = await next(subscription)
  await subscription.close()
  await eventually(() => isAtRest(app))
  return event.cursor
}

/** A gateway that was just started: another one may have in memory what the upstream has forgotten. */
async function startAnother(): Promise<TestApp> {
  const other = await startTestApp({ upstreamUrl: app.backend.url })
  onTestFinished(other.close)
  other.backend.token = app.backend.token
  return other
}

test('missed events come first, then live ones, each once', async () => {
  const after = await cursorNow()
  for (const content of ['missed 1', 'missed 2', 'missed 3']) await say(content)
  const subscription = await app.subscribe('Ada', query, { after })
  onTestFinished(subscription.close)
  const contents: string[] = []
  const read = async () => {
    const { message } = await next(subscription)
    if (message !== undefined) contents.push(message.content)
  }
  while (contents.length < 3) await read()
  for (const content of ['live 1', 'live 2']) await say(content)
  while (contents.length < 5) await read()
  expect(contents).toEqual(['missed 1', 'missed 2', 'missed 3', 'live 1', 'live 2'])
})

test('however often one comes and goes while others write, the log is whole', async () => {
  const start = await cursorNow()
  const total = 200
  const writing = (async () => {
    for (let index = 0; index < total; index += 4)
      await Promise.all([0, 1, 2, 3].map((writer) => say(`w ${index + writer}`)))
  })()
  const heard: Heard[] = []
  let cursor = start
  const messages = () => heard.filter(({ message }) => message?.content.startsWith('w '))
  let visits = 0
  while (messages().length < total) {
    const subscription = await app.subscribe('Ada', query, { after: cursor })
    visits += 1
    for (let count = 0; count < 7 + (visits % 5) && messages().length < total; count += 1) {
      const event = await next(subscription)
      heard.push(event)
      cursor = event.cursor
    }
    await subscription.close()
  }
  await writing
  const cursors = heard.map((event) => placeIn(event.cursor))
  expect(cursors).toEqual([...new Set(cursors)].sort((a, b) => a - b))
  expect(new Set(messages().map(({ message }) => message?.content)).size).toBe(total)
  expect(visits).toBeGreaterThan(15)
  await eventually(() => isAtRest(app))
})

test('events that the upstream dropped become a gap, and live events follow', async () => {
  const after = await cursorNow()
  await say('to be forgotten')
  await keepHouse(app.backend.log, 30, Date.now() + 31 * 24 * 3600_000)
  const subscription = await (await startAnother()).subscribe('Ada', query, { after: '1' })
  onTestFinished(subscription.close)
  expect(await next(subscription)).toMatchObject({ __typename: 'Gap', after: '1', cursor: '1' })
  const saying = setInterval(() => void say('after the gap'), 20)
  expect((await next(subscription)).message?.content).toBe('after the gap')
  clearInterval(saying)
  expect(placeIn(after)).toBeGreaterThan(1)
})

test('how the stream is says nothing of how far its reader is: going on from there loses nothing', async () => {
  const after = await cursorNow()
  const living = await app.subscribe('Ada', query)
  onTestFinished(living.close)
  const heard = living.next()
  await eventually(() => liveMembers(app) === 1)
  await say('missed by the other')
  await heard
  const status = query.replace('after: $after', 'after: $after, includeStatus: true')
  const first = await app.subscribe('Ada', status, { after })
  const { __typename, cursor } = await next(first)
  await first.close()
  expect(__typename).toBe('StreamStatus')
  const again = await app.subscribe('Ada', query, { after: cursor })
  onTestFinished(again.close)
  expect((await next(again)).message?.content).toBe('missed by the other')
})

test('a gap says since when, as far as the cursor does, and what can still be had', async () => {
  const gapQuery = `subscription ($after: String) { flowEvents(input: { flows: [{ path: "example/main" }], after: $after }) {
    ... on Gap { reason from to fidelity } } }`
  const other = await startAnother()
  const gap = async (after: string) => {
    const subscription = await other.subscribe('Ada', gapQuery, { after })
    const result = await subscription.next()
    await subscription.close()
    return result?.data.flowEvents
  }
  expect(await gap('1')).toMatchObject({ reason: 'FORGOTTEN', from: null, fidelity: 'NOTHING' })
  const at = Date.parse('2026-01-02T03:04:05.678Z')
  const dated = await gap(`1~${at.toString(36)}`)
  expect(dated).toMatchObject({ from: '2026-01-02T03:04:05.678Z', fidelity: 'MESSAGES' })
  expect(Date.parse(dated.to)).toBeGreaterThan(at)
})

test('a gap counts the messages that were missed, in the flows that are listened to', async () => {
  const at = Date.now() - 1000
  for (const content of ['one', 'two', 'three']) await say(content)
  const { data } = await app.graphql('Ada', '{ flows { nodes { path } } }')
  const paths: string[] = data.flows.nodes.map(({ path }: { path: string }) => path)
  const other = await startAnother()
  const missed = async (flows: string, after: string) => {
    const subscription = await other.subscribe(
      'Ada',
      `subscription ($after: String) { flowEvents(input: { ${flows}, after: $after }) { ... on Gap { missed } } }`,
      { after },
    )
    const result = await subscription.next()
    await subscription.close()
    expect(result?.errors).toBeUndefined()
    return result?.data.flowEvents.missed
  }
  const main = 'flows: [{ path: "example/main" }]'
  const cursor = (time: number) => `1~${time.toString(36)}`
  const all = await missed(main, cursor(at))
  const privately = await other.subscribe(
    'Ada',
    'subscription ($after: String) { privateMessageAdded(input: { after: $after }) { ... on Gap { missed } } }',
    { after: cursor(at) },
  )
  expect(await privately.next()).toEqual({ data: { privateMessageAdded: { missed: null } } })
  await privately.close()
  expect(all).toBeGreaterThanOrEqual(3)
  expect(await missed('includePrivate: false', cursor(at))).toBe(all)
  const [quiet] = paths.filter((path) => path !== 'example/main')
  expect(await missed(`flows: [{ path: "${quiet}" }]`, cursor(at))).toBe(0)
  await say('and a fourth')
  expect(await missed(main, cursor(at))).toBe(all + 1)
  expect(await missed(main, '1')).toBeNull()
})

describe('one cursor for lists and live queries', () => {
  const list = async (args: string) =>
    (
      await app.graphql(
        'Ada',
        `{ flow(by: { path: "example/main" }) { messages(${args}) {
          pageInfo { endCursor hasNextPage } edges { cursor node { ... on ChatMessage { content } } } } } }`,
      )
    ).data.flow.messages
  const tell = async (after: string, count: number) => {
    const subscription = await app.subscribe('Ada', query, { after })
    const told = []
    for (let index = 0; index < count; index += 1) told.push(await next(subscription))
    await subscription.close()
    return told
  }

  test('after the newest page of a list a subscription delivers later events, and nothing of the page', async () => {
    const { json } = await say('in the list')
    const { pageInfo } = await list('last: 5')
    await app.backend.as('Ben')('PUT', `/flows/example/main/messages/${json.id}`, { tags: ['later'] })
    await say('after the list')
    expect(
      (await tell(pageInfo.endCursor, 2)).map(({ __typename, message }) => [__typename, message?.content]),
    ).toEqual([
      ['TagsChanged', undefined],
      ['MessageAdded', 'after the list'],
    ])
    const forward = await list(`first: 50, after: "${pageInfo.endCursor}"`)
    expect(forward.edges.at(-1).node.content).toBe('after the list')
    expect(forward.pageInfo.hasNextPage).toBe(false)
    await say('after the second list')
    expect((await tell(forward.pageInfo.endCursor, 1))[0]?.message?.content).toBe('after the second list')
  })

  test('after an older message come the messages after it, each once, and then live events', async () => {
    for (let count = 0; count < 150; count += 1) await say(`older ${count}`)
    const { edges } = await list('last: 100')
    const earlier = await list(`last: 100, before: "${edges[0].cursor}"`)
    const older = [...earlier.edges, ...edges].slice(-150)
    const told = tell(older[0].cursor, 150)
    await eventually(() => app.openStreams > 0)
    await say('and on')
    expect((await told).map(({ message }) => message?.content)).toEqual([
      ...older.slice(1).map(({ node }: { node: { content: string } }) => node.content),
      'and on',
    ])
  })

  test('a list continues after an event of its flow, and refuses one of another flow', async () => {
    const after = await cursorNow()
    await say('behind the event')
    const { edges } = await list(`first: 1, after: "${after}"`)
    expect(edges[0].node.content).toBe('behind the event')
    const other = await app.graphql(
      'Ada',
      `{ flow(by: { path: "example/engineering" }) { messages(first: 1, after: "${after}") { nodes { id } } } }`,
    )
    expect(other.errors?.[0]?.extensions?.['code']).toBe('BAD_USER_INPUT')
  })

  test('the cursor of an older message is refused with several flows', async () => {
    const { edges } = await list('last: 2')
    const subscription = await app.subscribe(
      'Ada',
      'subscription ($after: String) { flowEvents(input: { after: $after }) { cursor } }',
      { after: edges[0].cursor },
    )
    const result = await subscription.next()
    await subscription.close()
    expect(result?.errors?.[0]?.extensions?.['code']).toBe('BAD_USER_INPUT')
  })
})

test.each(['', 'a b', 'x'.repeat(201), 'line\nbreak'])('%j is no cursor', async (after) => {
  const subscription = await app.subscribe('Ada', query, { after })
  const result = await subscription.next()
  await subscription.close()
  expect(result?.errors?.[0]?.extensions?.['code']).toBe('BAD_USER_INPUT')
})

test('a cursor the upstream cannot read ends the subscription with a failure', async () => {
  const subscription = await app.subscribe('Ada', query, { after: 'not-a-number' })
  const result = await subscription.next()
  await subscription.close()
  expect(result?.errors?.[0]?.extensions?.['code']).toBe('BAD_USER_INPUT')
  await eventually(() => isAtRest(app))
})

test('leaving during a replay of a silent flow closes every stream', async () => {
  const after = await cursorNow()
  const subscription = await app.subscribe('Ada', query, { after })
  const waiting = subscription.next()
  await eventually(() => app.openStreams === 1)
  await subscription.close()
  await waiting.catch(() => undefined)
  await eventually(() => isAtRest(app))
})

test('a gateway that stops first notifies subscriptions that select it, and all continue at another', async () => {
  const other = await startTestApp({ upstreamUrl: app.backend.url })
  other.backend.token = app.backend.token
  const listen = (status: boolean) =>
    other.subscribe(
      'Ada',
      `subscription { flowEvents(input: { flows: [{ path: "example/main" }], includeStatus: ${status} }) {
        __typename cursor ... on StreamStatus { state retryWithinMs } } }`,
    )
  const [told, untold] = [await listen(true), await listen(false)]
  const results = [told.next(), untold.next()]
  await eventually(() => liveMembers(other) === 2)
  await say('before the stop')
  expect((await results[0])?.data.flowEvents).toMatchObject({ __typename: 'StreamStatus', state: 'LIVE' })
  const before = await told.next()
  await results[1]
  const status = told.next()
  const nothing = untold.next().then(
    () => 'something',
    () => 'closed',
  )
  const closing = other.close()
  const cursor = before?.data.flowEvents.cursor
  const { cursor: place, ...said } = (await status)?.data.flowEvents ?? {}
  expect(said).toEqual({ __typename: 'StreamStatus', state: 'CLOSING', retryWithinMs: 5000 })
  expect(placeIn(place)).toBe(placeIn(cursor))
  expect(await nothing).toBe('closed')
  await told.next().catch(() => undefined)
  await closing
  // Nothing of it goes on.
  expect(other.openStreams).toBe(0)
  await say('while it was away')
  const again = await app.subscribe('Ada', query, { after: cursor })
  onTestFinished(again.close)
  expect((await next(again)).message?.content).toBe('while it was away')
})

test('an event that cannot be read becomes a gap, live and on resume, and stalls no subscription', async () => {
  const gapQuery = `subscription ($after: String) { flowEvents(input: { flows: [{ path: "example/main" }], includePrivate: true, after: $after }) {
    __typename cursor ... on MessageAdded { message { ... on ChatMessage { content } } } ... on Gap { after reason fidelity } } }`
  const { json: main } = await app.backend.as('Ada')('GET', '/flows/example/main')
  const breakLog = (to: { flow_id: string | null; user_id: number | null }) =>
    app.backend.store.write(async (_, publish) =>
      publish(newEvent({ ...to, payload: '{"event":"message","con' })),
    )
  const after = await cursorNow()
  const before = liveMembers(app)
  const live = await app.subscribe('Ada', gapQuery)
  onTestFinished(live.close)
  const first = live.next()
  await eventually(() => liveMembers(app) > before)
  await say('before it')
  // One to the flow, and one to Ada alone.
  await breakLog({ flow_id: main.id, user_id: null })
  await breakLog({ flow_id: null, user_id: 1 })
  await say('after it')
  const read = async (subscription: Subscription, begun = subscription.next()) => {
    const heard: Record<string, unknown>[] = []
    for (let result = await begun; ; result = await subscription.next()) {
      const event = result?.data.flowEvents
      heard.push({ ...event, cursor: placeIn(event.cursor) })
      if (event.message?.content === 'after it') return heard
    }
  }
  const told = await read(live, first)
  const place = Number(told[0]?.['cursor'])
  const gap = { __typename: 'Gap', reason: 'UNREADABLE', fidelity: 'MESSAGES' }
  expect(told).toMatchObject([
    { message: { content: 'before it' } },
    { ...gap, after: String(place), cursor: place + 1 },
    { ...gap, after: String(place + 1), cursor: place + 2 },
    { message: { content: 'after it' }, cursor: place + 3 },
  ])
  const resumed = await app.subscribe('Ada', gapQuery, { after })
  onTestFinished(resumed.close)
  const replayed = await read(resumed)
  expect(replayed.slice(-told.length)).toEqual(told)
  expect(replayed.filter(({ __typename }) => __typename === 'Gap')).toHaveLength(2)
})

test('an application without private messages resumes after events older than the gateway’s memory', async () => {
  const after = await cursorNow()
  await say('missed by the application')
  const token = makeToken()
  await app.backend.store.write(async (db) => {
    const applicationId = await ensureApplication(db, 'Resuming')
    await insertToken(db, hashToken(token), 1, {
      ...{ applicationId, scope: 'flow', expiresAt: Date.now() + 60_000, codeHash: null },
    })
  })
  const all = `subscription ($after: String) { flowEvents(input: { includePrivate: true, after: $after }) {
    __typename ... on MessageAdded { message { ... on ChatMessage { content } } } } }`
  const subscription = openSubscription(socketClient(app.url, token), all, { after })
  onTestFinished(subscription.close)
  expect((await next(subscription)).message?.content).toBe('missed by the application')
})

test('a flow that the owner of a shared stream was out of is whole for a borrower who comes back', async () => {
  const all = `subscription { flowEvents(input: {}) { cursor ... on MessageAdded { message { ... on ChatMessage { content } } } } }`
  await eventually(() => isAtRest(app))
  const owner = await app.subscribe('Ben', all)
  onTestFinished(owner.close)
  const ownerReads = async (content: string) => {
    for (;;) {
      const { message, cursor } = await next(owner)
      if (message?.content === content) return cursor
    }
  }
  await eventually(() => liveMembers(app) === 1)
  await say('where the borrower was')
  const cursor = await ownerReads('where the borrower was')
  const ada = app.backend.as('Ada')
  const member = { path: '/flows/example/main/users/2' }
  await ada('PUT', member.path, { disabled: true })
  await ada('POST', '/flows/example/main/messages', { event: 'message', content: 'while the owner was out' })
  await ada('PUT', member.path, { disabled: false })
  await say('while both were in')
  await ownerReads('while both were in')
  const borrower = await app.subscribe('Ada', query, { after: cursor })
  onTestFinished(borrower.close)
  const contents: string[] = []
  while (contents.at(-1) !== 'while both were in') {
    const { message } = await next(borrower)
    if (message?.content !== undefined) contents.push(message.content)
  }
  if (!hasServiceStream) expect(app.state().sources).toMatchObject([{ borrowers: 1 }])
  expect(contents).toEqual(['while the owner was out', 'while both were in'])
})
