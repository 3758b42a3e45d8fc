import type { IncomingMessage, ServerResponse } from 'node:http'
import { compress, hashOf } from '../../graphql/cached-body.ts'
import type { Engine, EngineOperation } from '../engine.ts'
import { acceptsGzip, type JsonType } from '../negotiation.ts'
import { requestErrorStatus } from '../status.ts'
import { entityTag, matchesTag } from './conditional.ts'

/** Shorter responses, in bytes or characters, are not compressed. */
const compressedFrom = 4096

/**
 * Fast path: executes a query or mutation and writes the response that Yoga would write, without Yoga's overhead. The
 * response to a GET or HEAD has an entity tag.
 *
 * @param type the media type of the response
 */
export async function serveFastPath(
  request: IncomingMessage,
  response: ServerResponse,
  engine: Engine,
  operation: EngineOperation,
  type: JsonType,
): Promise<void> {
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  const { body, isWhole, errors } = await engine.answer(operation)
  if (response.destroyed) return
  const status = errors === undefined ? 200 : requestErrorStatus(type, errors[0]?.extensions['code'])
  const headers: Record<string, string | number> = {
    'Content-Type': type,
    'Cache-Control': isRead ? 'private, no-cache' : 'no-store',
  }
  const isText = typeof body === 'string'
  if (isRead && isWhole) {
    const tag = entityTag(isText ? hashOf(body) : body.hash())
    headers['ETag'] = tag
    response.appendHeader('Vary', 'Authorization, Accept, Accept-Encoding')
    if (matchesTag(tag, request.headers['if-none-match'])) return void response.writeHead(304, headers).end()
  }
  // A string leaves with the headers in one write; its length is in characters.
  const plain = isText ? body : body.bytes()
  if (plain.length < compressedFrom || !acceptsGzip(request)) {
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(plain) })
    return void response.end(plain)
  }
  const bytes = await (isText ? compress(body, { level: 1 }) : body.compressed())
  response.writeHead(status, { ...headers, 'Content-Encoding': 'gzip', 'Content-Length': bytes.length })
  response.end(bytes)
}
