import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { hashToken } from '../../src/backend/token-hash.ts'
import { createLiveClient, type LiveEvent } from '../../src/client/index.ts'
import {
  eventually,
  hasServiceStream,
  isAtRest,
  liveMembers,
  openSubscription,
  placeIn,
  type Result,
  socketClient,
  startTestApp,
  streamsOf,
  type TestApp,
} from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
beforeEach(() => eventually(() => isAtRest(app)))
afterAll(() => app.close())

const flowEvents = `subscription ($flows: [FlowBy!]) { flowEvents(input: { flows: $flows }) {
  __typename cursor occurredAt flow { path }
  ... on MessageAdded { message { databaseId author { name } ... on ChatMessage { content } ... on ActionMessage { action } } }
  ... on MessageEdited { messageId content editor { nick } editedMessage { ... on ChatMessage { content } } }
  ... on MessageDeleted { messageId remover { nick } }
  ... on TagsChanged { messageId added removed tagger { nick } taggedMessage { tags } }
  ... on ReactionChanged { messageId emoji isAdded reactor { nick } reactedMessage { reactions { emoji count } } }
  ... on MessageMoved { messageId thread { title } mover { nick } movedMessage { thread { title } } }
  ... on MemberJoined { user { nick } }
  ... on MemberBlocked { user { nick } blockedBy { nick } }
  ... on UserEdited { user { nick } }
  ... on UserTyping { user { nick } thread { title } }
  ... on UserActive { user { nick } lastActivityAt }
  ... on UnknownEvent { event raw }
} }`
const main = { flows: [{ path: 'example/main' }] }

async function listen(nick: 'Ada' | 'Ben' | 'Cleo' = 'Ada', variables: object = main) {
  const before = liveMembers(app)
  const subscription = await app.subscribe(nick, flowEvents, { ...variables })
  // The first `next` is what sends the subscribe message.
  const first = subscription.next()
  await eventually(() => liveMembers(app) > before)
  let pending: Promise<Result | undefined> | undefined = first
  const heard = {
    next() {
      const result = pending ?? subscription.next()
      pending = undefined
      return result
    },
    async event() {
      const result = await heard.next()
      expect(result?.errors).toBeUndefined()
      return result?.data.flowEvents
    },
    close: () => subscription.close(),
  }
  onTestFinished(heard.close)
  return heard
}

const say = (content: string, flow = 'main', nick: 'Ada' | 'Ben' | 'Cleo' = 'Ben') =>
  app.backend.as(nick)('POST', `/flows/example/${flow}/messages`, { event: 'message', content })

test('new, edited, tagged and deleted messages are delivered in order, each with a cursor', async () => {
  const heard = await listen()
  const { json } = await say('hello')
  const path = `/flows/example/main/messages/${json.id}`
  await app.backend.as('Ben')('PUT', path, { content: 'hello again #new' })
  await app.backend.as('Ben')('DELETE', path)
  const events = []
  for (let count = 0; count < 4; count += 1) events.push(await heard.event())
  expect(events).toMatchObject([
    {
      __typename: 'MessageAdded',
      flow: { path: 'example/main' },
      message: { content: 'hello', databaseId: json.id, author: { name: 'Ben Okri' } },
    },
    { __typename: 'MessageEdited', content: 'hello again #new', editor: { nick: 'Ben' } },
    { __typename: 'TagsChanged', added: ['new'], removed: [], tagger: { nick: 'Ben' } },
    { __typename: 'MessageDeleted', remover: { nick: 'Ben' } },
  ])
  const cursors = events.map(({ cursor }) => placeIn(cursor))
  expect(cursors).toEqual([...new Set(cursors)].sort((a, b) => a - b))
  expect(new Set(events.slice(1).map(({ messageId }) => messageId)).size).toBe(1)
})

test('the event of a mutation is delivered to subscribers', async () => {
  const heard = await listen('Cleo')
  await app.graphql(
    'Ada',
    'mutation { sendMessage(input: { flow: { path: "example/main" }, content: "to all" }) { __typename } }',
  )
  expect(await heard.event()).toMatchObject({ message: { content: 'to all', author: { name: 'Ada Byron' } } })
})

