import { isRecord } from '../../../json-values.ts'
import { FilterError } from '../filter/filter-error.ts'
import { parseFilter } from '../filter/parse.ts'
import type { Filter } from '../filter/syntax-tree.ts'
import { AggregationError } from './aggregation-error.ts'
import { type GroupKey, type Output, parseGroupKeys, parseOutput, type Rules } from './selectors.ts'

export interface Aggregation {
  readonly filter: Filter
  readonly keys: readonly GroupKey[]
  readonly outputs: readonly Output[]
  readonly sorts: readonly RowSort[]
}

/** The column or key that rows are sorted by. */
export interface RowSort {
  readonly name: string
  readonly isDescending: boolean
}

/** The most entries of each list. */
const maxEntries = 100

/**
 * Parses the body of an aggregation. Clients leave out unused members, or send them as `""`, `[]` or `{}`.
 *
 * @throws AggregationError
 */
export function parseAggregation(body: unknown): Aggregation {
  if (!isRecord(body))
    throw new AggregationError('Expected an object with "output", such as {"output": ["$count"]}')
  const { output, groupBy, filter, rules, sorts } = body
  const parsedRules = parseRules(rules)
  const keys = parseList(groupBy, 'groupBy').flatMap((name) => parseGroupKeys(name, parsedRules))
  const keyNames = new Set(keys.map(({ name }) => name))
  const names = parseList(output, 'output')
  if (names.length === 0)
    throw new AggregationError('Expected "output" to name at least one column, such as $count')
  const outputs = [...new Set(names)].map((name) => parseOutput(name, parsedRules, keyNames))
  const columns = new Set([...keyNames, ...names])
  return {
    filter: parseNamedFilter(filter, 'filter'),
    keys: keys.filter(({ name }, index) => keys.findIndex((key) => key.name === name) === index),
    outputs,
    sorts: parseList(sorts, 'sorts').map((sort) => parseSort(sort, columns)),
  }
}

function parseRules(input: unknown): Rules {
  if (isAbsent(input)) return new Map()
  if (!isRecord(input))
    throw new AggregationError('Expected "rules" to be an object of filters by their names')
  const entries = Object.entries(input)
  if (entries.length > maxEntries) throw tooMany('rules')
  return new Map(entries.map(([name, text]) => [name, parseNamedFilter(text, `rule "${name}"`)]))
}

function parseNamedFilter(text: unknown, name: string): Filter {
  if (isAbsent(text)) return { kind: 'all' }
  if (typeof text !== 'string') throw new AggregationError(`Expected the ${name} to be the text of a filter`)
  try {
    return parseFilter(text)
  } catch (error) {
    if (error instanceof FilterError) throw new AggregationError(`In the ${name}: ${error.message}`)
    throw error
  }
}

function parseSort(text: string, columns: ReadonlySet<string>): RowSort {
  const order = /:(asc|desc)$/i.exec(text)
  const name = order === null ? text : text.slice(0, order.index)
  if (!columns.has(name))
    throw new AggregationError(`Cannot sort by "${name}": expected something of "output" or "groupBy"`)
  return { name, isDescending: order?.[1]?.toLowerCase() === 'desc' }
}

function parseList(input: unknown, name: string): string[] {
  if (isAbsent(input)) return []
  const list = typeof input === 'string' ? [input] : input
  if (!Array.isArray(list) || !list.every((item): item is string => typeof item === 'string'))
    throw new AggregationError(`Expected "${name}" to be a list of texts`)
  if (list.length > maxEntries) throw tooMany(name)
  return list
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === ''
}

function tooMany(name: string): AggregationError {
  return new AggregationError(`Expected "${name}" to have at most ${maxEntries} entries`)
}
