import type { Hub } from './principal-hub.ts'

/**
 * Knows whether something happened that a caller could see. It listens with each caller's own rights, to whoever asks
 * again and again, and for as long as they do.
 */
export interface ChangeTracker<Owner> {
  /**
   * A number that is another one as soon as something happened; the same at two times says that nothing did in between.
   * Undefined while nobody would say so: then nothing is known.
   */
  markOf(owner: Owner): number | undefined
  /** The caller changed something. */
  changed(key: string): void
  close(): void
}

export interface ChangeTrackerOptions<Owner, Event> {
  readonly hub: Hub<Owner, Event>
  readonly keyOf: (owner: Owner) => string
  /** How the stream is, for events that say so. */
  readonly stateOf: (event: Event) => 'live' | 'interrupted' | undefined
  /** Whether an event changes nothing that could be read. */
  readonly isPassing: (event: Event) => boolean
  /** How the stream of a caller is at this moment. */
  readonly isLive: (key: string) => boolean
  /** Reads something with the rights of a caller. @throws when the upstream refuses, fails or does not answer in time */
  readonly confirm: (owner: Owner) => Promise<void>
  /** Without a confirmation for this long nothing is known of a caller, whatever their stream says. */
  readonly confirmWithinMs: number
  /** Hears of each caller for whom something happened: what is being read may be of before. */
  readonly onChange: (key: string) => void
  /** A stream is kept for so long behind the last question; a minute unless given. */
  readonly idleMs?: number
  readonly now?: () => number
}

/** Somebody who asks again within this time is listened for. */
const againMs = 10_000
/** How long it is left alone when that came to an end. */
const restMs = 10_000
const defaultIdleMs = 60_000
/**
 * So many callers are listened for at most, each of whom takes a stream, and so many are remembered. Where all places are
 * taken by callers who go on asking, others have none: to change places all the time would be work for nobody.
 */
const maxListened = 200
const maxCallers = 2000

/** What is known of one caller. */
interface World {
  mark: number
  isLive: boolean
  askedAt: number
  /** Set while it is listened for. */
  watching: AbortController | undefined
  /** It is not tried earlier. */
  watchFrom: number
  /** When the last check that confirmed the access began, in milliseconds of `now`. */
  confirmedAt: number
  isConfirming: boolean
}

export function createChangeTracker<Owner, Event>(
  options: ChangeTrackerOptions<Owner, Event>,
): ChangeTracker<Owner> {
  const { hub, keyOf, idleMs = defaultIdleMs, now = Date.now } = options
  // In the order they asked last; those that are listened for once more.
  const worlds = new Map<string, World>()
  const listened = new Map<string, World>()
  let latest = 0

  function bump(key: string, world: World): void {
    latest += 1
    world.mark = latest
    options.onChange(key)
  }

  /** The stream of a caller may be silent because it hangs, so it does not prove alone that they still have access. */
  async function confirm(owner: Owner, world: World): Promise<void> {
    const begunAt = now()
    world.isConfirming = true
    try {
      await options.confirm(owner)
      world.confirmedAt = begunAt
    } catch {
      // It is tried again at the next question.
      world.confirmedAt = Number.NEGATIVE_INFINITY
    } finally {
      world.isConfirming = false
    }
  }

  function forget(key: string, world: World): void {
    world.isLive = false
    world.watching?.abort()
    if (worlds.get(key) === world) worlds.delete(key)
  }

  /** Whether there is a place, or one whose owner seems to have gone. */
  function hasPlace(time: number): boolean {
    if (listened.size < maxListened) return true
    const [silent] = listened
    if (silent === undefined || time - silent[1].askedAt < againMs) return false
    forget(...silent)
    return listened.size < maxListened
  }

  async function watch(owner: Owner, key: string, world: World): Promise<void> {
    const watching = new AbortController()
    const { signal } = watching
    world.watching = watching
    listened.set(key, world)
    const giveUp = () => {
      if (listened.get(key) === world) listened.delete(key)
    }
    signal.addEventListener('abort', giveUp)
    let leave = () => {}
    try {
      const subscription = await hub.subscribe(
        { owner, channels: 'all', isPrivate: true, isFleeting: true },
        signal,
      )
      const stop = subscription.channel.listen(({ event }) => {
        const state = options.stateOf(event)
        if (state !== undefined) world.isLive = state === 'live'
        if (!options.isPassing(event)) bump(key, world)
      })
      leave = () => {
        stop()
        subscription.leave()
      }
      signal.addEventListener('abort', leave)
      bump(key, world)
      world.isLive = options.isLive(key)
      void confirm(owner, world)
      await subscription.ended
    } catch {
      // Whoever may not listen, or cannot, reads each time.
    }
    leave()
    giveUp()
    world.isLive = false
    world.watching = undefined
    world.watchFrom = now() + restMs
  }

  const sweep = setInterval(() => {
    for (const [key, world] of worlds) if (now() - world.askedAt > idleMs) forget(key, world)
  }, idleMs / 4)
  sweep.unref()

  return {
    markOf(owner) {
      const key = keyOf(owner)
      const time = now()
      let world = worlds.get(key)
      if (world === undefined)
        world = {
          ...{ mark: 0, isLive: false, askedAt: Number.NEGATIVE_INFINITY },
          ...{ watching: undefined, watchFrom: 0 },
          ...{ confirmedAt: Number.NEGATIVE_INFINITY, isConfirming: false },
        }
      else worlds.delete(key)
      worlds.set(key, world)
      const isAgain = time - world.askedAt < againMs
      world.askedAt = time
      if (world.watching !== undefined) {
        listened.delete(key)
        listened.set(key, world)
      } else if (isAgain && time >= world.watchFrom && hasPlace(time)) void watch(owner, key, world)
      if (worlds.size > maxCallers) {
        const [oldest] = worlds
        if (oldest !== undefined) forget(...oldest)
      }
      if (!world.isLive) return undefined
      const age = time - world.confirmedAt
      if (age > options.confirmWithinMs / 2 && !world.isConfirming) void confirm(owner, world)
      return age <= options.confirmWithinMs ? world.mark : undefined
    },
    changed(key) {
      const world = worlds.get(key)
      if (world !== undefined) bump(key, world)
    },
    close() {
      clearInterval(sweep)
      for (const [key, world] of [...worlds]) forget(key, world)
    },
  }
}