test('each event is read afresh: nothing is remembered from the one before', async () => {
  const heard = await listen()
  const { json } = await say('fresh')
  const path = `/flows/example/main/messages/${json.id}`
  await heard.event()
  await app.backend.as('Ben')('PUT', path, { tags: ['one'] })
  expect((await heard.event()).taggedMessage.tags).toEqual(['one'])
  await app.backend.as('Ben')('PUT', path, { tags: ['two'] })
  expect((await heard.event()).taggedMessage.tags).toEqual(['two'])
})

test('without flows it covers all flows that the viewer has joined, and no others', async () => {
  const heard = await listen('Ben', {})
  await say('for support only', 'support', 'Cleo')
  await say('for engineering', 'engineering', 'Ada')
  expect(await heard.event()).toMatchObject({
    flow: { path: 'example/engineering' },
    message: { content: 'for engineering' },
  })
})

test('subscribers of one principal share one upstream stream, closed when the last leaves', async () => {
  app.calls.length = 0
  const token = await app.backend.token('Ada')
  const clients = Array.from({ length: 5 }, () => socketClient(app.url, token))
  const subscriptions = clients.map((client) => openSubscription(client, flowEvents, main))
  const first = subscriptions.map((subscription) => subscription.next())
  await eventually(() => liveMembers(app) === 5)
  await say('shared')
  for (const result of await Promise.all(first))
    expect(result?.data.flowEvents.message.content).toBe('shared')
  // A service stream is open since the first subscription.
  expect(app.calls.filter(({ kind }) => kind === 'stream')).toHaveLength(hasServiceStream ? 0 : 1)
  expect(app.openStreams).toBe(1)
  for (const subscription of subscriptions.slice(1)) await subscription.close()
  expect(app.openStreams).toBe(1)
  await subscriptions[0]?.close()
  await eventually(() => isAtRest(app))
})

test('users who subscribe to the same flows share one stream; private events have a stream of their own', async () => {
  const ada = await listen('Ada')
  const ben = await listen('Ben')
  expect(app.openStreams).toBe(1)
  await say('both')
  expect((await ada.event()).message.content).toBe('both')
  expect((await ben.event()).message.content).toBe('both')
  const privately = await app.subscribe('Ben', 'subscription { privateMessageAdded { __typename } }')
  onTestFinished(privately.close)
  const next = privately.next()
  await eventually(() => liveMembers(app) === 3)
  expect(app.openStreams).toBe(streamsOf(2))
  await app.backend.as('Ada')('POST', '/private/2/messages', { event: 'message', content: 'for Ben' })
  expect((await next)?.data.privateMessageAdded.__typename).toBe('MessageAdded')
})

test('SSE serves the same subscription', async () => {
  const query =
    'subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) { ... on MessageAdded { message { ... on ChatMessage { content } } } } }'
  const stream = await openRawStream(`${app.url}/graphql?query=${encodeURIComponent(query)}`, {
    accept: 'text/event-stream',
    authorization: basic(await app.backend.token('Ada')),
  })
  onTestFinished(stream.close)
  await eventually(() => liveMembers(app) === 1)
  await say('over SSE')
  expect(await stream.until(/over SSE/)).toContain('event: next')
})

test.each<[string, object, string, string]>([
  [
    'a flow that is not there',
    { flows: [{ path: 'example/nothing' }] },
    'NOT_FOUND',
    'input.flows.0 names a flow that does not exist or that you cannot see',
  ],
  [
    'a flow one has not joined',
    { flows: [{ path: 'example/support' }] },
    'FORBIDDEN',
    'Cannot subscribe to input.flows.0: you have not joined the flow',
  ],
  ['no flow at all', { flows: [] }, 'BAD_USER_INPUT', 'Expected input.flows to name at least one flow'],
  [
    'too many flows',
    { flows: Array.from({ length: 151 }, () => ({ path: 'example/main' })) },
    'BAD_USER_INPUT',
    'Expected input.flows to name at most 150 flows, got 151',
  ],
])('%s is refused', async (_, variables, code, message) => {
  const subscription = await app.subscribe('Ben', flowEvents, { ...variables })
  onTestFinished(subscription.close)
  expect((await subscription.next())?.errors).toMatchObject([{ message, extensions: { code } }])
  expect(await subscription.next()).toBeUndefined()
})

