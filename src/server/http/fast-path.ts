import { compress, hashOf } from '../../graphql/cached-body.ts'
import { EncodedHeaders } from '../../net/http1/response.ts'
import type { Answer, Engine, EngineOperation } from '../engine.ts'
import { acceptsGzip, type JsonType } from '../negotiation.ts'
import { requestErrorStatus } from '../status.ts'
import { entityTag, matchesTag } from './conditional.ts'
import type { Exchange } from './exchange.ts'
import { headersOfTypes, jsonHeaders } from './responses.ts'

/** Shorter responses, in bytes or characters, are not compressed. */
const compressedFrom = 4096

const cacheableHeaders = headersOfTypes('private, no-cache')
const variants = new EncodedHeaders({ Vary: 'Authorization, Accept, Accept-Encoding' })
const gzipped = new EncodedHeaders({ 'Content-Encoding': 'gzip' })

/**
 * Fast path: executes a query or mutation and sends the response that Yoga would send, without Yoga's overhead. The response to a
 * GET or HEAD has an entity tag.
 *
 * @param type the media type of the response
 */
export function serveFastPath(
  exchange: Exchange,
  engine: Engine,
  operation: EngineOperation,
  type: JsonType,
): void {
  engine.answer(operation).then(
    (answer) => sendAnswer(exchange, answer, type),
    () => exchange.destroy(),
  )
}

export function sendAnswer(exchange: Exchange, { body, isWhole, errors }: Answer, type: JsonType): void {
  if (exchange.isGone) return
  const isRead = exchange.method === 'GET' || exchange.method === 'HEAD'
  const status = errors === undefined ? 200 : requestErrorStatus(type, errors[0]?.extensions['code'])
  const headers = (isRead ? cacheableHeaders : jsonHeaders)[type]
  const isText = typeof body === 'string'
  if (isRead && isWhole) {
    const tag = entityTag(isText ? hashOf(body) : body.hash())
    exchange.addHeaders(new EncodedHeaders({ ETag: tag }))
    exchange.addHeaders(variants)
    if (matchesTag(tag, exchange.headers['if-none-match'])) return exchange.respond(304, headers, '')
  }
  // A string leaves with the headers in one write; its length is in characters.
  const plain = isText ? body : body.bytes()
  if (plain.length < compressedFrom || !acceptsGzip(exchange)) return exchange.respond(status, headers, plain)
  const compressed = isText ? compress(body, { level: 1 }) : body.compressed()
  compressed.then(
    (bytes) => {
      exchange.addHeaders(gzipped)
      exchange.respond(status, headers, bytes)
    },
    () => exchange.destroy(),
  )
}
