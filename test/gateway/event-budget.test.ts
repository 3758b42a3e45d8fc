import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  eventually,
  liveMembers,
  openSubscription,
  post,
  type Result,
  socketClient,
  startTestApp,
  type TestApp,
} from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { type LiveClient, type LiveClientOptions, liveTransports } from '../support/live-client.ts'
import { openRawStream } from '../support/stream.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

/* What the events of subscriptions may cost, and whom they may hurt. */

/** In single connection mode. [graphql-sse] PROTOCOL.md */
async function overSharedStream({ url, token, query }: LiveClientOptions): Promise<LiveClient> {
  const headers = { 'content-type': 'application/json', authorization: basic(token) }
  const key = await (await fetch(`${url}/graphql`, { method: 'PUT', headers })).text()
  const stream = await openRawStream(`${url}/graphql?token=${key}`, { accept: 'text/event-stream' })
  await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { ...headers, 'x-graphql-event-stream-token': key },
    body: JSON.stringify({ query, extensions: { operationId: 'live' } }),
  })
  return {
    get results() {
      return [...stream.text.matchAll(/event: next\ndata: (.*)\n/g)].map(([, json]) => ({
        result: JSON.parse(json ?? '').payload as Result,
        id: undefined,
      }))
    },
    ended: stream.until(/event: complete/).then(
      () => 'complete',
      () => 'closed',
    ),
    close: stream.close,
    pause: () => undefined,
    resume: () => undefined,
  }
}

const transports = [...liveTransports, ['a shared stream', overSharedStream] as const]

/** An event of it may take so many calls for the threads of its flow, and one for the list. */
const withThreads = (count: number, more = '') => `subscription {
  messageAdded(input: { flows: [{ path: "example/main" }] }) { ... on MessageAdded { message { flow {
    messages(last: ${count}) { nodes { ... on ChatMessage { ${more} thread { messages(last: 1) { nodes { id } } } } } } } } } } }`
const plain =
  'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { ... on MessageAdded { message { id } } } }'

describe('an event of a subscription', () => {
  let app: TestApp
  let token: string
  beforeAll(async () => {
    app = await startTestApp({ limits: { maxSubscriptionCalls: 150 } })
    token = await app.backend.token('Ada')
  })
  beforeEach(() => eventually(() => app.state().live.operations === 0))
  afterAll(() => app.close())

  describe.each(transports)('over %s', (_, connect) => {
    test('may cause a hundred calls: what may cause more is refused before any call, and a shorter list is not', async () => {
      app.calls.length = 0
      const refused = await connect({ url: app.url, token, query: withThreads(99) })
      expect(await refused.ended).toBe('complete')
      expect(refused.results.map(({ result }) => result.errors)).toMatchObject([
        [
          {
            message: expect.stringMatching(
              /^An event of the subscription may cause 101 calls to the upstream, 99 of them for Thread\.messages; at most 100 are allowed\. Ask for shorter lists/,
            ),
            extensions: { code: 'COST_EXCEEDED' },
          },
        ],
      ])
      expect(app.calls).toEqual([])
      expect(app.state().live.operations).toBe(0)
      refused.close()
      const allowed = await connect({ url: app.url, token, query: withThreads(98) })
      await eventually(() => liveMembers(app) === 1)
      await app.backend.as('Ben')('POST', '/flows/example/main/messages', {
        event: 'message',
        content: 'x',
      })
      await eventually(() => allowed.results.length === 1)
      expect(allowed.results[0]?.result.errors).toBeUndefined()
      allowed.close()
    })

    test('counts with all open subscriptions of its principal, until they end', async () => {
      const open = async (query: string, nick: 'Ada' | 'Ben' = 'Ada') => {
        const client = await connect({ url: app.url, token: await app.backend.token(nick), query })
        onTestFinished(client.close)
        return client
      }
      const first = await open(withThreads(80))
      await eventually(() => liveMembers(app) === 1)
      // The same once more is executed together with the first.
      await open(withThreads(80))
      await eventually(() => liveMembers(app) === 2)
      // These share what they read for an event.
      await open(plain)
      await eventually(() => liveMembers(app) === 3)
      const refused = await open(withThreads(80, 'id'))
      expect(await refused.ended).toBe('complete')
      expect(refused.results[0]?.result.errors).toMatchObject([
        {
          message: expect.stringMatching(
            /^Your open subscriptions may cause 81 calls to the upstream for one event, and this one 81 more; at most 150 are allowed\. End others first/,
          ),
          extensions: { code: 'COST_EXCEEDED' },
        },
      ])
      await open(withThreads(80, 'id'), 'Ben')
      await eventually(() => liveMembers(app) === 4)
      first.close()
      await eventually(() => liveMembers(app) === 3)
      const stillRefused = await open(withThreads(80, 'id'))
      expect(await stillRefused.ended).toBe('complete')
      await open(withThreads(60))
      await eventually(() => liveMembers(app) === 4)
    })
  })

  test('that is given up while it begins leaves nothing counted', async () => {
    for (let index = 0; index < 3; index += 1) {
      const controller = new AbortController()
      const response = fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: {
          ...{ accept: 'text/event-stream', 'content-type': 'application/json' },
          authorization: basic(token),
        },
        body: JSON.stringify({ query: withThreads(80) }),
        signal: controller.signal,
      }).catch(() => undefined)
      await new Promise(setImmediate)
      controller.abort()
      await response
    }
    await eventually(() => app.state().live.operations === 0)
    for (const more of ['id', 'sentAt']) {
      const client = openSubscription(socketClient(app.url, token), withThreads(80, more))
      const result = client.next()
      await eventually(() => liveMembers(app) === 1)
      await client.close()
      await result
      await eventually(() => app.state().live.operations === 0)
    }
  })
})