test('a flow that is archived cannot be subscribed to by name, and a subscription to it ends', async () => {
  const ada = app.backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Archived' })
  const named = { flows: [{ path: 'example/archived' }] }
  const heard = await listen('Ada', named)
  await ada('PUT', '/flows/example/archived', { disabled: true })
  let result = await heard.next()
  while (result !== undefined && result.errors === undefined) result = await heard.next()
  expect(result?.errors).toMatchObject([
    {
      message: 'You were shut out of one of the flows, left it, or it was archived',
      extensions: { code: 'FORBIDDEN' },
    },
  ])
  const again = await app.subscribe('Ada', flowEvents, named)
  expect((await again.next())?.errors).toMatchObject([
    {
      message: 'Cannot subscribe to input.flows.0: "example/archived" is archived',
      extensions: { code: 'FORBIDDEN' },
    },
  ])
  await again.close()
})

test('a user who is blocked is notified at once, and others continue', async () => {
  const ada = app.backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Private' })
  await ada('POST', '/flows/example/private/users', { id: 2 })
  const both = { flows: [{ path: 'example/private' }, { path: 'example/main' }] }
  const host = await listen('Ada', both)
  const ben = await listen('Ben', both)
  const benElsewhere = await listen('Ben')
  await ada('PUT', '/flows/example/private/users/2', { disabled: true })
  await say('secret', 'private', 'Ada')
  await say('public')
  const heard: (Result | undefined)[] = []
  for (let result = await ben.next(); ; result = await ben.next()) {
    heard.push(result)
    if (result === undefined || result.errors !== undefined) break
  }
  expect(heard.at(-1)?.errors).toMatchObject([
    {
      message: 'You were shut out of one of the flows, left it, or it was archived',
      extensions: { code: 'FORBIDDEN' },
    },
  ])
  expect(JSON.stringify(heard)).not.toContain('secret')
  expect(await benElsewhere.event()).toMatchObject({ message: { content: 'public' } })
  for (let event = await host.event(); event.message?.content !== 'public'; ) event = await host.event()
})

test('borrowed subscriptions continue when the owner of the stream leaves the flow', async () => {
  const ada = app.backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Handed over' })
  for (const id of [2, 3]) await ada('POST', '/flows/example/handed-over/users', { id })
  const flow = { flows: [{ path: 'example/handed-over' }] }
  // Ada listens elsewhere, too, so that her stream stays.
  await listen('Ada')
  await listen('Ada', flow)
  const ben = await listen('Ben', flow)
  expect(app.openStreams).toBe(1)
  await ada('PUT', '/flows/example/handed-over/users/1', { disabled: true })
  const said = []
  for (const content of ['one', 'two', 'three']) await say(content, 'handed-over', 'Cleo')
  while (said.length < 3) {
    const event = await ben.event()
    if (event.__typename === 'MessageAdded' && event.message.content !== undefined)
      said.push(event.message.content)
  }
  expect(said).toEqual(['one', 'two', 'three'])
})

