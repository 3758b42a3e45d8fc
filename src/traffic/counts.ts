import { RateLimitedError } from '../errors.ts'

/** The pause before a retry: it is unknown when a counted object ends. */
const pauseMs = 10_000

const takesNothing = () => undefined

/** Counts objects for each key, up to a limit. */
export class Counts {
  readonly #limit: number
  readonly #counts = new Map<string, number>()

  /** @param limit 0 for no limit */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** @returns a function that ends it; further calls do nothing @throws GatewayError `RATE_LIMITED` */
  take(key: string, describe: (limit: number) => string): () => void {
    // What is returned keeps the scope of its function in memory, so there is none without a limit.
    return this.#limit === 0 ? takesNothing : this.#take(key, describe)
  }

  #take(key: string, describe: (limit: number) => string): () => void {
    const count = this.#counts.get(key) ?? 0
    if (count >= this.#limit) throw new RateLimitedError(describe(this.#limit), pauseMs)
    this.#counts.set(key, count + 1)
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      const left = (this.#counts.get(key) ?? 1) - 1
      if (left > 0) this.#counts.set(key, left)
      else this.#counts.delete(key)
    }
  }
}
