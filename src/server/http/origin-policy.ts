import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { EncodedHeaders } from '../../net/http1/response.ts'
import type { Secret } from '../../secret.ts'
import type { Logger } from '../../telemetry/log.ts'

/** The host names that the gateway accepts, and the origins of pages that may use it. */
export interface OriginPolicy {
  /** Why a request is rejected before it is routed; undefined when it is valid. */
  problem(request: PolicyRequest): OriginProblem | undefined
  /** Whether a request was made by a page that may use the gateway, or by no page at all. */
  isAllowedOrigin(request: PolicyRequest): boolean
  /** Why the origin of a request is refused, and which setting allows it. The first such request of an origin is logged. */
  describeRefusal(request: PolicyRequest): string
  /** The headers that let a page of an allowed origin read the response; undefined for none. */
  corsHeaders(request: PolicyRequest): EncodedHeaders | undefined
}

type PolicyRequest = Pick<IncomingMessage, 'headers' | 'url'>

export interface OriginProblem {
  readonly status: 400 | 421
  readonly message: string
}

export interface OriginPolicyOptions {
  /** Names without ports, in lower case; undefined for any. */
  readonly allowedHosts: readonly string[] | undefined
  readonly allowedOrigins: readonly string[]
  /** Whether pages of `localhost` may use the gateway, whatever their port. */
  readonly localOrigins: boolean
  /** Request headers that pages may send, besides those that clients are known to send. */
  readonly allowedHeaders: readonly string[]
  readonly log: Pick<Logger, 'warn'>
}

const hostPattern = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i
/** The headers of clients: of the protocols of this gateway, of Apollo Client, and of tracing in browsers. */
const requestHeaders = [
  ...['authorization', 'content-type', 'last-event-id', 'x-graphql-event-stream-token', 'x-request-id'],
  ...['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with'],
  ...['apollographql-client-name', 'apollographql-client-version'],
  ...['x-apollo-operation-name', 'x-apollo-operation-id'],
  ...['x-auth-account', 'x-auth-token'],
  ...['traceparent', 'tracestate', 'baggage', 'sentry-trace'],
]
const localOrigin = /^https?:\/\/(localhost|[a-z0-9-]+\.localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/
/** How many refused origins are remembered, so that each is logged once. */
const rememberedOrigins = 100
const maxShownOrigin = 100

export function createOriginPolicy({
  allowedHosts,
  allowedOrigins,
  localOrigins,
  allowedHeaders,
  log,
}: OriginPolicyOptions): OriginPolicy {
  const hosts = allowedHosts === undefined ? undefined : new Set(allowedHosts)
  const origins = new Set(allowedOrigins)
  const isListed = (origin: string) => origins.has(origin) || (localOrigins && localOrigin.test(origin))
  const hasOrigins = localOrigins || origins.size > 0
  const forEveryOrigin = new EncodedHeaders({ Vary: 'Origin' })
  const headersOf = (origin: string) => ({
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE',
    'Access-Control-Allow-Headers': [...new Set([...requestHeaders, ...allowedHeaders])].join(', '),
    'Access-Control-Expose-Headers': 'ETag, Retry-After, X-Request-Id',
    'Access-Control-Max-Age': '600',
    Vary: 'Origin',
  })
  const refused = new Set<string>()
  /** The last host that was accepted. Most requests have the same. */
  let knownHost: string | undefined
  /** The last origin that was allowed. */
  let known: { readonly origin: string; readonly headers: EncodedHeaders } | undefined
  return {
    problem({ headers: { host }, url = '' }) {
      // Yoga would respond to a malformed Host or target with a stack trace.
      const isKnown = host !== undefined && host === knownHost
      if (!isKnown && (host === undefined || !hostPattern.test(host)))
        return { status: 400, message: 'The Host header is not valid' }
      if (!url.startsWith('/') || url.startsWith('//'))
        return { status: 400, message: 'The request target is not a path' }
      if (isKnown) return undefined
      if (hosts !== undefined && !hosts.has(nameOf(host)))
        return {
          status: 421,
          message: 'This gateway is not reached by that name; ALLOWED_HOSTS lists the names',
        }
      knownHost = host
      return undefined
    },
    isAllowedOrigin({ headers }) {
      const { origin, host } = headers
      // Images, scripts and links of other pages send no Origin. [spec] Fetch Metadata Request Headers
      if (origin === undefined) return !/^(cross|same)-site$/.test(String(headers['sec-fetch-site'] ?? ''))
      return isListed(origin) || (URL.canParse(origin) && new URL(origin).host === host)
    },
    describeRefusal({ headers: { origin } }) {
      if (origin === undefined)
        return 'A page of another origin sent this without CORS: use fetch, and add the origin to ALLOWED_ORIGINS'
      const shown = origin.slice(0, maxShownOrigin)
      if (!refused.has(shown)) {
        log.warn(
          { origin: shown },
          'Refused a page of another origin; ALLOWED_ORIGINS lists those that are allowed',
        )
        const [oldest] = refused.size === rememberedOrigins ? refused : []
        if (oldest !== undefined) refused.delete(oldest)
        refused.add(shown)
      }
      return `Pages of ${JSON.stringify(shown)} may not use this gateway; ALLOWED_ORIGINS lists the origins that may`
    },
    corsHeaders({ headers: { origin } }) {
      if (!hasOrigins) return undefined
      if (origin === undefined || !isListed(origin)) return forEveryOrigin
      if (known?.origin !== origin) known = { origin, headers: new EncodedHeaders(headersOf(origin)) }
      return known.headers
    },
  }
}

/**
 * Recognizes operators by a token that only they can read. An IP address proves nothing: behind a proxy on the same machine,
 * every request comes from there.
 *
 * @param token undefined to recognize no one
 */
export function createOperatorCheck(
  token: Secret | undefined,
): (request: Pick<IncomingMessage, 'headers'>) => boolean {
  const expected = token && digest(token.reveal())
  return ({ headers: { authorization = '' } }) => {
    const [, given] = /^bearer +(\S+)$/i.exec(authorization) ?? []
    return expected !== undefined && given !== undefined && timingSafeEqual(expected, digest(given))
  }
}

/** How long a page key works after its first use: browsers preload pages, and users open them twice. */
const pageKeyGraceMs = 60_000

/** A key in a page URL that is printed in the terminal: its owner can read the terminal. */
export interface PageKey {
  readonly text: string
  /** Whether a key is the right one and still works: it works once, and for a minute after that. */
  accepts(key: string): boolean
}

export function createPageKey(now: () => number = Date.now): PageKey {
  const text = randomBytes(16).toString('base64url')
  const expected = digest(text)
  let endsAt = Number.POSITIVE_INFINITY
  return {
    text,
    accepts(key) {
      if (!timingSafeEqual(digest(key), expected) || now() > endsAt) return false
      endsAt = Math.min(endsAt, now() + pageKeyGraceMs)
      return true
    },
  }
}

/** Of one length, so that they can be compared in constant time. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function nameOf(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase()
}