test('other changes than messages have their own types, with the user who made them', async () => {
  const ada = app.backend.as('Ada')
  const ben = app.backend.as('Ben')
  const path = '/flows/example/main'
  const { json: sent } = await ben('POST', `${path}/messages`, { event: 'message', content: 'to react to' })
  const { json: thread } = await ben('POST', `${path}/threads`, { title: 'Elsewhere' })
  const heard = await listen()
  /** The next event of a type: others, such as what joining is told by among the messages, may come before. */
  const told = async (type: string) => {
    for (;;) {
      const event = await heard.event()
      if (event.__typename === type) return event
    }
  }
  const messageId = Buffer.from(`Message:${sent.flow}:${sent.id}`).toString('base64url')

  await ben('POST', `${path}/messages/${sent.id}/emoji_reaction`, { type: 'add', emoji: 'tada' })
  expect(await told('ReactionChanged')).toMatchObject({
    messageId,
    emoji: 'tada',
    isAdded: true,
    reactor: { nick: 'Ben' },
    reactedMessage: { reactions: [{ emoji: 'tada', count: 1 }] },
    flow: { path: 'example/main' },
  })
  await ben('POST', `${path}/messages/${sent.id}/emoji_reaction`, { type: 'remove', emoji: 'tada' })
  expect(await told('ReactionChanged')).toMatchObject({ isAdded: false, reactedMessage: { reactions: [] } })

  await ben('PUT', `${path}/messages/${sent.id}`, { thread_id: thread.id })
  expect(await told('MessageMoved')).toMatchObject({
    messageId,
    mover: { nick: 'Ben' },
    thread: { title: 'Elsewhere' },
    movedMessage: { thread: { title: 'Elsewhere' } },
  })

  await ben('POST', `${path}/typing`, { thread_id: thread.id })
  expect(await told('UserTyping')).toMatchObject({ user: { nick: 'Ben' }, thread: { title: 'Elsewhere' } })

  await ben('PUT', '/users/2', { nick: 'Benjamin' })
  expect(await told('UserEdited')).toMatchObject({ user: { nick: 'Benjamin' } })
  await ben('PUT', '/users/2', { nick: 'Ben' })

  await ada('PUT', `${path}/users/3`, { disabled: true })
  expect(await told('MemberBlocked')).toMatchObject({ user: { nick: 'Cleo' }, blockedBy: { nick: 'Ada' } })
  await ada('PUT', `${path}/users/3`, { disabled: false })
  expect(await told('MemberJoined')).toMatchObject({ user: { nick: 'Cleo' } })

  const stream = await openRawStream(`${app.backend.url}/stream/flows/example/main?active=true`, {
    authorization: basic(await app.backend.token('Cleo')),
  })
  onTestFinished(stream.close)
  expect(await told('UserActive')).toMatchObject({
    user: { nick: 'Cleo' },
    lastActivityAt: expect.any(String),
  })
})

test('present users come first, then users who come, fall idle and leave', async () => {
  const query = `subscription { presenceChanged {
    __typename ... on PresenceChanged { user { nick } presence } } }`
  const say = (nick: 'Ada' | 'Ben' | 'Cleo', state: string) =>
    app.graphql(nick, `mutation { setPresence(input: { presence: ${state} }) { __typename } }`)
  await say('Ben', 'ACTIVE')
  const ada = await app.subscribe('Ada', query)
  onTestFinished(ada.close)
  const change = async () => (await ada.next())?.data.presenceChanged
  expect(await change()).toMatchObject({ user: { nick: 'Ben' }, presence: 'ACTIVE' })
  await say('Ben', 'IDLE')
  expect(await change()).toMatchObject({ user: { nick: 'Ben' }, presence: 'IDLE' })
  const late = await app.subscribe('Ada', query)
  onTestFinished(late.close)
  expect((await late.next())?.data.presenceChanged).toMatchObject({ user: { nick: 'Ben' }, presence: 'IDLE' })
  await say('Ben', 'OFFLINE')
  expect(await change()).toMatchObject({ user: { nick: 'Ben' }, presence: 'OFFLINE' })
})

