import type { FlowEvent } from './model.ts'

export type PresenceEvent = Extract<FlowEvent, { type: 'presence' }>

/**
 * Who is there, as one stream tells it. Only changes pass: a stream that was cut tells everybody anew when it stands
 * again, and says nothing of those who left meanwhile.
 */
export interface PresenceTable {
  /** Whether the event says something new. */
  learn(event: PresenceEvent): boolean
  /** The stream stands again: whoever it does not name within `confirmMs` is gone. */
  reconnected(): void
  /** Everybody who is there. */
  list(): readonly PresenceEvent[]
  close(): void
}

/** How long a stream that stands again may take to tell who is there. */
const confirmMs = 5000

/** @param onGone hears of those who left while the stream was cut */
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
