import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ConcurrencyState } from '../traffic/adaptive-concurrency.ts'
import type { ClosedTcpConnection } from '../traffic/tcp-connections.ts'

/** The present values of gauges and totals. */
export interface LiveFigures {
  readonly sources: readonly {
    readonly subscriptions: number
    readonly borrowers: number
    readonly isOpen: boolean
  }[]
  readonly live: {
    readonly operations: number
    readonly groups: readonly { readonly members: number; readonly isShared: boolean }[]
  }
  readonly tcpConnections: number
  readonly sockets: number
  readonly streamingResponses: number
  readonly waitingBytes: number
  readonly upstream: {
    readonly openBreakers: readonly string[]
    readonly retries: number
    readonly refusals: number
  }
  readonly load: ConcurrencyState
  readonly responseCache: { readonly kept: number; readonly found: number } | null
  readonly backendRestarts: number
}

/** Counters and gauges in the text format of Prometheus. No label depends on the principal. */
export interface Metrics {
  operation(operation: {
    readonly kind: string
    readonly name: string | undefined
    /** `OK`, or the code of its first error. */
    readonly code: string
    readonly durationMs: number
  }): void
  refusal(code: string): void
  subscriptionEnd(reason: string): void
  /** @param status 0 when the client left before the response */
  response(status: number): void
  connectionLimit(closed: ClosedTcpConnection): void
  /** @param status undefined without a response */
  upstreamCall(call: {
    readonly method: string
    readonly route: string
    readonly status: number | undefined
    readonly durationMs: number
  }): void
  /** @param figures the present values */
  print(figures: LiveFigures): Promise<string>
}