test('presenceChanged delivers what its filter matches, and no activity pings', async () => {
  const say = (nick: 'Ben' | 'Cleo', state: string) =>
    app.graphql(nick, `mutation { setPresence(input: { presence: ${state} }) { __typename } }`)
  const { data } = await app.graphql(
    'Ada',
    '{ flow(by: { path: "example/main" }) { users { nodes { user { id nick } } } } }',
  )
  const cleo = data.flow.users.nodes.find(({ user }: { user: { nick: string } }) => user.nick === 'Cleo').user
    .id
  const query = `subscription ($filter: PresenceFilter) { presenceChanged(input: { filter: $filter }) {
    __typename ... on PresenceChanged { user { nick } presence } } }`
  const ada = await app.subscribe('Ada', query, {
    filter: { userIds: [cleo], presences: ['ACTIVE', 'OFFLINE'] },
  })
  onTestFinished(ada.close)
  const events = [ada.next(), ada.next()]
  await eventually(() => liveMembers(app) === 1)
  // A stream that is active pings every flow of its user.
  const stream = await openRawStream(`${app.backend.url}/stream/flows/example/main?active=true`, {
    authorization: basic(await app.backend.token('Cleo')),
  })
  await say('Ben', 'ACTIVE')
  await say('Ben', 'OFFLINE')
  stream.close()
  expect((await Promise.all(events)).map((result) => result?.data.presenceChanged)).toEqual([
    { __typename: 'PresenceChanged', user: { nick: 'Cleo' }, presence: 'ACTIVE' },
    { __typename: 'PresenceChanged', user: { nick: 'Cleo' }, presence: 'OFFLINE' },
  ])
})

test('presenceChanged refuses what names no user', async () => {
  const query = 'subscription { presenceChanged(input: { filter: { userIds: ["nonsense"] } }) { cursor } }'
  const ada = await app.subscribe('Ada', query)
  onTestFinished(ada.close)
  expect((await ada.next())?.errors).toMatchObject([
    { message: expect.stringContaining('got "nonsense"'), extensions: { code: 'BAD_USER_INPUT' } },
  ])
})

test('the client delivers all present users, although these events have no position', async () => {
  const say = (state: string) =>
    Promise.all(
      (['Ben', 'Cleo'] as const).map((nick) =>
        app.graphql(nick, `mutation { setPresence(input: { presence: ${state} }) { __typename } }`),
      ),
    )
  await say('ACTIVE')
  onTestFinished(async () => void (await say('OFFLINE')))
  const client = createLiveClient({
    ...{ url: `${app.url}/graphql`, token: await app.backend.token('Ada'), webSocketImpl: WebSocket },
  })
  onTestFinished(() => client.close())
  const there: string[] = []
  const presences = client.listen<LiveEvent & { user?: { nick: string } }>({
    query:
      'subscription { presenceChanged { __typename cursor ... on PresenceChanged { user { nick } presence } } }',
  })
  for await (const { __typename, user } of presences) {
    if (__typename === 'PresenceChanged') there.push(user?.nick ?? '')
    if (there.length === 2) break
  }
  expect(there.toSorted()).toEqual(['Ben', 'Cleo'])
})

test('the client continues with a new token on the same connection, with each event once', async () => {
  const query = `subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) {
    __typename cursor ... on MessageAdded { message { viewerCanEdit ... on ChatMessage { content } } } } }`
  type Heard = LiveEvent & { message?: { content: string; viewerCanEdit: boolean } }
  const lost: string[] = []
  const client = createLiveClient({
    ...{ url: `${app.url}/graphql`, token: await app.backend.token('Ada'), webSocketImpl: WebSocket },
    onRetry: (reason) => lost.push(reason),
  })
  onTestFinished(() => client.close())
  const events = client.listen<Heard>({ query })
  const first = events.next()
  await eventually(() => liveMembers(app) === 1)
  await say('with the first token', 'main', 'Ada')
  expect((await first).value).toMatchObject({
    message: { content: 'with the first token', viewerCanEdit: true },
  })
  const ben = await app.backend.token('Ben')
  client.setToken(async () => ben)
  for (let count = 0; count < 20; count += 1) {
    const next = events.next()
    await say(`while it changes ${count}`, 'main', 'Ada')
    expect((await next).value).toMatchObject({ message: { content: `while it changes ${count}` } })
  }
  const last = events.next()
  await say('with the second', 'main', 'Ada')
  // What Ada wrote is not Ben's to edit.
  expect((await last).value).toMatchObject({ message: { content: 'with the second', viewerCanEdit: false } })
  expect(lost).toEqual([])
  expect(app.state().sockets).toBe(1)
})

