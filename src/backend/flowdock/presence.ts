import type { Background } from '../background.ts'
import type { Bus } from '../bus/bus.ts'
import type { BusMessage, BusSignal, PresentUser } from '../bus/messages.ts'
import type { Instances } from '../instances.ts'
import type { Store } from '../store/db.ts'
import { listFlows, listJoinedFlowIds } from '../store/flows.ts'
import { noteActive } from '../store/last-times.ts'
import type { Destination } from './encode.ts'
import { createPresentUsers, type PresenceState } from './present-users.ts'

/** The parameter `active` of a stream: the presence of its user. Without it the user appears offline. [flowdock] streaming.md */
export type Activity = 'active' | 'idle'

/** An event that is delivered to open streams, of all backends, and not stored. */
export type Signal = BusSignal

/** A `presence` event. [flowdock] oulu */
export interface PresencePayload {
  readonly event: 'presence'
  readonly content: { readonly user_id: number; readonly state: number; readonly updated_at: string }
  readonly user_id: number
}

/**
 * Which users are present, here or at another backend. Each backend owns what its streams and `set` say. It sends changes at
 * once, and all that it owns every 30 s. Nothing is published while the process stops: users come back at another backend.
 */
export interface Presence {
  /** Counts an open stream of this user, until the returned function is called. */
  enter(userId: number, activity: Activity): () => void
  /**
   * Makes a user present without a stream, for `lastsMs` from the last call; undefined ends that. The last call counts,
   * whichever backend it reaches.
   */
  set(userId: number, activity: Activity | undefined): void
  readonly lastsMs: number
  /** The present users, with the events that a stream with presence begins with. */
  list(): readonly { readonly userId: number; readonly payload: PresencePayload }[]
  /** Delivers a signal, such as that a user is typing, here and at the other backends. */
  publish(signal: Signal): void
  listen(listener: (signal: Signal) => void): () => void
}

export interface PresenceOptions {
  readonly activityEveryMs: number
  readonly presenceLastsMs: number
  readonly background: Background
  /** Aborts when the process stops. */
  readonly signal: AbortSignal
  readonly bus: Bus
  readonly instances: Pick<Instances, 'onGone'>
  /** How often the others are sent all that this backend owns; 30 s unless given. */
  readonly wholeEveryMs?: number
}

/** [flowdock] oulu: the numbers of the `state` of a presence event. */
const states = { offline: 0, idle: 1_000_000, active: 2_000_000 } as const
const wholeEveryMs = 30_000
/** Users in one message: a notification of PostgreSQL takes 7,900 bytes. */
const usersInMessage = 100
/** Users who changed without a message of their own, as when a backend ends, are published 200 a second. */
const changed = { everyMs: 250, atOnce: 50 } as const

