import { GatewayError } from '../../errors.ts'
import { createDirectory, type Directory, type LiveDirectory } from './directory.ts'
import { createStalledEvents, type StalledEvents } from './event-bound.ts'
import { createFlowdock, type FlowdockOptions } from './index.ts'
import { isLoss, makeGap, removalOf, timeOf } from './live-events.ts'
import type { Flow, FlowEvent, StreamState } from './model.ts'
import { createPresenceTable, type PresenceEvent } from './presence-table.ts'
import { type FlowdockStream, openStream, type StreamOptions } from './stream.ts'

export interface LiveSourceOptions
  extends Omit<FlowdockOptions, 'credential' | 'signal' | 'base'>,
    Pick<StreamOptions, 'credential' | 'reconnects' | 'decoder' | 'onRetry'> {
  readonly restUrl: string
  readonly streamUrl: string
  /** Called for the first connection. @param at the offset of the upstream's log, if it says so */
  readonly onOpen: (flowIds: ReadonlySet<string>, at: string | undefined) => void
  readonly onEvent: (event: FlowEvent, bytes: number) => void
  /** Called when `flowIds` of `onOpen` has changed, after `onEvent` of the event that says so. */
  readonly onFlowsChanged: () => void
  readonly onEnd: (error: unknown) => void
  /** The interval of polls, and after how many failed connections they begin. */
  readonly pollEveryMs?: number
  readonly pollAfter?: number
  /** The most events that wait until the flows are listed and all streams are open. */
  readonly waitingLimits?: WaitingLimits
}

interface WaitingLimits {
  readonly events: number
  readonly bytes: number
}

export interface LiveStream {
  /** Empty until the stream is open. */
  readonly directory: Directory
  /** The present state as an event. */
  status(): FlowEvent
  /** The id of the user; undefined until the upstream has said it. */
  userId(): number | undefined
  /** Whether private events are delivered. The token of an application may not have the scope for them. */
  receivesPrivate(): boolean
  /** The present users with whom the user shares a flow. */
  presences(): readonly PresenceEvent[]
  close(): void
}

/** After this many failed connections in a row, the gateway polls instead of streaming. */
const defaultPollAfter = 5
/** A connection that stayed open this long counts as successful, even without events. */
const provenMs = 70_000
const defaultPollEveryMs = 5000
const defaultWaitingLimits: WaitingLimits = { events: 1000, bytes: 4 * 1024 * 1024 }
/** After this many polls, a stream is tried again. */
const pollsPerAttempt = 12

/** The most flows in one URL, which servers limit. */
const maxFlowsPerStream = 150

/**
 * All events that one principal may receive: those of all flows that the user has joined or joins later, and private ones. If the
 * upstream follows the flows of the user, this is one stream. Otherwise the stream is opened again, after the last event, each
 * time the user joins or leaves a flow.
 */
