import { GatewayError } from '../errors.ts'
import type { Channel, EntryAudiences } from './channel.ts'
import { type Entry, RecentLog, type RecentLogLimits } from './recent-log.ts'

/** Receives what a stream delivers. */
export interface Sink<T> {
  /**
   * From now on no event is missed.
   *
   * @param channels the covered channels. The stream updates the set, and calls `channelsChanged` after each change
   * @param at the offset of the upstream's log, if the upstream says it
   */
  open(channels: ReadonlySet<string>, at: string | undefined): void
  event(event: T, bytes: number): void
  /**
   * `channels` has changed. An added channel is covered from here on: the event that added it, if there is one, was delivered
   * before, and all later events of the channel follow.
   */
  channelsChanged(): void
  /** The stream delivers nothing more. */
  end(error: unknown): void
}

/** What a subscription receives. */
export interface Topic<Owner> {
  /** The owner, whose rights decide. */
  readonly owner: Owner
  /** The channels to receive, or all channels of the owner, also later ones. */
  readonly channels: readonly string[] | 'all'
  /** Whether to receive private events of the owner. */
  readonly isPrivate: boolean
  /** Whether the subscription only needs to know that events come, so that none has to be remembered. */
  readonly isFleeting?: boolean
}

/** A member who lost a channel. */
export interface Removal {
  readonly channel: string
  readonly member: number
}

export interface HubOptions<Owner, T> {
  /** Owners with equal keys share one stream. */
  readonly keyOf: (owner: Owner) => string
  /** The id of an owner as a member; undefined when it is unknown. */
  readonly memberOf: (owner: Owner) => number | undefined
  /** Opens the stream of an owner. */
  readonly open: (owner: Owner, sink: Sink<T>) => { close(): void }
  /** The offset of an event in the upstream's log; undefined for an event that is not stored. */
  readonly offsetOf: (event: T) => string | undefined
  /** The member who loses a channel by an event; undefined for all other events. */
  readonly removalOf: (event: T) => Removal | undefined
  /** The audiences of an event: subscriptions with one of them receive it. */
  readonly audiencesOf: (event: T) => EntryAudiences
  /** The change of earlier events in memory by an event, such as a deletion; undefined for all other events. */
  readonly amendmentOf?: (event: T) => ((earlier: T) => T) | undefined
  /**
   * The channels that an owner may receive now.
   *
   * @param signal aborts the check at its deadline
   * @throws when the check fails, or why the owner may receive no channel
   */
  readonly check: (owner: Owner, signal: AbortSignal) => Promise<ReadonlySet<string>>
  /** Whether an error of `check` is about the owner, and not a temporary failure. */
  readonly isRefusal: (error: unknown) => boolean
  /** The error for a subscription that lost a channel. */
  readonly lost: () => unknown
  readonly limits: RecentLogLimits
  /** How long a stream without subscriptions stays open. */
  readonly idleTimeoutMs: number
  /** The interval of the checks of each borrower, if there are few of them. */
  readonly checkEveryMs: number
  /** The deadline of one check. */
  readonly checkWithinMs: number
  /** A borrower is evicted this long after the start of a check, unless that or a later one succeeds before. */
  readonly confirmWithinMs: number
  /** A new subscription needs a check of its owner that is no older than this. */
  readonly proofAgeMs: number
}

/** The limits of the log while no subscription can resume: enough for one that begins. */
const fleetingLimits: RecentLogLimits = { maxEvents: 16, maxBytes: 256 * 1024 }
/** The pause between two checks of borrowers: at most twenty checks begin in a second. */
const checkPauseMs = 50

/** Why a subscription ended. */
export type Ending =
  /** The stream or the access ended. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The stream is gone, or the access could not be confirmed. The reader resumes after its access is proved again. */
  | { readonly kind: 'evicted' }

/** A stream as its subscriptions see it, with its log of recent events. */
export interface StreamChannel<T> extends Channel<T> {
  readonly log: RecentLog<T>
}