const organization = { id: 1, parameterized_name: 'example', name: 'Example' }
const flow = { id: 'f', name: 'F', parameterized_name: 'main', organization, joined: true, users: [] }
const message = (id: number) => ({
  ...{ event: 'message', flow: 'f', id, sent: id, user: '0', tags: [], content: `${id}` },
  thread_id: `t${id}`,
})

/** An upstream whose messages do not bring their threads along, so that each is read by itself, when `hold` lets it. */
async function startWithoutThreads(limits: { maxEventCalls?: number } = {}) {
  const streams = new Set<ServerResponse>()
  const held: (() => void)[] = []
  const state = { isHeld: false, threads: 0, open: 0, mostOpen: 0 }
  const upstream = await startScriptedUpstream((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://x')
    if (pathname === '/stream/flows') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(':\n\n')
      streams.add(response)
    } else if (pathname === '/flows') answerJson(response, 200, [flow])
    else if (pathname === '/user') answerJson(response, 200, { id: 1, nick: 'Ada', name: 'Ada' })
    else if (pathname.endsWith('/messages'))
      answerJson(
        response,
        200,
        Array.from({ length: 30 }, (_, index) => message(1000 + index)),
      )
    else if (pathname.includes('/threads/')) {
      state.threads += 1
      state.open += 1
      state.mostOpen = Math.max(state.mostOpen, state.open)
      const answer = () => {
        state.open -= 1
        answerJson(response, 200, { id: pathname.split('/').at(-1), title: 'T', flow: 'f' })
      }
      if (state.isHeld) held.push(answer)
      else answer()
    } else answerJson(response, pathname === '/capabilities' ? 404 : 200, flow)
  })
  const app = await startTestApp({ upstreamUrl: upstream.url, limits })
  onTestFinished(app.close)
  return {
    ...{ app, state, held },
    tell(id: number) {
      for (const stream of streams) stream.write(`id: ${id}\ndata: ${JSON.stringify(message(id))}\n\n`)
    },
  }
}

const unexpected = `subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { cursor ... on MessageAdded {
  message { id flow { messages(last: 30) { nodes { ... on ChatMessage { thread { title } } } } } } } } }`