export function openLiveStream(options: LiveSourceOptions): LiveStream {
  const aborter = new AbortController()
  let viewerId: number | undefined
  const flowdock = createFlowdock({
    ...options,
    base: options.restUrl,
    signal: aborter.signal,
    onUser(id) {
      viewerId = id
    },
  })
  const flowIds = new Set<string>()
  const presences = createPresenceTable((event) => options.onEvent({ ...event, cursor: lastCursor ?? '' }, 0))
  let directory: LiveDirectory | undefined
  let streams: FlowdockStream[] = []
  let isOpen = false
  let beginning = false
  const waiting: { readonly event: FlowEvent; readonly bytes: number }[] = []
  const waitingLimits = options.waitingLimits ?? defaultWaitingLimits
  let waitingBytes = 0
  /** Whether too many events came while they had to wait. Then all of them are requested again. */
  let hasOverflowed = false
  /** The number of changes of `flowIds` by events. */
  let flowChanges = 0
  let isPrivate = true
  let follows = false
  let state: StreamState = 'catchingUp'
  let failures = 0
  let openedAt = 0
  let timer: NodeJS.Timeout | undefined
  let lastCursor: string | undefined
  let lastSentAt: number | undefined
  /** Stalled events of each of the open streams. */
  const stalled: StalledEvents[] = []
  const stalledAt = (index: number) => {
    stalled[index] ??= createStalledEvents()
    return stalled[index]
  }

  async function start(): Promise<void> {
    follows = (await flowdock.capabilities()).has('followFlows')
    // Otherwise the URL of the stream names the flows.
    if (!follows) await listFlows()
    connect()
  }

  async function listFlows(): Promise<void> {
    const read = () => flowdock.flows.list('joined', true).catch(readWithoutUsers)
    const flows = await read()
    if (aborter.signal.aborted) return
    directory = createDirectory(read, flows)
    for (const { id } of flows) flowIds.add(id)
  }

  /**
   * The first connection. A stream that follows its user is opened before the flows are listed, because a change between the two
   * would be lost in the other order. Events that come meanwhile wait.
   */
  async function begin(at: string | undefined): Promise<void> {
    if (beginning) return
    beginning = true
    if (follows) await listFlows()
    if (aborter.signal.aborted) return
    isOpen = true
    options.onOpen(flowIds, at)
    if (hasOverflowed) return connect()
    const opened = streams
    for (const { event, bytes } of waiting.splice(0)) {
      receive(event, bytes)
      // A new stream in its place sends the rest again.
      if (streams !== opened) return
    }
  }

  /** Lets an event wait, up to the limits. Past them all are dropped and requested again. */
  function wait(event: FlowEvent, bytes: number): void {
    waitingBytes += bytes
    if (waiting.length >= waitingLimits.events || waitingBytes > waitingLimits.bytes) {
      hasOverflowed = true
      waiting.length = 0
    }
    if (!hasOverflowed) waiting.push({ event, bytes })
  }

  /**
   * Lists the flows again when events about them may be missing: a stream without private events does not receive them, and
   * others lose them in a gap. If the list fails, nothing ends, because a flow that the user left sends no events.
   */
  async function relistFlows(): Promise<void> {
    const before = flowChanges
    const flows = await flowdock.flows.list('joined', false).catch(() => undefined)
    if (flows === undefined) return
    // An event that came meanwhile may be newer than the list.
    if (flowChanges !== before) return relistFlows()
    const listed = new Set(flows.map(({ id }) => id))
    const countBefore = flowIds.size
    // A flow that was joined meanwhile is not added: it is unknown from which event on the stream has all of it.
    for (const id of flowIds) if (!listed.has(id)) flowIds.delete(id)
    if (flowIds.size !== countBefore) options.onFlowsChanged()
  }

  function fail(error: unknown): void {
    if (aborter.signal.aborted) return
    close()
    options.onEnd(error)
  }

  /** Lists the flows without their users, who are then read one by one. */
  function readWithoutUsers(error: unknown): Promise<readonly Flow[]> {
    if (error instanceof GatewayError && error.code === 'UPSTREAM_INVALID')
      return flowdock.flows.list('joined', false)
    throw error
  }

  /** Opens streams in place of those that are open. The upstream checks the access to each flow again. */
  function connect(): void {
    // The receiver of an event may have closed this stream.
    if (aborter.signal.aborted) return
    // No events are delivered until the streams are open.
    if (state === 'live') change('catchingUp')
    const before = streams
    const resumedAfter = lastCursor
    const shards = follows ? [['*']] : split([...flowIds])
    /** The indexes of streams that are not connected. */
    const down = new Set(shards.keys())
    const opened = new Set<number>()
    streams = shards.map((ids, index) =>
      openStream({
        http: options.http,
        base: options.streamUrl,
        credential: options.credential,
        reconnects: options.reconnects,
        decoder: options.decoder,
        stalled: stalledAt(index),
        flowIds: ids,
        isPrivate: isPrivate && index === 0,
        wantsPresence: true,
        ...(lastCursor === undefined ? {} : { after: lastCursor }),
        onOpen(at) {
          openedAt = Date.now()
          // The position of the streams before it is unknown.
          if (isOpen && resumedAfter === undefined && !opened.has(index))
            options.onEvent(makeGap(undefined), 0)
          opened.add(index)
          down.delete(index)
          // With several streams, each reports only some users.
          if (isOpen && shards.length === 1) presences.reconnected()
          // Later, `at` is ahead of the delivered events.
          if (shards.length === 1) lastCursor ??= at
          if (down.size > 0) return
          if (isOpen && follows && (!isPrivate || resumedAfter === undefined)) {
            const reopened = streams
            void relistFlows().finally(() => {
              if (streams === reopened && down.size === 0) change('live')
            })
            return
          }
          change('live')
          if (!isOpen) begin(shards.length === 1 ? at : undefined).catch(fail)
        },
        onEvent(event, bytes) {
          failures = 0
          receive(event, bytes)
        },
        onEnd,
        onRetry(error, delayMs) {
          options.onRetry?.(error, delayMs)
          down.add(index)
          change('catchingUp')
          failures = openedAt > 0 && Date.now() - openedAt > provenMs ? 1 : failures + 1
          openedAt = 0
          if (
            follows &&
            isOpen &&
            failures >= (options.pollAfter ?? defaultPollAfter) &&
            lastCursor !== undefined
          )
            poll(lastCursor, 1)
        },
      }),
    )
    for (const stream of before) stream.close()
  }

  /** Polls for events instead of streaming. Responses that end pass proxies that block streams. */
  function poll(after: string, count: number): void {
    for (const stream of streams) stream.close()
    const again = () => {
      timer = setTimeout(() => {
        if (count % pollsPerAttempt === 0) connect()
        else poll(lastCursor ?? after, count + 1)
      }, options.pollEveryMs ?? defaultPollEveryMs)
      timer.unref()
    }
    const question = openStream({
      http: options.http,
      base: options.streamUrl,
      credential: options.credential,
      flowIds: ['*'],
      reconnects: options.reconnects,
      decoder: options.decoder,
      stalled: stalledAt(0),
      isPrivate,
      after,
      until: 'now',
      onEvent: receive,
      onEnd,
      onOpen: () => change('polling'),
      onFinish: again,
      onRetry() {
        question.close()
        change('catchingUp')
        again()
      },
    })
    streams = [question]
  }

  function change(next: StreamState): void {
    if (state === next) return
    state = next
    if (isOpen) options.onEvent(status(), 0)
  }

  function status(): FlowEvent {
    return { type: 'status', cursor: lastCursor ?? '', flowId: null, state, retryWithinMs: null }
  }

  function receive(event: FlowEvent, bytes: number): void {
    if (!isOpen) return wait(event, bytes)
    if (event.cursor !== '') lastCursor = event.cursor
    lastSentAt = timeOf(event) ?? lastSentAt
    if (event.type === 'presence' && !presences.learn(event)) return
    if (follows && isLoss(event)) void relistFlows()
    const flowCount = flowIds.size
    if (event.type === 'membership') {
      flowChanges += 1
      if (event.isAdded) flowIds.add(event.flowId)
      else flowIds.delete(event.flowId)
    }
    // This event is for the flow. Without private events it is the only sign of a lost flow.
    const removal = removalOf(event)
    const mayBeOurs = removal !== undefined && (viewerId ?? removal.member) === removal.member
    if (removal !== undefined && removal.member === viewerId) {
      flowChanges += 1
      flowIds.delete(removal.channel)
    }
    if (changesPeople(event)) directory?.invalidate()
    options.onEvent(event.type === 'gap' ? { ...event, from: lastSentAt ?? null } : event, bytes)
    if (flowIds.size !== flowCount) options.onFlowsChanged()
    // Open streams were admitted before the change, so new ones let the upstream check again. A poll is checked each time.
    if ((event.type === 'membership' && !follows) || (mayBeOurs && state !== 'polling')) connect()
  }

  function onEnd(error: GatewayError): void {
    // The token of an application may have the scope for flows, but not for private events.
    if (error.code === 'FORBIDDEN' && isPrivate && !isOpen && (follows || flowIds.size > 0)) {
      isPrivate = false
      connect()
      return
    }
    close()
    options.onEnd(error)
  }

  function close(): void {
    aborter.abort()
    clearTimeout(timer)
    directory?.close()
    presences.close()
    for (const stream of streams) stream.close()
  }

  start().catch(fail)
  return {
    directory: {
      user: (id) => directory?.user(id),
      flow: (id) => directory?.flow(id),
      // Only flows of the stream: the user may have lost the others.
      lastKnownFlow: (id) => (flowIds.has(id) ? directory?.lastKnownFlow(id) : undefined),
    },
    status,
    userId: () => viewerId,
    receivesPrivate: () => isPrivate,
    presences: presences.list,
    close,
  }
}

