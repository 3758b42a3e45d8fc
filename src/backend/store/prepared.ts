import { type Compilable, CompiledQuery } from 'kysely'
import { type Database, isPostgres } from './db.ts'

type Values = Readonly<Record<string, unknown>>

/** The placeholder of a value in a query that is built before the value is known. */
class Placeholder {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  [Symbol.toPrimitive](): never {
    throw new TypeError(`Parameter "${this.name}" has no value while its query is built`)
  }
}

/**
 * A query that is built once for each kind of database and executed many times, because building takes longer than executing.
 * `build` gets a placeholder for each parameter, so the query cannot depend on the values.
 */
export function prepared<P extends object, R>(build: (db: Database, parameters: P) => Compilable<R>) {
  const texts = new Map<boolean, { sql: string; parameters: readonly unknown[] }>()
  const standIns = new Proxy({}, { get: (_, name) => new Placeholder(String(name)) }) as P

  return async (db: Database, values: P): Promise<R[]> => {
    const postgres = isPostgres(db)
    let text = texts.get(postgres)
    if (text === undefined) {
      text = build(db, standIns).compile()
      texts.set(postgres, text)
    }
    const parameters = text.parameters.map((parameter) =>
      parameter instanceof Placeholder ? (values as Values)[parameter.name] : parameter,
    )
    const { rows } = await db.executeQuery<R>(CompiledQuery.raw(text.sql, parameters) as CompiledQuery<R>)
    return rows
  }
}

/** The placeholders of the named columns, as `values` takes them. */
export function columns<P extends object, K extends keyof P & string>(
  parameters: P,
  names: readonly K[],
): Pick<P, K> {
  return Object.fromEntries(names.map((name) => [name, parameters[name]])) as Pick<P, K>
}
