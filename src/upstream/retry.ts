import { UpstreamError } from '../errors.ts'
import { sleep } from '../sleep.ts'
import { type Http, type HttpRequest, isRead } from './http.ts'

export interface RetryOptions {
  /** The deadline of one call in milliseconds. No retry begins after half of it. */
  readonly deadlineMs: number
  /** From 0 to 1, as `Math.random`. */
  readonly random?: () => number
}

export interface RetryingHttp extends Http {
  /** Retries since the start. */
  readonly retries: number
}

/** The longest pause before each retry; the pause is random, so that clients do not retry together. */
const longestPausesMs = [100, 400]
/** Each call earns a share of a retry, and few can be saved, so that retries do not make an outage worse. */
const budget = { perCall: 0.2, saved: 10 }

/** Repeats a read whose connection or upstream failed, within a budget. A write is never repeated. */
export function createRetry(http: Http, { deadlineMs, random = Math.random }: RetryOptions): RetryingHttp {
  let credits = budget.saved
  let retries = 0

  function mayRetry({ method }: HttpRequest, error: unknown, begunAt: number): boolean {
    return (
      isRead(method) &&
      error instanceof UpstreamError &&
      error.code === 'UPSTREAM_UNAVAILABLE' &&
      error.retryAfterMs === undefined &&
      performance.now() - begunAt < deadlineMs / 2 &&
      credits >= 1
    )
  }

  return {
    ...http,
    async request(request) {
      const begunAt = performance.now()
      credits = Math.min(credits + budget.perCall, budget.saved)
      for (const longestPauseMs of longestPausesMs) {
        try {
          return await http.request(request)
        } catch (error) {
          if (!mayRetry(request, error, begunAt)) throw error
          credits -= 1
          retries += 1
          await sleep(random() * longestPauseMs, request.signal)
        }
      }
      return http.request(request)
    },
    get retries() {
      return retries
    },
  }
}