test('an event whose upstream takes more calls than predicted makes no more than are allowed', async () => {
  const { app, tell, state } = await startWithoutThreads({ maxEventCalls: 10 })
  const client = openSubscription(socketClient(app.url, 'a'.repeat(32)), unexpected)
  onTestFinished(client.close)
  const result = client.next()
  await eventually(() => liveMembers(app) === 1)
  app.calls.length = 0
  tell(1)
  const { errors, data } = (await result) ?? {}
  expect(data?.messageAdded.cursor).toBeDefined()
  expect(new Set(errors?.map(({ extensions }) => extensions?.['code']))).toEqual(new Set(['COST_EXCEEDED']))
  expect(state.threads).toBeLessThan(10)
  expect(app.calls.length).toBeLessThanOrEqual(10)
})

test('calls of events leave connections to queries, and results keep the order of the events', async () => {
  const { app, tell, state, held } = await startWithoutThreads()
  const token = 'a'.repeat(32)
  const client = openSubscription(socketClient(app.url, token), unexpected)
  onTestFinished(client.close)
  const first = client.next()
  await eventually(() => liveMembers(app) === 1)
  state.isHeld = true
  for (let id = 1; id <= 5; id += 1) tell(id)
  await eventually(() => held.length === 4)
  // Both the caller of the subscription and others are answered meanwhile.
  for (const each of [token, 'b'.repeat(32)])
    expect((await post(app.url, { query: '{ viewer { nick } }' }, each)).data).toEqual({
      viewer: { nick: 'Ada' },
    })
  expect(state.mostOpen).toBe(4)
  state.isHeld = false
  for (const answer of held) answer()
  const cursors = [(await first)?.data.messageAdded.cursor]
  for (let id = 2; id <= 5; id += 1) cursors.push((await client.next())?.data.messageAdded.cursor)
  expect(cursors.map((cursor) => Number(cursor.split('~')[0]))).toEqual([1, 2, 3, 4, 5])
  expect(state.mostOpen).toBeLessThanOrEqual(4)
})

describe('an execution for several principals', () => {
  const changes = `subscription { messageChanged(input: { flows: [{ path: "example/main" }] }) {
    ... on MessageEdited { editedMessage { ... on ChatMessage { content } } } } }`

  test.each(liveTransports)('over %s counts against the rate limit of none', async (_, connect) => {
    const app = await startTestApp({ settings: { CALLS_PER_MINUTE: '60' } })
    onTestFinished(app.close)
    const { json } = await app.backend.as('Ada')('POST', '/flows/example/main/messages', {
      event: 'message',
      content: 'before',
    })
    const clients: LiveClient[] = []
    for (const nick of ['Ben', 'Cleo'] as const) {
      const client = connect({ url: app.url, token: await app.backend.token(nick), query: changes })
      onTestFinished(client.close)
      clients.push(client)
      await eventually(() => liveMembers(app) === clients.length)
    }
    expect(app.state().live.groups).toMatchObject([{ members: 2, isShared: true }])
    // One call each, and more of them than a minute has.
    const exhaust = async () => {
      const flow = (name: string) => `${name}: flow(by: { databaseId: "${name}" }) { id }`
      const results = await Promise.all(
        Array.from({ length: 6 }, (_, operation) => {
          const flows = Array.from({ length: 20 }, (__, index) => flow(`o${operation}f${index}`))
          return app.graphql('Ben', `{ ${flows.join(' ')} }`)
        }),
      )
      const errors = results.flatMap((result) => result.errors ?? [])
      return new Set(errors.map(({ extensions }) => extensions?.['code']))
    }
    expect(await exhaust()).toEqual(new Set(['RATE_LIMITED']))
    await app.backend.as('Ada')('PUT', `/flows/example/main/messages/${json.id}`, { content: 'after' })
    await eventually(() => clients.every(({ results }) => results.length > 0))
    for (const { results } of clients)
      expect(results.map(({ result }) => result)).toEqual([
        { data: { messageChanged: { editedMessage: { content: 'after' } } } },
      ])
    // Ben's own calls are still counted.
    expect(await exhaust()).toEqual(new Set(['RATE_LIMITED']))
  })
})
