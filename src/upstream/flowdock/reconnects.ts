/** Spreads the reconnects of all principals over time, so that an upstream after a restart does not get all of them at once. */
export interface Reconnects {
  /** Takes the next turn. @returns the milliseconds until then */
  next(): number
}

/** @param eachSecond the number of turns in a second */
export function createReconnects(eachSecond: number): Reconnects {
  let freeAt = 0
  return {
    next() {
      const now = performance.now()
      const at = Math.max(now, freeAt)
      freeAt = at + 1000 / eachSecond
      return at - now
    },
  }
}
