import { ValidationError } from '../errors.ts'

/** The arguments of a connection. */
export interface PageArgs {
  readonly first?: number | null | undefined
  readonly last?: number | null | undefined
  readonly after?: string | null | undefined
  readonly before?: string | null | undefined
}

export interface Connection<T> {
  readonly edges: { readonly cursor: string; readonly node: T }[]
  readonly pageInfo: {
    readonly hasNextPage: boolean
    readonly hasPreviousPage: boolean
    readonly startCursor: string | null
    readonly endCursor: string | null
  }
}

export const maxPageSize = 100

/**
 * The end of a list to read from, and the number of items.
 *
 * @param usual the page when neither `first` nor `last` is given
 * @throws ValidationError for both at once, or a size out of range
 */
export function pageSize(
  { first, last }: PageArgs,
  usual: { from: 'front' | 'back'; size: number },
): { readonly from: 'front' | 'back'; readonly size: number } {
  if (first != null && last != null) throw new ValidationError('Expected either first or last, got both')
  if (first != null) return { from: 'front', size: checkSize('first', first) }
  if (last != null) return { from: 'back', size: checkSize('last', last) }
  return usual
}

function checkSize(name: string, size: number): number {
  if (!Number.isInteger(size) || size < 1 || size > maxPageSize)
    throw new ValidationError(`Expected ${name} to be 1 to ${maxPageSize}, got ${size}`)
  return size
}

/** A position in one kind of list, such as `message` 17; clients must not parse it. */
export function encodeCursor(list: string, place: string): string {
  return Buffer.from(`${list}:${place}`).toString('base64url')
}

/** @throws ValidationError for a text that is not a cursor, or that of another kind of list */
export function decodeCursor(list: string, cursor: string, name: 'after' | 'before'): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8')
  const place = text.startsWith(`${list}:`) ? text.slice(list.length + 1) : ''
  if (place === '' || encodeCursor(list, place) !== cursor)
    throw new ValidationError(
      `Expected ${name} to be a cursor of a list of ${list}s, as in pageInfo.endCursor; got "${cursor.slice(0, 80)}"`,
    )
  return place
}

/** An item of a page. Cursors are made when they are selected. */
class Edge<T> {
  readonly node: T
  readonly #cursorOf: (item: T) => string

  constructor(node: T, cursorOf: (item: T) => string) {
    this.node = node
    this.#cursorOf = cursorOf
  }

  get cursor(): string {
    return this.#cursorOf(this.node)
  }
}

type Answer = boolean | (() => Promise<boolean>)

/** `hasNextPage` and `hasPreviousPage` may need a call, which is made only when they are selected. */
class PageInfo<T> {
  readonly #edges: readonly Edge<T>[]
  readonly #next: Answer
  readonly #previous: Answer

  constructor(edges: readonly Edge<T>[], next: Answer, previous: Answer) {
    this.#edges = edges
    this.#next = next
    this.#previous = previous
  }

  get hasNextPage(): boolean {
    return answer(this.#next)
  }

  get hasPreviousPage(): boolean {
    return answer(this.#previous)
  }

  get startCursor(): string | null {
    return this.#edges[0]?.cursor ?? null
  }

  get endCursor(): string | null {
    return this.#edges.at(-1)?.cursor ?? null
  }
}

/** graphql-js accepts promises in place of values, although its types do not say so. */
function answer(each: Answer): boolean {
  return (typeof each === 'function' ? each() : each) as boolean
}

/**
 * @param more whether items follow or precede the page; a function is only called when the field is selected
 */
export function toConnection<T>(
  items: readonly T[],
  cursorOf: (item: T) => string,
  more: { readonly next: Answer; readonly previous: Answer },
): Connection<T> {
  const edges = items.map((node) => new Edge(node, cursorOf))
  return { edges, pageInfo: new PageInfo(edges, more.next, more.previous) }
}

/**
 * A page of a list that was read in full.
 *
 * @param keyOf the unique key by which the list is ordered, so that a cursor stays valid when items are added or removed
 */
export function listConnection<T, Key extends number | string>(
  list: string,
  items: readonly T[],
  keyOf: (item: T) => Key,
  args: PageArgs,
): Connection<T> {
  const { from, size } = pageSize(args, { from: 'front', size: maxPageSize })
  const sorted = items.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0))
  const keyed = (name: 'after' | 'before') => {
    const cursor = args[name]
    if (cursor == null) return undefined
    const isNumbered = typeof (sorted[0] && keyOf(sorted[0])) === 'number'
    return isNumbered ? numberCursor(list, cursor, name) : decodeCursor(list, cursor, name)
  }
  const after = keyed('after')
  const before = keyed('before')
  const range = sorted.filter(
    (item) => (after === undefined || keyOf(item) > after) && (before === undefined || keyOf(item) < before),
  )
  const page = from === 'front' ? range.slice(0, size) : range.slice(-size)
  const first = page[0]
  const last = page.at(-1)
  return toConnection(page, (item) => encodeCursor(list, String(keyOf(item))), {
    next: last !== undefined && items.some((item) => keyOf(item) > keyOf(last)),
    previous: first !== undefined && items.some((item) => keyOf(item) < keyOf(first)),
  })
}

/** The number in a cursor. @throws ValidationError for any other text */
export function numberCursor(list: string, cursor: string, name: 'after' | 'before'): number {
  const place = decodeCursor(list, cursor, name)
  if (!/^\d{1,15}$/.test(place))
    throw new ValidationError(`Expected ${name} to be a cursor of a list of ${list}s`)
  return Number(place)
}
