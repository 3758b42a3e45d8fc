import type { Logger } from './log.ts'

const pauseMs = 60_000

/**
 * A warning that is logged at most once in a minute, so that an attack cannot fill the log.
 *
 * @returns what is called each time; a log line has the details of its own time, and says as `count` how many times it stands for
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
