import type { IncomingMessage } from 'node:http'
import { GatewayError } from './errors.ts'
import { type FeedReader, type Replay, runFeed } from './events/feed.ts'
import type { Hub, Channel as HubChannel, Topic } from './events/hub.ts'
import type { Entry as LogEntry } from './events/recent-log.ts'
import type { Allowances, RateLimit } from './upstream/flowdock/allowance.ts'
import { type Credential, parseAuthorization } from './upstream/flowdock/credentials.ts'
import type { Directory } from './upstream/flowdock/directory.ts'
import type { FileDownloads } from './upstream/flowdock/files.ts'
import { createFlowdock, type Flowdock } from './upstream/flowdock/index.ts'
import { isBehind, isForEverybody, isGap, makeGap, placeOf, timeOf } from './upstream/flowdock/live-events.ts'
import type { Upload } from './upstream/flowdock/messages.ts'
import type { FlowEvent } from './upstream/flowdock/model.ts'
import type { SingleFlight } from './upstream/flowdock/single-flight.ts'
import type { FileUploads } from './upstream/flowdock/uploads.ts'
import type { Http } from './upstream/http.ts'

export type Channel = HubChannel<FlowEvent>
export type Entry = LogEntry<FlowEvent>

/** With whose rights somebody listens. */
export interface Listener {
  readonly credential: Credential
  /** The caller's number, once the upstream has told it. */
  readonly userId: number | undefined
}

