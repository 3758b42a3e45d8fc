import { randomBytes } from 'node:crypto'

/** Unguessable ids for values, until they expire. They are in memory, bounded, and end with the process. */
export interface Tickets<T> {
  /**
   * Issues a ticket to a principal. When the principal has too many, its oldest one ends.
   *
   * @param key the same key gets the same ticket for the first half of its lifetime
   */
  issue(principal: string, value: T, key?: string): { readonly id: string; readonly expiresAt: number }
  /** Undefined for an id that was never issued, has expired, or was dropped. */
  find(id: string): { readonly value: T; readonly expiresAt: number } | undefined
  forget(id: string): void
}

export interface TicketOptions {
  readonly lifetimeMs: number
  /** The most tickets of one principal. */
  readonly mostEach: number
  /** The most tickets in all. Past it, the principal with the most loses its oldest one. */
  readonly most: number
  readonly now: () => number
}

interface Ticket<T> {
  readonly principal: string
  readonly key: string | undefined
  readonly value: T
  readonly expiresAt: number
}

/** In the order of issue, which is the order of expiry. */
interface Holder {
  readonly ids: Set<string>
  readonly byKey: Map<string, string>
}

export function createTickets<T>({ lifetimeMs, mostEach, most, now }: TicketOptions): Tickets<T> {
  const tickets = new Map<string, Ticket<T>>()
  const holders = new Map<string, Holder>()

  function forget(id: string): void {
    const ticket = tickets.get(id)
    if (ticket === undefined) return
    tickets.delete(id)
    const holder = holders.get(ticket.principal)
    holder?.ids.delete(id)
    if (ticket.key !== undefined && holder?.byKey.get(ticket.key) === id) holder.byKey.delete(ticket.key)
    if (holder?.ids.size === 0) holders.delete(ticket.principal)
  }

  function forgetOldestOf({ ids }: Holder): void {
    const [oldest] = ids
    if (oldest !== undefined) forget(oldest)
  }

  function forgetExpired(): void {
    for (const [id, { expiresAt }] of tickets) {
      if (expiresAt > now()) break
      forget(id)
    }
  }

  /** Drops the oldest ticket of the principal with the most, so that principals with few lose nothing. */
  function makeRoom(): void {
    let largest: Holder | undefined
    for (const holder of holders.values())
      if (largest === undefined || holder.ids.size > largest.ids.size) largest = holder
    if (largest !== undefined) forgetOldestOf(largest)
  }

  return {
    issue(principal, value, key) {
      forgetExpired()
      const known = key === undefined ? undefined : holders.get(principal)?.byKey.get(key)
      const ticket = known === undefined ? undefined : tickets.get(known)
      if (known !== undefined && ticket !== undefined && ticket.expiresAt - now() > lifetimeMs / 2)
        return { id: known, expiresAt: ticket.expiresAt }
      const own = holders.get(principal)
      if (own !== undefined && own.ids.size >= mostEach) forgetOldestOf(own)
      if (tickets.size >= most) makeRoom()
      const holder = holders.get(principal) ?? { ids: new Set(), byKey: new Map() }
      holders.set(principal, holder)
      const id = randomBytes(16).toString('base64url')
      const expiresAt = now() + lifetimeMs
      tickets.set(id, { principal, key, value, expiresAt })
      holder.ids.add(id)
      if (key !== undefined) holder.byKey.set(key, id)
      return { id, expiresAt }
    },
    find(id) {
      const ticket = tickets.get(id)
      return ticket !== undefined && ticket.expiresAt > now() ? ticket : undefined
    },
    forget,
  }
}
