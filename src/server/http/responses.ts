import type { ServerResponse } from 'node:http'
import type { GraphQLError } from 'graphql'
import { type ErrorCode, GatewayError } from '../../errors.ts'
import { discardBody } from '../../net/discard-body.ts'
import { errorType, type JsonType, negotiate } from '../negotiation.ts'
import { requestErrorStatus, statusOf } from '../status.ts'

/** A rejected request with a longer body, or one of unknown length, ends its connection. */
const maxIgnoredBytes = 65_536

export function sendText(response: ServerResponse, text: string, type: string, status = 200): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' })
  response.end(text)
}

/** Responds to a well-formed request whose operation is not executed. */
export function sendErrors(
  response: ServerResponse,
  type: JsonType,
  errors: readonly GraphQLError[],
  status = requestErrorStatus(type, errors[0]?.extensions['code']),
): void {
  response.end(writeErrorHead(response, status, errors, { type, keepAlive: true }))
}

/**
 * Rejects a request that never becomes an operation.
 *
 * @param keepAlive whether the connection stays open for further requests; without it, the rest of the body is discarded
 */
export function sendError(
  response: ServerResponse,
  status: number,
  code: ErrorCode,
  message: string,
  keepAlive = false,
): void {
  const { req: request } = response
  const text = writeErrorHead(response, status, [describe(code, message)], { keepAlive })
  if (keepAlive || request.complete) return void response.end(text)
  response.write(text)
  void discardBody(request).then(() => response.end())
}

/** Rejects a request in the middle of its body, and reads no more of it. */
export function abortRequest(
  response: ServerResponse,
  status: number,
  code: ErrorCode,
  message: string,
): void {
  const { req: request } = response
  if (response.headersSent || response.destroyed) return void request.destroy()
  const text = writeErrorHead(response, status, [describe(code, message)], { keepAlive: false })
  response.end(text, () => request.destroy())
}

/** Rejects a request by what was thrown for it. An unexpected error closes the connection. */
export function sendFailure(response: ServerResponse, error: unknown): void {
  if (!(error instanceof GatewayError)) return void response.destroy()
  const { req: request } = response
  // A hash that is not known is no mistake: its client looks for the code, and then sends the text.
  const isHash = error.code === 'PERSISTED_QUERY_NOT_FOUND'
  const { json: type } = negotiate(request.headers.accept ?? '')
  const status = isHash && type !== undefined ? requestErrorStatus(type, error.code) : statusOf(error.code)
  if (error.retryAfterMs !== undefined)
    response.setHeader('Retry-After', String(Math.ceil(error.retryAfterMs / 1000)))
  // A client that is to retry need not connect again, if the rest of its request is short.
  const length = Number(
    request.headers['content-length'] ?? (/^(GET|HEAD)$/.test(request.method ?? '') ? 0 : Infinity),
  )
  const keepAlive = (status === 429 || status === 503) && length < maxIgnoredBytes
  if (keepAlive) request.resume()
  sendError(response, status, error.code, error.message, keepAlive || isHash)
}

/** Responds to a request for a file that cannot be transferred. @param masked the message for unexpected errors */
export function sendTransferError(response: ServerResponse, error: unknown, masked: string): void {
  if (response.headersSent || response.destroyed) return void response.destroy()
  const { code, message } =
    error instanceof GatewayError ? error : new GatewayError('INTERNAL_SERVER_ERROR', masked)
  // The rest of a file, which may have 100 MB, is not read.
  response.end(writeErrorHead(response, statusOf(code), [describe(code, message)], { keepAlive: false }))
}

function describe(code: ErrorCode, message: string): object {
  return { message, extensions: { code } }
}

/** @returns the body */
function writeErrorHead(
  response: ServerResponse,
  status: number,
  errors: readonly object[],
  { type = errorType(response.req), keepAlive }: { readonly type?: JsonType; readonly keepAlive: boolean },
): string {
  const text = JSON.stringify({ errors })
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    ...(keepAlive ? {} : { Connection: 'close' }),
  })
  return text
}