/** What is to be listened to. */
export interface ListenOptions {
  /** The flows by id, each checked to be one of the caller's, or all of them, now and later. */
  readonly flowIds: readonly string[] | 'all'
  /** Whether what is told to the caller alone is heard, too. */
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

/** Events as a subscription is made of: its fields are resolved for each. */
export interface LiveEvents extends AsyncIterable<FlowEvent> {
  /** Whose they are. */
  readonly principal: string
  /** The same for the same events, wherever they begin. */
  readonly key: string
  readonly pace: Pace | undefined
  /** Which entries of a channel they are. */
  wants(event: FlowEvent): boolean
  /** Brings a reader to what happens now, and lets it go on there. Resolves when it is over. */
  read(reader: FeedReader<FlowEvent>, signal: AbortSignal): Promise<void>
  /**
   * What the fields of one event are resolved with; nothing is remembered of the event before.
   *
   * @param channel where it came from
   * @param isShared whether the answer goes to others, too: then nothing may depend on whose it is
   */
  context(channel: Channel | undefined, isShared: boolean): Context
}

/** What a resolver is given. */
export interface Context {
  /** Flowdock as the caller sees it; remembers what this operation has read. */
  readonly flowdock: Flowdock
  /** How many calls to the upstream the operation has made so far. */
  callCount(): number
  /** Whether the caller wants to know what the operation cost. */
  readonly wantsCost: boolean
  /** What the caller may still ask of the upstream; null for one without a credential, or without a limit. */
  rateLimit(): RateLimit | null
  /** The last event the caller had who comes back; it counts more than what the operation says. */
  readonly lastEventId: string | undefined
  /** Whether the caller sent a credential. */
  readonly isSignedIn: boolean
  /** Events as they happen. @throws GatewayError `UNAUTHENTICATED` without a credential */
  listen(options: ListenOptions): LiveEvents
  /** The path of this gateway that a file of the upstream can be read at, for a while, without a credential. */
  fileAddress(path: string): string
  /** The path of this gateway that the bytes of one file can be put to, for a while, without a credential. */
  uploadAddress(upload: Upload): { readonly path: string; readonly expiresAt: number }
}

/** What a request or a socket says about its caller. */
export interface Caller {
  readonly request: IncomingMessage
  /** The payload of `connection_init`, for sockets. */
  readonly connectionParams?: Readonly<Record<string, unknown>>
  /** The last event a client had that comes back. */
  readonly lastEventId?: string
  /** Whether it wants to know what the operation costs. */
  readonly wantsCost?: boolean
  /** Ends when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

export interface ContextOptions {
  readonly http: Http
  readonly restUrl: string
  /** The same as people reach it, if that is another. */
  readonly publicBase?: string | undefined
  readonly hub: Hub<Listener, FlowEvent>
  /** What is known of the flows and people of a channel. */
  readonly directoryOf: (channel: Channel) => Directory | undefined
  /** Reads what happened behind an event once more. */
  /** What holds at this moment of those that the owner of a channel can see. */
  readonly standing: (channel: Channel) => readonly FlowEvent[]
  readonly replay: (topic: Topic<Listener>, after: string, until: string | undefined) => Replay<FlowEvent>
  readonly allowances: Allowances
  readonly reads: SingleFlight
  readonly downloads: FileDownloads
  readonly uploads: FileUploads
}

/** @throws GatewayError `UNAUTHENTICATED` for a credential that cannot be one, when the returned function is called */
export function createContextFactory({
  http,
  restUrl,
  publicBase,
  hub,
  directoryOf,
  standing,
  replay,
  allowances,
  reads,
  downloads,
  uploads,
}: ContextOptions): (caller: Caller) => Context {
  return ({ request, connectionParams, signal, lastEventId, wantsCost = false }) => {
    const params = connectionParams ?? {}
    const credential = parseAuthorization(
      params['authorization'] ?? params['Authorization'] ?? request.headers.authorization,
    )
    const principal = credential?.principal ?? 'nobody'
    let userId: number | undefined
    const makeCounted = (until: AbortSignal | undefined, shared?: SingleFlight, directory?: Directory) => {
      let calls = 0
      const onCall = () => {
        allowances.take(principal)
        calls += 1
      }
      const onUser = (id: number) => {
        userId = id
      }
      const flowdock = createFlowdock({
        ...{ http, base: restUrl, publicBase, credential, signal: until, onCall, onUser, directory },
        reads: shared,
      })
      return { flowdock, count: () => calls }
    }
    const make = ({ flowdock, count } = makeCounted(signal, reads)): Context => ({
      isSignedIn: credential !== null,
      flowdock,
      wantsCost,
      lastEventId,
      callCount: count,
      rateLimit() {
        const limit = credential === null ? null : allowances.of(credential.principal)
        return limit?.limit === 0 ? null : limit
      },
      listen({ flowIds, isPrivate, after, since, history, pace, wants, key }) {
        if (credential === null)
          throw new GatewayError('UNAUTHENTICATED', 'Cannot listen to flows: no credential was sent')
        const channels = flowIds === 'all' ? flowIds : [...new Set(flowIds)].sort()
        const topic = { owner: { credential, userId }, channels, isPrivate }
        const heard = channels === 'all' ? undefined : new Set(channels)
        const isHeard = (event: FlowEvent) =>
          isForEverybody(event)
            ? true
            : event.flowId === null || event.type === 'membership'
              ? isPrivate
              : heard === undefined || heard.has(event.flowId)
        const options = {
          ...{ hub, topic, isBehind, placeOf, isGap, makeGap },
          wants: (event: FlowEvent) => isHeard(event) && (isGap(event) || wants(event)),
          // The source is ahead of a reader who has missed something.
          standing: (channel: Channel, place: string | undefined) =>
            standing(channel).map((event) => (place === undefined ? event : { ...event, cursor: place })),
          replay: (from: string, until: string | undefined) => replay(topic, from, until),
        }
        const events: LiveEvents = {
          principal: credential.principal,
          key: JSON.stringify([channels === 'all' ? credential.principal : channels, isPrivate, key, pace]),
          pace,
          wants: options.wants,
          async read(reader, leave) {
            const dated = withTimes(reader, since)
            try {
              const from = history === undefined ? after : await tell(history(), dated, options.wants, leave)
              if (!leave.aborted) await runFeed({ ...options, after: from, signal: leave }, dated)
            } catch (error) {
              if (!leave.aborted) reader.end(error)
            }
          },
          context(channel, isShared) {
            const known = channel && directoryOf(channel)
            // What a flow is to its reader changes without an event.
            const directory = known && (isShared ? known : { ...known, flow: () => undefined })
            // What is under way may have been asked for before the event.
            return make(makeCounted(undefined, undefined, directory))
          },
          // GraphQL takes nothing else for the source of a subscription; `Live` reads it.
          [Symbol.asyncIterator]() {
            throw new Error('Events are read, not iterated')
          },
        }
        return events
      },
      fileAddress(path) {
        if (credential === null)
          throw new GatewayError(
            'UNAUTHENTICATED',
            'Cannot give the address of a file: no credential was sent',
          )
        return downloads.address(credential, path)
      },
      uploadAddress(upload) {
        if (credential === null)
          throw new GatewayError('UNAUTHENTICATED', 'Cannot make an upload: no credential was sent')
        return uploads.address(credential, upload)
      },
    })
    return make()
  }
}

/** Tells what comes first. Resolves with the place to go on from. */
async function tell(
  history: AsyncGenerator<FlowEvent, string, undefined>,
  reader: FeedReader<FlowEvent>,
  wants: (event: FlowEvent) => boolean,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (;;) {
    const { done, value } = await history.next()
    if (done === true) return value
    if (signal.aborted) return undefined
    if (wants(value)) await reader.event(value)
  }
}

/** Gaps say when the last event was that their reader had. */
function withTimes(reader: FeedReader<FlowEvent>, since: number | undefined): FeedReader<FlowEvent> {
  let last = since
  return {
    event(event) {
      last = timeOf(event) ?? last
      return reader.event(event.type === 'gap' ? { ...event, from: event.from ?? last ?? null } : event)
    },
    live: (channel, seq) => reader.live(channel, seq),
    end: (error) => reader.end(error),
  }
}
