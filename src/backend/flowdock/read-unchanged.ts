import type { Database } from '../store/db.ts'
import { findLogChanges, type LogChanges } from '../store/events.ts'

/** How often something is read again because its flow changed meanwhile. */
const maxAttempts = 3

/** What was read, as it is when the event log ends at `at`. */
export interface ReadUnchanged<T> {
  readonly value: T
  readonly log: string
  readonly at: number
}

/**
 * Reads messages and threads of a flow with several statements, as they are at one moment, without a transaction, for which other
 * reads would have to wait. Every change of them is an event of the flow. So nothing has changed if the newest event of the flow has
 * the same number before and after.
 *
 * @param read gets what the log has before
 * @returns undefined when the flow changed again and again
 */
export async function readUnchanged<T>(
  db: Database,
  flowId: string,
  read: (changes: LogChanges) => Promise<T>,
): Promise<ReadUnchanged<T> | undefined> {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const before = await findLogChanges(db, flowId)
    const value = await read(before)
    const after = await findLogChanges(db, flowId)
    if (after.id === before.id && after.newest === before.newest)
      return { value, log: before.id, at: before.last }
  }
  return undefined
}
