import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createEventDecoder } from '../../src/upstream/flowdock/event-decoder.ts'
import { type LiveSourceOptions, openLiveStream } from '../../src/upstream/flowdock/live-stream.ts'
import type { FlowEvent } from '../../src/upstream/flowdock/model.ts'
import { createReconnects } from '../../src/upstream/flowdock/reconnects.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { eventually } from '../support/app.ts'
import { basic, startTestBackend } from '../support/backend.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

/** Lets everything through but what does not end, while it is blocked. */
async function startBlockingProxy(target: string) {
  const state = { isBlocked: false, url: '', streams: 0, questions: 0 }
  const open = new Set<() => void>()
  const server = createServer((incoming, response) => {
    const path = incoming.url ?? '/'
    const isEndless = path.startsWith('/stream/') && !path.includes('until=')
    if (isEndless && state.isBlocked) {
      response.writeHead(503).end()
      return
    }
    if (isEndless) {
      state.streams += 1
      const cut = () => response.destroy()
      open.add(cut)
      response.on('close', () => open.delete(cut))
    } else if (path.includes('until=')) state.questions += 1
    const outgoing = forward(
      `${target}${path}`,
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
        answer.on('error', () => response.destroy())
      },
    )
    outgoing.on('error', () => response.destroy())
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return Object.assign(state, {
    block() {
      state.isBlocked = true
      for (const cut of open) cut()
    },
  })
}

test('an upstream whose streams are blocked is polled: all events are delivered, once and in order, and the status says so', async () => {
  const backend = await startTestBackend()
  onTestFinished(backend.close)
  const proxy = await startBlockingProxy(backend.url)
  const http = createHttp({ deadlineMs: 5000, maxBytes: 1024 * 1024, connections: 8 })
  onTestFinished(() => http.close())
  const credential = parseAuthorization(basic(await backend.token('Ada')))
  if (credential === null) throw new Error('That is no credential')
  const events: FlowEvent[] = []
  const opened = Promise.withResolvers<void>()
  const source = openLiveStream({
    ...{ http, credential, restUrl: proxy.url, streamUrl: `${proxy.url}/stream` },
    ...{ reconnects: createReconnects(1000), decoder: createEventDecoder(), pollEveryMs: 50, pollAfter: 2 },
    onOpen: () => opened.resolve(),
    onEvent: (event) => events.push(event),
    onFlowsChanged: () => undefined,
    onEnd: (error) => expect.unreachable(String(error)),
  })
  onTestFinished(() => source.close())
  const contents = () =>
    events.flatMap((event) =>
      event.type === 'message' && event.message.kind === 'ChatMessage' ? [event.message.content] : [],
    )
  const states = () => events.flatMap((event) => (event.type === 'status' ? [event.state] : []))
  let said = 0
  const say = async () => {
    said += 1
    const path = '/flows/example/main/messages'
    await backend.as('Ben')('POST', path, { event: 'message', content: String(said) })
  }
  await opened.promise
  await say()
  await eventually(() => contents().length === 1)
  proxy.block()
  await say()
  await eventually(() => states().at(-1) === 'polling')
  await say()
  await eventually(() => contents().length === 3)
  expect(source.status()).toMatchObject({ state: 'polling' })
  proxy.isBlocked = false
  await eventually(async () => {
    await say()
    return states().at(-1) === 'live'
  })
  const questions = proxy.questions
  await say()
  await eventually(() => contents().length === said)
  expect(contents()).toEqual(Array.from({ length: said }, (_, index) => String(index + 1)))
  expect(states()).toEqual(['catchingUp', 'polling', 'live'])
  expect(proxy.questions).toBe(questions)
  expect(proxy.streams).toBe(2)
})

/** A scripted upstream with two flows, of user 7, and what the gateway receives of it. */
async function startScripted(
  capabilities: readonly string[],
  stream: (request: IncomingMessage, response: ServerResponse, number: number) => void,
  {
    position = '10',
    isPublic = false,
    isForgetful = false,
    flows = () => ['one', 'two'],
    ...options
  }: {
    /** Where the log is when a stream opens; null where the upstream does not say it. */
    position?: string | null
    /** Whether the credential may not receive private events. */
    isPublic?: boolean
    /** Whether no event can be resumed after. */
    isForgetful?: boolean
    flows?: () => readonly string[] | Promise<readonly string[]>
  } & Pick<Partial<LiveSourceOptions>, 'waitingLimits'> = {},
) {
  const flow = (id: string) => ({
    ...{ id, parameterized_name: id, name: id, joined: true },
    organization: { id: 1, parameterized_name: 'acme', name: 'Acme' },
  })
  let streams = 0
  const upstream = await startScriptedUpstream((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x')
    response.setHeader('flowdock-user', '7')
    if (pathname === '/stream/flows') {
      if (isPublic && searchParams.has('user')) return answerJson(response, 403, { message: 'no scope' })
      if (isForgetful && request.headers['last-event-id'] !== undefined) return answerJson(response, 410, {})
      streams += 1
      response.setHeader('content-type', 'text/event-stream')
      if (position !== null) response.setHeader('flowdock-event-id', position)
      // In one piece, so that what is written at once has arrived when the stream is open.
      response.cork()
      response.write(':\n')
      stream(request, response, streams)
      response.uncork()
    } else if (pathname !== '/flows') answerJson(response, 200, { extensions: capabilities })
    else if (searchParams.has('users')) {
      response.writeHead(200, { 'content-type': 'application/json' }).end('[{"id":')
    } else void Promise.resolve(flows()).then((ids) => answerJson(response, 200, ids.map(flow)))
  })
  const http = createHttp({ deadlineMs: 5000, maxBytes: 1024 * 1024, connections: 8 })
  onTestFinished(() => http.close())
  const credential = parseAuthorization('Bearer token')
  if (credential === null) throw new Error('That is no credential')
  const events: FlowEvent[] = []
  let ended: unknown
  let flowIds: ReadonlySet<string> = new Set()
  const source = openLiveStream({
    ...{ http, credential, restUrl: upstream.url, streamUrl: `${upstream.url}/stream` },
    ...{ reconnects: createReconnects(1000), decoder: createEventDecoder(), ...options },
    onOpen(ids) {
      flowIds = ids
    },
    onEvent: (event) => events.push(event),
    onFlowsChanged: () => undefined,
    onEnd: (error) => {
      ended = error
    },
  })
  onTestFinished(() => source.close())
  const asked = () =>
    upstream.requests
      .filter(({ url }) => url.startsWith('/stream/'))
      .map(({ url, headers }) => [
        new URL(url, 'http://x').searchParams.get('filter'),
        headers['last-event-id'],
      ])
  const paths = () => upstream.requests.map(({ url }) => new URL(url, 'http://x').pathname)
  return { events, asked, paths, source, flowIds: () => [...flowIds], ended: () => ended }
}

test('a stream that follows its user is open before the flows are listed, and its events meanwhile are not lost', async () => {
  const { events, paths } = await startScripted(['follow-flows'], (_, response) => {
    response.write(told(11, 'one', 'message', 'first'))
  })
  await eventually(() => events.some(({ type }) => type === 'message'))
  expect(paths().filter((path) => path.endsWith('/flows'))).toEqual(['/stream/flows', '/flows', '/flows'])
})

const told = (id: number, flow: string, event: string, content: unknown) =>
  `id: ${id}\ndata: ${JSON.stringify({ id, flow, event, content, sent: id, user: '1', tags: [], app: 'chat' })}\n\n`

test.each([
  ['that follows its user', ['follow-flows'], '*'],
  ['that does not', [], 'two'],
])(
  'after an event that names its user, nothing more of the stream of then is believed: upstream %s',
  async (_, capabilities, filter) => {
    const { events, asked } = await startScripted(capabilities, (_, response, number) => {
      if (number > 1) return void response.write(told(13, 'two', 'message', 'allowed'))
      // In one piece, so that all of it is there already when the first is read.
      response.write(
        told(11, 'one', 'backend.user.block', '7') + told(12, 'one', 'message', 'told by mistake'),
      )
    })
    await eventually(() => events.some(({ type }) => type === 'message'))
    expect(events.flatMap((event) => (event.type === 'status' ? [event.state] : [event.cursor]))).toEqual([
      ...['11', 'catchingUp', 'live', '13'],
    ])
    expect(asked()[1]).toEqual([filter, '11'])
  },
)

test('an event about another user leaves the stream as it is', async () => {
  const { events, asked } = await startScripted([], (_, response) => {
    response.write(told(11, 'one', 'backend.user.block', '8') + told(12, 'one', 'message', 'x'))
  })
  await eventually(() => events.length === 2)
  expect(asked()).toHaveLength(1)
})

test('an event that every connection and every poll breaks off in is stepped over in the end', async () => {
  const { events, asked } = await startScripted(['follow-flows'], (request, response, number) => {
    if (request.headers['last-event-id'] === '12') {
      response.write(told(13, 'one', 'message', 'after it'))
      if (request.url?.includes('until=')) response.end('event: finished\ndata: {}\n\n')
      return
    }
    response.write(`${number === 1 ? told(11, 'one', 'message', 'before it') : ''}id: 12\ndata: {"eve`, () =>
      response.destroy(),
    )
  })
  await eventually(() => events.some(({ cursor }) => cursor === '13'))
  expect(events.flatMap((event) => (event.type === 'status' ? [] : [[event.type, event.cursor]]))).toEqual([
    ['message', '11'],
    ['gap', '12'],
    ['message', '13'],
  ])
  expect(asked().filter(([, after]) => after === '11').length).toBeLessThanOrEqual(3)
})

const contentsOf = (events: readonly FlowEvent[]) =>
  events.flatMap((event) =>
    event.type === 'message' && event.message.kind === 'ChatMessage' ? [event.message.content] : [],
  )
const statesOf = (events: readonly FlowEvent[]) =>
  events.flatMap((event) => (event.type === 'status' ? [event.state] : []))

test.each([
  ['events', { events: 2, bytes: 10_000 }],
  ['bytes', { events: 100, bytes: 300 }],
])(
  'past the limit of %s that may wait for the list of flows, all of them are requested again',
  async (_, waitingLimits) => {
    const sent = Promise.withResolvers<void>()
    const all = [11, 12, 13, 14].map((id) => told(id, 'one', 'message', String(id)))
    const { events, asked } = await startScripted(
      ['follow-flows'],
      (request, response, number) => {
        response.write(all.join(''))
        if (number === 1) response.write(': all\n\n', () => sent.resolve())
        else expect(request.headers['last-event-id']).toBe('10')
      },
      {
        waitingLimits,
        // By the time it has arrived the events have, too: they were sent before.
        flows: () => sent.promise.then(() => ['one', 'two']),
      },
    )
    await eventually(() => contentsOf(events).length === 4)
    expect(contentsOf(events)).toEqual(['11', '12', '13', '14'])
    expect(events.filter(({ type }) => type === 'gap')).toEqual([])
    expect(asked().map(([, after]) => after)).toEqual([undefined, '10'])
  },
)

test('where the upstream does not say its position, that is a gap, and the flows are listed again', async () => {
  let lists = 0
  const { events, flowIds } = await startScripted(
    ['follow-flows'],
    (_, response, number) => {
      if (number > 1) return
      response.write([11, 12, 13].map((id) => told(id, 'one', 'message', 'x')).join(''))
    },
    {
      ...{ position: null, waitingLimits: { events: 2, bytes: 10_000 } },
      flows: () => (lists++ === 0 ? ['one', 'two'] : ['one', 'three']),
    },
  )
  await eventually(() => statesOf(events).at(-1) === 'live')
  expect(events.map(({ type }) => type)).toEqual(['status', 'gap', 'status'])
  expect(flowIds()).toEqual(['one'])
})

test('a stream without private events that opens again is live once its flows are listed again', async () => {
  const cut = Promise.withResolvers<void>()
  const listed = Promise.withResolvers<void>()
  let lists = 0
  const { events, flowIds, paths, source } = await startScripted(
    ['follow-flows'],
    (_, response, number) => {
      if (number === 1) void cut.promise.then(() => response.destroy())
      else response.write(told(11, 'one', 'message', 'after the cut'))
    },
    {
      isPublic: true,
      async flows() {
        lists += 1
        if (lists === 1) return ['one', 'two']
        await listed.promise
        return ['one', 'three']
      },
    },
  )
  await eventually(() => source.status().type === 'status' && flowIds().length === 2)
  expect(source.receivesPrivate()).toBe(false)
  cut.resolve()
  await eventually(() => lists === 2 && contentsOf(events).length === 1)
  expect(source.status()).toMatchObject({ state: 'catchingUp' })
  expect(flowIds()).toEqual(['one', 'two'])
  listed.resolve()
  await eventually(() => statesOf(events).at(-1) === 'live')
  expect(flowIds()).toEqual(['one'])
  expect(paths().filter((path) => path === '/stream/flows')).toHaveLength(3)
})

test('what the upstream has forgotten may name flows, so they are listed again', async () => {
  let lists = 0
  const { events, flowIds } = await startScripted(
    ['follow-flows'],
    (_, response, number) => {
      if (number > 1) return
      response.write(told(11, 'one', 'message', 'before'), () => response.destroy())
    },
    {
      flows: () => (lists++ === 0 ? ['one', 'two'] : ['one', 'three']),
      isForgetful: true,
    },
  )
  await eventually(() => events.some(({ type }) => type === 'gap') && flowIds().length === 1)
  expect(flowIds()).toEqual(['one'])
})
