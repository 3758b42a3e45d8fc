import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { ViewerQuestion } from '../context.ts'

/** A question about the viewer that an execution asked, and the answer it got. */
export interface AskedQuestion {
  readonly question: ViewerQuestion
  readonly answer: boolean
}

/** The result of executing one event, as JSON. */
export interface EventResult {
  readonly bytes: Buffer
  readonly cursor: string | undefined
  /** Viewers with the same answers to all of these get the same result. */
  readonly questions: readonly AskedQuestion[]
  /** Whether it has errors. Then it is delivered to subscribers that wait for it, and not cached. */
  readonly hasErrors: boolean
}

export interface ResultCacheOptions {
  readonly maxBytes: number
  /** The greatest age of a result, because its data changes. */
  readonly maxAgeMs: number
}

const usual: ResultCacheOptions = { maxBytes: 64 * 1024 * 1024, maxAgeMs: 60_000 }
/** The size of an entry without its result, in bytes. */
const entryBytes = 300
/** After this many executions with a result that cannot be shared, subscribers do not wait for another one. */
const maxFailures = 3

/**
 * Results of events, by scope (subscriptions that are executed in the same way) and event. Subscribers that catch up with the
 * same events share one execution of each, and so do subscribers whose streams deliver the same event.
 */
export class ResultCache {
  readonly #results: LRUCache<string, readonly EventResult[]>
  readonly #running = new Map<string, Promise<EventResult | undefined>>()
  /** Events are equal only if they are the same object, because an upstream may use an id twice. */
  readonly #numbers = new WeakMap<object, number>()
  #lastNumber = 0
  #generation = 0

  constructor({ maxBytes, maxAgeMs }: ResultCacheOptions = usual) {
    this.#results = new LRUCache({
      maxSize: maxBytes,
      ttl: maxAgeMs,
      // Another result of the event does not make the earlier ones younger.
      noUpdateTTL: true,
      sizeCalculation: (results) => results.reduce((sum, { bytes }) => sum + bytes.length, entryBytes),
    })
  }

  /**
   * @param scope as `scopeKey` returns it
   * @param fits whether a result is right for the viewer
   */
  find(scope: string, event: object, fits: (result: EventResult) => boolean): EventResult | undefined {
    return this.#results.get(this.#keyOf(scope, event))?.find(fits)
  }

  /**
   * Executes an event unless its result is known, or another execution of it is running.
   *
   * @param fits whether a result is right for the viewer
   * @param execute resolves with a result that others in the scope may get if it fits them. Undefined when they may not: then the
   *   next of them executes
   * @returns undefined when `execute` of this call returned it
   */
  async share(
    scope: string,
    event: object,
    fits: (result: EventResult) => boolean,
    execute: () => Promise<EventResult | undefined>,
  ): Promise<EventResult | undefined> {
    const key = this.#keyOf(scope, event)
    for (let failures = 0; failures < maxFailures; ) {
      const known = this.#results.get(key)?.find(fits)
      if (known !== undefined) return known
      const running = this.#running.get(key)
      if (running === undefined) break
      const result = await running.catch(() => undefined)
      if (result !== undefined && fits(result)) return result
      if (result === undefined || result.hasErrors) failures += 1
    }
    const generation = this.#generation
    const execution = execute()
    this.#running.set(key, execution)
    try {
      const result = await execution
      if (result !== undefined && !result.hasErrors && generation === this.#generation)
        this.#results.set(key, [...(this.#results.get(key) ?? []), result])
      return result
    } finally {
      if (this.#running.get(key) === execution) this.#running.delete(key)
    }
  }

  /** Drops all results, because their data has changed. */
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
