import { hash } from 'node:crypto'
import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  Kind,
  locatedError,
  type OperationDefinitionNode,
} from 'graphql'
import type { Channel, Context, Entry, LiveEvents, Pace } from '../context.ts'
import { type ErrorCode, GatewayError } from '../errors.ts'
import type { Limits } from '../graphql/document-limits.ts'
import { maskError } from '../graphql/error-mask.ts'
import type { Executor } from '../graphql/executor.ts'
import { createEventBudgets } from './event-budget.ts'
import { EventLoopBudget } from './event-loop-budget.ts'
import { type Body, Turn } from './outbox.ts'
import { type Analysis, analyze } from './selection.ts'

/** A result as it is sent, made once for all who get it. */
export interface Payload extends Body {
  /** Where the event stands, for those who come back. */
  readonly cursor: string | undefined
}

/** Who is sent the results of a subscription. */
export interface SubscriptionReader {
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
  start(reader: SubscriptionReader, signal: AbortSignal): void
  /** The place behind what was told, if it is known. */
  place(): string | undefined
}

/** What can be seen of the groups from outside. */
export interface FanOutState {
  readonly operations: number
  readonly groups: readonly {
    readonly source: string
    readonly members: number
    readonly isShared: boolean
  }[]
}

export interface FanOut {
  /**
   * Begins a subscription. It has to be started, even when its reader has left meanwhile: that ends what it holds.
   *
   * @param calls to the upstream that one event may cause and that it shares with no other subscription
   * @param wantsPosition whether the first result says after which cursor the subscription is live: `data` is null and
   *   `extensions.cursor` is the cursor. A reader that is cut off before the first event can resume then.
   * @returns why it cannot run, as a result with errors
   * @throws GatewayError `COST_EXCEEDED` when the open subscriptions of its principal may cause too many
   */
  subscribe(
    args: ExecutionArgs,
    calls: number,
    wantsPosition?: boolean,
  ): Promise<LiveOperation | ExecutionResult>
  state(): FanOutState
}

export interface FanOutOptions {
  readonly schema: GraphQLSchema
  readonly executor: Executor
  readonly limits: Pick<Limits, 'maxEventCalls' | 'maxSubscriptionCalls' | 'maxOperationMs'>
  /** Whether queries are queued: executions of events come after them. */
  readonly isBusy: () => boolean
  readonly onUnexpected: (error: unknown) => void
  /** Where an event stands, as clients are told. */
  readonly cursorOf: (event: unknown) => string
  /** Hears why each subscription ended: `LEFT` by its reader, or the code it was told. */
  readonly onEnd: (reason: string) => void
}

/** For how many entries that are executed it is remembered what was read for them. */
const maxContexts = 256

/** What came of executing an event for a group. */
interface Outcome {
  readonly payload: Payload
  /** What principals get in place of it, because their own execution had an error about them. */
  readonly refusals: ReadonlyMap<string, Payload>
}

/** An event that is executed. */
interface Slot {
  readonly entry: Entry
  outcome: Outcome | undefined
}

/** A result that is told at the end of the turn. */
interface Told extends Outcome {
  readonly seq: number
  /** Whether its event was told before, with another result. */
  readonly isRepeated: boolean
}

interface Member {
  readonly events: LiveEvents
  readonly reader: SubscriptionReader
  /** Entries up to this one it has. */
  seq: number
  /** Ends its subscription. */
  end(error: GatewayError): void
}

/** What an event is executed with. */
interface Execution {
  readonly context: Context
  /** The member whose credential it is. */
  readonly member: Member
  /** Calls to the upstream that it may make, for all that are executed with it. */
  maxCalls: number
}

/** Those of one event, by principal. */
interface Executions {
  readonly own: Map<string, Execution>
  readonly shared: Map<string, Execution>
}

/** Errors about the principal that an event is executed as. Those of other principals are executed again. */
const personalCodes: ReadonlySet<unknown> = new Set<ErrorCode>([
  ...(['CLIENT_LEFT', 'COST_EXCEEDED', 'FORBIDDEN', 'RATE_LIMITED', 'UNAUTHENTICATED'] as const),
])
/** As how many principals an event of a shared group is executed at most. */
const maxTries = 3
const noRefusals: ReadonlyMap<string, Payload> = new Map()
/** How many events of one group are executed at the same time; their results are sent in order. */
const maxInFlight = 16