/** The most names of operations that become labels, because clients choose the names. */
const maxNames = 100
const prefix = 'flowdock_gateway_'
const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createMetrics(): Metrics {
  const register = new Registry()
  collectDefaultMetrics({ register })
  const registers = [register]
  const names = new Set<string>()
  const operations = new Counter({
    name: `${prefix}operations_total`,
    help: 'Operations by kind, by name (of the first hundred), and by the code of their first error',
    labelNames: ['kind', 'name', 'code'],
    registers,
  })
  const durations = new Histogram({
    name: `${prefix}operation_duration_seconds`,
    help: 'How long operations took; subscriptions, until they stood',
    labelNames: ['kind'],
    buckets: seconds,
    registers,
  })
  const refusals = new Counter({
    name: `${prefix}document_refusals_total`,
    help: 'Documents that were not executed, by code',
    labelNames: ['code'],
    registers,
  })
  const ends = new Counter({
    name: `${prefix}subscription_ends_total`,
    help: 'Subscriptions that ended, by why',
    labelNames: ['reason'],
    registers,
  })
  const responses = new Counter({
    name: `${prefix}http_responses_total`,
    help: 'Answers over HTTP by status; 0 for clients that left before',
    labelNames: ['status'],
    registers,
  })
  const closedConnections = new Counter({
    name: `${prefix}tcp_connections_closed_total`,
    help: 'TCP connections that were closed because a limit was reached: of one IP address (ip) or in all (all); idle ones, or new ones while all others were in use',
    labelNames: ['limit', 'state'],
    registers,
  })
  const calls = new Counter({
    name: `${prefix}upstream_calls_total`,
    help: 'Calls to the upstream by route and status; 0 when no answer came',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const callDurations = new Histogram({
    name: `${prefix}upstream_call_duration_seconds`,
    help: 'How long calls to the upstream took',
    labelNames: ['route'],
    buckets: seconds,
    registers,
  })
  const print = createLiveGauges(register)

  function nameOf(name: string | undefined): string {
    if (name === undefined) return '(anonymous)'
    if (names.has(name)) return name
    if (names.size >= maxNames) return '(other)'
    names.add(name)
    return name
  }

  return {
    operation({ kind, name, code, durationMs }) {
      operations.inc({ kind, name: nameOf(name), code })
      durations.observe({ kind }, durationMs / 1000)
    },
    refusal: (code) => refusals.inc({ code }),
    subscriptionEnd: (reason) => ends.inc({ reason }),
    response: (status) => responses.inc({ status }),
    connectionLimit: ({ limit, state }) => closedConnections.inc({ limit, state }),
    upstreamCall({ method, route, status, durationMs }) {
      calls.inc({ method, route, status: status ?? 0 })
      callDurations.observe({ route }, durationMs / 1000)
    },
    async print(figures) {
      print(figures)
      return register.metrics()
    },
  }
}

/** Creates the gauges and totals. @returns a function that sets them */
function createLiveGauges(register: Registry): (figures: LiveFigures) => void {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  const open = ({ sources }: LiveFigures) => sources.filter(({ isOpen }) => isOpen).length
  const gauges: [name: string, help: string, value: (figures: LiveFigures) => number][] = [
    [
      'upstream_breaker_open',
      'Pages of the upstream, or whole upstreams, whose circuit breaker is open because they keep failing',
      ({ upstream }) => upstream.openBreakers.length,
    ],
    ['upstream_streams', 'Streams to the upstream that are open', open],
    [
      'upstream_streams_opening',
      'Streams to the upstream that are not open yet',
      (figures) => figures.sources.length - open(figures),
    ],
    [
      'upstream_stream_subscriptions',
      'Subscriptions that are fed by them',
      ({ sources }) => sum(sources.map(({ subscriptions }) => subscriptions)),
    ],
    [
      'upstream_stream_borrowers',
      'Those of them fed by the stream of somebody else',
      ({ sources }) => sum(sources.map(({ borrowers }) => borrowers)),
    ],
    ['subscriptions', 'Subscriptions that are running', ({ live }) => live.operations],
    [
      'subscriptions_live',
      'Those of them that have caught up with what happens now',
      ({ live }) => sum(live.groups.map(({ members }) => members)),
    ],
    ['subscription_groups', 'Groups of them that are executed together', ({ live }) => live.groups.length],
    [
      'subscription_groups_shared',
      'Those groups that reach across callers',
      ({ live }) => live.groups.filter(({ isShared }) => isShared).length,
    ],
    ['tcp_connections', 'TCP connections that are open', ({ tcpConnections }) => tcpConnections],
    ['sockets', 'WebSockets that are open', ({ sockets }) => sockets],
    [
      'live_responses',
      'Answers over SSE and multipart that are open',
      ({ streamingResponses }) => streamingResponses,
    ],
    [
      'waiting_bytes',
      'What waits for slow readers of sockets; what several wait for counts for each',
      ({ waitingBytes }) => waitingBytes,
    ],
    ['in_flight', 'Operations that are being answered', ({ load }) => load.inFlight],
    ['in_flight_limit', 'How many may be at this moment', ({ load }) => load.limit],
    ['waiting', 'Operations that wait for their turn', ({ load }) => load.waiting],
    ['event_loop_delay_seconds', 'How late the event loop was last', ({ load }) => load.delayMs / 1000],
  ]
  const totals: [name: string, help: string, value: (figures: LiveFigures) => number][] = [
    [
      'upstream_retries_total',
      'Reads that were made again because they failed',
      ({ upstream }) => upstream.retries,
    ],
    [
      'upstream_refusals_total',
      'Calls that were not made because the upstream was left alone',
      ({ upstream }) => upstream.refusals,
    ],
    [
      'kept_answers_total',
      'Answers that were kept, for when nothing happens',
      ({ responseCache }) => responseCache?.kept ?? 0,
    ],
    [
      'kept_answers_given_total',
      'Answers that were given again because nothing had happened',
      ({ responseCache }) => responseCache?.found ?? 0,
    ],
    [
      'backend_restarts_total',
      'Restarts of the embedded backend because its thread stopped or hung',
      ({ backendRestarts }) => backendRestarts,
    ],
    ['overload_refusals_total', 'Operations that were turned away at once', ({ load }) => load.refusals],
  ]
  const registers = [register]
  const setters = [
    ...gauges.map(([name, help, value]) => {
      const gauge = new Gauge({ name: prefix + name, help, registers })
      return (figures: LiveFigures) => gauge.set(value(figures))
    }),
    ...totals.map(([name, help, value]) => {
      const counter = new Counter({ name: prefix + name, help, registers })
      let reported = 0
      return (figures: LiveFigures) => {
        const now = value(figures)
        counter.inc(now - reported)
        reported = now
      }
    }),
  ]
  return (figures) => {
    for (const set of setters) set(figures)
  }
}
