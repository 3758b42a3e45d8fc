import type { Arrival } from './operations/writing.ts'

/** Delivers new drops to listeners, in the order of their commits. */
export interface Arrivals {
  publish(arrivals: readonly Arrival[]): void
  /** @returns a function that removes the listener */
  listen(listener: (arrival: Arrival) => void): () => void
}

export function createArrivals(): Arrivals {
  const listeners = new Set<(arrival: Arrival) => void>()
  return {
    publish(arrivals) {
      for (const arrival of arrivals) for (const listener of listeners) listener(arrival)
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