test.each([
  ['gets another token before its own ends, if the upstream says when that is', 'e', 'Ben'],
  ['that has no other token than the one that ends is told so once', 'd', undefined],
] as const)('the client %s', async (_, digit, next) => {
  const ending = digit.repeat(32)
  await app.backend.store.write((db) =>
    db
      .insertInto('tokens')
      .values({
        ...{ hash: hashToken(ending), user_id: 1, created_at: Date.now() },
        ...{ application_id: null, scope: null, expires_at: Date.now() + 60_500 },
      })
      .execute(),
  )
  const asked: string[] = []
  const tokens = [ending, next === undefined ? ending : await app.backend.token(next)]
  const client = createLiveClient({
    ...{ url: `${app.url}/graphql`, webSocketImpl: WebSocket },
    token() {
      asked.push('token')
      return tokens.shift() ?? ''
    },
  })
  onTestFinished(() => client.close())
  const events = client.listen<LiveEvent & { message: { viewerCanEdit: boolean } }>({
    query:
      'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { cursor ... on MessageAdded { message { viewerCanEdit } } } }',
  })
  const first = events.next()
  await eventually(() => liveMembers(app) === 1)
  await say('with the one that ends', 'main', 'Ada')
  expect((await first).value).toMatchObject({ message: { viewerCanEdit: true } })
  await eventually(() => asked.length === 2)
  // What Ada wrote is not Ben's to edit.
  for (let count = 0, isBens = false; count < 5 || isBens !== (next !== undefined); count += 1) {
    const event = events.next()
    await say('with the other', 'main', 'Ada')
    const { value } = await event
    isBens = value !== undefined && !value.message.viewerCanEdit
  }
  expect(asked).toHaveLength(2)
  expect(app.state().sockets).toBe(1)
})

test('the client ends at once, also while it waits, and reports the state of its connection', async () => {
  const query = 'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { cursor } }'
  const statuses: string[] = []
  const client = createLiveClient({
    ...{ url: `${app.url}/graphql`, token: basic(await app.backend.token('Ada')), webSocketImpl: WebSocket },
    onStatus: (status) => statuses.push(status),
  })
  const results = client.results({ query })
  const first = results.next()
  await eventually(() => liveMembers(app) === 1)
  await say('heard')
  expect((await first).value).toEqual({ data: { messageAdded: { cursor: expect.any(String) } } })
  const next = results.next()
  await results.return()
  expect(await next).toMatchObject({ done: true })
  await eventually(() => liveMembers(app) === 0)
  client.close()
  await eventually(() => statuses.length === 3)
  expect(statuses).toEqual(['connecting', 'connected', 'not connected'])
})

test.each(['after', 'extensions'])('a subscription resumes after a cursor given by %s', async (way) => {
  const query = `subscription ($after: String) { messageAdded(input: { flows: [{ path: "example/main" }], after: $after }) {
    cursor ... on MessageAdded { message { ... on ChatMessage { content } } } } }`
  const listening = await app.subscribe('Ada', query)
  const heard = listening.next()
  await eventually(() => liveMembers(app) === 1)
  await say('the last one heard')
  const cursor = (await heard)?.data.messageAdded.cursor
  await listening.close()
  await say('while nobody listened')
  const again = openSubscription(
    socketClient(app.url, await app.backend.token('Ada')),
    query,
    ...(way === 'after' ? ([{ after: cursor }] as const) : ([{}, { lastEventId: cursor }] as const)),
  )
  expect((await again.next())?.data.messageAdded.message).toEqual({ content: 'while nobody listened' })
  await again.close()
})

