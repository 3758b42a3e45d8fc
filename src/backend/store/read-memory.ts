export type Rows = readonly unknown[]

/**
 * The most that is remembered: results and their rows, and the characters of both and of the parameters, which requests choose.
 * Forgetting a row only costs another read.
 */
const most: Size = { rows: 50_000, characters: 16 * 1024 * 1024 }

interface Size {
  rows: number
  characters: number
}

/** The rows of one statement, by its parameters. */
interface StatementReads {
  readonly byParameters: Map<unknown, Rows | Promise<Rows>>
  readonly size: Size
}

/** Rows as they were read, until one of the tables that their statement names changes. */
export class ReadMemory {
  readonly #statements = new Map<string, StatementReads>()
  readonly #size: Size = { rows: 0, characters: 0 }

  /** Reads rows, or returns them as they were read before. @param execute reads them */
  read(
    sql: string,
    parameters: readonly unknown[],
    execute: (sql: string, parameters: readonly unknown[]) => Rows | Promise<Rows>,
  ): Rows | Promise<Rows> {
    const key = parameters.length === 1 ? parameters[0] : JSON.stringify(parameters)
    const known = this.#statements.get(sql)?.byParameters.get(key)
    if (known !== undefined) return known
    const rows = execute(sql, parameters)
    const size = sizeOf(key, rows)
    if (exceeds(size)) return rows
    if (exceeds(sum(this.#size, size))) this.clear()
    let reads = this.#statements.get(sql)
    if (reads === undefined) {
      reads = { byParameters: new Map(), size: { rows: 0, characters: 0 } }
      this.#statements.set(sql, reads)
    }
    reads.byParameters.set(key, rows)
    Object.assign(reads.size, sum(reads.size, size))
    Object.assign(this.#size, sum(this.#size, size))
    return rows
  }

  /** Forgets the rows of all statements that name a table; of all statements without a name. */
  forget(table = ''): void {
    for (const [sql, { size }] of this.#statements) {
      if (!sql.includes(table)) continue
      this.#statements.delete(sql)
      this.#size.rows -= size.rows
      this.#size.characters -= size.characters
    }
  }

  clear(): void {
    this.#statements.clear()
    this.#size.rows = 0
    this.#size.characters = 0
  }
}

function exceeds({ rows, characters }: Size): boolean {
  return rows > most.rows || characters > most.characters
}

function sum(a: Size, b: Size): Size {
  return { rows: a.rows + b.rows, characters: a.characters + b.characters }
}

/** Of one result. Rows that have yet to arrive are not counted: they are those of one transaction. */
function sizeOf(key: unknown, rows: Rows | Promise<Rows>): Size {
  const size = { rows: 1, characters: lengthOf(key) }
  if (rows instanceof Promise) return size
  size.rows += rows.length
  for (const row of rows) for (const value of Object.values(row as object)) size.characters += lengthOf(value)
  return size
}

function lengthOf(value: unknown): number {
  return typeof value === 'string' ? value.length : 0
}
