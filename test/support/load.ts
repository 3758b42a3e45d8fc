import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import { startApp } from '../../src/app.ts'
import { testConfig } from './app.ts'
import { basic, call, makeFolder } from './backend.ts'
import { overWebSocket } from './live-client.ts'
import { type RunningProcess, runShell } from './process.ts'
import { serviceToken } from './service-token.ts'
import { openRawStream } from './stream.ts'

/* Backends as processes, what reads from them, and what writes to them while something fails. */

export const demoToken = '0123456789abcdef'.repeat(2)
const authorization = basic(demoToken)

/** A backend or a gateway. */
export interface ServerProcess extends RunningProcess {
  readonly url: string
}

/**
 * Starts a backend as a process, so that it can be killed.
 *
 * @param command runs the program that follows it
 */
export async function startBackendProcess(
  databaseUrl: string,
  settings: Record<string, string> = {},
  command: readonly string[] = [],
): Promise<ServerProcess> {
  const environment = {
    ...{ BACKEND_PORT: '0', DATA_DIR: await makeFolder(), FLOWDOCK_DEMO_TOKEN: demoToken },
    ...{ DATABASE_URL: databaseUrl, SERVICE_TOKEN: serviceToken, LOG_LEVEL: 'warn' },
    ...{ REQUESTS_PER_MINUTE: '0', MAX_CONNECTIONS_PER_PRINCIPAL: '0', ...settings },
  }
  const program = [...command, process.execPath, 'src/main.ts', 'backend']
  const running = runShell(program.join(' '), environment)
  const [, url = ''] = await running.until(/Flowdock API (http:\S+)/)
  return { ...running, url }
}

export interface Received {
  readonly id: number
  readonly content: string
}

export interface Follower {
  readonly received: readonly Received[]
  /** How often it was connected. */
  readonly connections: number
}

/** Reads the stream of a flow, and goes on after the last id at any backend that responds. It ends with the test. */
export function follow(urls: () => readonly string[], offset: number): Follower {
  const received: Received[] = []
  const stopping = new AbortController()
  const { signal } = stopping
  let connections = 0

  async function read(): Promise<void> {
    for (let attempt = offset; !signal.aborted; attempt += 1) {
      const all = urls()
      const url = all[attempt % all.length]
      const last = received.at(-1)?.id
      const headers = {
        ...{ authorization, accept: 'text/event-stream' },
        ...(last === undefined ? {} : { 'last-event-id': String(last) }),
      }
      const stream = await openRawStream(`${url}/stream/flows?filter=example/main`, headers).catch(
        () => undefined,
      )
      if (stream === undefined) continue
      if (stream.status === 200) connections += 1
      const stop = () => stream.close()
      signal.addEventListener('abort', stop)
      if (signal.aborted) stop()
      let taken = 0
      const take = () => {
        const end = stream.text.lastIndexOf('\n\n') + 2
        for (const [, id, json = ''] of stream.text.slice(taken, end).matchAll(/^id: (\d+)\ndata: (.*)$/gm)) {
          const { event, content } = JSON.parse(json)
          if (event === 'message') received.push({ id: Number(id), content })
        }
        taken = Math.max(taken, end)
      }
      const polling = setInterval(take, 5)
      await stream.ended
      clearInterval(polling)
      take()
      signal.removeEventListener('abort', stop)
    }
  }

  const reading = read()
  onTestFinished(async () => {
    stopping.abort()
    await reading
  })
  return {
    received,
    get connections() {
      return connections
    },
  }
}

export interface Subscriber {
  /** The contents of messages, and `gap` for each gap, in the order of their delivery. */
  readonly delivered: readonly string[]
  /** Whether it was told that events are delivered as they happen. */
  readonly isLive: boolean
  /** Why its sockets and subscriptions ended. */
  readonly endings: readonly string[]
}

/** A subscription over a WebSocket of a gateway, which resumes after its last cursor when it ends. It ends with the test. */
export function subscribe(url: string): Subscriber {
  const delivered: string[] = []
  const endings: string[] = []
  const stopping = new AbortController()
  const { signal } = stopping
  let isLive = false
  let after: string | null = null

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const client = overWebSocket({
        ...{ url, token: demoToken, variables: { after } },
        query: `subscription ($after: String) {
          flowEvents(input: { flows: [{ path: "example/main" }], after: $after, includeStatus: true }) {
            __typename cursor ... on StreamStatus { state } ... on MessageAdded { message { ... on ChatMessage { content } } }
        } }`,
        onResult({ data, errors }) {
          const event = data?.flowEvents
          if (errors !== undefined) endings.push(String(errors[0]?.message))
          if (event === undefined || event === null) return
          if (event.__typename === 'StreamStatus') isLive = event.state === 'LIVE'
          else after = event.cursor
          if (event.__typename === 'Gap') delivered.push('gap')
          else if (event.__typename === 'MessageAdded') delivered.push(event.message.content)
        },
      })
      signal.addEventListener('abort', client.close)
      endings.push(await client.ended)
      signal.removeEventListener('abort', client.close)
      client.close()
      isLive = false
      await sleep(100, undefined, { signal }).catch(() => undefined)
    }
  }

  const running = run()
  onTestFinished(async () => {
    stopping.abort()
    await running
  })
  return {
    delivered,
    endings,
    get isLive() {
      return isLive
    },
  }
}

