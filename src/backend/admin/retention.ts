import type { Background } from '../background.ts'
import type { EventLog } from '../event-log.ts'
import type { FileStore } from '../files.ts'
import { dropEvents } from '../store/events.ts'
import { deleteExpired } from '../store/rights.ts'
import { deleteExpiredObjects } from '../store/things/objects.ts'

const dayMs = 24 * 3600_000
const everyMs = 3600_000
/** The most rows of one transaction, so that messages do not wait long for the same commit. */
const eventsAtOnce = 1000

/**
 * Deletes old events, which streams cannot resume from any more, and tokens and shares that expired a day ago or earlier.
 *
 * @param signal stops it early; the rest is deleted the next time
 */
export async function keepHouse(
  log: EventLog,
  eventRetentionDays: number,
  now: number,
  signal?: AbortSignal,
): Promise<void> {
  const before = now - eventRetentionDays * dayMs
  let dropped = await log.write(async (change) => {
    await deleteExpired(change, now - dayMs)
    await deleteExpiredObjects(change.db, now - dayMs)
    return await dropEvents(change.db, before, eventsAtOnce)
  })
  while (dropped === eventsAtOnce && !signal?.aborted)
    dropped = await log.write(({ db }) => dropEvents(db, before, eventsAtOnce))
}

/** Deletes expired data now and every hour, until the signal aborts. */
export function startHousekeeping(
  log: EventLog,
  files: FileStore,
  eventRetentionDays: number,
  background: Background,
  signal: AbortSignal,
): void {
  const run = () => {
    background.run(keepHouse(log, eventRetentionDays, Date.now(), signal))
    background.run(files.removeLeftovers(Date.now()))
  }
  run()
  const timer = setInterval(run, everyMs)
  signal.addEventListener('abort', () => clearInterval(timer))
}
