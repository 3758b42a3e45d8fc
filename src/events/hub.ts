import { type Entry, RecentLog, type RecentLogLimits } from './recent-log.ts'

/** Where a source delivers what it has. */
export interface Sink<T> {
  /**
   * From now on nothing is missed.
   *
   * @param channels what it covers, kept up to date by the source
   * @param at where the upstream's log stands, if it says so
   */
  open(channels: ReadonlySet<string>, at: string | undefined): void
  event(event: T, bytes: number): void
  /** Nothing more will come. */
  end(error: unknown): void
}

/** What somebody listens to. */
export interface Topic<Owner> {
  /** With whose rights. */
  readonly owner: Owner
  /** The channels to hear, or all that are the owner's, now and later. */
  readonly channels: readonly string[] | 'all'
  /** Whether what is told to the owner alone is heard, too. */
  readonly isPrivate: boolean
  /** Whether nothing need be remembered: only that something happens counts. */
  readonly isFleeting?: boolean
}

export interface HubOptions<Owner, T> {
  /** Owners with equal keys share one source. */
  readonly keyOf: (owner: Owner) => string
  /** Opens all there is for an owner. */
  readonly open: (owner: Owner, sink: Sink<T>) => { close(): void }
  /** Where an event stands in the upstream's log; undefined for what is kept nowhere. */
  readonly placeOf: (event: T) => string | undefined
  /** Whether an event may have taken a channel from an owner. */
  readonly endsAccess: (event: T, owner: Owner) => boolean
  /** The channels an owner may hear at this moment. @throws when it cannot be told; why they may hear none any more */
  readonly check: (owner: Owner) => Promise<ReadonlySet<string>>
  /** Whether what `check` threw is about the owner, and not a failure of the moment. */
  readonly isRefusal: (error: unknown) => boolean
  /** What somebody is told who has lost a channel. */
  readonly lost: () => unknown
  readonly limits: RecentLogLimits
  /** How long a source stays open that nobody listens to. */
  readonly lingerMs: number
  /** How often guests are checked, if there are few of them. */
  readonly checkEveryMs: number
}

/** What is kept where nobody comes back to a place: enough for somebody who is just sitting down. */
const fleetingLimits: RecentLogLimits = { maxEvents: 16, maxBytes: 256 * 1024 }
/** How much time each check of a guest may take up: twenty of them in a second. */
const checkMs = 50

/** Why a seat is gone. */
export type Ending =
  /** The source or the access came to an end. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The source was somebody else's, who left or lost it: another one goes on. */
  | { readonly kind: 'displaced' }

/** One source, and those who listen to it. */
export interface Channel<T> {
  readonly key: string
  readonly log: RecentLog<T>
  /** Hears each entry from now on, until the returned function is called. */
  listen(listener: (entry: Entry<T>) => void): () => void
}

/** A place at a channel. */
export interface Seat<T> {
  readonly channel: Channel<T>
  /** Resolves when it is taken away. */
  readonly ended: Promise<Ending>
  leave(): void
}

/** What can be seen of a hub from outside. */
export interface HubState {
  readonly sources: readonly {
    /** Tells sources apart; says nothing of the owner. */
    readonly key: string
    readonly seats: number
    readonly guests: number
    readonly channels: number
    readonly isOpen: boolean
    readonly keptEvents: number
    readonly place: string | undefined
  }[]
}

/**
 * Shares sources. Whoever listens sits at the source of their own, or as a guest at somebody else's that covers what
 * they may hear; so there are never more sources than owners, and one is enough for all who listen to the same. Guests
 * are checked: when something says that they may have lost a channel, and once in a while.
 */
export interface Hub<Owner, T> {
  /**
   * Takes a seat; resolves once the source is open, so what happens afterwards is heard.
   *
   * @param signal leaves, also while the source is still opening
   * @throws what the source ended with, if it never opened
   */
  subscribe(topic: Topic<Owner>, signal: AbortSignal): Promise<Seat<T>>
  /** How many sources are open. */
  readonly size: number
  state(): HubState
  /** Tells everybody who listens something that no source did. @param make is given the place of each source's newest event */
  announce(make: (place: string | undefined) => T): void
  /** Ends every seat with `error`. */
  close(error: unknown): void
}

interface SeatState<Owner> {
  readonly topic: Topic<Owner>
  readonly isGuest: boolean
  end(ending: Ending): void
}

interface Source<Owner, T> extends Channel<T> {
  readonly owner: Owner
  readonly seats: Set<SeatState<Owner>>
  readonly ready: Promise<void>
  /** Undefined until it is open. */
  channels: ReadonlySet<string> | undefined
  push(event: T, bytes: number): void
  end(error: unknown): void
  /** Closes what nobody needs, and moves guests whose host has left. */
  settle(): void
}

