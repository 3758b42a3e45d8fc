import { GatewayError } from '../errors.ts'
import { sleep } from '../sleep.ts'
import type { EventReader } from './channel.ts'
import type { Hub, SourceChannel, Subscription, Topic } from './principal-hub.ts'
import type { Entry } from './recent-log.ts'

export interface FeedOptions<Owner, T> {
  readonly hub: Hub<Owner, T>
  readonly topic: Topic<Owner>
  /** The audiences that the reader has. */
  readonly audiences: ReadonlySet<string>
  /** Begin behind this place; with what happens unless given. */
  readonly after: string | undefined
  /** Which events the reader is told; what it is not told it has not missed. */
  readonly wants: (event: T) => boolean
  /**
   * Reads what happened behind a place once more from the upstream: up to `until`, if it is given and the upstream can
   * stop there, else without an end.
   */
  readonly replay: (after: string, until: string | undefined) => Replay<T>
  /** Whether the first place is behind the second; undefined when that cannot be told. */
  readonly isBehind: (a: string, b: string) => boolean | undefined
  readonly offsetOf: (event: T) => string | undefined
  /** The channel an event is of; undefined for what a reader receives whatever their channels are. */
  readonly channelOf: (event: T) => string | undefined
  /** Whether a replay says with it that it cannot have what was missed up to now. */
  readonly isGap: (event: T) => boolean
  /**
   * What holds at a channel at this moment and is among no events, such as who is there: it comes first.
   *
   * @param place where its reader is, who goes on from there if they come back; with what happens when undefined
   */
  readonly standing?: ((channel: SourceChannel<T>, place: string | undefined) => readonly T[]) | undefined
  /** Says that what happened behind a place is lost. */
  readonly makeGap: (after: string | undefined) => T
  /**
   * The pause, in milliseconds, before a reader who was evicted tries again to resume where the upstream failed.
   *
   * @param failures how often in a row it has failed
   */
  readonly retryAfterMs: (failures: number) => number
  readonly signal: AbortSignal
}

export interface Replay<T> extends AsyncIterableIterator<T> {
  /** Whether it ends by itself when everything was told. */
  readonly isFinite: boolean
}

/**
 * Brings a reader to where a source is, and lets it go on there: each event once, in order, none left out. What the
 * source remembers is taken from it; what is older is read from the upstream once more, until both meet. When the source
 * is taken away, the same begins anew behind what the reader was told last.
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
          // At once: nothing that comes after what ended the subscription is delivered.
          subscription.onEnd(() => void stop())
          await Promise.race([subscription.ended, aborted(signal)])
          after = channel.log.placeAt(stop()) ?? after
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

/** A reader who was evicted did nothing wrong: a moment in which the upstream fails does not end it. */
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

/** How far a reader was told of the upstream's log while it caught up. */
interface Progress {
  after: string | undefined
}

/** Resolves with the number of the entry the reader is at; undefined when the subscription was taken away first. */
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
  /** A reader who comes from another source may have had what this one has yet to hear. */
  const isAhead = (place: string | undefined) =>
    isResumed && place !== undefined && log.place !== undefined && isBehind(place, log.place) === true
  let seq =
    after === undefined ? log.seq : isAhead(after) ? undefined : seqBehind(options, subscription, after)
  const begunAt = log.seq
  for (const event of options.standing?.(channel, after) ?? []) {
    if (subscription.ending !== undefined) return undefined
    if (options.wants(event)) await reader.event(event, channel)
  }
  /** What came before the subscription is delivered by what the reader may hear now. */
  const mayHear = (event: T) => {
    const of = options.channelOf(event)
    return of === undefined || subscription.covers(of)
  }
  let place = after
  for (;;) {
    if (!subscription.isProved) await subscription.prove()
    if (subscription.ending !== undefined) return undefined
    if (seq === undefined) {
      const replayed = await replay(options, subscription, place as string, begunAt, reader)
      place = replayed.place
      progress.after = place
      seq = replayed.seq
      continue
    }
    const entries: readonly Entry<T>[] | undefined = log.since(seq, 100)
    if (entries === undefined) {
      // It fell behind what is remembered. Without a place there is no way back.
      if (place === undefined) {
        await reader.event(options.makeGap(undefined), channel)
        seq = log.seq
      } else seq = seqBehind(options, subscription, place)
      continue
    }
    if (entries.length === 0) {
      if (!isAhead(place)) return seq
      await nextEntry(subscription, options.signal)
      options.signal.throwIfAborted()
      continue
    }
    for (const entry of entries) {
      if (subscription.ending !== undefined) return undefined
      if (!subscription.isProved) break
      const isKnown =
        place !== undefined && entry.place !== undefined && isBehind(entry.place, place) === false
      if (!isKnown && options.wants(entry.event) && mayHear(entry.event))
        await reader.event(entry.event, channel)
      options.signal.throwIfAborted()
      seq = entry.seq
      if (options.isGap(entry.event)) place = undefined
      else if (!isKnown) place = entry.place ?? place
      progress.after = place
    }
  }
}

