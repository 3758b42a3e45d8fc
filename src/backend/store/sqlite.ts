import { closeSync, openSync } from 'node:fs'
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { type Kysely, SqliteDialect, type SqliteDialectConfig, sql } from 'kysely'

type SqliteDatabase = Exclude<SqliteDialectConfig['database'], () => unknown>

/**
 * One connection to the file at `path` (or `:memory:`), as a Kysely dialect over `node:sqlite`. Statements are
 * prepared once per SQL text. `synchronous=FULL` with WAL: a commit that returned is on the disk.
 */
export function sqliteDialect(path: string, options: { readOnly?: boolean } = {}): SqliteDialect {
  return new SqliteDialect({ database: openSqlite(path, options.readOnly ?? false) })
}

/** The log is written back at 32 MiB: pages that change often are written once for many commits. */
const checkpointPages = 8192
/** What a reader who was in the way of that makes of it at most stays on the disk afterwards. */
const maxWalBytes = 64 * 1024 * 1024

function openSqlite(path: string, readOnly: boolean): SqliteDatabase {
  if (!readOnly) makePrivate(path)
  const database = new DatabaseSync(path, { readOnly, timeout: 2000 })
  // Whoever waits for another program's change waits in `beginSqlite`, while the thread does other things.
  if (!readOnly)
    database.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
      pragma wal_autocheckpoint = ${checkpointPages}; pragma journal_size_limit = ${maxWalBytes};
      pragma busy_timeout = 0`)
  database.exec('pragma cache_size = -16384; pragma temp_store = memory')
  const statements = new Map<string, ReturnType<typeof adapt>>()

  return {
    prepare(sql) {
      let statement = statements.get(sql)
      if (statement === undefined) {
        // A list condition makes one text per length; the bound keeps odd lengths from piling up.
        if (statements.size >= 500) statements.clear()
        statement = adapt(database.prepare(sql))
        statements.set(sql, statement)
      }
      return statement
    },
    close: () => database.close(),
  }
}

/** How long a change waits for that of another program, and how often it asks. */
const lockWaitMs = 5000
const lockPauseMs = { first: 1, longest: 50 }
/** [sqlite] result code */
const busy = 5

/** Begins a transaction that writes, once no other program does. @throws SQLite's error when that takes too long */
export async function beginSqlite<T>(connection: Kysely<T>): Promise<void> {
  const until = Date.now() + lockWaitMs
  for (let pauseMs = lockPauseMs.first; ; pauseMs = Math.min(pauseMs * 2, lockPauseMs.longest)) {
    try {
      await sql`begin immediate`.execute(connection)
      return
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== busy || Date.now() > until) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

function adapt(statement: StatementSync) {
  const reader = statement.columns().length > 0
  // The word index gives rows of its own numbers past 2^53, and `run` tells the last one: as a number it would throw.
  if (!reader) statement.setReadBigInts(true)
  return {
    reader,
    all: (parameters: readonly unknown[]): unknown[] => statement.all(...parameters.map(toSqlite)),
    run: (parameters: readonly unknown[]) => statement.run(...parameters.map(toSqlite)),
    iterate: (parameters: readonly unknown[]): IterableIterator<unknown> =>
      statement.iterate(...parameters.map(toSqlite)),
  }
}

function toSqlite(value: unknown): SQLInputValue {
  return typeof value === 'boolean' ? Number(value) : (value as SQLInputValue)
}

/** Makes the file for its owner alone; SQLite gives the files beside it the same mode. */
function makePrivate(path: string): void {
  if (path === ':memory:') return
  try {
    closeSync(openSync(path, 'a', 0o600))
  } catch {
    // SQLite says better what is wrong.
  }
}

/** Copies the database at `from` as it is at one moment, while others may write to it. */
export async function backupSqlite(from: string, to: string): Promise<void> {
  const source = new DatabaseSync(from, { readOnly: true, timeout: 2000 })
  makePrivate(to)
  try {
    // All pages in one step: between steps a busy writer would make it begin again and again.
    await backup(source, to, { rate: 0x7fffffff })
  } finally {
    source.close()
  }
}

/** What is wrong with the database at `path`; nothing, if all is well. @throws when it cannot be opened */
export function checkSqlite(path: string): string[] {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 2000 })
  try {
    const integrity = database
      .prepare('pragma integrity_check')
      .all()
      .map((row) => String(row['integrity_check']))
    const references = database.prepare('pragma foreign_key_check').all()
    return [
      ...integrity.filter((text) => text !== 'ok'),
      ...references.map(
        (row) => `${row['table']} ${row['rowid']} names a ${row['parent']} that is not there`,
      ),
    ]
  } finally {
    database.close()
  }
}
