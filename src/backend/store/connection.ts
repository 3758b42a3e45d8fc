import { type Dialect, Kysely } from 'kysely'
import { type Execute, type Rows, TransactionState } from './transaction-state.ts'

/** A database that also executes statements directly. Kysely's queue and promises take longer than most reads of SQLite. */
export class DirectDatabase<T> extends Kysely<T> {
  readonly #execute: (sql: string, parameters: readonly unknown[]) => ReturnType<Execute> | undefined

  /** @param execute returns undefined while statements have to wait in Kysely's queue, such as during a transaction */
  constructor(
    dialect: Dialect,
    execute: (sql: string, parameters: readonly unknown[]) => ReturnType<Execute> | undefined,
  ) {
    super({ dialect })
    this.#execute = execute
  }

  /** Executes a statement, unless it has to wait in Kysely's queue. */
  execute(sql: string, parameters: readonly unknown[]): Rows | Promise<Rows> | undefined {
    return this.#execute(sql, parameters)
  }
}

/** A connection on which one transaction writes at a time. */
export class WritingConnection<T> extends Kysely<T> {
  readonly state: TransactionState

  /** @param createDialect makes the dialect, which calls `state.before` before each statement of Kysely */
  constructor(execute: Execute, createDialect: (state: TransactionState) => Dialect) {
    const state = new TransactionState(execute)
    super({ dialect: createDialect(state) })
    this.state = state
  }
}
