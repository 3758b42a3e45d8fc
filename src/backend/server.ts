import { randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdir, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { discardBody } from '../net/discard-body.ts'
import { createReadiness } from '../telemetry/readiness.ts'
import { clientAddress } from '../traffic/client-address.ts'
import { startHousekeeping } from './admin/retention.ts'
import { type Demo, seedDemo } from './admin/seed.ts'
import { seedThingsDemo, type ThingsDemo } from './admin/things-demo.ts'
import { type Background, createBackground } from './background.ts'
import { type Bus, createBus } from './bus/bus.ts'
import { createMemoryNetwork } from './bus/memory.ts'
import { postgresTransport } from './bus/postgres.ts'
import type { OpenTransport } from './bus/transport.ts'
import { startCatchingUp } from './catch-up.ts'
import { createEventLog, type EventLog } from './event-log.ts'
import { type FileLocation, type FileStore, openFileStore } from './files.ts'
import { authenticate, checkCredential, findValid, type Identity, whileValid } from './flowdock/auth.ts'
import { createOpenCredentials } from './flowdock/open-credentials.ts'
import { createPresence } from './flowdock/presence.ts'
import type { Answer, Backend, Route } from './flowdock/route.ts'
import { flowdockRoutes } from './flowdock/routes/index.ts'
import { serviceRoutes } from './flowdock/routes/service.ts'
import { checkServiceAccess, findActedUser, withoutWriting } from './flowdock/service-access.ts'
import { createFilterCache } from './flowthings/filter-cache.ts'
import { startThingsServer, type ThingsServer, type ThingsServerOptions } from './flowthings/server.ts'
import type { TaskFigures } from './flowthings/tasks/runner.ts'
import {
  boundConnections,
  type ConnectionLimits,
  type Connections,
  defaultConnections,
} from './http/connections.ts'
import { HttpError, methodNotAllowed, notFound, unauthorized } from './http/errors.ts'
import { createPasswordKeys } from './http/password-keys.ts'
import { type Reception, readParams } from './http/request-body.ts'
import { createRouter, type Match, methodsOf } from './http/router.ts'
import { createSignIn } from './http/sign-in-limit.ts'
import { isLocked, storageError } from './http/storage-error.ts'
import {
  type ArrivingBody,
  createTraffic,
  defaultTraffic,
  type Principal,
  type TrafficLimits,
} from './http/traffic.ts'
import { createInstances, type InstancesOptions } from './instances.ts'
import { privateFolderMode, protectData } from './private-files.ts'
import { createRuleRoutes } from './rules/routes.ts'
import { createRuleRunner, type RuleRunner } from './rules/runner.ts'
import { createServiceTokenCheck } from './service-tokens.ts'
import { openStore, type Store } from './store/db.ts'
import { findLogPosition } from './store/events.ts'
import { tryWriting } from './store/messages.ts'
import { findSourceByTokenHash } from './store/sources.ts'
import { touchUser, type UserRow } from './store/users.ts'
import { hashToken } from './token-hash.ts'

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

/** The longest body of a request: a file of 10 MiB in Base64, and the JSON around it. */
const maxBodyBytes = 15 * 1024 * 1024
/** The same before a valid credential is known: enough for a sign-in, or a message of ordinary length. */
const maxStrangerBodyBytes = 16 * 1024
/** The longest file of a multipart body. */
const maxFileBytes = 256 * 1024 * 1024
/** How often the time of a user's last access is stored, at most. */
const accessResolutionMs = 5 * 60_000
/** How long a stop waits for requests, and then for background work: together less than the five seconds of a whole stop. */
const closeMs = 3000
const settleMs = 1500
/** How often a backend tries to add the demo while another process writes. Each attempt waits for 5 s. */
const startAttempts = 12
const hostPattern = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i

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
  let log: EventLog
  let server: Server
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
    const head = () => log.delivered
    const instances = createInstances({ bus, head, signal, ...options.instances })
    const presence = createPresence(store, {
      activityEveryMs: options.activityEveryMs ?? 60_000,
      presenceLastsMs: options.presenceLastsMs ?? 90_000,
      background,
      signal,
      bus,
      instances,
    })
    const files = await openFileStore(options)
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
      headersTimeout: 10_000,
      // A gateway names 500 flows in one URL.
      maxHeaderSize: 32 * 1024,
      requestTimeout: 600_000,
      keepAliveTimeout: 75_000,
      connectionsCheckingInterval: 5000,
    })
    const connections = boundConnections(server, options.connections ?? defaultConnections)
    const answer = createHandler(backend, background, connections, createRuleRoutes(filters), options)
    server.on('request', (request, response) => background.run(answer(request, response)))
    await listen(server, options.host, options.port)
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
      server.closeIdleConnections()
      const deadline = setTimeout(() => {
        server.closeAllConnections()
        thingsServer?.destroy()
      }, closeMs)
      await closed
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

