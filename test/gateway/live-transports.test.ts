import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { eventually, isAtRest, liveMembers, type Result, startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { type LiveClientOptions, liveTransports, overSse } from '../support/live-client.ts'

let app: TestApp
let token: string

beforeAll(async () => {
  app = await startTestApp()
  token = await app.backend.token('Ada')
})
beforeEach(() => eventually(() => app.state().live.operations === 0))
afterAll(() => app.close())

const query = `subscription ($after: String) { flowEvents(input: { flows: [{ path: "example/main" }], after: $after }) {
  __typename cursor ... on MessageAdded { message { tags author { name } ... on ChatMessage { content } } }
  ... on MessageEdited { content } ... on TagsChanged { added } } }`
const resultsOf = (messages: readonly { type: string; payload?: unknown }[]) =>
  messages.filter(({ type }) => type === 'next').map(({ payload }) => payload as Result)
const say = async (content: string) =>
  (await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })).json

const options = (more: Partial<LiveClientOptions> = {}): LiveClientOptions => ({
  ...{ url: app.url, token, query },
  ...more,
})

test('one log comes out of every transport alike', async () => {
  const clients = liveTransports.map(([, connect]) => connect(options()))
  onTestFinished(() => {
    for (const client of clients) client.close()
  })
  await eventually(() => liveMembers(app) === clients.length)
  // All of them are executed together.
  expect(app.state().live.groups).toMatchObject([{ members: 3, isShared: true }])
  const { id } = await say('first — „quoted“ \u2028 😀')
  await app.backend.as('Ben')('PUT', `/flows/example/main/messages/${id}`, { content: 'edited #tag' })
  for (let index = 0; index < 20; index += 1) await say(`number ${index}`)
  await eventually(() => clients.every(({ results }) => results.length === 23))
  const logs = clients.map(({ results }) => results.map(({ result }) => result))
  expect(logs[1]).toEqual(logs[0])
  expect(logs[2]).toEqual(logs[0])
  const cursors = logs[0]?.map(({ data }) => data.flowEvents.cursor)
  // The ids of SSE frames are the cursors.
  expect(clients[1]?.results.map(({ id: frame }) => frame)).toEqual(cursors)
})

describe.each(liveTransports)('over %s', (_, connect) => {
  test('a subscription that is refused gets the reason, and ends', async () => {
    const none = query.replace('example/main', 'example/nowhere')
    const client = connect(options({ query: none }))
    expect(await client.ended).toBe('complete')
    expect(client.results.map(({ result }) => result.errors?.[0]?.extensions?.['code'])).toEqual([
      'NOT_FOUND',
    ])
    client.close()
  })

  test.each(['garbage', 'null', 'bWVzc2FnZTphYmM'])('%s is no cursor', async (after) => {
    const client = connect(options({ variables: { after } }))
    await client.ended
    expect(client.results.map(({ result }) => result)).toEqual([
      {
        errors: [
          {
            message: `Expected input.after to be the cursor of an event or a message; got "${after}"`,
            locations: [{ line: 1, column: 33 }],
            path: ['flowEvents'],
            extensions: { code: 'BAD_USER_INPUT' },
          },
        ],
      },
    ])
    client.close()
  })

  test('what was missed comes first, from the cursor of the last event', async () => {
    const first = connect(options())
    await eventually(() => liveMembers(app) === 1)
    await say('seen')
    await eventually(() => first.results.length === 1)
    first.close()
    await eventually(() => app.state().live.operations === 0)
    for (const content of ['missed 1', 'missed 2']) await say(content)
    const after = first.results[0]?.result.data.flowEvents.cursor
    const second = connect(options({ variables: { after } }))
    onTestFinished(second.close)
    await eventually(() => second.results.length === 2)
    await say('live')
    await eventually(() => second.results.length === 3)
    expect(second.results.map(({ result }) => result.data.flowEvents.message.content)).toEqual([
      ...['missed 1', 'missed 2', 'live'],
    ])
  })

  test('leaving is noticed', async () => {
    const client = connect(options())
    await eventually(() => liveMembers(app) === 1)
    client.close()
    await eventually(() => app.state().live.operations === 0)
    await eventually(() => isAtRest(app))
  })

  test('a query is answered, and ends', async () => {
    const client = connect(options({ query: '{ viewer { nick } }' }))
    expect(await client.ended).toBe('complete')
    expect(client.results.map(({ result }) => result)).toEqual([{ data: { viewer: { nick: 'Ada' } } }])
    client.close()
  })
})

test('SSE resumes after Last-Event-ID, which overrides the operation, as browsers send it', async () => {
  const first = overSse(options())
  await eventually(() => liveMembers(app) === 1)
  await say('one')
  await say('two')
  await eventually(() => first.results.length === 2)
  first.close()
  await say('three')
  const [one, two] = first.results
  const again = overSse(options({ variables: { after: one?.id }, lastEventId: two?.id ?? '' }))
  onTestFinished(again.close)
  await eventually(() => again.results.length === 1)
  expect(again.results[0]?.result.data.flowEvents.message.content).toBe('three')
})