/**
 * Executes each event once for all who asked the same: subscriptions with the same document and variables to the same
 * events are one group, with one execution and one serialised result for each event. Where nothing in the selection
 * depends on who asks, groups reach across callers, all of whom were checked to be let hear those events.
 */
export function createFanOut(options: FanOutOptions): FanOut {
  const { schema, executor, limits, onUnexpected, cursorOf, onEnd } = options
  const budgets = createEventBudgets(limits.maxSubscriptionCalls)
  const groups = new Map<string, Group>()
  /**
   * Of the latest entries alone, and while something is executed: entries are kept for long, and contexts are large. A map
   * that is old enough leaves all it had in the table it grew out of, until the next full collection: it begins anew.
   */
  let contexts = new Map<Entry, Executions>()
  let executing = 0
  /** The same for all who send the same document. */
  const analyses = new WeakMap<OperationDefinitionNode, Analysis>()
  let operations = 0

  async function executeEvent(
    args: ExecutionArgs,
    event: unknown,
    contextValue: Context,
    maxCalls = limits.maxEventCalls,
  ): Promise<ExecutionResult> {
    try {
      contextValue.bound({ deadline: performance.now() + limits.maxOperationMs, maxCalls })
      return mask(await executor.execute({ ...args, rootValue: event, contextValue }))
    } catch (error) {
      return { errors: [maskError(error, onUnexpected)] }
    }
  }

  /** Executes an event for one reader that is not in a group yet. */
  async function executeAlone(args: ExecutionArgs, event: unknown, events: LiveEvents): Promise<Payload> {
    await pace.begin()
    return toPayload(await executeEvent(args, event, events.context(undefined, false)), cursorOf(event))
  }

  /**
   * Executes an event once for all members of a group. A result with an error about the principal it was executed as is
   * delivered to that principal alone; it is executed again as another member for the rest.
   */
  async function executeForGroup(group: Group, entry: Entry, first: Member): Promise<Outcome> {
    const { args, channel, isShared, members } = group
    let refusals: Map<string, Payload> | undefined
    let member = first
    for (let tries = 1; ; tries += 1) {
      const execution = executionOf(entry, member, channel, isShared)
      execution.maxCalls += limits.maxEventCalls
      const result = await executeEvent(args, entry.event, execution.context, execution.maxCalls)
      const payload = toPayload(result, cursorOf(entry.event))
      const outcome = { payload, refusals: refusals ?? noRefusals }
      const isPersonal =
        result.errors?.some(({ extensions }) => personalCodes.has(extensions['code'])) === true
      // A member that has left may have lost the access it was executed with.
      if (!isShared || (!isPersonal && members.has(member))) return outcome
      if (isPersonal) {
        refusals ??= new Map()
        refusals.set(member.events.principal, payload)
        group.demote(member.events.principal)
      }
      const next = [...members].find(({ events }) => refusals?.has(events.principal) !== true)
      if (next === undefined) return { payload, refusals: refusals ?? noRefusals }
      if (tries === maxTries)
        return { payload: toPayload(anonymous(result), payload.cursor), refusals: refusals ?? noRefusals }
      member = next
    }
  }

  /** A result whose errors do not tell what is wrong with the principal it was executed as. */
  function anonymous(result: ExecutionResult): ExecutionResult {
    const errors = result.errors?.map((error) =>
      personalCodes.has(error.extensions['code'])
        ? new GraphQLError('The upstream could not be read for this event', {
            path: error.path ?? null,
            extensions: { code: 'UPSTREAM_UNAVAILABLE' satisfies ErrorCode, retryable: true },
          })
        : error,
    )
    return { ...result, ...(errors === undefined ? {} : { errors }) }
  }

  /** What is read for an event is read once for all groups that are executed as the same principal, and for that event alone. */
  function executionOf(entry: Entry, member: Member, channel: Channel, isShared: boolean): Execution {
    const { events } = member
    const make = () => ({ context: events.context(channel, isShared), member, maxCalls: 0 })
    // Later it would be what was read before.
    if (events.pace !== undefined) return make()
    let known = contexts.get(entry)
    if (known === undefined) {
      known = { own: new Map(), shared: new Map() }
      contexts.set(entry, known)
      const [oldest] = contexts.size > maxContexts ? contexts.keys() : []
      if (oldest !== undefined) contexts.delete(oldest)
    }
    const byPrincipal = isShared ? known.shared : known.own
    let execution = byPrincipal.get(events.principal)
    if (execution === undefined) {
      execution = make()
      byPrincipal.set(events.principal, execution)
    }
    return execution
  }

  function mask(result: ExecutionResult): ExecutionResult {
    if (result.errors === undefined) return result
    return { ...result, errors: result.errors.map((error) => maskError(error, onUnexpected)) }
  }

  const turn = new Turn()
  const pace = new EventLoopBudget(options.isBusy)

  /** One group at one channel. */
  class Group {
    readonly members = new Set<Member>()
    readonly channel: Channel
    readonly isShared: boolean
    /** What its members have in common, at whatever channel they are. */
    readonly scope: string
    readonly #key: string
    readonly args: ExecutionArgs
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
    readonly #resume = () => this.pump()

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
      this.args = args
      this.isShared = isShared
      this.#pace = events.pace
      this.#due = this.#pace === undefined ? Number.POSITIVE_INFINITY : 0
      this.#stop = channel.listen((entry) => {
        if (!events.wants(entry.event)) return
        if (this.#pace?.tells === 'latest') this.#waiting.length = this.#next
        this.#waiting.push(entry)
        if (this.#isTooSlow()) this.#fail()
        else if (this.#pace === undefined) this.pump()
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

    /** Executes as others while there are any. */
    demote(principal: string): void {
      for (const member of [...this.members])
        if (member.events.principal === principal) {
          this.members.delete(member)
          this.members.add(member)
        }
    }

    /** Whether the oldest event that is not delivered is not in the log any more: waiting would need memory without a bound. */
    #isTooSlow(): boolean {
      if (this.#pace?.tells === 'latest') return false
      const oldest = this.#inFlight[0]?.entry ?? this.#waiting[this.#next]
      return oldest !== undefined && oldest.seq <= this.channel.log.beginSeq
    }

    /** Ends the subscriptions of all members. They resume after the last event they got. */
    #fail(): void {
      this.#stop()
      clearTimeout(this.#timer)
      if (groups.get(this.#key) === this) groups.delete(this.#key)
      this.#waiting.length = 0
      this.#next = 0
      const members = [...this.members]
      this.members.clear()
      for (const member of members)
        member.end(
          new GatewayError(
            'SLOW_CONSUMER',
            'The subscription was ended: its events come faster than they can be executed; resume after the last cursor',
          ),
        )
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
        if (!pace.mayBegin(this.#resume)) return
        const entry = this.#waiting[this.#next] as Entry
        this.#next += 1
        if (this.#next > 1024) {
          this.#waiting.splice(0, this.#next)
          this.#due -= this.#next
          this.#next = 0
        }
        const [member] = this.members
        if (member === undefined) return
        const slot: Slot = { entry, outcome: undefined }
        this.#inFlight.push(slot)
        executing += 1
        void executeForGroup(this, entry, member).then((outcome) => {
          slot.outcome = outcome
          this.#flush()
          executing -= 1
          if (executing === 0 && !pace.isWaiting && contexts.size > 0) contexts = new Map()
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
        if (slot?.outcome === undefined) break
        this.#inFlight.shift()
        const { outcome, entry } = slot
        const { payload } = outcome
        const { seq } = entry
        const isRepeated = this.#latest?.entry.seq === seq
        // What is as it was is not told again.
        if (isRepeated && this.#latest?.payload?.bytes.equals(payload.bytes)) continue
        if (this.#pace?.repeatMs !== undefined) this.#latest = { entry, payload }
        if (this.#told.push({ ...outcome, seq, isRepeated }) === 1) turn.add(this)
      }
      this.pump()
    }

    /** Tells each member all of the turn at once: going through them for each result would take longer than writing it. */
    endTurn(): void {
      const told = this.#told
      this.#told = []
      const all = told.map(({ payload }) => payload)
      const isSame = told.every(({ refusals }) => refusals.size === 0)
      const first = told[0]?.isRepeated === false ? told[0].seq : 0
      const last = told.at(-1)?.seq ?? 0
      for (const member of this.members) {
        const isBehind = member.seq < first
        const its =
          isBehind && isSame
            ? all
            : told
                .filter((each) => isFor(member, each))
                .map(({ payload, refusals }) => refusals.get(member.events.principal) ?? payload)
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
    reader: SubscriptionReader,
    left: AbortSignal,
    { giveBack, wantsPosition }: { readonly giveBack: () => void; readonly wantsPosition: boolean },
  ): () => string | undefined {
    operations += 1
    const ended = new AbortController()
    const { signal } = ended
    const leave = () => ended.abort(left.reason)
    signal.addEventListener('abort', giveBack, { once: true })
    if (left.aborted) leave()
    else left.addEventListener('abort', leave, { once: true })
    let told: string | undefined
    let standing: (() => string | undefined) | undefined
    let reason = 'LEFT'
    let toldAt = 0
    let passedOver: unknown
    const { isShared } = analysis
    let scope = `${isShared ? '' : events.principal}\0${scopeOf(args, events, analysis)}`
    function end(error: unknown): void {
      if (signal.aborted) return
      const told = maskError(locate(error, args), onUnexpected)
      reason = String(told.extensions['code'])
      reader.next(toPayload({ errors: [told] }, undefined))
      reader.complete()
    }
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
            const payload = await executeAlone(args, event, events)
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
            const member = {
              ...{ events, reader, seq },
              end(error: GatewayError) {
                end(error)
                ended.abort(error)
              },
            }
            joined.join(member)
            standing = () => channel.log.placeAt(member.seq)
            const position = wantsPosition && told === undefined ? standing() : undefined
            if (position !== undefined) {
              reader.next(toPayload({ data: null, extensions: { cursor: position } }, position))
              told = position
            }
            if (passedOver !== undefined)
              void executeAlone(args, passedOver, events).then((payload) => {
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
          end,
        },
        signal,
      )
      .finally(() => {
        operations -= 1
        left.removeEventListener('abort', leave)
        giveBack()
        onEnd(reason)
      })
    return () => standing?.() ?? told
  }

  return {
    async subscribe(args, calls, wantsPosition = false) {
      const source = await createSourceEventStream(args)
      if (!(Symbol.asyncIterator in source)) return mask(source)
      const events = source as unknown as LiveEvents
      const operation = getOperationAST(args.document, args.operationName)
      if (operation == null) throw new Error('A subscription without an operation cannot have begun')
      const analysis = analyses.get(operation) ?? analyze(schema, args.document, operation)
      analyses.set(operation, analysis)
      const giveBack = budgets.take(
        events.principal,
        // A hash, because the text has the whole document in it.
        calls === 0 ? '' : hash('sha1', scopeOf(args, events, analysis)),
        calls,
      )
      let place: (() => string | undefined) | undefined
      return {
        start(reader, signal) {
          place = start(args, events, analysis, reader, signal, { giveBack, wantsPosition })
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

/** An error about an input names the field of the subscription, like one that is thrown before it begins. */
function locate(error: unknown, { document, operationName }: ExecutionArgs): unknown {
  if (!(error instanceof GatewayError) || error.inputPath === undefined) return error
  const [field] = getOperationAST(document, operationName)?.selectionSet.selections ?? []
  if (field?.kind !== Kind.FIELD) return error
  return locatedError(error, field, [(field.alias ?? field.name).value])
}

/** The same for subscriptions that are executed alike for the same events. */
function scopeOf(args: ExecutionArgs, events: LiveEvents, analysis: Analysis): string {
  return [
    events.key,
    args.operationName ?? '',
    analysis.variables(args.variableValues ?? {}),
    analysis.source,
  ].join('\0')
}

/** @param result or its text as JSON */
export function toPayload(result: ExecutionResult | string, cursor: string | undefined): Payload {
  return {
    bytes: Buffer.from(typeof result === 'string' ? result : JSON.stringify(result)),
    cursor: cursor === '' ? undefined : cursor,
    next: undefined,
  }
}
