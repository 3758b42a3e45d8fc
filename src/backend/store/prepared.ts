import type { Compilable } from 'kysely'
import { CompiledQuery } from 'kysely'
import { DirectDatabase, WritingConnection } from './connection.ts'
import { type Database, isPostgres, type Tables } from './db.ts'
import { inChunks } from './row-chunks.ts'
import type { Execute } from './transaction-state.ts'

/** The placeholder of a value in a query that is built before the value is known. */
class Placeholder {
  readonly row: number
  readonly column: string

  constructor(row: number, column: string) {
    this.row = row
    this.column = column
  }

  [Symbol.toPrimitive](): never {
    throw new TypeError(`Parameter "${this.column}" has no value while its query is built`)
  }
}

interface Statement {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

type Values = Readonly<Record<string, unknown>>

/** @returns the text of a query with its placeholders, built once for each kind of database and number of rows */
function statements<P extends object>(build: (db: Database, rows: readonly P[]) => Compilable<unknown>) {
  const texts = { sqlite: new Map<number, Statement>(), postgres: new Map<number, Statement>() }
  return (db: Database, rows: number): Statement => {
    const known = texts[isPostgres(db) ? 'postgres' : 'sqlite']
    let text = known.get(rows)
    if (text === undefined) {
      const standIns = Array.from(
        { length: rows },
        (_, row) => new Proxy({}, { get: (_, name) => new Placeholder(row, String(name)) }) as P,
      )
      text = build(db, standIns).compile()
      known.set(rows, text)
    }
    return text
  }
}

function fill({ parameters }: Statement, rows: readonly object[]): unknown[] {
  return parameters.map((parameter) =>
    parameter instanceof Placeholder ? (rows[parameter.row] as Values)[parameter.column] : parameter,
  )
}

export interface PreparedOptions {
  /**
   * Whether a transaction reads equal values once, see `TransactionState`; or whether the rows of SQLite are used until one of the
   * tables that the query names changes. No batch may write what the query reads: for `'transaction'` within one transaction, for
   * `'always'` at all.
   */
  readonly remembers?: 'transaction' | 'always'
  /** Whether batches are not written before it, because the caller knows what they have yet to write. */
  readonly isBesideBatches?: boolean
}

/**
 * A query that is built once for each kind of database and executed many times, because building takes longer than executing.
 * `build` gets a placeholder for each parameter, so the query cannot depend on the values.
 */
export function prepared<P extends object, R>(
  build: (db: Database, parameters: P) => Compilable<R>,
  { remembers, isBesideBatches = false }: PreparedOptions = {},
) {
  const textFor = statements<P>((db, [row]) => build(db, row as P))
  const write = ({ state }: WritingConnection<Tables>, sql: string, parameters: readonly unknown[]) => {
    if (isBesideBatches) return state.readBeside(sql, parameters)
    if (remembers === 'always') return state.readKept(sql, parameters)
    return remembers === 'transaction' ? state.read(sql, parameters) : state.execute(sql, parameters)
  }
  const read = ({ statements }: DirectDatabase<Tables>, sql: string, parameters: readonly unknown[]) =>
    remembers === 'always' ? statements.readKept(sql, parameters) : statements.execute(sql, parameters)

  return async (db: Database, values: P): Promise<readonly R[]> => {
    const text = textFor(db, 1)
    const parameters = fill(text, [values])
    if (db instanceof WritingConnection) return (await write(db, text.sql, parameters)) as readonly R[]
    const rows = db instanceof DirectDatabase ? read(db, text.sql, parameters) : undefined
    if (rows !== undefined) return rows as readonly R[]
    return (await db.executeQuery<R>(CompiledQuery.raw(text.sql, parameters) as CompiledQuery<R>)).rows
  }
}

/** A statement of a batch. */
export function batched<P extends object>(build: (db: Database, parameters: P) => Compilable<unknown>) {
  const textFor = statements<P>((db, [row]) => build(db, row as P))
  return (db: Database, execute: Execute, values: P): void => {
    const text = textFor(db, 1)
    execute(text.sql, fill(text, [values]))
  }
}

/** A statement of a batch that inserts many rows. There are few texts of it: their numbers of rows are powers of two. */
export function batchedRows<P extends object>(
  build: (db: Database, rows: readonly P[]) => Compilable<unknown>,
) {
  const textFor = statements<P>(build)
  return (db: Database, execute: Execute, rows: readonly P[]): void => {
    for (const chunk of inChunks(rows)) {
      const text = textFor(db, chunk.length)
      execute(text.sql, fill(text, chunk))
    }
  }
}

/** The placeholders of the named columns, as `values` takes them. */
export function columns<P extends object, K extends keyof P & string>(
  parameters: P,
  names: readonly K[],
): Pick<P, K> {
  return Object.fromEntries(names.map((name) => [name, parameters[name]])) as Pick<P, K>
}
