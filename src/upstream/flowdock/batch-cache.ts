import { LRUCache } from 'lru-cache'
import type { MaybePromise } from './directory.ts'

export interface BatchCacheOptions<Key extends string | number, Value extends object> {
  /** Reads several at once. What it leaves out does not exist. */
  readonly read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>
  readonly maxEntries: number
  readonly maxBatch: number
}

interface Batch<Key, Value> {
  readonly keys: Key[]
  readonly values: Promise<ReadonlyMap<Key, Value>>
}

/**
 * What was read, by key, until it is forgotten. What is asked for in one turn of the event loop is read at once. A read that fails
 * is not remembered.
 */
export class BatchCache<Key extends string | number, Value extends object> {
  readonly #options: BatchCacheOptions<Key, Value>
  readonly #known: LRUCache<Key, { readonly value: Value | null }>
  /** Reads that are under way, or about to begin. */
  readonly #reading = new Map<Key, Promise<Value | null>>()
  #batch: Batch<Key, Value> | undefined

  constructor(options: BatchCacheOptions<Key, Value>) {
    this.#options = options
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
    batch.keys.push(key)
    const reading = batch.values.then((values) => values.get(key) ?? null)
    this.#reading.set(key, reading)
    const isCurrent = () => this.#reading.get(key) === reading
    reading.then(
      (value) => {
        if (!isCurrent()) return
        this.#reading.delete(key)
        this.#known.set(key, { value })
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
      return this.#options.read(keys)
    })
    const batch = { keys, values }
    this.#batch = batch
    return batch
  }
}
