import type { Context } from '../context.ts'
import type { RateLimit } from '../traffic/rate-limiter.ts'

export function rateLimit(_: unknown, __: unknown, context: Context): RateLimit | null {
  return context.rateLimit()
}

export function used(_: RateLimit, __: unknown, context: Context): number {
  return context.callCount()
}
