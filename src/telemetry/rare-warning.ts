import type { Logger } from './log.ts'

const pauseMs = 60_000

/**
 * A warning that is logged at most once in a minute, so that an attack cannot fill the log.
 *
 * @returns a function to call each time. A log line has the details of the latest call, and as `count` the number of calls since
 *   the line before it
 */
export function createRareWarning(
  log: Logger,
  message: string,
  now: () => number = Date.now,
): (details: object) => void {
  let count = 0
  let loggedAt = Number.NEGATIVE_INFINITY
  return (details) => {
    count += 1
    if (now() - loggedAt < pauseMs) return
    log.warn({ ...details, count }, message)
    count = 0
    loggedAt = now()
  }
}
