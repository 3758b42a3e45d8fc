import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import { type EmbeddedBackend, startBackend } from './backend/index.ts'
import { type Config, ConfigError, dataLocation } from './config.ts'
import { type Context, createContextFactory, type LiveEvents, type RecordedReads } from './context.ts'
import { GatewayError, RateLimitedError } from './errors.ts'
import { createChangeIds } from './events/change-ids.ts'
import { createBackgroundQueue } from './graphql/background-queue.ts'
import { defaultLimits, type Limits } from './graphql/document-limits.ts'
import { EqualResults, type EqualResultsOptions } from './graphql/equal-results.ts'
import { createExecutor } from './graphql/executor.ts'
import { createPersistedDocuments, readTrustedDocuments } from './graphql/persisted-documents.ts'
import { createResponseCache, type ResponseCache } from './graphql/response-cache.ts'
import { createFallbackLiveHub } from './live/fallback-live-hub.ts'
import type { ServiceStreamFigures, StreamState } from './live/live-hub.ts'
import { createPrincipalLiveHub } from './live/principal-live-hub.ts'
import { createStreamLiveHub } from './live/stream-live-hub.ts'
import { keepOperatorToken } from './operator-token.ts'
import { eventCursor, noCursor } from './resolvers/cursor.ts'
import type { LiveEvent } from './resolvers/live-event.ts'
import { id as messageId } from './resolvers/messages.ts'
import { printPossibleTypes, printSchemaFile, schema } from './schema/index.ts'
import { Secret } from './secret.ts'
import { createEngine } from './server/engine.ts'
import { type CredentialHeaders, loadGraphiql } from './server/http/graphiql.ts'
import { createOperatorCheck, createOriginPolicy, createPageKey } from './server/http/origin-policy.ts'
import { createRequestIds } from './server/http/request-id.ts'
import { startHttpServer } from './server/http/server.ts'
import { createOperationLog } from './server/operation-log.ts'
import { createSingleConnections } from './server/sse/single-connection.ts'
import { createStreamingResponses } from './server/sse/streaming-response.ts'
import { serveWebSockets } from './server/websocket/sockets.ts'
import { sleep } from './sleep.ts'
import { createFanOut, type FanOutState } from './subscriptions/fan-out.ts'
import { createLogger, type Logger } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { createRareWarning } from './telemetry/rare-warning.ts'
import { createReadiness } from './telemetry/readiness.ts'
import type { Tracing } from './telemetry/tracing.ts'
import { createTickets } from './tickets.ts'
import { type ConcurrencyState, createAdaptiveConcurrency } from './traffic/adaptive-concurrency.ts'
import { createAdmission } from './traffic/admission.ts'
import { bodyLimits, createBodyMemory } from './traffic/body-memory.ts'
import { clientAddress } from './traffic/client-address.ts'
import { createRateLimiter } from './traffic/rate-limiter.ts'
import { addHeaders } from './upstream/added-headers.ts'
import { createBulkhead } from './upstream/bulkhead.ts'
import { type CircuitBreaker, createCircuitBreaker } from './upstream/circuit-breaker.ts'
import { EqualBodies, type EqualBodiesOptions } from './upstream/equal-bodies.ts'
import { KnownCapabilities } from './upstream/flowdock/capabilities.ts'
import { basicAuthorization, createCredentialReader } from './upstream/flowdock/credentials.ts'
import { createEventDecoder } from './upstream/flowdock/event-decoder.ts'
import { createFileDownloads } from './upstream/flowdock/files.ts'
import { isOfFlow } from './upstream/flowdock/live-events.ts'
import { MessagePages } from './upstream/flowdock/message-pages.ts'
import type { FlowEvent } from './upstream/flowdock/model.ts'
import { createProofs } from './upstream/flowdock/proofs.ts'
import { createReconnects } from './upstream/flowdock/reconnects.ts'
import { routeOf } from './upstream/flowdock/route.ts'
import { createSingleFlight, type SingleFlight } from './upstream/flowdock/single-flight.ts'
import { createStreamTickets } from './upstream/flowdock/stream-tickets.ts'
import { createFileUploads } from './upstream/flowdock/uploads.ts'
import { requireThings, type ThingsUpstream } from './upstream/flowthings/calls.ts'
import type { DropEvent } from './upstream/flowthings/drop-events.ts'
import { createDropHub } from './upstream/flowthings/drop-hub.ts'
import { thingsRouteOf } from './upstream/flowthings/route.ts'
import { openDropSocket } from './upstream/flowthings/socket.ts'
import { createHttp, type Http, type UpstreamCall } from './upstream/http.ts'
import type { OwnBackend } from './upstream/port-dispatcher.ts'
import { createRetry } from './upstream/retry.ts'

