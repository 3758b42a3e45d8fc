import { type Background, createBackground } from './background.ts'
import { fitEvent } from './bounds.ts'
import type { Bus } from './bus/bus.ts'
import { grantOfToken } from './grants.ts'
import type { Change, ControlEvent } from './store/change.ts'
import type { Store } from './store/db.ts'
import {
  type EventRow,
  type EventScope,
  findLogPosition,
  type LogPosition,
  listEvents,
  listEventsAfter,
  newControlEvent,
  newEvent,
  replaceLogId,
} from './store/events.ts'
import { fingerprintOf } from './store/fingerprint.ts'
import { createTailer } from './tailer.ts'

export interface EventLog {
  /** The number up to which events were delivered. */
  delivered(): number
  /**
   * Runs a change in a transaction. Its events are delivered to the listeners after the commit, in the order of the log.
   *
   * @param channel the flow or the private conversation whose messages and threads change, if nothing else does: changes of
   *   different channels may run at the same time
   */
  write<T>(change: (change: Change) => Promise<T>, channel?: { readonly channel_id: number }): Promise<T>
  /** Delivers every event from now on to the listener, until the returned function is called. */
  listen(listener: (event: EventRow) => void): () => void
  /** Stored events of a scope after `seq`, ascending, at most `limit`. */
  replay(scope: EventScope, seq: number, limit: number): Promise<EventRow[]>
  /**
   * Resolves when all present events of the log are delivered, also those of other processes.
   *
   * @throws the error of a read that failed
   */
  catchUp(): Promise<void>
}

export interface EventLogOptions {
  /** Runs reads of the log, and reports those that fail. */
  readonly background?: Background
  /** Ends the reads that are repeated after a failure. */
  readonly signal?: AbortSignal
  /**
   * Called once when the numbers of the log stand for other events than before: a backup was restored, or a failover led to a
   * replica without the last commits. Streams and other readers of the log have to start again.
   */
  readonly onReplaced?: (reason: string) => void
  /** Announces events to other backends, and theirs here. Without one they are found when the log is read. */
  readonly bus?: Bus
  /** Called after a commit that left jobs for rules. */
  readonly onRuleJobs?: () => void
}

/** How many events are read at once. */
const pageSize = 1000

/**
 * Opens the event log, which is a table of the store. Events are numbered in the order of their commits, without gaps. So a
 * number that was skipped was written by another process, such as a command beside the running server; that event is read
 * and delivered first. If a read fails, the events after it wait until a later read succeeds.
 */
