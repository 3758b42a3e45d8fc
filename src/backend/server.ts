import { randomBytes } from 'node:crypto'
import { mkdir, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import { takeConnections } from '../net/http1/node-connections.ts'
import { EncodedHeaders } from '../net/http1/response.ts'
import { createHttp1Connections, type Http1Connections } from '../net/http1/server.ts'
import { createReadiness } from '../telemetry/readiness.ts'
import { startHousekeeping } from './admin/retention.ts'
import { type Demo, seedDemo } from './admin/seed.ts'
import { seedThingsDemo, type ThingsDemo } from './admin/things-demo.ts'
import { createBackground } from './background.ts'
import { type Bus, createBus } from './bus/bus.ts'
import { createMemoryNetwork } from './bus/memory.ts'
import { postgresTransport } from './bus/postgres.ts'
import type { OpenTransport } from './bus/transport.ts'
import { startCatchingUp } from './catch-up.ts'
import { createEventLog, type EventLog } from './event-log.ts'
import { type FileLocation, type FileStore, openFileStore } from './files.ts'
import { findValid } from './flowdock/auth.ts'
import { createHandler } from './flowdock/handler.ts'
import { isOrdinary, serveHttp1Requests } from './flowdock/http1-requests.ts'
import { serveNodeRequests } from './flowdock/node-requests.ts'
import { createOpenCredentials } from './flowdock/open-credentials.ts'
import { type ServedPort, servePortRequests } from './flowdock/port-requests.ts'
import { createPresence } from './flowdock/presence.ts'
import { createRecentPages } from './flowdock/recent-pages.ts'
import type { Backend } from './flowdock/route.ts'
import { createFilterCache } from './flowthings/filter-cache.ts'
import { startThingsServer, type ThingsServer, type ThingsServerOptions } from './flowthings/server.ts'
import type { TaskFigures } from './flowthings/tasks/runner.ts'
import { boundConnections, type ConnectionLimits, defaultConnections } from './http/connections.ts'
import { createPasswordKeys } from './http/password-keys.ts'
import { createSignIn } from './http/sign-in-limit.ts'
import { isLocked } from './http/storage-error.ts'
import { createTraffic, defaultTraffic, type TrafficLimits } from './http/traffic.ts'
import { createInstances, type InstancesOptions } from './instances.ts'
import { privateFolderMode, protectData } from './private-files.ts'
import { createRuleRoutes } from './rules/routes.ts'
import { createRuleRunner, type RuleRunner } from './rules/runner.ts'
import { openStore, type Store } from './store/db.ts'
import { findLogPosition } from './store/events.ts'
import { findDatabaseId } from './store/identity.ts'
import { tryWriting } from './store/messages.ts'

export interface BackendOptions {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** The public URL, without a trailing slash. By default: the host of each request. */
  readonly publicUrl?: string | undefined
  /** The folder of the database and the files. It is created if it is missing. */
  readonly dataDir: string
  /** The `postgres://` URL of a database in place of SQLite in `dataDir`. */
  readonly databaseUrl?: string | undefined
  /** The `nats://` URL of what carries messages between the backends of one database, in place of PostgreSQL. */
  readonly natsUrl?: string | undefined
  /** How often the log is searched for events that the bus did not bring; a second by default. */
  readonly catchUpEveryMs?: number
  /** How often this backend announces that it runs, and how long another may be silent. */
  readonly instances?: Pick<InstancesOptions, 'everyMs' | 'silentMs'>
  /** Where files are stored if not in `dataDir`. */
  readonly s3?: FileLocation['s3']
  /** What the URLs of files are signed with; by default a key in `dataDir`. The first one signs, all verify. */
  readonly signingSecrets?: readonly string[]
  /** The number of days for which streams can be resumed; 30 by default. */
  readonly eventRetentionDays?: number
  /** Whether actions may be delivered to this machine and its network; by default not. */
  readonly privateActionTargets?: boolean
  /** Whether an empty database gets the demo organization with its token; by default it does. */
  readonly demoOrganization?: boolean
  /** Whether the demo organization and the demo account have a history of three weeks; by default not. */
  readonly demoHistory?: boolean
  /** The token of the demo user. By default the first start makes one and stores it. */
  readonly demoToken?: string | undefined
  /** The server of the flowthings API, which has a port of its own. By default it does not run. */
  readonly things?: ThingsOptions | undefined
  /** The interval of keep-alives on silent streams; 20 s by default. */
  readonly keepAliveMs?: number
  /** How often streams deliver which users are active; once a minute by default. */
  readonly activityEveryMs?: number
  /** How long the presence lasts that a user without a stream has set. */
  readonly presenceLastsMs?: number
  /** The number of proxies in front, each of which adds an IP address to `X-Forwarded-For`; 0 by default. */
  readonly trustedProxies?: number
  /** Limits that replace the default ones. */
  readonly traffic?: Partial<TrafficLimits>
  readonly connections?: ConnectionLimits
  /** How long a body may pause, and how long a body without a credential may take; by default two minutes and 10 s. */
  readonly bodyIdleMs?: number
  readonly strangerBodyMs?: number
  /** The value of a header that proves that the server's own gateway sent a request. */
  readonly gatewayKey?: string | undefined
  /** A message port over which the server's own gateway may send requests, beside HTTP. */
  readonly gatewayPort?: MessagePort | undefined
  /** The tokens of the service interface, which returns all events. Without a token it is not served. */
  readonly serviceTokens?: readonly string[]
  /** Called after each response or start of a stream, and with unexpected errors. */
  readonly onRequest?: (request: { method: string; path: string; status: number }) => void
  readonly onError?: (error: unknown) => void
  /** Is called when the event log of the database is not the one that it was: the backend has to be started again. */
  readonly onReplaced?: (reason: string) => void
  /** Called with what an operator should know. */
  readonly onNotice?: (message: string) => void
}

export interface ThingsOptions {
  /** 0 picks a free port. */
  readonly port: number
  /** The name of an account that is added if it is missing. */
  readonly demoAccount: string | undefined
  /** Its master token. By default one is made and stored. */
  readonly demoToken: string | undefined
  /** Runs tasks of MQTT. By default none runs. */
  readonly tasks?: Omit<NonNullable<ThingsServerOptions['tasks']>, 'instance'> | undefined
}

/** The running server of the flowthings API. */
export interface RunningThings {
  readonly url: string
  readonly demo: ThingsDemo | null
}

export interface RunningBackend {
  readonly url: string
  /** Null where it does not run. */
  readonly things: RunningThings | null
  readonly demo: Demo
  readonly store: Store
  readonly log: EventLog
  /** The tasks of flowthings that it runs; undefined where it runs none. */
  taskFigures(): TaskFigures | undefined
  /** Says that it is not ready, and goes on serving. */
  announceClosing(): void
  close(): Promise<void>
}

/** How long the head of a request may take, and how long an unused connection stays open. */
const headMs = 10_000
const idleMs = 75_000
/** How long a stop waits for requests, and then for background work: together less than the five seconds of a whole stop. */
const closeMs = 3000
const settleMs = 1500
/** How often a backend tries to add the demo while another process writes. Each attempt waits for 5 s. */
const startAttempts = 12

/**
 * Starts the Flowdock-compatible server: opens or creates its data, creates the demo organization on the first start, and
 * listens.
 *
 * @throws the system's error when the folder cannot be written or the port is taken
 */
export async function createBackend(options: BackendOptions): Promise<RunningBackend> {
  await makeFolder(resolve(options.dataDir))
  const store = await openStore(options.databaseUrl ?? join(options.dataDir, 'flowdock.db'))
  const stopping = new AbortController()
  const { signal } = stopping
  const onError = (error: unknown) => options.onError?.(error)
  const background = createBackground(onError)
  const signIn = createSignIn(createPasswordKeys(), {
    onAttempt: (attempt) => bus?.publish({ kind: 'attempt', attempt }),
  })
  const traffic = createTraffic({ ...defaultTraffic, ...options.traffic })
  const stop = async () => {
    stopping.abort()
    served?.destroy()
    rules?.close()
    await thingsServer?.close()
    await signIn.close()
    await Promise.race([background.settled(), sleep(settleMs, undefined, { ref: false })])
    await bus?.close()
    await opened?.close()
    await store.close()
  }
  let opened: FileStore | undefined
  let isClosing = false
  let bus: Bus | undefined
  let thingsServer: ThingsServer | undefined
  let rules: RuleRunner | undefined
  let things: RunningThings | null = null
  let served: ServedPort | undefined
  let log: EventLog
  let server: Server
  let http1: Http1Connections
  let demo: Demo
  try {
    const { id } = await findLogPosition(store.reader)
    const instance = randomBytes(8).toString('hex')
    bus = createBus({ instance, log: id }, await chooseTransport(options), options.onNotice)
    bus.listen((message) => {
      if (message.kind === 'attempt') signIn.countElsewhere(message.attempt)
    })
    const { onReplaced } = options
    const onRuleJobs = () => rules?.wake()
    log = await createEventLog(store, {
      background,
      signal,
      bus,
      onRuleJobs,
      ...(onReplaced && { onReplaced }),
    })
    const filters = createFilterCache()
    const head = () => log.delivered()
    const instances = createInstances({ bus, head, signal, ...options.instances })
    const presence = createPresence(store, {
      activityEveryMs: options.activityEveryMs ?? 60_000,
      presenceLastsMs: options.presenceLastsMs ?? 90_000,
      background,
      signal,
      bus,
      instances,
    })
    const files = await openFileStore(options, await findDatabaseId(store.reader))
    opened = files
    // Not earlier: the rights of a folder that is not a data folder are left alone.
    await closeToOthers(options)
    demo =
      options.demoOrganization === false
        ? { token: null }
        : await afterOthers(() =>
            seedDemo({
              store,
              log,
              files,
              dataDir: options.dataDir,
              token: options.demoToken,
              withHistory: options.demoHistory ?? false,
              onNotice: options.onNotice,
            }),
          )
    const isWritable = createReadiness(() => tryStorage(store, files), onError)
    const backend: Backend = {
      store,
      log,
      files,
      keepAliveMs: options.keepAliveMs ?? 20_000,
      signIn,
      hasServiceInterface: (options.serviceTokens ?? []).length > 0,
      traffic,
      presence,
      recentPages: createRecentPages({ reader: store.reader, signal }),
      openCredentials: createOpenCredentials({
        findValid: (credentials) => findValid(store.reader, credentials),
        background,
        signal,
      }),
      isWritable: async () => !isClosing && isWritable(),
      hasRules: options.things !== undefined,
      privateActionTargets: options.privateActionTargets ?? false,
      onError,
      signal,
    }
    server = createServer({
      headersTimeout: headMs,
      // A gateway names 500 flows in one URL.
      maxHeaderSize: 32 * 1024,
      requestTimeout: 600_000,
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: 5000,
    })
    const serveByNode = takeConnections(server)
    const connections = boundConnections(server, options.connections ?? defaultConnections)
    const handler = createHandler({ ...options, backend, background, ruleRoutes: createRuleRoutes(filters) })
    const serveNode = serveNodeRequests(handler, connections)
    server.on('request', (request, response) => background.run(serveNode(request, response)))
    const serve = serveHttp1Requests(handler, connections)
    http1 = createHttp1Connections({
      handle(request) {
        const response = serve(request)
        background.run(response)
        return response
      },
      // Invalid requests are left to node:http, too.
      refuse: ({ status }) => ({ status, headers: new EncodedHeaders({}), body: '' }),
      other: { isFor: (head) => !isOrdinary(head), take: serveByNode },
      allowHalfOpen: false,
      headMs,
      idleMs,
    })
    server.on('connection', (socket) => http1.accept(socket))
    await listen(server, options.host, options.port)
    if (options.gatewayPort !== undefined)
      served = servePortRequests(handler, options.gatewayPort, background)
    if (options.things !== undefined) {
      const { demoAccount, demoToken } = options.things
      const thingsDemo =
        demoAccount === undefined
          ? null
          : await afterOthers(() =>
              seedThingsDemo({
                ...{ store, dataDir: options.dataDir, account: demoAccount, token: demoToken },
                withReadings: options.demoHistory ?? false,
                onNotice: options.onNotice,
              }),
            )
      thingsServer = await startThingsServer({
        ...{
          host: options.host,
          port: options.things.port,
          store,
          filters,
          traffic,
          background,
          bus,
          onError,
        },
        onRuleJobs,
        ...{ connections: options.connections, bodyIdleMs: options.bodyIdleMs, onRequest: options.onRequest },
        tasks: options.things.tasks && { instance, ...options.things.tasks },
        onNotice: options.onNotice,
      })
      things = { url: thingsServer.url, demo: thingsDemo }
      rules = createRuleRunner({
        ...{ store, log, things: thingsServer.things, filters, background, onError },
        base: options.publicUrl ?? urlOf(options.host, server),
      })
      rules.wake()
    }
    startHousekeeping(log, files, options.eventRetentionDays ?? 30, background, signal)
  } catch (error) {
    await stop()
    throw error
  }
  const catchUp = async () => {
    await Promise.all([log.catchUp(), thingsServer?.catchUp(), rules?.catchUp()])
  }
  startCatchingUp(store, { catchUp }, { everyMs: options.catchUpEveryMs, background, signal })

  return {
    url: urlOf(options.host, server),
    things,
    demo,
    store,
    log,
    taskFigures: () => thingsServer?.taskFigures(),
    announceClosing() {
      isClosing = true
    },
    async close() {
      stopping.abort()
      const closed = new Promise((resolve) => server.close(resolve))
      http1.close()
      server.closeIdleConnections()
      const deadline = setTimeout(() => {
        http1.destroy()
        server.closeAllConnections()
        served?.destroy()
        thingsServer?.destroy()
      }, closeMs)
      await Promise.all([closed, served?.close()])
      await thingsServer?.close()
      clearTimeout(deadline)
      await stop()
    },
  }
}

function urlOf(host: string, server: Server): string {
  const { port } = server.address() as AddressInfo
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** What carries messages to the other backends of the database. On SQLite there are none. */
async function chooseTransport({ databaseUrl, natsUrl }: BackendOptions): Promise<OpenTransport> {
  if (databaseUrl === undefined) return createMemoryNetwork().open
  if (natsUrl === undefined) return postgresTransport(databaseUrl)
  const { natsTransport } = await import('./bus/nats.ts')
  return natsTransport(natsUrl)
}

/** Runs a change of the start. Backends that start together wait for the one that adds the demo, which may take longer than a change. */
async function afterOthers<T>(change: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1)
    try {
      return await change()
    } catch (error) {
      if (!isLocked(error) || attempt === startAttempts) throw error
    }
}

/** Writes without changing anything. @throws the error of a write that fails */
async function tryStorage(store: Store, files: FileStore): Promise<void> {
  await store.write(tryWriting)
  const { token } = await files.receive(Readable.from([Buffer.alloc(4096)]), 4096)
  await files.discard(token)
}

async function closeToOthers({ dataDir, onNotice }: BackendOptions): Promise<void> {
  const { changed, refused } = await protectData(dataDir)
  if (changed > 0)
    onNotice?.(
      `Other users of this machine could read ${changed} files or folders of DATA_DIR; now its owner alone can`,
    )
  if (refused.length > 0)
    onNotice?.(
      `Other users of this machine may be able to read ${refused.slice(0, 3).join(', ')}: the mode cannot be changed`,
    )
}

/** Creates a folder and its parents. `mkdir` with `recursive` never ends where the system refuses, as in /proc. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, privateFolderMode)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await mkdir(path, privateFolderMode)
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
