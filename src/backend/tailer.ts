/** An event of the log. */
interface Numbered {
  readonly seq: number
}

/** The effects of a tailer. All of them are synchronous. */
export interface TailerEffects<E> {
  /** Delivers the next event. */
  deliver(event: E): void
  /** Reads the events after a number, ascending. The result goes to `pageRead` or `readFailed`; one read is under way at most. */
  read(after: number): void
  /** Calls `retry` after this time. */
  retryAfter(ms: number): void
}

/**
 * Delivers each event of the log once, in ascending order. Events may arrive in any order, and some not at all: those are read
 * from the database.
 */
export interface Tailer<E extends Numbered> {
  /** Every event up to this number was delivered. */
  readonly delivered: number
  /** Whether events are missing that the log has. */
  readonly isBehind: boolean
  /** Takes events of the log that were committed: ascending, without holes. They may be late, repeated or out of order. */
  receive(events: readonly E[]): void
  /** Learns that the log goes up to this number at least. */
  noteHead(seq: number): void
  /** Takes the result of a read. @param isLast whether the log had no more events */
  pageRead(events: readonly E[], isLast: boolean): void
  readFailed(): void
  /** Reads again after a read failed; does nothing while one is under way or nothing is missing. */
  retry(): void
}

/** The most events that wait for missing ones. Further events are dropped, and read again later. */
const maxKept = 10_000
const retryMs = { first: 50, longest: 2000 }

/** @param delivered the number after which it begins */
export function createTailer<E extends Numbered>(
  delivered: number,
  effects: TailerEffects<E>,
  limits: { readonly maxKept: number } = { maxKept },
): Tailer<E> {
  /** Events that arrived before others that precede them, by their number. */
  const kept = new Map<number, E>()
  /** The greatest number that the log is known to have. */
  let head = delivered
  /** The value of `head` when the read in progress began; undefined without a read. */
  let headAtRead: number | undefined
  /** How long the next read waits since the last one failed; 0 when it did not fail. */
  let pauseMs = 0
  let isPaused = false

  function deliver(event: E): void {
    delivered = event.seq
    effects.deliver(event)
  }

  function deliverKept(): void {
    for (let next = kept.get(delivered + 1); next !== undefined; next = kept.get(delivered + 1)) {
      kept.delete(next.seq)
      deliver(next)
    }
  }

  function keep(event: E): void {
    if (kept.size >= limits.maxKept) kept.clear()
    kept.set(event.seq, event)
  }

  function read(): void {
    if (delivered >= head || headAtRead !== undefined || isPaused) return
    headAtRead = head
    effects.read(delivered)
  }

  return {
    get delivered() {
      return delivered
    },
    get isBehind() {
      return delivered < head
    },
    receive(events) {
      for (const event of events) {
        head = Math.max(head, event.seq)
        if (event.seq === delivered + 1) deliver(event)
        else if (event.seq > delivered) keep(event)
      }
      deliverKept()
      read()
    },
    noteHead(seq) {
      head = Math.max(head, seq)
      read()
    },
    pageRead(events, isLast) {
      const expected = headAtRead ?? delivered
      headAtRead = undefined
      pauseMs = 0
      for (const event of events) if (event.seq > delivered) deliver(event)
      const isMissing = isLast && delivered < expected
      // All events up to `expected` were committed before the read began. An event that the read did not find was never in this
      // log.
      for (const seq of kept.keys()) if (seq <= (isMissing ? expected : delivered)) kept.delete(seq)
      if (isMissing && head === expected) head = delivered
      deliverKept()
      read()
    },
    readFailed() {
      headAtRead = undefined
      isPaused = true
      pauseMs = Math.min(Math.max(pauseMs * 2, retryMs.first), retryMs.longest)
      effects.retryAfter(pauseMs)
    },
    retry() {
      isPaused = false
      read()
    },
  }
}
