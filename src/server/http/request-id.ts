import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** Names no request of another process has. */
export interface RequestIds {
  /** The name a request goes by in logs and at the upstream: the one it came with, if that is one. */
  identify(request: IncomingMessage): string
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
