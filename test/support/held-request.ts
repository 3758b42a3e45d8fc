import { request } from 'node:http'
import { basic } from './backend.ts'

export interface HeldRequest {
  /** Sends the rest of the body, and resolves with the answer. */
  complete(): Promise<{ readonly status: number; readonly text: string }>
}

/** Sends a request without the end of its body. Resolves when the server has read the head. */
export function holdRequest(
  url: string,
  method: string,
  token: string | undefined,
  body: string,
  contentType = 'application/json',
): Promise<HeldRequest> {
  const {
    promise: answered,
    resolve: answer,
    reject: fail,
  } = Promise.withResolvers<{ status: number; text: string }>()
  answered.catch(() => undefined)
  const kept = body.slice(-4)
  const outgoing = request(url, {
    method,
    headers: {
      ...{ 'content-type': contentType, 'content-length': Buffer.byteLength(body), expect: '100-continue' },
      ...(token === undefined ? {} : { authorization: basic(token) }),
    },
  })
  outgoing.on('error', fail)
  outgoing.on('response', async (response) => {
    let text = ''
    response.setEncoding('utf8')
    response.on('error', fail)
    response.on('data', (chunk: string) => {
      text += chunk
    })
    response.on('end', () => answer({ status: response.statusCode ?? 0, text }))
  })
  const held: HeldRequest = {
    complete() {
      outgoing.end(kept)
      return answered
    },
  }
  return new Promise((resolve, reject) => {
    outgoing.on('continue', () => {
      outgoing.write(body.slice(0, -kept.length))
      resolve(held)
    })
    // It may be refused before the body.
    answered.then(() => resolve(held), reject)
    outgoing.flushHeaders()
  })
}
