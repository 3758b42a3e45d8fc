import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'

/** The result of executing one event for one scope, as JSON. */
export interface EventResult {
  readonly bytes: Buffer
  readonly cursor: string | undefined
}

export interface ResultCacheOptions {
  readonly maxBytes: number
  /** A result is not used for longer: what it was read from changes. */
  readonly maxAgeMs: number
}

const usual: ResultCacheOptions = { maxBytes: 64 * 1024 * 1024, maxAgeMs: 60_000 }
/** After as many executions whose result may not be shared, nobody waits for another. */
const maxFailures = 3
/** What an entry takes besides its result, in bytes. */
const entryBytes = 300

/**
 * Results of events, by scope (who is executed alike) and event. Subscribers that catch up with the same events share
 * one execution of each, and so do subscribers whose streams deliver the same event.
 */
export class ResultCache {
  readonly #results: LRUCache<string, EventResult>
  readonly #running = new Map<string, Promise<EventResult | undefined>>()
  /** Events are equal only if they are the same object: an id proves nothing of an upstream's event. */
  readonly #numbers = new WeakMap<object, number>()
  #lastNumber = 0
  #generation = 0

  constructor({ maxBytes, maxAgeMs }: ResultCacheOptions = usual) {
    this.#results = new LRUCache({
      maxSize: maxBytes,
      ttl: maxAgeMs,
      sizeCalculation: ({ bytes }) => bytes.length + entryBytes,
    })
  }

  /** @param scope as `scopeKey` returns it */
  find(scope: string, event: object): EventResult | undefined {
    return this.#results.get(this.#keyOf(scope, event))
  }

  /**
   * Executes an event unless its result is known, or another execution of it is running.
   *
   * @param execute resolves with a result that everyone in the scope may get; undefined for one that they may not, so that
   *   the next of them executes
   * @returns undefined when this caller's own `execute` returned it
   */
  async share(
    scope: string,
    event: object,
    execute: () => Promise<EventResult | undefined>,
  ): Promise<EventResult | undefined> {
    const key = this.#keyOf(scope, event)
    for (let failures = 0; failures < maxFailures; failures += 1) {
      const known = this.#results.get(key)
      if (known !== undefined) return known
      const running = this.#running.get(key)
      if (running === undefined) break
      const result = await running
      if (result !== undefined) return result
    }
    const generation = this.#generation
    const execution = execute()
    this.#running.set(key, execution)
    try {
      const result = await execution
      if (result !== undefined && generation === this.#generation) this.#results.set(key, result)
      return result
    } finally {
      if (this.#running.get(key) === execution) this.#running.delete(key)
    }
  }

  /** Forgets all results, because something that they were read from has changed. */
  clear(): void {
    this.#generation += 1
    this.#results.clear()
    this.#running.clear()
  }

  #keyOf(scope: string, event: object): string {
    let number = this.#numbers.get(event)
    if (number === undefined) {
      this.#lastNumber += 1
      number = this.#lastNumber
      this.#numbers.set(event, number)
    }
    return `${number} ${scope}`
  }
}

/** A short key for a scope, whose text has a whole document in it. */
export function scopeKey(text: string): string {
  return hash('sha256', text, 'base64url')
}
