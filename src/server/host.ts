import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Secret } from '../secret.ts'

/** Who may reach the gateway, by which names and from pages of which origins. */
export interface Door {
  /** Why a request cannot be answered at all; undefined when it can. */
  problem(request: IncomingMessage): DoorProblem | undefined
  /** Whether a request was made by a page that may, or by no page at all. */
  isAllowedOrigin(request: IncomingMessage): boolean
  /** What lets the page of another origin that may, read the answer. */
  corsHeaders(request: IncomingMessage): Readonly<Record<string, string>>
}

export interface DoorProblem {
  readonly status: 400 | 421
  readonly message: string
}

export interface DoorOptions {
  /** Names without ports, in lower case; undefined for any. */
  readonly allowedHosts: readonly string[] | undefined
  readonly allowedOrigins: readonly string[]
}

const hostPattern = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i
/** What pages may send beside what every page may. */
const requestHeaders = [
  ...['authorization', 'content-type', 'last-event-id', 'x-graphql-event-stream-token', 'x-request-id'],
  ...['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with'],
].join(', ')

export function createDoor({ allowedHosts, allowedOrigins }: DoorOptions): Door {
  const hosts = allowedHosts === undefined ? undefined : new Set(allowedHosts)
  const origins = new Set(allowedOrigins)
  /** The last name that was right: most requests come by the same. */
  let knownHost: string | undefined
  return {
    problem({ headers: { host }, url = '' }) {
      // Frameworks answer a broken Host or target with a stack trace; they never see one.
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
    isAllowedOrigin({ headers: { origin, host } }) {
      if (origin === undefined || origins.has(origin)) return true
      return URL.canParse(origin) && new URL(origin).host === host
    },
    corsHeaders({ headers: { origin } }) {
      if (origins.size === 0) return {}
      if (origin === undefined || !origins.has(origin)) return { Vary: 'Origin' }
      return {
        'Access-Control-Allow-Origin': origin,
        'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE',
        'Access-Control-Allow-Headers': requestHeaders,
        'Access-Control-Expose-Headers': 'ETag, Retry-After, X-Request-Id',
        'Access-Control-Max-Age': '600',
        Vary: 'Origin',
      }
    },
  }
}

/**
 * Recognises operators by a token that only they can read. Addresses prove nothing: a proxy on the same machine makes
 * everybody appear to be there.
 *
 * @param token undefined where nobody is recognised
 */
export function createOperatorCheck(token: Secret | undefined): (request: IncomingMessage) => boolean {
  const expected = token && digest(token.reveal())
  return ({ headers: { authorization = '' } }) => {
    const [, given] = /^bearer +(\S+)$/i.exec(authorization) ?? []
    return expected !== undefined && given !== undefined && timingSafeEqual(expected, digest(given))
  }
}

/** How long a page key goes on working after its first use: browsers load a page ahead, and people open it twice. */
const pageKeyGraceMs = 60_000

/** A key in a page URL that is printed in the terminal: whoever has it can read the terminal. */
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
