import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import Negotiator from 'negotiator'

interface Headed {
  readonly headers: IncomingHttpHeaders
}

/** A format of a stream of results. */
export type LiveFormat = 'sse' | 'multipart'

export type JsonType = (typeof jsonTypes)[number]

/** What a client accepts among the media types that `/graphql` has. */
export interface Accepted {
  /** The type of a single result; undefined when the client accepts no JSON. */
  readonly json: JsonType | undefined
  /**
   * The format of a stream of results; undefined when the client accepts none. A wildcard does not count while JSON is
   * acceptable: a client that sends only a wildcard expects a response that ends.
   */
  readonly stream: LiveFormat | undefined
  /** Whether the client prefers a page to JSON, as browsers do. */
  readonly page: boolean
}

/** The first wins where a client prefers none. */
export const jsonTypes = [
  'application/json; charset=utf-8',
  'application/graphql-response+json; charset=utf-8',
] as const
const plain: Accepted = { json: jsonTypes[0], stream: undefined, page: false }
/** What most clients send is not parsed. */
const usual = new Set(['', '*/*', 'application/json'])
const pageType = 'text/html; charset=utf-8'
/** With every parameter that clients send: a range with a parameter matches only a type that has it. */
const streamTypes: readonly (readonly [type: string, format: LiveFormat])[] = [
  ['text/event-stream; charset=utf-8', 'sse'],
  ['multipart/mixed; boundary=graphql; subscriptionSpec=1.0; deferSpec=20220824', 'multipart'],
]
/** Longer headers are not parsed: the work grows with their length. Browsers send fewer than 200 characters. */
const maxAcceptLength = 1000
const rememberedHeaders = 200

/** Parses Accept headers and remembers the latest: clients send the same few. */
export function createNegotiation(): (request: Headed) => Accepted {
  const known = new LRUCache<string, Accepted>({ max: rememberedHeaders })
  return ({ headers: { accept = '' } }) => {
    const found = known.get(accept)
    if (found !== undefined) return found
    const accepted = negotiate(accept)
    if (accept.length <= maxAcceptLength) known.set(accept, accepted)
    return accepted
  }
}

/** @param accept the header; blank for a client that sends none, which accepts everything. [spec] RFC 9110, 12.5.1 */
export function negotiate(accept: string): Accepted {
  if (usual.has(accept)) return plain
  if (accept.length > maxAcceptLength) return { json: undefined, stream: undefined, page: false }
  const negotiator = new Negotiator({ headers: accept.trim() === '' ? {} : { accept } })
  const json = negotiator.mediaType([...jsonTypes]) as JsonType | undefined
  return {
    json,
    stream: streamFormat(negotiator, accept, json === undefined),
    page: negotiator.mediaType([jsonTypes[0], pageType]) === pageType,
  }
}

function streamFormat(negotiator: Negotiator, accept: string, isOnlyChoice: boolean): LiveFormat | undefined {
  const named = new Set(negotiator.mediaTypes().map((type) => type.toLowerCase()))
  // Parts without `subscriptionSpec` have another shape. [apollo-router] multipart-subscriptions-protocol
  const offered = streamTypes.filter(([, format]) => format === 'sse' || /\bsubscriptionSpec=/i.test(accept))
  const preferred = negotiator
    .mediaTypes(offered.map(([type]) => type))
    .find((type) => isOnlyChoice || named.has(type.slice(0, type.indexOf(';'))))
  return streamTypes.find(([type]) => type === preferred)?.[1]
}

/** The type of an error in JSON, also for a client that accepts none: an error is better than silence. */
export function errorType({ headers: { accept = '' } }: Headed): JsonType {
  return negotiate(accept).json ?? jsonTypes[0]
}

/** Whether a client takes a compressed response. */
export function acceptsGzip({ headers }: Headed): boolean {
  return new Negotiator({ headers }).encodings(['gzip']).includes('gzip')
}
