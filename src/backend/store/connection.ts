import { type Dialect, Kysely } from 'kysely'
import type { Rows } from './read-memory.ts'
import { type Execute, TransactionState } from './transaction-state.ts'

/** The statements of a `DirectDatabase`. */
export interface DirectStatements {
  /** Executes a statement. Undefined if it has to wait in Kysely's queue, such as during a transaction. */
  execute(sql: string, parameters: readonly unknown[]): Rows | undefined
  /** Reads rows, or returns them as they were read before if they are still those of the database. Undefined as above. */
  readKept(sql: string, parameters: readonly unknown[]): Rows | undefined
}

/** A database that also executes statements directly. Kysely's queue and promises take longer than most reads of SQLite. */
export class DirectDatabase<T> extends Kysely<T> {
  readonly statements: DirectStatements

  constructor(dialect: Dialect, statements: DirectStatements) {
    super({ dialect })
    this.statements = statements
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