/** The error for a request without a route. Without a valid credential, 405 is only sent for paths that need none. */
function noRoute(others: readonly Route[], user: UserRow | undefined): HttpError {
  if (user === undefined && !others.some(({ auth }) => auth === 'any')) return unauthorized()
  return others.length === 0 ? notFound() : methodNotAllowed(methodsOf(others))
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

function createHandler(
  backend: Backend,
  background: Background,
  connections: Connections,
  ruleRoutes: readonly Route[],
  options: BackendOptions,
) {
  const { publicUrl, onRequest, onError } = options
  const serviceTokens = options.serviceTokens ?? []
  const gatewayKeys =
    options.gatewayKey === undefined ? serviceTokens : [options.gatewayKey, ...serviceTokens]
  const { hasServiceInterface } = backend
  const router = createRouter([
    ...flowdockRoutes,
    ...(backend.hasRules ? ruleRoutes : []),
    ...(hasServiceInterface ? serviceRoutes : []),
  ])
  const isService = createServiceTokenCheck(serviceTokens)
  const noted = new Map<number, number>()

  /** Stores the time of a user's last access, every few minutes. Requests do not wait for it. */
  function noteAccess(user: UserRow): void {
    const now = Date.now()
    if (now - (noted.get(user.id) ?? user.last_access_at ?? 0) < accessResolutionMs) return
    noted.set(user.id, now)
    background.run(backend.log.write(({ db }) => touchUser(db, user.id, now)))
  }

  async function route(request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    const host = request.headers.host ?? ''
    if (!hostPattern.test(host)) throw new HttpError(400, { message: 'Host header is not valid' })
    const reached = `http://${host}`
    const base = publicUrl ?? reached
    const target = request.url ?? '/'
    const url = URL.canParse(target, reached) ? new URL(target, reached) : undefined
    if (url === undefined || !target.startsWith('/')) throw notFound()
    if (request.method === 'OPTIONS') return { status: 204 }
    // "//files/…" is a path here, not another host.
    const pathname = target.split('?', 1)[0] as string
    const routePath = host.startsWith('stream.') ? `/stream${pathname}` : pathname
    const match = router.find(request.method ?? 'GET', routePath)
    // For a gateway, 404 means that this upstream has no service interface.
    if (!hasServiceInterface && routePath.startsWith('/service/')) throw notFound()
    // In one spelling only, so that a proxy can refuse it by its path.
    if (match?.route.pattern.startsWith('/service/') && !routePath.startsWith('/service/')) throw notFound()
    const isServiceRequest = isService(request.headers)
    const isGateway = isServiceRequest || comesFromGateway(request, gatewayKeys)
    const address = isGateway
      ? String(request.headers['x-gateway-client'] ?? 'gateway')
      : clientAddress(request, options.trustedProxies ?? 0)
    const identity = isServiceRequest
      ? await findActedUser(backend.store.reader, request.headers)
      : await authenticate(backend.store.reader, backend.signIn, request, url.searchParams, address)
    const user = identity?.user
    if (user !== undefined) {
      response.setHeader('Flowdock-User', String(user.id))
      if (!isServiceRequest) noteAccess(user)
    }
    if (identity?.expiresAt !== undefined)
      response.setHeader('Flowdock-Token-Expires-At', new Date(identity.expiresAt).toISOString())
    const holder = isServiceRequest
      ? 'service'
      : (identity?.key ?? (await findHolder(match, url.searchParams, backend)))
    const principal: Principal = { key: holder ?? address, isStranger: holder === undefined, isGateway }
    backend.traffic.countRequest(principal)
    if (holder !== undefined || isGateway) connections.trust(request.socket)
    if (match === undefined) throw noRoute(router.routesOf(routePath), user)
    checkServiceAccess(match.route, request, isServiceRequest)
    if (match.route.auth === 'user' && user === undefined) throw unauthorized()
    checkScopes(match.route, identity)
    const received: string[] = []
    const reception = receive(match, principal, received)
    try {
      const params = await readParams(request, url, reception, match.route.listAs)
      const common = {
        path: match.path,
        params,
        query: url.searchParams,
        headers: request.headers,
        base,
        principal: reception.principal(),
        address,
      }
      const userRequest = identity === undefined ? undefined : { ...common, ...identity }
      // The credential may have been revoked while the body arrived, which can take minutes.
      if (request.method !== 'GET' && request.method !== 'HEAD')
        await checkCredential(backend.store.reader, identity)
      const checked = isServiceRequest ? withoutWriting(backend) : whileValid(backend, identity)
      if (match.route.auth === 'service') return await match.route.handle(common, checked)
      if (match.route.auth === 'any') return await match.route.handle({ ...common, userRequest }, checked)
      if (userRequest === undefined) throw unauthorized()
      return await match.route.handle(userRequest, checked)
    } finally {
      reception.close()
      // Files that the handler did not keep are removed after the request.
      for (const token of received) await backend.files.discard(token)
    }
  }

  /** Bounds a body: until a valid credential is known it may be short only, without files. */
  function receive(
    { route }: Match<Route>,
    sender: Principal,
    received: string[],
  ): Reception & { readonly principal: () => Principal; readonly close: () => void } {
    let principal = sender
    const body = backend.traffic.openBody(sender)
    return {
      principal: () => principal,
      close: () => body.close(),
      maxBytes: () => (principal.isStranger ? maxStrangerBodyBytes : maxBodyBytes),
      largestBytes: maxBodyBytes,
      isStranger: () => principal.isStranger,
      take: (bytes) => body.take(bytes),
      async identify(flowToken) {
        if (!principal.isStranger || route.takesFlowToken !== true || flowToken === undefined) return
        const holder = await findSource(flowToken, backend)
        if (holder === undefined || !principal.isStranger) return
        principal = { ...sender, key: holder, isStranger: false }
        body.moveTo(principal)
      },
      async receive(bytes) {
        if (principal.isStranger)
          throw new HttpError(401, {
            message: 'Files need a valid credential, and a flow token comes before them',
          })
        const file = await backend.files.receive(counted(bytes, body), maxFileBytes)
        received.push(file.token)
        return file
      },
      idleMs: options.bodyIdleMs ?? 120_000,
      wholeMs: () => (principal.isStranger ? (options.strangerBodyMs ?? 10_000) : undefined),
    }
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // A client that leaves is noticed when the response is written.
    response.on('error', () => undefined)
    setCorsHeaders(request, response)
    try {
      const answer = await route(request, response)
      if ('write' in answer) await answer.write(response)
      else sendAnswer(response, answer)
    } catch (error) {
      if (!request.complete && !response.headersSent) {
        await discardBody(request)
        // The rest of the body is not read, so the connection cannot be used again.
        if (!request.complete) response.setHeader('Connection', 'close')
      }
      sendError(response, error, onError)
    }
    onRequest?.({
      method: request.method ?? '',
      path: (request.url ?? '').split('?', 1)[0] as string,
      status: response.statusCode,
    })
  }
}

async function* counted(bytes: AsyncIterable<Uint8Array>, body: ArrivingBody): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    body.takeFile(chunk.length)
    yield chunk
  }
}

