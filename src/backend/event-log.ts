import { type Background, createBackground } from './background.ts'
import { fitEvent } from './bounds.ts'
import { grantOfToken } from './grants.ts'
import type { Change, ControlEvent } from './store/change.ts'
import type { Database, Store } from './store/db.ts'
import {
  type EventRow,
  type EventScope,
  insertControlEvent,
  insertEvent,
  lastEventSeq,
  listEvents,
  listEventsBetween,
} from './store/events.ts'

export interface EventLog {
  /** Runs a change in a transaction. Its events are delivered to the listeners after the commit, in the order of the log. */
  write<T>(change: (change: Change) => Promise<T>): Promise<T>
  /** Delivers every event from now on to the listener, until the returned function is called. */
  listen(listener: (event: EventRow) => void): () => void
  /** Stored events of a scope after `seq`, ascending, at most `limit`. */
  replay(scope: EventScope, seq: number, limit: number): Promise<EventRow[]>
  /** Delivers what other processes have written to the log since. */
  catchUp(): Promise<void>
}

/** How many events are read at once. */
const pageSize = 1000

/**
 * Opens the event log, which is a table of the store. Events are numbered in the order of their commits, without gaps. So a
 * number that was skipped was written by another process, such as a command beside the running server; that event is read
 * and delivered first.
 *
 * @param background runs these reads. If one fails, the events after it wait until a later read succeeds. A caller without
 *   listeners needs none.
 */
export async function createEventLog(
  store: Store,
  background: Background = createBackground(() => undefined),
): Promise<EventLog> {
  const listeners = new Set<(event: EventRow) => void>()
  /** Committed events that wait until the ones before them are read. */
  const backlog: EventRow[] = []
  let delivered = await lastEventSeq(store.reader)
  let reading = false

  function deliver(event: EventRow): void {
    if (event.seq <= delivered) return
    delivered = event.seq
    for (const listener of listeners) listener(event)
  }

  function deliverInOrder(events: readonly EventRow[]): void {
    backlog.push(...events)
    while (!reading) {
      const [next] = backlog
      if (next === undefined) return
      if (next.seq > delivered + 1) {
        reading = true
        background.run(deliverMissing(next.seq))
        return
      }
      backlog.shift()
      deliver(next)
    }
  }

  /** Delivers what other processes wrote before the event `seq`, and then the backlog. */
  async function deliverMissing(seq: number): Promise<void> {
    try {
      const page = await listEventsBetween(store.reader, delivered, seq, pageSize)
      for (const event of page) deliver(event)
      if (page.length < pageSize) delivered = seq - 1
    } finally {
      reading = false
    }
    deliverInOrder([])
  }

  return {
    write(change) {
      let events: EventRow[] = []
      const run = (db: Database) => {
        events = []
        return change({
          db,
          now: Date.now,
          async publish(audience, payload) {
            const text = fitEvent(JSON.stringify(payload))
            const flowId = 'flow' in audience ? audience.flow : null
            const userId = 'user' in audience ? audience.user : null
            events.push(await insertEvent(db, { flow_id: flowId, user_id: userId, payload: text }))
            return text
          },
          async publishControl(event) {
            events.push(await insertControlEvent(db, encodeControl(event)))
          },
        })
      }
      return store.write(run, () => deliverInOrder(events))
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    replay: (scope, seq, limit) => listEvents(store.reader, scope, seq, limit),
    async catchUp() {
      const last = await lastEventSeq(store.reader)
      let read = delivered
      while (read < last) {
        const page = await listEventsBetween(store.reader, read, last + 1, pageSize)
        deliverInOrder(page)
        read = page.at(-1)?.seq ?? last
      }
    },
  }
}

/** The payload is what a frame of the service stream has beside the audience. */
function encodeControl(event: ControlEvent) {
  const { kind: k } = event
  const payload = event.kind === 'token' ? { k, g: grantOfToken(event.tokenHash) } : { k }
  return {
    flow_id: 'flowId' in event ? event.flowId : null,
    user_id: 'userId' in event ? event.userId : null,
    payload: JSON.stringify(payload),
  }
}
