import type { BodyLimits, Http1Request } from '../../../net/http1/connection.ts'
import type { Http1Error } from '../../../net/http1/errors.ts'
import { EncodedHeaders, type Http1Response } from '../../../net/http1/response.ts'
import type { Connections } from '../../http/connections.ts'
import type { Principal, Traffic } from '../../http/traffic.ts'
import { failureHead, type Outcome, successHead } from '../envelope.ts'
import { parsePresentation } from '../find-params.ts'
import { createPermit } from '../operations/permits.ts'
import { resources } from '../operations/resources.ts'
import { readStatistics } from '../operations/statistics.ts'
import { findPrincipal, type ThingsPrincipal } from '../principal.ts'
import { describeReferences } from '../references.ts'
import { styleOf } from '../style.ts'
import { invalidCredential, type Things } from '../things.ts'
import { notFound, ThingsError } from '../things-error.ts'
import type { ScriptRunner } from '../tracks/script-runner.ts'
import { serveDrops } from './drops.ts'
import { toFailure } from './failures.ts'
import { methodNotAllowed } from './method-not-allowed.ts'
import { parseBody, parseTarget, type RestRequest, type Target } from './request.ts'
import { serveResource } from './resources.ts'
import { simulateTrack } from './simulate.ts'

export interface RestOptions {
  readonly things: Things
  readonly traffic: Traffic
  readonly connections: Connections
  readonly runner: ScriptRunner
  /** Opens a session for a socket. @returns its id */
  readonly openSession: (principal: ThingsPrincipal, query: RestRequest['query']) => string
  /** Called for each request with a valid credential. */
  readonly onCall?: (principal: ThingsPrincipal) => void
  readonly onRequest?: (request: { method: string; path: string; status: number }) => void
  /** Called with failures that no client is the cause of. */
  readonly onError: (error: unknown) => void
  /** How long a body may pause, and may take. */
  readonly bodyIdleMs: number
}

/** Longest body of a request, and the same without a valid credential. */
const maxBodyBytes = 15 * 1024 * 1024
const maxStrangerBodyBytes = 16 * 1024
const bodyWholeMs = 600_000
const strangerBodyMs = 10_000

/** [flowthings] browsers send the methods and headers of the API after a preflight. No cookies exist, so any origin may. */
const corsHeaders = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE, MGET, MPUT, OPTIONS',
  'Access-Control-Allow-Headers': 'x-auth-token, x-auth-account, content-type, content-encoding, accept',
  'Access-Control-Max-Age': '7200',
}

const commonHeaders = {
  'Content-Type': 'application/json; charset=utf-8',
  'Cache-Control': 'private, no-store',
  ...corsHeaders,
}
const successHeaders = new EncodedHeaders(commonHeaders)

