import type { ServerResponse } from 'node:http'
import type { GraphQLError } from 'graphql'
import { type ErrorCode, GatewayError } from '../../errors.ts'
import { EncodedHeaders } from '../../net/http1/response.ts'
import { errorType, type JsonType, jsonTypes, negotiate } from '../negotiation.ts'
import { requestErrorStatus, statusOf } from '../status.ts'
import type { Exchange } from './exchange.ts'

/** A rejected request with a longer body, or one of unknown length, ends its connection. */
const maxIgnoredBytes = 65_536

export const nosniff = new EncodedHeaders({ 'X-Content-Type-Options': 'nosniff' })
export const noHeaders = new EncodedHeaders({})

/** The headers of JSON that no cache may store. */
export const jsonHeaders = headersOfTypes('no-store')

/** Made once for each type of JSON. */
export function headersOfTypes(caching: string): Readonly<Record<JsonType, EncodedHeaders>> {
  const [plain, graphql] = jsonTypes.map(
    (type) => new EncodedHeaders({ 'Content-Type': type, 'Cache-Control': caching }),
  )
  return { [jsonTypes[0]]: plain, [jsonTypes[1]]: graphql } as Record<JsonType, EncodedHeaders>
}

export function sendText(exchange: Exchange, text: string, type: string, status = 200): void {
  exchange.respond(status, new EncodedHeaders({ 'Content-Type': type, 'Cache-Control': 'no-store' }), text)
}

/** Responds to a well-formed request whose operation is not executed. */
export function sendErrors(
  exchange: Exchange,
  type: JsonType,
  errors: readonly GraphQLError[],
  status = requestErrorStatus(type, errors[0]?.extensions['code']),
): void {
  exchange.respond(status, jsonHeaders[type], JSON.stringify({ errors }))
}

/**
 * Rejects a request that never becomes an operation.
 *
 * @param keepAlive whether the connection stays open for further requests; without it, the rest of the body is discarded
 */
export function sendError(
  exchange: Exchange,
  status: number,
  code: ErrorCode,
  message: string,
  keepAlive = false,
): void {
  exchange.respond(status, jsonHeaders[errorType(exchange)], errorBody(code, message), !keepAlive)
}

/** Rejects a request in the middle of its body. */
export function abortRequest(
  exchange: Exchange,
  status: number,
  { code, message, retryAfterMs }: GatewayError,
): void {
  if (exchange.status !== 0 || exchange.isGone) return exchange.destroy()
  if (retryAfterMs !== undefined) exchange.addHeaders(retryAfter(retryAfterMs))
  exchange.abort(status, jsonHeaders[errorType(exchange)], errorBody(code, message))
}

/** Rejects a request by what was thrown for it. An unexpected error closes the connection. */
export function sendFailure(exchange: Exchange, error: unknown): void {
  if (!(error instanceof GatewayError)) return exchange.destroy()
  // A hash that is not known is no mistake: its client looks for the code, and then sends the text.
  const isHash = error.code === 'PERSISTED_QUERY_NOT_FOUND'
  const { json: type } = negotiate(exchange.headers.accept ?? '')
  const status = isHash && type !== undefined ? requestErrorStatus(type, error.code) : statusOf(error.code)
  if (error.retryAfterMs !== undefined) exchange.addHeaders(retryAfter(error.retryAfterMs))
  // A client that is to retry need not connect again, if the rest of its request is short.
  const length = Number(
    exchange.headers['content-length'] ?? (/^(GET|HEAD)$/.test(exchange.method) ? 0 : Infinity),
  )
  const keepAlive = (status === 429 || status === 503) && length < maxIgnoredBytes
  sendError(exchange, status, error.code, error.message, keepAlive || isHash)
}

/** Responds to a request for a file that cannot be transferred. @param masked the message for unexpected errors */
export function sendTransferError(response: ServerResponse, error: unknown, masked: string): void {
  if (response.headersSent || response.destroyed) return void response.destroy()
  const { code, message, retryAfterMs } =
    error instanceof GatewayError ? error : new GatewayError('INTERNAL_SERVER_ERROR', masked)
  const body = errorBody(code, message)
  for (const [name, value] of jsonHeaders[errorType(response.req)].fields()) response.setHeader(name, value)
  if (retryAfterMs !== undefined)
    for (const [name, value] of retryAfter(retryAfterMs).fields()) response.setHeader(name, value)
  // The rest of a file, which may have 100 MB, is not read.
  response.writeHead(statusOf(code), { 'Content-Length': Buffer.byteLength(body), Connection: 'close' })
  response.end(body)
}

/** The body of a response to a request that never becomes an operation. */
export function errorBody(code: ErrorCode, message: string): string {
  return JSON.stringify({ errors: [{ message, extensions: { code } }] })
}

/** Seconds, rounded up. [spec] RFC 9110, 10.2.3 */
export function retryAfter(ms: number): EncodedHeaders {
  return new EncodedHeaders({ 'Retry-After': String(Math.ceil(ms / 1000)) })
}