/** The principal of a flow token or push token in the path or query string. */
async function findHolder(
  match: Match<Route> | undefined,
  query: URLSearchParams,
  backend: Backend,
): Promise<string | undefined> {
  if (match === undefined) return undefined
  const { route, path } = match
  const flowToken = route.takesFlowToken === true ? query.get('flow_token') : null
  if (flowToken !== null) return findSource(flowToken, backend)
  return route.holder?.({ path, query }, backend)
}

async function findSource(flowToken: string, { store }: Backend): Promise<string | undefined> {
  const source = await findSourceByTokenHash(store.reader, hashToken(flowToken))
  return source === undefined || source.deleted_at !== null ? undefined : `source:${source.id}`
}

/**
 * Only gateways know the keys: that of this process one that each start makes and that never leaves the process, the others the
 * service token.
 */
function comesFromGateway({ headers }: IncomingMessage, keys: readonly string[]): boolean {
  const given = headers['x-gateway-key']
  if (typeof given !== 'string') return false
  return keys.some((key) => {
    const [a, b] = [Buffer.from(given), Buffer.from(key)]
    return a.length === b.length && timingSafeEqual(a, b)
  })
}

/** @throws 403 when the scopes of an application's token do not allow the route */
function checkScopes({ scopes: wanted }: Route, identity: Identity | undefined): void {
  const given = identity?.scopes
  if (wanted === undefined || given === undefined || wanted.some((scope) => given.has(scope))) return
  throw new HttpError(403, { message: `Access denied: the token needs the scope ${wanted.join(' or ')}` })
}

