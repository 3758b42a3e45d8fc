import type { Credential } from './credentials.ts'
import { createTickets } from './tickets.ts'

/** Tickets replace the credential in the URL of one event stream, because a browser's `EventSource` sends no headers. */
export interface StreamTickets {
  /** Issues a ticket. When a principal has too many unused ones, its oldest one ends. */
  issue(credential: Credential): StreamTicket
  /** Uses a ticket. Undefined for one that does not exist, was used or has expired. */
  redeem(id: string): Credential | undefined
}

export interface StreamTicket {
  readonly id: string
  /** When it expires, in milliseconds since the epoch. */
  readonly expiresAt: number
}

/** Long enough for a page to open its stream, and too short to use a URL from a log. */
const lifetimeMs = 60_000
/**
 * The most unused tickets of one principal. A browser opens at most six streams to a host over HTTP/1, and several users may
 * share a credential.
 */
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
