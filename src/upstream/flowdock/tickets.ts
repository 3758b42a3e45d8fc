import { randomBytes } from 'node:crypto'

/** What an unguessable id stands for, for a while. Kept in memory, bounded, and forgotten with the process. */
export interface Tickets<T> {
  issue(value: T): string
  /** Undefined for an id that is none, or none any more. */
  find(id: string): { readonly value: T; readonly expiresAt: number } | undefined
  forget(id: string): void
}

export interface TicketOptions {
  readonly lifetimeMs: number
  /** The oldest go first. */
  readonly most: number
  readonly now: () => number
}

export function createTickets<T>({ lifetimeMs, most, now }: TicketOptions): Tickets<T> {
  // In the order they were issued, which is that in which they expire.
  const tickets = new Map<string, { value: T; expiresAt: number }>()
  return {
    issue(value) {
      for (const [id, { expiresAt }] of tickets) {
        if (tickets.size < most && expiresAt > now()) break
        tickets.delete(id)
      }
      const id = randomBytes(16).toString('base64url')
      tickets.set(id, { value, expiresAt: now() + lifetimeMs })
      return id
    },
    find(id) {
      const ticket = tickets.get(id)
      return ticket !== undefined && ticket.expiresAt > now() ? ticket : undefined
    },
    forget: (id) => void tickets.delete(id),
  }
}