function sendAnswer(
  response: ServerResponse,
  { status, body, json, headers = {} }: Exclude<Answer, { write: unknown }>,
): void {
  const text = json ?? (body === undefined ? undefined : JSON.stringify(body))
  // Encoded once for its length and for writing it.
  const bytes = text === undefined ? undefined : Buffer.from(text)
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    ...(bytes === undefined ? {} : { 'Content-Length': bytes.length }),
    Status: String(status),
    'Cache-Control': 'private, no-store',
    ...headers,
  })
  response.end(bytes)
}

function sendError(response: ServerResponse, cause: unknown, onError?: (error: unknown) => void): void {
  const refused = storageError(cause)
  if (refused !== undefined) onError?.(cause)
  const error = refused ?? cause
  if (response.headersSent) {
    response.destroy()
    return
  }
  if (error instanceof HttpError && typeof error.body === 'string') {
    response.writeHead(error.status, { 'Content-Type': 'text/plain; charset=utf-8', ...error.headers })
    response.end(error.body)
  } else if (error instanceof HttpError) {
    sendAnswer(response, { status: error.status, body: error.body, headers: { ...error.headers } })
  } else {
    onError?.(error)
    sendAnswer(response, { status: 500, body: { message: 'Internal Server Error' } })
  }
}

/** [flowdock] general-information.md, "CORS". No cookies exist, so an echoed origin gives nothing away. */
function setCorsHeaders(request: IncomingMessage, response: ServerResponse): void {
  const { origin } = request.headers
  if (origin === undefined) return
  response.setHeader('Access-Control-Allow-Origin', origin)
  response.setHeader('Vary', 'Origin')
  response.setHeader('Access-Control-Allow-Methods', 'POST, PUT, PATCH, DELETE, GET, OPTIONS')
  response.setHeader(
    'Access-Control-Allow-Headers',
    'Origin, Accept, Content-type, Authorization, X-CSRF-Token, X-Requested-With, X-Prototype-Version',
  )
  response.setHeader('Access-Control-Expose-Headers', 'Flowdock-Token-Expires-At, Flowdock-User, Link')
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
