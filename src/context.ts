import { GatewayError, UpstreamError } from './errors.ts'
import type { Channel as EventChannel, EventReader } from './events/channel.ts'
import type { Entry as LogEntry } from './events/recent-log.ts'
import type { Listener, LiveHub } from './live/live-hub.ts'
import type { Trace, Tracing } from './telemetry/tracing.ts'
import type { RequestHead } from './traffic/client-address.ts'
import type { RateLimit, RateLimiter } from './traffic/rate-limiter.ts'
import type { Credential, ReadCredential } from './upstream/flowdock/credentials.ts'
import type { Directory } from './upstream/flowdock/directory.ts'
import type { FileDownloads } from './upstream/flowdock/files.ts'
import { createFlowdock, type Flowdock } from './upstream/flowdock/index.ts'
import { channelOf, isForEverybody, isGap, timeOf } from './upstream/flowdock/live-events.ts'
import type { Upload } from './upstream/flowdock/messages.ts'
import type { FlowEvent } from './upstream/flowdock/model.ts'
import type { SingleFlight } from './upstream/flowdock/single-flight.ts'
import type { StreamTicket, StreamTickets } from './upstream/flowdock/stream-tickets.ts'
import type { FileUploads } from './upstream/flowdock/uploads.ts'
import type { Http } from './upstream/http.ts'

export type Channel = EventChannel<FlowEvent>
export type Entry = LogEntry<FlowEvent>
export type { EntryAudiences } from './events/channel.ts'
export type LiveEvent = FlowEvent

/** What is to be listened to. */
export interface ListenOptions {
  /** The flows by id, each checked to be one of the caller's, or all of them, now and later. */
  readonly flowIds: readonly string[] | 'all'
  /** Whether what is told to the caller alone is received, too. */
  readonly isPrivate: boolean
  /** A place in the upstream's log: what happened since comes first. */
  readonly after: string | undefined
  /** When that was. */
  readonly since?: number | undefined
  /** What comes before all others, instead of `after`; returns the place in the log to go on from. */
  readonly history?: (() => AsyncGenerator<FlowEvent, string, undefined>) | undefined
  /** How often something is told at most; as it happens unless given. */
  readonly pace?: Pace | undefined
  /** Which of those events; `key` is the same for the same choice. */
  readonly wants: (event: FlowEvent) => boolean
  readonly key: string
}

/** Tells less often. */
export interface Pace {
  /** How much time lies between two times that something is told. */
  readonly everyMs: number
  /** Whether all that came meanwhile is told then, or the latest alone. */
  readonly tells: 'all' | 'latest'
  /** Tells the latest once more when nothing came for so long. */
  readonly repeatMs?: number
}

/**
 * Who gets the result of an event: the principal alone, other principals too, or, while the principal catches up, others
 * who catch up. Of a result that others get, nothing may depend on the viewer. Calls to the upstream for a live event that
 * others get are not counted against the rate limit of the principal.
 */
export type EventUse = 'own' | 'shared' | 'replayed'

