import { GatewayError, UpstreamError } from './errors.ts'
import type { ChangeIds } from './events/change-ids.ts'
import type { Channel as EventChannel, EventReader, Membership } from './events/channel.ts'
import type { Entry as LogEntry } from './events/recent-log.ts'
import type { Listener, LiveHub } from './live/live-hub.ts'
import type { Trace, Tracing } from './telemetry/tracing.ts'
import type { RequestHead } from './traffic/client-address.ts'
import type { RateLimit, RateLimiter } from './traffic/rate-limiter.ts'
import type { EqualBodies } from './upstream/equal-bodies.ts'
import type { KnownCapabilities } from './upstream/flowdock/capabilities.ts'
import { type Credential, type ReadCredential, requireCredential } from './upstream/flowdock/credentials.ts'
import type { Directory } from './upstream/flowdock/directory.ts'
import type { FileDownloads } from './upstream/flowdock/files.ts'
import { createFlowdock, type Flowdock } from './upstream/flowdock/index.ts'
import { channelOf, isForEverybody, isGap, timeOf } from './upstream/flowdock/live-events.ts'
import type { MessagePages } from './upstream/flowdock/message-pages.ts'
import type { Upload } from './upstream/flowdock/messages.ts'
import type { FlowEvent } from './upstream/flowdock/model.ts'
import { RecordedReads } from './upstream/flowdock/recorded-reads.ts'
import { type CallOptions, createCalls } from './upstream/flowdock/request.ts'
import type { SingleFlight } from './upstream/flowdock/single-flight.ts'
import type { StreamTicket, StreamTickets } from './upstream/flowdock/stream-tickets.ts'
import type { FileUploads } from './upstream/flowdock/uploads.ts'
import { requireThings, requireThingsCredential, type ThingsUpstream } from './upstream/flowthings/calls.ts'
import { readThingsCredential } from './upstream/flowthings/credential.ts'
import { readDropEvents } from './upstream/flowthings/drop-events.ts'
import type { DropHub } from './upstream/flowthings/drop-hub.ts'
import type { ThingsFilter } from './upstream/flowthings/filter-text.ts'
import { createFlowthings, type Flowthings } from './upstream/flowthings/index.ts'
import type { ThingsFlow } from './upstream/flowthings/model.ts'
import type { Http } from './upstream/http.ts'
import { readOnly } from './upstream/read-only.ts'

export type Channel = EventChannel<FlowEvent>
export type Entry = LogEntry<FlowEvent>
export type { EntryAudiences, EventReader, Membership } from './events/channel.ts'
export type LiveEvent = FlowEvent
export type { RecordedReads } from './upstream/flowdock/recorded-reads.ts'

/** What a subscription receives. */
export interface ListenOptions {
  /** The ids of flows whose access was checked, or all flows of the viewer, also later ones. */
  readonly flowIds: readonly string[] | 'all'
  /** Whether to receive private events. */
  readonly isPrivate: boolean
  /** An offset in the upstream's log. The subscription begins after it. */
  readonly after: string | undefined
  /** The time of the event at `after`. */
  readonly since?: number | undefined
  /** Events that come first, in place of `after`. It returns the offset in the log to continue from. */
  readonly history?: (() => AsyncGenerator<FlowEvent, string, undefined>) | undefined
  /** The pace of deliveries; by default each event is delivered at once. */
  readonly pace?: Pace | undefined
  /** Filters the events. `key` is the same for the same filter. */
  readonly wants: (event: FlowEvent) => boolean
  readonly key: string
}

/** What a subscription to drops receives. */
export interface DropOptions {
  readonly flows: readonly ThingsFlow[]
  readonly filter: ThingsFilter | undefined
  /** The cursor of an event. The subscription begins after it. */
  readonly after: string | undefined
}

/** A limit on the rate of deliveries. */
export interface Pace {
  /** The least time between two deliveries. */
  readonly everyMs: number
  /** Whether all events of that time are delivered, or only the latest. */
  readonly tells: 'all' | 'latest'
  /** The latest event is delivered again when none came for this time. */
  readonly repeatMs?: number
}

/**
 * Who gets the result of an event: the principal alone, other principals too, or, while the principal catches up, others
 * who catch up. Of a result that others get, nothing may depend on the viewer. Calls to the upstream for a live event that
 * others get are not counted against the rate limit of the principal.
 */
export type EventUse = 'own' | 'shared' | 'replayed'

