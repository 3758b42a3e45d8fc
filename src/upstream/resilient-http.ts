import { UpstreamError } from '../errors.ts'
import type { Http, HttpRequest } from './http.ts'

export interface ResilienceOptions {
  /** How long one call may take; no repetition begins after half of it. */
  readonly deadlineMs: number
  /** From 0 to 1, as `Math.random`. */
  readonly random?: () => number
}

export interface ResilientHttp extends Http {
  /** What an operator wants to see of it. */
  state(): { readonly openBreakers: readonly string[]; readonly retries: number; readonly refusals: number }
}

/** A read that failed is made again once for each, after up to so much time. */
const retryDelaysMs = [100, 400]
/** Each call earns this much of a repetition, and so many may be saved up: an outage is not made worse. */
const retryBudget = { perCall: 0.2, saved: 10 }
/** A breaker opens when half of the latest calls failed, if there were as many in that time. */
const breaker = { calls: 20, windowMs: 10_000, failureShare: 0.5, firstPauseMs: 500, longestPauseMs: 4000 }

/**
 * Calls that come through a bad moment of the upstream, and do not make it worse: reads that failed are made again after a
 * random time, within a budget; what changes something is never repeated. An upstream that fails at every other call is
 * left alone for a moment, in which calls fail at once; then one call finds out how it is. Streams and files go past this:
 * they have readers who supervise them.
 */
export function createResilientHttp(
  http: Http,
  { deadlineMs, random = Math.random }: ResilienceOptions,
): ResilientHttp {
  const breakers = new Map<string, Breaker>()
  let credits = retryBudget.saved
  let retries = 0
  let refusals = 0

  function breakerOf(origin: string): Breaker {
    const known = breakers.get(origin)
    if (known !== undefined) return known
    const made = new Breaker(random)
    breakers.set(origin, made)
    return made
  }

  async function call(request: HttpRequest) {
    const guard = breakerOf(request.url.origin)
    const { waitMs, isProbe } = guard.enter()
    if (waitMs > 0) {
      refusals += 1
      throw new UpstreamError(
        'UPSTREAM_UNAVAILABLE',
        'The upstream fails at present and is left alone for a moment',
        {
          retryAfterMs: Math.ceil(waitMs),
        },
      )
    }
    let outcome: 'answered' | 'failed' | 'left' = 'left'
    try {
      const answer = await http.request(request)
      outcome = 'answered'
      return answer
    } catch (error) {
      // A caller who leaves tells nothing of the upstream, and a write that fails nothing of its reads: disks are full.
      if (error instanceof UpstreamError && error.retryable)
        outcome = request.method === 'GET' ? 'failed' : 'left'
      else if (request.signal?.aborted !== true) outcome = 'answered'
      throw error
    } finally {
      guard.leave(isProbe, outcome)
    }
  }

  return {
    ...http,
    async request(request) {
      const begun = performance.now()
      credits = Math.min(credits + retryBudget.perCall, retryBudget.saved)
      for (const delayMs of retryDelaysMs) {
        try {
          return await call(request)
        } catch (error) {
          const isWorthIt =
            request.method === 'GET' &&
            error instanceof UpstreamError &&
            error.code === 'UPSTREAM_UNAVAILABLE' &&
            error.retryAfterMs === undefined &&
            performance.now() - begun < deadlineMs / 2
          if (!isWorthIt || credits < 1) throw error
          credits -= 1
          retries += 1
          await pause(random() * delayMs, request.signal)
        }
      }
      return call(request)
    },
    state: () => ({
      openBreakers: [...breakers].filter(([, { isOpen }]) => isOpen).map(([origin]) => origin),
      retries,
      refusals,
    }),
  }
}

/** Lets calls to one upstream through, or not. */
class Breaker {
  readonly #random: () => number
  /** The latest outcomes, oldest first. */
  #outcomes: { readonly at: number; readonly failed: boolean }[] = []
  #openUntil = 0
  #pauseMs = 0
  #isProbing = false

  constructor(random: () => number) {
    this.#random = random
  }

  get isOpen(): boolean {
    return this.#pauseMs > 0
  }

  /** Lets a call through when there is nothing to wait for. */
  enter(): { readonly waitMs: number; readonly isProbe: boolean } {
    if (!this.isOpen) return { waitMs: 0, isProbe: false }
    const waitMs = this.#openUntil - performance.now()
    if (waitMs > 0) return { waitMs, isProbe: false }
    if (this.#isProbing) return { waitMs: breaker.firstPauseMs, isProbe: false }
    this.#isProbing = true
    return { waitMs: 0, isProbe: true }
  }

  /** Every call that was let through ends here. */
  leave(isProbe: boolean, outcome: 'answered' | 'failed' | 'left'): void {
    if (isProbe) {
      this.#isProbing = false
      if (outcome === 'answered') this.#close()
      else if (outcome === 'failed') this.#open()
      return
    }
    if (this.isOpen || outcome === 'left') return
    const now = performance.now()
    this.#outcomes.push({ at: now, failed: outcome === 'failed' })
    if (this.#outcomes.length > breaker.calls) this.#outcomes.shift()
    if (outcome === 'answered') return
    const recent = this.#outcomes.filter(({ at }) => now - at < breaker.windowMs)
    const failures = recent.filter(({ failed }) => failed).length
    if (recent.length >= breaker.calls && failures >= recent.length * breaker.failureShare) this.#open()
  }

  #open(): void {
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, breaker.firstPauseMs), breaker.longestPauseMs)
    this.#openUntil = performance.now() + this.#pauseMs * (0.75 + this.#random() / 4)
  }

  #close(): void {
    this.#pauseMs = 0
    this.#outcomes = []
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', leave)
      resolve()
    }, ms)
    if (signal?.aborted === true) return leave()
    signal?.addEventListener('abort', leave, { once: true })
  })
}
