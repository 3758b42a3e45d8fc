import type { Credential } from './credentials.ts'
import { createTickets } from './tickets.ts'

/** Stand for a credential in the URL of one event stream, because a browser's `EventSource` sends no headers. */
export interface StreamTickets {
  /** When a principal has as many unused tickets as it may, its own oldest one ends. */
  issue(credential: Credential): StreamTicket
  /** Uses a ticket. Undefined for one that does not exist, was used or has expired. */
  redeem(id: string): Credential | undefined
}

export interface StreamTicket {
  readonly id: string
  /** In milliseconds since the epoch. */
  readonly expiresAt: number
}

/** Long enough for a page to open its stream, too short for a URL to be found in a log and used. */
const lifetimeMs = 60_000
/** Browsers open at most six streams of HTTP/1 to a host, for each of several users behind one credential. */
const mostEach = 100
const most = 10_000

export function createStreamTickets(now: () => number = Date.now): StreamTickets {
  const tickets = createTickets<Credential>({ lifetimeMs, mostEach, most, now })
  return {
    issue: (credential) => tickets.issue(credential.principal, credential),
    redeem(id) {
      const ticket = tickets.find(id)
      tickets.forget(id)
      return ticket?.value
    },
  }
}
