import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { answerTransferError } from './transfer-error.ts'

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
  // It was not asked for; some storages keep files that way.
  'content-encoding',
  'content-length',
  'content-range',
  'content-disposition',
  'accept-ranges',
  'etag',
]

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
    answerTransferError(response, error, 'The file cannot be read')
  }
}
