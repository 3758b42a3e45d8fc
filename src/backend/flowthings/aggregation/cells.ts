import type { Subject } from '../filter/subject.ts'
import { AggregationError } from './aggregation-error.ts'
import type { Field, Output } from './selectors.ts'

/** The value of a column in one row, computed while drops are added. */
export interface Cell {
  add(subject: Subject, now: number): void
  /** The result; `null` when no drop had a suitable value. */
  value(): unknown
}

/** The most memory for the values of `$unique`, `$all` and `groupBy` in one aggregation. */
const maxBytes = 16 * 1024 * 1024

/** The memory used so far by all cells of an aggregation. */
export interface Budget {
  bytes: number
}

/** @throws AggregationError when the values of an aggregation exceed their memory limit */
export function takeBytes(budget: Budget, bytes: number): void {
  budget.bytes += bytes
  if (budget.bytes > maxBytes)
    throw new AggregationError(`The aggregation keeps more than ${maxBytes} bytes of values; use a filter`)
}

/** @param id the values of `groupBy` for the row */
export function createCell(output: Output, id: Readonly<Record<string, unknown>>, budget: Budget): Cell {
  switch (output.kind) {
    case 'count':
      return count()
    case 'key':
      return { add: () => undefined, value: () => id[output.name] }
    case 'sum':
      return numeric(output, (sum) => sum)
    case 'avg':
      return numeric(output, (sum, numbers) => (numbers === 0 ? null : sum / numbers))
    case 'min':
      return extreme(output.read, (value, best) => value < best)
    case 'max':
      return extreme(output.read, (value, best) => value > best)
    case 'all':
      return all(output.read, budget)
    case 'unique':
      return unique(output.read, budget)
  }
}

function count(): Cell {
  let drops = 0
  return {
    add: () => {
      drops += 1
    },
    value: () => drops,
  }
}

/** A cell that ignores all values except numbers. Its value throws an AggregationError when their sum is no number any more. */
function numeric(
  { name, read }: { readonly name: string; readonly read: Field },
  value: (sum: number, numbers: number) => number | null,
): Cell {
  let sum = 0
  let numbers = 0
  return {
    add(subject, now) {
      const number = read(subject, now)
      if (typeof number !== 'number') return
      sum += number
      numbers += 1
    },
    value() {
      // JSON has no infinity: it would be null, as if there were no numbers.
      if (!Number.isFinite(sum))
        throw new AggregationError(`Cannot compute "${name}": the sum exceeds 1.8e308`)
      return value(sum, numbers)
    },
  }
}

function extreme(read: Field, isBetter: (value: number, best: number) => boolean): Cell {
  let best: number | null = null
  return {
    add(subject, now) {
      const value = read(subject, now)
      if (typeof value === 'number' && (best === null || isBetter(value, best))) best = value
    },
    value: () => best,
  }
}

function all(read: Field, budget: Budget): Cell {
  const values: unknown[] = []
  return {
    add(subject, now) {
      const value = read(subject, now)
      if (value === undefined) return
      takeBytes(budget, sizeOf(value))
      values.push(value)
    },
    value: () => values,
  }
}

/** Collects different values. Lists and maps are compared by their JSON. */
function unique(read: Field, budget: Budget): Cell {
  const values = new Map<unknown, unknown>()
  return {
    add(subject, now) {
      const value = read(subject, now)
      if (value === undefined) return
      const key = typeof value === 'object' && value !== null ? `json ${JSON.stringify(value)}` : keyOf(value)
      if (values.has(key)) return
      takeBytes(budget, sizeOf(value))
      values.set(key, value)
    },
    value: () => [...values.values()],
  }
}

function keyOf(value: unknown): unknown {
  return typeof value === 'string' ? `text ${value}` : value
}

/** The approximate size of a value in bytes. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return 16 + 2 * value.length
  return typeof value === 'object' && value !== null ? 16 + 2 * JSON.stringify(value).length : 16
}
