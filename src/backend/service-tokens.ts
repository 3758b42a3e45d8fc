import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** Says whether a request has a service token in its `Authorization` header. */
export type ServiceTokenCheck = (headers: IncomingHttpHeaders) => boolean

/**
 * Compares in constant time: with each of the tokens, and hashes of one length.
 *
 * @param tokens two while one is replaced by another
 */
export function createServiceTokenCheck(tokens: readonly string[]): ServiceTokenCheck {
  const hashes = tokens.map(sha256)
  return ({ authorization }) => {
    const given = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (given === undefined) return false
    const digest = sha256(given)
    return hashes.filter((each) => timingSafeEqual(each, digest)).length > 0
  }
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
