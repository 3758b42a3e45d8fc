export type Rows = readonly unknown[]

/** The most rows that are remembered. Forgetting a row only costs another read. */
const maxRows = 50_000

/** The rows of one statement, by its parameters. */
interface StatementReads {
  readonly byParameters: Map<unknown, Rows | Promise<Rows>>
  rows: number
}

/** Rows as they were read, until one of the tables that their statement names changes. */
export class ReadMemory {
  readonly #statements = new Map<string, StatementReads>()
  #rows = 0

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
    const size = 1 + (rows instanceof Promise ? 0 : rows.length)
    if (this.#rows + size > maxRows) this.clear()
    let reads = this.#statements.get(sql)
    if (reads === undefined) {
      reads = { byParameters: new Map(), rows: 0 }
      this.#statements.set(sql, reads)
    }
    reads.byParameters.set(key, rows)
    reads.rows += size
    this.#rows += size
    return rows
  }

  /** Forgets the rows of all statements that name a table; of all statements without a name. */
  forget(table = ''): void {
    for (const [sql, { rows }] of this.#statements) {
      if (!sql.includes(table)) continue
      this.#statements.delete(sql)
      this.#rows -= rows
    }
  }

  clear(): void {
    this.#statements.clear()
    this.#rows = 0
  }
}
