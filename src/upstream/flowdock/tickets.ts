import { randomBytes } from 'node:crypto'

/** Unguessable ids that stand for something until they expire. Kept in memory, bounded, and forgotten with the process. */
export interface Tickets<T> {
  /**
   * Issues a ticket to a principal. When the principal has as many as it may, its own oldest one ends.
   *
   * @param key the same key is given the same ticket again for the first half of its lifetime
   */
  issue(principal: string, value: T, key?: string): { readonly id: string; readonly expiresAt: number }
  /** Undefined for an id that was never issued, has expired, or was forgotten. */
  find(id: string): { readonly value: T; readonly expiresAt: number } | undefined
  forget(id: string): void
}

export interface TicketOptions {
  readonly lifetimeMs: number
  /** How many one principal may have. */
  readonly mostEach: number
  /** How many there may be in all. Past it, the principal that has most loses its oldest one. */
  readonly most: number
  readonly now: () => number
}

interface Ticket<T> {
  readonly principal: string
  readonly key: string | undefined
  readonly value: T
  readonly expiresAt: number
}

/** In the order they were issued, which is the order in which they expire. */
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

  /** Nobody who has a fair share or less loses anything to somebody who has more. */
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