export interface App {
  /** The URL that the gateway listens on, without a trailing slash. */
  readonly url: string
  /** The URL of the upstream's REST API. */
  readonly restUrl: string
  readonly streamUrl: string
  /** The demo user's token, when the embedded backend has one. */
  readonly demoToken: string | null
  /** The embedded server of the flowthings API. Null where it does not run. */
  readonly things: EmbeddedBackend['things']
  /** Gives GraphiQL the demo tokens where it is the `key` of the page's URL; null where GraphiQL is given none. */
  readonly pageKey: string | null
  /** The number of open upstream streams. */
  readonly openStreams: number
  /** The number of open sockets to flowthings. */
  readonly dropSockets: number
  /** The present state, for operators. */
  readonly state: () => AppState
  /** Stops: refuses new work, finishes requests in flight, closes sockets, then everything that they use. */
  close(): Promise<void>
}

export interface AppState {
  /** Streams to the upstream, and who sits at them. */
  readonly sources: readonly StreamState[]
  /** The stream for all principals; null where each has one. */
  readonly serviceStream: ServiceStreamFigures | null
  /** Subscriptions, and which of them are executed together. */
  readonly live: FanOutState
  readonly tcpConnections: number
  readonly sockets: number
  /** Open responses over SSE and multipart. */
  readonly streamingResponses: number
  /** Bytes that wait for slow readers of sockets. */
  readonly waitingBytes: number
  /** Open sockets to flowthings. */
  readonly dropSockets: number
  /** The circuit breakers, and the retries, of both upstreams. */
  readonly upstream: UpstreamState
  /** The response cache; null when it is off. */
  readonly responseCache: ReturnType<ResponseCache['state']> | null
  /** Operations in flight and queued, and the refused ones. */
  readonly load: ConcurrencyState
  /** The number of restarts of the embedded backend, because its thread stopped or hung. */
  readonly backendRestarts: number
  /** The tasks that the embedded server of flowthings runs. */
  readonly tasks: EmbeddedBackend['tasks']
}

type UpstreamState = ReturnType<CircuitBreaker['state']> & { readonly retries: number }

export interface AppHooks {
  /** Called after each call to the upstream. */
  readonly onUpstreamCall?: (call: UpstreamCall) => void
  /** After how many executions an operation is compiled; 0 compiles it before the first. */
  readonly interpretations?: number
  /** Processor time for new documents of one IP address in a minute. */
  readonly documentMsPerMinute?: number
  readonly log?: Logger
  /** Whether a new demo organization, and a new demo account of flowthings, have a history of three weeks; by default not. */
  readonly demoHistory?: boolean
  /** Called for each event that is delivered to a subscription. */
  readonly onDelivery?: (events: LiveEvents, event: FlowEvent) => void
  readonly equalBodies?: EqualBodiesOptions
  readonly equalResults?: EqualResultsOptions
  /** Limits that replace the default ones. */
  readonly limits?: Partial<Limits>
  /** Carries calls to the upstream. The embedded backend has a port of its own. */
  readonly upstreamPort?: MessagePort
}

