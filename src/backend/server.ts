import { mkdir, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { createReadiness } from '../readiness.ts'
import { type Background, createBackground } from './background.ts'
import { createEventLog, type EventLog } from './event-log.ts'
import { type FileStore, openFileStore } from './files.ts'
import { authenticate, checkCredential, type Identity, whileValid } from './flowdock/auth.ts'
import { createPresence } from './flowdock/presence.ts'
import { flowdockRoutes } from './flowdock/routes/index.ts'
import { startHousekeeping } from './housekeeping.ts'
import { HttpError, notFound, unauthorized } from './http-error.ts'
import { readParams } from './params.ts'
import { type Answer, type Backend, createRouter, type Route } from './router.ts'
import { type Demo, seedDemo } from './seed.ts'
import { createSignInLimit } from './sign-in-limit.ts'
import { storageError } from './storage-error.ts'
import { openStore, type Store } from './store/db.ts'
import { tryWriting } from './store/messages.ts'
import { touchUser, type UserRow } from './store/users.ts'

export interface BackendOptions {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** The address people reach it at, without a trailing slash; that of each request unless given. */
  readonly publicUrl?: string | undefined
  /** Where the database and the files live; made when missing. */
  readonly dataDir: string
  /** The database if it is not a file in `dataDir`: a `postgres://` address. */
  readonly databaseUrl?: string | undefined
  /** How long streams can be resumed for; 30 days unless given. */
  readonly eventRetentionDays?: number
  /** Whether actions may be delivered to addresses of this machine and its network; not unless given. */
  readonly privateActionTargets?: boolean
  /** Whether an empty database gets the demo organization with its token; it does unless given. */
  readonly demoOrganization?: boolean
  /** The demo user's token; made and kept on first start when undefined. */
  readonly demoToken?: string | undefined
  /** How often silent streams are sent a keep-alive; 20 s unless given. */
  readonly keepAliveMs?: number
  /** How often flows are told who is active; a minute unless given. */
  readonly activityEveryMs?: number
  /** How long somebody is there who said so without a stream. */
  readonly presenceLastsMs?: number
  /** Hears of every request once it was answered or its stream began, and of failures nobody expected. */
  readonly onRequest?: (request: { method: string; path: string; status: number }) => void
  readonly onError?: (error: unknown) => void
}

export interface RunningBackend {
  readonly url: string
  readonly demo: Demo
  readonly store: Store
  readonly log: EventLog
  close(): Promise<void>
}

/** Longest body of a request: a Base64 file of 10 MiB and what stands around it. */
const maxBodyBytes = 15 * 1024 * 1024
/** Longest file of a multipart body. */
const maxFileBytes = 256 * 1024 * 1024
/** How exactly it is known when somebody was last here. */
const accessResolutionMs = 5 * 60_000
/** How long a stop waits for what still runs once all connections are closed. */
const settleMs = 5000
/** How soon streams hear of what commands beside the server changed. */
const catchUpMs = 1000
const hostPattern = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i

/**
 * Starts the Flowdock-compatible server: opens (or makes) its data, seeds the demo organization on first start,
 * and listens.
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
  const presence = createPresence(store, {
    activityEveryMs: options.activityEveryMs ?? 60_000,
    presenceLastsMs: options.presenceLastsMs ?? 90_000,
    background,
    signal,
  })
  const stop = async () => {
    stopping.abort()
    await Promise.race([background.settled(), sleep(settleMs, undefined, { ref: false })])
    await store.close()
  }
  let log: EventLog
  let server: Server
  let demo: Demo
  try {
    log = await createEventLog(store, background)
    const files = await openFileStore(join(options.dataDir, 'files'))
    demo =
      options.demoOrganization === false
        ? { token: null }
        : await seedDemo({ store, log, files, dataDir: options.dataDir, token: options.demoToken })
    const backend: Backend = {
      store,
      log,
      files,
      keepAliveMs: options.keepAliveMs ?? 20_000,
      signInLimit: createSignInLimit(),
      presence,
      isWritable: createReadiness(() => tryStorage(store, files), onError),
      privateActionTargets: options.privateActionTargets ?? false,
      signal,
    }
    const answer = createHandler(backend, background, options)
    server = createServer(
      { headersTimeout: 10_000, requestTimeout: 600_000, keepAliveTimeout: 75_000 },
      (request, response) => {
        background.run(answer(request, response))
      },
    )
    await listen(server, options.host, options.port)
  } catch (error) {
    await stop()
    throw error
  }
  const { port } = server.address() as AddressInfo
  const catchingUp = setInterval(() => background.run(log.catchUp()), catchUpMs)
  signal.addEventListener('abort', () => clearInterval(catchingUp))
  startHousekeeping(store, options.eventRetentionDays ?? 30, background, signal)

  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    demo,
    store,
    log,
    async close() {
      stopping.abort()
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeIdleConnections()
      const deadline = setTimeout(() => server.closeAllConnections(), 3000)
      await closed
      clearTimeout(deadline)
      await stop()
    },
  }
}

/** Stores what is kept by nobody. @throws what refused it */
async function tryStorage(store: Store, files: FileStore): Promise<void> {
  await store.write(tryWriting)
  const { token } = await files.receive(Readable.from([Buffer.alloc(4096)]), 4096)
  await files.discard(token)
}

function createHandler(
  backend: Backend,
  background: Background,
  { publicUrl, onRequest, onError }: BackendOptions,
) {
  const findRoute = createRouter(flowdockRoutes)
  const noted = new Map<number, number>()

  /** When somebody was last here, to the nearest few minutes; a request does not wait for that. */
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
    const identity = await authenticate(backend.store.reader, request, url.searchParams)
    const user = identity?.user
    if (user !== undefined) {
      response.setHeader('Flowdock-User', String(user.id))
      noteAccess(user)
    }
    if (identity?.expiresAt !== undefined)
      response.setHeader('Flowdock-Token-Expires-At', new Date(identity.expiresAt).toISOString())
    // "//files/…" is a path here, not another host.
    const pathname = target.split('?', 1)[0] as string
    const match = findRoute(
      request.method ?? 'GET',
      host.startsWith('stream.') ? `/stream${pathname}` : pathname,
    )
    if (match === undefined) throw user === undefined ? unauthorized() : notFound()
    if (match.route.auth === 'user' && user === undefined) throw unauthorized()
    checkScopes(match.route, identity)
    const received: string[] = []
    const receive = async (bytes: AsyncIterable<Uint8Array>) => {
      const file = await backend.files.receive(bytes, maxFileBytes)
      received.push(file.token)
      return file
    }
    try {
      const params = await readParams(request, url, maxBodyBytes, receive)
      const common = { path: match.path, params, query: url.searchParams, headers: request.headers, base }
      const caller = identity === undefined ? undefined : { ...common, ...identity }
      // The credential may have been revoked while the body arrived, which can take minutes.
      if (request.method !== 'GET' && request.method !== 'HEAD')
        await checkCredential(backend.store.reader, identity)
      const checked = whileValid(backend, identity)
      if (match.route.auth === 'any') return await match.route.handle({ ...common, caller }, checked)
      if (caller === undefined) throw unauthorized()
      return await match.route.handle(caller, checked)
    } finally {
      // What a handler did not keep goes with the request.
      for (const token of received) await backend.files.discard(token)
    }
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // A client that goes away is noticed where its answer is written.
    response.on('error', () => undefined)
    setCorsHeaders(request, response)
    try {
      const answer = await route(request, response)
      if ('write' in answer) await answer.write(response)
      else sendAnswer(response, answer)
    } catch (error) {
      if (!request.complete && !response.headersSent) {
        await drain(request)
        // What is left of the body stays unread, so the connection is of no further use.
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

/** @throws 403 when an application's token is not for this */
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
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    ...(text === undefined ? {} : { 'Content-Length': Buffer.byteLength(text) }),
    Status: String(status),
    'Cache-Control': 'private, no-store',
    ...headers,
  })
  response.end(text)
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
    response.writeHead(error.status, { 'Content-Type': 'text/plain; charset=utf-8' })
    response.end(error.body)
  } else if (error instanceof HttpError) {
    sendAnswer(response, { status: error.status, body: error.body })
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

/**
 * Reads on for a while after a body was refused: closed while it still writes, a client would see a broken connection
 * instead of the answer.
 */
async function drain(request: IncomingMessage): Promise<void> {
  let left = 1024 * 1024
  await new Promise<void>((resolve) => {
    const deadline = setTimeout(resolve, 1000)
    const end = () => {
      clearTimeout(deadline)
      resolve()
    }
    request.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) end()
    })
    request.on('end', end)
    request.on('close', end)
    request.resume()
  })
  request.pause()
}

/** Makes a folder and those above it. Node's own way of doing that never ends where the system refuses, as in /proc. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await mkdir(path)
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
