import { GatewayError } from '../errors.ts'

export interface ResumeOptions<T> {
  /** Events from now on; it stands already. */
  readonly live: AsyncIterableIterator<T>
  /** Events after a place, and then, without an end, those that happen. */
  readonly replay: (after: string) => AsyncIterableIterator<T>
  readonly after: string
  /** Where an event stands in the log; undefined for what is kept nowhere. Equal in both. */
  readonly placeOf: (event: T) => string | undefined
  /** Whether a replay says with it that it cannot have all that was missed. */
  readonly isGap: (event: T) => boolean
}

/** How many places are remembered to know a live event by that the replay had already. */
const maxPlaces = 20_000

/**
 * What was missed, then what happens: each event once, in order, with none between the two left out. Live events wait
 * in their own queue from the beginning. The replay goes on until it meets the first of them, whichever of the two is
 * ahead; from there on it is the live events' turn. A replay with a gap may never meet them, so it is their turn at
 * once. A replay its reader cannot keep up with begins again where the reader is. `return()` takes effect at once, also
 * while the reader waits for an event that never comes.
 */
export function resume<T>(options: ResumeOptions<T>): AsyncIterableIterator<T> {
  const { live } = options
  let replay: AsyncIterableIterator<T> | undefined
  const events = join(options, (after) => {
    replay = options.replay(after)
    return replay
  })
  return {
    next: () => events.next(),
    async return() {
      // Whatever it waits for comes to an end.
      await live.return?.()
      await replay?.return?.()
      return events.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

async function* join<T>(
  { live, placeOf, isGap, after }: ResumeOptions<T>,
  openReplay: (after: string) => AsyncIterableIterator<T>,
): AsyncGenerator<T, undefined, undefined> {
  const told = new Set<string>()
  const isTold = (event: T) => told.has(placeOf(event) ?? '')
  let last = after
  let replay = openReplay(last)
  /** The first live event that has a place. */
  let head: T | undefined
  let liveNext: Promise<'live'> | undefined
  const readLive = () =>
    live.next().then(({ done, value }) => {
      liveNext = undefined
      if (done === true) throw new Ended()
      if (placeOf(value) !== undefined) head = value
      return 'live' as const
    })

  const readReplay = (): Promise<IteratorResult<T> | 'too slow'> => {
    const next = replay.next().catch((error: unknown) => {
      if (isTooSlow(error)) return 'too slow' as const
      throw error
    })
    // Somebody waits for it later, or nobody any more.
    next.catch(() => undefined)
    return next
  }

  try {
    let replayNext = readReplay()
    for (;;) {
      if (head !== undefined && isTold(head)) break
      if (head === undefined) liveNext ??= readLive()
      const result = await (liveNext === undefined ? replayNext : Promise.race([replayNext, liveNext]))
      if (result === 'live') continue
      if (result === 'too slow') {
        replay = openReplay(last)
        replayNext = readReplay()
        continue
      }
      if (result.done === true) return undefined
      if (isGap(result.value)) {
        yield result.value
        await replay.return?.()
        await liveNext
        if (head !== undefined && !isTold(head)) yield head
        for await (const event of live) if (!isTold(event)) yield event
        return undefined
      }
      const reached = placeOf(result.value)
      if (reached !== undefined) {
        last = reached
        told.add(reached)
        if (told.size > maxPlaces) told.delete(told.values().next().value ?? '')
      }
      yield result.value
      replayNext = readReplay()
    }
    await replay.return?.()
    yield* behind(live, head as T, last, placeOf)
  } catch (error) {
    if (!(error instanceof Ended)) throw error
    return undefined
  } finally {
    liveNext?.catch(() => undefined)
    await replay.return?.()
    await live.return?.()
  }
}

/** Live events behind the last one that was told. */
async function* behind<T>(
  live: AsyncIterableIterator<T>,
  head: T,
  last: string,
  placeOf: (event: T) => string | undefined,
): AsyncGenerator<T> {
  let isTold = placeOf(head) !== last
  for await (const event of live) {
    if (!isTold) {
      yield event
      continue
    }
    if (placeOf(event) === last) isTold = false
  }
}

/** The live events ended, and everything with them. */
class Ended extends Error {}

function isTooSlow(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'SLOW_CONSUMER'
}