export function createHub<Owner, T>(options: HubOptions<Owner, T>): Hub<Owner, T> {
  const sources = new Map<string, Source<Owner, T>>()
  let closed: { error: unknown } | undefined

  function openSource(key: string, owner: Owner): Source<Owner, T> {
    const seats = new Set<SeatState<Owner>>()
    const listeners = new Set<(entry: Entry<T>) => void>()
    const log = new RecentLog<T>(options.limits)
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    // Whoever waits for it hears of it; an end that nobody waits for is no failure.
    ready.catch(() => undefined)
    let linger: NodeJS.Timeout | undefined
    let isGone = false

    /** Whether somebody is there, and nobody who would come back to a place. */
    function areFleeting(): boolean {
      for (const { topic } of seats) if (topic.isFleeting !== true) return false
      return seats.size > 0
    }

    function forget(): void {
      isGone = true
      clearTimeout(linger)
      if (sources.get(key) === source) sources.delete(key)
      upstream.close()
    }

    const source: Source<Owner, T> = {
      key,
      owner,
      log,
      seats,
      ready,
      channels: undefined,
      listen(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      push(event, bytes) {
        if (isGone) return
        const entry = log.push(
          event,
          options.placeOf(event),
          bytes,
          areFleeting() ? fleetingLimits : undefined,
        )
        for (const listener of listeners) listener(entry)
        for (const seat of [...seats])
          if (options.endsAccess(event, seat.topic.owner)) void checkSeats(source, seat.topic.owner)
        // What its owner may not hear any more it does not tell: guests of that go elsewhere.
        for (const seat of [...seats])
          if (seat.isGuest && !isCovered(source, seat.topic)) seat.end({ kind: 'displaced' })
        if (seats.size > 0 && ![...seats].some(({ isGuest }) => !isGuest)) source.settle()
      },
      end(error) {
        if (isGone) return
        forget()
        reject(error)
        // Guests lost nothing but their host.
        for (const seat of [...seats])
          seat.end(seat.isGuest && closed === undefined ? { kind: 'displaced' } : { kind: 'failed', error })
      },
      settle() {
        if (isGone) return
        clearTimeout(linger)
        if ([...seats].some(({ isGuest }) => !isGuest)) return
        if (seats.size === 0) {
          linger = setTimeout(() => {
            if (seats.size === 0) forget()
          }, options.lingerMs)
          linger.unref()
          return
        }
        // Guests go on from where the log stands: until that is known, they stay.
        if (log.place === undefined) return
        forget()
        for (const seat of [...seats]) seat.end({ kind: 'displaced' })
      },
    }
    sources.set(key, source)
    const upstream = options.open(owner, {
      open(channels, at) {
        source.channels = channels
        if (at !== undefined) log.beginAt(at)
        resolve()
      },
      event: source.push,
      end: source.end,
    })
    return source
  }

  /** Whether a source tells somebody else all they want to hear. */
  function isCovered(source: Source<Owner, T>, { channels, isPrivate }: Topic<Owner>): boolean {
    if (isPrivate || channels === 'all' || source.channels === undefined) return false
    const covered = source.channels
    return channels.every((name) => covered.has(name))
  }

  /** Whether somebody may sit at a source that is not theirs: its owner is there, too. */
  function isHost(source: Source<Owner, T>, topic: Topic<Owner>): boolean {
    return [...source.seats].some(({ isGuest }) => !isGuest) && isCovered(source, topic)
  }

  async function checkSeats(source: Source<Owner, T>, owner: Owner): Promise<void> {
    const key = options.keyOf(owner)
    const theirs = () => [...source.seats].filter(({ topic }) => options.keyOf(topic.owner) === key)
    let allowed: ReadonlySet<string>
    try {
      allowed = await options.check(owner)
    } catch (error) {
      if (options.isRefusal(error)) for (const seat of theirs()) seat.end({ kind: 'failed', error })
      return
    }
    for (const seat of theirs())
      if (seat.topic.channels !== 'all' && !seat.topic.channels.every((name) => allowed.has(name)))
        seat.end({ kind: 'failed', error: options.lost() })
  }

  let checking = setTimeout(checkGuests, options.checkEveryMs).unref()

  /** Many are checked less often, so that asking is never much of what is asked. */
  function checkGuests(): void {
    let checked = 0
    for (const source of sources.values()) {
      const guests = new Map<string, Owner>()
      for (const { topic, isGuest } of source.seats)
        if (isGuest) guests.set(options.keyOf(topic.owner), topic.owner)
      for (const owner of guests.values()) void checkSeats(source, owner)
      checked += guests.size
    }
    checking = setTimeout(checkGuests, Math.max(options.checkEveryMs, checked * checkMs)).unref()
  }

  return {
    async subscribe(topic, signal) {
      signal.throwIfAborted()
      if (closed !== undefined) throw closed.error
      const key = options.keyOf(topic.owner)
      const own = sources.get(key)
      const host = own ?? [...sources.values()].find((source) => isHost(source, topic))
      const source = host ?? openSource(key, topic.owner)
      const ended = Promise.withResolvers<Ending>()
      const left = Promise.withResolvers<never>()
      left.promise.catch(() => undefined)
      const seat: SeatState<Owner> = {
        topic,
        isGuest: source.key !== key,
        end(ending) {
          remove()
          ended.resolve(ending)
        },
      }
      const remove = () => {
        signal.removeEventListener('abort', leave)
        if (source.seats.delete(seat)) source.settle()
      }
      const leave = () => {
        left.reject(signal.reason)
        remove()
      }
      source.seats.add(seat)
      source.settle()
      signal.addEventListener('abort', leave)
      try {
        await Promise.race([source.ready, left.promise])
      } catch (error) {
        remove()
        throw error
      }
      return { channel: source, ended: ended.promise, leave: remove }
    },
    get size() {
      return sources.size
    },
    state: () => ({
      sources: [...sources.values()].map(({ key, seats, channels, log }) => ({
        key,
        seats: seats.size,
        guests: [...seats].filter(({ isGuest }) => isGuest).length,
        channels: channels?.size ?? 0,
        isOpen: channels !== undefined,
        keptEvents: log.seq - log.beginSeq,
        place: log.place,
      })),
    }),
    announce(make) {
      for (const source of sources.values())
        if (source.channels !== undefined) source.push(make(source.log.place), 0)
    },
    close(error) {
      closed = { error }
      clearTimeout(checking)
      for (const source of [...sources.values()]) source.end(error)
    },
  }
}
