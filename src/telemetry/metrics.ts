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
  readonly serviceStream: {
    readonly principals: { readonly proving: number; readonly waiting: number; readonly held: number }
    readonly readers: { readonly waiting: number; readonly replaying: number }
    readonly proofs: { readonly underWay: number; readonly waiting: number }
    readonly position: number | null
    readonly log: { readonly events: number; readonly bytes: number }
    readonly directory: number
  } | null
  readonly live: {
    readonly operations: number
    readonly deliveries: number
    readonly groups: readonly { readonly members: number; readonly isShared: boolean }[]
  }
  readonly tcpConnections: number
  readonly sockets: number
  readonly streamingResponses: number
  readonly waitingBytes: number
  /** Open sockets to flowthings. */
  readonly dropSockets: number
  readonly upstream: {
    readonly openBreakers: readonly string[]
    readonly retries: number
    readonly refusals: number
  }
  readonly load: ConcurrencyState
  readonly responseCache: { readonly stores: number; readonly hits: number } | null
  readonly backendRestarts: number
  /** Tasks of flowthings that the embedded backend runs. */
  readonly tasks: {
    readonly running: number
    readonly failing: number
    readonly received: number
    readonly sent: number
    readonly refused: number
  } | null
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
  /** @param ageMs how old an event was when the gateway received it */
  eventAge(ageMs: number): void
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
    help: 'Operations by kind, by name (of the first 100 names), and by the code of their first error',
    labelNames: ['kind', 'name', 'code'],
    registers,
  })
  const durations = new Histogram({
    name: `${prefix}operation_duration_seconds`,
    help: 'Duration of operations; of subscriptions, until they were open',
    labelNames: ['kind'],
    buckets: seconds,
    registers,
  })
  const refusals = new Counter({
    name: `${prefix}document_refusals_total`,
    help: 'Rejected documents by code',
    labelNames: ['code'],
    registers,
  })
  const ends = new Counter({
    name: `${prefix}subscription_ends_total`,
    help: 'Ended subscriptions by reason',
    labelNames: ['reason'],
    registers,
  })
  const ages = new Histogram({
    name: `${prefix}event_age_seconds`,
    help: 'Age of events of the service stream when they were received, by the clocks of backend and gateway; without those that were caught up with',
    buckets: seconds,
    registers,
  })
  /** Responses by status since metrics were last printed. Looking up labels is a part of what a refusal costs. */
  const responsesSince = new Map<number, number>()
  const responses = new Counter({
    name: `${prefix}http_responses_total`,
    help: 'HTTP responses by status; 0 for clients that left before the response',
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
    help: 'Calls to the upstream by route and status; 0 without a response',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const callDurations = new Histogram({
    name: `${prefix}upstream_call_duration_seconds`,
    help: 'Duration of calls to the upstream',
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
    eventAge: (ageMs) => ages.observe(Math.max(0, ageMs) / 1000),
    response: (status) => void responsesSince.set(status, (responsesSince.get(status) ?? 0) + 1),
    connectionLimit: ({ limit, state }) => closedConnections.inc({ limit, state }),
    upstreamCall({ method, route, status, durationMs }) {
      calls.inc({ method, route, status: status ?? 0 })
      callDurations.observe({ route }, durationMs / 1000)
    },
    async print(figures) {
      print(figures)
      for (const [status, count] of responsesSince) responses.inc({ status }, count)
      responsesSince.clear()
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
      'Open circuit breakers: pages of the upstream that keep failing, or the whole upstream',
      ({ upstream }) => upstream.openBreakers.length,
    ],
    ['upstream_streams', 'Open upstream streams', open],
    [
      'upstream_streams_opening',
      'Upstream streams that are not open yet',
      (figures) => figures.sources.length - open(figures),
    ],
    [
      'upstream_stream_subscriptions',
      'Subscriptions to upstream streams',
      ({ sources }) => sum(sources.map(({ subscriptions }) => subscriptions)),
    ],
    [
      'upstream_stream_borrowers',
      'Subscriptions to the upstream stream of another principal',
      ({ sources }) => sum(sources.map(({ borrowers }) => borrowers)),
    ],
    [
      'upstream_drop_sockets',
      'Sockets to flowthings that are open or being opened',
      ({ dropSockets }) => dropSockets,
    ],
    [
      'principals',
      'Principals whose rights follow the service stream',
      ({ serviceStream }) => serviceStream?.principals.held ?? 0,
    ],
    [
      'principals_waiting',
      'Principals whose rights are being proved',
      ({ serviceStream }) => {
        const { proving, waiting } = serviceStream?.principals ?? { proving: 0, waiting: 0 }
        return proving + waiting
      },
    ],
    [
      'proofs_waiting',
      'Proofs of rights that wait for others to complete',
      ({ serviceStream }) => serviceStream?.proofs.waiting ?? 0,
    ],
    [
      'event_position',
      'Number of the newest event that was received over the service stream; 0 without one',
      ({ serviceStream }) => serviceStream?.position ?? 0,
    ],
    [
      'event_log_events',
      'Events of the service stream in memory',
      ({ serviceStream }) => serviceStream?.log.events ?? 0,
    ],
    [
      'event_log_bytes',
      'Size of the events of the service stream in memory',
      ({ serviceStream }) => serviceStream?.log.bytes ?? 0,
    ],
    [
      'directory_entries',
      'Flows and users in memory for events of the service stream',
      ({ serviceStream }) => serviceStream?.directory ?? 0,
    ],
    [
      'subscriptions_waiting',
      'Subscriptions that wait for the rights of their principal',
      ({ serviceStream }) => serviceStream?.readers.waiting ?? 0,
    ],
    [
      'subscriptions_replaying',
      'Subscriptions that read from the upstream what is no longer in memory',
      ({ serviceStream }) => serviceStream?.readers.replaying ?? 0,
    ],
    ['subscriptions', 'Open subscriptions', ({ live }) => live.operations],
    [
      'subscriptions_live',
      'Live subscriptions, which are not catching up',
      ({ live }) => sum(live.groups.map(({ members }) => members)),
    ],
    [
      'subscription_groups',
      'Groups of subscriptions that are executed together',
      ({ live }) => live.groups.length,
    ],
    [
      'subscription_groups_shared',
      'Groups of subscriptions of several principals',
      ({ live }) => live.groups.filter(({ isShared }) => isShared).length,
    ],
    ['tasks', 'Tasks of flowthings that the embedded backend runs', ({ tasks }) => tasks?.running ?? 0],
    [
      'tasks_failing',
      'Those of them that do not reach their broker, or that are too many',
      ({ tasks }) => tasks?.failing ?? 0,
    ],
    ['tcp_connections', 'Open TCP connections', ({ tcpConnections }) => tcpConnections],
    ['sockets', 'Open WebSockets', ({ sockets }) => sockets],
    [
      'live_responses',
      'Open responses over SSE and multipart',
      ({ streamingResponses }) => streamingResponses,
    ],
    [
      'waiting_bytes',
      'Bytes that wait for slow readers of sockets; shared bytes count for each reader',
      ({ waitingBytes }) => waitingBytes,
    ],
    ['in_flight', 'Operations in flight', ({ load }) => load.inFlight],
    ['in_flight_limit', 'Limit of operations in flight', ({ load }) => load.limit],
    ['waiting', 'Queued operations', ({ load }) => load.waiting],
    [
      'event_loop_delay_seconds',
      'Delay of the event loop at the last sample',
      ({ load }) => load.delayMs / 1000,
    ],
  ]
  const totals: [name: string, help: string, value: (figures: LiveFigures) => number][] = [
    ['deliveries_total', 'Results of events that subscriptions were sent', ({ live }) => live.deliveries],
    ['upstream_retries_total', 'Retried reads', ({ upstream }) => upstream.retries],
    [
      'upstream_refusals_total',
      'Calls that were refused by a circuit breaker',
      ({ upstream }) => upstream.refusals,
    ],
    [
      'response_cache_stores_total',
      'Responses that were stored in the response cache',
      ({ responseCache }) => responseCache?.stores ?? 0,
    ],
    [
      'response_cache_hits_total',
      'Responses from the response cache',
      ({ responseCache }) => responseCache?.hits ?? 0,
    ],
    [
      'backend_restarts_total',
      'Restarts of the embedded backend because its thread stopped or hung',
      ({ backendRestarts }) => backendRestarts,
    ],
    [
      'task_messages_received_total',
      'Messages whose drops tasks of flowthings added',
      ({ tasks }) => tasks?.received ?? 0,
    ],
    ['task_messages_sent_total', 'Drops that tasks of flowthings sent', ({ tasks }) => tasks?.sent ?? 0],
    [
      'task_messages_refused_total',
      'Messages that made no drop, and drops that tasks did not send',
      ({ tasks }) => tasks?.refused ?? 0,
    ],
    [
      'overload_refusals_total',
      'Operations that were refused because of overload',
      ({ load }) => load.refusals,
    ],
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
