import type { Hub } from './principal-hub.ts'

/**
 * Knows whether data changed that a principal can see. For principals with frequent requests, it subscribes to all their events
 * with their own rights.
 */
export interface ChangeTracker<Owner> {
  /**
   * A number that changes with each event. The same number at two times means that no event came in between. Undefined while the
   * tracker would not notice events.
   */
  versionOf(owner: Owner): number | undefined
  /** The principal made a change. */
  changed(key: string): void
  close(): void
}

export interface ChangeTrackerOptions<Owner, Event> {
  readonly hub: Hub<Owner, Event>
  readonly keyOf: (owner: Owner) => string
  /** The state of the stream, for events that report it. */
  readonly stateOf: (event: Event) => 'live' | 'interrupted' | undefined
  /** Whether an event changes no data, such as typing. */
  readonly isPassing: (event: Event) => boolean
  /** Whether the stream of a principal is live now. */
  readonly isLive: (key: string) => boolean
  /** Checks the access of a principal by a read. @throws when the upstream refuses, fails or does not respond in time */
  readonly confirm: (owner: Owner) => Promise<void>
  /** Without a confirmed access for this long there is no version, even while the stream is live. */
  readonly confirmWithinMs: number
  /** Called for each principal with a change: reads in progress may be older than it. */
  readonly onChange: (key: string) => void
  /** How long a subscription stays open after the last request; a minute by default. */
  readonly idleMs?: number
  readonly now?: () => number
}

/** A principal with two requests within this time gets a subscription. */
const againMs = 10_000
/** The pause after a subscription ended. */
const restMs = 10_000
const defaultIdleMs = 60_000
/**
 * The most subscriptions, each of which needs an upstream stream, and the most principals that are remembered. While all
 * subscriptions belong to principals with frequent requests, others get none: exchanging them all the time would be useless work.
 */
const maxSubscriptions = 200
const maxPrincipals = 2000

/** The state of one principal. */
interface PrincipalState {
  version: number
  isLive: boolean
  askedAt: number
  /** Set while there is a subscription. */
  watching: AbortController | undefined
  /** No subscription is opened before this time. */
  watchFrom: number
  /** When the last check that confirmed the access began, in milliseconds of `now`. */
  confirmedAt: number
  isConfirming: boolean
}

export function createChangeTracker<Owner, Event>(
  options: ChangeTrackerOptions<Owner, Event>,
): ChangeTracker<Owner> {
  const { hub, keyOf, idleMs = defaultIdleMs, now = Date.now } = options
  // In the order of their latest requests; those with a subscription are in the second map, too.
  const principals = new Map<string, PrincipalState>()
  const subscribed = new Map<string, PrincipalState>()
  let latest = 0

  function bump(key: string, principal: PrincipalState): void {
    latest += 1
    principal.version = latest
    options.onChange(key)
  }

  /** A stream may be silent because it hangs, so it does not prove the access alone. */
  async function confirm(owner: Owner, principal: PrincipalState): Promise<void> {
    const begunAt = now()
    principal.isConfirming = true
    try {
      await options.confirm(owner)
      principal.confirmedAt = begunAt
    } catch {
      // The next request tries it again.
      principal.confirmedAt = Number.NEGATIVE_INFINITY
    } finally {
      principal.isConfirming = false
    }
  }

  function forget(key: string, principal: PrincipalState): void {
    principal.isLive = false
    principal.watching?.abort()
    if (principals.get(key) === principal) principals.delete(key)
  }

  /** Whether another subscription is allowed. One of a principal without recent requests is closed for it. */
  function hasRoom(time: number): boolean {
    if (subscribed.size < maxSubscriptions) return true
    const [silent] = subscribed
    if (silent === undefined || time - silent[1].askedAt < againMs) return false
    forget(...silent)
    return subscribed.size < maxSubscriptions
  }

  async function watch(owner: Owner, key: string, principal: PrincipalState): Promise<void> {
    const watching = new AbortController()
    const { signal } = watching
    principal.watching = watching
    subscribed.set(key, principal)
    const giveUp = () => {
      if (subscribed.get(key) === principal) subscribed.delete(key)
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
        if (state !== undefined) principal.isLive = state === 'live'
        if (!options.isPassing(event)) bump(key, principal)
      })
      leave = () => {
        stop()
        subscription.leave()
      }
      signal.addEventListener('abort', leave)
      bump(key, principal)
      principal.isLive = options.isLive(key)
      void confirm(owner, principal)
      await subscription.ended
    } catch {
      // Without a subscription, nothing is cached for the principal.
    }
    leave()
    giveUp()
    principal.isLive = false
    principal.watching = undefined
    principal.watchFrom = now() + restMs
  }

  const sweep = setInterval(() => {
    for (const [key, principal] of principals) if (now() - principal.askedAt > idleMs) forget(key, principal)
  }, idleMs / 4)
  sweep.unref()

  return {
    versionOf(owner) {
      const key = keyOf(owner)
      const time = now()
      let principal = principals.get(key)
      if (principal === undefined)
        principal = {
          ...{ version: 0, isLive: false, askedAt: Number.NEGATIVE_INFINITY },
          ...{ watching: undefined, watchFrom: 0 },
          ...{ confirmedAt: Number.NEGATIVE_INFINITY, isConfirming: false },
        }
      else principals.delete(key)
      principals.set(key, principal)
      const isAgain = time - principal.askedAt < againMs
      principal.askedAt = time
      if (principal.watching !== undefined) {
        subscribed.delete(key)
        subscribed.set(key, principal)
      } else if (isAgain && time >= principal.watchFrom && hasRoom(time)) void watch(owner, key, principal)
      if (principals.size > maxPrincipals) {
        const [oldest] = principals
        if (oldest !== undefined) forget(...oldest)
      }
      if (!principal.isLive) return undefined
      const age = time - principal.confirmedAt
      if (age > options.confirmWithinMs / 2 && !principal.isConfirming) void confirm(owner, principal)
      return age <= options.confirmWithinMs ? principal.version : undefined
    },
    changed(key) {
      const principal = principals.get(key)
      if (principal !== undefined) bump(key, principal)
    },
    close() {
      clearInterval(sweep)
      for (const [key, principal] of [...principals]) forget(key, principal)
    },
  }
}
