import type { Database, Store } from './store/db.ts'
import {
  type EventRow,
  type EventScope,
  insertEvent,
  lastEventSeq,
  listEvents,
  listEventsBetween,
} from './store/events.ts'

/** An event to tell: to everybody in a flow, or to one user. */
export interface NewEvent {
  readonly flowId?: string
  readonly userId?: number
  readonly payload: object
}

/** What a change may do: read and write through `db`, and say what others should hear of it. */
export interface Change {
  readonly db: Database
  tell(event: NewEvent): Promise<void>
}

export interface EventLog {
  /** Runs a change and what it tells in one transaction; listeners hear of it after the commit, in log order. */
  write<T>(change: (change: Change) => Promise<T>): Promise<T>
  /** Hears every event from now on, until the returned function is called. */
  listen(listener: (event: EventRow) => void): () => void
  /** Stored events of a scope after `seq`, ascending, at most `limit`. */
  replay(scope: EventScope, seq: number, limit: number): Promise<EventRow[]>
  /** Tells what other processes wrote to the store since. */
  catchUp(): Promise<void>
}

/**
 * The log lives in the store. Events are numbered in the order of their commits, without gaps; so a number that was
 * skipped was written by another process, such as a command beside the running server, and is told first.
 */
export async function createEventLog(store: Store): Promise<EventLog> {
  const listeners = new Set<(event: EventRow) => void>()
  /** The newest event that was told or is about to be. */
  let last = await lastEventSeq(store.reader)

  function announce(events: readonly EventRow[]): void {
    for (const event of events) for (const listener of listeners) listener(event)
  }

  return {
    write(change) {
      const told: EventRow[] = []
      const run = async (db: Database) => {
        const before = last
        try {
          return await change({
            db,
            async tell({ flowId, userId, payload }) {
              const text = JSON.stringify(payload)
              const row = await insertEvent(db, {
                flow_id: flowId ?? null,
                user_id: userId ?? null,
                payload: text,
              })
              if (row.seq > last + 1) told.push(...(await listEventsBetween(db, last, row.seq)))
              told.push(row)
              last = row.seq
            },
          })
        } catch (error) {
          last = before
          throw error
        }
      }
      return store.write(run, () => announce(told))
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    replay: (scope, seq, limit) => listEvents(store.reader, scope, seq, limit),
    async catchUp() {
      if ((await lastEventSeq(store.reader)) <= last) return
      // In a turn of the writer, so that nothing is told twice or out of order.
      let missed: EventRow[] = []
      await store.write(
        async (db) => {
          missed = await listEventsBetween(db, last, Number.MAX_SAFE_INTEGER)
          last = missed.at(-1)?.seq ?? last
        },
        () => announce(missed),
      )
    },
  }
}
