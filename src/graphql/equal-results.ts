import type { ExecutionResult } from 'graphql'
import { LRUCache } from 'lru-cache'
import { CachedBody } from './cached-body.ts'

/** What an execution read. */
export interface RecordedReads {
  /** Whether its result depends on these reads alone, so that another execution with equal reads has the same result. */
  readonly isComplete: boolean
}

/** Reads for one execution. `R` is what an execution read. */
export interface ReadingContext<R extends RecordedReads> {
  /** A context that reads the same, and what an execution with it has read so far. */
  record(): { readonly context: unknown; readonly reads: R }
  /** Makes the reads again, for this context. Whether all of them have the same result; false when one fails. */
  repeats(reads: R): Promise<boolean>
}

export interface EqualResultsOptions {
  /** Of the JSON of all results; 4 Mi by default. With the results they take about five times that. */
  readonly maxCharacters?: number
  /** How long a result stays that is not found again, in milliseconds; 10 s by default. */
  readonly maxIdleMs?: number
  /** Called when a result is returned again. */
  readonly onFound?: (() => void) | undefined
  readonly now?: () => number
}

interface Known<R> {
  readonly result: ExecutionResult
  readonly reads: R
  wasFound: boolean
}

interface Operation<R> {
  /** The one that was recorded last comes first. */
  readonly results: Known<R>[]
  isRecording: boolean
  /** How many more executions are not recorded. */
  toSkip: number
  /** The value of `toSkip` after a recording that was of no use. */
  pause: number
  usedAt: number
}

/** Four, for flows that are open or closed for their members, some of whom are administrators. */
const resultsOfOperation = 4
/** Of an operation whose reads are never equal, one execution in this many is recorded. */
const longestPause = 64
/** What an operation counts besides its key and its results. */
const usualCharacters = 300

/**
 * The last results of operations that other principals request, too. Each principal makes the reads of the operation, with their own
 * credential. If all of them return what they returned when the result was made, executing the operation would make the same result.
 *
 * An operation is recorded at its second execution: documents that are used once cost nothing.
 */
export class EqualResults<R extends RecordedReads> {
  readonly #operations: LRUCache<string, Operation<R>>
  readonly #bodies = new WeakMap<ExecutionResult, CachedBody>()
  readonly #maxIdleMs: number
  readonly #onFound: (() => void) | undefined
  readonly #now: () => number
  #timer: NodeJS.Timeout | undefined

  constructor({
    maxCharacters = 4 * 1024 * 1024,
    maxIdleMs = 10_000,
    onFound,
    now,
  }: EqualResultsOptions = {}) {
    this.#operations = new LRUCache({ maxSize: maxCharacters })
    this.#maxIdleMs = maxIdleMs
    this.#onFound = onFound
    this.#now = now ?? (() => performance.now())
  }

  /** The number of results. */
  get size(): number {
    let size = 0
    for (const { results } of this.#operations.values()) size += results.length
    return size
  }

  /**
   * A result for a context: a known one, or a new one.
   *
   * @param key the same for the same document, operation and variables
   */
  async find(
    key: string,
    context: ReadingContext<R>,
    execute: (context: unknown) => ExecutionResult | Promise<ExecutionResult>,
  ): Promise<ExecutionResult> {
    const operation = this.#operations.get(key)
    if (operation === undefined) {
      this.#set(key, { results: [], isRecording: false, toSkip: 0, pause: 0, usedAt: this.#now() })
      return execute(context)
    }
    operation.usedAt = this.#now()
    for (const known of operation.results)
      if (await context.repeats(known.reads)) {
        known.wasFound = true
        this.#onFound?.()
        return known.result
      }
    // Meanwhile another execution may have been recorded: its result would be dropped for that of this one.
    if (operation.isRecording || this.#operations.get(key) !== operation) return execute(context)
    if (operation.toSkip > 0) {
      operation.toSkip -= 1
      return execute(context)
    }
    return this.#record(key, operation, context, execute)
  }

  /** The JSON of a known result. */
  bodyOf(result: ExecutionResult): CachedBody | undefined {
    return this.#bodies.get(result)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#operations.clear()
  }

  async #record(
    key: string,
    operation: Operation<R>,
    context: ReadingContext<R>,
    execute: (context: unknown) => ExecutionResult | Promise<ExecutionResult>,
  ): Promise<ExecutionResult> {
    operation.isRecording = true
    try {
      const recording = context.record()
      const result = await execute(recording.context)
      const isKept = result.errors === undefined && recording.reads.isComplete
      if (isKept) this.#keep(key, operation, { result, reads: recording.reads, wasFound: false })
      // Where others have a result, it is for this principal that there is none.
      else if (operation.results.length === 0) operation.toSkip = longestPause
      return result
    } finally {
      operation.isRecording = false
    }
  }

  #keep(key: string, operation: Operation<R>, known: Known<R>): void {
    const { results, pause } = operation
    const body = new CachedBody(JSON.stringify(known.result))
    this.#bodies.set(known.result, body)
    const isWasted = results.some(({ wasFound }) => !wasFound)
    const nextPause = isWasted ? Math.min(Math.max(pause * 2, 1), longestPause) : 0
    const kept = [known, ...results.filter(({ wasFound }) => wasFound).slice(0, resultsOfOperation - 1)]
    this.#set(key, { ...operation, results: kept, isRecording: false, toSkip: nextPause, pause: nextPause })
  }

  /** The cache takes another size only with another object. */
  #set(key: string, operation: Operation<R>): void {
    let size = usualCharacters + key.length
    for (const { result } of operation.results) size += this.#bodies.get(result)?.length ?? 0
    this.#operations.set(key, operation, { size })
    this.#timer ??= setTimeout(() => this.#sweep(), this.#maxIdleMs).unref()
  }

  #sweep(): void {
    this.#timer = undefined
    const now = this.#now()
    for (const [key, { usedAt }] of this.#operations.entries())
      if (now - usedAt >= this.#maxIdleMs) this.#operations.delete(key)
    if (this.#operations.size > 0) this.#timer = setTimeout(() => this.#sweep(), this.#maxIdleMs).unref()
  }
}
