/**
 * When connections that were lost are opened again, whoever's they are: an upstream that is back is not met by all at
 * once.
 */
export interface Reconnects {
  /** Takes the next turn. @returns how long it is until then, in milliseconds */
  next(): number
}

/** @param eachSecond how many turns there are */
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
