/** Allows an action `burst` times at once, and `perSecond` times a second on average. */
export class TokenBucket {
  readonly #burst: number
  readonly #perMs: number
  readonly #now: () => number
  #tokens: number
  #at: number

  constructor(
    { burst, perSecond }: { readonly burst: number; readonly perSecond: number },
    now: () => number = Date.now,
  ) {
    this.#burst = burst
    this.#perMs = perSecond / 1000
    this.#now = now
    this.#tokens = burst
    this.#at = now()
  }

  /** Whether the action is allowed once more. */
  take(): boolean {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(now - this.#at, 0) * this.#perMs)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
