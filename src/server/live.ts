import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLSchema,
  getOperationAST,
  type OperationDefinitionNode,
} from 'graphql'
import type { Channel, Context, Entry, LiveEvents, Pace } from '../context.ts'
import { maskError } from './error-mask.ts'
import type { Executor } from './executor.ts'
import { type Analysis, analyze } from './live-analysis.ts'
import { type Body, Turn } from './paced-writer.ts'

/** A result as it is sent, made once for all who get it. */
export interface Payload extends Body {
  /** Where the event stands, for those who come back. */
  readonly cursor: string | undefined
}

/** Who is sent the results of a subscription. */
export interface LiveReader {
  /** Never throws, and keeps what cannot be sent yet. */
  next(payload: Payload): void
  /** The same at the end of a turn of the event loop, in which it is told nothing more of this subscription. */
  nextAll(payloads: readonly Payload[]): void
  /** Resolves when what was given has left, so that more may be made. */
  ready(): Promise<void>
  complete(): void
}

/** A subscription that is running. */
export interface LiveOperation {
  /** Tells its reader until `signal` ends it. */
  start(reader: LiveReader, signal: AbortSignal): void
  /** The place behind what was told, if it is known. */
  place(): string | undefined
}

/** What can be seen of the groups from outside. */
export interface LiveState {
  readonly operations: number
  readonly groups: readonly {
    readonly source: string
    readonly members: number
    readonly isShared: boolean
  }[]
}

export interface Live {
  /**
   * Begins a subscription.
   *
   * @returns why it cannot run, as a result with errors
   */
  subscribe(args: ExecutionArgs): Promise<LiveOperation | ExecutionResult>
  state(): LiveState
}

export interface LiveOptions {
  readonly schema: GraphQLSchema
  readonly executor: Executor
  readonly onUnexpected: (error: unknown) => void
  /** Where an event stands, as clients are told. */
  readonly cursorOf: (event: unknown) => string
  /** Hears why each subscription ended: `LEFT` by its reader, or the code it was told. */
  readonly onEnd: (reason: string) => void
}

/** For how many entries that are executed it is remembered what was read for them. */
const maxContexts = 256

/** An event that is executed. */
interface Slot {
  readonly entry: Entry
  payload: Payload | undefined
}

/** A result that is told at the end of the turn. */
interface Told {
  readonly payload: Payload
  readonly seq: number
  /** Whether its event was told before, with another result. */
  readonly isRepeated: boolean
}

interface Member {
  readonly events: LiveEvents
  readonly reader: LiveReader
  /** Entries up to this one it has. */
  seq: number
}

/** How many executions begin in one turn of the event loop: others want to be served, too. */
const maxPerTurn = 256
/** How many events of one group are executed at the same time; their results are sent in order. */
const maxInFlight = 16

/**
 * Executes each event once for all who asked the same: subscriptions with the same document and variables to the same
 * events are one group, with one execution and one serialised result for each event. Where nothing in the selection
 * depends on who asks, groups reach across callers, all of whom were checked to be let hear those events.
 */
