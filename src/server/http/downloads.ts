import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { sendTransferError } from './responses.ts'

/** A file from the upstream. */
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

/** The headers of the upstream's response that the gateway forwards. */
const forwarded = [
  'content-type',
  // Not requested, but some storages compress files.
  'content-encoding',
  'content-length',
  'content-range',
  'content-disposition',
  'accept-ranges',
  'etag',
]

/** Serves `/files/TICKET/NAME`. */
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
    for (const name of forwarded) {
      const value = headers[name]
      if (value !== undefined) response.setHeader(name, value)
    }
    response.writeHead(status, {
      // Uploaded pages must not run scripts in the gateway's origin.
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
    sendTransferError(response, error, 'The file cannot be read')
  }
}
