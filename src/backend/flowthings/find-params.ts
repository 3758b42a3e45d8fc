import { FilterError } from './filter/filter-error.ts'
import { parseFilter } from './filter/parse.ts'
import type { Filter, Member } from './filter/syntax-tree.ts'
import { type Style, styleOfHints } from './style.ts'
import { badRequest } from './things-error.ts'

/** What a request asks of what it reads. */
export interface FindParams {
  readonly filter: Filter
  /** How many of the first results are left out. */
  readonly start: number
  readonly limit: number
  readonly sort: Member
  readonly descending: boolean
}

/** How results are shown. */
export interface Presentation {
  readonly style: Style
  /** The members that are shown besides `id`; undefined for all. */
  readonly only: readonly Member[] | undefined
  /** Whether the resources that results name are described. */
  readonly refs: boolean
}

/** Names and values as a query string or the `options` of a frame have them. */
export type Query = Readonly<Record<string, unknown>>

/** [flowthings] successor's paging page, java-client */
const defaultLimit = 20

/**
 * Reads the parameters of a find. Unknown ones are ignored.
 *
 * @throws ThingsError 400
 */
export function parseFindParams(query: Query): FindParams {
  return {
    filter: readFilter(query['filter']),
    // `skip` is what the Java client says.
    start: readCount(query, 'start') ?? readCount(query, 'skip') ?? 0,
    limit: readCount(query, 'limit') ?? defaultLimit,
    sort: readMember(query['sort'] ?? 'creationDate', 'sort'),
    descending: readOrder(query['order']),
  }
}

/** @param style of the version of the API, unless `hints` says otherwise */
export function parsePresentation(query: Query, style: Style): Presentation {
  const { only, refs } = query
  const names = only === undefined || only === '' ? undefined : String(only).split(',')
  return {
    style: styleOfHints(query['hints']) ?? style,
    only: names?.map((name) => readMember(name.trim(), 'only')),
    refs: /^(1|true)$/i.test(String(refs ?? '')),
  }
}

/** @param text that of a request, or a stored one @throws ThingsError 400 where it is no filter */
export function readFilter(text: unknown): Filter {
  if (text === undefined || text === null) return { kind: 'all' }
  if (typeof text !== 'string') throw badRequest('Expected the filter to be a text')
  try {
    return parseFilter(text)
  } catch (error) {
    throw error instanceof FilterError ? badRequest(error.message) : error
  }
}

const maxCount = 2 ** 31 - 1

function readCount(query: Query, name: string): number | undefined {
  const value = query[name]
  if (value === undefined || value === null || value === '') return undefined
  if (!/^\d{1,15}$/.test(String(value)))
    throw badRequest(
      `Expected "${name}" to be a whole number, 0 or more; got ${JSON.stringify(value).slice(0, 60)}`,
    )
  // The largest number of 32 bits is how clients say that there is no limit.
  return Math.min(Number(value), maxCount)
}

function readMember(value: unknown, name: string): Member {
  const text = String(value)
  if (!/^[A-Za-z_$:][\w$:-]*(\.[A-Za-z_$:][\w$:-]*)*$/.test(text) || text.length > 200)
    throw badRequest(`Expected "${name}" to name a member, such as "creationDate" or "elems.temperature"`)
  return text.split('.')
}

function readOrder(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true
  const order = String(value).toLowerCase()
  if (order !== 'asc' && order !== 'desc') throw badRequest('Expected "order" to be "asc" or "desc"')
  return order === 'desc'
}