/** A subscription to a stream. */
export interface Subscription<T> {
  readonly channel: StreamChannel<T>
  /** Set when the subscription ends, before the next event. */
  readonly ending: Ending | undefined
  /** Resolves when the subscription ends. */
  readonly ended: Promise<Ending>
  /** Calls `listener` when the subscription ends, before the next event; at once if it has ended. */
  onEnd(listener: () => void): void
  /**
   * Whether the channels of the reader are proved. After an event that changed the channels of the owner they are not: then
   * nothing from before that event is delivered until `prove` has resolved.
   */
  readonly isProved: boolean
  /** Proves them again. Resolves also when the subscription ends. @throws why the access cannot be proved */
  prove(): Promise<void>
  /** Whether the reader may receive a channel, by the last proof. */
  covers(channel: string): boolean
  /**
   * The entry after which the log has all events of the reader's channels. It may lack earlier ones, because a stream covers a
   * channel that its owner joined later, or lost for a while, only from then on.
   */
  readonly begin: LogBegin
  leave(): void
}

/** The number of the entry after which the log is complete, and the upstream's offset there, if it is known. */
export interface LogBegin {
  readonly seq: number
  readonly offset: string | undefined
}

/** The state of a hub, for operators. */
export interface HubState {
  readonly streams: readonly {
    /** Distinguishes streams. It reveals nothing about the owner. */
    readonly key: string
    readonly subscriptions: number
    readonly borrowers: number
    readonly channels: number
    readonly isOpen: boolean
    readonly keptEvents: number
    readonly offset: string | undefined
  }[]
}

/**
 * Shares streams. A subscription uses the stream of its owner, or borrows the stream of another owner that covers its channels.
 * So there are never more streams than owners, and one is enough for all subscriptions to the same channels.
 *
 * Access fails closed:
 * - a subscription begins only after a recent check of its owner; opening a stream is such a check;
 * - a reader that catches up receives remembered events only after a check that began after it subscribed, and only of channels
 *   that this check allows, so a reader that lost a channel meanwhile receives nothing of it;
 * - an event that removes a member ends the subscriptions of that member before the next event is delivered;
 * - each borrower is checked again regularly, and evicted when no check succeeds in time, whatever the error is;
 * - the result of a check that is older than an event does not overrule the event.
 */
export interface Hub<Owner, T> {
  /**
   * Subscribes. Resolves when the stream is open, so that later events are received.
   *
   * @param signal ends the subscription, also while the stream is opening
   * @param catchesUp whether the reader receives remembered events, too: then earlier checks do not count
   * @throws the error of a stream that never opened; why the access cannot be proved
   */
  subscribe(topic: Topic<Owner>, signal: AbortSignal, catchesUp?: boolean): Promise<Subscription<T>>
  /** The number of open streams. */
  readonly size: number
  /** Whether the hub is closed, so that no subscription can begin. */
  readonly isClosed: boolean
  state(): HubState
  /** Delivers an event of the gateway to all subscriptions. @param make gets the offset of the newest event of each stream */
  announce(make: (offset: string | undefined) => T): void
  /** Ends all subscriptions with `error`. */
  close(error: unknown): void
}

interface SubscriptionState<Owner> {
  readonly topic: Topic<Owner>
  /** Undefined for a subscription to the owner's own stream. */
  readonly borrower: Borrower<Owner> | undefined
  end(ending: Ending): void
}

/** An owner that uses the stream of another owner. */
interface Borrower<Owner> {
  readonly owner: Owner
  readonly key: string
  readonly subscriptions: Set<SubscriptionState<Owner>>
  /** The id of the member; undefined when it is unknown. */
  member: number | undefined
  /** The channels of the last successful check, without those that were lost by events since then. */
  allowed: Set<string>
  /** The check in progress. */
  check: Check | undefined
  checkedAt: number
  /** When the last successful check began. */
  provedAt: number
  /** The timer that evicts the borrower. Set from the start of a check until one succeeds. */
  eviction: NodeJS.Timeout | undefined
}