export async function createEventLog(store: Store, options: EventLogOptions = {}): Promise<EventLog> {
  const { background = createBackground(() => undefined), signal, bus } = options
  const begin = await findLogPosition(store.reader)
  let isReplaced = false
  /** Whether the log has other events than those that were delivered. */
  let hasDiverged = false
  const listeners = new Set<(event: EventRow) => void>()
  /** Waits until all events up to a number are delivered. */
  const waiting = new Set<PromiseWithResolvers<void> & { readonly seq: number }>()

  const tailer = createTailer<EventRow>(
    begin.last,
    {
      deliver(event) {
        for (const listener of listeners) listener(event)
      },
      read: (after) => background.run(readPage(after)),
      retryAfter(ms) {
        setTimeout(() => {
          if (signal?.aborted !== true) tailer.retry()
        }, ms).unref()
      },
      diverged() {
        hasDiverged = true
        resolveWaiting()
        // Tells that the log was replaced.
        background.run(catchUp())
      },
    },
    { fingerprintOf, begin: begin.fingerprint ?? undefined },
  )

  async function readPage(after: number): Promise<void> {
    let page: EventRow[]
    try {
      // The event before them says whether it is the one that was delivered.
      page = await listEventsAfter(store.reader, after - 1, pageSize)
    } catch (error) {
      tailer.readFailed()
      for (const each of waiting) each.reject(error)
      waiting.clear()
      throw error
    }
    const isLast = page.length < pageSize
    const previous = page[0]?.seq === after ? page.shift() : undefined
    tailer.pageRead(page, isLast, previous && fingerprintOf(previous))
    resolveWaiting()
  }

  function resolveWaiting(): void {
    for (const each of waiting) {
      if (each.seq > tailer.delivered && tailer.isBehind && !hasDiverged) continue
      waiting.delete(each)
      each.resolve()
    }
  }

  /** Events of commits that were not announced yet: changes that share a commit are one message. */
  let unannounced: EventRow[] = []
  /** The fingerprint of the event before them. */
  let beforeUnannounced: string | undefined

  function announce(events: readonly EventRow[], previous: string | undefined): void {
    if (bus === undefined || events.length === 0) return
    if (unannounced.length === 0) {
      beforeUnannounced = previous
      queueMicrotask(publishUnannounced)
    }
    unannounced.push(...events)
  }

  function publishUnannounced(): void {
    const events = unannounced
    unannounced = []
    const [first, last] = [events[0], events.at(-1)]
    if (first === undefined || last === undefined) return
    const previous = beforeUnannounced
    bus?.publish({
      ...{ kind: 'batch', from: first.seq, to: last.seq, events },
      ...(previous === undefined ? {} : { previous }),
    })
  }

  /** Compares the log with what was delivered before its position was read. */
  async function checkLog(
    { delivered, fingerprint }: { delivered: number; fingerprint: string | undefined },
    { id, last, fingerprint: found }: LogPosition,
  ): Promise<void> {
    const isOther =
      hasDiverged ||
      (last === delivered && found !== null && fingerprint !== undefined && found !== fingerprint)
    if (isReplaced || (id === begin.id && last >= delivered && !isOther)) return
    isReplaced = true
    try {
      // Other backends and gateways notice by the id.
      if (id === begin.id) await store.write((db) => replaceLogId(db, id))
    } catch (error) {
      // The next check tries again.
      isReplaced = false
      throw error
    }
    options.onReplaced?.(
      id !== begin.id
        ? 'The event log was replaced by another one'
        : last < delivered
          ? `The event log ends at ${last}, and ${delivered} events were delivered: commits were lost`
          : `The event log has other events than those that were delivered, up to ${delivered}: commits were lost`,
    )
  }

  async function catchUp(): Promise<void> {
    const { delivered, fingerprint } = tailer
    const position = await findLogPosition(store.reader)
    await checkLog({ delivered, fingerprint }, position)
    if (hasDiverged) return
    const seq = position.last
    tailer.noteHead(seq)
    // The database answers: a pause after a failed read is over.
    tailer.retry()
    if (tailer.delivered >= seq) return
    const each = { seq, ...Promise.withResolvers<void>() }
    waiting.add(each)
    await each.promise
  }

  bus?.listen((message) => {
    if (message.kind === 'here') tailer.noteHead(message.head)
    else if (message.kind === 'batch')
      if (message.events === undefined) tailer.noteHead(message.to)
      else tailer.receive(message.events, message.previous)
  })
  bus?.onConnected(() => background.run(catchUp()))

  return {
    delivered: () => tailer.delivered,
    write(change, channel) {
      let hasRuleJobs = false
      return store.write(
        (db, publishEvent) => {
          // The change may run again.
          hasRuleJobs = false
          return change({
            db,
            now: Date.now,
            async publish(audience, payload) {
              const text = fitEvent(typeof payload === 'string' ? payload : JSON.stringify(payload))
              const flowId = 'flow' in audience ? audience.flow : null
              const userId = 'user' in audience ? audience.user : null
              publishEvent(newEvent({ flow_id: flowId, user_id: userId, payload: text }))
              return text
            },
            async publishControl(event) {
              publishEvent(newControlEvent(encodeControl(event)))
            },
            noteRuleJobs() {
              hasRuleJobs = true
            },
          })
        },
        {
          channel: channel?.channel_id,
          onCommit(_, events, previous) {
            tailer.receive(events, previous)
            announce(events, previous)
            if (hasRuleJobs) options.onRuleJobs?.()
          },
        },
      )
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    replay: (scope, seq, limit) => listEvents(store.reader, scope, seq, limit),
    catchUp,
  }
}

/** The payload is the frame of the service stream without its audience. */
function encodeControl(event: ControlEvent) {
  const { kind: k } = event
  const organizationId = 'organizationId' in event ? event.organizationId : undefined
  const payload =
    event.kind === 'token'
      ? { k, g: grantOfToken(event.tokenHash) }
      : { k, ...(organizationId === undefined ? {} : { o: organizationId }) }
  return {
    flow_id: 'flowId' in event ? event.flowId : null,
    user_id: 'userId' in event ? event.userId : null,
    payload: JSON.stringify(payload),
  }
}
