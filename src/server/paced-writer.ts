import type { Writable } from 'node:stream'

/** What stands around a body. */
export interface Envelope {
  readonly head: Buffer
  readonly tail: Buffer
}

/** What is kept once, however many are sent it. */
export interface Body {
  readonly bytes: Buffer
  /**
   * Which one came next to a reader for whom both wait. It is the same for most, so what waits is one chain for all of
   * them. Nobody else sets it: a chain of what has left would keep the garbage collector from what is young.
   */
  next: Body | undefined
}

export interface PacedWriterOptions {
  readonly stream: Writable
  /** Puts messages, bodies in the envelope of the same place, into what goes over the line: memory that is allocated. */
  readonly encode: (
    envelopes: readonly Envelope[],
    bodies: readonly Body[],
    allocate: (size: number) => Buffer,
  ) => Buffer
  /** The reader is too far behind, and gets no more. */
  readonly onSlow: () => void
  /** Writers that flush together; one of its own unless given. */
  readonly turn?: Turn
}

/** How much memory is allocated at once for what is written. */
const slabBytes = 256 * 1024

/**
 * Runs what is to be done at the end of this turn of the event loop: once for all, however many ask. They write from the
 * same memory, one after the other, for the system takes most at once.
 */
export class Turn {
  #tasks: (() => void)[] = []
  #slab: Buffer | undefined
  #at = 0

  add(task: () => void): void {
    this.#tasks.push(task)
    if (this.#tasks.length > 1) return
    setImmediate(() => {
      const tasks = this.#tasks
      this.#tasks = []
      for (const run of tasks) run()
    })
  }

  /** @param size in bytes */
  readonly allocate = (size: number): Buffer => {
    if (size > slabBytes / 2) return Buffer.allocUnsafeSlow(size)
    if (this.#slab === undefined || this.#at + size > slabBytes) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes)
      this.#at = 0
    }
    this.#at += size
    return this.#slab.subarray(this.#at - size, this.#at)
  }

  /** Takes back what was allocated last, when nobody needs it any more. */
  release(memory: Buffer): void {
    if (memory.buffer === this.#slab?.buffer) this.#at = memory.byteOffset
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

/** Messages in the same envelope, each of which comes next to the one before. */
interface Run {
  readonly envelope: Envelope
  first: Body
  last: Body
  length: number
}

/** Messages that wait for a reader who takes none. */
class Backlog {
  readonly #runs: Run[] = []
  /** Those before it are taken. */
  #at = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(envelope: Envelope, body: Body): void {
    this.#length += 1
    const run = this.#runs.at(-1)
    if (run?.envelope === envelope && run.length > 0) {
      // Only to the end of nothing, or a chain might lead round in a circle.
      if (run.last.next === undefined && body.next === undefined && body !== run.last) run.last.next = body
      if (run.last.next === body) {
        run.last = body
        run.length += 1
        return
      }
    }
    this.#runs.push({ envelope, first: body, last: body, length: 1 })
  }

  /** Takes the oldest. */
  take(): { readonly envelope: Envelope; readonly body: Body } | undefined {
    const run = this.#runs[this.#at]
    if (run === undefined) return undefined
    const { envelope, first } = run
    this.#length -= 1
    run.length -= 1
    if (run.length > 0) run.first = first.next as Body
    else this.#at += 1
    if (this.#at > 256) {
      this.#runs.splice(0, this.#at)
      this.#at = 0
    }
    return { envelope, body: first }
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
  #bodies: Body[] = []
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

  send(envelope: Envelope, body: Body): void {
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
    let end = this.#next
    let bytes = 0
    while (bytes < most) {
      if (end === this.#bodies.length) {
        const more = this.#backlog?.take()
        if (more === undefined) break
        this.#envelopes.push(more.envelope)
        this.#bodies.push(more.body)
      }
      bytes += sizeOf(this.#envelopes[end] as Envelope, this.#bodies[end] as Body)
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
    this.#write(envelopes, bodies)
    if (this.#next < this.#bodies.length || (this.#backlog?.length ?? 0) > 0) {
      if (this.#isBlocked) this.#waitingSince ??= Date.now()
      else this.#flush()
    } else this.#waitingSince = undefined
    if (!this.#isBlocked) this.#tellReady()
  }

  #write(envelopes: readonly Envelope[], bodies: readonly Body[]): void {
    const { stream, encode } = this.#options
    const bytes = encode(envelopes, bodies, this.#turn.allocate)
    const isRoom = stream.write(bytes)
    const unsent = stream.writableLength
    if (unsent === 0) this.#turn.release(bytes)
    this.#isBlocked = !isRoom && unsent > maxUnsentBytes / 4
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
export function sizeOf({ head, tail }: Envelope, { bytes }: Body): number {
  return head.length + bytes.length + tail.length
}
