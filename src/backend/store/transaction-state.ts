import { ReadMemory, type Rows } from './read-memory.ts'
import { together } from './together.ts'

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
  readonly #statements = new Map<string, StatementKind>()
  /** Reads of this transaction, and those that later transactions may use. */
  readonly #reads = new ReadMemory()
  readonly #kept = new ReadMemory()
  #version: unknown
  #changed = new Set<string>()
  #isRefused = false

  constructor(execute: Execute) {
    this.#execute = execute
  }

  /** Whether a statement of a batch failed since `forget`. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /**
   * A transaction has begun after one that was committed.
   *
   * @param version is another one after each commit of another connection. Undefined where it is unknown: then no read is kept
   */
  begin(version: unknown): void {
    this.#batches.clear()
    this.#reads.clear()
    this.#changed.clear()
    if (version === undefined || version !== this.#version) this.#kept.clear()
    this.#version = version
    this.#isRefused = false
  }

  /** The tables that statements changed in this transaction, without those that only batches changed. An empty string means all tables. */
  get changed(): ReadonlySet<string> {
    return this.#changed
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

  /** Reads rows that no batch writes, or returns them as they were read before in this transaction. */
  read(sql: string, parameters: readonly unknown[]): Rows | Promise<Rows> {
    return this.#reads.read(sql, parameters, this.#execute)
  }

  /** The same, also for rows that an earlier transaction read: no batch may ever write what is read of them. */
  readKept(sql: string, parameters: readonly unknown[]): Rows | Promise<Rows> {
    return this.#kept.read(sql, parameters, this.#execute)
  }

  /** Reads rows without what batches have yet to write: the caller adds that. */
  readBeside(sql: string, parameters: readonly unknown[]): Rows | Promise<Rows> {
    return this.#execute(sql, parameters)
  }

  /** Executes any other statement. */
  execute(sql: string, parameters: readonly unknown[] = []): Rows | Promise<Rows> {
    const flushed = this.before(sql)
    const rows = this.#execute(sql, parameters)
    return flushed === undefined ? rows : together([flushed, rows]).then(([, result]) => result as Rows)
  }

  /** Executes a statement that neither reads nor writes rows. */
  control(sql: string): Rows | Promise<Rows> {
    return this.#execute(sql, [])
  }

  /** Has to be called before each statement that is not sent by this object. It sends what has to be written before it. */
  before(sql: string): Promise<unknown> | undefined {
    const { isRead, table } = this.#kindOf(sql)
    if (table === undefined) {
      // Savepoints and the like concern everything.
      const flushed = this.flush()
      this.forget()
      this.#changed.add('')
      return flushed
    }
    const flushed = this.#batches.size === 0 ? undefined : this.#flushFor(sql, isRead)
    if (!isRead) this.#note(table)
    return flushed
  }

  #kindOf(sql: string): StatementKind {
    let kind = this.#statements.get(sql)
    if (kind === undefined) {
      if (this.#statements.size >= maxStatements) this.#statements.clear()
      kind = kindOf(sql)
      this.#statements.set(sql, kind)
    }
    return kind
  }

  /** Notes that a statement changes a table. */
  #note(table: string): void {
    this.#changed.add(table)
    this.#reads.forget(table)
    this.#kept.forget(table)
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
        for (const table of tables) this.#reads.forget(table)
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

  /** Forgets what was read, and what was not written, such as after a rollback. */
  forget(): void {
    this.#batches.clear()
    this.#reads.clear()
    this.#kept.clear()
    this.#isRefused = false
  }
}

/** The most texts of statements whose kind is remembered. */
const maxStatements = 1000

interface StatementKind {
  readonly isRead: boolean
  /** The table that changes; empty for a deletion, which may also change tables that refer to it. Undefined if it is unknown. */
  readonly table: string | undefined
}

function kindOf(sql: string): StatementKind {
  const kind = /^(?:select|insert into|update|delete from) /.exec(sql)?.[0]
  if (kind === undefined) return { isRead: false, table: undefined }
  if (kind === 'select ') return { isRead: true, table: '' }
  if (kind === 'delete from ') return { isRead: false, table: '' }
  return { isRead: false, table: /^"?(\w+)/.exec(sql.slice(kind.length))?.[1] ?? '' }
}