/** The events of a subscription. Its fields are resolved for each. */
export interface LiveEvents extends AsyncIterable<FlowEvent> {
  /** The principal of the subscription. */
  readonly principal: string
  /** The same for the same filter and pace, with any flows. With a pace, the flows have to be the same, too. */
  readonly key: string
  readonly pace: Pace | undefined
  /** Whether an event passes the filter. */
  wants(event: FlowEvent): boolean
  /** Reads who the viewer is, so that questions about the viewer have answers. Never throws. */
  identify(): Promise<void>
  /** The answer to a question about the viewer; undefined while the viewer is unknown. */
  answer(question: ViewerQuestion): boolean | undefined
  /** Delivers missed events to a reader, then live ones. Resolves when it ends. */
  read(reader: EventReader<FlowEvent>, signal: AbortSignal): Promise<void>
  /**
   * The context to resolve the fields of an event with. It caches nothing of earlier events.
   *
   * @param channel where the event came from; undefined for an event from before the principal subscribed
   * @param onQuestion called with each question about the viewer, and its answer
   */
  context(
    event: FlowEvent,
    channel: Channel | undefined,
    use: EventUse,
    onQuestion?: (question: ViewerQuestion, answer: boolean) => void,
  ): Context
}

/** What fields ask about the user of the credential. */
export interface Viewer {
  /** Whether the viewer is the user with this id. */
  is(userId: number): boolean | Promise<boolean>
  /** Whether the viewer is one of the users with these ids. */
  isOneOf(userIds: readonly number[]): boolean | Promise<boolean>
}

/** A question about the viewer that an execution asked: whether the viewer is one of these users. */
export interface ViewerQuestion {
  readonly userIds: readonly number[]
}

/** What resolvers get. */
export interface Context {
  /** The upstream as the principal sees it. It caches the reads of this operation. */
  readonly flowdock: Flowdock
  /**
   * The flowthings upstream as the account of the request sees it. It caches the reads of this operation.
   *
   * @throws GatewayError `UNAUTHENTICATED` for a malformed account or token
   */
  readonly flowthings: Flowthings
  readonly viewer: Viewer
  /** The number of calls to the upstream so far. */
  callCount(): number
  /** The errors of lists that are incomplete so far, because items of the upstream could not be decoded. */
  incompleteLists(): readonly UpstreamError[]
  /** Sets the most calls, and the time after which none is made: `deadline` in milliseconds of `performance.now()`. */
  bound(limits: { readonly deadline: number; readonly maxCalls: number }): void
  /** Whether the response should have the cost of the operation. */
  readonly wantsCost: boolean
  /** Whether the response should have the predicted cost only. */
  readonly wantsExplanation: boolean
  /** Whether a subscription says at its start after which cursor it is live. */
  readonly wantsPosition: boolean
  /** The id of the change that the operation made, for requests to other gateways; undefined where it is not wanted. */
  changeId(): string | undefined
  /** The number of reads that joined a read in progress. */
  savedCount(): number
  /** A number that changes with each event that the principal could see. Undefined when changes would not be noticed. */
  version(): number | undefined
  /** This context, and what an execution with it reads. The use of anything that is not recorded makes the record incomplete. */
  record(): { readonly context: Context; readonly reads: RecordedReads }
  /** Makes reads of another execution. Whether all of them return the same; false when one fails. */
  repeats(reads: RecordedReads): Promise<boolean>
  /** The rate limit of calls to the upstream. Null without a credential, or without a limit. */
  rateLimit(): RateLimit | null
  /** The last event that the client received. It overrides the cursor in the operation. */
  readonly lastEventId: string | undefined
  /** Whether the request has a credential. */
  readonly isSignedIn: boolean
  /** The principal; null without a credential. */
  readonly principal: string | null
  /** The id of the request; that of the handshake for operations of a socket. */
  readonly requestId: string | undefined
  /** Undefined when no traces are sent. */
  readonly trace: Trace | undefined
  /** The events of a subscription. @throws GatewayError `UNAUTHENTICATED` without a credential */
  listen(options: ListenOptions): LiveEvents
  /** The drops that arrive in flows of flowthings. @throws GatewayError `UNAUTHENTICATED` without an account */
  listenToDrops(options: DropOptions): LiveEvents
  /** Ends the subscriptions to a flow of flowthings that was deleted. */
  thingsFlowDeleted(flowId: string): void
  /** The path of this gateway that a file of the upstream can be read at, for a while, without a credential. */
  fileAddress(path: string): string
  /** The path of this gateway that the bytes of one file can be put to, for a while, without a credential. */
  uploadAddress(upload: Upload): Promise<{ readonly path: string; readonly expiresAt: number }>
  /**
   * A ticket that opens one event stream of this gateway without a credential.
   *
   * @throws GatewayError `UNAUTHENTICATED` without a credential
   */
  streamTicket(): StreamTicket
}

