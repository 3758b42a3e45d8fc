import {
  type Audience,
  type Audiences,
  audiencesOf,
  hasNamedFlows,
  receives,
  type Topic,
} from './audience.ts'
import {
  type AccessChange,
  accessOf,
  applyChange,
  bringUpToDate,
  type EntitlementEffect,
  type EntitlementEvent,
  type EntitlementState,
  entitlementTransitions,
  type HeldAccess,
  type Snapshot,
} from './entitlement.ts'
import { Grouped } from './grouped.ts'
import {
  type Reader,
  type ReaderEnding,
  type ReaderEvent,
  type ReaderState,
  readerTransitions,
} from './reader.ts'
import type { RecentLogLimits } from './recent-log.ts'
import { type StreamEntry, StreamLog } from './stream-log.ts'
import { go, type TransitionTable } from './transition-table.ts'

export type HubState =
  /** No connection is open, because there was no reader yet, or none for a minute. */
  | 'idle'
  /** The hub is connecting for the first time. */
  | 'opening'
  /** The hub is connected. The stream has not reached the end of the log yet. */
  | 'catchingUp'
  | 'live'
  /** The connection was lost. */
  | 'lost'
  /** The upstream has another log, so everything known about the previous log was dropped. */
  | 'reset'
  | 'closed'

export type HubEvent =
  | 'readerCame'
  /** Connected to the same log as before, or to a log for the first time. */
  | 'opened'
  /** Connected to a log that differs from the previous one. */
  | 'openedOther'
  /** The event with the next number was received. */
  | 'frame'
  /** An event was received that the hub already has. */
  | 'frameOld'
  /** An event was received, and events between it and the last one are missing. */
  | 'hole'
  /** Events after the same last event are missing for the second time. */
  | 'holeAgain'
  /** The upstream has sent all events of its log. */
  | 'head'
  /** The connection broke, was silent for too long, or could not be opened. */
  | 'cut'
  /** The upstream's log does not contain the last event of the hub. */
  | 'gone'
  /** The upstream refused the service token. */
  | 'refused'
  /** The upstream has no service stream. */
  | 'missing'
  /** There was no reader for a minute. */
  | 'unused'
  | 'closed'

export type HubEffect =
  | 'connect'
  /** Connects after a pause, which is longer after each failure. */
  | 'retry'
  /** Connects after the longest pause. Until it is connected, the gateway is not ready. */
  | 'retryLater'
  | 'disconnect'
  /** Compares the waiting snapshots with the log. */
  | 'compare'
  /** Adds the event to the log in memory and delivers it. */
  | 'push'
  /** Tells readers that events are delivered as they happen. */
  | 'sayLive'
  /** Tells readers that events may be late. */
  | 'sayCatchingUp'
  /** Drops the log in memory. All access must be proved again, and the positions of all readers are invalid. */
  | 'forget'
  /** Hands the readers over, because the upstream only has the public API of Flowdock. */
  | 'foreign'
  /** Ends all readers. */
  | 'endReaders'

const offline = {
  frame: 'ignore',
  frameOld: 'ignore',
  hole: 'ignore',
  holeAgain: 'ignore',
  head: 'ignore',
} as const
const connected = {
  readerCame: 'ignore',
  opened: 'ignore',
  openedOther: 'ignore',
  gone: 'ignore',
  refused: 'ignore',
  missing: 'ignore',
  frameOld: 'ignore',
} as const
const unused = go('idle', 'disconnect', 'forget')
const closed = go('closed', 'disconnect', 'endReaders')

