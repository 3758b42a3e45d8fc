import type { IncomingMessage } from 'node:http'

/** How much of a body is read to be discarded, and how long that may take. */
const maxBytes = 8 * 1024 * 1024
const maxMs = 2000

/**
 * Reads what is left of the body of a rejected request and discards it. A connection that closes while its client still
 * writes gives the client an error in place of the response. Resolves at the end of the body, or after 8 MiB or 2 s.
 */
export function discardBody(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let left = maxBytes
    const count = (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) finish()
    }
    const finish = () => {
      clearTimeout(deadline)
      request.off('data', count).pause()
      resolve()
    }
    const deadline = setTimeout(finish, maxMs)
    if (request.destroyed || request.readableEnded) return finish()
    request.once('end', finish).once('close', finish).on('data', count).resume()
  })
}
