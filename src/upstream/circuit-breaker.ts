import { UpstreamError } from '../errors.ts'
import type { Http } from './http.ts'

export interface CircuitBreakerOptions {
  /** Makes the read that probes a page or an upstream: once, without retries. */
  readonly probe: Http
  /** From 0 to 1, as `Math.random`. */
  readonly random?: () => number
}

export interface CircuitBreaker extends Http {
  /** Open breakers, as the URL of a page without its query, or as an origin where the whole upstream is refused. */
  state(): { readonly openBreakers: readonly string[]; readonly refusals: number }
}

/**
 * The breaker of a page opens when half of its latest operations failed, if there were this many in the window. That of the
 * upstream opens when as many operations on several pages failed and none on any page succeeded.
 */
const breaker = { calls: 20, windowMs: 10_000, failureShare: 0.5, firstPauseMs: 500, longestPauseMs: 4000 }
/** With fewer failing pages, the upstream as a whole counts as working. */
const outagePages = 5
/** Pages whose failures are remembered; past it the page that failed first is forgotten. */
const maxFailingPages = 500

/**
 * Refuses reads of a page (a URL with its query) that keeps failing, for a moment, and then lets one read probe it. Other
 * pages are unaffected, unless no operation succeeds anywhere: then the whole upstream is refused and probed in the same way.
 * An operation counts once, however often `http` retries it. Streams and files bypass this: their readers supervise them.
 */
export function createCircuitBreaker(
  http: Http,
  { probe, random = Math.random }: CircuitBreakerOptions,
): CircuitBreaker {
  const upstreams = new Map<string, UpstreamBreakers>()
  let refusals = 0

  function breakersOf(origin: string): UpstreamBreakers {
    const known = upstreams.get(origin) ?? new UpstreamBreakers(random)
    upstreams.set(origin, known)
    return known
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
          'The upstream keeps failing; try again after the pause',
          { retryAfterMs: Math.ceil(permit.waitMs) },
        )
      }
      let outcome: Outcome = 'unknown'
      try {
        const response = await (permit.isProbe ? probe : http).request(request)
        outcome = 'succeeded'
        return response
      } catch (error) {
        // A failed write says nothing about reads (the disk may be full), and neither does a client that leaves.
        if (error instanceof UpstreamError && error.retryable)
          outcome = method === 'GET' ? 'failed' : 'unknown'
        else if (request.signal?.aborted !== true) outcome = 'succeeded'
        throw error
      } finally {
        permit.leave(outcome)
      }
    },
    state: () => ({
      openBreakers: [...upstreams].flatMap(([origin, breakers]) =>
        breakers.open.map((page) => origin + page),
      ),
      refusals,
    }),
  }
}

/** `unknown` for an operation that says nothing about its page. */
type Outcome = 'succeeded' | 'failed' | 'unknown'

type Permit =
  | { readonly waitMs: number }
  | {
      /** Whether the operation probes a page or the upstream. */
      readonly isProbe: boolean
      /** Called once at the end of each permitted operation. */
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

  /** The refused pages; a blank one for the whole upstream. */
  get open(): string[] {
    const pages = [...this.#pages]
      .filter(([, { isOpen }]) => isOpen)
      .map(([page]) => page.replace(/\?.*/, ''))
    return this.#whole.isOpen ? ['', ...pages] : pages
  }

  /** @param page undefined for a write, which is only refused when the whole upstream is */
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
    if (outcome === 'unknown') return
    if (outcome === 'succeeded') this.#failures = []
    if (page === undefined) return
    const known = this.#pages.get(page)
    if (outcome === 'succeeded') {
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

/** Counts outcomes; closed, open, or half open while a probe is under way. */
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

  /** Milliseconds until an operation may begin; 0 for one that may begin now. */
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
    else if (outcome === 'succeeded') {
      this.#pauseMs = 0
      this.#outcomes = []
    }
  }

  /** @returns whether enough operations failed for it to open */
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
