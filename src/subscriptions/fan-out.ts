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
import type {
  Channel,
  Context,
  Entry,
  EntryAudiences,
  EventReader,
  LiveEvent,
  LiveEvents,
  Membership,
  Pace,
} from '../context.ts'
import { type ErrorCode, GatewayError } from '../errors.ts'
import type { Limits } from '../graphql/document-limits.ts'
import { maskError } from '../graphql/error-mask.ts'
import type { Executor } from '../graphql/executor.ts'
import { AudienceIndex } from './audience-index.ts'
import { createEventBudgets } from './event-budget.ts'
import { EventLoopBudget } from './event-loop-budget.ts'
import { type Body, Turn } from './outbox.ts'
import { type AskedQuestion, type EventResult, ResultCache, scopeKey } from './result-cache.ts'
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
  /**
   * Ends the connection in place of an error: stock clients take an error as final, and come back after a lost connection.
   * Where it is missing, the error is sent.
   */
  disconnect?(): void
}

/** A subscription that is running. */
export interface LiveOperation {
  /** Tells its reader until `signal` ends it. */
  start(reader: SubscriptionReader, signal: AbortSignal): void
  /** The offset after the last delivered event, if it is known. */
  offset(): string | undefined
}

/** What can be seen of the groups from outside. */
export interface FanOutState {
  readonly operations: number
  /** Results that subscriptions were sent since the start. */
  readonly deliveries: number
  readonly groups: readonly {
    /** How many members each source has, by its key. */
    readonly sources: Readonly<Record<string, number>>
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
  /** Something that results were made from has changed: none is used again. */
  forgetResults(): void
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
  /** Whether an event is one of the upstream's log that all members of a flow get: equal ones are the same object. */
  readonly isOfFlow: (event: LiveEvent) => boolean
  /** Called for each event that a member is sent, to check that it may be. */
  readonly onDelivery?: ((events: LiveEvents, event: LiveEvent) => void) | undefined
  /** Hears why each subscription ended: `LEFT` by its reader, or the code it was told. */
  readonly onEnd: (reason: string) => void
}

/** For how many entries that are executed it is remembered what was read for them. */
const maxContexts = 256

/** What came of executing an event for an audience. */
interface Outcome {
  readonly payload: Payload
  /** What some members get in place of it: an error about them, or the result for another answer about the viewer. */
  readonly exceptions: ReadonlyMap<Member, Payload>
}

/** An event for some members of a section. */
interface Item {
  readonly entry: Entry
  /** Those who may get it; never changed, so it is who they were when the event came. */
  readonly audience: readonly Member[]
}

/** An event that is being executed. */
interface Slot extends Item {
  outcome: Outcome | undefined
}

/** A result that is delivered at the end of the turn. */
interface Ready extends Item, Outcome {
  /** Whether its event was delivered before, with another result. */
  readonly isRepeated: boolean
}

interface Member {
  readonly events: LiveEvents
  readonly reader: SubscriptionReader
  readonly audiences: ReadonlySet<string>
  /** Entries up to this one it has. */
  seq: number
  /** It has left, or lost its access: nothing is delivered to it. */
  isGone: boolean
  /** An error about its principal came of the last execution as this member. */
  isDemoted: boolean
  /** Ends its subscription. */
  end(error: GatewayError): void
}

/** What events are executed for. */
interface Subscription {
  readonly args: ExecutionArgs
  readonly events: LiveEvents
  readonly isShared: boolean
  /** Whether its selection asks about the viewer. */
  readonly asksViewer: boolean
  /** The same for all who get the same results. */
  readonly key: string
}

/** What an event is executed with. */
interface Execution {
  readonly context: Context
  /** What was asked about the viewer so far. */
  readonly questions: AskedQuestion[]
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
const noExceptions: ReadonlyMap<Member, Payload> = new Map()
/** How many events of one section are executed at the same time; their results are sent in order. */
const maxInFlight = 16

/**
 * Executes each event once for all subscriptions with the same document, variables and filter, whatever flows they are in:
 * they are one group. Who gets an event is decided for each member, by the audiences of the event. Where the selection asks
 * about the viewer, an event is executed once for each set of answers; where it depends on the viewer in other ways, groups do
 * not reach across principals.
 */
export function createFanOut(options: FanOutOptions): FanOut {
  const { schema, executor, limits, onUnexpected, cursorOf, isOfFlow, onDelivery, onEnd } = options
  const budgets = createEventBudgets(limits.maxSubscriptionCalls)
  const groups = new Map<string, Group>()
  const routers = new Map<Channel, Router>()
  /**
   * Of the latest entries alone, and while something is executed: entries are kept for long, and contexts are large. A map
   * that is old enough leaves all it had in the table it grew out of, until the next full collection: it begins anew.
   */
  let contexts = new Map<Entry, Executions>()
  let executing = 0
  const results = new ResultCache()
  /** The same for all who send the same document. */
  const analyses = new WeakMap<OperationDefinitionNode, Analysis>()
  let operations = 0
  let deliveries = 0

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

  /** Executes an event for one reader that catches up, or takes the result of others who catch up with the same. */
  async function executeReplayed(
    { args, events, isShared, asksViewer, key }: Subscription,
    event: LiveEvent,
    channel: Channel | undefined,
  ): Promise<Payload> {
    // Also for a result that is known: a long catch-up must not keep the event loop.
    await pace.begin()
    const canShare = isShared && events.pace === undefined && channel !== undefined && isOfFlow(event)
    let own: EventResult | undefined
    const execute = async () => {
      const questions: AskedQuestion[] = []
      const context = events.context(event, channel, canShare ? 'replayed' : 'own', (question, answer) =>
        questions.push({ question, answer }),
      )
      const executed = await executeEvent(args, event, context)
      own = toResult(executed, cursorOf(event), asksViewer ? questions : [])
      return own.hasErrors ? undefined : own
    }
    const result = canShare ? await results.share(key, event, fitsFor(events), execute) : await execute()
    const { bytes, cursor } = (result ?? own) as EventResult
    return { bytes, cursor, next: undefined }
  }

  /** Executes an event for those members of a section who may get it. */
  async function executeForSection(section: Section, { entry, audience }: Item): Promise<Outcome> {
    const { isShared } = section.group
    const exceptions = new Map<Member, Payload>()
    const refused = new Set<string>()
    const isLeft = (member: Member) => !member.isGone && !refused.has(member.events.principal)
    let member = firstOf(audience)
    for (let tries = 1; ; tries += 1) {
      if (member === undefined) return { payload: nothing, exceptions }
      const result = await resultAs(member, section, entry)
      const payload = toPayloadOf(result)
      // A member that has left may have lost the access it was executed with.
      if (!isShared || (!isPersonal(result) && !member.isGone)) {
        await addVariants(section, entry, audience, { result, payload }, exceptions)
        return { payload, exceptions }
      }
      if (isPersonal(result)) {
        const { principal } = member.events
        refused.add(principal)
        for (const each of audience)
          if (each.events.principal === principal) {
            exceptions.set(each, payload)
            each.isDemoted = true
          }
      }
      if (tries === maxTries)
        return { payload: toPayload(anonymous(result.failed ?? {}), result.cursor), exceptions }
      member = audience.find(isLeft)
    }
  }

  /** Finds the results of those members for whom the questions about the viewer have other answers. */
  async function addVariants(
    section: Section,
    entry: Entry,
    audience: readonly Member[],
    first: { readonly result: Executed; readonly payload: Payload },
    exceptions: Map<Member, Payload>,
  ): Promise<void> {
    if (!section.group.isShared || first.result.questions.length === 0) return
    const variants = [first]
    for (const member of audience) {
      if (member.isGone || exceptions.has(member)) continue
      const fits = fitsFor(member.events)
      let variant = variants.find(({ result }) => fits(result))
      if (variant === undefined) {
        const result = await resultAs(member, section, entry)
        variant = { result, payload: toPayloadOf(result) }
        if (!isPersonal(result) && !member.isGone) variants.push(variant)
      }
      if (variant !== first) exceptions.set(member, variant.payload)
    }
  }

  /** The result of an event for a member, which may have been executed as another member of the group. */
  async function resultAs(member: Member, section: Section, entry: Entry): Promise<Executed> {
    const { group } = section
    let own: Executed | undefined
    const execute = async () => {
      const execution = executionOf(entry, member, section)
      execution.maxCalls += limits.maxEventCalls
      const { context, maxCalls, questions } = execution
      const executed = await executeEvent(group.args, entry.event, context, maxCalls)
      own = toResult(executed, cursorOf(entry.event), group.asksViewer ? [...questions] : [])
      return isPersonal(own) || member.isGone ? undefined : own
    }
    const shared = canShareResult(section, entry)
      ? await results.share(group.scope, entry.event, fitsFor(member.events), execute)
      : await execute()
    return (own ?? shared) as Executed
  }

  /** Whether sections of other channels may use the result: their events are the same object then. */
  function canShareResult({ group }: Section, { event }: Entry): boolean {
    return group.isShared && group.pace === undefined && isOfFlow(event)
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
  function executionOf(entry: Entry, { events }: Member, { channel, group }: Section): Execution {
    const { isShared } = group
    const make = () => {
      const questions: AskedQuestion[] = []
      const context = events.context(entry.event, channel, isShared ? 'shared' : 'own', (question, answer) =>
        questions.push({ question, answer }),
      )
      return { context, questions, maxCalls: 0 }
    }
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

  /** Hands the entries of a channel to the sections that have a member for them. */
  class Router {
    readonly #channel: Channel
    readonly #sections = new AudienceIndex<Section>()
    readonly #all = new Set<Section>()
    readonly #stop: () => void
    /** Entries up to this one were handed on. */
    seq: number

    constructor(channel: Channel) {
      this.#channel = channel
      this.seq = channel.log.seq
      this.#stop = channel.listen((entry) => {
        const names = channel.audiencesOf(entry)
        for (const section of names === 'all' ? this.#all : this.#sections.of(names))
          section.receive(entry, names)
        this.seq = entry.seq
      })
    }

    open(section: Section): void {
      this.#all.add(section)
    }

    add(name: string, section: Section): void {
      this.#sections.add(name, section)
    }

    remove(name: string, section: Section): void {
      this.#sections.remove(name, section)
    }

    close(section: Section): void {
      this.#all.delete(section)
      if (this.#all.size > 0) return
      this.#stop()
      if (routers.get(this.#channel) === this) routers.delete(this.#channel)
    }
  }

  function routerOf(channel: Channel): Router {
    let router = routers.get(channel)
    if (router === undefined) {
      router = new Router(channel)
      routers.set(channel, router)
    }
    return router
  }

  /** Subscriptions that are executed alike. */
  class Group {
    readonly key: string
    /** The same for all who get the same results. */
    readonly scope: string
    readonly args: ExecutionArgs
    readonly isShared: boolean
    readonly asksViewer: boolean
    readonly pace: Pace | undefined
    readonly sections = new Map<Channel, Section>()
    readonly wants: (event: LiveEvent) => boolean

    constructor(key: string, { args, events, isShared, asksViewer, key: scope }: Subscription) {
      this.key = key
      this.scope = scope
      this.args = args
      this.isShared = isShared
      this.asksViewer = asksViewer
      this.pace = events.pace
      this.wants = (event) => events.wants(event)
    }

    sectionOf(channel: Channel): Section {
      let section = this.sections.get(channel)
      if (section === undefined) {
        section = new Section(this, channel)
        this.sections.set(channel, section)
      }
      return section
    }

    remove(section: Section): void {
      if (this.sections.get(section.channel) === section) this.sections.delete(section.channel)
      if (this.sections.size === 0 && groups.get(this.key) === this) groups.delete(this.key)
    }
  }

  /** The members of a group at one channel. */
  class Section {
    readonly group: Group
    readonly channel: Channel
    readonly members = new Set<Member>()
    readonly #audiences = new AudienceIndex<Member>()
    #allMembers: readonly Member[] | undefined
    readonly #router: Router
    readonly #waiting: Item[] = []
    readonly #inFlight: Slot[] = []
    #ready: Ready[] = []
    #next = 0
    /** How many of those that wait may begin: all, unless the pace says when. */
    #due: number
    readonly #pace: Pace | undefined
    #timer: NodeJS.Timeout | undefined
    #timerAt = Number.POSITIVE_INFINITY
    #pumpedAt = 0
    #latest: { readonly item: Item; payload: Payload | undefined } | undefined
    readonly #resume = () => this.pump()

    constructor(group: Group, channel: Channel) {
      this.group = group
      this.channel = channel
      this.#pace = group.pace
      this.#due = this.#pace === undefined ? Number.POSITIVE_INFINITY : 0
      this.#router = routerOf(channel)
      this.#router.open(this)
    }

    receive(entry: Entry, names: EntryAudiences): void {
      if (!this.group.wants(entry.event)) return
      const audience = names === 'all' ? this.#all() : this.#audiences.of(names)
      if (audience.length === 0) return
      if (this.#pace?.tells === 'latest') this.#waiting.length = this.#next
      this.#waiting.push({ entry, audience })
      if (this.#isTooSlow()) this.#fail()
      else if (this.#pace === undefined) this.pump()
      else this.#wait(this.#pace.everyMs)
    }

    join(member: Member): void {
      this.members.add(member)
      this.#allMembers = undefined
      for (const name of member.audiences) this.#add(name, member)
    }

    move(member: Member, before: ReadonlySet<string>): void {
      if (!this.members.has(member)) return
      const { audiences } = member
      for (const name of before) if (!audiences.has(name)) this.#remove(name, member)
      for (const name of audiences) if (!before.has(name)) this.#add(name, member)
    }

    leave(member: Member): void {
      member.isGone = true
      if (!this.members.delete(member)) return
      this.#allMembers = undefined
      for (const name of member.audiences) this.#remove(name, member)
      if (this.members.size > 0) return
      clearTimeout(this.#timer)
      this.#close()
    }

    /** The number of the last entry that a member has, or that was not for it. */
    seqOf(member: Member): number {
      const oldest = this.#ready[0] ?? this.#inFlight[0] ?? this.#waiting[this.#next]
      return Math.max(member.seq, oldest === undefined ? this.#router.seq : oldest.entry.seq - 1)
    }

    #add(name: string, member: Member): void {
      if (this.#audiences.add(name, member)) this.#router.add(name, this)
    }

    #remove(name: string, member: Member): void {
      if (this.#audiences.remove(name, member)) this.#router.remove(name, this)
    }

    /** The same array until a member joins or leaves. */
    #all(): readonly Member[] {
      this.#allMembers ??= [...this.members]
      return this.#allMembers
    }

    #close(): void {
      this.#router.close(this)
      this.group.remove(this)
    }

    /** Whether the oldest event that is not delivered is not in the log any more: waiting would need memory without a bound. */
    #isTooSlow(): boolean {
      if (this.#pace?.tells === 'latest') return false
      const oldest = this.#inFlight[0]?.entry ?? this.#waiting[this.#next]?.entry
      return oldest !== undefined && oldest.seq <= this.channel.log.beginSeq
    }

    /** Ends the subscriptions of all members. They resume after the last event they got. */
    #fail(): void {
      clearTimeout(this.#timer)
      this.#waiting.length = 0
      this.#next = 0
      const members = [...this.members]
      for (const member of members) this.leave(member)
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
        if (this.#waiting.length === 0 && last !== undefined)
          this.#waiting.push({ ...last.item, audience: this.#all() })
        this.#due = this.#waiting.length
        this.pump()
        if (this.#pace?.repeatMs !== undefined) this.#wait(this.#pace.repeatMs)
      }, at - now)
    }

    pump(): void {
      while (this.#inFlight.length < maxInFlight && this.#next < Math.min(this.#waiting.length, this.#due)) {
        const item = this.#waiting[this.#next] as Item
        const known = this.#knownResult(item)
        if (known === undefined && !pace.mayBegin(this.#resume)) break
        this.#next += 1
        if (this.#next > 1024) {
          this.#waiting.splice(0, this.#next)
          this.#due -= this.#next
          this.#next = 0
        }
        const slot: Slot = { ...item, outcome: known }
        this.#inFlight.push(slot)
        if (known === undefined) this.#execute(slot)
      }
      if (this.#next === this.#waiting.length) {
        this.#waiting.length = 0
        this.#next = 0
        if (this.#pace !== undefined) this.#due = 0
      }
      if (this.#inFlight[0]?.outcome !== undefined) this.#flush()
    }

    #execute(slot: Slot): void {
      executing += 1
      void executeForSection(this, slot).then((outcome) => {
        slot.outcome = outcome
        this.#flush()
        executing -= 1
        if (executing === 0 && !pace.isWaiting && contexts.size > 0) contexts = new Map()
      })
    }

    /** What another section executed, if it is right for all. */
    #knownResult({ entry, audience }: Item): Outcome | undefined {
      if (!canShareResult(this, entry)) return undefined
      const fits = (result: EventResult) =>
        result.questions.length === 0 || audience.every(({ events }) => fitsFor(events)(result))
      const result = results.find(this.group.scope, entry.event, fits)
      return result && { payload: toPayloadOf(result), exceptions: noExceptions }
    }

    #flush(): void {
      for (;;) {
        const [slot] = this.#inFlight
        if (slot?.outcome === undefined) break
        this.#inFlight.shift()
        const { outcome, entry, audience } = slot
        const { payload } = outcome
        const isRepeated = this.#latest?.item.entry.seq === entry.seq
        // What is as it was is not delivered again.
        if (isRepeated && this.#latest?.payload?.bytes.equals(payload.bytes)) continue
        if (this.#pace?.repeatMs !== undefined) this.#latest = { item: { entry, audience }, payload }
        if (this.#ready.push({ ...outcome, entry, audience, isRepeated }) === 1) turn.add(this)
      }
      if (this.#next < this.#waiting.length) this.pump()
    }

    /** Delivers all of the turn at once: going through the members for each result would take longer than writing it. */
    endTurn(): void {
      const ready = this.#ready
      this.#ready = []
      const [first] = ready
      if (first === undefined) return
      const isSame = ready.every(
        ({ audience, exceptions }) => exceptions.size === 0 && audience === first.audience,
      )
      if (isSame) this.#deliverToAll(ready, first)
      else this.#deliverToEach(ready)
    }

    #deliverToAll(ready: readonly Ready[], first: Ready): void {
      const all = ready.map(({ payload }) => payload)
      const firstSeq = first.isRepeated ? 0 : first.entry.seq
      const last = ready.at(-1)?.entry.seq ?? 0
      for (const member of first.audience) {
        if (member.isGone) continue
        const isBehind = member.seq < firstSeq
        const its = isBehind ? ready : ready.filter((each) => isFor(member, each))
        member.seq = Math.max(member.seq, last)
        if (onDelivery !== undefined) for (const { entry } of its) onDelivery(member.events, entry.event)
        deliveries += its.length
        if (its.length > 0) member.reader.nextAll(isBehind ? all : its.map(({ payload }) => payload))
      }
    }

    #deliverToEach(ready: readonly Ready[]): void {
      const byMember = new Map<Member, Payload[]>()
      for (const each of ready)
        for (const member of each.audience) {
          if (member.isGone || !isFor(member, each)) continue
          const its = byMember.get(member)
          const payload = each.exceptions.get(member) ?? each.payload
          if (its === undefined) byMember.set(member, [payload])
          else its.push(payload)
          member.seq = Math.max(member.seq, each.entry.seq)
          onDelivery?.(member.events, each.entry.event)
        }
      for (const [member, its] of byMember) {
        if (member.isGone) continue
        deliveries += its.length
        member.reader.nextAll(its)
      }
    }
  }

  /** Nobody gets what they have. */
  function isFor(member: Member, { entry: { seq }, isRepeated }: Ready): boolean {
    return seq > member.seq || (seq === member.seq && isRepeated)
  }

  /** A subscription among the members of a section. */
  class LiveMember implements Member, Membership {
    readonly events: LiveEvents
    readonly reader: SubscriptionReader
    audiences: ReadonlySet<string>
    seq: number
    isGone = false
    isDemoted = false
    readonly #subscription: LiveSubscription
    readonly #section: Section

    constructor(
      subscription: LiveSubscription,
      reader: SubscriptionReader,
      section: Section,
      seq: number,
      audiences: ReadonlySet<string>,
    ) {
      this.events = subscription.events
      this.reader = reader
      this.audiences = audiences
      this.seq = seq
      this.#subscription = subscription
      this.#section = section
      section.join(this)
    }

    offset(): string | undefined {
      return this.#section.channel.log.offsetAt(this.#section.seqOf(this))
    }

    move(audiences: ReadonlySet<string>): void {
      const before = this.audiences
      this.audiences = audiences
      this.#section.move(this, before)
    }

    leave(): number {
      const last = this.#section.seqOf(this)
      this.#section.leave(this)
      this.#subscription.leftAt(this.#section.channel.log.offsetAt(last))
      return last
    }

    end(error: GatewayError): void {
      this.#subscription.end(error)
    }
  }

  /** One object for all that a subscription is: there may be many, and closures would take several times the memory. */
  class LiveSubscription implements LiveOperation, EventReader<LiveEvent> {
    readonly #subscription: Subscription
    readonly #giveBack: () => void
    readonly #wantsPosition: boolean
    readonly #ended = new AbortController()
    #reader: SubscriptionReader | undefined
    #member: LiveMember | undefined
    #delivered: string | undefined
    #reason = 'LEFT'
    #deliveredAt = 0
    #passedOver: { readonly event: LiveEvent; readonly channel: Channel | undefined } | undefined

    constructor(subscription: Subscription, giveBack: () => void, wantsPosition: boolean) {
      this.#subscription = subscription
      this.#giveBack = giveBack
      this.#wantsPosition = wantsPosition
    }

    get events(): LiveEvents {
      return this.#subscription.events
    }

    start(reader: SubscriptionReader, left: AbortSignal): void {
      operations += 1
      this.#reader = reader
      const leave = () => this.#abort(left.reason)
      if (left.aborted) leave()
      else left.addEventListener('abort', leave, { once: true })
      const { events, asksViewer } = this.#subscription
      const { signal } = this.#ended
      // Otherwise events would be executed for each member until its user is known.
      const reading = asksViewer
        ? events.identify().then(() => events.read(this, signal))
        : events.read(this, signal)
      void reading.then(() => {
        operations -= 1
        left.removeEventListener('abort', leave)
        this.#giveBack()
        onEnd(this.#reason)
      })
    }

    offset(): string | undefined {
      return this.#member?.offset() ?? this.#delivered
    }

    async event(event: LiveEvent, channel: Channel | undefined): Promise<void> {
      const { pace } = this.events
      if (pace?.tells === 'latest' && Date.now() < this.#deliveredAt + pace.everyMs) {
        this.#passedOver = { event, channel }
        return
      }
      this.#deliveredAt = Date.now()
      this.#passedOver = undefined
      const payload = await executeReplayed(this.#subscription, event, channel)
      if (this.#ended.signal.aborted) return
      deliveries += 1
      this.#reader?.next(payload)
      this.#delivered = payload.cursor ?? this.#delivered
      await this.#reader?.ready()
    }

    live(channel: Channel, seq: number, audiences: ReadonlySet<string>): Membership {
      const { key } = this.#subscription
      const reader = this.#reader as SubscriptionReader
      let group = groups.get(key)
      if (group === undefined) {
        group = new Group(key, this.#subscription)
        groups.set(key, group)
      }
      const member = new LiveMember(this, reader, group.sectionOf(channel), seq, audiences)
      this.#member = member
      const position = this.#wantsPosition && this.#delivered === undefined ? member.offset() : undefined
      if (position !== undefined) {
        reader.next(toPayload({ data: null, extensions: { cursor: position } }, position))
        this.#delivered = position
      }
      const passedOver = this.#passedOver
      this.#passedOver = undefined
      if (passedOver !== undefined)
        void executeReplayed(this.#subscription, passedOver.event, passedOver.channel).then((payload) => {
          // Unless the group was sooner with something newer.
          if (member.isGone || member.seq !== seq) return
          deliveries += 1
          reader.next(payload)
        })
      return member
    }

    /** It is no member any more. @param offset behind what it received, if that is known */
    leftAt(offset: string | undefined): void {
      this.#member = undefined
      this.#delivered = offset ?? this.#delivered
    }

    /** Nothing that is under way is delivered afterwards. */
    end(error: unknown): void {
      if (this.#ended.signal.aborted) return
      this.#abort(error)
      const reader = this.#reader as SubscriptionReader
      const masked = maskError(locate(error, this.#subscription.args), onUnexpected)
      this.#reason = String(masked.extensions['code'])
      if (this.#reason === ('OVERLOADED' satisfies ErrorCode) && reader.disconnect !== undefined)
        return reader.disconnect()
      reader.next(toPayload({ errors: [masked] }, undefined))
      reader.complete()
    }

    #abort(reason: unknown): void {
      this.#ended.abort(reason)
      this.#giveBack()
    }
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
      const { isShared, asksViewer } = analysis
      const key = scopeKey(`${isShared ? '' : events.principal}\0${scopeOf(args, events, analysis)}`)
      const subscription = { args, events, isShared, asksViewer, key }
      const giveBack = budgets.take(events.principal, calls === 0 ? '' : key, calls)
      return new LiveSubscription(subscription, giveBack, wantsPosition)
    },
    forgetResults: () => results.clear(),
    state: () => ({
      operations,
      deliveries,
      groups: [...groups.values()].map(({ sections, isShared }) => {
        const sources = Object.fromEntries(
          [...sections.values()].map(({ channel, members }) => [channel.key, members.size]),
        )
        return { sources, members: Object.values(sources).reduce((sum, each) => sum + each, 0), isShared }
      }),
    }),
  }
}

interface Executed extends EventResult {
  /** Set when it has errors. */
  readonly failed?: ExecutionResult | undefined
}

const nothing: Payload = { bytes: Buffer.alloc(0), cursor: undefined, next: undefined }

function toResult(
  result: ExecutionResult,
  cursor: string | undefined,
  questions: readonly AskedQuestion[],
): Executed {
  const { bytes, cursor: known } = toPayload(result, cursor)
  const hasErrors = result.errors !== undefined
  return { bytes, cursor: known, questions, hasErrors, failed: hasErrors ? result : undefined }
}

/** Payloads are made for each section: those of a slow reader are chained to one another. */
function toPayloadOf({ bytes, cursor }: EventResult): Payload {
  return { bytes, cursor, next: undefined }
}

function isPersonal({ failed }: Executed): boolean {
  return failed?.errors?.some(({ extensions }) => personalCodes.has(extensions['code'])) === true
}

/** Whether a result is right for a viewer. */
function fitsFor(events: LiveEvents): (result: EventResult) => boolean {
  return ({ questions }) => questions.every(({ question, answer }) => events.answer(question) === answer)
}

/** The member to execute an event as: one whose last execution was fine, if there is one. */
function firstOf(audience: readonly Member[]): Member | undefined {
  return (
    audience.find(({ isGone, isDemoted }) => !isGone && !isDemoted) ?? audience.find(({ isGone }) => !isGone)
  )
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
