import { FilterError } from './filter/filter-error.ts'
import { parseFilter } from './filter/parse.ts'
import type { Filter, Member } from './filter/syntax-tree.ts'
import { type Style, styleOfHints } from './style.ts'
import { badRequest } from './things-error.ts'

/** Which resources a request reads, and in which order. */
export interface FindParams {
  readonly filter: Filter
  /** The number of results to skip. */
  readonly start: number
  readonly limit: number
  readonly sort: Member
  readonly descending: boolean
}

/** The representation of results. */
export interface Presentation {
  readonly style: Style
  /** The members to return in addition to `id`; undefined for all. */
  readonly only: readonly Member[] | undefined
  /** Whether to return summaries of the resources that results refer to. */
  readonly refs: boolean
}

/** Parameters from a query string, or from the `options` of a frame. */
export type Query = Readonly<Record<string, unknown>>

/** [flowthings] successor's paging page, java-client */
const defaultLimit = 20

/**
 * Parses the parameters of a find. Unknown parameters are ignored.
 *
 * @throws ThingsError 400
 */
export function parseFindParams(query: Query): FindParams {
  return {
    filter: readFilter(query['filter']),
    // The Java client sends `skip`.
    start: readCount(query, 'start') ?? readCount(query, 'skip') ?? 0,
    limit: readCount(query, 'limit') ?? defaultLimit,
    sort: readMember(query['sort'] ?? 'creationDate', 'sort'),
    descending: readOrder(query['order']),
  }
}

/** @param style the default, by the version of the API; `hints` overrides it */
export function parsePresentation(query: Query, style: Style): Presentation {
  const { only, refs } = query
  const names = only === undefined || only === '' ? undefined : String(only).split(',')
  return {
    style: styleOfHints(query['hints']) ?? style,
    only: names?.map((name) => readMember(name.trim(), 'only')),
    refs: /^(1|true)$/i.test(String(refs ?? '')),
  }
}

/** @param text from a request or the database @throws ThingsError 400 for an invalid filter */
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
  // Clients send 2147483647 for "no limit".
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