test('a filter leaves out messages, and nothing else', async () => {
  const query = `subscription ($filter: LiveMessageFilter) { flowEvents(input: { flows: [{ path: "example/main" }], filter: $filter }) {
    __typename ... on MessageEdited { content }
    ... on MessageAdded { message { ... on ChatMessage { content } ... on StatusMessage { content } } } } }`
  const { json } = await say('before')
  const filters: [object, string][] = [
    [{ text: 'RELEASE notes' }, 'the notes of this release #shipped'],
    [{ tags: ['shipped'] }, 'the notes of this release #shipped'],
    [{ tags: ['nothing', 'SHIPPED'], tagMode: 'ANY' }, 'the notes of this release #shipped'],
    [{ hasLink: true }, 'see https://example.com/'],
    [{ kinds: ['STATUS'] }, 'a status'],
  ]
  for (const [filter, expected] of filters) {
    const heard = await app.subscribe('Ada', query, { filter })
    const told: string[] = []
    const all = (async () => {
      for (;;) {
        const event = (await heard.next())?.data.flowEvents
        if (event.content === `edited ${JSON.stringify(filter)}`) return
        if (event.__typename === 'MessageAdded') told.push(event.message.content ?? '')
      }
    })()
    await eventually(() => liveMembers(app) === 1)
    await say('released notes')
    await say('the notes of this release #shipped')
    await say('see https://example.com/')
    await app.backend.as('Ben')('POST', '/flows/example/main/messages', {
      event: 'status',
      content: 'a status',
    })
    await app.backend.as('Ben')('PUT', `/flows/example/main/messages/${json.id}`, {
      content: `edited ${JSON.stringify(filter)}`,
    })
    await all
    await heard.close()
    await eventually(() => liveMembers(app) === 0)
    expect(told, JSON.stringify(filter)).toEqual([expected])
  }
})

describe('with throttleMs', () => {
  const throttled = (throttleMs: number) =>
    `subscription { flowEvents(input: { flows: [{ path: "example/main" }], throttleMs: ${throttleMs} }) {
      ... on MessageAdded { message { ... on ChatMessage { content } } } } }`

  test('what happens before the time is up waits', async () => {
    const heard = await listen()
    const slow = await app.subscribe('Ada', throttled(60_000))
    onTestFinished(slow.close)
    const contents: string[] = []
    void (async () => {
      for (let result = await slow.next(); result !== undefined; result = await slow.next())
        contents.push(result.data.flowEvents.message.content)
    })()
    await eventually(() => liveMembers(app) === 2)
    await say('at once')
    await heard.event()
    await eventually(() => contents.length === 1)
    for (let count = 0; count < 5; count += 1) {
      await say(`later ${count}`)
      // By then the other subscription would have it, too.
      await heard.event()
    }
    expect(contents).toEqual(['at once'])
  })

  test('all is delivered in its order', async () => {
    const slow = await app.subscribe('Ada', throttled(250))
    onTestFinished(slow.close)
    const first = slow.next()
    await eventually(() => liveMembers(app) === 1)
    for (let count = 0; count < 30; count += 1) await say(`turn ${count}`)
    const contents = [(await first)?.data.flowEvents.message.content]
    while (contents.length < 30) contents.push((await slow.next())?.data.flowEvents.message.content)
    expect(contents).toEqual(Array.from({ length: 30 }, (_, count) => `turn ${count}`))
  })
})

test('a thread is delivered with each of its messages, in its present state', async () => {
  const query = `subscription { threadChanged(input: { flows: [{ path: "example/main" }] }) {
    __typename ... on ThreadChanged { thread { id title internalCommentCount } threadMessage { ... on ChatMessage { content } } } } }`
  const heard = await app.subscribe('Ada', query)
  onTestFinished(heard.close)
  const next = heard.next()
  await eventually(() => liveMembers(app) === 1)
  const { json } = await say('a new thread')
  const first = (await next)?.data.threadChanged
  expect(first).toMatchObject({
    __typename: 'ThreadChanged',
    thread: { title: 'a new thread', internalCommentCount: 1 },
    threadMessage: { content: 'a new thread' },
  })
  await app.backend.as('Ben')('POST', `/flows/example/main/threads/${json.thread_id}/messages`, {
    event: 'message',
    content: 'an answer',
  })
  expect((await heard.next())?.data.threadChanged).toMatchObject({
    thread: { id: first.thread.id, internalCommentCount: 2 },
    threadMessage: { content: 'an answer' },
  })
  const moved = (await say('elsewhere')).json
  await heard.next()
  await app.backend.as('Ben')('PUT', `/flows/example/main/messages/${moved.id}`, {
    thread_id: json.thread_id,
  })
  expect((await heard.next())?.data.threadChanged).toMatchObject({
    thread: { id: first.thread.id },
    threadMessage: { content: 'elsewhere' },
  })
})