interface Check {
  readonly begunAt: number
  /** The channels that were lost by events since it began. Its result may be older than these events. */
  readonly taken: Set<string>
  done: Promise<void>
}

/** The channels that the owner of a stream may receive. */
interface Proof {
  readonly channels: ReadonlySet<string>
  /** When the check began. */
  readonly begunAt: number
}

interface SharedStream<Owner, T> extends StreamChannel<T> {
  readonly owner: Owner
  readonly subscriptions: Set<SubscriptionState<Owner>>
  readonly borrowers: Map<string, Borrower<Owner>>
  readonly ready: Promise<void>
  /** The id of its owner as a member; undefined when it is unknown. */
  member: number | undefined
  /** The number of subscriptions of the owner. */
  ownSubscriptions: number
  /** The number of subscriptions that need the log. */
  lastingSubscriptions: number
  /** Undefined until it is open. */
  channels: ReadonlySet<string> | undefined
  /** For each channel the number of the entry after which the log has all its events. */
  readonly coveredFrom: Map<string, number>
  /** The number of events that changed the channels of its owner. */
  changes: number
  /** The last check of its owner; undefined after such an event. */
  proof: Proof | undefined
  /** The check of its owner in progress. */
  proving: Promise<void> | undefined
  push(event: T, bytes: number): void
  end(error: unknown): void
  /** Closes the stream, and evicts its subscriptions. */
  retire(): void
  /** Closes the stream when it is unused, and moves borrowers whose lender has left. */
  settle(): void
}

