import { ForbiddenError, GatewayError, NotFoundError } from '../errors.ts'
import { BoundedQueue } from '../events/bounded-queue.ts'
import type { Channel, EventReader } from '../events/channel.ts'
import type { Reader, ReaderEnding } from '../events/reader.ts'
import type { Entry } from '../events/recent-log.ts'
import { type Principal, StreamHub } from '../events/stream-hub.ts'
import type { StreamEntry } from '../events/stream-log.ts'
import type { Secret } from '../secret.ts'
import type { Credential } from '../upstream/flowdock/credentials.ts'
import { deletionOf } from '../upstream/flowdock/deletions.ts'
import { createEntitlements } from '../upstream/flowdock/entitlements.ts'
import type { EventDecoder } from '../upstream/flowdock/event-decoder.ts'
import { changesEarlier, timeOf } from '../upstream/flowdock/live-events.ts'
import { openReplay } from '../upstream/flowdock/live-stream.ts'
import { LogHeads } from '../upstream/flowdock/log-heads.ts'
import type { FlowEvent } from '../upstream/flowdock/model.ts'
import type { Reconnects } from '../upstream/flowdock/reconnects.ts'
import { toError } from '../upstream/flowdock/request.ts'
import { createServiceDirectory, serviceCredential } from '../upstream/flowdock/service-directory.ts'
import { createServiceStream } from '../upstream/flowdock/service-stream.ts'
import { StreamPresence } from '../upstream/flowdock/stream-presence.ts'
import type { Http } from '../upstream/http.ts'
import { Audits } from './audits.ts'
import type { LiveHub, ReadRequest } from './live-hub.ts'
import { QueryEntities } from './query-entities.ts'
import { ReplayPermits } from './replay-permits.ts'
import { StreamChanges } from './stream-changes.ts'
import { StreamReader } from './stream-reader.ts'

export interface StreamLiveHubOptions {
  /** For replays, with the credentials of their principals. */
  readonly http: Http
  /** For the service stream and the proofs, which no principal may delay. */
  readonly serviceHttp: Http
  readonly restUrl: string
  readonly streamUrl: string
  readonly serviceToken: Secret
  readonly reconnects: Reconnects
  readonly decoder: EventDecoder
  readonly onRetry: (error: Error, delayMs: number) => void
  /** Something that earlier events were executed from has changed. */
  readonly onEarlierChanged: () => void
  /** How old an event was when it was received, by the clocks of both machines. Not called while events are caught up with. */
  readonly onAge?: (ageMs: number) => void
  /** The error of a position that is not one of the upstream. */
  readonly noCursor: (after: string) => Error
  /** Undefined where responses are not cached. @see StreamChangesOptions.onChange */
  readonly onChange: ((principal: string) => void) | undefined
}

export interface StreamLiveHub extends Omit<LiveHub, 'read'> {
  /** Like `LiveHub.read`. Resolves with false when the upstream turned out to have no service stream: nothing was received. */
  read(request: ReadRequest, reader: EventReader<FlowEvent>, signal: AbortSignal): Promise<boolean>
  /** Whether it did. */
  readonly isForeign: boolean
}

const logLimits = { maxEvents: 100_000, maxBytes: 256 * 1024 * 1024 }
const tickMs = 1000
/** Queries make no more principals known than this, and leave the queue of proofs to subscriptions from here on. */
const maxQueryingPrincipals = 20_000
const maxWaitingProofs = 1000
/** How many replays run at once. */
const maxReplays = 8
/** How far the reader of a replay may be behind, before it begins again where the reader is. */
const replayLimits = { maxEvents: 1000, maxBytes: 4 * 1024 * 1024 }

