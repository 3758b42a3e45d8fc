import { GatewayError } from '../errors.ts'

export interface QueueLimits {
  readonly maxEvents: number
  readonly maxBytes: number
}

/**
 * The queue of events of one reader. It is bounded: a reader that falls behind the limits loses the queue and gets
 * `SLOW_CONSUMER`. `return()` takes effect at once, also while the reader waits for an event that never comes.
 */
export class BoundedQueue<T> implements AsyncIterableIterator<T> {
  readonly #limits: QueueLimits
  readonly #onClose: () => void
  #queue: { readonly event: T; readonly bytes: number }[] = []
  #queuedBytes = 0
  #waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }[] = []
  #closed = false
  #finished = false
  #failure: { readonly error: unknown } | undefined

  /** @param onClose called once, when the reader leaves or is dropped */
  constructor(limits: QueueLimits, onClose: () => void) {
    this.#limits = limits
    this.#onClose = onClose
  }

  /** @param bytes the size of the event in memory */
  push(event: T, bytes: number): void {
    if (this.#closed) return
    const reader = this.#waiting.shift()
    if (reader !== undefined) {
      reader.resolve({ done: false, value: event })
      return
    }
    this.#queue.push({ event, bytes })
    this.#queuedBytes += bytes
    if (this.#queue.length > this.#limits.maxEvents || this.#queuedBytes > this.#limits.maxBytes)
      this.fail(new GatewayError('SLOW_CONSUMER', 'The subscription was ended: its reader is too far behind'))
  }

  /** Ends the subscription after the queued events were taken. */
  finish(): void {
    this.#finished = true
    if (this.#queue.length === 0 && !this.#closed) this.#close()
  }

  /** Ends the subscription with an error. Queued events are dropped. */
  fail(error: unknown): void {
    if (this.#closed) return
    this.#failure = { error }
    this.#close()
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.#queue.shift()
    if (item !== undefined) {
      this.#queuedBytes -= item.bytes
      if (this.#finished && this.#queue.length === 0 && !this.#closed) this.#close()
      return Promise.resolve({ done: false, value: item.event })
    }
    if (this.#failure !== undefined) {
      const { error } = this.#failure
      this.#failure = undefined
      return Promise.reject(error)
    }
    if (this.#closed) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  return(): Promise<IteratorResult<T>> {
    if (!this.#closed) this.#close()
    this.#failure = undefined
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #close(): void {
    this.#closed = true
    this.#queue = []
    this.#queuedBytes = 0
    for (const reader of this.#waiting.splice(0)) {
      if (this.#failure === undefined) reader.resolve({ done: true, value: undefined })
      else {
        reader.reject(this.#failure.error)
        this.#failure = undefined
      }
    }
    this.#onClose()
  }
}
