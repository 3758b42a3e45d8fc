import { MessageChannel } from 'node:worker_threads'
import type { ExecutionResult } from 'graphql'
import { type Client, createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { type App, startApp } from '../../src/app.ts'
import type { BackendOptions } from '../../src/backend/server.ts'
import { type Config, readConfig } from '../../src/config.ts'
import type { Limits } from '../../src/graphql/document-limits.ts'
import type { EqualResultsOptions } from '../../src/graphql/equal-results.ts'
import { createLogger, type Logger } from '../../src/telemetry/log.ts'
import type { EqualBodiesOptions } from '../../src/upstream/equal-bodies.ts'
import type { UpstreamCall } from '../../src/upstream/http.ts'
import { basic, type Nick, startTestBackend, type TestBackend } from './backend.ts'
import { serviceToken } from './service-token.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Result = ExecutionResult<any, any>

export interface TestApp extends App {
  readonly backend: TestBackend
  /** Every call the gateway made to its upstream, oldest first; tests empty it where they begin to count. */
  readonly calls: UpstreamCall[]
  /** Executes an operation over HTTP as that person. */
  graphql(nick: Nick, query: string, variables?: Record<string, unknown>): Promise<Result>
  /** Subscribes over a socket of its own as that person. */
  subscribe(nick: Nick, query: string, variables?: Record<string, unknown>): Promise<Subscription>
}

export interface Subscription {
  /** The next result, or undefined when there are no more. */
  next(): Promise<Result | undefined>
  /** Leaves and closes the socket. */
  close(): Promise<void>
}

/** Whether the gateways of this run receive events over one service stream. Otherwise each principal has a stream. */
export const hasServiceStream = process.env['TEST_HUB'] === 'stream'

/** Whether calls to the upstream go over a message port. Otherwise they go over HTTP. */
const hasMessagePort = process.env['TEST_CALLS'] === 'port'

/** A gateway over a backend of its own, both on free ports. */
export async function startTestApp(
  options: {
    upstreamUrl?: string
    backend?: Partial<BackendOptions>
    /** Settings as in the environment; without them nothing is counted. */
    settings?: Readonly<Record<string, string>>
    interpretations?: number
    documentMsPerMinute?: number
    log?: Logger
    limits?: Partial<Limits>
    equalBodies?: EqualBodiesOptions
    equalResults?: EqualResultsOptions
  } = {},
): Promise<TestApp> {
  const { port1: upstreamPort, port2: gatewayPort } = new MessageChannel()
  const backend = await startTestBackend({ gatewayPort, ...options.backend })
  const upstreamUrl = options.upstreamUrl ?? backend.url
  const calls: UpstreamCall[] = []
  const things = backend.things === null ? {} : { FLOWTHINGS_API_URL: backend.things.url }
  const app = await startApp(testConfig(upstreamUrl, { ...things, ...options.settings }), {
    onUpstreamCall: (call) => calls.push(call),
    log: options.log ?? createLogger('silent'),
    ...(options.equalBodies === undefined ? {} : { equalBodies: options.equalBodies }),
    ...(options.equalResults === undefined ? {} : { equalResults: options.equalResults }),
    ...(hasMessagePort && options.upstreamUrl === undefined ? { upstreamPort } : {}),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.documentMsPerMinute === undefined
      ? {}
      : { documentMsPerMinute: options.documentMsPerMinute }),
    ...(options.interpretations === undefined ? {} : { interpretations: options.interpretations }),
  })

  return {
    ...app,
    get openStreams() {
      return app.openStreams
    },
    get dropSockets() {
      return app.dropSockets
    },
    backend,
    calls,
    graphql: async (nick, query, variables) =>
      post(app.url, { query, ...(variables === undefined ? {} : { variables }) }, await backend.token(nick)),
    async subscribe(nick, query, variables) {
      const client = socketClient(app.url, await backend.token(nick))
      return openSubscription(client, query, variables)
    },
    async close() {
      await app.close()
      await backend.close()
    },
  }
}

/** A gateway for another upstream, on a free port. */
export function testConfig(upstreamUrl: string, settings: Readonly<Record<string, string>> = {}): Config {
  return readConfig({
    ...{ PORT: '0', LOG_LEVEL: 'silent', FLOWDOCK_API_URL: upstreamUrl },
    ...{ CALLS_PER_MINUTE: '0', REQUESTS_PER_MINUTE: '0', REQUESTS_PER_MINUTE_PER_IP: '0' },
    // Tests keep the process busy that their gateway runs in.
    ...{ MAX_CONNECTIONS_PER_PRINCIPAL: '0', MAX_CONNECTIONS_PER_IP: '0', LOAD_SHEDDING: 'off' },
    ...(hasServiceStream ? { SERVICE_TOKEN: serviceToken } : {}),
    ...settings,
  })
}

/** Whether nobody subscribes. A service stream stays open for a while. */
export function isAtRest(app: Pick<App, 'state' | 'openStreams'>): boolean {
  return app.state().live.operations === 0 && (hasServiceStream || app.openStreams === 0)
}

/** How many streams are open where each of so many principals has one. */
export function streamsOf(principals: number): number {
  return hasServiceStream ? Math.min(principals, 1) : principals
}

/** How many subscriptions have caught up with what happens now. */
export function liveMembers({ state }: Pick<App, 'state'>): number {
  return state().live.groups.reduce((sum, { members }) => sum + members, 0)
}

/** Posts an operation as clients do. */
export async function post(
  url: string,
  body: unknown,
  token?: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Result> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...headers,
      ...(token === undefined ? {} : { authorization: basic(token) }),
    },
    body: JSON.stringify(body),
  })
  return (await response.json()) as Result
}

export function socketClient(url: string, token: string | undefined): Client {
  return createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    ...(token === undefined ? {} : { connectionParams: { Authorization: basic(token) } }),
  })
}

export function openSubscription(
  client: Client,
  query: string,
  variables?: Record<string, unknown>,
  extensions?: Record<string, unknown>,
): Subscription {
  const results = client.iterate({
    query,
    ...(variables === undefined ? {} : { variables }),
    ...(extensions === undefined ? {} : { extensions }),
  })
  return {
    async next() {
      const { done, value } = await results.next()
      return done === true ? undefined : (value as Result)
    },
    async close() {
      await results.return?.(undefined)
      await client.dispose()
    },
  }
}

/** Executes an operation over a socket of its own, as others are over HTTP. */
export async function executeOverSocket(
  url: string,
  token: string,
  query: string,
  variables?: Record<string, unknown>,
  extensions?: Record<string, unknown>,
): Promise<Result> {
  const subscription = openSubscription(socketClient(url, token), query, variables, extensions)
  try {
    return (await subscription.next()) ?? {}
  } catch (errors) {
    // The protocol's `error` message: the operation was refused before it ran.
    return { errors: errors as NonNullable<Result['errors']> }
  } finally {
    await subscription.close()
  }
}

/** Resolves when `check` holds; looks again at every turn of the event loop, and fails after five seconds. */
export async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error('It did not come true in five seconds')
    await new Promise(setImmediate)
  }
}

/** The place in the log of events that the cursor of an event names. */
export function placeIn(cursor: string): number {
  return Number(cursor.split('~')[0])
}
