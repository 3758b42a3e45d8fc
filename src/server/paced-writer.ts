import type { Writable } from 'node:stream'

/** Something to send; `body` is kept once, however many are sent it. */
export interface Message {
  readonly head: Buffer
  readonly body: Buffer
  readonly tail: Buffer
  readonly byteSize: number
}

export interface PacedWriterOptions {
  readonly stream: Writable
  /** Puts messages into what goes over the line. */
  readonly encode: (messages: readonly Message[]) => Buffer
  /** The reader is too far behind, and gets no more. */
  readonly onSlow: () => void
  /** Writers that flush together; one of its own unless given. */
  readonly turn?: Turn
}

/** Runs what is to be done at the end of this turn of the event loop: once for all, however many ask. */
export class Turn {
  #tasks: (() => void)[] = []

  add(task: () => void): void {
    this.#tasks.push(task)
    if (this.#tasks.length > 1) return
    setImmediate(() => {
      const tasks = this.#tasks
      this.#tasks = []
      for (const run of tasks) run()
    })
  }
}

export interface SlowReaderLimits {
  /** How much may wait for a reader: bytes that are kept once for all. */
  readonly maxWaitingBytes: number
  readonly maxWaitingMessages: number
  /** How long something may wait. */
  readonly maxWaitingMs: number
}

export const slowReaderLimits: SlowReaderLimits = {
  maxWaitingBytes: 16 * 1024 * 1024,
  maxWaitingMessages: 50_000,
  maxWaitingMs: 15_000,
}

/** How much of a reader's own is on its way; more waits as it is, shared with others. */
const maxUnsentBytes = 64 * 1024

/**
 * Sends messages to one reader as fast as it takes them, all of a turn of the event loop in one write. What it does not
 * take waits, bounded in bytes, number and time; past that the reader is dropped, and nobody else notices.
 */
export class PacedWriter {
  readonly #options: PacedWriterOptions
  readonly #limits: SlowReaderLimits
  readonly #turn: Turn
  readonly #flushAtEnd = () => {
    this.#isScheduled = false
    this.#flush()
  }
  #waiting: Message[] = []
  #next = 0
  #waitingBytes = 0
  #waitingSince: number | undefined
  #isScheduled = false
  #isBlocked = false
  #isClosed = false
  #readyListeners: (() => void)[] = []

  constructor(options: PacedWriterOptions, limits: SlowReaderLimits = slowReaderLimits) {
    this.#options = options
    this.#turn = options.turn ?? new Turn()
    this.#limits = limits
    options.stream.on('drain', () => this.#unblock())
    options.stream.on('close', () => this.close())
  }

  /** What waits, in bytes. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  send(message: Message): void {
    if (this.#isClosed) return
    this.#waiting.push(message)
    this.#waitingBytes += message.byteSize
    if (this.#isBlocked) {
      this.#waitingSince ??= Date.now()
      if (
        this.#waitingBytes > this.#limits.maxWaitingBytes ||
        this.#waiting.length - this.#next > this.#limits.maxWaitingMessages
      )
        this.#drop()
      return
    }
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#turn.add(this.#flushAtEnd)
  }

  /** Resolves when what was sent has left. */
  ready(): Promise<void> {
    if (this.#isClosed || (!this.#isBlocked && this.#waitingBytes < maxUnsentBytes)) return Promise.resolve()
    return new Promise((resolve) => this.#readyListeners.push(resolve))
  }

  /** Drops a reader who has let something wait for too long. @param now in milliseconds since the epoch */
  check(now: number): void {
    if (this.#waitingSince !== undefined && now - this.#waitingSince > this.#limits.maxWaitingMs) this.#drop()
  }

  /** Sends what waits at once, whether the reader takes it or not. */
  flushNow(): void {
    this.#isBlocked = false
    this.#flush(Number.POSITIVE_INFINITY)
  }

  close(): void {
    this.#isClosed = true
    this.#waiting = []
    this.#next = 0
    this.#waitingBytes = 0
    this.#waitingSince = undefined
    this.#tellReady()
  }

  #flush(most = maxUnsentBytes): void {
    if (this.#isClosed || this.#isBlocked || this.#next === this.#waiting.length) return
    const { stream, encode } = this.#options
    let end = this.#next
    let bytes = 0
    while (end < this.#waiting.length && bytes < most) {
      bytes += (this.#waiting[end] as Message).byteSize
      end += 1
    }
    const messages =
      this.#next === 0 && end === this.#waiting.length ? this.#waiting : this.#waiting.slice(this.#next, end)
    this.#waitingBytes -= bytes
    this.#next = end
    if (this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
    } else if (this.#next > 4096) {
      this.#waiting.splice(0, this.#next)
      this.#next = 0
    }
    this.#isBlocked = !stream.write(encode(messages)) && stream.writableLength > maxUnsentBytes / 4
    if (this.#next < this.#waiting.length) {
      if (this.#isBlocked) this.#waitingSince ??= Date.now()
      else this.#flush()
    } else this.#waitingSince = undefined
    if (!this.#isBlocked) this.#tellReady()
  }

  #unblock(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    // Whatever waits now has not waited since then.
    this.#waitingSince = undefined
    this.#flush()
    if (!this.#isBlocked) this.#tellReady()
  }

  #tellReady(): void {
    for (const listener of this.#readyListeners.splice(0)) listener()
  }

  #drop(): void {
    if (this.#isClosed) return
    this.close()
    this.#options.onSlow()
  }
}
