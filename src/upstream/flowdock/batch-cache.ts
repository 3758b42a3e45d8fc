import { LRUCache } from 'lru-cache'
import type { MaybePromise } from './directory.ts'

export interface BatchCacheOptions<Key extends string | number, Value extends object> {
  /** Reads several at once. What it leaves out does not exist. */
  readonly read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>
  readonly maxEntries: number
  readonly maxBatch: number
  /** How old a value may be that `findRecent` returns, in milliseconds; 10 s by default. */
  readonly maxAgeMs?: number
  /** In milliseconds; for the ages of values. */
  readonly now?: () => number
}

interface Batch<Key, Value> {
  readonly keys: Key[]
  readonly values: Promise<ReadonlyMap<Key, Value>>
  /** When the read began. */
  begunAt: number
}

interface Known<Value> {
  readonly value: Value | null
  /** When the read began that returned it. */
  readonly readAt: number
}

const usualMaxAgeMs = 10_000

/**
 * What was read, by key, until it is forgotten. What is asked for in one turn of the event loop is read at once. A read that fails
 * is not remembered.
 */
export class BatchCache<Key extends string | number, Value extends object> {
  readonly #options: BatchCacheOptions<Key, Value>
  readonly #known: LRUCache<Key, Known<Value>>
  /** Reads that are under way, or about to begin. */
  readonly #reading = new Map<Key, Promise<Value | null>>()
  readonly #maxAgeMs: number
  readonly #now: () => number
  #batch: Batch<Key, Value> | undefined

  constructor(options: BatchCacheOptions<Key, Value>) {
    this.#options = options
    this.#maxAgeMs = options.maxAgeMs ?? usualMaxAgeMs
    this.#now = options.now ?? (() => performance.now())
    // With `max`, the library makes room for all of them at once.
    this.#known = new LRUCache({ maxSize: options.maxEntries, sizeCalculation: () => 1 })
  }

  get size(): number {
    return this.#known.size
  }

  /** Null for what does not exist. @throws what `read` throws, as a rejection */
  find(key: Key): MaybePromise<Value | null> {
    const known = this.#known.get(key)
    return known === undefined ? (this.#reading.get(key) ?? this.#read(key)) : known.value
  }

  /**
   * The same, but only a value that was read within `maxAgeMs`, so that changes without an event are found. A value older than
   * half of that is returned, and read again in the background.
   */
  findRecent(key: Key): MaybePromise<Value | null> {
    const known = this.#known.get(key)
    const age = known === undefined ? Number.POSITIVE_INFINITY : this.#now() - known.readAt
    if (known === undefined || age > this.#maxAgeMs) return this.#reading.get(key) ?? this.#read(key)
    // Until it can be read, the known value is returned.
    if (age > this.#maxAgeMs / 2 && !this.#reading.has(key)) this.#read(key).catch(() => undefined)
    return known.value
  }

  /** What is known of a key may be wrong, and so may what is being read. */
  forget(key: Key): void {
    this.#known.delete(key)
    this.#reading.delete(key)
  }

  clear(): void {
    this.#known.clear()
    this.#reading.clear()
    this.#batch = undefined
  }

  #read(key: Key): Promise<Value | null> {
    let batch = this.#batch
    if (batch === undefined || batch.keys.length === this.#options.maxBatch) batch = this.#begin()
    const { keys, values } = batch
    keys.push(key)
    const reading = values.then((found) => found.get(key) ?? null)
    this.#reading.set(key, reading)
    const isCurrent = () => this.#reading.get(key) === reading
    reading.then(
      (value) => {
        if (!isCurrent()) return
        this.#reading.delete(key)
        this.#known.set(key, { value, readAt: batch.begunAt })
      },
      () => {
        if (isCurrent()) this.#reading.delete(key)
      },
    )
    return reading
  }

  #begin(): Batch<Key, Value> {
    const keys: Key[] = []
    const turn = Promise.withResolvers<void>()
    setImmediate(turn.resolve)
    const values = turn.promise.then(() => {
      if (this.#batch === batch) this.#batch = undefined
      batch.begunAt = this.#now()
      return this.#options.read(keys)
    })
    const batch: Batch<Key, Value> = { keys, values, begunAt: 0 }
    this.#batch = batch
    return batch
  }
}
