import type { Writable } from 'node:stream'

/** What stands around a body that is kept once, however many are sent it. */
export interface Envelope {
  readonly head: Buffer
  readonly tail: Buffer
}

export interface PacedWriterOptions {
  readonly stream: Writable
  /** Puts messages, bodies in the envelope of the same place, into what goes over the line. */
  readonly encode: (envelopes: readonly Envelope[], bodies: readonly Buffer[]) => Buffer
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
/** How many messages that wait stand in one list. */
const messagesEach = 256

/** Messages that wait for a reader who takes none: in short lists, because a long one is copied again and again as it grows. */
class Backlog {
  readonly #parts: { readonly envelopes: Envelope[]; readonly bodies: Buffer[] }[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  push(envelope: Envelope, body: Buffer): void {
    let last = this.#parts.at(-1)
    if (last === undefined || last.bodies.length === messagesEach) {
      last = { envelopes: [], bodies: [] }
      this.#parts.push(last)
    }
    last.envelopes.push(envelope)
    last.bodies.push(body)
    this.#length += 1
  }

  /** Takes some of the oldest. */
  take(): { readonly envelopes: Envelope[]; readonly bodies: Buffer[] } | undefined {
    const part = this.#parts.shift()
    this.#length -= part?.bodies.length ?? 0
    return part
  }
}

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
  /** Two lists rather than one of pairs: a pair for each message of each reader would take more than the messages. */
  #envelopes: Envelope[] = []
  #bodies: Buffer[] = []
  #next = 0
  /** What came while the reader took nothing. */
  #backlog: Backlog | undefined
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

  send(envelope: Envelope, body: Buffer): void {
    if (this.#isClosed) return
    this.#waitingBytes += sizeOf(envelope, body)
    if (this.#isBlocked) {
      this.#backlog ??= new Backlog()
      this.#backlog.push(envelope, body)
      this.#waitingSince ??= Date.now()
      if (
        this.#waitingBytes > this.#limits.maxWaitingBytes ||
        this.#bodies.length - this.#next + this.#backlog.length > this.#limits.maxWaitingMessages
      )
        this.#drop()
      return
    }
    this.#envelopes.push(envelope)
    this.#bodies.push(body)
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
    this.#forgetSent()
    this.#backlog = undefined
    this.#waitingBytes = 0
    this.#waitingSince = undefined
    this.#tellReady()
  }

  #flush(most = maxUnsentBytes): void {
    if (this.#isClosed || this.#isBlocked) return
    const { stream, encode } = this.#options
    let end = this.#next
    let bytes = 0
    while (bytes < most) {
      if (end === this.#bodies.length) {
        const more = this.#backlog?.take()
        if (more === undefined) break
        this.#envelopes.push(...more.envelopes)
        this.#bodies.push(...more.bodies)
      }
      bytes += sizeOf(this.#envelopes[end] as Envelope, this.#bodies[end] as Buffer)
      end += 1
    }
    if (end === this.#next) return
    const isAll = this.#next === 0 && end === this.#bodies.length
    const envelopes = isAll ? this.#envelopes : this.#envelopes.slice(this.#next, end)
    const bodies = isAll ? this.#bodies : this.#bodies.slice(this.#next, end)
    this.#waitingBytes -= bytes
    this.#next = end
    if (this.#next === this.#bodies.length) this.#forgetSent()
    else if (this.#next > 4096) {
      this.#envelopes.splice(0, this.#next)
      this.#bodies.splice(0, this.#next)
      this.#next = 0
    }
    this.#isBlocked = !stream.write(encode(envelopes, bodies)) && stream.writableLength > maxUnsentBytes / 4
    if (this.#next < this.#bodies.length || (this.#backlog?.length ?? 0) > 0) {
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

  #forgetSent(): void {
    this.#envelopes = []
    this.#bodies = []
    this.#next = 0
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

/** Of a message, in bytes. */
export function sizeOf({ head, tail }: Envelope, body: Buffer): number {
  return head.length + body.length + tail.length
}