/** A gateway for backends at a URL, over their service stream. It ends with the test. */
export async function startGateway(backendUrl: string): Promise<string> {
  const app = await startApp(testConfig(backendUrl, { SERVICE_TOKEN: serviceToken }))
  onTestFinished(app.close)
  return app.url
}

/** How long a client waits for a response. */
const patienceMs = 15_000

/** The same as a process, so that it can be killed. */
export async function startGatewayProcess(backendUrl: string): Promise<ServerProcess> {
  const running = runShell(`${process.execPath} src/main.ts serve`, {
    ...{ PORT: '0', FLOWDOCK_API_URL: backendUrl, SERVICE_TOKEN: serviceToken, LOG_LEVEL: 'warn' },
    ...{ CALLS_PER_MINUTE: '0', MAX_CONNECTIONS_PER_PRINCIPAL: '0', LOAD_SHEDDING: 'off' },
  })
  const [, url = ''] = await running.until(/GraphQL +(http:\/\/[^/\s]+)/)
  return { ...running, url }
}

/** Sends one message, once. @returns the status; undefined when there is no response */
export async function send(
  url: string,
  content: string,
  uuid: string = randomUUID(),
): Promise<number | undefined> {
  const response = await fetch(`${url}/flows/example/main/messages`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ event: 'message', content, uuid }),
    signal: AbortSignal.timeout(patienceMs),
  }).catch(() => undefined)
  await response?.text().catch(() => undefined)
  return response?.status
}

export interface Load {
  /** How many messages were acknowledged. */
  readonly sent: number
  /** How many attempts were refused, or got no response. */
  readonly refused: number
  /** The messages that were begun. */
  readonly contents: readonly string[]
  /** Resolves when this many messages were acknowledged. */
  reaches(count: number): Promise<void>
  /** Resolves when all that were begun are acknowledged, and begins no more. */
  stop(): Promise<void>
}

/** Sends messages, each until it is acknowledged. Its uuid keeps a second attempt from storing it twice. */
export function startLoad(
  urls: () => readonly string[],
  { most = Number.POSITIVE_INFINITY, everyMs = 0 }: { most?: number; everyMs?: number } = {},
): Load {
  const contents: string[] = []
  let sent = 0
  let refused = 0
  let isStopped = false
  let isOver = false
  onTestFinished(() => {
    isOver = true
  })

  async function sendNext(): Promise<void> {
    const content = `message ${contents.length}`
    let attempt = contents.push(content)
    const uuid = randomUUID()
    for (; !isOver; attempt += 1) {
      const all = urls()
      const status = await send(all[attempt % all.length] ?? '', content, uuid)
      if (status !== undefined && status < 300) break
      refused += 1
      await sleep(20)
    }
    sent += 1
  }

  const sending = Promise.all(
    Array.from({ length: 8 }, async () => {
      while (contents.length < most && !isStopped && !isOver) {
        await sendNext()
        if (everyMs > 0) await sleep(everyMs)
      }
    }),
  )
  return {
    contents,
    get sent() {
      return sent
    },
    get refused() {
      return refused
    },
    reaches: (count) =>
      expect.poll(() => sent, { interval: 5, timeout: 60_000 }).toBeGreaterThanOrEqual(count),
    async stop() {
      isStopped = true
      await sending
    },
  }
}

/** Waits until every reader has the last stored message, and compares what each received with what was sent. */
export async function expectEachOnceInOrder(
  url: string,
  { contents }: Pick<Load, 'contents'>,
  readers: { followers?: readonly Follower[]; subscribers?: readonly Subscriber[] },
): Promise<void> {
  const { followers = [], subscribers = [] } = readers
  const path = `${url}/flows/example/main/messages?event=message&limit=100`
  const { json } = await call(path, 'GET', { authorization })
  const last = json.at(-1).content
  const hasLast = () =>
    followers.every(({ received }) => received.at(-1)?.content === last) &&
    subscribers.every(({ delivered }) => delivered.at(-1) === last)
  await expect.poll(hasLast).toBe(true)
  const [first] = followers
  for (const { received } of followers) {
    const ids = received.map(({ id }) => id)
    expect(ids).toEqual([...new Set(ids)].toSorted((one, other) => one - other))
    expect(received).toEqual(first?.received)
  }
  const order = first?.received.map(({ content }) => content)
  for (const { delivered } of subscribers) expect(delivered).toEqual(order)
  expect(order?.toSorted()).toEqual(contents.toSorted())
}