test('a subscription by a plain request gets an error that names what it needs', async () => {
  const { errors } = await app.graphql('Ada', query)
  expect(errors).toMatchObject([
    { message: expect.stringContaining('needs a WebSocket'), extensions: { code: 'BAD_USER_INPUT' } },
  ])
})

test('a mutation by GET is not executed over SSE either', async () => {
  const mutation =
    'mutation { sendMessage(input: { flow: { path: "example/main" }, content: "x" }) { __typename } }'
  const answer = await fetch(`${app.url}/graphql?query=${encodeURIComponent(mutation)}`, {
    headers: { accept: 'text/event-stream', authorization: basic(token) },
  })
  expect(answer.status).toBe(405)
  for (const [body, status] of [
    ['{', 400],
    ['{"query":1}', 400],
    ['{"query":"{","variables":[]}', 400],
  ] as const) {
    const refused = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { accept: 'text/event-stream', 'content-type': 'application/json' },
      body,
    })
    expect(refused.status).toBe(status)
    expect((await refused.json()).errors[0].extensions.code).toBe('BAD_USER_INPUT')
  }
})

describe('graphql-transport-ws', () => {
  /** A socket, and what comes over it. */
  async function open(protocol = 'graphql-transport-ws') {
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, protocol)
    const messages: { type: string; id?: string; payload?: unknown }[] = []
    socket.on('message', (data) => messages.push(JSON.parse(String(data))))
    const closed = once(socket, 'close').then(([code, reason]) => [code, String(reason)] as const)
    socket.on('error', () => undefined)
    onTestFinished(() => socket.terminate())
    await once(socket, 'open')
    return {
      socket,
      messages,
      closed,
      send: (message: unknown) =>
        socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
      init: async () => {
        socket.send(JSON.stringify({ type: 'connection_init', payload: { Authorization: basic(token) } }))
        await eventually(() => messages.some(({ type }) => type === 'connection_ack'))
      },
    }
  }

  const init = { type: 'connection_init' }
  const subscribe = (id: string, document = query) => ({
    id,
    type: 'subscribe',
    payload: { query: document },
  })

  test.each<[string, number, unknown[]]>([
    ['no JSON', 4400, ['{']],
    ['no type', 4400, [{}]],
    ['an unknown type', 4400, [{ type: 'start' }]],
    ['a payload that is none', 4400, [{ type: 'connection_init', payload: 'x' }]],
    ['a list', 4400, [[]]],
    ['two introductions', 4429, [init, init]],
    ['a subscription before the introduction', 4401, [subscribe('1')]],
    ['no id', 4400, [init, { type: 'subscribe', payload: { query } }]],
    ['an id that is none', 4400, [init, { id: 1, type: 'subscribe', payload: { query } }]],
    ['no query', 4400, [init, { id: '1', type: 'subscribe', payload: {} }]],
    ['the same id twice', 4409, [init, subscribe('1'), subscribe('1')]],
  ])('%s closes the socket with %i', async (_, code, messages) => {
    const { send, closed } = await open()
    for (const message of messages) send(message)
    expect((await closed)[0]).toBe(code)
  })

  test('binary messages close the socket', async () => {
    const { socket, closed } = await open()
    socket.send(Buffer.from('{}'))
    expect((await closed)[0]).toBe(4400)
  })

  test('another protocol is not spoken', async () => {
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-ws')
    const [error] = await once(socket, 'error')
    expect(String(error)).toContain('subprotocol')
  })

  test('who does not introduce themselves is closed', async () => {
    const { closed } = await open()
    expect(await closed).toEqual([4408, 'Connection initialisation timeout'])
  })

  test('pings are answered with what they brought', async () => {
    const { send, messages } = await open()
    send({ type: 'ping', payload: { x: 1 } })
    send({ type: 'ping' })
    await eventually(() => messages.length === 2)
    expect(messages).toEqual([{ type: 'pong', payload: { x: 1 } }, { type: 'pong' }])
  })

  test('a new token in a ping holds for what comes after', async () => {
    const { send, messages, init: introduce } = await open()
    await introduce()
    const ask = { id: 'who', type: 'subscribe', payload: { query: '{ viewer { nick } }' } }
    send(ask)
    await eventually(() => messages.some(({ type }) => type === 'complete'))
    send({ type: 'ping', payload: { Authorization: basic(await app.backend.token('Ben')) } })
    send({ ...ask, id: 'now' })
    await eventually(() => messages.filter(({ type }) => type === 'complete').length === 2)
    expect(messages.filter(({ type }) => type === 'next').map(({ payload }) => payload)).toEqual([
      { data: { viewer: { nick: 'Ada' } } },
      { data: { viewer: { nick: 'Ben' } } },
    ])
  })

  test('a new token in a ping moves open subscriptions: no event is lost or repeated', async () => {
    const { send, messages, init: introduce } = await open()
    await introduce()
    send(subscribe('live'))
    await eventually(() => liveMembers(app) === 1)
    const contents = () => resultsOf(messages).map(({ data }) => data?.flowEvents.message.content)
    const token = { Ada: await app.backend.token('Ada'), Ben: await app.backend.token('Ben') }
    const said: string[] = []
    for (let count = 0; count < 60; count += 1) {
      said.push(`moved ${count}`)
      const saying = say(`moved ${count}`)
      if (count % 5 === 0)
        send({ type: 'ping', payload: { Authorization: basic(token[count % 2 === 0 ? 'Ben' : 'Ada']) } })
      await saying
    }
    await eventually(() => contents().length >= said.length)
    expect(contents()).toEqual(said)
    send({ type: 'ping', payload: { Authorization: basic('0'.repeat(32)) } })
    await eventually(() => messages.some(({ id, type }) => id === 'live' && type === 'complete'))
    expect(resultsOf(messages).at(-1)?.errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
  })

  test('an operation may bring a token of its own', async () => {
    const { send, messages, init: introduce } = await open()
    await introduce()
    const extensions = { authorization: basic(await app.backend.token('Ben')) }
    send({ id: 'who', type: 'subscribe', payload: { query: '{ viewer { nick } }', extensions } })
    await eventually(() => messages.some(({ type }) => type === 'complete'))
    expect(messages.find(({ type }) => type === 'next')?.payload).toEqual({
      data: { viewer: { nick: 'Ben' } },
    })
  })

  test('a mistake in one document leaves the others alone', async () => {
    const { send, messages, init: introduce, socket } = await open()
    await introduce()
    send(subscribe('live'))
    await eventually(() => liveMembers(app) === 1)
    send(subscribe('broken', '{'))
    send(subscribe('wrong', '{ nothing }'))
    await eventually(() => messages.filter(({ type }) => type === 'error').length === 2)
    await say('still there')
    await eventually(() => messages.some(({ id, type }) => id === 'live' && type === 'next'))
    expect(socket.readyState).toBe(WebSocket.OPEN)
  })

  test.each([[[]], ['{}'], [5], [true]])('variables that are %j are refused', async (variables) => {
    const { send, messages, init: introduce } = await open()
    await introduce()
    for (const name of ['variables', 'extensions'])
      send({ id: name, type: 'subscribe', payload: { query: '{ viewer { nick } }', [name]: variables } })
    await eventually(() => messages.filter(({ type }) => type === 'error').length === 2)
    for (const { id, payload } of messages.filter(({ type }) => type === 'error'))
      expect(payload).toMatchObject([
        { message: `Expected ${id} to be a JSON object`, extensions: { code: 'BAD_USER_INPUT' } },
      ])
  })

  test('an id is free again once its operation is over', async () => {
    const { send, messages, init: introduce } = await open()
    await introduce()
    for (let count = 1; count <= 3; count += 1) {
      send({ id: 'again', type: 'subscribe', payload: { query: '{ viewer { nick } }' } })
      await eventually(() => messages.filter(({ type }) => type === 'complete').length === count)
    }
    send(subscribe('again'))
    await eventually(() => liveMembers(app) === 1)
    send({ id: 'again', type: 'complete' })
    await eventually(() => app.state().live.operations === 0)
    send(subscribe('again'))
    await eventually(() => liveMembers(app) === 1)
  })

  test('completing an unknown operation, and unsolicited pongs, change nothing', async () => {
    const { send, messages, init: introduce } = await open()
    await introduce()
    send({ id: 'nothing', type: 'complete' })
    send({ type: 'pong' })
    send({ type: 'ping' })
    await eventually(() => messages.some(({ type }) => type === 'pong'))
  })

  test('at most 100 operations run on one socket', async () => {
    const { send, messages, init: introduce, socket } = await open()
    await introduce()
    for (let index = 0; index < 101; index += 1) send(subscribe(String(index)))
    await eventually(() => messages.some(({ type }) => type === 'error'))
    expect(messages.find(({ type }) => type === 'error')).toMatchObject({
      id: '100',
      payload: [{ extensions: { code: 'LIMIT_EXCEEDED' } }],
    })
    await eventually(() => liveMembers(app) === 100)
    socket.close()
    await eventually(() => app.state().live.operations === 0)
  })

  test('texts of every length fit into frames', async () => {
    const { send, messages, init: introduce } = await open()
    await introduce()
    const lengths = [1, 60, 61, 62, 63, 64, 65, 100, 200, 300, 8096]
    send({
      id: 'live',
      type: 'subscribe',
      payload: {
        query:
          'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { ... on MessageAdded { message { ... on ChatMessage { content } } } } }',
      },
    })
    await eventually(() => liveMembers(app) === 1)
    for (const length of lengths) await say('é'.repeat(length))
    await eventually(() => messages.filter(({ type }) => type === 'next').length === lengths.length)
    const contents = messages.flatMap(({ payload, type }) =>
      type === 'next'
        ? [
            (payload as { data: { messageAdded: { message: { content: string } } } }).data.messageAdded
              .message.content,
          ]
        : [],
    )
    expect(contents.map(({ length }) => length)).toEqual(lengths)
  })
})