/** Reads the events after an event again; with `until` the upstream ends the stream there. */
export function openReplay(
  options: Pick<
    StreamOptions,
    | 'http'
    | 'credential'
    | 'reconnects'
    | 'decoder'
    | 'isPrivate'
    | 'onEvent'
    | 'onEnd'
    | 'onRetry'
    | 'onFinish'
  > & {
    readonly streamUrl: string
    readonly flowIds: readonly string[] | 'all'
    readonly after: string
    readonly until: string | undefined
  },
): FlowdockStream {
  const { streamUrl, flowIds, until, ...rest } = options
  return openStream({
    ...rest,
    base: streamUrl,
    flowIds: flowIds === 'all' ? ['*'] : flowIds,
    ...(until === undefined ? {} : { until }),
    onOpen: () => undefined,
  })
}

function split(ids: readonly string[]): string[][] {
  if (ids.length === 0) return [[]]
  return Array.from({ length: Math.ceil(ids.length / maxFlowsPerStream) }, (_, index) =>
    ids.slice(index * maxFlowsPerStream, (index + 1) * maxFlowsPerStream),
  )
}

function changesPeople(event: FlowEvent): boolean {
  return (
    event.type === 'membership' ||
    (event.type === 'change' && ['UserEdited', 'MemberJoined', 'MemberBlocked'].includes(event.change.kind))
  )
}