/** How long one call to the upstream may take. */
const deadlineMs = 10_000
/** The most connections to the upstream. A principal gets at most half of them. */
const connections = 128
/** A tenth of a core for new documents of one IP address. An ordinary document takes 1 to 3 ms, and is cached then. */
const documentMsPerMinute = 6000
/** The rate at which streams are opened again after a restart of the upstream. */
const reconnectsEachSecond = 50
/** Within what time clients are asked to reconnect after a stop, and over what time they are asked. */
const retryWithinMs = 5000
const farewellMs = 100
/** Starts the gateway and, unless another upstream is configured, the embedded backend. */
export async function startApp(config: Config, hooks: AppHooks = {}): Promise<App> {
  const log = hooks.log ?? createLogger(config.logLevel)
  const closers: (() => Promise<void>)[] = []
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    return await start(config, hooks, log, closers, closeAll)
  } catch (error) {
    await closeAll()
    throw error
  }
}

async function start(
  config: Config,
  hooks: AppHooks,
  log: Logger,
  closers: (() => Promise<void>)[],
  closeAll: () => Promise<void>,
): Promise<App> {
  const metrics = createMetrics()
  const operationLog = createOperationLog(metrics, log)
  const { backend, ...upstream } = await startUpstream(config, log, closers, hooks.demoHistory ?? false)
  const things = config.flowthings ?? embeddedThings(backend)
  const routes = createRoutes(upstream.restUrl, things)
  const tracing = await startTracing(config, ({ href }) => routes(href), closers)
  const executed = tracing === undefined ? schema : await traced(schema)
  const plain = createMeasuredHttp(
    metrics,
    hooks,
    (call) => (call.kind === 'stream' ? '/stream' : routes(call.url)),
    ownBackend(upstream.restUrl, backend ?? { port: hooks.upstreamPort }),
  )
  const serviceToken =
    config.upstream.kind === 'remote'
      ? config.upstream.serviceToken
      : backend && new Secret(backend.serviceToken)
  /** Proves to a backend of this project that this gateway counts the requests of its clients. */
  const gatewayKey = backend?.gatewayKey ?? serviceToken?.reveal()
  const direct =
    gatewayKey === undefined
      ? plain
      : addHeaders(plain, new URL(upstream.restUrl).origin, { 'x-gateway-key': gatewayKey })
  const retry = createRetry(direct, { deadlineMs })
  const breaker = createCircuitBreaker(retry, { probe: direct })
  const http = createBulkhead(breaker, { callsEach: connections / 2, waitMs: deadlineMs })
  closers.push(() => http.close())
  const eventCalls = {
    callsEach: 4,
    callsInAll: connections / 8,
    waitMs: 5000,
    overdue: () =>
      new RateLimitedError('Too many of the upstream calls for your events are in flight', undefined),
  }
  const eventHttp = createBulkhead(breaker, eventCalls)
  const sharedEventHttp = createBulkhead(breaker, eventCalls)

  const { http: thingsHttp, state: thingsState } = startThingsHttp(routes, metrics, hooks)
  closers.push(() => thingsHttp.close())
  const dropHub = createDropHub((credential, handlers) =>
    openDropSocket({
      ...{ http: thingsHttp, upstream: requireThings(things, 'subscribe to drops'), credential },
      ...handlers,
    }),
  )
  closers.push(async () => dropHub.close(shuttingDown()))
  const reconnects = createReconnects(reconnectsEachSecond)
  const decoder = createEventDecoder()
  const onRetry = (error: Error, delayMs: number) =>
    log.warn({ err: error, delayMs }, 'The upstream stream was lost')
  const publicUrl = config.upstream.kind === 'embedded' ? config.upstream.publicUrl : undefined
  const tickets = createTickets(ticketSecrets(config))
  const downloads = createFileDownloads({
    ...{ http, tickets },
    restUrl: upstream.restUrl,
    publicUrl,
    isOwnBackend: gatewayKey !== undefined,
    fileHosts: config.upstream.kind === 'remote' ? config.upstream.fileHosts : [],
  })
  const flights = createSingleFlight()
  const onChange = config.responseCacheMs === 0 ? undefined : flights.changed
  const liveOptions = {
    http,
    reconnects,
    decoder,
    onRetry,
    noCursor,
    onChange,
    restUrl: upstream.restUrl,
    streamUrl: upstream.streamUrl,
    onEarlierChanged: () => live.forgetResults(),
  }
  const principalHub = createPrincipalLiveHub({ ...liveOptions, checkHttp: direct })
  const streamHub =
    serviceToken &&
    createStreamLiveHub({
      ...{ ...liveOptions, serviceHttp: direct, serviceToken },
      onAge: (ageMs) => metrics.eventAge(ageMs),
    })
  const hub = streamHub === undefined ? principalHub : createFallbackLiveHub(streamHub, principalHub)
  closers.push(async () => hub.close(shuttingDown()))
  const responseCache = config.responseCacheMs === 0 ? undefined : createResponseCache(config.responseCacheMs)
  const reads: SingleFlight = {
    read: flights.read,
    changed(principal) {
      flights.changed(principal)
      hub.changes?.changed(principal)
    },
  }
  const equalBodies = new EqualBodies(hooks.equalBodies)
  closers.push(async () => equalBodies.close())
  const equalResults = new EqualResults<RecordedReads>(hooks.equalResults)
  closers.push(async () => equalResults.close())
  const pages = new MessagePages()
  closers.push(async () => pages.close())
  const streamTickets = createStreamTickets(tickets)
  const readCredential = createCredentialReader()
  const prove = createProofs({ http, restUrl: upstream.restUrl, reads })
  const uploads = createFileUploads({ http, restUrl: upstream.restUrl, tickets, reads, prove })
  const background = createBackgroundQueue()
  closers.push(async () => background.close())
  const executor = createExecutor({
    schema: executed,
    interpretations: hooks.interpretations,
    background,
    errorsOf: (context) => (context as Context).incompleteLists(),
  })
  const { exposure, protection } = config
  const load = createAdaptiveConcurrency({
    most: protection.requestsInFlight,
    isSteady: !protection.loadShedding,
  })
  closers.push(async () => load.close())
  const limits = { ...defaultLimits, ...hooks.limits }
  const live = createFanOut({
    schema: executed,
    executor,
    limits,
    isBusy: () => load.state().waiting > 0,
    cursorOf: (event) => eventCursor(event as LiveEvent | DropEvent),
    isOfFlow,
    onDelivery: hooks.onDelivery,
    onUnexpected: (error) => log.error({ err: error }, 'A subscription failed unexpectedly'),
    onEnd: (reason) => operationLog.ended(reason),
  })
  const engine = createEngine({
    schema: executed,
    executor,
    persisted: createPersistedDocuments({
      trusted: readTrusted(config.trustedDocuments),
      maxLength: defaultLimits.maxDocumentBytes,
    }),
    live,
    createContext: createContextFactory({
      readCredential,
      http,
      eventHttp,
      sharedEventHttp,
      restUrl: upstream.restUrl,
      publicBase: publicUrl,
      hub,
      rateLimiter: createRateLimiter(config.callsPerMinute, 'calls to the upstream'),
      reads,
      equalBodies,
      pages,
      capabilities: new KnownCapabilities(),
      changeIds: createChangeIds(reads.changed),
      downloads,
      uploads,
      streamTickets,
      tracing,
      things: { upstream: things, http: thingsHttp, reads: createSingleFlight(), hub: dropHub },
      clientHeaders:
        gatewayKey === undefined
          ? undefined
          : (request) => ({ 'x-gateway-client': clientAddress(request, config.exposure.trustedProxies) }),
    }),
    limits,
    introspection: config.exposure.introspection,
    beginDocument: (request) => admission.beginDocument(request),
    operationLog,
    equalResults,
    responseCache,
    log,
  })
  const thingsDemo = config.flowthings === undefined ? upstream.things?.demo : undefined
  const credentialHeaders = demoHeaders(upstream.demoToken, thingsDemo)
  const hasDemo = Object.keys(credentialHeaders).length > 0
  const pageKey = hasDemo && exposure.graphiql && exposure.isDevelopment ? createPageKey() : undefined
  const operatorToken =
    exposure.metricsToken ??
    (config.upstream.kind === 'embedded' ? await keepOperatorToken(config.upstream.dataDir) : undefined)
  const originPolicy = createOriginPolicy({ ...exposure, log })
  const admission = createAdmission({
    load,
    ...protection,
    trustedProxies: exposure.trustedProxies,
    principalOf(authorization) {
      try {
        return readCredential(authorization)?.principal
      } catch {
        return undefined
      }
    },
    principals: createRateLimiter(protection.requestsPerMinute, 'requests'),
    addresses: createRateLimiter(protection.addressRequestsPerMinute, 'requests from your address'),
    documentTime: createRateLimiter(
      protection.addressRequestsPerMinute === 0 ? 0 : (hooks.documentMsPerMinute ?? documentMsPerMinute),
      'milliseconds of work for new documents from your address',
    ),
  })
  const warnOfConnections = createRareWarning(log, 'TCP connections were closed because a limit was reached')
  const requestIds = createRequestIds()
  const bodies = createBodyMemory({
    ...bodyLimits,
    memory: { total: protection.bodyBytes, perAddress: protection.bodyBytesPerIp },
  })
  const streamingResponses = createStreamingResponses()
  const eventStreams = createSingleConnections({ tickets, ownUrl: config.internalUrl })
  const state = (): AppState => ({
    sources: hub.streams(),
    serviceStream: hub.figures(),
    live: live.state(),
    tcpConnections: httpServer.connections.open,
    sockets: sockets.size,
    streamingResponses: streamingResponses.size + eventStreams.size,
    waitingBytes: sockets.waitingBytes,
    dropSockets: dropHub.size,
    upstream: addStates({ ...breaker.state(), retries: retry.retries }, thingsState()),
    load: load.state(),
    responseCache: responseCache?.state() ?? null,
    backendRestarts: backend?.restarts ?? 0,
    tasks: backend?.tasks ?? null,
  })
  const httpServer = await startHttpServer({
    host: config.host,
    port: config.port,
    engine,
    streamingResponses,
    eventStreams,
    originPolicy,
    admission,
    bodies,
    connectionLimits: { ...protection, trustedProxies: exposure.trustedProxies },
    onConnectionLimit(closed) {
      metrics.connectionLimit(closed)
      warnOfConnections({
        ...closed,
        setting: closed.limit === 'ip' ? 'MAX_TCP_CONNECTIONS_PER_IP' : 'MAX_TCP_CONNECTIONS',
      })
    },
    async proveCredential(authorization) {
      const credential = readCredential(authorization)
      if (credential !== null) await prove(credential)
    },
    isOperator: createOperatorCheck(operatorToken),
    areMetricsOpen: exposure.isDevelopment && exposure.metricsToken === undefined,
    requestIds,
    graphiql: config.exposure.graphiql
      ? await loadGraphiql(things === undefined ? undefined : (thingsDemo?.account ?? 'demo'))
      : undefined,
    schemaFile: config.exposure.introspection ? once(printSchemaFile) : undefined,
    possibleTypes: config.exposure.introspection ? once(printPossibleTypes) : undefined,
    demoHeaders: (key) => (pageKey?.accepts(key) === true ? credentialHeaders : undefined),
    sendUpload: async (ticket, bytes, signal) => messageId(await uploads.send(ticket, bytes, signal)),
    redeemTicket: (ticket) => streamTickets.redeem(ticket)?.authorization.reveal(),
    openDownload: (ticket, range, signal) => downloads.open(ticket, range, signal),
    metrics: () => metrics.print(state()),
    onResponse: (status) => metrics.response(status),
    streams: () => state(),
    isReady: createReadiness(
      () => tryUpstream(upstream.restUrl, direct),
      (reason) => log.warn({ err: reason }, 'Not ready'),
    ),
  })
  const sockets = serveWebSockets({
    server: httpServer.server,
    connections: httpServer.connections,
    schema,
    engine,
    originPolicy,
    admission,
    bodies,
    requestIds,
    log,
  })
  closers.push(async () => {
    // Balancers send no more requests here once they have noticed.
    httpServer.announceClosing()
    backend?.announceClosing()
    await sleep(config.shutdown.delayMs)
    const isReceived = live.state().operations > 0
    const { drainMs } = config.shutdown
    hub.announceClosing(Math.max(retryWithinMs, drainMs))
    // Events that were just delivered are executed and written before the connections are closed.
    if (isReceived) await sleep(farewellMs)
    await Promise.all([httpServer.close(drainMs), sockets.close(drainMs)])
  })

  return {
    url: httpServer.url,
    ...upstream,
    pageKey: pageKey?.text ?? null,
    get openStreams() {
      return hub.size
    },
    get dropSockets() {
      return dropHub.size
    },
    state,
    close: closeAll,
  }
}