export const hubTransitions: TransitionTable<HubState, HubEvent, HubEffect> = {
  idle: {
    ...offline,
    readerCame: go('opening', 'connect'),
    opened: 'ignore',
    openedOther: 'ignore',
    cut: 'ignore',
    gone: 'ignore',
    refused: 'ignore',
    missing: 'ignore',
    unused: 'ignore',
    closed: go('closed'),
  },
  opening: {
    ...offline,
    readerCame: 'ignore',
    opened: go('catchingUp', 'compare'),
    openedOther: 'ignore',
    cut: go('lost', 'retry'),
    gone: go('reset', 'forget', 'retry'),
    refused: go('lost', 'retryLater'),
    missing: go('closed', 'foreign'),
    unused,
    closed,
  },
  catchingUp: {
    ...connected,
    frame: go('catchingUp', 'push'),
    hole: go('lost', 'disconnect', 'retry'),
    holeAgain: go('reset', 'disconnect', 'forget', 'retry'),
    head: go('live', 'sayLive'),
    cut: go('lost', 'retry'),
    unused,
    closed,
  },
  live: {
    ...connected,
    frame: go('live', 'push'),
    hole: go('lost', 'sayCatchingUp', 'disconnect', 'retry'),
    holeAgain: go('reset', 'sayCatchingUp', 'disconnect', 'forget', 'retry'),
    head: 'ignore',
    cut: go('lost', 'sayCatchingUp', 'retry'),
    unused,
    closed,
  },
  lost: {
    ...offline,
    readerCame: 'ignore',
    opened: go('catchingUp', 'compare'),
    openedOther: go('reset', 'disconnect', 'forget', 'connect'),
    cut: go('lost', 'retry'),
    gone: go('reset', 'forget', 'connect'),
    refused: go('lost', 'retryLater'),
    missing: go('lost', 'retryLater'),
    unused,
    closed,
  },
  reset: {
    ...offline,
    readerCame: 'ignore',
    opened: go('catchingUp', 'compare'),
    openedOther: 'ignore',
    cut: go('reset', 'retry'),
    gone: go('reset', 'retry'),
    refused: go('reset', 'retryLater'),
    missing: go('reset', 'retryLater'),
    unused,
    closed,
  },
  closed: {
    ...offline,
    readerCame: 'ignore',
    opened: 'ignore',
    openedOther: 'ignore',
    cut: 'ignore',
    gone: 'ignore',
    refused: 'ignore',
    missing: 'ignore',
    unused: 'ignore',
    closed: 'ignore',
  },
}

/** A principal whose access has to be proved. */
export interface Principal {
  readonly key: string
  readonly state: EntitlementState
}

/** How to connect to the service stream. */
export interface ConnectRequest {
  /** The number of the last received event; undefined if there is none. */
  readonly after: number | undefined
  /** The number of failed attempts in a row. With 0, the connection is opened without a pause. */
  readonly failures: number
  /** Whether the last failure was a refusal by the upstream, and not a network failure. */
  readonly isRefused: boolean
}

/**
 * The effects of the hub, called in the order in which they must happen. They must not call the hub before they return, except
 * for `leave` and `signal`.
 */
export interface HubEffects<T> {
  connect(request: ConnectRequest): void
  /** Closes the connection. Nothing received on it may be passed to the hub afterwards. */
  disconnect(): void
  /** The upstream has no service stream, and the hub is closed. The readers must be served in another way. */
  foreign(readers: readonly Reader[]): void
  /** Requests a snapshot. The result is passed to `proved`, `refused` or `unproved`. @param isLater whether to pause before */
  prove(principal: Principal, isLater: boolean): void
  say(state: 'live' | 'catchingUp'): void
  /** Delivers an entry to all joined readers that have one of its audiences. */
  deliver(entry: StreamEntry<T>): void
  /** Tells a reader that events after a number are lost. The number is undefined if the reader has no position. */
  gap(reader: Reader, after: number | undefined): void
  /** The reader can now read events in memory with `next`. */
  drain(reader: Reader): void
  /** The reader needs events that are older than the log in memory. */
  replay(reader: Reader): void
  /**
   * From now on `deliver` includes the reader: it receives each entry for one of these audiences.
   *
   * @param seq the position of the newest entry, which the reader does not receive
   */
  join(reader: Reader, seq: number, audiences: ReadonlySet<Audience>): void
  /** Replaces the audiences of a joined reader, from the next entry on. */
  move(reader: Reader, audiences: ReadonlySet<Audience>): void
  /** Excludes a reader from `deliver` until it joins again. @returns the position of the last entry it received */
  part(reader: Reader): number
  /** Ends a reader. It receives nothing afterwards, also no queued events. */
  end(reader: Reader, ending: ReaderEnding): void
  /** Forgets a principal that has no readers. If it subscribes again, its access is proved again. */
  drop(principal: Principal): void
}

