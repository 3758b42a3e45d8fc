import type { Background } from '../background.ts'
import type { FileStore } from '../files.ts'
import type { Store } from '../store/db.ts'
import { dropEvents } from '../store/events.ts'
import { deleteExpired } from '../store/grants.ts'

const dayMs = 24 * 3600_000
const everyMs = 3600_000
/** Short enough that messages which wait for the same commit do not notice. */
const eventsAtOnce = 1000

/**
 * Drops what is past its time: events no stream is promised any more, and tokens that expired.
 *
 * @param signal stops it early; the rest is dropped the next time
 */
export async function keepHouse(
  store: Store,
  eventRetentionDays: number,
  now: number,
  signal?: AbortSignal,
): Promise<void> {
  await store.write((db) => deleteExpired(db, now - dayMs))
  const before = now - eventRetentionDays * dayMs
  let dropped = eventsAtOnce
  while (dropped === eventsAtOnce && !signal?.aborted)
    dropped = await store.write((db) => dropEvents(db, before, eventsAtOnce))
}

/** Keeps house now and every hour until the signal aborts. */
export function startHousekeeping(
  store: Store,
  files: FileStore,
  eventRetentionDays: number,
  background: Background,
  signal: AbortSignal,
): void {
  const run = () => {
    background.run(keepHouse(store, eventRetentionDays, Date.now(), signal))
    background.run(files.removeLeftovers(Date.now()))
  }
  run()
  const timer = setInterval(run, everyMs)
  signal.addEventListener('abort', () => clearInterval(timer))
}
