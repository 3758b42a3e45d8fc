import { ForbiddenError, GatewayError } from '../errors.ts'
import { BoundedQueue } from '../events/bounded-queue.ts'
import { createChangeTracker } from '../events/change-tracker.ts'
import { createHub, type StreamChannel, type Topic } from '../events/principal-hub.ts'
import { type Replay, runFeed } from '../events/replay.ts'
import { deletionOf } from '../upstream/flowdock/deletions.ts'
import type { EventDecoder } from '../upstream/flowdock/event-decoder.ts'
import { createFlowdock } from '../upstream/flowdock/index.ts'
import {
  audiencesOf,
  changesEarlier,
  channelOf,
  isBehind,
  isLoss,
  makeGap,
  memberAudiences,
  offsetOf,
  removalOf,
} from '../upstream/flowdock/live-events.ts'
import { type LiveStream, openLiveStream, openReplay } from '../upstream/flowdock/live-stream.ts'
import type { FlowEvent } from '../upstream/flowdock/model.ts'
import type { Reconnects } from '../upstream/flowdock/reconnects.ts'
import type { Http } from '../upstream/http.ts'
import type { Listener, LiveHub } from './live-hub.ts'

export interface PrincipalLiveHubOptions {
  readonly http: Http
  /** For checks of access: one principal could delay those of all others in the bulkhead, or open the circuit breaker. */
  readonly checkHttp: Http
  readonly restUrl: string
  readonly streamUrl: string
  readonly reconnects: Reconnects
  readonly decoder: EventDecoder
  readonly onRetry: (error: Error, delayMs: number) => void
  /** Something that earlier events were executed from has changed. */
  readonly onEarlierChanged: () => void
  /** The error of a position that is not one of the upstream. */
  readonly noCursor: (after: string) => Error
  /** Undefined where responses are not cached. @see ChangeTrackerOptions.onChange */
  readonly onChange: ((principal: string) => void) | undefined
}

/** How much of what happened is kept for those who missed a little of it, for each stream. */
const keptEvents = { maxEvents: 20_000, maxBytes: 16 * 1024 * 1024 }
/** Access that nobody has confirmed for this long is taken for lost. */
const confirmWithinMs = 10_000
/** How far the reader of a replay may be behind, before it is begun again where the reader is. */
const replayLimits = { maxEvents: 1000, maxBytes: 4 * 1024 * 1024 }

