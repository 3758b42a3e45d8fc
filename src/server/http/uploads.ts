import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { sendTransferError } from './responses.ts'

/** Stores the bytes of a file. Resolves with the global id of its message. */
export type SendUpload = (
  ticket: string,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
) => Promise<string>

/** Longest file. */
const maxUploadBytes = 100 * 1024 * 1024

/** Serves `PUT /uploads/TICKET`: the body is the file, the response names its message. */
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
    response.writeHead(201, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
    response.end(JSON.stringify({ data: { messageId } }))
  } catch (error) {
    sendTransferError(response, error, 'The file cannot be stored')
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
