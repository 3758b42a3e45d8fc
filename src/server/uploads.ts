import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ErrorCode, GatewayError } from '../errors.ts'

/** Sends the bytes on. Resolves with the global id of the message that was made. */
export type SendUpload = (
  ticket: string,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
) => Promise<string>

/** Longest file. */
export const maxUploadBytes = 100 * 1024 * 1024

const statuses: Partial<Record<ErrorCode, number>> = {
  BAD_USER_INPUT: 400,
  FORBIDDEN: 403,
  LIMIT_EXCEEDED: 413,
  NOT_FOUND: 404,
  UNAUTHENTICATED: 401,
  UPSTREAM_TIMEOUT: 504,
}

/** Answers `PUT /uploads/TICKET`: the body is the file, the answer names the message. */
export async function serveUpload(
  ticket: string,
  request: IncomingMessage,
  response: ServerResponse,
  send: SendUpload,
): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  try {
    if (Number(request.headers['content-length'] ?? 0) > maxUploadBytes) throw tooLong()
    const messageId = await send(ticket, bounded(request), gone.signal)
    answer(response, 201, { data: { messageId } })
  } catch (error) {
    if (response.destroyed) return
    const known = error instanceof GatewayError
    const code = known ? error.code : 'INTERNAL_SERVER_ERROR'
    const message = known ? error.message : 'The file cannot be stored'
    // What is left of the body stays unread.
    response.setHeader('Connection', 'close')
    answer(response, known ? (statuses[code] ?? 502) : 500, { errors: [{ message, extensions: { code } }] })
  }
}

async function* bounded(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxUploadBytes) throw tooLong()
    yield chunk
  }
}

function tooLong(): GatewayError {
  return new GatewayError('LIMIT_EXCEEDED', `The file is longer than ${maxUploadBytes} bytes`)
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(body))
}
