import { randomBytes } from 'node:crypto'
import { RateLimitedError } from '../../errors.ts'
import type { Credential } from './credentials.ts'

/** Stand for a credential in the URL of one event stream, because a browser's `EventSource` sends no headers. */
export interface StreamTickets {
  /** @throws RateLimitedError for a principal with too many tickets that are neither used nor expired */
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
const perPrincipal = 100
const mostTickets = 10_000

export function createStreamTickets(now: () => number = Date.now): StreamTickets {
  // In the order of their expiry, because all live equally long.
  const tickets = new Map<string, { readonly credential: Credential; readonly expiresAt: number }>()
  const counts = new Map<string, number>()

  function remove(id: string, { principal }: Credential): void {
    tickets.delete(id)
    const left = (counts.get(principal) ?? 1) - 1
    if (left > 0) counts.set(principal, left)
    else counts.delete(principal)
  }

  return {
    issue(credential) {
      for (const [id, ticket] of tickets) {
        if (ticket.expiresAt > now()) break
        remove(id, ticket.credential)
      }
      const { principal } = credential
      const count = counts.get(principal) ?? 0
      if (count >= perPrincipal)
        throw new RateLimitedError(`You have ${perPrincipal} unused tickets, which is the limit`, lifetimeMs)
      if (tickets.size >= mostTickets)
        throw new RateLimitedError('There are too many unused tickets', lifetimeMs)
      const id = randomBytes(24).toString('base64url')
      const expiresAt = now() + lifetimeMs
      tickets.set(id, { credential, expiresAt })
      counts.set(principal, count + 1)
      return { id, expiresAt }
    },
    redeem(id) {
      const ticket = tickets.get(id)
      if (ticket === undefined) return undefined
      remove(id, ticket.credential)
      return ticket.expiresAt > now() ? ticket.credential : undefined
    },
  }
}
