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

/** How a message, a body in its envelope, looks on the line. */
export interface Framing {
  /** In bytes. */
  size(envelope: Envelope, body: Body): number
  /** Puts a message into memory. @returns where it ends */
  write(envelope: Envelope, body: Body, memory: Buffer, at: number): number
}

/** One after the other, with nothing between. */
export const joined: Framing = {
  size: sizeOf,
  write({ head, tail }, { bytes }, memory, at) {
    memory.set(head, at)
    memory.set(bytes, at + head.length)
    memory.set(tail, at + head.length + bytes.length)
    return at + head.length + bytes.length + tail.length
  },
}

/** Of a message without what its framing adds, in bytes. */
export function sizeOf({ head, tail }: Envelope, { bytes }: Body): number {
  return head.length + bytes.length + tail.length
}

/** Does what is to be done at the end of this turn of the event loop: once for all, however many ask. */
export class Turn {
  #waiting: { endTurn(): void }[] = []

  /** @param each is called once for each time it asks */
  add(each: { endTurn(): void }): void {
    if (this.#waiting.push(each) > 1) return
    setImmediate(() => {
      const waiting = this.#waiting
      this.#waiting = []
      for (const each of waiting) each.endTurn()
    })
  }
}

/** How much memory is allocated at once for what is written. */
const slabBytes = 256 * 1024

/** Memory for what is written. The system takes most of it at once, and it is used again. */
export class Slab {
  #bytes: Buffer | undefined
  #at = 0

  /** @param size in bytes */
  allocate(size: number): Buffer {
    if (size > slabBytes / 2) return Buffer.allocUnsafeSlow(size)
    if (this.#bytes === undefined || this.#at + size > slabBytes) {
      this.#bytes = Buffer.allocUnsafeSlow(slabBytes)
      this.#at = 0
    }
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }

  /** Takes back what was allocated last, when nobody needs it any more. */
  release(memory: Buffer): void {
    if (memory.buffer === this.#bytes?.buffer) this.#at = memory.byteOffset
  }
}

export interface OutboxOptions {
  readonly stream: Writable
  readonly framing: Framing
  /** The reader is too far behind, and gets no more. */
  readonly onSlow: () => void
  /** Shared by writers that flush together; of its own unless given. */
  readonly turn?: Turn
  readonly slab?: Slab
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
export class Outbox {
  readonly #options: OutboxOptions
  readonly #limits: SlowReaderLimits
  readonly #turn: Turn
  readonly #slab: Slab
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
  #waitsForDrain = false
  #isClosed = false
  #readyListeners: (() => void)[] = []

  constructor(options: OutboxOptions, limits: SlowReaderLimits = slowReaderLimits) {
    this.#options = options
    this.#turn = options.turn ?? new Turn()
    this.#slab = options.slab ?? new Slab()
    this.#limits = limits
    options.stream.on('close', () => this.close())
  }

  /** What waits, in bytes. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Sends a message at the end of this turn. */
  send(envelope: Envelope, body: Body): void {
    if (this.#isClosed) return
    this.#waitingBytes += this.#options.framing.size(envelope, body)
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
    this.#turn.add(this)
  }

  /** Sends messages now, because nothing comes after them in this turn. */
  sendNow(envelope: Envelope, bodies: readonly Body[]): void {
    const { framing } = this.#options
    let sent = 0
    if (this.#bodies.length === 0)
      while (sent < bodies.length && !this.#isBlocked && !this.#isClosed) {
        const first = sent
        let bytes = 0
        while (sent < bodies.length && bytes < maxUnsentBytes) {
          bytes += framing.size(envelope, bodies[sent] as Body)
          sent += 1
        }
        this.#write(envelope, [], bodies, first, sent, bytes)
      }
    for (; sent < bodies.length; sent += 1) this.send(envelope, bodies[sent] as Body)
  }

  /** For its turn alone. */
  endTurn(): void {
    this.#isScheduled = false
    this.#flush()
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
    const { framing } = this.#options
    let end = this.#next
    let bytes = 0
    while (bytes < most) {
      if (end === this.#bodies.length) {
        const more = this.#backlog?.take()
        if (more === undefined) break
        this.#envelopes.push(more.envelope)
        this.#bodies.push(more.body)
      }
      bytes += framing.size(this.#envelopes[end] as Envelope, this.#bodies[end] as Body)
      end += 1
    }
    if (end === this.#next) return
    const first = this.#next
    const envelopes = this.#envelopes
    const bodies = this.#bodies
    this.#waitingBytes -= bytes
    this.#next = end
    if (this.#next === this.#bodies.length) this.#forgetSent()
    this.#write(undefined, envelopes, bodies, first, end, bytes)
    if (this.#next > 4096) {
      this.#envelopes.splice(0, this.#next)
      this.#bodies.splice(0, this.#next)
      this.#next = 0
    }
    if (this.#next < this.#bodies.length || (this.#backlog?.length ?? 0) > 0) {
      if (this.#isBlocked) this.#waitingSince ??= Date.now()
      else this.#flush()
    } else this.#waitingSince = undefined
    if (!this.#isBlocked) this.#tellReady()
  }

  /** Writes some messages of so many bytes: each in the envelope of its place, or all in the same. */
  #write(
    same: Envelope | undefined,
    envelopes: readonly Envelope[],
    bodies: readonly Body[],
    first: number,
    end: number,
    size: number,
  ): void {
    const { stream, framing } = this.#options
    const memory = this.#slab.allocate(size)
    let at = 0
    for (let index = first; index < end; index += 1)
      at = framing.write(same ?? (envelopes[index] as Envelope), bodies[index] as Body, memory, at)
    const isRoom = stream.write(memory)
    const unsent = stream.writableLength
    if (unsent === 0) this.#slab.release(memory)
    this.#isBlocked = !isRoom && unsent > maxUnsentBytes / 4
    if (this.#isBlocked && !this.#waitsForDrain) {
      this.#waitsForDrain = true
      stream.once('drain', () => this.#unblock())
    }
  }

  #unblock(): void {
    this.#waitsForDrain = false
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
