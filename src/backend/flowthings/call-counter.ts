import type { Background } from '../background.ts'
import type { Store } from '../store/db.ts'
import { addCount } from '../store/things/drop-batch.ts'
import type { ThingsPrincipal } from './principal.ts'

/** Counts the API calls of identities. Writes the counts every 5 s; a killed process loses the last ones. */
export interface CallCounter {
  add(principal: ThingsPrincipal): void
  /** Writes the last counts, and stops counting. */
  close(): Promise<void>
}

const writeMs = 5000

export function createCallCounter(store: Store, background: Background): CallCounter {
  let counts = new Map<string, number>()

  async function write(): Promise<void> {
    const written = counts
    counts = new Map()
    if (written.size === 0) return
    await store.write(async (db) => {
      for (const [id, count] of written) addCount(db, 'apiCallByIdentity', id, Date.now(), count)
    })
  }

  const timer = setInterval(() => background.run(write()), writeMs)
  timer.unref()
  return {
    add({ account }) {
      counts.set(account.identity_id, (counts.get(account.identity_id) ?? 0) + 1)
    },
    async close() {
      clearInterval(timer)
      await write()
    },
  }
}
