import { GatewayError } from '../errors.ts'
import { sleep } from '../sleep.ts'
import type { EventReader } from './channel.ts'
import type { Hub, StreamChannel, Subscription, Topic } from './principal-hub.ts'
import type { Entry } from './recent-log.ts'

export interface FeedOptions<Owner, T> {
  readonly hub: Hub<Owner, T>
  readonly topic: Topic<Owner>
  /** The audiences of the reader. */
  readonly audiences: ReadonlySet<string>
  /** The offset to begin after; by default only live events are delivered. */
  readonly after: string | undefined
  /** Which events the reader receives. The others do not count as missed. */
  readonly wants: (event: T) => boolean
  /**
   * Reads the events after an offset again from the upstream: up to `until`, if it is given and the upstream supports that, else
   * without an end.
   */
  readonly replay: (after: string, until: string | undefined) => Replay<T>
  /** Whether the first offset is after the second; undefined when they cannot be compared. */
  readonly isBehind: (a: string, b: string) => boolean | undefined
  readonly offsetOf: (event: T) => string | undefined
  /** The channel of an event; undefined for an event for all readers. */
  readonly channelOf: (event: T) => string | undefined
  /** Whether an event of a replay says that all events up to now are lost. */
  readonly isGap: (event: T) => boolean
  /**
   * The present state of a channel that is in no event, such as present users. It is delivered first.
   *
   * @param offset the offset of the reader, from which it would resume; undefined for live events only
   */
  readonly standing?: ((channel: StreamChannel<T>, offset: string | undefined) => readonly T[]) | undefined
  /** Makes a gap: the events after an offset are lost. */
  readonly makeGap: (after: string | undefined) => T
  /**
   * The pause in milliseconds before an evicted reader tries to resume again, after a failure of the upstream.
   *
   * @param failures the number of failures in a row
   */
  readonly retryAfterMs: (failures: number) => number
  readonly signal: AbortSignal
}

export interface Replay<T> extends AsyncIterableIterator<T> {
  /** Whether it ends by itself after the last event. */
  readonly isFinite: boolean
}

/**
 * Delivers missed events to a reader, and then makes it live: each event once, in order, without loss. Events that the stream
 * remembers come from its log. Older events are read from the upstream again until both meet. When the subscription to the stream
 * ends, this begins again after the last delivered event.
 */
export async function runFeed<Owner, T>(
  options: FeedOptions<Owner, T>,
  reader: EventReader<T>,
): Promise<void> {
  const { signal } = options
  let after = options.after
  let isResumed = false
  try {
    for (;;) {
      const subscription = await openSubscription(options, after !== undefined, isResumed)
      try {
        const { channel } = subscription
        if (isResumed && after === undefined) await reader.event(options.makeGap(undefined), channel)
        const progress: Progress = { after: undefined }
        const seq = await catchUp(options, subscription, { after, isResumed }, reader, progress)
        if (seq === undefined) {
          after = progress.after ?? after
        } else {
          const membership = reader.live(channel, seq, options.audiences)
          let last: number | undefined
          const stop = () => {
            last ??= membership.leave()
            return last
          }
          // At once: no event after the one that ended the subscription is delivered.
          subscription.onEnd(() => void stop())
          await Promise.race([subscription.ended, aborted(signal)])
          after = channel.log.offsetAt(stop()) ?? after
        }
        signal.throwIfAborted()
        const ending = await subscription.ended
        if (ending.kind === 'failed') throw ending.error
        isResumed = true
      } finally {
        subscription.leave()
      }
    }
  } catch (error) {
    if (!signal.aborted) reader.end(error)
  }
}

/** An evicted reader is tried again: a temporary failure of the upstream does not end it. */
async function openSubscription<Owner, T>(
  { hub, topic, signal, retryAfterMs }: FeedOptions<Owner, T>,
  catchesUp: boolean,
  isResumed: boolean,
): Promise<Subscription<T>> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await hub.subscribe(topic, signal, catchesUp)
    } catch (error) {
      const isPassing = error instanceof GatewayError && error.retryable && !hub.isClosed
      if (!isResumed || !isPassing) throw error
      await sleep(Math.max(retryAfterMs(failures), error.retryAfterMs ?? 0), signal)
    }
  }
}

/** The offset of the last event that a reader received while it caught up. */
interface Progress {
  after: string | undefined
}

