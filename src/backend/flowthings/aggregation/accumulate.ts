import { compareTexts } from '../filter/compare.ts'
import { compileFilter } from '../filter/evaluate.ts'
import type { Subject } from '../filter/subject.ts'
import { AggregationError } from './aggregation-error.ts'
import { type Cell, createCell, takeBytes } from './cells.ts'
import type { Aggregation, RowSort } from './parse.ts'

/** A row of the result: its columns by their selectors, and `id` with the values of `groupBy`. */
export type Row = Readonly<Record<string, unknown>>

/** Computes the rows from one drop after the other. Only the values that the rows need stay in memory. */
export interface Accumulator {
  /** Counts a drop if it matches the filter. @throws AggregationError when there are too many rows or values */
  add(subject: Subject, now: number): void
  /** The sorted rows; by default in the order of the first drop of each. Empty when no drop matched. */
  rows(): Row[]
}

const maxRows = 10_000

interface Group {
  readonly id: Readonly<Record<string, unknown>>
  readonly cells: readonly Cell[]
}

export function createAccumulator({ filter, keys, outputs, sorts }: Aggregation): Accumulator {
  const matches = compileFilter(filter, 'drop')
  const groups = new Map<string, Group>()
  const budget = { bytes: 0 }
  return {
    add(subject, now) {
      if (!matches(subject, now)) return
      const values = keys.map(({ read }) => read(subject, now) ?? null)
      const name = JSON.stringify(values)
      let group = groups.get(name)
      if (group === undefined) {
        if (groups.size >= maxRows)
          throw new AggregationError(
            `The aggregation has more than ${maxRows} rows; use a filter or a coarser groupBy`,
          )
        takeBytes(budget, 2 * name.length)
        const id = Object.fromEntries(keys.map((key, index) => [key.name, values[index]]))
        group = { id, cells: outputs.map((output) => createCell(output, id, budget)) }
        groups.set(name, group)
      }
      for (const cell of group.cells) cell.add(subject, now)
    },
    rows() {
      const rows = [...groups.values()].map(
        ({ id, cells }): Row => ({
          ...Object.fromEntries(outputs.map(({ name }, index) => [name, cells[index]?.value() ?? null])),
          id,
        }),
      )
      return sorts.length === 0 ? rows : rows.sort(compareRows(sorts))
    },
  }
}

function compareRows(sorts: readonly RowSort[]): (left: Row, right: Row) => number {
  return (left, right) => {
    for (const { name, isDescending } of sorts) {
      const order = compareCells(read(left, name), read(right, name), isDescending ? -1 : 1)
      if (order !== 0) return order
    }
    return 0
  }
}

function read(row: Row, name: string): unknown {
  const id = row['id'] as Row
  return Object.hasOwn(id, name) ? id[name] : row[name]
}

/** Compares two values of a column. Numbers come before texts. Other values are last in both directions. */
function compareCells(left: unknown, right: unknown, sign: number): number {
  const [a, b] = [rankOf(left), rankOf(right)]
  if (a !== b) return a === last || b === last ? a - b : sign * (a - b)
  if (typeof left === 'number') return sign * (left - (right as number))
  return typeof left === 'string' ? sign * compareTexts(left, right as string) : 0
}

const last = 2

function rankOf(value: unknown): number {
  if (typeof value === 'number') return 0
  return typeof value === 'string' ? 1 : last
}
