import type { Audiences } from './audience.ts'
import type { AccessChange } from './entitlement.ts'
import type { Entry, RecentLogLimits } from './recent-log.ts'

/** An event of the service stream, or a signal. The upstream stores events, but no signals. */
export interface StreamEntry<T> extends Entry<T> {
  /** The number of the event in the upstream's log; for a signal, the number of the event before it. */
  readonly number: number
  readonly isSignal: boolean
  /** The audiences that receive it; empty for a control event. */
  readonly audiences: Audiences
  /** How it changes the access of principals. */
  readonly change: AccessChange | undefined
}

/**
 * The latest entries of the service stream, in the order of arrival. The numbers of events are consecutive, so an entry is found
 * by binary search.
 */
export class StreamLog<T> {
  readonly #limits: RecentLogLimits
  /** Entries before `#first` are dropped, and undefined. */
  #entries: (StreamEntry<T> | undefined)[] = []
  #first = 0
  #bytes = 0
  #lastSeq = 0
  #begin = 0
  #end = 0

  constructor(limits: RecentLogLimits) {
    this.#limits = limits
  }

  /** The number in the upstream's log right before the first event in memory. */
  get begin(): number {
    return this.#begin
  }

  /** The number of the newest event; before the first event, the number after which the stream begins. */
  get end(): number {
    return this.#end
  }

  /** The position of the newest entry. */
  get seq(): number {
    return this.#lastSeq
  }

  /** The position right before the first entry in memory. */
  get beginSeq(): number {
    return this.#lastSeq - (this.#entries.length - this.#first)
  }

  get size(): number {
    return this.#entries.length - this.#first
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Drops all entries. Positions continue; numbers begin after `number`. */
  restart(number: number): void {
    this.#entries = []
    this.#first = 0
    this.#bytes = 0
    this.#begin = number
    this.#end = number
  }

  /** @param entry an event numbered `end + 1`, or a signal */
  push(entry: Omit<StreamEntry<T>, 'seq' | 'number' | 'offset'>): StreamEntry<T> {
    const seq = this.#lastSeq + 1
    const number = entry.isSignal ? this.#end : this.#end + 1
    // No spread: objects with the same hidden class are faster to read.
    const pushed: StreamEntry<T> = {
      seq,
      event: entry.event,
      offset: entry.isSignal ? undefined : String(number),
      bytes: entry.bytes,
      number,
      isSignal: entry.isSignal,
      audiences: entry.audiences,
      change: entry.change,
    }
    this.#lastSeq = seq
    this.#end = number
    this.#entries.push(pushed)
    this.#bytes += entry.bytes
    const { maxEvents, maxBytes } = this.#limits
    while (this.size > maxEvents || (this.#bytes > maxBytes && this.size > 1)) this.#forget()
    return pushed
  }

  /** Replaces the events in memory for which `amend` returns another one. */
  amend(amend: (event: T) => T): void {
    for (let index = this.#first; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as StreamEntry<T>
      const event = amend(entry.event)
      if (event !== entry.event) this.#entries[index] = { ...entry, event }
    }
  }

  /** The number of an entry; undefined for a dropped entry. */
  numberAt(seq: number): number | undefined {
    if (seq === this.beginSeq) return this.#begin
    return this.#entries[this.#entries.length - 1 - (this.#lastSeq - seq)]?.number
  }

  /** The cursor of an event, or for a signal that of the event before it; undefined for a dropped entry. */
  offsetAt(seq: number): string | undefined {
    const number = this.numberAt(seq)
    return number === undefined ? undefined : String(number)
  }

  /** The entry after a position that is in memory; undefined at the end of the log. */
  next(seq: number): StreamEntry<T> | undefined {
    return this.#entries[this.#entries.length - (this.#lastSeq - seq)]
  }

  /** At most `limit` entries after a position; undefined when some of them are dropped. */
  since(seq: number, limit = Number.POSITIVE_INFINITY): readonly StreamEntry<T>[] | undefined {
    if (seq < this.beginSeq) return undefined
    const from = this.#entries.length - (this.#lastSeq - seq)
    return this.#entries.slice(from, from + limit) as StreamEntry<T>[]
  }

  /** The position of the event with a number between `begin` and `end`, both included. */
  seqOf(number: number): number {
    if (number === this.#begin) return this.beginSeq
    let low = this.#first
    let high = this.#entries.length - 1
    // Signals with the same number come after their event.
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#entries[middle] as StreamEntry<T>).number < number) low = middle + 1
      else high = middle
    }
    return (this.#entries[low] as StreamEntry<T>).seq
  }

  #forget(): void {
    const entry = this.#entries[this.#first] as StreamEntry<T>
    this.#entries[this.#first] = undefined
    this.#first += 1
    this.#bytes -= entry.bytes
    this.#begin = entry.number
    // Moving the remaining entries rarely is cheaper than moving them for each new entry.
    if (this.#first < 64 || this.#first * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#first)
    this.#first = 0
  }
}
