import type { Background } from '../background.ts'
import type { Store } from '../store/db.ts'
import { listFlows, noteActive } from '../store/flows.ts'
import type { Destination } from './encode.ts'

/** The parameter `active` of a stream: the presence of its user. Without it the user appears offline. [flowdock] streaming.md */
export type Activity = 'active' | 'idle'

/** An event that is delivered to open streams and not stored. */
export interface Signal {
  /** The flows, and the user, whose streams deliver it. */
  readonly flowIds: readonly string[]
  readonly userId?: number
  /** Only for streams that asked for presence. */
  readonly isPresence: boolean
  readonly payload: object
}

/** A `presence` event. [flowdock] oulu */
export interface PresencePayload {
  readonly event: 'presence'
  readonly content: { readonly user_id: number; readonly state: number; readonly updated_at: string }
  readonly user_id: number
}

/** Which users are present. The state is of this process and ends with it; nothing is published while the process stops. */
export interface Presence {
  /** Counts an open stream of this user, until the returned function is called. */
  enter(userId: number, activity: Activity): () => void
  /** Makes a user present without a stream, for `lastsMs` from the last call; undefined ends that. */
  set(userId: number, activity: Activity | undefined): void
  readonly lastsMs: number
  /** The present users, with the events that a stream with presence begins with. */
  list(): readonly { readonly userId: number; readonly payload: PresencePayload }[]
  /** Delivers a signal, such as that a user is typing. */
  publish(signal: Signal): void
  listen(listener: (signal: Signal) => void): () => void
}

/** [flowdock] oulu: the numbers of the `state` of a presence event. */
const states = { offline: 0, idle: 1_000_000, active: 2_000_000 } as const

export function createPresence(
  store: Store,
  options: {
    readonly activityEveryMs: number
    readonly presenceLastsMs: number
    readonly background: Background
    /** Aborts when the process stops. */
    readonly signal: AbortSignal
  },
): Presence {
  const streams = new Map<number, Activity[]>()
  const since = new Map<number, number>()
  const listeners = new Set<(signal: Signal) => void>()
  const { background, signal: stopping } = options
  /** Users who are present without a stream, with the timer that ends it. */
  const announced = new Map<number, { leave: () => void; timer: NodeJS.Timeout }>()

  function stateOf(userId: number): keyof typeof states {
    const open = streams.get(userId) ?? []
    if (open.length === 0) return 'offline'
    return open.includes('active') ? 'active' : 'idle'
  }

  function encode(userId: number): PresencePayload {
    const updatedAt = new Date(since.get(userId) ?? Date.now()).toISOString()
    const content = { user_id: userId, state: states[stateOf(userId)], updated_at: updatedAt }
    return { event: 'presence', content, user_id: userId }
  }

  function publish(signal: Signal): void {
    for (const listener of listeners) listener(signal)
  }

  async function publishPresence(userId: number): Promise<void> {
    if (stopping.aborted) return
    const flows = await listFlows(store.reader, userId, 'joined')
    publish({ flowIds: flows.map(({ id }) => id), isPresence: true, payload: encode(userId) })
  }

  /** [flowdock] streaming.md: `activity.user` in every flow, without the time for an idle user. */
  async function publishActivity(userId: number): Promise<void> {
    const state = stateOf(userId)
    if (state === 'offline' || stopping.aborted) return
    const now = Date.now()
    if (state === 'active') await store.write((db) => noteActive(db, userId, now))
    const content = state === 'active' ? { last_activity: now } : {}
    for (const flow of await listFlows(store.reader, userId, 'joined'))
      publish({
        flowIds: [flow.id],
        isPresence: false,
        payload: activityEvent({ flow: flow.id }, flow.last_message_id ?? 0, userId, content),
      })
  }

  function change(userId: number, apply: () => void): void {
    const before = stateOf(userId)
    apply()
    if (stateOf(userId) === before) return
    since.set(userId, Date.now())
    background.run(publishPresence(userId))
  }

  const timer = setInterval(() => {
    for (const userId of streams.keys()) background.run(publishActivity(userId))
  }, options.activityEveryMs)
  stopping.addEventListener('abort', () => clearInterval(timer))

  function enter(userId: number, activity: Activity): () => void {
    change(userId, () => streams.set(userId, [...(streams.get(userId) ?? []), activity]))
    background.run(publishActivity(userId))
    let left = false
    return () => {
      if (left) return
      left = true
      change(userId, () => {
        const open = streams.get(userId) ?? []
        const rest = open.toSpliced(open.indexOf(activity), 1)
        if (rest.length > 0) streams.set(userId, rest)
        else streams.delete(userId)
      })
      if (!streams.has(userId)) since.delete(userId)
    }
  }

  return {
    lastsMs: options.presenceLastsMs,
    enter,
    set(userId, activity) {
      const before = announced.get(userId)
      clearTimeout(before?.timer)
      announced.delete(userId)
      if (activity !== undefined) {
        const leave = enter(userId, activity)
        const timer = setTimeout(() => {
          announced.delete(userId)
          leave()
        }, options.presenceLastsMs).unref()
        announced.set(userId, { leave, timer })
      }
      before?.leave()
    },
    list: () => [...streams.keys()].map((userId) => ({ userId, payload: encode(userId) })),
    publish,
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** An `activity.user` event. It is not stored, so it has the number of the newest message instead of its own. */
export function activityEvent(destination: Destination, id: number, userId: number, content: object): object {
  return {
    event: 'activity.user',
    tags: [],
    uuid: null,
    id,
    ...destination,
    content,
    sent: Date.now(),
    app: null,
    attachments: [],
    user: String(userId),
  }
}
