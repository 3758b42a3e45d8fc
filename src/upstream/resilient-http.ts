import { UpstreamError } from '../errors.ts'
import { sleep } from '../sleep.ts'
import type { Http, HttpRequest } from './http.ts'

export interface ResilienceOptions {
  /** How long one call may take; no repetition begins after half of it. */
  readonly deadlineMs: number
  /** From 0 to 1, as `Math.random`. */
  readonly random?: () => number
}

export interface ResilientHttp extends Http {
  /** For operators: the pages that are left alone, with the origin alone for a whole upstream. */
  state(): { readonly openBreakers: readonly string[]; readonly retries: number; readonly refusals: number }
}

/** A read that failed is made again once for each, after up to so much time. */
const retryDelaysMs = [100, 400]
/** Each call earns this much of a repetition, and so many may be saved up: an outage is not made worse. */
const retryBudget = { perCall: 0.2, saved: 10 }
/**
 * The breaker of a page opens when half of its latest operations failed, if there were as many in that time. That of the
 * upstream opens when as many operations on several pages failed and none on any page succeeded.
 */
const breaker = { calls: 20, windowMs: 10_000, failureShare: 0.5, firstPauseMs: 500, longestPauseMs: 4000 }
/** Fewer failing pages say nothing of the upstream as a whole. */
const outagePages = 5
/** Pages whose failures are remembered; the ones that failed first are forgotten. */
const maxFailingPages = 500

/**
 * Calls that survive a short failure of the upstream without making it worse. A read that failed is made again after a
 * random time, within a budget; a write is never repeated. A page, that is a URL with its query, that keeps failing is
 * left alone for a moment, in which reads of it fail at once; then one read finds out how it is. The other pages go on, unless
 * nothing succeeds anywhere: then the whole upstream is left alone in the same way. An operation counts once, however
 * often it was repeated. Streams and files go past this: they have readers who supervise them.
 */
export function createResilientHttp(
  http: Http,
  { deadlineMs, random = Math.random }: ResilienceOptions,
): ResilientHttp {
  const upstreams = new Map<string, UpstreamBreakers>()
  let credits = retryBudget.saved
  let retries = 0
  let refusals = 0

  function breakersOf(origin: string): UpstreamBreakers {
    const known = upstreams.get(origin) ?? new UpstreamBreakers(random)
    upstreams.set(origin, known)
    return known
  }

  /** @param mayRepeat false for the read that finds out how a page is */
  async function attempt(request: HttpRequest, mayRepeat: boolean) {
    const begun = performance.now()
    credits = Math.min(credits + retryBudget.perCall, retryBudget.saved)
    for (const delayMs of mayRepeat ? retryDelaysMs : []) {
      try {
        return await http.request(request)
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
        await sleep(random() * delayMs, request.signal)
      }
    }
    return http.request(request)
  }

  return {
    ...http,
    async request(request) {
      const { url, method } = request
      const breakers = breakersOf(url.origin)
      const page = method === 'GET' ? url.pathname + url.search : undefined
      const permit = breakers.enter(page)
      if ('waitMs' in permit) {
        refusals += 1
        throw new UpstreamError(
          'UPSTREAM_UNAVAILABLE',
          'The upstream fails at present and is left alone for a moment',
          { retryAfterMs: Math.ceil(permit.waitMs) },
        )
      }
      let outcome: Outcome = 'left'
      try {
        const response = await attempt(request, !permit.isProbe)
        outcome = 'answered'
        return response
      } catch (error) {
        // A caller who leaves says nothing of the upstream, and a write that fails nothing of its reads: disks are full.
        if (error instanceof UpstreamError && error.retryable) outcome = method === 'GET' ? 'failed' : 'left'
        else if (request.signal?.aborted !== true) outcome = 'answered'
        throw error
      } finally {
        permit.leave(outcome)
      }
    },
    state: () => ({
      openBreakers: [...upstreams].flatMap(([origin, breakers]) =>
        breakers.open.map((page) => origin + page),
      ),
      retries,
      refusals,
    }),
  }
}

type Outcome = 'answered' | 'failed' | 'left'

