import type { Member } from './filter/syntax-tree.ts'

/** The sort key of a resource: the value of the sorted member, and the number of the resource. */
export interface Sortable {
  readonly value: unknown
  readonly seq: number
}

/**
 * Compares results. Numbers come before texts, and equal values are ordered by their numbers. Results without a value are last in
 * both directions.
 */
export function compareBy(descending: boolean): (left: Sortable, right: Sortable) => number {
  const sign = descending ? -1 : 1
  return (left, right) => {
    const [a, b] = [rankOf(left.value), rankOf(right.value)]
    if (a !== b) return a === missing || b === missing ? a - b : sign * (a - b)
    return sign * (compareSame(left.value, right.value) || left.seq - right.seq)
  }
}

const missing = 4

function rankOf(value: unknown): number {
  if (typeof value === 'boolean') return 0
  if (typeof value === 'number') return 1
  return typeof value === 'string' ? 2 : missing
}

function compareSame(left: unknown, right: unknown): number {
  if (typeof left === 'number' || typeof left === 'boolean') return Number(left) - Number(right)
  if (typeof left !== 'string') return 0
  return left < (right as string) ? -1 : left > (right as string) ? 1 : 0
}

/** Whether a find is sorted by the creation date, which is the order in the database. */
export function isByCreation(sort: Member): boolean {
  return sort.length === 1 && sort[0] === 'creationDate'
}

/** A result, and the length of its JSON. */
export interface SizedResult extends Sortable {
  readonly bytes: number
}

/** Finds the first `size` of many results in their order, with little more than these in memory. */
export class FirstResults<T extends SizedResult> {
  readonly #compare: (left: Sortable, right: Sortable) => number
  readonly #size: number
  readonly #maxBytes: number
  #items: T[] = []
  #bytes = 0

  constructor(size: number, descending: boolean, maxBytes: number) {
    this.#size = size
    this.#compare = compareBy(descending)
    this.#maxBytes = maxBytes
  }

  /** @returns false when the first results so far are longer than `maxBytes` */
  add(item: T): boolean {
    this.#items.push(item)
    this.#bytes += item.bytes
    if (this.#items.length >= 2 * this.#size + 1000 || this.#bytes > this.#maxBytes) this.#cut()
    return this.#bytes <= this.#maxBytes
  }

  /** The results, without the first `start`. */
  take(start: number): T[] {
    this.#cut()
    return this.#items.slice(start)
  }

  #cut(): void {
    this.#items.sort(this.#compare)
    this.#items.length = Math.min(this.#items.length, this.#size)
    this.#bytes = this.#items.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}