/** Events as a subscription is made of: its fields are resolved for each. */
export interface LiveEvents extends AsyncIterable<FlowEvent> {
  /** Whose they are. */
  readonly principal: string
  /** The same for the same filter and pace, whatever flows they are of. With a pace, the same for the same events. */
  readonly key: string
  readonly pace: Pace | undefined
  /** Whether an event passes the filter, whoever may get it. */
  wants(event: FlowEvent): boolean
  /** Makes sure that questions about the viewer can be answered, if the upstream says who it is. Never throws. */
  identify(): Promise<void>
  /** What is known about the viewer; undefined where it is not known at this moment. */
  answer(question: ViewerQuestion): boolean | undefined
  /** Brings a reader to what happens now, and lets it go on there. Resolves when it is over. */
  read(reader: EventReader<FlowEvent>, signal: AbortSignal): Promise<void>
  /**
   * What the fields of an event are resolved with; nothing is remembered of the event before.
   *
   * @param channel where it came from; undefined for an event from before the principal subscribed
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

/** What a resolver is given. */
export interface Context {
  /** Flowdock as the caller sees it; remembers what this operation has read. */
  readonly flowdock: Flowdock
  readonly viewer: Viewer
  /** How many calls to the upstream the operation has made so far. */
  callCount(): number
  /** The errors of lists that are incomplete so far, because items of the upstream could not be decoded. */
  incompleteLists(): readonly UpstreamError[]
  /** How much is asked at most, and how long: `deadline` in milliseconds of `performance.now()`. */
  bound(limits: { readonly deadline: number; readonly maxCalls: number }): void
  /** Whether the caller wants to know what the operation cost. */
  readonly wantsCost: boolean
  /** Whether the caller wants to know what it would cost, and nothing else. */
  readonly wantsExplanation: boolean
  /** Whether a subscription says at its start after which cursor it is live. */
  readonly wantsPosition: boolean
  /** How many reads were had from others who were asking the same. */
  savedCount(): number
  /** Another number as soon as something happened that the caller could see; undefined where nobody would say so. */
  mark(): number | undefined
  /** What the caller may still ask of the upstream; null for one without a credential, or without a limit. */
  rateLimit(): RateLimit | null
  /** The last event the caller had who comes back; it counts more than what the operation says. */
  readonly lastEventId: string | undefined
  /** Whether the caller sent a credential. */
  readonly isSignedIn: boolean
  /** The same for the same credential; null for a caller without. */
  readonly caller: string | null
  /** What the request goes by, that of the handshake for operations of a socket. */
  readonly requestId: string | undefined
  /** Undefined when nobody looks at traces. */
  readonly trace: Trace | undefined
  /** Events as they happen. @throws GatewayError `UNAUTHENTICATED` without a credential */
  listen(options: ListenOptions): LiveEvents
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

/** What a request or a socket says about its caller. */
export interface Caller {
  readonly request: RequestHead
  /** The credential as it was sent: in a header, or on a socket for the connection or for one operation. */
  readonly authorization: unknown
  /** The last event a client had that comes back. */
  readonly lastEventId?: string | undefined
  /** Hears when the credential ends, in milliseconds, if the upstream says so. */
  readonly onTokenEnd?: ((at: number) => void) | undefined
  /** Whether it wants to know what the operation costs. */
  readonly wantsCost?: boolean
  /** Whether it wants to know what the operation would cost, and nothing else. */
  readonly wantsExplanation?: boolean
  /** Whether a subscription says at its start after which cursor it is live. */
  readonly wantsPosition?: boolean
  /** Whose signal ends when nobody waits for the answer any more. */
  readonly departure: Departure
}

/** What makes a signal, perhaps only for those who look out for it. */
export type Departure = Pick<AbortController, 'signal'>

export interface ContextOptions {
  readonly readCredential: ReadCredential
  readonly http: Http
  /** For the events of subscriptions, so that their calls leave connections to queries. */
  readonly eventHttp: Http
  /** The same for executions whose results are shared across principals. */
  readonly sharedEventHttp: Http
  readonly restUrl: string
  /** The same as people reach it, if that is another. */
  readonly publicBase?: string | undefined
  readonly hub: LiveHub
  readonly rateLimiter: RateLimiter
  readonly reads: SingleFlight
  readonly downloads: FileDownloads
  readonly uploads: FileUploads
  readonly streamTickets: StreamTickets
  readonly tracing: Tracing | undefined
  /** Headers by which the upstream knows whose calls they are, if it is our own. */
  readonly clientHeaders?: ((request: RequestHead) => Readonly<Record<string, string>>) | undefined
}

/** @throws GatewayError `UNAUTHENTICATED` for a credential that cannot be one, when the returned function is called */
export function createContextFactory(options: ContextOptions): (caller: Caller) => Context {
  return (caller) => {
    const { request } = caller
    const credential = options.readCredential(caller.authorization)
    const requestId = request.headers['x-request-id'] as string | undefined
    const session: Session = {
      ...{ options, credential, requestId, userId: undefined },
      clientHeaders: options.clientHeaders?.(request),
      trace: options.tracing?.begin(request.headers['traceparent'] as string | undefined),
      lastEventId: caller.lastEventId,
      onTokenEnd: caller.onTokenEnd,
      wantsCost: caller.wantsCost ?? false,
      wantsExplanation: caller.wantsExplanation ?? false,
      wantsPosition: caller.wantsPosition ?? false,
    }
    return new CallerContext(session, caller.departure, options.reads)
  }
}

/** What all contexts of one request have in common: an operation has one, a subscription another for each event. */
interface Session {
  readonly options: ContextOptions
  readonly credential: Credential | null
  /** Once the upstream has told it. */
  userId: number | undefined
  readonly requestId: string | undefined
  readonly clientHeaders: Readonly<Record<string, string>> | undefined
  readonly trace: Trace | undefined
  readonly lastEventId: string | undefined
  readonly onTokenEnd: ((at: number) => void) | undefined
  readonly wantsCost: boolean
  readonly wantsExplanation: boolean
  readonly wantsPosition: boolean
}

/** What a context is made for: an operation, an event for one principal, or an event for several. */
type Purpose = 'operation' | 'event' | 'shared event'

type OnQuestion = (question: ViewerQuestion, answer: boolean) => void

/** A class, because objects whose getters are written in place are slow, and stay longer than they are needed. */
class CallerContext implements Context, Viewer {
  readonly #session: Session
  readonly #departure: Departure | undefined
  readonly #reads: SingleFlight | undefined
  readonly #purpose: Purpose
  readonly #directory: Directory | undefined
  readonly #onQuestion: OnQuestion | undefined
  #flowdock: Flowdock | undefined
  #calls = 0
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

