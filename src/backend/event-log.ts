import type { Database, Store } from './store/db.ts'
import { type EventRow, type EventScope, insertEvent, listEvents } from './store/events.ts'

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
}

/** The log lives in the store; this is its only writer and tells listeners in this process. */
export function createEventLog(store: Store): EventLog {
  const listeners = new Set<(event: EventRow) => void>()

  return {
    async write(change) {
      const told: EventRow[] = []
      return store.write(
        (db) =>
          change({
            db,
            async tell({ flowId, userId, payload }) {
              const text = JSON.stringify(payload)
              told.push(
                await insertEvent(db, { flow_id: flowId ?? null, user_id: userId ?? null, payload: text }),
              )
            },
          }),
        () => {
          for (const event of told) for (const listener of listeners) listener(event)
        },
      )
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    replay: (scope, seq, limit) => listEvents(store.reader, scope, seq, limit),
  }
}