/** The entry a place is at; undefined when the log has not got all that the reader may hear behind it. */
function seqBehind<Owner, T>(
  { isBehind }: FeedOptions<Owner, T>,
  { channel: { log }, begin }: Subscription<T>,
  place: string,
): number | undefined {
  if (place === begin.place) return begin.seq
  const exact = log.seqOf(place)
  if (exact !== undefined) return exact < begin.seq ? undefined : exact
  // Places of other channels are not among the entries; where places can be compared, that is no matter.
  if (begin.place === undefined || isBehind(begin.place, place) !== false) return undefined
  return log.seqUpTo(place, (a, b) => isBehind(a, b) === true)
}

/** Delivers what the channel's log has not got, until the two meet. Without a `seq` it was ended, or has to begin again. */
async function replay<Owner, T>(
  options: FeedOptions<Owner, T>,
  subscription: Subscription<T>,
  after: string,
  begunAt: number,
  reader: EventReader<T>,
): Promise<{ seq: number | undefined; place: string }> {
  const { channel } = subscription
  const { log } = channel
  const { place: begin, seq: beginSeq } = subscription.begin
  let place = after
  // To a reader who is ahead of the channel nothing is replayed, but it is told when the upstream has forgotten the place.
  const isAhead = begin !== undefined && options.isBehind(begin, after) === false
  const events = options.replay(after, isAhead ? after : begin)
  const met = Promise.withResolvers<'met'>()
  // The channel may be told of the reader's last event only after the replay was.
  const stopListening = channel.listen((entry) => {
    if (entry.place === place) met.resolve('met')
  })
  try {
    for (;;) {
      const next = events.next()
      next.catch(() => undefined)
      const result = await Promise.race([next, met.promise, subscription.ended.then(() => 'ended' as const)])
      options.signal.throwIfAborted()
      if (result === 'ended' || subscription.ending !== undefined) return { seq: undefined, place }
      // The upstream allowed this replay before it took a channel away.
      if (!subscription.isProved) return { seq: undefined, place }
      if (result === 'met') return { seq: log.seqOf(place), place }
      if (result.done === true) return { seq: events.isFinite ? beginSeq : undefined, place }
      const event = result.value
      if (options.isGap(event)) {
        await reader.event(event, channel)
        return { seq: begunAt, place }
      }
      const reached = options.offsetOf(event)
      if (reached === undefined) continue
      if (options.wants(event)) await reader.event(event, channel)
      place = reached
      const seq = log.seqOf(place)
      if (seq !== undefined && seq >= beginSeq) return { seq, place }
    }
  } catch (error) {
    // A replay its reader cannot keep up with begins again where the reader is.
    if (error instanceof GatewayError && error.code === 'SLOW_CONSUMER') return { seq: undefined, place }
    throw error
  } finally {
    stopListening()
    await events.return?.()
  }
}

/** Resolves when the channel receives of something, or the reader has to go. */
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