/** For an upstream with a service stream: one stream for all principals. Who receives what is decided by `StreamHub`. */
export function createStreamLiveHub(options: StreamLiveHubOptions): StreamLiveHub {
  const { serviceHttp, restUrl, serviceToken } = options
  const readers = new Map<object, StreamReader>()
  const credentials = new Map<string, Credential>()
  const presence = new StreamPresence()
  const directory = createServiceDirectory({ http: serviceHttp, restUrl, token: serviceToken })
  const permits = new ReplayPermits(maxReplays)
  const listeners = new Set<(entry: Entry<FlowEvent>) => void>()
  /** Resolved when the stream has caught up, or is lost. */
  let settling: PromiseWithResolvers<void> | undefined
  let lastDisconnect: { readonly at: string; readonly reason: string } | null = null
  /** When the newest event was, if it says so. */
  let lastSentAt: number | null = null
  let isForeign = false
  let closedWith: { readonly error: unknown } | undefined

  /** Readers are known by their topics, because effects about one may come before it is returned. */
  const find = ({ topic }: Reader) => readers.get(topic) as StreamReader

  const hub: StreamHub<FlowEvent> = new StreamHub({
    limits: logLimits,
    amendmentOf: deletionOf,
    effects: {
      connect: (request) => stream.connect(request),
      disconnect() {
        stream.disconnect()
        settle()
      },
      foreign(left) {
        isForeign = true
        for (const reader of left) find(reader).leave(false)
        stop()
      },
      prove: (principal, isLater) => entitlements.prove(principal, isLater),
      say() {
        hub.signal({ event: status(), bytes: 0, audiences: 'all' })
      },
      deliver,
      gap: (reader, after) => find(reader).tellGap(after),
      drain: (reader) => find(reader).wake(reader),
      replay: (reader) => find(reader).wake(reader),
      join: (reader, seq, audiences) => find(reader).join(seq, audiences),
      move: (reader, audiences) => find(reader).move(audiences),
      part: (reader) => find(reader).part(),
      end: (reader, ending) => find(reader).end(errorOf(ending)),
      drop: ({ key }) => credentials.delete(key),
    },
  })

  const channel: Channel<FlowEvent> = {
    key: 'service',
    log: hub.log,
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    audiencesOf: (entry) => (entry as StreamEntry<FlowEvent>).audiences,
  }

  const accessOf = (principal: string) => (hub.state === 'live' ? hub.accessOf(principal) : undefined)

  function use(credential: Credential): void {
    credentials.set(credential.principal, credential)
    hub.use(credential.principal, Date.now())
  }

  const changes =
    options.onChange &&
    new StreamChanges({
      accessOf,
      use: ({ credential }) => use(credential),
      onChange: options.onChange,
    })

  const heads = new LogHeads({ http: serviceHttp, restUrl, token: serviceToken })
  const queries = new QueryEntities({
    reads: directory.reads,
    latestHead: () => heads.latest(),
    held() {
      const { state, logId, log } = hub
      return state === 'live' && logId !== undefined ? { log: logId, at: log.end } : undefined
    },
    accessOf,
    isProving: (principal) => hub.isProving(principal),
    use,
    hasRoom: () => hub.principalCount < maxQueryingPrincipals && entitlements.waiting < maxWaitingProofs,
  })

  const stream = createServiceStream({
    ...{ http: serviceHttp, restUrl, token: serviceToken },
    sink: {
      opened(log) {
        presence.reconnected()
        if (log.log !== hub.logId) directory.clear()
        hub.opened(log)
      },
      frame(number, frame, storedAt) {
        if (frame.change !== undefined) presence.change(frame.change)
        const isNew = number === hub.log.end + 1
        const event = frame.event.type === 'gap' ? { ...frame.event, from: lastSentAt } : frame.event
        lastSentAt = timeOf(event) ?? lastSentAt
        if (isNew) directory.note(frame)
        if (isNew && hub.state === 'live' && storedAt !== undefined) options.onAge?.(Date.now() - storedAt)
        if (isNew && (frame.about !== undefined || changesEarlier(frame.event))) options.onEarlierChanged()
        hub.frame(number, { ...frame, event })
        queries.moved()
        if (isNew && frame.about !== undefined) changes?.note([frame.about], hub.log.seq)
      },
      signal(frame) {
        if (presence.learn(frame)) hub.signal(frame)
      },
      head(number) {
        hub.head(number)
        settle()
        for (const signal of presence.confirm()) hub.signal(signal)
      },
      cut() {
        hub.cut()
        settle()
      },
      gone: () => hub.gone(),
      refused: () => hub.refused(),
      missing: () => hub.missing(),
    },
    onRetry(error, delayMs) {
      lastDisconnect = { at: new Date().toISOString(), reason: error.message }
      options.onRetry(error, delayMs)
    },
  })

  const entitlements = createEntitlements<Principal>({
    ...{ http: serviceHttp, restUrl, token: serviceToken },
    credentialOf: (key) => credentials.get(key),
    onProved(principal, snapshot) {
      hub.proved(principal, snapshot)
      queries.moved()
    },
    onRefused(principal, error) {
      hub.refuse(principal, error)
      queries.moved()
    },
    onFailed(principal, error) {
      // Whether there is a service interface is said by the stream.
      if (error instanceof NotFoundError && hub.logId === undefined) entitlements.prove(principal, true)
      else hub.unproved(principal, error)
      queries.moved()
    },
  })

  const readerOptions = {
    ...{ hub, channel, permits, openReplay: openReplayOf },
    settled() {
      if (hub.state !== 'catchingUp') return undefined
      settling ??= Promise.withResolvers()
      return settling.promise
    },
    standing: (reader: Reader) => [status(), ...presence.list((audiences) => hub.mayHear(reader, audiences))],
  }

  const audits = new Audits({
    held: () => hub.held(),
    accessOf: (key) => hub.accessOf(key),
    compare: (claims) => entitlements.audit(claims, hub.log.end),
    onWrong: (key) => hub.auditFailed(key),
  })

  const ticks = setInterval(() => {
    const now = Date.now()
    hub.tick(now)
    if (hub.state === 'live') void audits.tick(now)
  }, tickMs).unref()

  function deliver(entry: StreamEntry<FlowEvent>): void {
    const { event, audiences, seq } = entry
    const isPassing =
      event.type === 'status' || (event.type === 'change' && event.change.kind === 'UserTyping')
    if (!isPassing) changes?.note(audiences, seq)
    for (const listener of listeners) listener(entry)
  }

  function settle(): void {
    settling?.resolve()
    settling = undefined
  }

  function status(): FlowEvent {
    const cursor = hub.logId === undefined ? '' : String(hub.log.end)
    const state = hub.state === 'live' ? 'live' : 'catchingUp'
    return { type: 'status', cursor, flowId: null, state, retryWithinMs: null }
  }

  function openReplayOf(
    { listener, flowIds, isPrivate }: ReadRequest,
    after: number,
    until: number,
  ): AsyncIterableIterator<FlowEvent> {
    const { http, reconnects, decoder, streamUrl, onRetry } = options
    const { credential } = listener
    const queue = new BoundedQueue<FlowEvent>(replayLimits, () => replay.close())
    const replay = openReplay({
      ...{ http, reconnects, decoder, streamUrl, credential, onRetry, flowIds, isPrivate },
      ...{ after: String(after), until: String(until) },
      onEvent: (event, bytes) => queue.push(event, bytes),
      onEnd: (error) => queue.fail(error),
      onFinish: () => queue.finish(),
    })
    return queue
  }

  function errorOf(ending: ReaderEnding): unknown {
    switch (ending.kind) {
      case 'flowLost':
        return new ForbiddenError('You were shut out of one of the flows, left it, or it was archived')
      case 'grantEnded':
        return toError(401, undefined, 'listen to the flows')
      case 'failed':
        return ending.error
      case 'unavailable':
      case 'left':
        return overloaded('The upstream did not say in time what you may listen to; try again in a moment')
    }
  }

  function stop(): void {
    clearInterval(ticks)
    stream.disconnect()
    entitlements.close()
  }

  return {
    read(request, subscriber, signal) {
      const { after, listener } = request
      if (isForeign) return Promise.resolve(false)
      const problem =
        closedWith?.error ??
        (after === undefined || /^\d{1,15}$/.test(after) ? undefined : options.noCursor(after))
      if (problem !== undefined) subscriber.end(problem)
      if (problem !== undefined || signal.aborted) return Promise.resolve(true)
      const { principal } = listener.credential
      credentials.set(principal, listener.credential)
      const run = new StreamReader(readerOptions, request, subscriber)
      readers.set(run.topic, run)
      const position = after === undefined ? undefined : Number(after)
      const reader = hub.subscribe(principal, run.topic, position, Date.now())
      const leave = () => {
        hub.leave(reader, Date.now())
        run.leave()
      }
      signal.addEventListener('abort', leave)
      return run.over.then((isServed) => {
        signal.removeEventListener('abort', leave)
        readers.delete(run.topic)
        return isServed
      })
    },
    userIdOf: (principal) => hub.accessOf(principal)?.user,
    knowsUsers: true,
    directoryOf: (_, event, { credential }, isOwn) =>
      directory.viewOf(event, hub.accessOf(credential.principal)?.user, isOwn),
    entitiesOf: (credential, calls) =>
      isForeign || closedWith !== undefined ? undefined : queries.of(credential, calls),
    called: (principal) => queries.called(principal),
    actorFor: (userId) => ({
      credential: serviceCredential(serviceToken, userId),
      headers: { 'flowdock-act-as': String(userId) },
    }),
    changes,
    announceClosing(retryWithinMs) {
      const event = { ...status(), state: 'closing', retryWithinMs } as FlowEvent
      hub.signal({ event, bytes: 0, audiences: 'all' })
    },
    get isForeign() {
      return isForeign
    },
    get size() {
      return hub.state === 'catchingUp' || hub.state === 'live' ? 1 : 0
    },
    streams() {
      if (hub.state === 'idle' || hub.state === 'closed') return []
      return [
        {
          ...{ key: channel.key, subscriptions: hub.readerCount, borrowers: 0, channels: 0 },
          ...{ isOpen: hub.state === 'live', keptEvents: hub.log.size, lastDisconnect },
          offset: hub.logId === undefined ? undefined : String(hub.log.end),
        },
      ]
    },
    figures: () => ({
      ...{ state: hub.state, ...hub.count(), directory: directory.size },
      proofs: { underWay: entitlements.underWay, waiting: entitlements.waiting },
      replaysWaiting: permits.waiting,
      position: hub.logId === undefined ? null : hub.log.end,
      log: { events: hub.log.size, bytes: hub.log.bytes },
    }),
    close(error) {
      closedWith = { error }
      stop()
      hub.close(error)
    },
  }
}

/** Clients try again: those of sockets are disconnected, because an error would be final to them. */
function overloaded(message: string): GatewayError {
  return new GatewayError('OVERLOADED', message, { retryable: true, retryAfterMs: 1000 })
}
