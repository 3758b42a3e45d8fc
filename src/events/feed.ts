import { GatewayError } from '../errors.ts'
import type { Channel, Ending, Hub, Topic } from './hub.ts'
import type { Entry } from './recent-log.ts'

/** Who reads a feed. */
export interface FeedReader<T> {
  /** An event for this reader alone, while it catches up. Resolves when it can take the next. */
  event(event: T): Promise<void>
  /**
   * It has caught up: the entries of `channel` behind `seq` are next, as they come. It leaves when the returned
   * function is called, which answers the number of the last entry it took.
   */
  live(channel: Channel<T>, seq: number): () => number
  /** There is no more. */
  end(error: unknown): void
}

export interface FeedOptions<Owner, T> {
  readonly hub: Hub<Owner, T>
  readonly topic: Topic<Owner>
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
  readonly placeOf: (event: T) => string | undefined
  /** Whether a replay says with it that it cannot have all that was missed. */
  readonly isGap: (event: T) => boolean
  /**
   * What holds at a channel at this moment and is among no events, such as who is there: it comes first.
   *
   * @param place where its reader is, who goes on from there if they come back; with what happens when undefined
   */
  readonly standing?: ((channel: Channel<T>, place: string | undefined) => readonly T[]) | undefined
  /** Says that what happened behind a place is lost. */
  readonly makeGap: (after: string | undefined) => T
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
  reader: FeedReader<T>,
): Promise<void> {
  const { hub, topic, signal } = options
  let after = options.after
  let isDisplaced = false
  try {
    for (;;) {
      const seat = await hub.subscribe(topic, signal)
      try {
        const { channel } = seat
        if (isDisplaced && after === undefined) await reader.event(options.makeGap(undefined))
        const ending = watch(seat.ended)
        const seq = await catchUp(options, channel, after, reader, ending)
        if (seq === undefined) {
          after = ending.after ?? after
        } else {
          const leave = reader.live(channel, seq)
          await Promise.race([seat.ended, aborted(signal)])
          after = channel.log.placeAt(leave()) ?? after
        }
        signal.throwIfAborted()
        const { kind, ...rest } = await seat.ended
        if (kind === 'failed') throw (rest as { error: unknown }).error
        isDisplaced = true
      } finally {
        seat.leave()
      }
    }
  } catch (error) {
    if (!signal.aborted) reader.end(error)
  }
}

/** What became of a seat, and how far its reader was told of the upstream's log by then. */
interface Watch {
  readonly ended: Promise<Ending>
  isOver: boolean
  after: string | undefined
}

function watch(ended: Promise<Ending>): Watch {
  const state: Watch = { ended, isOver: false, after: undefined }
  void ended.then(() => {
    state.isOver = true
  })
  return state
}

/** Resolves with the number of the entry the reader is at; undefined when the seat was taken away first. */
async function catchUp<Owner, T>(
  options: FeedOptions<Owner, T>,
  channel: Channel<T>,
  after: string | undefined,
  reader: FeedReader<T>,
  ending: Watch,
): Promise<number | undefined> {
  const { log } = channel
  let seq = after === undefined ? log.seq : seqBehind(options, channel, after)
  const begunAt = log.seq
  for (const event of options.standing?.(channel, after) ?? [])
    if (options.wants(event)) await reader.event(event)
  let place = after
  for (;;) {
    if (seq === undefined) {
      const replayed = await replay(options, channel, place as string, begunAt, reader, ending)
      place = replayed.place
      ending.after = place
      if (ending.isOver) return undefined
      seq = replayed.seq
      if (seq === undefined) continue
    }
    const entries: readonly Entry<T>[] | undefined = log.since(seq, 100)
    if (entries === undefined) {
      // It fell behind what is remembered. Without a place there is no way back.
      if (place === undefined) {
        await reader.event(options.makeGap(undefined))
        seq = log.seq
      } else seq = seqBehind(options, channel, place)
      continue
    }
    if (entries.length === 0) return seq
    for (const entry of entries) {
      if (options.wants(entry.event)) await reader.event(entry.event)
      options.signal.throwIfAborted()
      seq = entry.seq
      place = entry.place ?? place
      ending.after = place
      if (ending.isOver) return undefined
    }
  }
}

/** The entry a place is at; undefined when the channel does not remember it. */
function seqBehind<Owner, T>(
  { isBehind }: FeedOptions<Owner, T>,
  { log }: Channel<T>,
  place: string,
): number | undefined {
  const exact = log.seqOf(place)
  if (exact !== undefined) return exact
  // Places of other channels are not among the entries; where places can be compared, that is no matter.
  if (log.begin === undefined || isBehind(log.begin, place) !== false) return undefined
  return log.seqUpTo(place, (a, b) => isBehind(a, b) === true)
}

/** Tells what is older than the channel's log, until the two meet. */
async function replay<Owner, T>(
  options: FeedOptions<Owner, T>,
  channel: Channel<T>,
  after: string,
  begunAt: number,
  reader: FeedReader<T>,
  ending: Watch,
): Promise<{ seq: number | undefined; place: string }> {
  const { log } = channel
  const { begin, beginSeq } = log
  let place = after
  const events = options.replay(after, begin)
  const met = Promise.withResolvers<'met'>()
  // The channel may be told of the reader's last event only after the replay was.
  const stopListening = channel.listen((entry) => {
    if (entry.place === place) met.resolve('met')
  })
  try {
    for (;;) {
      const next = events.next()
      next.catch(() => undefined)
      const result = await Promise.race([next, met.promise, ending.ended.then(() => 'ended' as const)])
      options.signal.throwIfAborted()
      if (result === 'ended') return { seq: undefined, place }
      if (result === 'met') return { seq: log.seqOf(place), place }
      if (result.done === true) return { seq: events.isFinite ? beginSeq : undefined, place }
      const event = result.value
      if (options.isGap(event)) {
        await reader.event(event)
        return { seq: begunAt, place }
      }
      const reached = options.placeOf(event)
      if (reached === undefined) continue
      if (options.wants(event)) await reader.event(event)
      place = reached
      const seq = log.seqOf(place)
      if (seq !== undefined) return { seq, place }
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

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