/** Who sends an operation, and what it asks of the response. */
export interface OperationSender {
  readonly request: RequestHead
  /** The credential as it was sent: in a header, or on a socket for the connection or for one operation. */
  readonly authorization: unknown
  /** The last event that the client received. */
  readonly lastEventId?: string | undefined
  /** Called with the time when the credential expires, in milliseconds, if the upstream says it. */
  readonly onTokenEnd?: ((at: number) => void) | undefined
  /** Whether the response should have the cost of the operation. */
  readonly wantsCost?: boolean
  /** Whether the response should have the predicted cost only. */
  readonly wantsExplanation?: boolean
  /** Whether a subscription says at its start after which cursor it is live. */
  readonly wantsPosition?: boolean
  /** Whether the response to a change should have an id of it. */
  readonly wantsChangeId?: boolean
  /** The id of a change that the principal made before, perhaps at another gateway. */
  readonly changeId?: string | undefined
  /** Its signal aborts when the client leaves. */
  readonly departure: Departure
}

/** Has a signal, which may be created when it is first read. */
export type Departure = Pick<AbortController, 'signal'>

export interface ContextOptions {
  readonly readCredential: ReadCredential
  readonly http: Http
  /** For the events of subscriptions, so that their calls leave connections to queries. */
  readonly eventHttp: Http
  /** The same for executions whose results are shared across principals. */
  readonly sharedEventHttp: Http
  readonly restUrl: string
  /** The public REST URL, if it differs. */
  readonly publicBase?: string | undefined
  readonly hub: LiveHub
  readonly rateLimiter: RateLimiter
  readonly reads: SingleFlight
  readonly equalBodies: EqualBodies
  readonly pages: MessagePages
  readonly capabilities: KnownCapabilities
  readonly changeIds: ChangeIds
  readonly downloads: FileDownloads
  readonly uploads: FileUploads
  readonly streamTickets: StreamTickets
  readonly tracing: Tracing | undefined
  readonly things: ThingsOptions
  /** Headers that name the client to the embedded backend. */
  readonly clientHeaders?: ((request: RequestHead) => Readonly<Record<string, string>>) | undefined
}

/** What contexts need to call flowthings. */
export interface ThingsOptions {
  /** Undefined when the gateway has none. */
  readonly upstream: ThingsUpstream | undefined
  readonly http: Http
  readonly reads: SingleFlight
  readonly hub: DropHub
}

/** The returned function throws GatewayError `UNAUTHENTICATED` for a malformed credential. */
export function createContextFactory(options: ContextOptions): (sender: OperationSender) => Context {
  return (sender) => {
    const { request } = sender
    const credential = options.readCredential(sender.authorization)
    const requestId = request.headers['x-request-id'] as string | undefined
    const session: Session = {
      ...{ options, credential, requestId, userId: undefined },
      thingsHeaders: thingsHeadersOf(request),
      clientHeaders: options.clientHeaders?.(request),
      trace: options.tracing?.begin(request.headers['traceparent'] as string | undefined),
      lastEventId: sender.lastEventId,
      onTokenEnd: sender.onTokenEnd,
      wantsCost: sender.wantsCost ?? false,
      wantsExplanation: sender.wantsExplanation ?? false,
      wantsPosition: sender.wantsPosition ?? false,
      wantsChangeId: sender.wantsChangeId ?? false,
    }
    if (credential !== null && sender.changeId !== undefined)
      options.changeIds.receive(credential.principal, sender.changeId)
    return new PrincipalContext(session, sender.departure, options.reads)
  }
}

/** What all contexts of a request share. A query has one context, a subscription one for each event. */
interface Session {
  readonly options: ContextOptions
  readonly credential: Credential | null
  /** The headers with the account and token of flowthings; undefined without them. */
  readonly thingsHeaders: RequestHead['headers'] | undefined
  /** Undefined until the upstream has said it. */
  userId: number | undefined
  readonly requestId: string | undefined
  readonly clientHeaders: Readonly<Record<string, string>> | undefined
  readonly trace: Trace | undefined
  readonly lastEventId: string | undefined
  readonly onTokenEnd: ((at: number) => void) | undefined
  readonly wantsCost: boolean
  readonly wantsExplanation: boolean
  readonly wantsPosition: boolean
  readonly wantsChangeId: boolean
}