/** For upstreams without a service stream: a stream for each principal, which others borrow. */
export function createPrincipalLiveHub(options: PrincipalLiveHubOptions): LiveHub {
  const { http, restUrl, streamUrl, reconnects, decoder, onRetry, noCursor } = options
  const streams = new Map<string, LiveStream & { lastDisconnect: { at: string; reason: string } | null }>()

  const listChannels = async ({ credential }: Listener, signal: AbortSignal): Promise<Set<string>> => {
    const flowdock = createFlowdock({ http: options.checkHttp, base: restUrl, credential, signal })
    return new Set((await flowdock.flows.list('joined', false)).map(({ id }) => id))
  }

  const hub = createHub<Listener, FlowEvent>({
    keyOf: ({ credential }) => credential.principal,
    open({ credential }, sink) {
      const { principal } = credential
      const stream = {
        lastDisconnect: null as { at: string; reason: string } | null,
        ...openLiveStream({
          ...{ http, reconnects, decoder, credential, restUrl, streamUrl },
          ...{ onOpen: sink.open, onFlowsChanged: sink.channelsChanged, onEnd: sink.end },
          onEvent(event, bytes) {
            if (changesEarlier(event)) options.onEarlierChanged()
            sink.event(event, bytes)
          },
          onRetry(error, delayMs) {
            stream.lastDisconnect = { at: new Date().toISOString(), reason: error.message }
            onRetry(error, delayMs)
          },
        }),
      }
      streams.set(principal, stream)
      return {
        close() {
          if (streams.get(principal) === stream) streams.delete(principal)
          stream.close()
        },
      }
    },
    offsetOf,
    memberOf: ({ userId }) => userId,
    removalOf,
    audiencesOf,
    amendmentOf: deletionOf,
    check: listChannels,
    isRefusal: (error) =>
      error instanceof GatewayError && (error.code === 'UNAUTHENTICATED' || error.code === 'FORBIDDEN'),
    lost: () => new ForbiddenError('You were shut out of one of the flows, left it, or it was archived'),
    limits: keptEvents,
    idleTimeoutMs: 1000,
    checkEveryMs: 1500,
    checkWithinMs: 5000,
    confirmWithinMs,
    proofAgeMs: 2000,
  })

  function replay(topic: Topic<Listener>, after: string, until: string | undefined): Replay<FlowEvent> {
    const subscriber = new BoundedQueue<FlowEvent>(replayLimits, () => stream.close())
    const { credential } = topic.owner
    const isPrivate = topic.isPrivate && streams.get(credential.principal)?.receivesPrivate() !== false
    const ends = until !== undefined && /^\d+$/.test(until)
    const stream = openReplay({
      ...{ http, reconnects, decoder, streamUrl, credential, onRetry },
      ...{ flowIds: topic.channels, isPrivate, after },
      until: ends ? until : undefined,
      onEvent: (event, bytes) => subscriber.push(event, bytes),
      // The upstream refuses no other input of a replay.
      onEnd: (error) => subscriber.fail(error.code === 'BAD_USER_INPUT' ? noCursor(after) : error),
      onFinish: () => subscriber.finish(),
    })
    return Object.assign(subscriber, { isFinite: ends })
  }

  /** What holds at this moment, as those see it who go on after `offset`: the stream is ahead of them. */
  function standing({ key }: StreamChannel<FlowEvent>, offset: string | undefined): readonly FlowEvent[] {
    const stream = streams.get(key)
    if (stream === undefined) return []
    const events = [stream.status(), ...stream.presences()]
    return offset === undefined ? events : events.map((event) => ({ ...event, cursor: offset }))
  }

  const changes =
    options.onChange &&
    createChangeTracker<Listener, FlowEvent>({
      hub,
      keyOf: ({ credential }) => credential.principal,
      stateOf: (event) =>
        event.type !== 'status' ? undefined : event.state === 'live' ? 'live' : 'interrupted',
      isPassing: (event) => event.type === 'change' && event.change.kind === 'UserTyping',
      isLive(key) {
        const status = streams.get(key)?.status()
        return status?.type === 'status' && status.state === 'live'
      },
      onChange: options.onChange,
      async confirm(owner) {
        await listChannels(owner, AbortSignal.timeout(confirmWithinMs / 2))
      },
      confirmWithinMs,
    })

  return {
    async read({ listener, flowIds, isPrivate, after, wants }, reader, signal) {
      const topic = { owner: listener, channels: flowIds, isPrivate }
      const feed = {
        ...{ hub, topic, after, wants, isBehind, offsetOf, channelOf, isGap: isLoss, makeGap, retryAfterMs },
        ...{ standing, signal, audiences: memberAudiences(flowIds, isPrivate) },
        replay: (from: string, until: string | undefined) => replay(topic, from, until),
      }
      await runFeed(feed, reader)
    },
    userIdOf: (principal) => streams.get(principal)?.userId(),
    knowsUsers: false,
    directoryOf({ key }, _event, _viewer, isOwn) {
      const known = streams.get(key)?.directory
      // What a flow is to its viewer changes without an event.
      return known && (isOwn ? { ...known, flow: () => undefined } : known)
    },
    entitiesOf: () => undefined,
    called: () => undefined,
    actorFor: () => undefined,
    changes,
    announceClosing(retryWithinMs) {
      hub.announce((offset) => ({
        ...{ type: 'status', cursor: offset ?? '', flowId: null, state: 'closing' },
        retryWithinMs,
      }))
    },
    get size() {
      return hub.size
    },
    streams: () =>
      hub
        .state()
        .streams.map((each) => ({ ...each, lastDisconnect: streams.get(each.key)?.lastDisconnect ?? null })),
    figures: () => null,
    close(error) {
      changes?.close()
      hub.close(error)
    },
  }
}

/** 0.5 to 1 s after the first failure, doubled by each, up to 15 s. */
function retryAfterMs(failures: number): number {
  return Math.min(1000 * 2 ** (failures - 1), 15_000) * (0.5 + Math.random() / 2)
}
