import { type RawBuilder, sql } from 'kysely'
import { type Database, isPostgres } from '../db.ts'

/** A column, or a path in `drop_json`. */
export type DropField = 'id' | 'fhash' | 'created_at' | readonly string[]

export type Scalar = string | number | boolean | null
export type Order = '<' | '<=' | '>' | '>='

/**
 * A condition on rows of `things_drops`. Both databases give the same results as JavaScript: values of different types are never
 * equal and have no order, numbers are doubles, and texts are ordered by code points. For a row without the field, all conditions
 * but `not` are false. `created_at` can only be compared with whole numbers.
 */
export type DropCondition =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'and' | 'or'; readonly conditions: readonly DropCondition[] }
  | { readonly kind: 'not'; readonly condition: DropCondition }
  | { readonly kind: 'exists'; readonly field: DropField }
  | { readonly kind: 'equal'; readonly field: DropField; readonly values: readonly Scalar[] }
  | {
      readonly kind: 'order'
      readonly field: DropField
      readonly order: Order
      readonly value: string | number
    }

/**
 * Translates a condition to SQL. The result is null or false for rows that do not fulfill it. Values are compared by their JSON,
 * because `drop_json` was written by `JSON.stringify`, which writes equal values in the same way.
 */
export function dropConditionSql(db: Database, condition: DropCondition): RawBuilder<boolean> {
  const dialect = isPostgres(db) ? postgres : sqlite
  const write = (each: DropCondition): RawBuilder<boolean> => {
    switch (each.kind) {
      case 'constant':
        return each.value ? sql`(1 = 1)` : sql`(1 = 0)`
      case 'and':
        return sql`(${sql.join(each.conditions.map(write), sql` and `)})`
      case 'or':
        return sql`(${sql.join(each.conditions.map(write), sql` or `)})`
      case 'not':
        return sql`(not coalesce(${write(each.condition)}, (1 = 0)))`
      case 'exists':
        return sql`(${fieldSql(dialect, each.field)} is not null)`
      case 'equal':
        return equalSql(dialect, each.field, each.values)
      case 'order':
        return orderSql(dialect, each)
    }
  }
  return write(condition)
}

interface Dialect {
  /** A member as JSON; null if it is missing. */
  json(path: readonly string[]): RawBuilder<unknown>
  /** A constant in the same form as `json`. */
  constant(value: Scalar): RawBuilder<unknown>
  /** Whether a member is a number and its comparison with another is true. */
  numbers(path: readonly string[], order: RawBuilder<unknown>, value: number): RawBuilder<boolean>
  texts(path: readonly string[], order: RawBuilder<unknown>, value: string): RawBuilder<boolean>
  /** A text column, to be compared by code points. */
  ordered(column: RawBuilder<unknown>): RawBuilder<unknown>
}

const dropJson = sql.ref('drop_json')

const sqlite: Dialect = {
  json: (path) => sql`(${dropJson} -> ${jsonPath(path)})`,
  constant: (value) => sql`${JSON.stringify(value)}`,
  numbers: (path, order, value) =>
    sql`(json_type(${dropJson}, ${jsonPath(path)}) in ('integer', 'real')
      and cast(json_extract(${dropJson}, ${jsonPath(path)}) as real) ${order} ${value})`,
  texts: (path, order, value) =>
    sql`(json_type(${dropJson}, ${jsonPath(path)}) = 'text'
      and json_extract(${dropJson}, ${jsonPath(path)}) ${order} ${value})`,
  ordered: (column) => column,
}

const postgres: Dialect = {
  json: (path) => sql`(${steps(path)})`,
  constant: (value) => sql`cast(${JSON.stringify(value)} as jsonb)`,
  numbers: (path, order, value) =>
    sql`(case when jsonb_typeof(${steps(path)}) = 'number'
      then cast(${steps(path)} as float8) ${order} cast(${value} as float8) end)`,
  texts: (path, order, value) =>
    sql`(case when jsonb_typeof(${steps(path)}) = 'string'
      then (${steps(path)} #>> '{}') collate "C" ${order} ${value} end)`,
  ordered: (column) => sql`${column} collate "C"`,
}

/** Needs no escapes, because names of members only have letters, digits, `_`, `-`, `$` and `:`. */
function jsonPath(path: readonly string[]): string {
  return `$${path.map((name) => `."${name}"`).join('')}`
}

/** The operator `->` with a text reads members of objects, and no items of lists. */
function steps(path: readonly string[]): RawBuilder<unknown> {
  return sql`cast(${dropJson} as jsonb)${sql.join(
    path.map((name) => sql` -> cast(${name} as text)`),
    sql``,
  )}`
}

function fieldSql(dialect: Dialect, field: DropField): RawBuilder<unknown> {
  return typeof field === 'string' ? sql.ref(field) : dialect.json(field)
}

function equalSql(dialect: Dialect, field: DropField, values: readonly Scalar[]): RawBuilder<boolean> {
  // The stored JSON may have more digits of such a number.
  const isLong = (value: Scalar): value is number =>
    typeof field !== 'string' && Number.isInteger(value) && !Number.isSafeInteger(value)
  const longs = values.filter(isLong)
  if (typeof field !== 'string' && longs.length > 0) {
    const others = values.filter((value) => !isLong(value))
    return sql`(${sql.join(
      [
        ...longs.map((value) => dialect.numbers(field, sql.raw('='), value)),
        ...(others.length === 0 ? [] : [equalSql(dialect, field, others)]),
      ],
      sql` or `,
    )})`
  }
  const constants = typeof field === 'string' ? values.filter((value) => fits(field, value)) : values
  if (constants.length === 0) return sql`(1 = 0)`
  const list = constants.map((value) => (typeof field === 'string' ? sql`${value}` : dialect.constant(value)))
  return sql`(${fieldSql(dialect, field)} in (${sql.join(list)}))`
}

/** Whether a column can contain a value. */
function fits(column: 'id' | 'fhash' | 'created_at', value: Scalar): boolean {
  return column === 'created_at' ? Number.isSafeInteger(value) : typeof value === 'string'
}

function orderSql(
  dialect: Dialect,
  { field, order, value }: Extract<DropCondition, { kind: 'order' }>,
): RawBuilder<boolean> {
  const sign = sql.raw(order)
  if (typeof field !== 'string')
    return typeof value === 'number' ? dialect.numbers(field, sign, value) : dialect.texts(field, sign, value)
  if (!fits(field, value)) return sql`(1 = 0)`
  const column = typeof value === 'string' ? dialect.ordered(sql.ref(field)) : sql.ref(field)
  return sql`(${column} ${sign} ${value})`
}