  get viewer(): Viewer {
    return this
  }

  is(userId: number): boolean | Promise<boolean> {
    return this.isOneOf([userId])
  }

  isOneOf(userIds: readonly number[]): boolean | Promise<boolean> {
    const own = knownUserId(this.#session)
    return own === undefined
      ? this.#loadUserId().then((id) => this.#answer(userIds, id))
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

  get caller(): string | null {
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

  mark(): number | undefined {
    const { credential, userId, options } = this.#session
    return credential === null ? undefined : options.hub.changes?.markOf({ credential, userId })
  }

  rateLimit(): RateLimit | null {
    const { credential, options } = this.#session
    const limit = credential === null ? null : options.rateLimiter.of(credential.principal)
    return limit?.limit === 0 ? null : limit
  }

  listen({ flowIds, isPrivate, after, since, history, pace, wants, key }: ListenOptions): LiveEvents {
    const session = this.#session
    const { credential, userId } = session
    const { hub } = session.options
    if (credential === null)
      throw new GatewayError('UNAUTHENTICATED', 'Cannot subscribe to flows: no credential was sent')
    const channels = flowIds === 'all' ? flowIds : [...new Set(flowIds)].sort()
    const listener: Listener = { credential, userId }
    const received = channels === 'all' ? undefined : new Set(channels)
    const isReceived = (event: FlowEvent) => {
      if (isForEverybody(event)) return true
      const flowId = channelOf(event)
      return flowId === undefined ? isPrivate : received === undefined || received.has(flowId)
    }
    const wantsReceived = (event: FlowEvent) => isReceived(event) && (isGap(event) || wants(event))
    // Events are read with contexts of their own, and this one stays as long as somebody listens.
    const forget = () => {
      this.#flowdock = undefined
    }
    return {
      principal: credential.principal,
      // At a pace, what comes for one takes the place of what came before, so all members have to hear the same.
      key: JSON.stringify(
        pace === undefined
          ? [key]
          : [channels === 'all' ? credential.principal : channels, isPrivate, key, pace],
      ),
      pace,
      wants: (event) => isGap(event) || wants(event),
      identify: async () => {
        if (!hub.knowsUsers && knownUserId(session) === undefined)
          await this.#loadUserId().catch(() => undefined)
      },
      answer(question) {
        const known = knownUserId(session)
        return known === undefined ? undefined : question.userIds.includes(known)
      },
      async read(reader, leave) {
        const dated = describeGaps(reader, channels, since)
        try {
          const from = history === undefined ? after : await tell(history(), dated, wantsReceived, leave)
          forget()
          const request = { listener, flowIds: channels, isPrivate, after: from, wants: wantsReceived }
          if (!leave.aborted) await hub.read(request, dated, leave)
        } catch (error) {
          if (!leave.aborted) reader.end(error)
        }
      },
      context(event, channel, use, onQuestion) {
        const directory = channel && hub.directoryOf(channel, event, use === 'own' ? listener : undefined)
        // What is under way may have been asked for before the event.
        return new CallerContext(
          session,
          undefined,
          undefined,
          use === 'shared' ? 'shared event' : 'event',
          directory,
          onQuestion,
        )
      },
      // GraphQL takes nothing else for the source of a subscription; `Live` reads it.
      [Symbol.asyncIterator]() {
        throw new Error('Events are read, not iterated')
      },
    }
  }

  fileAddress(path: string): string {
    const { credential, options } = this.#session
    if (credential === null)
      throw new GatewayError('UNAUTHENTICATED', 'Cannot give the address of a file: no credential was sent')
    return options.downloads.address(credential, path)
  }

  async uploadAddress(upload: Upload): Promise<{ readonly path: string; readonly expiresAt: number }> {
    const { credential, options } = this.#session
    if (credential === null)
      throw new GatewayError('UNAUTHENTICATED', 'Cannot make an upload: no credential was sent')
    return options.uploads.address(credential, upload, () => options.rateLimiter.take(credential.principal))
  }

  streamTicket(): StreamTicket {
    const { credential, options } = this.#session
    if (credential === null)
      throw new GatewayError('UNAUTHENTICATED', 'Cannot make a stream ticket: no credential was sent')
    return options.streamTickets.issue(credential)
  }

  /** A credential belongs to one user for good. */
  async #loadUserId(): Promise<number> {
    const { id } = await this.flowdock.load.viewer()
    this.#session.userId = id
    return id
  }

  #createFlowdock(): Flowdock {
    const session = this.#session
    const { options, credential, requestId, clientHeaders, trace } = session
    const https = {
      operation: options.http,
      event: options.eventHttp,
      'shared event': options.sharedEventHttp,
    }
    return createFlowdock({
      http: https[this.#purpose],
      base: options.restUrl,
      publicBase: options.publicBase,
      credential,
      signal: this.#departure?.signal,
      directory: this.#directory,
      headers: { ...clientHeaders, ...(requestId === undefined ? {} : { 'x-request-id': requestId }) },
      trace,
      reads: this.#reads,
      onCall: () => {
        if (performance.now() > this.#deadline)
          throw new UpstreamError(
            'UPSTREAM_TIMEOUT',
            'The operation has taken too long; nothing more is asked for it',
          )
        if (this.#calls >= this.#maxCalls)
          throw new GatewayError(
            'COST_EXCEEDED',
            `The operation has made ${this.#calls} calls to the upstream, which is all it may; ask for less at once`,
          )
        // One member's used-up rate limit would break the events of all others.
        if (this.#purpose !== 'shared event') options.rateLimiter.take(credential?.principal ?? 'nobody')
        this.#calls += 1
      },
      onShared: () => {
        this.#saved += 1
      },
      onUser(id) {
        session.userId = id
      },
      onTokenEnd: session.onTokenEnd,
      onUnreadable: (error) => this.#incompleteLists.push(error),
    })
  }
}

function knownUserId({ userId, credential, options }: Session): number | undefined {
  return userId ?? (credential === null ? undefined : options.hub.userIdOf(credential.principal))
}

/** Tells what comes first. Resolves with the place to go on from. */
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

/** Gaps say when the last event was that their reader had, and what it listens to. */
function describeGaps(
  reader: EventReader<FlowEvent>,
  flowIds: readonly string[] | 'all',
  since: number | undefined,
): EventReader<FlowEvent> {
  let last = since
  return {
    event(event, channel) {
      last = timeOf(event) ?? last
      return reader.event(
        event.type === 'gap' ? { ...event, flowIds, from: event.from ?? last ?? null } : event,
        channel,
      )
    },
    live: (...begin) => reader.live(...begin),
    end: (error) => reader.end(error),
  }
}
