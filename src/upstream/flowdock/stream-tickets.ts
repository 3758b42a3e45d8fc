import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Tickets } from '../../tickets.ts'
import type { Credential } from './credentials.ts'
import { createSealedCredentials } from './sealed-credentials.ts'

/** Stand for a credential in the URL of one event stream, because a browser's `EventSource` sends no headers. */
export interface StreamTickets {
  issue(credential: Credential): StreamTicket
  /**
   * Uses a ticket. Undefined for one that does not exist, has expired, or was used at this gateway. Gateways do not tell each
   * other of used tickets: another one accepts it once, too, before it expires.
   */
  redeem(id: string): Credential | undefined
}

export interface StreamTicket {
  readonly id: string
  /** In milliseconds since the epoch. */
  readonly expiresAt: number
}

/** Long enough for a page to open its stream, too short for a URL to be found in a log and used. */
const lifetimeMs = 60_000
/** Used tickets that are remembered until they expire: more than a process can open in that time. */
const maxUsed = 100_000

export function createStreamTickets(tickets: Tickets, now: () => number = Date.now): StreamTickets {
  const sealed = createSealedCredentials<string>(tickets, 'stream')
  // With `max`, the library makes room for all of them at once.
  const used = new LRUCache<string, true>({ maxSize: maxUsed, sizeCalculation: () => 1 })
  return {
    issue(credential) {
      const expiresAt = now() + lifetimeMs
      // Without it, tickets of one second would be one.
      const unique = randomBytes(9).toString('base64url')
      return { id: sealed.seal(credential, unique, expiresAt), expiresAt }
    },
    redeem(id) {
      const opened = sealed.open(id)
      if (opened === undefined || used.has(opened.details)) return undefined
      used.set(opened.details, true)
      return opened.credential
    },
  }
}