test('private events are delivered to their user, on request, and to no one else', async () => {
  const query = `subscription ($private: Boolean!) { flowEvents(input: { flows: [{ path: "example/main" }], includePrivate: $private }) {
    __typename flow { path } conversation { user { nick } }
    ... on MessageAdded { message { id author { nick: name } conversation { user { nick } } ... on ChatMessage { content } } }
    ... on MessageEdited { messageId content editedMessage { ... on ChatMessage { content } } }
    ... on ReactionChanged { messageId emoji reactedMessage { reactions { emoji } } }
    ... on UserTyping { user { nick } }
    ... on FlowRemoved { flowDatabaseId }
  } }`
  const open = async (nick: 'Ada' | 'Ben' | 'Cleo', isPrivate: boolean) => {
    const before = liveMembers(app)
    const subscription = await app.subscribe(nick, query, { private: isPrivate })
    let pending: Promise<Result | undefined> | undefined = subscription.next()
    await eventually(() => liveMembers(app) > before)
    onTestFinished(subscription.close)
    return async () => {
      const result = await (pending ?? subscription.next())
      pending = undefined
      expect(result?.errors).toBeUndefined()
      return result?.data.flowEvents
    }
  }
  const ada = await open('Ada', true)
  const ben = await open('Ben', true)
  const adaOfFlows = await open('Ada', false)
  const cleo = await open('Cleo', true)
  const asAda = app.backend.as('Ada')
  const { json } = await asAda('POST', '/private/2/messages', { event: 'message', content: 'psst' })
  const forAda = await ada()
  const forBen = await ben()
  expect(forAda).toMatchObject({
    __typename: 'MessageAdded',
    flow: null,
    conversation: { user: { nick: 'Ben' } },
    message: { content: 'psst', author: { nick: 'Ada Byron' } },
  })
  expect(forBen).toMatchObject({ message: { content: 'psst', conversation: { user: { nick: 'Ada' } } } })
  // The ids differ, because each names the other one.
  expect(forAda.message.id).not.toBe(forBen.message.id)
  await asAda('PUT', `/private/2/messages/${json.id}`, { content: 'louder' })
  expect(await ben()).toMatchObject({
    __typename: 'MessageEdited',
    messageId: forBen.message.id,
    editedMessage: { content: 'louder' },
  })
  await asAda('POST', `/private/2/messages/${json.id}/emoji_reaction`, { type: 'add', emoji: 'ear' })
  expect(await ben()).toMatchObject({
    messageId: forBen.message.id,
    reactedMessage: { reactions: [{ emoji: 'ear' }] },
  })
  await asAda('POST', '/private/2/typing')
  expect(await ben()).toMatchObject({
    __typename: 'UserTyping',
    user: { nick: 'Ada' },
    conversation: { user: { nick: 'Ada' } },
  })

  const { json: made } = await asAda('POST', '/flows/example', { name: 'Coming and going' })
  await asAda('POST', '/flows/example/coming-and-going/users', { id: 3 })
  expect(await cleo()).toMatchObject({ __typename: 'FlowAdded', flow: { path: 'example/coming-and-going' } })
  await asAda('PUT', '/flows/example/coming-and-going/users/3', { disabled: true })
  expect(await cleo()).toMatchObject({ __typename: 'FlowRemoved', flow: null, flowDatabaseId: made.id })
  // Nothing of all this was for a subscription to flows alone.
  await say('for everybody')
  expect(await adaOfFlows()).toMatchObject({
    flow: { path: 'example/main' },
    message: { content: 'for everybody' },
  })
})