export interface StreamHubOptions<T> {
  readonly limits: RecentLogLimits
  readonly effects: HubEffects<T>
  /** The change of earlier events in memory by an event, such as a deletion; undefined for all other events. */
  readonly amendmentOf?: (event: T) => ((earlier: T) => T) | undefined
  /** How long the connection stays open without readers, and a principal is remembered without one. By default one minute. */
  readonly idleMs?: number
  /** How long a new reader waits for its first delivery before it is ended. By default 10 seconds. */
  readonly patienceMs?: number
}

/** An event as it was received. */
export interface Frame<T> {
  readonly event: T
  /** The size of the event in memory. */
  readonly bytes: number
  readonly audiences: Audiences
  readonly change?: AccessChange | undefined
}

interface HubPrincipal extends Principal {
  state: EntitlementState
  readonly readers: Set<HubReader>
  /** Set in the state `waiting`. */
  snapshot: Snapshot | undefined
  /** Set in the state `held`. */
  access: HeldAccess | undefined
  /** From the last snapshot. */
  identity: { readonly user: number; readonly grant: string } | undefined
  expiresAt: number
  wasHeld: boolean
  unusedSince: number
}

interface HubReader extends Reader {
  state: ReaderState
  readonly principal: HubPrincipal
  position: number | undefined
  /** In the state `draining`, its position in the log in memory. */
  seq: number
  /** The end of the log when its access became known. Older events are delivered according to the present access. */
  subscription: number
  /** The access at the position `seq`; only set when that is after `subscription`. */
  view: HeldAccess | undefined
  /** Whether `position` belongs to another log. */
  isLost: boolean
  /** Whether a new proof was requested because `position` was after the end of the log in memory. */
  isAhead: boolean
  hasBegun: boolean
  readonly cameAt: number
}

/**
 * Keeps the service stream of the backend, the access of each principal, and the readers. There is one in a gateway. SPEC.md has
 * its states, events and invariants.
 *
 * It has no I/O and no timers: callers report events with its methods and pass the time in milliseconds, and it acts only through
 * `effects`.
 */
export class StreamHub<T> {
  readonly log: StreamLog<T>
  readonly #options: StreamHubOptions<T>
  readonly #principals = new Map<string, HubPrincipal>()
  readonly #byUser = new Grouped<number, HubPrincipal>()
  readonly #byGrant = new Grouped<string, HubPrincipal>()
  /** The principals in the state `waiting`. */
  readonly #waiting = new Set<HubPrincipal>()
  readonly #readers = new Set<HubReader>()
  #state: HubState = 'idle'
  #logId: string | undefined
  /** The number of the oldest event of the upstream's log. */
  #firstNumber = 1
  #failures = 0
  #holeAfter: number | undefined
  #unusedSince = Number.POSITIVE_INFINITY
  #closing: ReaderEnding = { kind: 'unavailable' }

  constructor(options: StreamHubOptions<T>) {
    this.#options = options
    this.log = new StreamLog(options.limits)
  }

  get state(): HubState {
    return this.#state
  }

  /** The id of the log; undefined until it is known. */
  get logId(): string | undefined {
    return this.#logId
  }

  get readerCount(): number {
    return this.#readers.size
  }

  get principalCount(): number {
    return this.#principals.size
  }

