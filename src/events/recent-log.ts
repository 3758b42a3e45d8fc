/** An event, with its position among the events of one stream in the order of arrival. */
export interface Entry<T> {
  /** 1, 2, 3 … while the stream is open. */
  readonly seq: number
  readonly event: T
  /** Its offset in the upstream's log; undefined for an event that is not stored. */
  readonly offset: string | undefined
  /** Its size in memory. */
  readonly bytes: number
}

export interface RecentLogLimits {
  readonly maxEvents: number
  readonly maxBytes: number
}

/** The latest events of one stream, so that a reader that missed a few need not request them from the upstream. */
export class RecentLog<T> {
  readonly #limits: RecentLogLimits
  /** Entries before `#first` are dropped. */
  #entries: Entry<T>[] = []
  #first = 0
  #bytes = 0
  #seqs = new Map<string, number>()
  #lastSeq = 0
  /** The upstream's offset right before the first entry in memory, if it is known. */
  #begin: string | undefined
  #lastOffset: string | undefined

  constructor(limits: RecentLogLimits) {
    this.#limits = limits
  }

  /** The number of the newest entry. */
  get seq(): number {
    return this.#lastSeq
  }

  /** The number right before the first entry in memory. */
  get beginSeq(): number {
    return this.#lastSeq - (this.#entries.length - this.#first)
  }

  /** The upstream's offset right before the first entry in memory; undefined when it is unknown. */
  get begin(): string | undefined {
    return this.#begin
  }

  /** The upstream's offset of the newest entry that has one, or of the beginning of the log. */
  get offset(): string | undefined {
    return this.#lastOffset
  }

  /** Sets the offset of the upstream's log at which the stream was opened. */
  beginAt(offset: string): void {
    if (this.#lastSeq > 0) return
    this.#begin = offset
    this.#lastOffset = offset
  }

  /** @param limits replace the default limits from now on */
  push(
    event: T,
    offset: string | undefined,
    bytes: number,
    limits: RecentLogLimits = this.#limits,
  ): Entry<T> {
    const entry = { seq: this.#lastSeq + 1, event, offset, bytes }
    this.#lastSeq = entry.seq
    this.#entries.push(entry)
    this.#bytes += bytes
    if (offset !== undefined) {
      this.#seqs.set(offset, entry.seq)
      this.#lastOffset = offset
    }
    while (
      this.#entries.length - this.#first > limits.maxEvents ||
      (this.#bytes > limits.maxBytes && this.#entries.length - this.#first > 1)
    )
      this.#forget()
    return entry
  }

  /** Replaces the events in memory for which `amend` returns another one. */
  amend(amend: (event: T) => T): void {
    for (let index = this.#first; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as Entry<T>
      const event = amend(entry.event)
      if (event !== entry.event) this.#entries[index] = { ...entry, event }
    }
  }

  /** The number of the entry at an offset; 0 for the beginning of the log. */
  seqOf(offset: string): number | undefined {
    return this.#seqs.get(offset) ?? (offset === this.#begin ? this.beginSeq : undefined)
  }

  /** The offset of an entry, or of the last one before it that has one. */
  offsetAt(seq: number): string | undefined {
    for (let index = this.#entries.length - 1 - (this.#lastSeq - seq); index >= this.#first; index -= 1) {
      const offset = this.#entries[index]?.offset
      if (offset !== undefined) return offset
    }
    return this.#begin
  }

  /** The entries after an entry, at most `limit`; undefined when some of them are dropped. */
  since(seq: number, limit = Number.POSITIVE_INFINITY): Entry<T>[] | undefined {
    if (seq < this.beginSeq) return undefined
    const from = this.#entries.length - (this.#lastSeq - seq)
    return this.#entries.slice(from, from + limit)
  }

  /**
   * The number of the last entry whose offset is not after `offset`. @param isBehind whether the first offset is after the second
   */
  seqUpTo(offset: string, isBehind: (a: string, b: string) => boolean): number {
    let seq = this.beginSeq
    for (let index = this.#first; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as Entry<T>
      if (entry.offset !== undefined && isBehind(entry.offset, offset)) break
      seq = entry.seq
    }
    return seq
  }

  #forget(): void {
    const entry = this.#entries[this.#first] as Entry<T>
    this.#first += 1
    this.#bytes -= entry.bytes
    if (entry.offset !== undefined) {
      this.#begin = entry.offset
      this.#seqs.delete(entry.offset)
    }
    // Moving the rest once in a while is cheaper than moving it at each event.
    if (this.#first < 64 || this.#first * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#first)
    this.#first = 0
  }
}