/** The purpose of a context: an operation, an event for one principal, or an event for several. */
type Purpose = 'operation' | 'event' | 'shared event'

type OnQuestion = (question: ViewerQuestion, answer: boolean) => void

/** What an execution may ask of its context without an influence on its data. */
const unrecorded: ReadonlySet<string | symbol> = new Set(['incompleteLists'])

/** A class, because object literals with getters are slow, and stay in memory longer than needed. */
class PrincipalContext implements Context, Viewer {
  readonly #session: Session
  readonly #departure: Departure | undefined
  readonly #reads: SingleFlight | undefined
  readonly #purpose: Purpose
  readonly #directory: Directory | undefined
  readonly #onQuestion: OnQuestion | undefined
  #flowdock: Flowdock | undefined
  #flowthings: Flowthings | undefined
  #calls = 0
  /** Whether the next call was counted when the directory was read. */
  #isNextCounted = false
  #saved = 0
  readonly #incompleteLists: UpstreamError[] = []
  #deadline = Number.POSITIVE_INFINITY
  #maxCalls = Number.POSITIVE_INFINITY

  constructor(
    session: Session,
    departure: Departure | undefined,
    reads: SingleFlight | undefined,
    purpose: Purpose = 'operation',
    directory?: Directory,
    onQuestion?: OnQuestion,
  ) {
    this.#onQuestion = onQuestion
    this.#session = session
    this.#departure = departure
    this.#reads = reads
    this.#purpose = purpose
    this.#directory = directory
  }

  get flowdock(): Flowdock {
    this.#flowdock ??= this.#createFlowdock()
    return this.#flowdock
  }

  get flowthings(): Flowthings {
    this.#flowthings ??= this.#createFlowthings()
    return this.#flowthings
  }

  get viewer(): Viewer {
    return this
  }

  is(userId: number): boolean | Promise<boolean> {
    return this.isOneOf([userId])
  }

