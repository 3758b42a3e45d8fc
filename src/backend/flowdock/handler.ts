import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { clientAddress } from '../../traffic/client-address.ts'
import type { Background } from '../background.ts'
import { challenge, HttpError, methodNotAllowed, notFound, unauthorized } from '../http/errors.ts'
import { readTarget } from '../http/query-string.ts'
import { type Reception, type RequestBody, readParams } from '../http/request-body.ts'
import { createRouter, type Match, methodsOf } from '../http/router.ts'
import { storageError } from '../http/storage-error.ts'
import type { ArrivingBody, Principal } from '../http/traffic.ts'
import { createServiceTokenCheck } from '../service-tokens.ts'
import { touchUser } from '../store/last-times.ts'
import { findSourceByTokenHash } from '../store/sources.ts'
import type { UserRow } from '../store/users.ts'
import { hashToken } from '../token-hash.ts'
import { authenticate, checkCredential, type Identity, whileValid } from './auth.ts'
import type { Answer, Backend, Route } from './route.ts'
import { flowdockRoutes } from './routes/index.ts'
import { serviceRoutes } from './routes/service.ts'
import { checkServiceAccess, findActedUser, withoutWriting } from './service-access.ts'

/** A request to the REST API, whatever brought it. */
export interface RestRequest {
  readonly method: string
  /** The path and the query, as they were sent. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly socket: { readonly remoteAddress?: string | undefined }
  /** Undefined without one. */
  readonly body: RequestBody | undefined
  /** Called once the request is known to have a valid credential, before its body is read. */
  trust(): void
}

/** A response that is complete. */
export interface WholeResponse {
  readonly status: number
  /** Without `Content-Length`, unless the length is not that of `body`. */
  readonly headers: Readonly<Record<string, string>>
  /** Undefined for a response that has none. */
  readonly body: string | Uint8Array | undefined
  /** Whether the request was refused, perhaps before its body was read. */
  readonly isRefusal: boolean
}

/** A response that is written over time to a connection of node:http. */
export interface WrittenResponse {
  /** Headers in addition to those that are written. */
  readonly headers: Readonly<Record<string, string>>
  /** @throws an error for `refuse` before anything is written */
  readonly write: (response: ServerResponse) => void | Promise<void>
}

/** The REST API, without the protocol that carries it. */
export interface RestHandler {
  /** Responds to a request. Never rejects. */
  answer(request: RestRequest): Promise<WholeResponse | WrittenResponse>
  /** The response for the error of a response of which nothing was written yet. */
  refuse(error: unknown, headers: Readonly<Record<string, string>>): WholeResponse
  /** To be called with the error of a response that is partly written. */
  onBroken(error: unknown): void
  /** To be called after each response, or the start of a stream. */
  readonly onRequest: (request: Pick<RestRequest, 'method' | 'target'>, status: number) => void
}

export interface HandlerOptions {
  readonly backend: Backend
  readonly background: Background
  /** The routes of rules, where rules can be made. */
  readonly ruleRoutes: readonly Route[]
  readonly publicUrl?: string | undefined
  readonly trustedProxies?: number | undefined
  readonly bodyIdleMs?: number | undefined
  readonly strangerBodyMs?: number | undefined
  readonly gatewayKey?: string | undefined
  readonly serviceTokens?: readonly string[] | undefined
  readonly onRequest?: ((request: { method: string; path: string; status: number }) => void) | undefined
}

/** The longest body of a request: a file of 10 MiB in Base64, and the JSON around it. */
const maxBodyBytes = 15 * 1024 * 1024
/** The same before a valid credential is known: enough for a sign-in, or a message of ordinary length. */
const maxStrangerBodyBytes = 16 * 1024
/** The longest file of a multipart body. */
const maxFileBytes = 256 * 1024 * 1024
/** How often the time of a user's last access is stored, at most. */
const accessResolutionMs = 5 * 60_000
const hostPattern = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i