function shuttingDown(): GatewayError {
  return new GatewayError('UPSTREAM_UNAVAILABLE', 'The gateway is shutting down', { retryable: true })
}

/** The embedded server of the flowthings API, if it runs, in the version that says the types of elements. */
function embeddedThings(backend: EmbeddedBackend | undefined): ThingsUpstream | undefined {
  const url = backend?.things?.url
  return url === undefined ? undefined : { restUrl: `${url}/v0.1`, sessionUrl: url }
}

/** What GraphiQL sends to read the examples: the tokens of the demo organization and of the demo account. */
function demoHeaders(
  token: string | null,
  things: NonNullable<EmbeddedBackend['things']>['demo'] | undefined,
): CredentialHeaders {
  return {
    ...(token === null ? {} : { Authorization: basicAuthorization(token) }),
    ...(things == null || things.token === null
      ? {}
      : { 'X-Auth-Account': things.account, 'X-Auth-Token': things.token }),
  }
}

/** Connections to an upstream, whose calls are in the metrics by their routes. */
function createMeasuredHttp(
  metrics: Metrics,
  hooks: AppHooks,
  routeOfCall: (call: UpstreamCall) => string,
  ownBackend?: OwnBackend,
): Http {
  return createHttp({
    deadlineMs,
    ownBackend,
    maxBytes: 16 * 1024 * 1024,
    connections,
    onCall(call) {
      hooks.onUpstreamCall?.(call)
      const { method, status, durationMs } = call
      metrics.upstreamCall({ method, route: routeOfCall(call), status, durationMs })
    },
  })
}

