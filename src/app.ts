import { startBackend } from './backend/index.ts'
import type { Config } from './config.ts'
import { createContextFactory, type LiveTopic } from './context.ts'
import { GatewayError } from './errors.ts'
import { createHub } from './events/hub.ts'
import { Subscriber } from './events/subscriber.ts'
import { createLogger, type Logger } from './log.ts'
import { id as messageId } from './resolvers/messages.ts'
import { printSchemaFile, schema } from './schema/index.ts'
import { createEngine } from './server/engine.ts'
import { loadGraphiql } from './server/graphiql.ts'
import { startHttpServer } from './server/http.ts'
import { defaultLimits } from './server/limits.ts'
import { serveWebSockets } from './server/websocket.ts'
import { createAllowances } from './upstream/flowdock/allowance.ts'
import { basicAuthorization } from './upstream/flowdock/credentials.ts'
import { createFileDownloads } from './upstream/flowdock/files.ts'
import type { FlowEvent } from './upstream/flowdock/model.ts'
import { openStream } from './upstream/flowdock/stream.ts'
import { createFileUploads } from './upstream/flowdock/uploads.ts'
import { createHttp, type UpstreamCall } from './upstream/http.ts'

export interface App {
  /** Where the gateway listens, without a trailing slash. */
  readonly url: string
  /** Where the upstream's REST API is. */
  readonly restUrl: string
  readonly streamUrl: string
  /** The demo user's token, when the embedded backend has one. */
  readonly demoToken: string | null
  /** Upstream streams that are open at this moment. */
  readonly openStreams: number
  /** Stops: refuses new work, finishes what is in flight, closes sockets, then everything behind them. */
  close(): Promise<void>
}

export interface AppHooks {
  /** Hears of every call to the upstream. */
  readonly onUpstreamCall?: (call: UpstreamCall) => void
  readonly log?: Logger
}

/** How far the reader of a subscription may be behind. */
const liveLimits = { maxEvents: 10_000, maxBytes: 4 * 1024 * 1024 }

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
  const upstream = await startUpstream(config, log, closers)
  const http = createHttp({
    deadlineMs: 10_000,
    maxBytes: 16 * 1024 * 1024,
    connections: 128,
    ...(hooks.onUpstreamCall === undefined ? {} : { onCall: hooks.onUpstreamCall }),
  })
  closers.push(() => http.close())

  const hub = createHub<LiveTopic, FlowEvent>({
    keyOf: ({ credential, flowIds, isPrivate }) =>
      `${credential.principal} ${isPrivate ? 'private' : ''} ${flowIds.join(' ')}`,
    limits: liveLimits,
    open: ({ credential, flowIds, isPrivate }, sink) =>
      openStream({
        http,
        base: upstream.streamUrl,
        credential,
        flowIds,
        isPrivate,
        onOpen: sink.open,
        onEvent: sink.event,
        onEnd: sink.end,
        onRetry: (error, delayMs) => log.warn({ err: error, delayMs }, 'The upstream stream was lost'),
      }),
  })
  closers.push(async () =>
    hub.close(new GatewayError('UPSTREAM_UNAVAILABLE', 'The gateway is shutting down')),
  )

  const replay = ({ credential, flowIds, isPrivate }: LiveTopic, after: string) => {
    const subscriber = new Subscriber<FlowEvent>(liveLimits, () => stream.close())
    const stream = openStream({
      http,
      base: upstream.streamUrl,
      credential,
      flowIds,
      isPrivate,
      after,
      onOpen: () => undefined,
      onEvent: (event, bytes) => subscriber.push(event, bytes),
      onEnd: (error) => subscriber.fail(error),
      onRetry: (error, delayMs) => log.warn({ err: error, delayMs }, 'A replay was interrupted'),
    })
    return subscriber
  }

  const publicUrl = config.upstream.kind === 'embedded' ? config.upstream.publicUrl : undefined
  const downloads = createFileDownloads({
    http,
    restUrl: upstream.restUrl,
    publicUrl,
  })
  const uploads = createFileUploads(http, upstream.restUrl)
  const engine = createEngine({
    schema,
    createContext: createContextFactory({
      http,
      restUrl: upstream.restUrl,
      publicBase: publicUrl,
      hub,
      replay,
      allowances: createAllowances(config.callsPerMinute),
      downloads,
      uploads,
    }),
    limits: defaultLimits,
    log,
  })
  const demoAuthorization = upstream.demoToken === null ? undefined : basicAuthorization(upstream.demoToken)
  const httpServer = await startHttpServer({
    host: config.host,
    port: config.port,
    engine,
    graphiql: await loadGraphiql(),
    schemaFile: printSchemaFile(),
    demoAuthorization,
    sendUpload: async (ticket, bytes, signal) => messageId(await uploads.send(ticket, bytes, signal)),
    openDownload: (ticket, range, signal) => downloads.open(ticket, range, signal),
    isReady: () => answers(new URL(`${upstream.restUrl}/user`), http),
  })
  const sockets = serveWebSockets(httpServer.server, engine, log)
  closers.push(async () => {
    await Promise.all([httpServer.close(), sockets.close()])
  })

  return {
    url: httpServer.url,
    ...upstream,
    get openStreams() {
      return hub.size
    },
    close: closeAll,
  }
}

async function startUpstream(
  { upstream }: Config,
  log: Logger,
  closers: (() => Promise<void>)[],
): Promise<Pick<App, 'restUrl' | 'streamUrl' | 'demoToken'>> {
  if (upstream.kind === 'remote')
    return { restUrl: upstream.restUrl, streamUrl: upstream.streamUrl, demoToken: null }
  const backend = await startBackend(
    { ...upstream, databaseUrl: upstream.databaseUrl?.reveal() },
    (message) => log.error(message),
  )
  closers.push(() => backend.close())
  return { restUrl: backend.url, streamUrl: `${backend.url}/stream`, demoToken: backend.demoToken }
}

/** Any answer will do: without a credential it is 401. */
async function answers(url: URL, http: ReturnType<typeof createHttp>): Promise<boolean> {
  try {
    await http.request({ method: 'GET', url, headers: {}, signal: undefined })
    return true
  } catch {
    return false
  }
}