/** The REST API of the backend. */
export function createHandler(options: HandlerOptions): RestHandler {
  const { backend, background, publicUrl } = options
  const { onError, hasServiceInterface } = backend
  const serviceTokens = options.serviceTokens ?? []
  const gatewayKeys = [options.gatewayKey ?? [], serviceTokens].flat().map((key) => Buffer.from(key))
  const router = createRouter([
    ...flowdockRoutes,
    ...(backend.hasRules ? options.ruleRoutes : []),
    ...(hasServiceInterface ? serviceRoutes : []),
  ])
  const isService = createServiceTokenCheck(serviceTokens)
  const noted = new Map<number, number>()
  /** The host of the last request, if it was valid. Most requests have the same. */
  let validHost: string | undefined

  /** @throws HttpError for a host that is not valid */
  function checkHost(host: string): void {
    if (host === validHost) return
    if (!hostPattern.test(host)) throw new HttpError(400, { message: 'Host header is not valid' })
    if (!URL.canParse(`http://${host}`)) throw notFound()
    validHost = host
  }

  /** Stores the time of a user's last access, every few minutes. Requests do not wait for it. */
  function noteAccess(user: UserRow): void {
    const now = Date.now()
    if (now - (noted.get(user.id) ?? user.last_access_at ?? 0) < accessResolutionMs) return
    noted.set(user.id, now)
    background.run(backend.log.write(async ({ db }) => touchUser(db, user.id, now)))
  }

  /** @param added gets headers of the response, also of one to an error */
  async function route(request: RestRequest, added: Record<string, string>): Promise<Answer> {
    const { method, target } = request
    const host = request.headers.host ?? ''
    checkHost(host)
    const reached = `http://${host}`
    const base = publicUrl ?? reached
    const queryString = readTarget(target, reached)
    if (queryString === undefined) throw notFound()
    const { query } = queryString
    if (method === 'OPTIONS') return { status: 204 }
    // "//files/…" is a path here, not another host.
    const pathname = target.split('?', 1)[0] as string
    const routePath = host.startsWith('stream.') ? `/stream${pathname}` : pathname
    const match = router.find(method, routePath)
    // For a gateway, 404 means that this upstream has no service interface.
    if (!hasServiceInterface && routePath.startsWith('/service/')) throw notFound()
    // In one spelling only, so that a proxy can refuse it by its path.
    if (match?.route.pattern.startsWith('/service/') && !routePath.startsWith('/service/')) throw notFound()
    const isServiceRequest = isService(request.headers)
    const isGateway = isServiceRequest || comesFromGateway(request.headers, gatewayKeys)
    const address = isGateway
      ? String(request.headers['x-gateway-client'] ?? 'gateway')
      : clientAddress(request, options.trustedProxies ?? 0)
    const identity = isServiceRequest
      ? await findActedUser(backend.store.reader, request.headers)
      : await authenticate(backend.store.reader, backend.signIn, request, query, address)
    const user = identity?.user
    if (user !== undefined) {
      added['Flowdock-User'] = String(user.id)
      if (!isServiceRequest) noteAccess(user)
    }
    if (identity?.expiresAt !== undefined)
      added['Flowdock-Token-Expires-At'] = new Date(identity.expiresAt).toISOString()
    const holder = isServiceRequest ? 'service' : (identity?.key ?? (await findHolder(match, query, backend)))
    const principal: Principal = { key: holder ?? address, isStranger: holder === undefined, isGateway }
    backend.traffic.countRequest(principal)
    if (holder !== undefined || isGateway) request.trust()
    if (match === undefined) throw noRoute(routePath, router.routesOf(routePath), user)
    checkServiceAccess(match.route, request, isServiceRequest)
    if (match.route.auth === 'user' && user === undefined) throw unauthorized()
    checkScopes(match.route, identity)
    const received: string[] = []
    const reception = request.body && receive(match, principal, received)
    try {
      const params = await readParams(request, queryString, reception, match.route.listAs)
      const common = {
        path: match.path,
        params,
        query,
        headers: request.headers,
        base,
        principal: reception?.principal() ?? principal,
        address,
      }
      const userRequest = identity === undefined ? undefined : { ...common, ...identity }
      // The credential may have been revoked while the body arrived, which can take minutes.
      if (method !== 'GET' && method !== 'HEAD') await checkCredential(backend.store.reader, identity)
      const checked = isServiceRequest ? withoutWriting(backend) : whileValid(backend, identity)
      if (match.route.auth === 'service') return await match.route.handle(common, checked)
      if (match.route.auth === 'any') return await match.route.handle({ ...common, userRequest }, checked)
      if (userRequest === undefined) throw unauthorized()
      return await match.route.handle(userRequest, checked)
    } finally {
      reception?.close()
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
          throw new HttpError(
            401,
            { message: 'Files need a valid credential, and a flow token comes before them' },
            challenge,
          )
        const file = await backend.files.receive(counted(bytes, body), maxFileBytes)
        received.push(file.token)
        return file
      },
      idleMs: options.bodyIdleMs ?? 120_000,
      wholeMs: () => (principal.isStranger ? (options.strangerBodyMs ?? 10_000) : undefined),
    }
  }

  function refuse(cause: unknown, headers: Readonly<Record<string, string>>): WholeResponse {
    const refused = storageError(cause)
    if (refused !== undefined) onError(cause)
    const error = refused ?? cause
    if (!(error instanceof HttpError)) {
      onError(error)
      return encodeJson({ status: 500, body: { message: 'Internal Server Error' } }, headers, true)
    }
    const { status, body } = error
    if (typeof body !== 'string')
      return encodeJson({ status, body, headers: { ...error.headers } }, headers, true)
    const type = { 'Content-Type': 'text/plain; charset=utf-8' }
    return { status, headers: { ...headers, ...type, ...error.headers }, body, isRefusal: true }
  }

  return {
    refuse,
    onBroken(error) {
      if (storageError(error) !== undefined) onError(error)
    },
    async answer(request) {
      const headers = corsHeaders(request)
      try {
        const answer = await route(request, headers)
        if ('write' in answer) return { headers, write: answer.write }
        if (!('content' in answer)) return encodeJson(answer, headers, false)
        const { status, content } = answer
        return { status, headers: { ...headers, ...answer.headers }, body: content, isRefusal: false }
      } catch (error) {
        return refuse(error, headers)
      }
    },
    onRequest({ method, target }, status) {
      options.onRequest?.({ method, path: target.split('?', 1)[0] as string, status })
    },
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
function comesFromGateway(headers: IncomingHttpHeaders, keys: readonly Buffer[]): boolean {
  const given = headers['x-gateway-key']
  if (typeof given !== 'string') return false
  const bytes = Buffer.from(given)
  return keys.some((key) => key.length === bytes.length && timingSafeEqual(key, bytes))
}

/** @throws 403 when the scopes of an application's token do not allow the route */
function checkScopes({ scopes: wanted }: Route, identity: Identity | undefined): void {
  const given = identity?.scopes
  if (wanted === undefined || given === undefined || wanted.some((scope) => given.has(scope))) return
  throw new HttpError(403, { message: `Access denied: the token needs the scope ${wanted.join(' or ')}` })
}

/** The error for a request without a route. Without a valid credential, 405 is only sent for paths that need none. */
function noRoute(path: string, others: readonly Route[], user: UserRow | undefined): HttpError {
  // Both servers start together, and their ports are next to each other.
  if (path === '/graphql')
    return new HttpError(404, { message: 'not found: the gateway serves GraphQL, on a port of its own' })
  if (user === undefined && !others.some(({ auth }) => auth === 'any')) return unauthorized()
  return others.length === 0 ? notFound() : methodNotAllowed(methodsOf(others))
}

function encodeJson(
  { status, body, json, headers }: Exclude<Answer, { write: unknown } | { content: unknown }>,
  added: Readonly<Record<string, string>>,
  isRefusal: boolean,
): WholeResponse {
  return {
    status,
    headers: {
      ...added,
      'Content-Type': 'application/json; charset=utf-8',
      Status: String(status),
      'Cache-Control': 'private, no-store',
      ...headers,
    },
    body: json ?? (body === undefined ? undefined : JSON.stringify(body)),
    isRefusal,
  }
}

/** [flowdock] general-information.md, "CORS". No cookies exist, so an echoed origin gives nothing away. */
function corsHeaders({ headers: { origin } }: RestRequest): Record<string, string> {
  if (origin === undefined) return {}
  return {
    'Access-Control-Allow-Origin': origin,
    Vary: 'Origin',
    'Access-Control-Allow-Methods': 'POST, PUT, PATCH, DELETE, GET, OPTIONS',
    'Access-Control-Allow-Headers':
      'Origin, Accept, Content-type, Authorization, X-CSRF-Token, X-Requested-With, X-Prototype-Version',
    'Access-Control-Expose-Headers': 'Flowdock-Token-Expires-At, Flowdock-User, Link',
  }
}
