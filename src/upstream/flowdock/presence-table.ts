import type { FlowEvent } from './model.ts'

export type PresenceEvent = Extract<FlowEvent, { type: 'presence' }>

/**
 * The present users, as one stream reports them. Only changes pass: after a reconnect the stream reports all present users again,
 * and does not say who left meanwhile.
 */
export interface PresenceTable {
  /** Takes an event. @returns whether it is a change */
  learn(event: PresenceEvent): boolean
  /** The stream reconnected. A user that it does not report within `confirmMs` has left. */
  reconnected(): void
  /** All present users. */
  list(): readonly PresenceEvent[]
  close(): void
}

/** How long a stream may take after a reconnect to report all present users. */
const confirmMs = 5000

/** @param onGone called with users who left while the stream was interrupted */
export function createPresenceTable(onGone: (event: PresenceEvent) => void): PresenceTable {
  const there = new Map<number, PresenceEvent>()
  let unconfirmed = new Set<number>()
  let timer: NodeJS.Timeout | undefined

  return {
    learn(event) {
      unconfirmed.delete(event.userId)
      const before = there.get(event.userId)?.state ?? 'offline'
      if (event.state === 'offline') there.delete(event.userId)
      else there.set(event.userId, event)
      return event.state !== before
    },
    reconnected() {
      clearTimeout(timer)
      unconfirmed = new Set(there.keys())
      timer = setTimeout(() => {
        for (const userId of unconfirmed) {
          const known = there.get(userId)
          there.delete(userId)
          if (known !== undefined) onGone({ ...known, state: 'offline', changedAt: null })
        }
        unconfirmed.clear()
      }, confirmMs)
      timer.unref()
    },
    list: () => [...there.values()],
    close: () => clearTimeout(timer),
  }
}
