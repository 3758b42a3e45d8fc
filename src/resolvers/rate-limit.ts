import type { Context } from '../context.ts'
import type { RateLimit } from '../upstream/flowdock/allowance.ts'

export function rateLimit(_: unknown, __: unknown, context: Context): RateLimit | null {
  return context.rateLimit()
}

export function used(_: RateLimit, __: unknown, { callCount }: Context): number {
  return callCount()
}