function ownBackend(restUrl: string, holder: Pick<OwnBackend, 'port'>): OwnBackend {
  return {
    origin: new URL(restUrl).origin,
    get port() {
      return holder.port
    },
  }
}

/** Calls to flowthings have connections of their own, so that neither upstream slows down the other. */
function startThingsHttp(
  routes: (url: string) => string,
  metrics: Metrics,
  hooks: AppHooks,
): { readonly http: Http; state(): UpstreamState } {
  const plain = createMeasuredHttp(metrics, hooks, (call) => routes(call.url))
  const retry = createRetry(plain, { deadlineMs })
  const breaker = createCircuitBreaker(retry, { probe: plain })
  return {
    http: createBulkhead(breaker, { callsEach: connections / 2, waitMs: deadlineMs }),
    state: () => ({ ...breaker.state(), retries: retry.retries }),
  }
}

function addStates(one: UpstreamState, other: UpstreamState): UpstreamState {
  return {
    openBreakers: [...one.openBreakers, ...other.openBreakers],
    refusals: one.refusals + other.refusals,
    retries: one.retries + other.retries,
  }
}

/** Names the route of a call by its URL, at whichever upstream. */
function createRoutes(restUrl: string, things: ThingsUpstream | undefined): (url: string) => string {
  const isBelow = (url: string, base: string) =>
    url.startsWith(base) && /^([/?]|$)/.test(url.slice(base.length))
  return (url) =>
    things !== undefined && (isBelow(url, things.restUrl) || isBelow(url, `${things.sessionUrl}/session`))
      ? thingsRouteOf(things, url)
      : routeOf(pathBelow(restUrl, url))
}