export function createLive({ schema, executor, onUnexpected, cursorOf, onEnd }: LiveOptions): Live {
  const groups = new Map<string, Group>()
  /**
   * Of the latest entries alone, and while something is executed: entries are kept for long, and contexts are large. A map
   * that is old enough leaves all it had in the table it grew out of, until the next full collection: it begins anew.
   */
  let contexts = new Map<Entry, Map<string, Context>>()
  let executing = 0
  /** The same for all who send the same document. */
  const analyses = new WeakMap<OperationDefinitionNode, Analysis>()
  let operations = 0

  async function executeEvent(args: ExecutionArgs, event: unknown, contextValue: Context): Promise<Payload> {
    let result: ExecutionResult
    try {
      result = await executor.execute({ ...args, rootValue: event, contextValue })
    } catch (error) {
      result = { errors: [maskError(error, onUnexpected)] }
    }
    return toPayload(mask(result), cursorOf(event))
  }

  /** What is read for an event is read once for all groups of those who see the same, and for that event alone. */
  function contextOf(entry: Entry, events: LiveEvents, channel: Channel, isShared: boolean): Context {
    // Later it would be what was read before.
    if (events.pace !== undefined) return events.context(channel, isShared)
    const known = contexts.get(entry) ?? new Map<string, Context>()
    if (known.size === 0) {
      contexts.set(entry, known)
      const [oldest] = contexts.size > maxContexts ? contexts.keys() : []
      if (oldest !== undefined) contexts.delete(oldest)
    }
    const key = isShared ? '' : events.principal
    const context = known.get(key) ?? events.context(channel, isShared)
    known.set(key, context)
    return context
  }

  function mask(result: ExecutionResult): ExecutionResult {
    if (result.errors === undefined) return result
    return { ...result, errors: result.errors.map((error) => maskError(error, onUnexpected)) }
  }

  const turn = new Turn()
  let begun = 0
  const stalled = new Set<Group>()

  /** Whether a group may begin another execution now; else it is called when it may. */
  function mayBegin(group: Group): boolean {
    if (begun === 0)
      setImmediate(() => {
        begun = 0
        const waiting = [...stalled]
        stalled.clear()
        for (const each of waiting) each.pump()
      })
    begun += 1
    if (begun <= maxPerTurn) return true
    stalled.add(group)
    return false
  }

  /** One group at one channel. */
  class Group {
    readonly members = new Set<Member>()
    readonly channel: Channel
    readonly isShared: boolean
    /** What its members have in common, at whatever channel they are. */
    readonly scope: string
    readonly #key: string
    readonly #args: ExecutionArgs
    readonly #waiting: Entry[] = []
    readonly #inFlight: Slot[] = []
    #told: Told[] = []
    #next = 0
    /** How many of those that wait may begin: all, unless the pace says when. */
    #due: number
    readonly #pace: Pace | undefined
    #timer: NodeJS.Timeout | undefined
    #timerAt = Number.POSITIVE_INFINITY
    #pumpedAt = 0
    #latest: { readonly entry: Entry; payload: Payload | undefined } | undefined
    readonly #stop: () => void

    constructor(
      key: string,
      scope: string,
      channel: Channel,
      args: ExecutionArgs,
      isShared: boolean,
      events: LiveEvents,
    ) {
      this.#key = key
      this.scope = scope
      this.channel = channel
      this.#args = args
      this.isShared = isShared
      this.#pace = events.pace
      this.#due = this.#pace === undefined ? Number.POSITIVE_INFINITY : 0
      this.#stop = channel.listen((entry) => {
        if (!events.wants(entry.event)) return
        if (this.#pace?.tells === 'latest') this.#waiting.length = this.#next
        this.#waiting.push(entry)
        if (this.#pace === undefined) this.pump()
        else this.#wait(this.#pace.everyMs)
      })
    }

    join(member: Member): void {
      this.members.add(member)
    }

    leave(member: Member): void {
      this.members.delete(member)
      if (this.members.size > 0) return
      this.#stop()
      clearTimeout(this.#timer)
      if (groups.get(this.#key) === this) groups.delete(this.#key)
    }

    /** Pumps as soon as the last time lies so far back. */
    #wait(everyMs: number): void {
      const now = Date.now()
      const at = Math.max(this.#pumpedAt + everyMs, now)
      // What comes puts nothing off.
      if (this.#timerAt <= at) return
      clearTimeout(this.#timer)
      this.#timerAt = at
      this.#timer = setTimeout(() => {
        this.#timerAt = Number.POSITIVE_INFINITY
        this.#pumpedAt = Date.now()
        const last = this.#latest
        if (this.#waiting.length === 0 && last !== undefined) this.#waiting.push(last.entry)
        this.#due = this.#waiting.length
        this.pump()
        if (this.#pace?.repeatMs !== undefined) this.#wait(this.#pace.repeatMs)
      }, at - now)
    }

    pump(): void {
      while (this.#inFlight.length < maxInFlight && this.#next < Math.min(this.#waiting.length, this.#due)) {
        if (!mayBegin(this)) return
        const entry = this.#waiting[this.#next] as Entry
        this.#next += 1
        if (this.#next > 1024) {
          this.#waiting.splice(0, this.#next)
          this.#due -= this.#next
          this.#next = 0
        }
        const [member] = this.members
        if (member === undefined) return
        const slot: Slot = { entry, payload: undefined }
        this.#inFlight.push(slot)
        const context = contextOf(entry, member.events, this.channel, this.isShared)
        executing += 1
        void executeEvent(this.#args, entry.event, context).then((payload) => {
          slot.payload = payload
          this.#flush()
          executing -= 1
          if (executing === 0 && stalled.size === 0 && contexts.size > 0) contexts = new Map()
        })
      }
      if (this.#next === this.#waiting.length) {
        this.#waiting.length = 0
        this.#next = 0
        if (this.#pace !== undefined) this.#due = 0
      }
    }

    #flush(): void {
      for (;;) {
        const [slot] = this.#inFlight
        if (slot?.payload === undefined) break
        this.#inFlight.shift()
        const { payload, entry } = slot
        const { seq } = entry
        const isRepeated = this.#latest?.entry.seq === seq
        // What is as it was is not told again.
        if (isRepeated && this.#latest?.payload?.bytes.equals(payload.bytes)) continue
        if (this.#pace?.repeatMs !== undefined) this.#latest = { entry, payload }
        if (this.#told.push({ payload, seq, isRepeated }) === 1) turn.add(this)
      }
      this.pump()
    }

    /** Tells each member all of the turn at once: going through them for each result would take longer than writing it. */
    endTurn(): void {
      const told = this.#told
      this.#told = []
      const all = told.map(({ payload }) => payload)
      const first = told[0]?.isRepeated === false ? told[0].seq : 0
      const last = told.at(-1)?.seq ?? 0
      for (const member of this.members) {
        const isBehind = member.seq < first
        const its = isBehind ? all : told.filter((each) => isFor(member, each)).map(({ payload }) => payload)
        member.seq = Math.max(member.seq, last)
        if (its.length > 0) member.reader.nextAll(its)
      }
    }
  }

  /** Nobody is told what they have. */
  function isFor(member: Member, { seq, isRepeated }: Told): boolean {
    return seq > member.seq || (seq === member.seq && isRepeated)
  }

  function start(
    args: ExecutionArgs,
    events: LiveEvents,
    analysis: Analysis,
    reader: LiveReader,
    signal: AbortSignal,
  ): () => string | undefined {
    operations += 1
    let told: string | undefined
    let standing: (() => string | undefined) | undefined
    let reason = 'LEFT'
    let toldAt = 0
    let passedOver: unknown
    const { isShared } = analysis
    let scope = [
      isShared ? '' : events.principal,
      events.key,
      args.operationName ?? '',
      analysis.variables(args.variableValues ?? {}),
      analysis.source,
    ].join('\0')
    void events
      .read(
        {
          async event(event) {
            const { pace } = events
            if (pace?.tells === 'latest' && Date.now() < toldAt + pace.everyMs) {
              passedOver = event
              return
            }
            toldAt = Date.now()
            passedOver = undefined
            const payload = await executeEvent(args, event, events.context(undefined, false))
            if (signal.aborted) return
            reader.next(payload)
            told = payload.cursor ?? told
            await reader.ready()
          },
          live(channel, seq) {
            const key = `${channel.key}\0${scope}`
            let group = groups.get(key)
            if (group === undefined || group.channel !== channel) {
              group = new Group(key, scope, channel, args, isShared, events)
              groups.set(key, group)
            }
            const joined = group
            // One text for all of them: it has the whole document in it.
            scope = joined.scope
            const member = { events, reader, seq }
            joined.join(member)
            standing = () => channel.log.placeAt(member.seq)
            if (passedOver !== undefined)
              void executeEvent(args, passedOver, events.context(undefined, false)).then((payload) => {
                // Unless the group was sooner with something newer.
                if (joined.members.has(member) && member.seq === seq) reader.next(payload)
              })
            passedOver = undefined
            return () => {
              joined.leave(member)
              standing = undefined
              told = channel.log.placeAt(member.seq) ?? told
              return member.seq
            }
          },
          end(error) {
            if (signal.aborted) return
            const told = maskError(error, onUnexpected)
            reason = String(told.extensions['code'])
            reader.next(toPayload({ errors: [told] }, undefined))
            reader.complete()
          },
        },
        signal,
      )
      .finally(() => {
        operations -= 1
        onEnd(reason)
      })
    return () => standing?.() ?? told
  }

  return {
    async subscribe(args) {
      const source = await createSourceEventStream(args)
      if (!(Symbol.asyncIterator in source)) return mask(source)
      const events = source as unknown as LiveEvents
      const operation = getOperationAST(args.document, args.operationName)
      if (operation == null) throw new Error('A subscription without an operation cannot have begun')
      const analysis = analyses.get(operation) ?? analyze(schema, args.document, operation)
      analyses.set(operation, analysis)
      let place: (() => string | undefined) | undefined
      return {
        start(reader, signal) {
          place = start(args, events, analysis, reader, signal)
        },
        place: () => place?.(),
      }
    },
    state: () => ({
      operations,
      groups: [...groups.values()].map(({ channel, members, isShared }) => ({
        source: channel.key,
        members: members.size,
        isShared,
      })),
    }),
  }
}

export function toPayload(result: ExecutionResult, cursor: string | undefined): Payload {
  return {
    bytes: Buffer.from(JSON.stringify(result)),
    cursor: cursor === '' ? undefined : cursor,
    next: undefined,
  }
}