  /** The number of principals and readers in each state. */
  count(): {
    readonly principals: Record<EntitlementState, number>
    readonly readers: Record<ReaderState, number>
  } {
    const principals = { proving: 0, waiting: 0, held: 0, ended: 0 }
    const readers = { waiting: 0, replaying: 0, draining: 0, live: 0, ended: 0 }
    for (const { state } of this.#principals.values()) principals[state] += 1
    for (const { state } of this.#readers) readers[state] += 1
    return { principals, readers }
  }

  /** The present access of a principal; undefined while it is unknown. */
  accessOf(key: string): HeldAccess | undefined {
    return this.#principals.get(key)?.access
  }

  /** Whether the access of a principal is being proved. */
  isProving(key: string): boolean {
    const state = this.#principals.get(key)?.state
    return state === 'proving' || state === 'waiting'
  }

  /** Whether a reader may receive events for some audiences, according to its present access. */
  mayHear(reader: Reader, audiences: Audiences): boolean {
    const { access } = (reader as HubReader).principal
    return access !== undefined && isReceived(reader.topic, access, audiences)
  }

  /** All known accesses, so that the backend can check them. */
  *held(): Generator<{ readonly key: string; readonly access: HeldAccess }> {
    for (const { key, access } of this.#principals.values()) if (access !== undefined) yield { key, access }
  }

  /** Proves the access of a principal that may have no reader, and keeps it for `idleMs`. */
  use(key: string, now: number): void {
    if (this.#state === 'closed') return
    const principal = this.#principals.get(key) ?? this.#add(key, now)
    principal.unusedSince = now
    if (this.#readers.size === 0) this.#unusedSince = now
    this.#handle('readerCame')
  }

  /**
   * Adds a reader.
   *
   * @throws when the hub is closed
   * @param key identifies the credential
   * @param after the number of the last event that the reader has; by default it only receives new events
   */
  subscribe(key: string, topic: Topic, after: number | undefined, now: number): Reader {
    if (this.#state === 'closed') throw new Error('Expected an open hub, got a closed one')
    const known = this.#principals.get(key)
    const principal = known ?? this.#add(key, now)
    const reader: HubReader = {
      ...{ topic, principal, state: 'waiting' as const, position: after },
      ...{
        seq: 0,
        subscription: 0,
        view: undefined,
        isLost: false,
        isAhead: false,
        hasBegun: false,
        cameAt: now,
      },
    }
    principal.readers.add(reader)
    this.#readers.add(reader)
    this.#unusedSince = Number.POSITIVE_INFINITY
    this.#handle('readerCame')
    // An event that ended the access may be missing.
    if (known !== undefined && this.#state !== 'live') this.#entitle(principal, 'doubted')
    if (principal.access !== undefined && reader.state === 'waiting') this.#begin(reader, principal.access)
    return reader
  }

  /** Removes a reader. */
  leave(reader: Reader, now: number): void {
    this.#leave(reader as HubReader)
    if (this.#readers.size === 0) this.#unusedSince = now
    const { principal } = reader as HubReader
    if (principal.readers.size === 0) principal.unusedSince = now
  }

  /**
   * Reports that the connection is open.
   *
   * @param at the number after which the events of the connection begin
   * @param first the number of the oldest event of the log
   */
  opened({ log, at, first }: { readonly log: string; readonly at: number; readonly first: number }): void {
    const isOther = this.#logId !== undefined && this.#logId !== log
    if (!isOther && ['opening', 'lost', 'reset'].includes(this.#state)) {
      if (this.#logId === undefined) this.log.restart(at)
      this.#logId = log
      this.#firstNumber = first
    }
    this.#handle(isOther ? 'openedOther' : 'opened')
  }

  /** Takes an event of the log. */
  frame(number: number, frame: Frame<T>): void {
    const { end } = this.log
    if (number === end + 1) this.#handle('frame', frame)
    else if (number <= end) this.#handle('frameOld')
    else this.#hole()
  }

  /** Takes an event that is not stored in the log, such as presence, and delivers it like others. */
  signal(frame: Omit<Frame<T>, 'change'>): void {
    this.#push({ ...frame, isSignal: true, change: undefined })
  }

  /** Reports that the upstream has sent all events up to a number. */
  head(number: number): void {
    if (number > this.log.end) return this.#hole()
    this.#failures = 0
    this.#handle('head')
  }

  /** Reports that the connection broke, was silent for too long, or could not be opened. */
  cut(): void {
    this.#handle('cut')
  }

  /** Reports that the upstream does not have the event to continue after. */
  gone(): void {
    this.#handle('gone')
  }

  /** Reports that the upstream refused the service token. */
  refused(): void {
    this.#handle('refused')
  }

  /** Reports that the upstream has no service stream. */
  missing(): void {
    this.#handle('missing')
  }

  /** Takes the snapshot of a principal. */
  proved(principal: Principal, snapshot: Snapshot): void {
    const proved = principal as HubPrincipal
    if (proved.state === 'proving') this.#compare(proved, snapshot)
  }

  /** Reports that the backend refused a credential. @param error ends its readers */
  refuse(principal: Principal, error: unknown): void {
    this.#entitle(principal as HubPrincipal, 'refused', { kind: 'failed', error })
  }

  /** Reports that the backend could not be asked. @param error ends the readers of a principal that was never proved */
  unproved(principal: Principal, error: unknown): void {
    const { wasHeld } = principal as HubPrincipal
    this.#entitle(principal as HubPrincipal, wasHeld ? 'unreachableAgain' : 'unreachable', {
      kind: 'failed',
      error,
    })
  }

  /** Reports that the backend has another access for a principal than the hub. */
  auditFailed(key: string): void {
    const principal = this.#principals.get(key)
    if (principal !== undefined) this.#entitle(principal, 'auditFailed')
  }

  /**
   * Takes the next entry for a reader in the state `draining`, and advances the reader.
   *
   * @param limit the most entries to examine
   * @returns undefined when none of them is for the reader, or when the reader has left the state `draining`
   */
  next(reader: Reader, limit = Number.POSITIVE_INFINITY): StreamEntry<T> | undefined {
    const draining = reader as HubReader
    for (let count = 0; count < limit && draining.state === 'draining'; count += 1) {
      if (draining.seq < this.log.beginSeq) {
        if ((draining.position ?? 0) < this.log.begin) {
          this.#move(draining, 'fellBehind')
          return undefined
        }
        // Only signals were dropped from the memory, so the reader misses no event.
        draining.seq = this.log.beginSeq
      }
      const entry = this.log.next(draining.seq)
      if (entry === undefined) {
        this.#move(draining, 'drained')
        return undefined
      }
      draining.seq = entry.seq
      draining.position = entry.number
      if (this.#receives(draining, entry)) return entry
    }
    return undefined
  }

  /**
   * Reports that a replay has delivered all events up to a number. When the log in memory does not reach back that far, the
   * replay has to continue.
   */
  replayed(reader: Reader, number: number): void {
    const replaying = reader as HubReader
    if (replaying.state !== 'replaying') return
    replaying.position = Math.max(number, replaying.position ?? number)
    if (replaying.position < this.log.begin) return
    this.#subscription(replaying)
    replaying.seq = this.log.seqOf(replaying.position)
    this.#move(replaying, 'met')
  }

  /** Reports that the upstream has deleted the events after the position of a replay. */
  replayGone(reader: Reader): void {
    const replaying = reader as HubReader
    if (replaying.state !== 'replaying') return
    this.#subscription(replaying)
    this.#move(replaying, 'replayGone')
  }

  /** Applies all timeouts. */
  tick(now: number): void {
    const { idleMs = 60_000, patienceMs = 10_000 } = this.#options
    for (const principal of [...this.#principals.values()]) {
      if (principal.expiresAt <= now) this.#entitle(principal, 'expired')
      else if (principal.readers.size === 0 && now - principal.unusedSince >= idleMs)
        this.#entitle(principal, 'unused')
      else if (principal.state !== 'held')
        for (const reader of [...principal.readers])
          if (!reader.hasBegun && now - reader.cameAt >= patienceMs)
            this.#end(reader, { kind: 'unavailable' })
      if (principal.readers.size === 0 && principal.unusedSince === Number.POSITIVE_INFINITY)
        principal.unusedSince = now
    }
    if (this.#readers.size > 0) this.#unusedSince = Number.POSITIVE_INFINITY
    else if (this.#unusedSince === Number.POSITIVE_INFINITY) this.#unusedSince = now
    else if (now - this.#unusedSince >= idleMs) this.#handle('unused')
  }

  /** @param error ends all readers */
  close(error: unknown): void {
    this.#closing = { kind: 'failed', error }
    this.#handle('closed')
  }

  #add(key: string, now: number): HubPrincipal {
    const principal: HubPrincipal = {
      ...{ key, state: 'proving' as const, readers: new Set<HubReader>(), unusedSince: now },
      ...{ snapshot: undefined, access: undefined, identity: undefined },
      ...{ expiresAt: Number.POSITIVE_INFINITY, wasHeld: false },
    }
    this.#principals.set(key, principal)
    this.#options.effects.prove(principal, false)
    return principal
  }

  #hole(): void {
    const isAgain = this.#holeAfter === this.log.end
    this.#holeAfter = this.log.end
    this.#handle(isAgain ? 'holeAgain' : 'hole')
  }

  #handle(event: HubEvent, frame?: Frame<T>): void {
    const cell = hubTransitions[this.#state][event]
    if (cell === 'ignore') return
    this.#state = cell.next
    for (const effect of cell.effects) this.#run(effect, frame)
  }

  #run(effect: HubEffect, frame: Frame<T> | undefined): void {
    const { effects } = this.#options
    switch (effect) {
      case 'connect':
        this.#failures = 0
        return this.#connect(false)
      case 'retry':
        this.#failures += 1
        return this.#connect(false)
      case 'retryLater':
        this.#failures += 1
        return this.#connect(true)
      case 'disconnect':
        return effects.disconnect()
      case 'compare':
        for (const principal of [...this.#waiting])
          if (principal.snapshot !== undefined) this.#compare(principal, principal.snapshot)
        return
      case 'push':
        if (frame !== undefined) this.#push({ ...frame, isSignal: false, change: frame.change })
        return
      case 'sayLive':
        return effects.say('live')
      case 'sayCatchingUp':
        return effects.say('catchingUp')
      case 'forget':
        return this.#forget()
      case 'foreign': {
        const readers = [...this.#readers]
        for (const reader of readers) this.#leave(reader)
        return effects.foreign(readers)
      }
      case 'endReaders':
        for (const reader of [...this.#readers]) this.#end(reader, this.#closing)
    }
  }

  #connect(isRefused: boolean): void {
    const after = this.#logId === undefined ? undefined : this.log.end
    this.#options.effects.connect({ after, failures: this.#failures, isRefused })
  }

  #forget(): void {
    for (const principal of [...this.#principals.values()]) this.#entitle(principal, 'reset')
    for (const reader of this.#readers) {
      this.#move(reader, 'suspended')
      reader.isLost = reader.position !== undefined
    }
    this.#logId = undefined
    this.#holeAfter = undefined
    this.log.restart(0)
  }

  /** Delivers an entry according to the access before it. A change of access by the entry applies to later ones. */
  #push(frame: Omit<StreamEntry<T>, 'seq' | 'number' | 'offset'>): void {
    const { amendmentOf, effects } = this.#options
    const amend = frame.isSignal ? undefined : amendmentOf?.(frame.event)
    if (amend !== undefined) this.log.amend(amend)
    const entry = this.log.push(frame)
    effects.deliver(entry)
    if (entry.isSignal) return
    if (entry.change !== undefined) this.#change(entry.change)
    for (const principal of [...this.#waiting])
      if (principal.snapshot !== undefined && principal.snapshot.at <= entry.number)
        this.#entitle(principal, 'reached')
  }

  #change(change: AccessChange): void {
    const affected =
      change.kind === 'grantEnded' ? this.#byGrant.of(change.grant) : this.#byUser.of(change.user)
    for (const principal of affected) {
      if (change.kind === 'grantEnded') this.#entitle(principal, 'grantEnded')
      else if (change.kind === 'userChanged') this.#entitle(principal, 'userChanged')
      else if (principal.access !== undefined) {
        const access = applyChange(principal.access, change)
        if (access === principal.access) continue
        principal.access = access
        this.#entitle(principal, 'membership')
      }
    }
  }

  /** Compares a snapshot with the log in memory. */
  #compare(principal: HubPrincipal, snapshot: Snapshot): void {
    const { log } = this
    principal.snapshot = snapshot
    if (this.#logId !== undefined && snapshot.log !== this.#logId)
      return this.#entitle(principal, 'snapshotOfOtherLog')
    if (this.#logId === undefined || snapshot.at > log.end) return this.#entitle(principal, 'snapshotAhead')
    if (snapshot.at < log.begin) return this.#entitle(principal, 'snapshotForgotten')
    const entries = log.since(log.seqOf(snapshot.at)) ?? []
    const outcome = bringUpToDate(
      snapshot,
      entries.flatMap(({ change }) => change ?? []),
    )
    if (outcome.event === 'snapshotCovered') principal.access = outcome.access
    this.#entitle(principal, outcome.event)
  }

  #entitle(
    principal: HubPrincipal,
    event: EntitlementEvent,
    ending: ReaderEnding = { kind: 'grantEnded' },
  ): void {
    const cell = entitlementTransitions[principal.state][event]
    if (cell === 'ignore') return
    const { snapshot } = principal
    if (event === 'reached' && snapshot !== undefined) principal.access = accessOf(snapshot)
    principal.state = cell.next
    if (cell.next === 'waiting') this.#waiting.add(principal)
    else {
      this.#waiting.delete(principal)
      principal.snapshot = undefined
    }
    if (cell.next !== 'held') principal.access = undefined
    if (cell.next === 'ended') this.#drop(principal)
    for (const effect of cell.effects) this.#runEntitlement(principal, effect, snapshot, ending)
  }

  #runEntitlement(
    principal: HubPrincipal,
    effect: EntitlementEffect,
    snapshot: Snapshot | undefined,
    ending: ReaderEnding,
  ): void {
    const { effects } = this.#options
    switch (effect) {
      case 'prove':
        return effects.prove(principal, false)
      case 'proveLater':
        return effects.prove(principal, true)
      case 'hold':
        if (snapshot !== undefined) this.#identify(principal, snapshot)
        principal.wasHeld = true
        for (const reader of [...principal.readers])
          if (principal.access !== undefined && reader.state === 'waiting')
            this.#begin(reader, principal.access)
        return
      case 'change':
        for (const reader of [...principal.readers])
          if (principal.access !== undefined) this.#rename(reader, principal.access)
        return
      case 'suspend':
        for (const reader of principal.readers) this.#move(reader, 'suspended')
        return
      case 'end':
        for (const reader of [...principal.readers]) this.#end(reader, ending)
    }
  }

  #identify(principal: HubPrincipal, { user, grant, expiresAt }: Snapshot): void {
    principal.expiresAt = expiresAt ?? Number.POSITIVE_INFINITY
    const { identity } = principal
    if (identity?.user === user && identity.grant === grant) return
    this.#forgetIdentity(principal)
    principal.identity = { user, grant }
    this.#byUser.add(user, principal)
    this.#byGrant.add(grant, principal)
  }

  #forgetIdentity(principal: HubPrincipal): void {
    const { identity } = principal
    if (identity === undefined) return
    this.#byUser.remove(identity.user, principal)
    this.#byGrant.remove(identity.grant, principal)
    principal.identity = undefined
  }

  #drop(principal: HubPrincipal): void {
    this.#forgetIdentity(principal)
    if (this.#principals.get(principal.key) !== principal) return
    this.#principals.delete(principal.key)
    this.#options.effects.drop(principal)
  }

  /** Starts or continues a reader whose access is known. */
  #begin(reader: HubReader, access: HeldAccess): void {
    if (!hasNamedFlows(reader.topic, access)) return this.#end(reader, { kind: 'flowLost' })
    const { log } = this
    const { position } = reader
    // A cursor from another gateway may be ahead of the log here. A new snapshot tells where the log really ends.
    if (position !== undefined && position > log.end && !reader.isLost && !reader.isAhead) {
      reader.isAhead = true
      return this.#entitle(reader.principal, 'doubted')
    }
    this.#subscription(reader)
    reader.hasBegun = true
    reader.isAhead = false
    if (position === undefined) {
      reader.position = log.end
      this.#move(reader, 'heldInMemory')
    } else if (reader.isLost || position > log.end || position < this.#firstNumber - 1)
      this.#move(reader, 'heldLost')
    else if (position < log.begin) this.#move(reader, 'heldOlder')
    else {
      reader.seq = Math.max(reader.seq, log.seqOf(position))
      this.#move(reader, 'heldInMemory')
    }
  }

  /** Notes the end of the log. Later events are checked with the access at their time, earlier ones with the present access. */
  #subscription(reader: HubReader): void {
    if (reader.position === undefined || reader.position < this.log.begin) reader.seq = this.log.seq
    reader.subscription = this.log.seq
    reader.view = reader.principal.access
  }

  #receives(reader: HubReader, entry: StreamEntry<T>): boolean {
    const { access } = reader.principal
    if (entry.seq <= reader.subscription)
      return access !== undefined && !entry.isSignal && isReceived(reader.topic, access, entry.audiences)
    const { view } = reader
    if (view === undefined) return false
    if (entry.change !== undefined) reader.view = applyChange(view, entry.change)
    return isReceived(reader.topic, view, entry.audiences)
  }

  /** Changes the audiences of a reader. */
  #rename(reader: HubReader, access: HeldAccess): void {
    if (!hasNamedFlows(reader.topic, access)) this.#end(reader, { kind: 'flowLost' })
    else if (reader.state === 'live') this.#options.effects.move(reader, audiencesOf(reader.topic, access))
  }

  #move(reader: HubReader, event: ReaderEvent): void {
    const cell = readerTransitions[reader.state][event]
    if (cell === 'ignore') return
    const { effects } = this.#options
    reader.state = cell.next
    for (const effect of cell.effects)
      switch (effect) {
        case 'replay':
          effects.replay(reader)
          break
        case 'gap': {
          const after = reader.position
          reader.position = this.log.end
          reader.seq = this.log.seq
          reader.isLost = false
          effects.gap(reader, after)
          break
        }
        case 'drain':
          effects.drain(reader)
          break
        case 'join': {
          const { access } = reader.principal
          if (access !== undefined) effects.join(reader, reader.seq, audiencesOf(reader.topic, access))
          break
        }
        case 'part': {
          const seq = effects.part(reader)
          if (event !== 'ended') this.#part(reader, seq)
        }
      }
  }

  #part(reader: HubReader, seq: number): void {
    const number = this.log.numberAt(seq)
    reader.seq = seq
    if (number === undefined) reader.isLost = true
    else reader.position = number
  }

  #end(reader: HubReader, ending: ReaderEnding): void {
    if (reader.state === 'ended') return
    this.#leave(reader)
    this.#options.effects.end(reader, ending)
  }

  #leave(reader: HubReader): void {
    this.#move(reader, 'ended')
    this.#readers.delete(reader)
    reader.principal.readers.delete(reader)
    if (reader.principal.readers.size === 0) reader.principal.unusedSince = Number.POSITIVE_INFINITY
  }
}

function isReceived(topic: Topic, access: HeldAccess, audiences: Audiences): boolean {
  return audiences === 'all' || audiences.some((audience) => receives(topic, access, audience))
}
