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
  /** No reader came yet, or none for long: nothing is open. */
  | 'idle'
  /** It connects for the first time. */
  | 'opening'
  /** It is connected, and the stream has not caught up with the log. */
  | 'catchingUp'
  | 'live'
  /** The connection is gone. */
  | 'lost'
  /** The upstream has another log: what is known of the last one is forgotten. */
  | 'reset'
  | 'closed'

export type HubEvent =
  | 'readerCame'
  /** Connected, to the log that is known or to the first one. */
  | 'opened'
  /** Connected to another log. */
  | 'openedOther'
  /** The event after the last one. */
  | 'frame'
  /** An event that is known. */
  | 'frameOld'
  /** Events before this one were left out. */
  | 'hole'
  /** The same, again after the same event. */
  | 'holeAgain'
  /** Everything up to the end of the log was sent. */
  | 'head'
  /** The connection broke, was silent for too long, or could not be made. */
  | 'cut'
  /** The log does not have the last event any more, or not yet. */
  | 'gone'
  /** The service token is wrong. */
  | 'refused'
  /** The upstream has no service stream. */
  | 'missing'
  /** No reader for a minute. */
  | 'unused'
  | 'closed'

export type HubEffect =
  | 'connect'
  /** Connects after a pause that grows with the failures. */
  | 'retry'
  /** Connects after the longest pause; the gateway is not ready until then. */
  | 'retryLater'
  | 'disconnect'
  /** Compares the snapshots that wait with the log. */
  | 'compare'
  /** Adds the event to the log and delivers it. */
  | 'push'
  /** Says that events come as they happen. */
  | 'sayLive'
  /** Says that events may be late. */
  | 'sayCatchingUp'
  /** Forgets the log; every access has to be proved again, and every reader has lost its position. */
  | 'forget'
  /** The upstream is one of Flowdock's API alone. */
  | 'foreign'
  /** Ends every reader. */
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

/** What is to be proved. */
export interface Principal {
  readonly key: string
  readonly state: EntitlementState
}

/** What a connection is to be made with. */
export interface ConnectRequest {
  /** The number of the last event; undefined for none. */
  readonly after: number | undefined
  /** Attempts in a row that came to nothing; 0 when it is to be made at once. */
  readonly failures: number
  /** Whether the upstream does not serve the stream, rather than being away. */
  readonly isRefused: boolean
}

/**
 * What the hub makes happen. It calls these in the order in which they have to take effect, and each may call the hub
 * again only later, except for `leave` and `signal`.
 */
export interface HubEffects<T> {
  connect(request: ConnectRequest): void
  /** The connection is of no use any more: nothing of it may reach the hub. */
  disconnect(): void
  /** The upstream has no service stream: readers go on elsewhere. The hub is closed. */
  foreign(readers: readonly Reader[]): void
  /** Asks for a snapshot, for `proved` or `unproved`. @param isLater after a pause */
  prove(principal: Principal, isLater: boolean): void
  say(state: 'live' | 'catchingUp'): void
  /** Those receive the entry that joined, and have one of its audiences. */
  deliver(entry: StreamEntry<T>): void
  /** The reader has lost events after a number; undefined for one that had none. */
  gap(reader: Reader, after: number | undefined): void
  /** The reader has events in memory to read: `next` has them. */
  drain(reader: Reader): void
  /** The reader has events to read that are older than the memory. */
  replay(reader: Reader): void
  /**
   * The reader receives every later entry by `deliver` that is sent to one of these audiences.
   *
   * @param seq the position of the last entry before
   */
  join(reader: Reader, seq: number, audiences: ReadonlySet<Audience>): void
  /** From the next entry on, a reader that joined has these audiences in place of those that it had. */
  move(reader: Reader, audiences: ReadonlySet<Audience>): void
  /** The reader receives no more for now. @returns the position of the last entry it received */
  part(reader: Reader): number
  /** The reader receives nothing any more, not even what is under way. */
  end(reader: Reader, ending: ReaderEnding): void
  /** Nobody needs the access of a principal any more. It is proved again if it comes back. */
  drop(principal: Principal): void
}

