import { together } from './together.ts'

export type Rows = readonly unknown[]

/** Sends a statement. Statements are executed in the order in which they are sent, even without waiting for their results. */
export type Execute = (sql: string, parameters: readonly unknown[]) => Rows | Promise<Rows>

/** Rows that changes add, which are written together later in their transaction. */
export interface Batch {
  /** The names of the tables that it writes, or the beginnings of the names. */
  readonly tables: readonly string[]
  /** Sends the statements that write the rows, and forgets the rows. */
  flush(execute: Execute): void
}

/**
 * What the changes of one transaction have read and have yet to write. Changes that share a commit often read the same rows, and add
 * similar ones: the reads are remembered, and the rows are written with few statements.
 *
 * A batch is written before any other statement that names one of its tables, so every statement sees all changes before it. A read
 * is forgotten when anything else than a batch writes to one of its tables.
 */
export class TransactionState {
  readonly #execute: Execute
  readonly #batches = new Map<unknown, Batch>()
  readonly #reads = new Map<string, Map<string, Rows | Promise<Rows>>>()

  #isRefused = false

  constructor(execute: Execute) {
    this.#execute = execute
  }

  /** Whether a statement of a batch failed since `forget`. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /** The batch of a kind. There is another one after anything else was written, so it cannot be used across reads. */
  batch<B extends Batch, A>(kind: new (argument: A) => B, argument: A): B {
    let batch = this.#batches.get(kind) as B | undefined
    if (batch === undefined) {
      batch = new kind(argument)
      this.#batches.set(kind, batch)
    }
    return batch
  }

  /** Reads rows that no batch writes, or returns them as they were read before. */
  read(sql: string, parameters: readonly unknown[]): Rows | Promise<Rows> {
    let reads = this.#reads.get(sql)
    if (reads === undefined) {
      reads = new Map()
      this.#reads.set(sql, reads)
    }
    const key = JSON.stringify(parameters)
    let rows = reads.get(key)
    if (rows === undefined) {
      rows = this.#execute(sql, parameters)
      reads.set(key, rows)
    }
    return rows
  }

  /** Executes any other statement. */
  execute(sql: string, parameters: readonly unknown[] = []): Rows | Promise<Rows> {
    const flushed = this.before(sql)
    const rows = this.#execute(sql, parameters)
    return flushed === undefined ? rows : together([flushed, rows]).then(([, result]) => result as Rows)
  }

  /** Has to be called before each statement that is not sent by this object. It sends what has to be written before it. */
  before(sql: string): Promise<unknown> | undefined {
    const kind = /^(?:select|insert into|update|delete from) /.exec(sql)?.[0]
    if (kind === undefined) {
      // Savepoints and the like concern everything.
      const flushed = this.flush()
      this.forget()
      return flushed
    }
    const flushed = this.#batches.size === 0 ? undefined : this.#flushFor(sql, kind === 'select ')
    if (kind !== 'select ' && this.#reads.size > 0) this.#forgetReads(changedTable(sql, kind))
    return flushed
  }

  /** Sends the statements of the batches. @returns a promise if the database has not executed them yet */
  flush(): Promise<unknown> | undefined {
    return this.#send([...this.#batches.values()])
  }

  #flushFor(sql: string, isRead: boolean): Promise<unknown> | undefined {
    const concerned = [...this.#batches].filter(([, { tables }]) =>
      tables.some((table) => sql.includes(table)),
    )
    if (concerned.length === 0) return undefined
    const flushed = this.#send(concerned.map(([, batch]) => batch))
    if (!isRead)
      for (const [kind, { tables }] of concerned) {
        this.#batches.delete(kind)
        for (const table of tables) this.#forgetReads(table)
      }
    return flushed
  }

  #send(batches: readonly Batch[]): Promise<unknown> | undefined {
    const sent: Promise<unknown>[] = []
    const refuse = (error: unknown): never => {
      this.#isRefused = true
      throw error
    }
    const execute: Execute = (sql, parameters) => {
      try {
        const rows = this.#execute(sql, parameters)
        if (rows instanceof Promise) sent.push(rows.catch(refuse))
        return rows
      } catch (error) {
        return refuse(error)
      }
    }
    for (const batch of batches) batch.flush(execute)
    return sent.length === 0 ? undefined : together(sent)
  }

  #forgetReads(table: string): void {
    for (const sql of this.#reads.keys()) if (sql.includes(table)) this.#reads.delete(sql)
  }

  /** Forgets what was read, and what was not written, such as after a rollback. */
  forget(): void {
    this.#batches.clear()
    this.#reads.clear()
    this.#isRefused = false
  }
}

/** The name of the table that a statement changes; empty for a deletion, which may also change tables that refer to it. */
function changedTable(sql: string, kind: string): string {
  if (kind.startsWith('delete')) return ''
  return /^"?(\w+)/.exec(sql.slice(kind.length))?.[1] ?? ''
}