type Permit =
  | { readonly waitMs: number }
  | {
      /** Whether the operation finds out how a page or the upstream is. */
      readonly isProbe: boolean
      /** Every operation that was let through ends here. */
      readonly leave: (outcome: Outcome) => void
    }

/** The breaker of one upstream, and those of its failing pages. */
class UpstreamBreakers {
  readonly #random: () => number
  readonly #whole: Breaker
  readonly #pages = new Map<string, Breaker>()
  /** The latest operations that failed since one succeeded, oldest first. */
  #failures: { readonly at: number; readonly page: string }[] = []

  constructor(random: () => number) {
    this.#random = random
    this.#whole = new Breaker(random)
  }

  /** The pages that are left alone; a blank one for the whole upstream. */
  get open(): string[] {
    const pages = [...this.#pages]
      .filter(([, { isOpen }]) => isOpen)
      .map(([page]) => page.replace(/\?.*/, ''))
    return this.#whole.isOpen ? ['', ...pages] : pages
  }

  /** @param page undefined for a write, which only an outage of the whole upstream holds up */
  enter(page: string | undefined): Permit {
    const own = page === undefined ? undefined : this.#pages.get(page)
    const waitMs = Math.max(this.#whole.waitMs, own?.waitMs ?? 0)
    if (waitMs > 0) return { waitMs }
    const probed = [this.#whole, own].filter((each) => each?.isOpen) as Breaker[]
    for (const each of probed) each.beginProbe()
    return {
      isProbe: probed.length > 0,
      leave: (outcome) => {
        for (const each of probed) each.endProbe(outcome)
        this.#note(page, outcome, probed.length > 0)
      },
    }
  }

  #note(page: string | undefined, outcome: Outcome, isProbe: boolean): void {
    if (outcome === 'left') return
    if (outcome === 'answered') this.#failures = []
    if (page === undefined) return
    const known = this.#pages.get(page)
    if (outcome === 'answered') {
      if (known !== undefined && !known.isOpen) {
        known.note(false)
        if (known.isClean) this.#pages.delete(page)
      }
      return
    }
    if (!isProbe) this.#fail(page, known)
  }

  #fail(page: string, known: Breaker | undefined): void {
    const own = known ?? new Breaker(this.#random)
    if (known === undefined) {
      this.#pages.set(page, own)
      const [first] = this.#pages.keys()
      if (this.#pages.size > maxFailingPages && first !== undefined) this.#pages.delete(first)
    }
    if (!own.isOpen && own.note(true)) own.open()
    const now = performance.now()
    this.#failures = [...this.#failures, { at: now, page }]
      .filter(({ at }) => now - at < breaker.windowMs)
      .slice(-breaker.calls)
    const isOutage =
      this.#failures.length >= breaker.calls &&
      new Set(this.#failures.map((failure) => failure.page)).size >= outagePages
    if (isOutage && !this.#whole.isOpen) this.#whole.open()
  }
}

/** Lets operations through, or not. */
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

  /** Whether none of the latest operations failed. */
  get isClean(): boolean {
    return !this.#outcomes.some(({ failed }) => failed)
  }

  /** How long an operation has to wait; 0 for one that is let through. */
  get waitMs(): number {
    if (!this.isOpen) return 0
    if (this.#isProbing) return breaker.firstPauseMs
    return Math.max(this.#openUntil - performance.now(), 0)
  }

  beginProbe(): void {
    this.#isProbing = true
  }

  endProbe(outcome: Outcome): void {
    this.#isProbing = false
    if (outcome === 'failed') this.open()
    else if (outcome === 'answered') {
      this.#pauseMs = 0
      this.#outcomes = []
    }
  }

  /** @returns whether so many failed that it should open */
  note(failed: boolean): boolean {
    const now = performance.now()
    this.#outcomes.push({ at: now, failed })
    if (this.#outcomes.length > breaker.calls) this.#outcomes.shift()
    const recent = this.#outcomes.filter(({ at }) => now - at < breaker.windowMs)
    const failures = recent.filter((outcome) => outcome.failed).length
    return recent.length >= breaker.calls && failures >= recent.length * breaker.failureShare
  }

  open(): void {
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, breaker.firstPauseMs), breaker.longestPauseMs)
    this.#openUntil = performance.now() + this.#pauseMs * (0.75 + this.#random() / 4)
  }
}