export interface StreamHubOptions<T> {
  readonly limits: RecentLogLimits
  readonly effects: HubEffects<T>
  /** What an event changes in the earlier ones in memory, such as a deletion; undefined for all other events. */
  readonly amendmentOf?: (event: T) => ((earlier: T) => T) | undefined
  /** Without a reader for so long, the connection is closed and a principal is forgotten. A minute unless given. */
  readonly idleMs?: number
  /** A reader that could not begin for so long is ended. Ten seconds unless given. */
  readonly patienceMs?: number
}

/** An event as it came. */
export interface Frame<T> {
  readonly event: T
  /** What keeping it costs. */
  readonly bytes: number
  readonly audiences: Audiences
  readonly change?: AccessChange | undefined
}

interface HubPrincipal extends Principal {
  state: EntitlementState
  readonly readers: Set<HubReader>
  /** While waiting. */
  snapshot: Snapshot | undefined
  /** While held. */
  access: HeldAccess | undefined
  /** As the last snapshot said. */
  identity: { readonly user: number; readonly grant: string } | undefined
  expiresAt: number
  wasHeld: boolean
  unusedSince: number
}

interface HubReader extends Reader {
  state: ReaderState
  readonly principal: HubPrincipal
  position: number | undefined
  /** The position in the log in memory, while draining. */
  seq: number
  /** Where the log was when its access was held: what is older is delivered by the access as it is now. */
  subscription: number
  /** The access at `seq`, while that is after `subscription`. */
  view: HeldAccess | undefined
  /** Whether `position` is one of another log. */
  isLost: boolean
  /** Whether its access is proved once more because `position` was ahead of the log. */
  isAhead: boolean
  hasBegun: boolean
  readonly cameAt: number
}

/**
 * The one source of a gateway: the service stream of its backend, what each principal may receive of it, and the readers.
 * States, events and invariants are in SPEC.md.
 *
 * It does nothing by itself: what happens comes in by its methods, what it makes happen goes out by `effects`, and time is
 * handed in, as milliseconds of one clock.
 */
export class StreamHub<T> {
  readonly log: StreamLog<T>
  readonly #options: StreamHubOptions<T>
  readonly #principals = new Map<string, HubPrincipal>()
  readonly #byUser = new Map<number, Set<HubPrincipal>>()
  readonly #byGrant = new Map<string, Set<HubPrincipal>>()
  /** Those whose snapshot is ahead of the log. */
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

  /** How many there are in each state. */
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

  /** What a principal may receive now; undefined while that is not held. */
  accessOf(key: string): HeldAccess | undefined {
    return this.#principals.get(key)?.access
  }

  /** Whether a reader may receive what is sent to some audiences, by the access as it is now. */
  mayHear(reader: Reader, audiences: Audiences): boolean {
    const { access } = (reader as HubReader).principal
    return access !== undefined && isReceived(reader.topic, access, audiences)
  }