  isOneOf(userIds: readonly number[]): boolean | Promise<boolean> {
    const own = knownUserId(this.#session)
    return own === undefined
      ? this.loadUserId().then((id) => this.#answer(userIds, id))
      : this.#answer(userIds, own)
  }

  #answer(userIds: readonly number[], own: number): boolean {
    const answer = userIds.includes(own)
    this.#onQuestion?.({ userIds }, answer)
    return answer
  }

  get isSignedIn(): boolean {
    return this.#session.credential !== null
  }

  get principal(): string | null {
    return this.#session.credential?.principal ?? null
  }

  get requestId(): string | undefined {
    return this.#session.requestId
  }

  get trace(): Trace | undefined {
    return this.#session.trace
  }

  get wantsCost(): boolean {
    return this.#session.wantsCost
  }

  get wantsExplanation(): boolean {
    return this.#session.wantsExplanation
  }

  changeId(): string | undefined {
    const { credential, wantsChangeId, options } = this.#session
    return credential !== null && wantsChangeId ? options.changeIds.make(credential.principal) : undefined
  }

  get wantsPosition(): boolean {
    return this.#session.wantsPosition
  }

  get lastEventId(): string | undefined {
    return this.#session.lastEventId
  }

  callCount(): number {
    return this.#calls
  }

  savedCount(): number {
    return this.#saved
  }

  incompleteLists(): readonly UpstreamError[] {
    return this.#incompleteLists
  }

  bound({ deadline, maxCalls }: { readonly deadline: number; readonly maxCalls: number }): void {
    this.#deadline = deadline
    this.#maxCalls = maxCalls
  }

  version(): number | undefined {
    const { credential, thingsHeaders, userId, options } = this.#session
    // Changes of flowthings would not be noticed.
    if (credential === null || thingsHeaders !== undefined) return undefined
    return options.hub.changes?.versionOf({ credential, userId })
  }

  record(): { context: Context; reads: RecordedReads } {
    const reads = new RecordedReads()
    const flowdock = reads.record(this.flowdock)
    const context = new Proxy<Context>(this, {
      get: (_, name) => {
        if (name === 'flowdock') return flowdock
        if (!unrecorded.has(name)) reads.spoil()
        const member: unknown = Reflect.get(this, name, this)
        return typeof member === 'function' ? member.bind(this) : member
      },
    })
    return { context, reads }
  }

  async repeats(reads: RecordedReads): Promise<boolean> {
    try {
      // An incomplete list is an error of the response, also where what it has is the same.
      return (await reads.repeat(this.flowdock.load)) && this.#incompleteLists.length === 0
    } catch {
      // The execution gets the error, where it belongs in the response.
      return false
    }
  }

  rateLimit(): RateLimit | null {
    const { credential, options } = this.#session
    const limit = credential === null ? null : options.rateLimiter.of(credential.principal)
    return limit?.limit === 0 ? null : limit
  }

  listen(options: ListenOptions): LiveEvents {
    const credential = requireCredential(this.#session.credential, 'subscribe to flows')
    return new FlowEvents(this.#session, credential, options, this)
  }

  /** Each event has a context of its own. This one stays in memory while the subscription is open. */
  forgetReads(): void {
    this.#flowdock = undefined
  }

  listenToDrops(options: DropOptions): LiveEvents {
    const session = this.#session
    const { things } = session.options
    const doing = 'subscribe to drops'
    requireThings(things.upstream, doing)
    const credential = requireThingsCredential(readThingsCredential(session.thingsHeaders ?? {}), doing)
    const { drops } = this.flowthings
    return {
      principal: credential.principal,
      key: JSON.stringify(['drops', credential.principal, options]),
      pace: undefined,
      wants: () => true,
      identify: async () => undefined,
      answer: () => undefined,
      async read(reader, signal) {
        try {
          const subscription = { ...options, hub: things.hub, credential, drops, signal }
          for await (const event of readDropEvents(subscription)) {
            if (signal.aborted) return
            // The fan-out only hands events on: to the cursor, and to the resolvers of the subscription.
            await reader.event(event as unknown as FlowEvent, undefined)
          }
        } catch (error) {
          if (!signal.aborted) reader.end(error)
        }
      },
      context: () => new PrincipalContext(session, undefined, undefined, 'event'),
      [Symbol.asyncIterator]() {
        throw new Error('Events are read, not iterated')
      },
    }
  }

  thingsFlowDeleted(flowId: string): void {
    this.#session.options.things.hub.checkFlow(flowId)
  }

  fileAddress(path: string): string {
    const { options } = this.#session
    const credential = requireCredential(this.#session.credential, 'give the address of a file')
    return options.downloads.address(credential, path)
  }

  async uploadAddress(upload: Upload): Promise<{ readonly path: string; readonly expiresAt: number }> {
    const { options } = this.#session
    const credential = requireCredential(this.#session.credential, 'make an upload')
    return options.uploads.address(credential, upload, () => options.rateLimiter.take(credential.principal))
  }

  streamTicket(): StreamTicket {
    const { options } = this.#session
    const credential = requireCredential(this.#session.credential, 'make a stream ticket')
    return options.streamTickets.issue(credential)
  }

  /** Reads the user of the credential once: a credential belongs to one user for ever. */
  async loadUserId(): Promise<number> {
    const { id } = await this.flowdock.load.viewer()
    this.#session.userId = id
    return id
  }

  #createFlowdock(): Flowdock {
    const session = this.#session
    const { options, credential, requestId, clientHeaders, trace } = session
    const userId = knownUserId(session)
    const actor =
      this.#purpose === 'shared event' && userId !== undefined ? options.hub.actorFor(userId) : undefined
    const https = {
      operation: options.http,
      event: options.eventHttp,
      'shared event': options.sharedEventHttp,
    }
    const entities =
      this.#purpose === 'operation' && credential !== null
        ? options.hub.entitiesOf(credential, {
            onRead: () => this.#countRead(credential.principal),
            useCredential: () =>
              createCalls({
                ...calls,
                onCall: () => {
                  this.#countRead(credential.principal)
                  options.hub.called(credential.principal)
                },
              }).get(['user'], { doing: 'read the signed-in user' }),
          })
        : undefined
    const calls: CallOptions = {
      http: actor === undefined ? https[this.#purpose] : readOnly(options.sharedEventHttp),
      base: options.restUrl,
      credential: actor?.credential ?? credential,
      signal: this.#departure?.signal,
      equalBodies: options.equalBodies,
      pages: this.#purpose === 'operation' ? options.pages : undefined,
      headers: {
        ...clientHeaders,
        ...actor?.headers,
        ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
      },
      trace,
      reads: this.#reads,
      onCall: () => {
        if (this.#isNextCounted) this.#checkDeadline()
        else this.#countCall(credential?.principal ?? 'nobody')
        this.#isNextCounted = false
        if (actor === undefined && credential !== null) options.hub.called(credential.principal)
      },
      onChange: () => entities?.changed(),
      onShared: () => {
        this.#saved += 1
      },
      onUser(id) {
        session.userId = id
      },
      onTokenEnd: session.onTokenEnd,
      onUnreadable: (error) => this.#incompleteLists.push(error),
    }
    return createFlowdock({
      ...calls,
      publicBase: options.publicBase,
      directory: this.#directory,
      entities,
      known: entities === undefined ? undefined : options.capabilities,
    })
  }

  #createFlowthings(): Flowthings {
    const { options, thingsHeaders, requestId, trace } = this.#session
    const { upstream, http, reads } = options.things
    const credential = readThingsCredential(thingsHeaders ?? {})
    return createFlowthings({
      ...{ http, upstream, credential },
      signal: this.#departure?.signal,
      headers: requestId === undefined ? {} : { 'x-request-id': requestId },
      trace,
      // As for Flowdock: a read in progress may have begun before the event of this context.
      reads: this.#reads === undefined ? undefined : reads,
      onCall: () => this.#countCall(credential?.principal ?? 'nobody'),
      onShared: () => {
        this.#saved += 1
      },
    })
  }

  /**
   * The reads of the directory and one call to the REST API count as one call, so that the REST API may be read for what the
   * directory does not have, and the operation costs no more than predicted.
   *
   * @throws GatewayError as `#countCall` does
   */
  #countRead(principal: string): void {
    if (this.#calls > 0) return this.#checkDeadline()
    this.#countCall(principal)
    this.#isNextCounted = true
  }

  #checkDeadline(): void {
    if (performance.now() > this.#deadline)
      throw new UpstreamError(
        'UPSTREAM_TIMEOUT',
        'The operation has taken too long; nothing more is asked for it',
      )
  }

  /** @throws GatewayError when the operation, or the principal, may make no more calls */
  #countCall(principal: string): void {
    this.#checkDeadline()
    if (this.#calls >= this.#maxCalls)
      throw new GatewayError(
        'COST_EXCEEDED',
        `The operation has made ${this.#calls} calls to the upstream, which is all it may; ask for less at once`,
      )
    // The rate limit of one member must not break the events of all others.
    if (this.#purpose !== 'shared event') this.#session.options.rateLimiter.take(principal)
    this.#calls += 1
  }
}

/** The events of a subscription to flows. A class, because there are many, and closures take several times the memory. */
class FlowEvents implements LiveEvents {
  readonly key: string
  readonly pace: Pace | undefined
  readonly #session: Session
  readonly #listener: Listener
  readonly #context: PrincipalContext
  readonly #begin: Pick<ListenOptions, 'after' | 'since' | 'history'>
  readonly #flowIds: readonly string[] | 'all'
  readonly #isPrivate: boolean
  readonly #wants: (event: FlowEvent) => boolean

  constructor(
    session: Session,
    credential: Credential,
    { flowIds, isPrivate, after, since, history, pace, wants, key }: ListenOptions,
    context: PrincipalContext,
  ) {
    this.#session = session
    this.#listener = { credential, userId: session.userId }
    this.#context = context
    this.#begin = { after, since, history }
    this.#flowIds = flowIds === 'all' ? flowIds : [...new Set(flowIds)].sort()
    this.#isPrivate = isPrivate
    this.#wants = wants
    this.pace = pace
    // With a pace, an event replaces the one before it, so all members must receive the same events.
    this.key = JSON.stringify(
      pace === undefined
        ? [key]
        : [this.#flowIds === 'all' ? credential.principal : this.#flowIds, isPrivate, key, pace],
    )
  }

  get principal(): string {
    return this.#listener.credential.principal
  }

  wants(event: FlowEvent): boolean {
    return isGap(event) || this.#wants(event)
  }

  async identify(): Promise<void> {
    if (!this.#session.options.hub.knowsUsers && knownUserId(this.#session) === undefined)
      await this.#context.loadUserId().catch(() => undefined)
  }

  answer(question: ViewerQuestion): boolean | undefined {
    const known = knownUserId(this.#session)
    return known === undefined ? undefined : question.userIds.includes(known)
  }

  read(reader: EventReader<FlowEvent>, leave: AbortSignal): Promise<void> {
    const { after, since, history } = this.#begin
    const dated = new DatedReader(reader, this.#flowIds, since)
    const reading =
      history === undefined ? this.#follow(dated, after, leave) : this.#readHistory(history(), dated, leave)
    return reading.catch((error: unknown) => {
      if (!leave.aborted) reader.end(error)
    })
  }

  async #readHistory(
    history: AsyncGenerator<FlowEvent, string, undefined>,
    reader: EventReader<FlowEvent>,
    leave: AbortSignal,
  ): Promise<void> {
    const after = await tell(history, reader, (event) => this.#isWanted(event), leave)
    if (!leave.aborted) await this.#follow(reader, after, leave)
  }

  #follow(reader: EventReader<FlowEvent>, after: string | undefined, leave: AbortSignal): Promise<void> {
    this.#context.forgetReads()
    if (leave.aborted) return Promise.resolve()
    const request = {
      listener: this.#listener,
      flowIds: this.#flowIds,
      isPrivate: this.#isPrivate,
      after,
      wants: (event: FlowEvent) => this.#isWanted(event),
    }
    return this.#session.options.hub.read(request, reader, leave)
  }

  #isWanted(event: FlowEvent): boolean {
    return this.#isReceived(event) && this.wants(event)
  }

  #isReceived(event: FlowEvent): boolean {
    if (isForEverybody(event)) return true
    const flowId = channelOf(event)
    return flowId === undefined ? this.#isPrivate : this.#flowIds === 'all' || this.#flowIds.includes(flowId)
  }

  context(event: FlowEvent, channel: Channel | undefined, use: EventUse, onQuestion?: OnQuestion): Context {
    const directory =
      channel && this.#session.options.hub.directoryOf(channel, event, this.#listener, use === 'own')
    const purpose = use === 'shared' ? 'shared event' : 'event'
    // A read in progress may have begun before the event, so reads are not shared.
    return new PrincipalContext(this.#session, undefined, undefined, purpose, directory, onQuestion)
  }

  // graphql-js requires an async iterable as the source of a subscription. The fan-out calls `read` instead.
  [Symbol.asyncIterator](): never {
    throw new Error('Events are read, not iterated')
  }
}

/** The headers of flowthings alone: the others would stay in memory as long as a subscription is open. */
function thingsHeadersOf({ headers }: RequestHead): RequestHead['headers'] | undefined {
  const { 'x-auth-account': account, 'x-auth-token': token } = headers
  return account === undefined && token === undefined
    ? undefined
    : { 'x-auth-account': account, 'x-auth-token': token }
}

function knownUserId(session: Session): number | undefined {
  const { credential, options } = session
  // A credential belongs to one user for good.
  session.userId ??= credential === null ? undefined : options.hub.userIdOf(credential.principal)
  return session.userId
}

/** Delivers the history. Resolves with the offset to continue from. */
async function tell(
  history: AsyncGenerator<FlowEvent, string, undefined>,
  reader: EventReader<FlowEvent>,
  wants: (event: FlowEvent) => boolean,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (;;) {
    const { done, value } = await history.next()
    if (done === true) return value
    if (signal.aborted) return undefined
    if (wants(value)) await reader.event(value, undefined)
  }
}

/** Adds the time of the reader's last event, and its flows, to gaps. */
class DatedReader implements EventReader<FlowEvent> {
  readonly #reader: EventReader<FlowEvent>
  readonly #flowIds: readonly string[] | 'all'
  #last: number | undefined

  constructor(reader: EventReader<FlowEvent>, flowIds: readonly string[] | 'all', since: number | undefined) {
    this.#reader = reader
    this.#flowIds = flowIds
    this.#last = since
  }

  event(event: FlowEvent, channel: Channel | undefined): Promise<void> {
    this.#last = timeOf(event) ?? this.#last
    if (event.type !== 'gap') return this.#reader.event(event, channel)
    const from = event.from ?? this.#last ?? null
    return this.#reader.event({ ...event, flowIds: this.#flowIds, from }, channel)
  }

  live(channel: Channel, seq: number, audiences: ReadonlySet<string>): Membership {
    return this.#reader.live(channel, seq, audiences)
  }

  end(error: unknown): void {
    this.#reader.end(error)
  }
}