/** Answers requests over HTTP. Every response is JSON with a head and a body, whatever its status. */
export function createRestHandler(options: RestOptions) {
  const { things, traffic, connections, onError } = options

  async function respond(request: Http1Request): Promise<Http1Response> {
    if (request.method === 'OPTIONS') return encode({ status: 200, body: {} }, {})
    const target = parseTarget(request.target)
    const { account, version, path } = addressOf(target, request)
    const principal = await authenticate(request, account)
    const address = request.socket.remoteAddress ?? ''
    const sender: Principal = {
      key: principal === undefined ? address : `things:${principal.tokenHash}`,
      isStranger: principal === undefined,
      isGateway: false,
    }
    traffic.countRequest(sender)
    const body = await readBody(request, sender)
    if (principal === undefined) throw invalidCredential()
    connections.trust(request.socket)
    options.onCall?.(principal)
    const outcome = await serve({
      method: request.method === 'HEAD' ? 'GET' : request.method,
      ...{ path, query: target.query, principal, style: styleOf(version) },
      body: parseBody(body),
    })
    return encode(outcome, target.query)
  }

  async function authenticate(
    { headers }: Http1Request,
    account: string,
  ): Promise<ThingsPrincipal | undefined> {
    const { 'x-auth-token': token = '', 'x-auth-account': named = account } = headers
    if (named.toLowerCase() !== account.toLowerCase()) return undefined
    return findPrincipal(things.store.reader, account, token, Date.now())
  }

  async function readBody(request: Http1Request, sender: Principal): Promise<Buffer> {
    const arriving = traffic.openBody(sender)
    const { isStranger } = sender
    const limits: BodyLimits = {
      maxBytes: isStranger ? maxStrangerBodyBytes : maxBodyBytes,
      idleMs: options.bodyIdleMs,
      wholeMs: isStranger ? strangerBodyMs : bodyWholeMs,
      onBytes: (bytes) => arriving.take(bytes),
    }
    try {
      return await request.readBody(limits)
    } finally {
      arriving.close()
    }
  }

  async function serve(request: RestRequest): Promise<Outcome> {
    const [kind = ''] = request.path
    if (kind === 'session' && request.path.length === 1) {
      if (request.method !== 'POST') throw methodNotAllowed('POST')
      return { status: 201, body: { id: options.openSession(request.principal, request.query) } }
    }
    const shown = parsePresentation(request.query, request.style)
    const outcome = await serveKind(kind, request, shown)
    if (!shown.refs) return outcome
    const { body } = outcome
    const results = Array.isArray(body) ? body : [body, ...Object.values(body as object).flat()]
    const access = things.access(request.principal, request.style)
    return { ...outcome, references: await describeReferences(access, results) }
  }

  async function serveKind(
    kind: string,
    request: RestRequest,
    shown: ReturnType<typeof parsePresentation>,
  ): Promise<Outcome> {
    if (kind === 'track' && request.path[1] === 'simulate' && request.path.length === 2)
      return simulateTrack(things, options.runner, request)
    const resource = resources.get(kind)
    const depth = request.path.length
    if (kind === 'statistics' && depth >= 3 && depth <= 6) return serveStatistics(request)
    if (kind === 'permit' && depth === 1) return servePermits(request)
    if (kind === 'drop' && depth <= 4) return serveDrops(things, request, shown)
    if (resource !== undefined && depth <= 3) return serveResource(things, resource, request, shown)
    throw notFound('resource at this URL')
  }

  /** An extension: a permit lets a rule of the chat act with the token of the request. */
  async function servePermits({ method, principal, style }: RestRequest): Promise<Outcome> {
    if (method !== 'POST') throw methodNotAllowed('POST')
    return { status: 201, body: await things.write(principal, style, createPermit) }
  }

  async function serveStatistics({ method, path, query, principal, style }: RestRequest): Promise<Outcome> {
    if (method !== 'GET') throw methodNotAllowed('GET')
    const [, type = '', id = '', ...period] = path
    const level = query['level'] === undefined ? undefined : String(query['level'])
    const counts = await readStatistics(things.access(principal, style), { type, id, period, level })
    return { status: 200, body: counts }
  }

  return {
    async handle(request: Http1Request): Promise<Http1Response> {
      const response = await respond(request).catch((error: unknown) =>
        encodeFailure(toFailure(error, onError)),
      )
      const [path = ''] = request.target.split('?', 1)
      options.onRequest?.({ method: request.method, path, status: response.status })
      return response
    },
    /** The response to bytes that are not an HTTP request. */
    refuse: ({ status, message }: Http1Error): Http1Response =>
      encodeFailure(new ThingsError(status, message)),
  }
}

/**
 * Reads the account from the target `/VERSION/ACCOUNT/…`; for `/session`, it is in a header.
 *
 * @throws ThingsError 404
 */
function addressOf(
  { segments }: Target,
  { headers }: Http1Request,
): { readonly account: string; readonly version: string; readonly path: readonly string[] } {
  const [version = '', account, ...path] = segments
  if (version === 'session')
    return { account: headers['x-auth-account'] ?? '', version: 'v0', path: segments }
  if (!/^v\w/.test(version) || account === undefined) throw notFound('resource at this URL')
  return { account, version, path }
}

function encode(outcome: Outcome, query: RestRequest['query']): Http1Response {
  const envelope = { head: successHead(outcome), body: outcome.body }
  const { pretty } = query
  const isPretty = pretty !== undefined && String(pretty).toLowerCase() === 'true'
  const body = isPretty ? JSON.stringify(envelope, null, 2) : JSON.stringify(envelope)
  return { status: outcome.status, headers: successHeaders, body }
}

function encodeFailure({ status, message, headers }: ThingsError): Http1Response {
  return {
    status,
    headers: new EncodedHeaders({ ...commonHeaders, ...headers }),
    body: JSON.stringify({ head: failureHead(status, message), body: {} }),
  }
}