  /** The state of all that is held, for an audit by the backend. */
  *held(): Generator<{ readonly key: string; readonly access: HeldAccess }> {
    for (const { key, access } of this.#principals.values()) if (access !== undefined) yield { key, access }
  }

  /** Proves the access of a principal, with a reader or without, and keeps it for as long as `idleMs` from now on. */
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
   * @param key the same for the same credential
   * @param after the number of the last event that it has; it begins with what happens unless given
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
   * The connection is there.
   *
   * @param at the number after which its events begin
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

  /** An event came. */
  frame(number: number, frame: Frame<T>): void {
    const { end } = this.log
    if (number === end + 1) this.#handle('frame', frame)
    else if (number <= end) this.#handle('frameOld')
    else this.#hole()
  }

  /** Something came that is not an event of the log, such as who is online. It is delivered like an event. */
  signal(frame: Omit<Frame<T>, 'change'>): void {
    this.#push({ ...frame, isSignal: true, change: undefined })
  }

  /** Everything up to a number was sent. */
  head(number: number): void {
    if (number > this.log.end) return this.#hole()
    this.#failures = 0
    this.#handle('head')
  }

  /** The connection broke, was silent for too long, or could not be made. */
  cut(): void {
    this.#handle('cut')
  }

  /** The upstream does not have the event that was to be gone on from. */
  gone(): void {
    this.#handle('gone')
  }

  /** The upstream refused the service token. */
  refused(): void {
    this.#handle('refused')
  }

  /** The upstream has no service stream. */
  missing(): void {
    this.#handle('missing')
  }

  /** A proof succeeded. */
  proved(principal: Principal, snapshot: Snapshot): void {
    const proved = principal as HubPrincipal
    if (proved.state === 'proving') this.#compare(proved, snapshot)
  }

  /** The backend refused a credential: it receives nothing. @param error what its readers are ended with */
  refuse(principal: Principal, error: unknown): void {
    this.#entitle(principal as HubPrincipal, 'refused', { kind: 'failed', error })
  }

  /** A proof failed, which says nothing of the credential. @param error what its readers are ended with, if it was never proved */
  unproved(principal: Principal, error: unknown): void {
    const { wasHeld } = principal as HubPrincipal
    this.#entitle(principal as HubPrincipal, wasHeld ? 'unreachableAgain' : 'unreachable', {
      kind: 'failed',
      error,
    })
  }

  /** The backend found that the access of a principal is not what is held. */
  auditFailed(key: string): void {
    const principal = this.#principals.get(key)
    if (principal !== undefined) this.#entitle(principal, 'auditFailed')
  }

  /**
   * Takes the next entry for a reader that drains. The reader has it from then on.
   *
   * @param limit how many entries are looked at
   * @returns undefined when there is none among them, or when the reader does not drain any more: it joined, replays, or was
   *   suspended or ended
   */
  next(reader: Reader, limit = Number.POSITIVE_INFINITY): StreamEntry<T> | undefined {
    const draining = reader as HubReader
    for (let count = 0; count < limit && draining.state === 'draining'; count += 1) {
      if (draining.seq < this.log.beginSeq) {
        if ((draining.position ?? 0) < this.log.begin) {
          this.#move(draining, 'fellBehind')
          return undefined
        }
        // Signals alone were forgotten.
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
   * A replay delivered everything up to a number, which is not greater than that of the newest event in memory. Where that is
   * before the memory, it goes on.
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

  /** The upstream does not have the position of a replay any more. */
  replayGone(reader: Reader): void {
    const replaying = reader as HubReader
    if (replaying.state !== 'replaying') return
    this.#subscription(replaying)
    this.#move(replaying, 'replayGone')
  }

  /** Time passed. */
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

  /** @param error what every reader is ended with */
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

  /** An entry is delivered with the rights that were there before it; what it changes holds from the next one on. */
  #push(frame: Omit<StreamEntry<T>, 'seq' | 'number' | 'place'>): void {
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
      change.kind === 'grantEnded' ? this.#byGrant.get(change.grant) : this.#byUser.get(change.user)
    for (const principal of [...(affected ?? [])]) {
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

  /** What a snapshot is worth, by the log that is in memory now. */
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
    addTo(this.#byUser, user, principal)
    addTo(this.#byGrant, grant, principal)
  }

  #forgetIdentity(principal: HubPrincipal): void {
    const { identity } = principal
    if (identity === undefined) return
    removeFrom(this.#byUser, identity.user, principal)
    removeFrom(this.#byGrant, identity.grant, principal)
    principal.identity = undefined
  }

  #drop(principal: HubPrincipal): void {
    this.#forgetIdentity(principal)
    if (this.#principals.get(principal.key) !== principal) return
    this.#principals.delete(principal.key)
    this.#options.effects.drop(principal)
  }

  /** Lets a reader begin, or go on, with an access that is held. */
  #begin(reader: HubReader, access: HeldAccess): void {
    if (!hasNamedFlows(reader.topic, access)) return this.#end(reader, { kind: 'flowLost' })
    const { log } = this
    const { position } = reader
    // A cursor of another gateway may be ahead of this log; a snapshot that is read now says where the log ends.
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

  /** From here on the rights are those of each event; before, those of now. */
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

  /** The audiences of a reader change. */
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

function addTo<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, new Set([value]))
  else values.add(value)
}

function removeFrom<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const values = map.get(key)
  values?.delete(value)
  if (values?.size === 0) map.delete(key)
}
