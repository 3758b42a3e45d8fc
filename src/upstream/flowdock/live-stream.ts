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
  /** Connected for the first time. @param at where the upstream's log stands, if it says so */
  readonly onOpen: (flowIds: ReadonlySet<string>, at: string | undefined) => void
  readonly onEvent: (event: FlowEvent, bytes: number) => void
  /** `flowIds` of `onOpen` has changed. It runs after `onEvent` for the event that says so. */
  readonly onFlowsChanged: () => void
  readonly onEnd: (error: unknown) => void
  /** How often the upstream is asked when no stream gets through, and after how many attempts in vain. */
  readonly pollEveryMs?: number
  readonly pollAfter?: number
  /** How much may wait until the flows are listed and every stream is open. */
  readonly waitingLimits?: WaitingLimits
}

interface WaitingLimits {
  readonly events: number
  readonly bytes: number
}

export interface LiveStream {
  /** Nobody and nothing until it is open. */
  readonly directory: Directory
  /** How it is at this moment. */
  status(): FlowEvent
  /** The number of the user whose credential it is, once the upstream has told it. */
  userId(): number | undefined
  /** Whether it receives what is told to its user alone: the credential of an application may not have the scope. */
  receivesPrivate(): boolean
  /** Everybody who is there at this moment, among those the caller shares a flow with. */
  presences(): readonly PresenceEvent[]
  close(): void
}

/** So many attempts in a row that came to nothing, and no stream gets through. */
const defaultPollAfter = 5
/** A stream that told nothing for so long but was not cut does get through. */
const provenMs = 70_000
const defaultPollEveryMs = 5000
const defaultWaitingLimits: WaitingLimits = { events: 1000, bytes: 4 * 1024 * 1024 }
/** How often a stream is tried again meanwhile: each time after so many questions. */
const pollsPerAttempt = 12

/** More flows in one address than servers take. */
const maxFlowsPerStream = 150

/**
 * Everything one caller may hear: all the flows they have joined, now and later, and what is told to them alone. Where
 * the upstream follows its user's flows by itself that is one stream for good; elsewhere the stream is opened anew, behind
 * the last event, whenever they come into a flow or out of one.
 */
export function openLiveStream(options: LiveSourceOptions): LiveStream {
  const aborter = new AbortController()
  let viewerId: number | undefined
  const flowdock = createFlowdock({
    ...{ ...options, base: options.restUrl, signal: aborter.signal },
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
  /** More came than may wait: from the first event on, all are requested again. */
  let hasOverflowed = false
  /** How often events have changed `flowIds`. */
  let flowChanges = 0
  let isPrivate = true
  let follows = false
  let state: StreamState = 'catchingUp'
  let failures = 0
  let openedAt = 0
  let timer: NodeJS.Timeout | undefined
  let lastCursor: string | undefined
  let lastSentAt: number | undefined
  /** For each of the streams that are open at the same time. */
  const stalled: StalledEvents[] = []
  const stalledAt = (index: number) => {
    stalled[index] ??= createStalledEvents()
    return stalled[index]
  }

  async function start(): Promise<void> {
    follows = (await flowdock.capabilities()).has('followFlows')
    // Elsewhere the address of the stream names the flows.
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
   * Connected for the first time. A stream that follows its user is opened before the flows are listed: what changes
   * between the two would be in neither. Events that come meanwhile wait.
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
      // A stream that was opened in its place sends the rest again.
      if (streams !== opened) return
    }
  }

  /** Lets an event wait; past the limits none does, so that the memory they take is bounded. */
  function wait(event: FlowEvent, bytes: number): void {
    waitingBytes += bytes
    if (waiting.length >= waitingLimits.events || waitingBytes > waitingLimits.bytes) {
      hasOverflowed = true
      waiting.length = 0
    }
    if (!hasOverflowed) waiting.push({ event, bytes })
  }

  /**
   * For when events that name the flows may be missing: a stream without private events does not receive them, and others
   * lose them in a gap. A flow that was left sends no events either, so a list that fails ends nothing.
   */
  async function relistFlows(): Promise<void> {
    const before = flowChanges
    const flows = await flowdock.flows.list('joined', false).catch(() => undefined)
    if (flows === undefined) return
    // The list may be older than what an event has said meanwhile.
    if (flowChanges !== before) return relistFlows()
    const listed = new Set(flows.map(({ id }) => id))
    const countBefore = flowIds.size
    // One that was joined meanwhile is not added: nothing says from which event on the stream has all of it.
    for (const id of flowIds) if (!listed.has(id)) flowIds.delete(id)
    if (flowIds.size !== countBefore) options.onFlowsChanged()
  }

  function fail(error: unknown): void {
    if (aborter.signal.aborted) return
    close()
    options.onEnd(error)
  }

  /** Flows can be heard without their users, who are then asked for one by one. */
  function readWithoutUsers(error: unknown): Promise<Flow[]> {
    if (error instanceof GatewayError && error.code === 'UPSTREAM_INVALID')
      return flowdock.flows.list('joined', false)
    throw error
  }

  /** Opens streams in place of those that are open. The upstream checks the access to each flow again. */
  function connect(): void {
    // Whoever heard of an event may have closed the source.
    if (aborter.signal.aborted) return
    // Until they are open, what happens is not told.
    if (state === 'live') change('catchingUp')
    const before = streams
    const resumedAfter = lastCursor
    const shards = follows ? [['*']] : split([...flowIds])
    /** Those that do not stand at this moment. */
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
          // Nothing says where the streams before it were.
          if (isOpen && resumedAfter === undefined && !opened.has(index))
            options.onEvent(makeGap(undefined), 0)
          opened.add(index)
          down.delete(index)
          // One of several tells of some people only.
          if (isOpen && shards.length === 1) presences.reconnected()
          // Later it is ahead of what was told.
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

  /** Asks what happened, in place of the stream. The answers end, so they get through where a stream does not. */
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
      ...{ http: options.http, base: options.streamUrl, credential: options.credential, flowIds: ['*'] },
      ...{ reconnects: options.reconnects, decoder: options.decoder, stalled: stalledAt(0) },
      ...{ isPrivate, after, until: 'now', onEvent: receive, onEnd },
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
    // Told to the flow; without the right to hear what is private it is all that says so.
    const removal = removalOf(event)
    const mayBeOurs = removal !== undefined && (viewerId ?? removal.member) === removal.member
    if (removal !== undefined && removal.member === viewerId) {
      flowChanges += 1
      flowIds.delete(removal.channel)
    }
    if (changesPeople(event)) directory?.invalidate()
    options.onEvent(event.type === 'gap' ? { ...event, from: lastSentAt ?? null } : event, bytes)
    if (flowIds.size !== flowCount) options.onFlowsChanged()
    // What the streams go on telling was allowed before: the upstream decides again. A poll asks anew by itself.
    if ((event.type === 'membership' && !follows) || (mayBeOurs && state !== 'polling')) connect()
  }

  function onEnd(error: GatewayError): void {
    // An application may be let hear flows, but not what is private.
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
      // Only of flows that the stream tells of: others may not be shown any more.
      lastKnownFlow: (id) => (flowIds.has(id) ? directory?.lastKnownFlow(id) : undefined),
    },
    status,
    userId: () => viewerId,
    receivesPrivate: () => isPrivate,
    presences: presences.list,
    close,
  }
}

/** Reads what happened behind an event once more; with `until` the upstream ends it there. */
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
