import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { type ErrorCode, GatewayError } from '../errors.ts'

/** A file as it comes from the upstream. */
export interface Download {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly chunks: AsyncIterable<Uint8Array>
}

export type OpenDownload = (
  ticket: string,
  range: string | undefined,
  signal: AbortSignal,
) => Promise<Download>

/** What of the upstream's answer is passed on. */
const passedOn = [
  'content-type',
  'content-length',
  'content-range',
  'content-disposition',
  'accept-ranges',
  'etag',
]

const statuses: Partial<Record<ErrorCode, number>> = {
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  UNAUTHENTICATED: 401,
  UPSTREAM_TIMEOUT: 504,
}

/** Answers `/files/TICKET/NAME` with the file. */
export async function serveDownload(
  ticket: string,
  request: IncomingMessage,
  response: ServerResponse,
  open: OpenDownload,
): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  try {
    const { status, headers, chunks } = await open(ticket, request.headers.range, gone.signal)
    for (const name of passedOn) {
      const value = headers[name]
      if (value !== undefined) response.setHeader(name, value)
    }
    response.writeHead(status, {
      'X-Content-Type-Options': 'nosniff',
      // Whatever people uploaded runs nothing here.
      'Content-Security-Policy': "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
      'Cache-Control': 'private, max-age=300',
      'Referrer-Policy': 'no-referrer',
    })
    if (request.method === 'HEAD') {
      gone.abort()
      response.end()
      return
    }
    await pipeline(chunks, response)
  } catch (error) {
    if (response.headersSent || response.destroyed) {
      response.destroy()
      return
    }
    const known = error instanceof GatewayError
    const code = known ? error.code : 'INTERNAL_SERVER_ERROR'
    response.writeHead(known ? (statuses[code] ?? 502) : 500, { 'Content-Type': 'application/json' })
    const message = known ? error.message : 'The file cannot be read'
    response.end(JSON.stringify({ errors: [{ message, extensions: { code } }] }))
  }
}