export function createPresence(store: Store, options: PresenceOptions): Presence {
  const streams = new Map<number, Activity[]>()
  const users = createPresentUsers()
  const listeners = new Set<(signal: Signal) => void>()
  const { background, signal: stopping, bus } = options
  const { instance } = bus
  /** Users who are present without a stream, when they said so, and the timer that ends it. */
  const announced = new Map<number, { at: number; leave: () => void; timer: NodeJS.Timeout }>()
  /** Users whose changes wait to be published, with the state that was published last. */
  const waiting = new Map<number, PresenceState>()
  /** The parts of the round that another backend is sending. */
  const rounds = new Map<string, { round: number; parts: Set<number>; users: Set<number> }>()
  let round = 0

  function encode(userId: number): PresencePayload {
    const updatedAt = new Date(users.sinceOf(userId) ?? Date.now()).toISOString()
    const content = { user_id: userId, state: states[users.stateOf(userId)], updated_at: updatedAt }
    return { event: 'presence', content, user_id: userId }
  }

  function deliver(signal: Signal): void {
    for (const listener of listeners) listener(signal)
  }

  function deliverPresence(userId: number, flowIds: readonly string[]): void {
    if (!stopping.aborted) deliver({ flowIds, isPresence: true, payload: encode(userId) })
  }

  /** [flowdock] streaming.md: `activity.user` in every flow, without the time for an idle user. */
  async function publishActivity(userId: number): Promise<void> {
    const state = users.stateOf(userId)
    if (state === 'offline' || stopping.aborted) return
    const now = Date.now()
    if (state === 'active') await store.write(async (db) => noteActive(db, userId, now))
    const content = state === 'active' ? { last_activity: now } : {}
    const signals = (await listFlows(store.reader, userId, 'joined')).map((flow) => ({
      flowIds: [flow.id],
      isPresence: false,
      payload: activityEvent({ flow: flow.id }, flow.last_message_id ?? 0, userId, content),
    }))
    for (const signal of signals) deliver(signal)
    if (signals.length > 0) bus.publish({ kind: 'signals', signals })
  }

  /** Puts the state of a user that this backend owns in the table, and tells the others. */
  async function changeOwn(userId: number): Promise<void> {
    const open = streams.get(userId) ?? []
    const activity = open.length === 0 ? undefined : open.includes('active') ? 'active' : 'idle'
    if (users.at(instance, userId)?.activity === activity) return
    const before = users.stateOf(userId)
    const since = Date.now()
    if (activity === undefined) users.remove(instance, userId)
    else users.put(instance, { userId, activity, since })
    const isChanged = users.stateOf(userId) !== before
    const flows = await listFlows(store.reader, userId, 'joined')
    if (stopping.aborted) return
    const flowIds = flows.map(({ id }) => id)
    // Several changes may be under way: each sends what is so now.
    const own = users.at(instance, userId)
    bus.publish({ kind: 'state', userId, activity: own?.activity, since: own?.since ?? since, flowIds })
    if (isChanged) deliverPresence(userId, flowIds)
  }

  function sendAll(): void {
    round += 1
    const own = users.listAt(instance)
    const parts = Math.max(1, Math.ceil(own.length / usersInMessage))
    for (let part = 0; part < parts; part += 1) {
      const some = own.slice(part * usersInMessage, (part + 1) * usersInMessage)
      bus.publish({ kind: 'present', round, part, parts, users: some })
    }
  }

  /** Changes what another backend says of a user; the change is published with others that wait. */
  function changeLater(from: string, userId: number, user: PresentUser | undefined): void {
    const before = users.stateOf(userId)
    if (user === undefined) users.remove(from, userId)
    else users.put(from, user)
    if (users.stateOf(userId) !== before && !waiting.has(userId)) waiting.set(userId, before)
  }

  function receiveState(from: string, message: Extract<BusMessage, { kind: 'state' }>): void {
    const { userId, activity, since, flowIds } = message
    if (flowIds === undefined) return changeLater(from, userId, activity && { userId, activity, since })
    const before = users.stateOf(userId)
    if (activity === undefined) users.remove(from, userId)
    else users.put(from, { userId, activity, since })
    if (users.stateOf(userId) !== before) deliverPresence(userId, flowIds)
  }

  function receiveAll(from: string, message: Extract<BusMessage, { kind: 'present' }>): void {
    const known = rounds.get(from)
    const current =
      known?.round === message.round
        ? known
        : { round: message.round, parts: new Set<number>(), users: new Set<number>() }
    rounds.set(from, current)
    current.parts.add(message.part)
    for (const user of message.users) {
      current.users.add(user.userId)
      changeLater(from, user.userId, user)
    }
    if (current.parts.size < message.parts) return
    rounds.delete(from)
    for (const { userId } of users.listAt(from))
      if (!current.users.has(userId)) changeLater(from, userId, undefined)
  }

  async function publishWaiting(): Promise<void> {
    const some = [...waiting].slice(0, changed.atOnce)
    for (const [userId] of some) waiting.delete(userId)
    const different = some.filter(([userId, before]) => users.stateOf(userId) !== before)
    if (different.length === 0) return
    const flowIds = await listJoinedFlowIds(
      store.reader,
      different.map(([userId]) => userId),
    )
    for (const [userId] of different) deliverPresence(userId, flowIds.get(userId) ?? [])
  }

  bus.listen((message, from) => {
    switch (message.kind) {
      case 'signals':
        for (const signal of message.signals) deliver(signal)
        break
      case 'state':
        receiveState(from, message)
        break
      case 'set': {
        const own = announced.get(message.userId)
        if (own === undefined || own.at > message.at) break
        endAnnounced(message.userId)
        own.leave()
        break
      }
      case 'present':
        receiveAll(from, message)
        break
      case 'here':
        if (message.asks) sendAll()
    }
  })
  bus.onConnected(sendAll)
  options.instances.onGone((gone) => {
    rounds.delete(gone)
    for (const { userId } of users.listAt(gone)) changeLater(gone, userId, undefined)
  })

  const timers = [
    setInterval(() => {
      // A user who is at several backends is announced by one.
      for (const userId of streams.keys())
        if (users.isFirst(instance, userId)) background.run(publishActivity(userId))
    }, options.activityEveryMs),
    setInterval(sendAll, options.wholeEveryMs ?? wholeEveryMs),
    setInterval(() => {
      if (waiting.size > 0) background.run(publishWaiting())
    }, changed.everyMs),
  ]
  stopping.addEventListener('abort', () => {
    for (const timer of timers) clearInterval(timer)
  })

  function enter(
    userId: number,
    activity: Activity,
  ): { readonly leave: () => void; readonly sent: Promise<void> } {
    streams.set(userId, [...(streams.get(userId) ?? []), activity])
    const sent = changeOwn(userId)
    background.run(sent)
    background.run(publishActivity(userId))
    let left = false
    const leave = () => {
      if (left) return
      left = true
      const open = streams.get(userId) ?? []
      const rest = open.toSpliced(open.indexOf(activity), 1)
      if (rest.length > 0) streams.set(userId, rest)
      else streams.delete(userId)
      background.run(changeOwn(userId))
    }
    return { leave, sent }
  }

  /** @returns what was said before */
  function endAnnounced(userId: number) {
    const before = announced.get(userId)
    clearTimeout(before?.timer)
    announced.delete(userId)
    return before
  }

  return {
    lastsMs: options.presenceLastsMs,
    enter: (userId, activity) => enter(userId, activity).leave,
    set(userId, activity) {
      const at = Date.now()
      const before = endAnnounced(userId)
      let sent: Promise<void> | undefined
      if (activity !== undefined) {
        const entered = enter(userId, activity)
        const { leave } = entered
        const timer = setTimeout(() => {
          announced.delete(userId)
          leave()
        }, options.presenceLastsMs).unref()
        announced.set(userId, { at, leave, timer })
        sent = entered.sent
      }
      before?.leave()
      // The others end what they have once they know this: in between the user would be offline.
      const tell = () => bus.publish({ kind: 'set', userId, at })
      background.run(Promise.resolve(sent).then(tell, tell))
    },
    list: () => users.list().map((userId) => ({ userId, payload: encode(userId) })),
    publish(signal) {
      deliver(signal)
      bus.publish({ kind: 'signals', signals: [signal] })
    },
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