/** Loads the libraries of OpenTelemetry only if traces are sent. */
async function startTracing(
  { tracing }: Config,
  routeOfUrl: (url: URL) => string,
  closers: (() => Promise<void>)[],
): Promise<Tracing | undefined> {
  if (tracing === undefined) return undefined
  const { createTracing } = await import('./telemetry/tracing.ts')
  const started = createTracing({ ...tracing, routeOf: routeOfUrl })
  closers.push(() => started.close())
  return started
}

async function traced(untraced: typeof schema): Promise<typeof schema> {
  const { traceFields } = await import('./server/traced-schema.ts')
  return traceFields(untraced)
}

/** The path of a URL below that of the API, without its query. */
function pathBelow(restUrl: string, url: string): string {
  const [path = ''] = url.slice(restUrl.length).split('?', 1)
  return path
}

async function startUpstream(
  { upstream }: Config,
  log: Logger,
  closers: (() => Promise<void>)[],
  demoHistory: boolean,
): Promise<
  Pick<App, 'restUrl' | 'streamUrl' | 'demoToken' | 'things'> & {
    readonly backend: EmbeddedBackend | undefined
  }
> {
  if (upstream.kind === 'remote')
    return {
      ...{ restUrl: upstream.restUrl, streamUrl: upstream.streamUrl, demoToken: null, things: null },
      backend: undefined,
    }
  const backend = await startBackend(
    {
      ...upstream,
      ...dataLocation(upstream),
      natsUrl: upstream.natsUrl?.reveal(),
      demoHistory,
      serviceTokens: upstream.serviceTokens.map((token) => token.reveal()),
    },
    (message) => log.error(message),
    (message) => log.warn(message),
  )
  closers.push(() => backend.close())
  const { url, demoToken, things } = backend
  return { restUrl: url, streamUrl: `${url}/stream`, demoToken, things, backend }
}

