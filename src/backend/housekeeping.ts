import type { Store } from './store/db.ts'
import { dropEvents } from './store/events.ts'
import { deleteExpired } from './store/grants.ts'

const dayMs = 24 * 3600_000
const everyMs = 3600_000
/** Short enough that messages which wait for the same commit do not notice. */
const eventsAtOnce = 1000

/** Drops what is past its time: events no stream is promised any more, and tokens that expired. */
export async function keepHouse(store: Store, eventRetentionDays: number, now: number): Promise<void> {
  await store.write((db) => deleteExpired(db, now - dayMs))
  const before = now - eventRetentionDays * dayMs
  while ((await store.write((db) => dropEvents(db, before, eventsAtOnce))) === eventsAtOnce);
}

/** Keeps house now and every hour until the returned function is called. */
export function startHousekeeping(
  store: Store,
  eventRetentionDays: number,
  onError: (error: unknown) => void,
): () => void {
  const run = () => void keepHouse(store, eventRetentionDays, Date.now()).catch(onError)
  run()
  const timer = setInterval(run, everyMs)
  return () => clearInterval(timer)
}