export function createHub<Owner, T>(options: HubOptions<Owner, T>): Hub<Owner, T> {
  const streams = new Map<string, SharedStream<Owner, T>>()
  let closed: { error: unknown } | undefined

  function openStream(key: string, owner: Owner): SharedStream<Owner, T> {
    const subscriptions = new Set<SubscriptionState<Owner>>()
    const listeners = new Set<(entry: Entry<T>) => void>()
    const log = new RecentLog<T>(options.limits)
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    // Subscriptions that wait for it get the error. Without any, the error is ignored.
    ready.catch(() => undefined)
    let idleTimer: NodeJS.Timeout | undefined
    let isGone = false
    const openedAt = performance.now()

    function forget(): void {
      isGone = true
      clearTimeout(idleTimer)
      if (streams.get(key) === stream) streams.delete(key)
      upstream.close()
    }

    const stream: SharedStream<Owner, T> = {
      key,
      owner,
      log,
      subscriptions,
      borrowers: new Map(),
      ready,
      member: undefined,
      ownSubscriptions: 0,
      lastingSubscriptions: 0,
      channels: undefined,
      coveredFrom: new Map(),
      changes: 0,
      proof: undefined,
      proving: undefined,
      listen(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      audiencesOf: ({ event }) => options.audiencesOf(event),
      // The work for each event must not grow with the number of subscriptions.
      push(event, bytes) {
        if (isGone) return
        const amend = options.amendmentOf?.(event)
        if (amend !== undefined) log.amend(amend)
        const isFleeting = subscriptions.size > 0 && stream.lastingSubscriptions === 0
        const entry = log.push(event, options.offsetOf(event), bytes, isFleeting ? fleetingLimits : undefined)
        for (const listener of listeners) listener(entry)
        const removal = options.removalOf(event)
        if (removal !== undefined) remove(stream, removal)
        if (stream.ownSubscriptions === 0 && subscriptions.size > 0) stream.settle()
      },
      end(error) {
        if (isGone) return
        forget()
        reject(error)
        // Borrowers keep their access; they only lose the shared stream.
        for (const subscription of [...subscriptions])
          subscription.end(
            subscription.borrower !== undefined && closed === undefined
              ? { kind: 'evicted' }
              : { kind: 'failed', error },
          )
      },
      retire() {
        if (isGone) return
        forget()
        for (const subscription of [...subscriptions]) subscription.end({ kind: 'evicted' })
      },
      settle() {
        if (isGone || stream.ownSubscriptions > 0) return
        clearTimeout(idleTimer)
        if (subscriptions.size === 0) {
          idleTimer = setTimeout(() => {
            if (subscriptions.size === 0) forget()
          }, options.idleTimeoutMs)
          idleTimer.unref()
          return
        }
        // Borrowers continue at the offset of the log. Until it is known, they stay.
        if (log.offset !== undefined) stream.retire()
      },
    }
    streams.set(key, stream)
    const upstream = options.open(owner, {
      open(channels, at) {
        stream.channels = channels
        for (const channel of channels) stream.coveredFrom.set(channel, 0)
        stream.proof = { channels: new Set(channels), begunAt: openedAt }
        if (at !== undefined) log.beginAt(at)
        resolve()
      },
      event: stream.push,
      channelsChanged: () => updateCoverage(stream),
      end: stream.end,
    })
    return stream
  }

  /** Ends the subscriptions to a channel that a member lost, without a check. */
  function remove(stream: SharedStream<Owner, T>, { channel, member }: Removal): void {
    for (const borrower of [...stream.borrowers.values()]) {
      if (borrower.member !== undefined && borrower.member !== member) continue
      borrower.allowed.delete(channel)
      borrower.check?.taken.add(channel)
      for (const subscription of [...borrower.subscriptions])
        if (names(subscription.topic, channel))
          subscription.end(
            borrower.member === undefined ? { kind: 'evicted' } : { kind: 'failed', error: options.lost() },
          )
    }
    if (stream.member !== undefined && stream.member !== member) return
    disprove(stream)
    const affected = [...stream.subscriptions].filter(
      ({ borrower, topic }) => borrower === undefined && names(topic, channel),
    )
    if (affected.length === 0) return
    // It is unknown whether the member is the owner. A new stream proves the access.
    if (stream.member === undefined) stream.retire()
    else for (const subscription of affected) subscription.end({ kind: 'failed', error: options.lost() })
  }

  /** Updates which channels a stream covers, and from which entry on. */
  function updateCoverage(stream: SharedStream<Owner, T>): void {
    const { channels = new Set<string>(), coveredFrom, log } = stream
    const lost = [...coveredFrom.keys()].filter((channel) => !channels.has(channel))
    for (const channel of lost) coveredFrom.delete(channel)
    for (const channel of channels) if (!coveredFrom.has(channel)) coveredFrom.set(channel, log.seq)
    disprove(stream)
    if (lost.length > 0) evictUncovered(stream)
  }

  function beginOf({ channels, coveredFrom, log }: SharedStream<Owner, T>, topic: Topic<Owner>): LogBegin {
    const names = topic.channels === 'all' ? (channels ?? []) : topic.channels
    let seq = log.beginSeq
    for (const name of names) seq = Math.max(seq, coveredFrom.get(name) ?? log.seq)
    return { seq, offset: log.offsetAt(seq) }
  }

  function disprove(stream: SharedStream<Owner, T>): void {
    stream.changes += 1
    stream.proof = undefined
  }

  /** Evicts subscriptions with a channel that the owner of the stream lost. Their access has to be proved again. */
  function evictUncovered(stream: SharedStream<Owner, T>): void {
    for (const subscription of [...stream.subscriptions])
      if (subscription.borrower === undefined && !isWithin(stream.channels ?? new Set(), subscription.topic))
        subscription.end({ kind: 'evicted' })
    for (const borrower of [...stream.borrowers.values()])
      for (const subscription of [...borrower.subscriptions])
        if (!isCovered(stream, subscription.topic)) subscription.end({ kind: 'evicted' })
  }

  function names({ channels }: Topic<Owner>, channel: string): boolean {
    return channels !== 'all' && channels.includes(channel)
  }

  function isWithin(channels: ReadonlySet<string>, topic: Topic<Owner>): boolean {
    return topic.channels === 'all' || topic.channels.every((name) => channels.has(name))
  }

  /** Whether a stream covers all channels of another owner's topic. */
  function isCovered(stream: SharedStream<Owner, T>, topic: Topic<Owner>): boolean {
    if (topic.isPrivate || topic.channels === 'all' || stream.channels === undefined) return false
    return isWithin(stream.channels, topic)
  }

  function findHost(topic: Topic<Owner>): SharedStream<Owner, T> | undefined {
    for (const stream of streams.values())
      if (stream.ownSubscriptions > 0 && isCovered(stream, topic)) return stream
    return undefined
  }

  /** The channels that an owner may receive. @throws GatewayError `UPSTREAM_TIMEOUT` at the deadline */
  async function askChannels(owner: Owner): Promise<ReadonlySet<string>> {
    const aborter = new AbortController()
    const expired = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      const error = new GatewayError(
        'UPSTREAM_TIMEOUT',
        'The upstream did not say in time which flows you are in',
        { retryable: true },
      )
      expired.reject(error)
      aborter.abort(error)
    }, options.checkWithinMs)
    try {
      return await Promise.race([options.check(owner, aborter.signal), expired.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Checks a borrower. Resolves when the check has ended; then `allowed` has the proved channels. */
  function confirm(borrower: Borrower<Owner>): Promise<void> {
    // A borrower that subscribes repeatedly is checked each time. At the front of the queue it would delay the others.
    if (queue.delete(borrower)) queue.add(borrower)
    // A check that began before an event removed the member proves nothing about the time after it.
    if (borrower.check !== undefined && borrower.check.taken.size === 0) return borrower.check.done
    const begunAt = performance.now()
    const check: Check = { begunAt, taken: new Set(), done: Promise.resolve() }
    borrower.check = check
    borrower.checkedAt = begunAt
    borrower.eviction ??= setTimeout(() => evict(borrower), options.confirmWithinMs).unref()
    check.done = runCheck(borrower, check)
    return check.done
  }

  async function runCheck(borrower: Borrower<Owner>, check: Check): Promise<void> {
    try {
      const allowed = await askChannels(borrower.owner)
      if (borrower.check !== check) return
      clearTimeout(borrower.eviction)
      borrower.eviction = undefined
      borrower.provedAt = check.begunAt
      borrower.allowed = new Set([...allowed].filter((channel) => !check.taken.has(channel)))
      for (const subscription of [...borrower.subscriptions])
        if (!isWithin(borrower.allowed, subscription.topic))
          subscription.end({ kind: 'failed', error: options.lost() })
    } catch (error) {
      if (options.isRefusal(error))
        for (const subscription of [...borrower.subscriptions]) subscription.end({ kind: 'failed', error })
      // For any other error the eviction stays, unless a later check succeeds before.
    } finally {
      if (borrower.check === check) borrower.check = undefined
    }
  }

  function evict(borrower: Borrower<Owner>): void {
    for (const subscription of [...borrower.subscriptions]) subscription.end({ kind: 'evicted' })
  }

  /** Borrowers in the order of their last checks. */
  const queue = new Set<Borrower<Owner>>()
  let checking: NodeJS.Timeout | undefined

  /** Checks one borrower after the other, with pauses. If there are many, each is checked less often. */
  function scheduleCheck(): void {
    const [next] = queue
    if (checking !== undefined || next === undefined) return
    const dueAt = next.checkedAt + options.checkEveryMs
    checking = setTimeout(
      () => {
        checking = undefined
        const [borrower] = queue
        if (borrower !== undefined && borrower.checkedAt + options.checkEveryMs <= performance.now())
          void confirm(borrower)
        scheduleCheck()
      },
      Math.max(Math.ceil(dueAt - performance.now()), checkPauseMs),
    ).unref()
  }

  function borrowerOf(stream: SharedStream<Owner, T>, key: string, owner: Owner): Borrower<Owner> {
    const known = stream.borrowers.get(key)
    if (known !== undefined) return known
    const borrower: Borrower<Owner> = {
      ...{
        owner,
        key,
        subscriptions: new Set<SubscriptionState<Owner>>(),
        member: undefined,
        allowed: new Set<string>(),
      },
      ...{ check: undefined, checkedAt: performance.now(), eviction: undefined },
      provedAt: Number.NEGATIVE_INFINITY,
    }
    stream.borrowers.set(key, borrower)
    queue.add(borrower)
    scheduleCheck()
    return borrower
  }

  function forgetBorrower(stream: SharedStream<Owner, T>, borrower: Borrower<Owner>): void {
    stream.borrowers.delete(borrower.key)
    queue.delete(borrower)
    clearTimeout(borrower.eviction)
  }

  interface Taken extends Subscription<T> {
    readonly borrower: Borrower<Owner> | undefined
    /** The access has to be proved by a check that began at this time or later. */
    since: number
    /** Rejects when its reader leaves. */
    readonly left: Promise<never>
  }

  function openSubscription(
    stream: SharedStream<Owner, T>,
    key: string,
    topic: Topic<Owner>,
    signal: AbortSignal,
    catchesUp: boolean,
  ): Taken {
    const ended = Promise.withResolvers<Ending>()
    const left = Promise.withResolvers<never>()
    left.promise.catch(() => undefined)
    const borrower = stream.key === key ? undefined : borrowerOf(stream, key, topic.owner)
    const endListeners: (() => void)[] = []
    let ending: Ending | undefined
    const subscription: SubscriptionState<Owner> = {
      topic,
      borrower,
      end(reason) {
        if (ending !== undefined || !stream.subscriptions.has(subscription)) return
        ending = reason
        remove()
        for (const listener of endListeners) listener()
        ended.resolve(reason)
      },
    }
    const remove = () => {
      signal.removeEventListener('abort', leave)
      if (!stream.subscriptions.delete(subscription)) return
      if (topic.isFleeting !== true) stream.lastingSubscriptions -= 1
      if (borrower === undefined) stream.ownSubscriptions -= 1
      else if (borrower.subscriptions.delete(subscription) && borrower.subscriptions.size === 0)
        forgetBorrower(stream, borrower)
      stream.settle()
    }
    const leave = () => {
      left.reject(signal.reason)
      remove()
    }
    stream.subscriptions.add(subscription)
    if (topic.isFleeting !== true) stream.lastingSubscriptions += 1
    const member = options.memberOf(topic.owner)
    if (borrower === undefined) {
      stream.ownSubscriptions += 1
      stream.member ??= member
    } else {
      borrower.subscriptions.add(subscription)
      borrower.member ??= member
    }
    stream.settle()
    signal.addEventListener('abort', leave)
    const takenAt = performance.now()
    const taken: Taken = {
      channel: stream,
      borrower,
      since: catchesUp ? takenAt : takenAt - options.proofAgeMs,
      get isProved() {
        return borrower === undefined ? isProved(stream, taken.since) : borrower.provedAt >= taken.since
      },
      async prove() {
        if (borrower === undefined) await proveOwner(stream, taken)
      },
      covers: (channel) =>
        (borrower === undefined ? stream.proof?.channels : borrower.allowed)?.has(channel) === true,
      get begin() {
        return beginOf(stream, topic)
      },
      left: left.promise,
      ended: ended.promise,
      get ending() {
        return ending
      },
      onEnd(listener) {
        if (ending === undefined) endListeners.push(listener)
        else listener()
      },
      leave: remove,
    }
    return taken
  }

  function isProved({ proof }: SharedStream<Owner, T>, since: number): boolean {
    return proof !== undefined && proof.begunAt >= since
  }

  /** Checks the owner of a stream. All subscriptions to the stream wait for the same check. */
  function confirmOwner(stream: SharedStream<Owner, T>): Promise<void> {
    stream.proving ??= checkOwner(stream).finally(() => {
      stream.proving = undefined
    })
    return stream.proving
  }

  async function checkOwner(stream: SharedStream<Owner, T>): Promise<void> {
    const begunAt = performance.now()
    const { changes } = stream
    try {
      const channels = await askChannels(stream.owner)
      // An event that came meanwhile may be newer than the result.
      if (stream.changes === changes) stream.proof = { channels, begunAt }
    } catch (error) {
      if (options.isRefusal(error)) stream.end(error)
      throw error
    }
  }

  /** Waits until the access of the owner of a stream is proved, or the subscription ends. @throws why it cannot be proved */
  async function proveOwner(stream: SharedStream<Owner, T>, subscription: Taken): Promise<void> {
    while (subscription.ending === undefined && !subscription.isProved) {
      const check = confirmOwner(stream)
      check.catch(() => undefined)
      await Promise.race([check, subscription.left, subscription.ended])
    }
  }

  /** Waits until the access of a borrower is proved. Resolves with whether it is. @throws the error of the subscription */
  async function prove(
    subscription: Taken,
    borrower: Borrower<Owner>,
    topic: Topic<Owner>,
  ): Promise<boolean> {
    while (borrower.eviction !== undefined || !subscription.isProved || !isWithin(borrower.allowed, topic)) {
      await Promise.race([confirm(borrower), subscription.left, subscription.ended])
      if (subscription.ending?.kind === 'failed') throw subscription.ending.error
      if (subscription.ending?.kind === 'evicted') return false
      // Without a newer check in progress, a pending eviction means that this one failed.
      if (borrower.check === undefined && borrower.eviction !== undefined) {
        subscription.leave()
        return false
      }
    }
    return true
  }

  /** Waits until a stream is open for its owner. Resolves with whether it is. @throws the error of the subscription */
  async function enter(
    stream: SharedStream<Owner, T>,
    subscription: Taken,
    topic: Topic<Owner>,
  ): Promise<boolean> {
    const wasOpen = stream.channels !== undefined
    const takenAt = performance.now()
    try {
      await Promise.race([stream.ready, subscription.left, subscription.ended])
      // The subscription existed before the events that are delivered now; earlier events are read from the upstream.
      if (!wasOpen) subscription.since = Number.NEGATIVE_INFINITY
      const isCovered = stream.channels === undefined || isWithin(stream.channels, topic)
      if (!isCovered) subscription.since = takenAt
      await proveOwner(stream, subscription)
      if (subscription.ending?.kind === 'failed') throw subscription.ending.error
      if (subscription.ending?.kind === 'evicted') return false
      if (!isCovered && !isWithin(stream.proof?.channels ?? new Set(), topic)) throw options.lost()
      return true
    } catch (error) {
      subscription.leave()
      throw error
    }
  }

  return {
    async subscribe(topic, signal, catchesUp = false) {
      const key = options.keyOf(topic.owner)
      let mayBorrow = true
      for (;;) {
        signal.throwIfAborted()
        if (closed !== undefined) throw closed.error
        const own = streams.get(key)
        const host = own === undefined && mayBorrow ? findHost(topic) : undefined
        const stream = own ?? host ?? openStream(key, topic.owner)
        const subscription = openSubscription(stream, key, topic, signal, catchesUp)
        const isIn =
          subscription.borrower === undefined
            ? await enter(stream, subscription, topic)
            : await prove(subscription, subscription.borrower, topic)
        if (isIn) return subscription
        // If the check fails, the subscription gets a stream of its own.
        mayBorrow = false
      }
    },
    get size() {
      return streams.size
    },
    get isClosed() {
      return closed !== undefined
    },
    state: () => ({
      streams: [...streams.values()].map(({ key, subscriptions, ownSubscriptions, channels, log }) => ({
        key,
        subscriptions: subscriptions.size,
        borrowers: subscriptions.size - ownSubscriptions,
        channels: channels?.size ?? 0,
        isOpen: channels !== undefined,
        keptEvents: log.seq - log.beginSeq,
        offset: log.offset,
      })),
    }),
    announce(make) {
      for (const stream of streams.values())
        if (stream.channels !== undefined) stream.push(make(stream.log.offset), 0)
    },
    close(error) {
      closed = { error }
      clearTimeout(checking)
      for (const stream of [...streams.values()]) stream.end(error)
    },
  }
}
