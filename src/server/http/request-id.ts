import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** Ids of requests, unique across processes. */
export interface RequestIds {
  /** The id of a request in logs and at the upstream: its own `X-Request-Id` if that is valid. */
  identify(request: { readonly headers: IncomingHttpHeaders }): string
}

export function createRequestIds(): RequestIds {
  const process = randomBytes(6).toString('base64url')
  let count = 0
  return {
    identify({ headers }) {
      const given = headers['x-request-id']
      if (typeof given === 'string' && /^[\w.-]{1,64}$/.test(given)) return given
      count += 1
      const id = `${process}-${count.toString(36)}`
      headers['x-request-id'] = id
      return id
    },
  }
}
