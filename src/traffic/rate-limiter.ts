import { RateLimitedError } from '../errors.ts'

/** The rate limit of one principal. */
export interface RateLimit {
  readonly limit: number
  readonly remaining: number
  /** When `remaining` is `limit` again, in milliseconds since the epoch. */
  readonly resetsAt: number
}

/** A rate limit for each principal: a number per minute, regained evenly. In memory, and bounded. */
export interface RateLimiter {
  /** Whether there is a limit. */
  readonly isLimited: boolean
  /** Takes one. @throws RateLimitedError when none is left, with the time until the next one */
  take(principal: string): void
  /**
   * Takes `amount`, by default one.
   *
   * @returns undefined, or the milliseconds until there is enough; then nothing is taken
   */
  tryTake(principal: string, amount?: number): number | undefined
  /** Returns one that should not count. */
  giveBack(principal: string): void
  /** Takes none. @throws RateLimitedError when none is left */
  expect(principal: string): void
  /** Takes the cost of completed work. It may exceed what is left; then the debt is regained first. */
  charge(principal: string, amount: number): void
  of(principal: string): RateLimit
}

interface Bucket {
  tokens: number
  at: number
}

/** The most principals. The least recently used are dropped first, when their buckets are nearly full again. */
const maxPrincipals = 10_000

/** @param perMinute 0 for no limit @param what the noun for messages, such as "requests" */
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
