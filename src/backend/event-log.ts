import { type Background, createBackground } from './background.ts'
import { fitEvent } from './bounds.ts'
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
  /** Resolves with the payload as it is stored and sent. */
  tell(event: NewEvent): Promise<string>
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

/** How many events are read at once. */
const pageSize = 1000

/**
 * The log lives in the store. Events are numbered in the order of their commits, without gaps; so a number that was
 * skipped was written by another process, such as a command beside the running server, and is told first.
 *
 * @param background reads such events, and hears when they cannot be read: they, and all after them, are told once they
 *   can be. Who listens to nothing needs none.
 */
export async function createEventLog(
  store: Store,
  background: Background = createBackground(() => undefined),
): Promise<EventLog> {
  const listeners = new Set<(event: EventRow) => void>()
  /** Committed events that wait to be told until the ones before them are read. */
  const backlog: EventRow[] = []
  let told = await lastEventSeq(store.reader)
  let reading = false

  function tell(event: EventRow): void {
    if (event.seq <= told) return
    told = event.seq
    for (const listener of listeners) listener(event)
  }

  function tellInOrder(events: readonly EventRow[]): void {
    backlog.push(...events)
    while (!reading) {
      const [next] = backlog
      if (next === undefined) return
      if (next.seq > told + 1) {
        reading = true
        background.run(tellMissing(next.seq))
        return
      }
      backlog.shift()
      tell(next)
    }
  }

  /** Tells what others wrote before the event `seq`, and then goes on. */
  async function tellMissing(seq: number): Promise<void> {
    try {
      const page = await listEventsBetween(store.reader, told, seq, pageSize)
      for (const event of page) tell(event)
      if (page.length < pageSize) told = seq - 1
    } finally {
      reading = false
    }
    tellInOrder([])
  }

  return {
    write(change) {
      let events: EventRow[] = []
      const run = (db: Database) => {
        events = []
        return change({
          db,
          async tell({ flowId, userId, payload }) {
            const text = fitEvent(JSON.stringify(payload))
            events.push(
              await insertEvent(db, { flow_id: flowId ?? null, user_id: userId ?? null, payload: text }),
            )
            return text
          },
        })
      }
      return store.write(run, () => tellInOrder(events))
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    replay: (scope, seq, limit) => listEvents(store.reader, scope, seq, limit),
    async catchUp() {
      const last = await lastEventSeq(store.reader)
      let read = told
      while (read < last) {
        const page = await listEventsBetween(store.reader, read, last + 1, pageSize)
        tellInOrder(page)
        read = page.at(-1)?.seq ?? last
      }
    },
  }
}
