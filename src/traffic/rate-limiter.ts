import { RateLimitedError } from '../errors.ts'

/** How much one principal may still do of something. */
export interface RateLimit {
  readonly limit: number
  readonly remaining: number
  /** When all of them are there again, in milliseconds since the epoch. */
  readonly resetsAt: number
}

/** What each principal may do: so many a minute, which come back evenly. Kept in memory, bounded. */
export interface RateLimiter {
  /** Whether there is a limit at all. */
  readonly isLimited: boolean
  /** @throws RateLimitedError when none is left, saying when the next one is */
  take(principal: string): void
  /**
   * Takes `amount`, one unless given.
   *
   * @returns undefined, or in how many milliseconds there is enough; nothing is taken then
   */
  tryTake(principal: string, amount?: number): number | undefined
  /** Gives back what was taken and is not to count. */
  giveBack(principal: string): void
  /** @throws RateLimitedError when nothing is left, without taking any */
  expect(principal: string): void
  /** Takes what work has cost that is done: perhaps more than is left, which is made up for before there is more. */
  charge(principal: string, amount: number): void
  of(principal: string): RateLimit
}

interface Bucket {
  tokens: number
  at: number
}

/** The principals asked for longest ago are forgotten first; theirs is full by then, or nearly. */
const maxPrincipals = 10_000

/**
 * @param perMinute 0 for as many as they like
 * @param what is counted, such as "requests"
 */
export function createRateLimiter(
  perMinute: number,
  what: string,
  now: () => number = Date.now,
): RateLimiter {
  const buckets = new Map<string, Bucket>()
  const perMs = perMinute / 60_000

  function refill(principal: string): Bucket {
    const time = now()
    const bucket = buckets.get(principal) ?? { tokens: perMinute, at: time }
    bucket.tokens = Math.min(perMinute, bucket.tokens + Math.max(time - bucket.at, 0) * perMs)
    bucket.at = time
    buckets.delete(principal)
    buckets.set(principal, bucket)
    if (buckets.size > maxPrincipals) buckets.delete(buckets.keys().next().value ?? '')
    return bucket
  }

  function tryTake(principal: string, amount: number): number | undefined {
    if (perMinute === 0) return undefined
    const bucket = refill(principal)
    if (bucket.tokens < amount) return Math.ceil((amount - bucket.tokens) / perMs)
    bucket.tokens -= amount
    return undefined
  }

  function refuse(waitMs: number): never {
    throw new RateLimitedError(`You have made ${perMinute} ${what} in a minute, which is all you may`, waitMs)
  }

  return {
    isLimited: perMinute !== 0,
    take(principal) {
      const waitMs = tryTake(principal, 1)
      if (waitMs !== undefined) refuse(waitMs)
    },
    tryTake: (principal, amount = 1) => tryTake(principal, amount),
    giveBack(principal) {
      const bucket = refill(principal)
      bucket.tokens = Math.min(perMinute, bucket.tokens + 1)
    },
    expect(principal) {
      const { tokens } = refill(principal)
      if (perMinute !== 0 && tokens < 1) refuse(Math.ceil((1 - tokens) / perMs))
    },
    charge(principal, amount) {
      if (perMinute === 0) return
      const bucket = refill(principal)
      bucket.tokens = Math.max(bucket.tokens - amount, -perMinute)
    },
    of(principal) {
      const { tokens, at } = refill(principal)
      const missing = perMinute - tokens
      return {
        limit: perMinute,
        remaining: Math.max(Math.floor(tokens), 0),
        resetsAt: perMinute === 0 ? at : at + Math.ceil(missing / perMs),
      }
    },
  }
}
