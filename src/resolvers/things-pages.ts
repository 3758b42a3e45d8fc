import { ValidationError } from '../errors.ts'
import type { ThingsFilter } from '../upstream/flowthings/filter-text.ts'
import type { Find } from '../upstream/flowthings/find.ts'
import {
  type Connection,
  decodeCursor,
  encodeCursor,
  type PageArgs,
  pageSize,
  toConnection,
} from './pagination.ts'

export type ThingsOrder = 'asc' | 'desc'

/** A list that the upstream orders by creation date. */
export interface DatedList<T> {
  /** What it is a list of, for cursors and errors. */
  readonly name: string
  readonly filter: ThingsFilter | null | undefined
  readonly order: ThingsOrder
  readonly placeOf: (item: T) => DatedPlace
  /** Null when what has the list does not exist. */
  readonly read: (find: Find) => Promise<readonly T[] | null>
}

/** The position of an item. Items of the same millisecond are in the order of their arrival. */
export interface DatedPlace {
  readonly at: number
  readonly id: string
}

const usualSize = 20
/** The most items of one millisecond that a page is looked for among. */
const maxTies = 10_000

/**
 * A page of a list. Cursors name items by time and id, so pages neither repeat nor lose items while others are added or deleted.
 * A page is one call, and another one where many items have the time of the cursor.
 */
export async function datedConnection<T>(list: DatedList<T>, args: PageArgs): Promise<Connection<T> | null> {
  const { from, size } = pageSize(args, { from: 'front', size: usualSize })
  const order = from === 'front' ? list.order : opposite(list.order)
  const after = args.after == null ? undefined : decodePlace(list.name, args.after, 'after')
  const before = args.before == null ? undefined : decodePlace(list.name, args.before, 'before')
  const [begin, end] = from === 'front' ? [after, before] : [before, after]
  const filters = [
    ...(list.filter == null ? [] : [list.filter]),
    ...(begin === undefined ? [] : [createdFrom(begin, order)]),
    ...(end === undefined ? [] : [createdFrom(end, opposite(order))]),
  ]
  // The item of the cursor comes first, and one after the page says whether there are more.
  const wanted = size + (begin === undefined ? 1 : 2)
  let found = await list.read({ filters, order, limit: wanted })
  if (found === null) return null
  let rest = behind(found, begin, list, found.length < wanted)
  if (rest.length <= size && found.length === wanted) {
    found = (await list.read({ filters, order, limit: wanted + maxTies })) ?? []
    rest = behind(found, begin, list, true)
  }
  const stop = end === undefined ? -1 : rest.findIndex((item) => list.placeOf(item).id === end.id)
  const reachable = stop === -1 ? rest : rest.slice(0, stop)
  const page = reachable.slice(0, size)
  const hasMore = reachable.length > size
  const cursorOf = (item: T) => {
    const { at, id } = list.placeOf(item)
    return encodeCursor(list.name, `${at}~${id}`)
  }
  return from === 'front'
    ? toConnection(page, cursorOf, { next: hasMore, previous: begin !== undefined })
    : toConnection(page.toReversed(), cursorOf, { next: begin !== undefined, previous: hasMore })
}

/** Items at a place and after it in an order. */
function createdFrom({ at }: DatedPlace, order: ThingsOrder): ThingsFilter {
  return { compare: { member: 'creationDate', comparison: order === 'desc' ? '<=' : '>=', value: at } }
}

/** Items after a place. If its item was deleted, others of the same millisecond come, perhaps again. */
function behind<T>(
  found: readonly T[],
  begin: DatedPlace | undefined,
  { placeOf }: DatedList<T>,
  isComplete: boolean,
): readonly T[] {
  if (begin === undefined) return found
  const index = found.findIndex((item) => placeOf(item).id === begin.id)
  if (index !== -1) return found.slice(index + 1)
  // There may be more of that millisecond than were read.
  return isComplete || found.some((item) => placeOf(item).at !== begin.at) ? found : []
}

function opposite(order: ThingsOrder): ThingsOrder {
  return order === 'asc' ? 'desc' : 'asc'
}

function decodePlace(list: string, cursor: string, name: 'after' | 'before'): DatedPlace {
  const [, at, id] = /^(\d{1,15})~([a-z][0-9a-f]{24})$/.exec(decodeCursor(list, cursor, name)) ?? []
  if (at === undefined || id === undefined)
    throw new ValidationError(`Expected ${name} to be a cursor of a list of ${list}s`)
  return { at: Number(at), id }
}
