/** An event, and where it stands among those of one source as they came. */
export interface Entry<T> {
  /** 1, 2, 3 … as long as the source is open. */
  readonly seq: number
  readonly event: T
  /** Where it stands in the upstream's log; undefined for what is kept nowhere. */
  readonly place: string | undefined
  /** What keeping it costs. */
  readonly bytes: number
}

export interface RecentLogLimits {
  readonly maxEvents: number
  readonly maxBytes: number
}

/** The latest events of one source, so that whoever missed a few needs nobody to send them again. */
export class RecentLog<T> {
  readonly #limits: RecentLogLimits
  /** Those before `#first` are forgotten. */
  #entries: Entry<T>[] = []
  #first = 0
  #bytes = 0
  #seqs = new Map<string, number>()
  #lastSeq = 0
  /** The upstream's place right before the first entry that is kept, if it is known. */
  #begin: string | undefined
  #lastPlace: string | undefined

  constructor(limits: RecentLogLimits) {
    this.#limits = limits
  }

  /** The newest entry's number. */
  get seq(): number {
    return this.#lastSeq
  }

  /** The number right before the first entry that is kept. */
  get beginSeq(): number {
    return this.#lastSeq - (this.#entries.length - this.#first)
  }

  /** The upstream's place right before the first entry that is kept; undefined when it is not known. */
  get begin(): string | undefined {
    return this.#begin
  }

  /** The upstream's place of the newest entry that has one, or where the log begins. */
  get place(): string | undefined {
    return this.#lastPlace
  }

  /** Says where the upstream's log stood when the source was opened. */
  beginAt(place: string): void {
    if (this.#lastSeq > 0) return
    this.#begin = place
    this.#lastPlace = place
  }

  /** @param limits how much is kept from now on, in place of the usual */
  push(event: T, place: string | undefined, bytes: number, limits: RecentLogLimits = this.#limits): Entry<T> {
    const entry = { seq: this.#lastSeq + 1, event, place, bytes }
    this.#lastSeq = entry.seq
    this.#entries.push(entry)
    this.#bytes += bytes
    if (place !== undefined) {
      this.#seqs.set(place, entry.seq)
      this.#lastPlace = place
    }
    while (
      this.#entries.length - this.#first > limits.maxEvents ||
      (this.#bytes > limits.maxBytes && this.#entries.length - this.#first > 1)
    )
      this.#forget()
    return entry
  }

  /** Replaces the events of the entries that are kept, where `amend` answers another one. */
  amend(amend: (event: T) => T): void {
    for (let index = this.#first; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as Entry<T>
      const event = amend(entry.event)
      if (event !== entry.event) this.#entries[index] = { ...entry, event }
    }
  }

  /** The number of the entry at a place; 0 for where the log began. */
  seqOf(place: string): number | undefined {
    return this.#seqs.get(place) ?? (place === this.#begin ? this.beginSeq : undefined)
  }

  /** The place of an entry, or of the last one before it that has one. */
  placeAt(seq: number): string | undefined {
    for (let index = this.#entries.length - 1 - (this.#lastSeq - seq); index >= this.#first; index -= 1) {
      const place = this.#entries[index]?.place
      if (place !== undefined) return place
    }
    return this.#begin
  }

  /** What came behind an entry, at most `limit`; undefined when some of it is forgotten. */
  since(seq: number, limit = Number.POSITIVE_INFINITY): Entry<T>[] | undefined {
    if (seq < this.beginSeq) return undefined
    const from = this.#entries.length - (this.#lastSeq - seq)
    return this.#entries.slice(from, from + limit)
  }

  /** The number of the last entry whose place is not behind `place`. @param isBehind whether the first is behind the second */
  seqUpTo(place: string, isBehind: (a: string, b: string) => boolean): number {
    let seq = this.beginSeq
    for (let index = this.#first; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as Entry<T>
      if (entry.place !== undefined && isBehind(entry.place, place)) break
      seq = entry.seq
    }
    return seq
  }

  #forget(): void {
    const entry = this.#entries[this.#first] as Entry<T>
    this.#first += 1
    this.#bytes -= entry.bytes
    if (entry.place !== undefined) {
      this.#begin = entry.place
      this.#seqs.delete(entry.place)
    }
    // Moving what is left once in a while is cheaper than at each event.
    if (this.#first < 64 || this.#first * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#first)
    this.#first = 0
  }
}