/** Without a setting, tickets are valid in this process only. */
function ticketSecrets({ ticketKeys: [first, ...others] }: Config): [string, ...string[]] {
  if (first === undefined) return [randomBytes(32).toString('base64url')]
  return [first.reveal(), ...others.map((key) => key.reveal())]
}

/** @throws ConfigError for a file that cannot be read, or has another form */
function readTrusted(file: string | undefined): string[] | undefined {
  if (file === undefined) return undefined
  try {
    return readTrustedDocuments(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ConfigError([`TRUSTED_DOCUMENTS=${file}: ${(error as Error).message}`])
  }
}

/**
 * The embedded backend reports whether it can store. Any other upstream is ready if it responds.
 *
 * @param http without a circuit breaker, because an upstream that cannot store may still be read
 * @throws UpstreamError when there is no response, or its status is 5xx
 */
async function tryUpstream(restUrl: string, http: Http): Promise<void> {
  const url = new URL(`${restUrl}/health/ready`)
  try {
    await http.request({ method: 'GET', url, headers: {}, signal: undefined })
  } catch (error) {
    if (!(error instanceof RateLimitedError)) throw error
  }
}

/** Calls `make` at the first call, and returns its result at each. */
function once(make: () => string): () => string {
  let made: string | undefined
  return () => {
    made ??= make()
    return made
  }
}