/** Resolves with the number of the reader's entry; undefined when the subscription ended first. */
async function catchUp<Owner, T>(
  options: FeedOptions<Owner, T>,
  subscription: Subscription<T>,
  { after, isResumed }: { readonly after: string | undefined; readonly isResumed: boolean },
  reader: EventReader<T>,
  progress: Progress,
): Promise<number | undefined> {
  const { channel } = subscription
  const { log } = channel
  const { isBehind } = options
  /** A reader that comes from another stream may have received events that this stream does not have yet. */
  const isAhead = (offset: string | undefined) =>
    isResumed && offset !== undefined && log.offset !== undefined && isBehind(offset, log.offset) === true
  let seq =
    after === undefined ? log.seq : isAhead(after) ? undefined : seqBehind(options, subscription, after)
  const begunAt = log.seq
  for (const event of options.standing?.(channel, after) ?? []) {
    if (subscription.ending !== undefined) return undefined
    if (options.wants(event)) await reader.event(event, channel)
  }
  /** Events from before the subscription are delivered with the present rights of the reader. */
  const mayHear = (event: T) => {
    const of = options.channelOf(event)
    return of === undefined || subscription.covers(of)
  }
  let offset = after
  for (;;) {
    if (!subscription.isProved) await subscription.prove()
    if (subscription.ending !== undefined) return undefined
    if (seq === undefined) {
      const replayed = await replay(options, subscription, offset as string, begunAt, reader)
      offset = replayed.offset
      progress.after = offset
      seq = replayed.seq
      continue
    }
    const entries: readonly Entry<T>[] | undefined = log.since(seq, 100)
    if (entries === undefined) {
      // The reader fell behind the log in memory. Without an offset it cannot resume.
      if (offset === undefined) {
        await reader.event(options.makeGap(undefined), channel)
        seq = log.seq
      } else seq = seqBehind(options, subscription, offset)
      continue
    }
    if (entries.length === 0) {
      if (!isAhead(offset)) return seq
      await nextEntry(subscription, options.signal)
      options.signal.throwIfAborted()
      continue
    }
    for (const entry of entries) {
      if (subscription.ending !== undefined) return undefined
      if (!subscription.isProved) break
      const isKnown =
        offset !== undefined && entry.offset !== undefined && isBehind(entry.offset, offset) === false
      if (!isKnown && options.wants(entry.event) && mayHear(entry.event))
        await reader.event(entry.event, channel)
      options.signal.throwIfAborted()
      seq = entry.seq
      if (options.isGap(entry.event)) offset = undefined
      else if (!isKnown) offset = entry.offset ?? offset
      progress.after = offset
    }
  }
}

/** The entry at an offset; undefined when the log lacks events after it that the reader may receive. */
function seqBehind<Owner, T>(
  { isBehind }: FeedOptions<Owner, T>,
  { channel: { log }, begin }: Subscription<T>,
  offset: string,
): number | undefined {
  if (offset === begin.offset) return begin.seq
  const exact = log.seqOf(offset)
  if (exact !== undefined) return exact < begin.seq ? undefined : exact
  // Offsets of other channels are not among the entries. That does not matter where offsets can be compared.
  if (begin.offset === undefined || isBehind(begin.offset, offset) !== false) return undefined
  return log.seqUpTo(offset, (a, b) => isBehind(a, b) === true)
}

/** Delivers events that the channel's log lacks, until both meet. Without a `seq` it ended, or has to begin again. */
async function replay<Owner, T>(
  options: FeedOptions<Owner, T>,
  subscription: Subscription<T>,
  after: string,
  begunAt: number,
  reader: EventReader<T>,
): Promise<{ seq: number | undefined; offset: string }> {
  const { channel } = subscription
  const { log } = channel
  const { offset: begin, seq: beginSeq } = subscription.begin
  let offset = after
  // A reader that is ahead of the channel gets no replay, but a gap when the upstream does not have its offset any more.
  const isAhead = begin !== undefined && options.isBehind(begin, after) === false
  const events = options.replay(after, isAhead ? after : begin)
  const met = Promise.withResolvers<'met'>()
  // The channel may receive the reader's last event later than the replay did.
  const stopListening = channel.listen((entry) => {
    if (entry.offset === offset) met.resolve('met')
  })
  try {
    for (;;) {
      const next = events.next()
      next.catch(() => undefined)
      const result = await Promise.race([next, met.promise, subscription.ended.then(() => 'ended' as const)])
      options.signal.throwIfAborted()
      if (result === 'ended' || subscription.ending !== undefined) return { seq: undefined, offset }
      // The upstream admitted this replay before the channel was lost.
      if (!subscription.isProved) return { seq: undefined, offset }
      if (result === 'met') return { seq: log.seqOf(offset), offset }
      if (result.done === true) return { seq: events.isFinite ? beginSeq : undefined, offset }
      const event = result.value
      if (options.isGap(event)) {
        await reader.event(event, channel)
        return { seq: begunAt, offset }
      }
      const reached = options.offsetOf(event)
      if (reached === undefined) continue
      if (options.wants(event)) await reader.event(event, channel)
      offset = reached
      const seq = log.seqOf(offset)
      if (seq !== undefined && seq >= beginSeq) return { seq, offset }
    }
  } catch (error) {
    // A replay that is too fast for its reader begins again at the reader's offset.
    if (error instanceof GatewayError && error.code === 'SLOW_CONSUMER') return { seq: undefined, offset }
    throw error
  } finally {
    stopListening()
    await events.return?.()
  }
}

/** Resolves when the channel receives an event, or the reader ends. */
function nextEntry<T>({ channel, ended }: Subscription<T>, signal: AbortSignal): Promise<unknown> {
  const received = Promise.withResolvers<void>()
  const wake = () => received.resolve()
  const stop = channel.listen(wake)
  signal.addEventListener('abort', wake)
  return Promise.race([received.promise, ended]).finally(() => {
    stop()
    signal.removeEventListener('abort', wake)
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
