/** An event of the log. */
interface Numbered {
  readonly seq: number
}

/** Tells the events of one number apart, of which one was committed after the other was lost. */
export type Fingerprint = string

/** The effects of a tailer. All of them are synchronous. */
export interface TailerEffects<E> {
  /** Delivers the next event. */
  deliver(event: E): void
  /** Reads the events after a number, ascending. The result goes to `pageRead` or `readFailed`; one read is under way at most. */
  read(after: number): void
  /** Calls `retry` after this time. */
  retryAfter(ms: number): void
  /**
   * The log has other events than those that were delivered, under the same numbers: commits were lost. From now on the tailer does
   * nothing.
   */
  diverged(): void
}

export interface TailerOptions<E> {
  /** Undefined where it is unknown. */
  readonly fingerprintOf: (event: E) => Fingerprint | undefined
  /** The fingerprint of the event after whose number the tailer begins; undefined where there is none. */
  readonly begin?: Fingerprint | undefined
  readonly maxKept?: number
}

/**
 * Delivers each event of the log once, in ascending order. Events may arrive in any order, and some not at all: those are read
 * from the database.
 */
export interface Tailer<E extends Numbered> {
  /** Every event up to this number was delivered. */
  readonly delivered: number
  /** The fingerprint of the event with this number; undefined where it is unknown. */
  readonly fingerprint: Fingerprint | undefined
  /** Whether events are missing that the log has. */
  readonly isBehind: boolean
  /**
   * Takes events of the log that were committed: ascending, without holes. They may be late, repeated or out of order.
   *
   * @param previous the fingerprint of the event before the first one; undefined where it is unknown
   */
  receive(events: readonly E[], previous?: Fingerprint): void
  /** Learns that the log goes up to this number at least. */
  noteHead(seq: number): void
  /**
   * Takes the result of a read.
   *
   * @param isLast whether the log had no more events
   * @param previous the fingerprint of the event with the number after which was read; undefined where the log does not have it
   */
  pageRead(events: readonly E[], isLast: boolean, previous?: Fingerprint): void
  readFailed(): void
  /** Reads again after a read failed; does nothing while one is under way or nothing is missing. */
  retry(): void
}

/** The most events that wait for missing ones. Further events are dropped, and read again later. */
const usualMaxKept = 10_000
const retryMs = { first: 50, longest: 2000 }

/** @param delivered the number after which it begins */
export function createTailer<E extends Numbered>(
  delivered: number,
  effects: TailerEffects<E>,
  { fingerprintOf, begin, maxKept = usualMaxKept }: TailerOptions<E>,
): Tailer<E> {
  /** Events that arrived before others that precede them, by their number, and the fingerprints of the ones before them. */
  const kept = new Map<number, { readonly event: E; readonly previous: Fingerprint | undefined }>()
  /** The fingerprint of the last delivered event, and the one when the read in progress began. */
  let fingerprint = begin
  let fingerprintAtRead: Fingerprint | undefined
  let hasDiverged = false
  /** The greatest number that the log is known to have. */
  let head = delivered
  /** The value of `head` when the read in progress began; undefined without a read. */
  let headAtRead: number | undefined
  /** How long the next read waits since the last one failed; 0 when it did not fail. */
  let pauseMs = 0
  let isPaused = false

  function deliver(event: E): void {
    delivered = event.seq
    fingerprint = fingerprintOf(event)
    effects.deliver(event)
  }

  /** Delivers the event with the next number, if the event before it is the one that was delivered. */
  function deliverNext(event: E, previous: Fingerprint | undefined): void {
    if (isSame(previous, fingerprint)) deliver(event)
    else diverge()
  }

  function diverge(): void {
    hasDiverged = true
    kept.clear()
    effects.diverged()
  }

  function deliverKept(): void {
    for (let next = kept.get(delivered + 1); next !== undefined; next = kept.get(delivered + 1)) {
      kept.delete(delivered + 1)
      deliverNext(next.event, next.previous)
      if (hasDiverged) return
    }
  }

  function keep(event: E, previous: Fingerprint | undefined): void {
    if (kept.size >= maxKept) kept.clear()
    kept.set(event.seq, { event, previous })
  }

  function read(): void {
    if (delivered >= head || headAtRead !== undefined || isPaused || hasDiverged) return
    headAtRead = head
    fingerprintAtRead = fingerprint
    effects.read(delivered)
  }

  return {
    get delivered() {
      return delivered
    },
    get fingerprint() {
      return fingerprint
    },
    get isBehind() {
      return delivered < head
    },
    receive(events, previous) {
      let before = previous
      for (const event of events) {
        if (hasDiverged) return
        const own = fingerprintOf(event)
        head = Math.max(head, event.seq)
        if (event.seq === delivered + 1) deliverNext(event, before)
        else if (event.seq > delivered) keep(event, before)
        else if (event.seq === delivered && !isSame(own, fingerprint)) diverge()
        before = own
      }
      deliverKept()
      read()
    },
    noteHead(seq) {
      head = Math.max(head, seq)
      read()
    },
    pageRead(events, isLast, previous) {
      const expected = headAtRead ?? delivered
      headAtRead = undefined
      pauseMs = 0
      if (hasDiverged) return
      if (!isSame(previous, fingerprintAtRead)) return diverge()
      for (const event of events)
        if (event.seq > delivered) deliver(event)
        else if (event.seq === delivered && !isSame(fingerprintOf(event), fingerprint)) return diverge()
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

/** Whether two fingerprints may be those of one event: what is unknown is taken for the same. */
function isSame(one: Fingerprint | undefined, other: Fingerprint | undefined): boolean {
  return one === undefined || other === undefined || one === other
}
