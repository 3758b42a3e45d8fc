import { closeSync, openSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import {
  backup,
  DatabaseSync,
  type SQLInputValue,
  type SQLOutputValue,
  type StatementSync,
} from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { SqliteDialect } from 'kysely'
import { DirectDatabase, WritingConnection } from './connection.ts'
import { fingerprintColumn } from './fingerprint.ts'
import type { ReadMemory, Rows } from './read-memory.ts'
import { inChunks } from './row-chunks.ts'
import type { TransactionState } from './transaction-state.ts'
import type { Committed, NewEvent, WritingEngine } from './writing.ts'

/** A connection for changes. `synchronous=FULL` with WAL: a commit that returned is on the disk. */
export function openSqliteWriter<T>(path: string): WritingConnection<T> {
  const database = openSqlite(path, false)
  return new WritingConnection<T>(database.execute, (state) =>
    toDialect(database, (sql) => void state.before(sql)),
  )
}

/**
 * A connection for reads. Statements are executed directly, except during a transaction.
 *
 * @param writer the connection of this process for changes
 * @param memory rows that were read, which the commits of `writer` keep true
 */
export function openSqliteReader<T>(
  path: string,
  writer: WritingConnection<T>,
  memory: ReadMemory,
): DirectDatabase<T> {
  const database = openSqlite(path, true)
  let isInTransaction = false
  const dialect = toDialect(database, (sql) => {
    if (sql === 'begin') isInTransaction = true
    else if (sql === 'commit' || sql === 'rollback') isInTransaction = false
  })
  let version: unknown
  let checkedAt: number | undefined

  /**
   * Forgets all rows after a commit of another process: it is looked for once in each turn of the event loop.
   *
   * @returns whether rows can be remembered
   */
  function checkVersion(): boolean {
    const turn = performance.nodeTiming.uvMetricsInfo.loopCount
    if (turn === checkedAt) return true
    try {
      const current = findDataVersion(writer)
      if (current !== version) memory.clear()
      version = current
      checkedAt = turn
      return true
    } catch {
      // Another process has locked the whole file for a moment. The reader waits for it.
      memory.clear()
      return false
    }
  }

  return new DirectDatabase<T>(dialect, {
    execute: (sql, parameters) => (isInTransaction ? undefined : database.execute(sql, parameters)),
    readKept(sql, parameters) {
      if (isInTransaction) return undefined
      if (!checkVersion()) return database.execute(sql, parameters)
      return memory.read(sql, parameters, database.execute) as Rows
    },
  })
}

/** Another number after each commit of another connection than the one for changes. It takes less time than most reads. */
function findDataVersion<T>({ state }: WritingConnection<T>): unknown {
  const [row] = state.control('pragma data_version') as { data_version: number }[]
  return row?.data_version
}

/** @param before is called before each statement of Kysely */
function toDialect(database: SqliteFile, before: (sql: string) => void): SqliteDialect {
  return new SqliteDialect({
    database: {
      prepare(sql) {
        before(sql)
        return database.prepare(sql)
      },
      close: database.close,
    },
  })
}

/**
 * The size of the write-ahead log at which a checkpoint starts: 32 MiB. Pages that change often are then written once for many
 * commits.
 */
const checkpointPages = 8192
/** A slow reader delays checkpoints and lets the log grow. Afterwards it is cut to this size. */
const maxWalBytes = 64 * 1024 * 1024

interface SqliteFile {
  prepare(sql: string): ReturnType<typeof adapt>
  execute(sql: string, parameters: readonly unknown[]): unknown[]
  close(): void
}

/** One connection to the file at `path` (or `:memory:`) over `node:sqlite`. Statements are prepared once per SQL text. */
function openSqlite(path: string, readOnly: boolean): SqliteFile {
  if (!readOnly) makePrivate(path)
  const database = new DatabaseSync(path, { readOnly, timeout: 2000 })
  // Changes wait for other processes in `beginSqlite`, which does not block the thread.
  if (!readOnly)
    database.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
      pragma wal_autocheckpoint = ${checkpointPages}; pragma journal_size_limit = ${maxWalBytes};
      pragma busy_timeout = 0`)
  database.exec('pragma cache_size = -16384; pragma temp_store = memory')
  const statements = new Map<string, ReturnType<typeof adapt>>()

  function prepare(sql: string) {
    let statement = statements.get(sql)
    if (statement === undefined) {
      // Conditions with lists make one SQL text for each length of a list, so the number of prepared statements is bounded.
      if (statements.size >= 500) statements.clear()
      statement = adapt(database.prepare(sql))
      statements.set(sql, statement)
    }
    return statement
  }

  return {
    prepare,
    execute(sql, parameters) {
      const statement = prepare(sql)
      if (statement.reader) return statement.all(parameters)
      statement.run(parameters)
      return []
    },
    close: () => database.close(),
  }
}

/** How long a change waits for a change of another process, and how often it tries again. */
const lockWaitMs = 5000
const lockPauseMs = { first: 1, longest: 50 }
/** [sqlite] result code */
const busy = 5

/** Begins a transaction that writes, when no other process has one. @throws SQLite's error when that takes too long */
export async function beginSqlite<T>(connection: WritingConnection<T>): Promise<void> {
  const { state } = connection
  const until = Date.now() + lockWaitMs
  for (let pauseMs = lockPauseMs.first; ; pauseMs = Math.min(pauseMs * 2, lockPauseMs.longest)) {
    try {
      state.control('begin immediate')
      break
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== busy || Date.now() > until) throw error
    }
    await sleep(pauseMs)
  }
  state.begin(findDataVersion(connection))
}

const selectLastEvent = `select seq, ${fingerprintColumn} as fingerprint from events order by seq desc limit 1`

/** Only one transaction writes at a time, so its events follow the last one. */
function insertEvents(state: TransactionState, events: readonly NewEvent[]): Committed {
  if (events.length === 0) return { first: 0, previous: undefined }
  const [last] = state.execute(selectLastEvent) as { seq: number; fingerprint: string }[]
  const first = (last?.seq ?? 0) + 1
  let seq = first
  for (const rows of inChunks(events)) {
    const values = rows.flatMap(({ flow_id, user_id, payload, created_at, kind }) => [
      ...[seq++, flow_id, user_id, payload, created_at, kind],
    ])
    const places = Array(rows.length).fill('(?, ?, ?, ?, ?, ?)').join(', ')
    const columns = 'seq, flow_id, user_id, payload, created_at, kind'
    state.execute(`insert into events (${columns}) values ${places}`, values)
  }
  return { first, previous: last?.fingerprint }
}

/**
 * One transaction at a time, on one connection.
 *
 * @param memory rows that the reader has read
 */
export function sqliteEngine<T>(writer: WritingConnection<T>, memory: ReadMemory): WritingEngine<T> {
  return {
    connections: 1,
    withConnection: (work) => work(writer),
    begin: beginSqlite,
    async commit({ state }, events) {
      const committed = insertEvents(state, events)
      state.flush()
      state.control('commit')
      for (const table of state.changed) memory.forget(table)
      return committed
    },
  }
}

function adapt(statement: StatementSync) {
  const names = statement.columns().map(({ name }) => name)
  const reader = names.length > 0
  // Row ids of the word index are greater than 2^53. `run` returns the last one, and would throw if it were a number.
  if (!reader) statement.setReadBigInts(true)
  statement.setReturnArrays(true)
  let width = names.length
  let makeRow = rowMaker(names)

  function toRow(values: readonly SQLOutputValue[]): object {
    // Another process may have added a column to a table of which the statement reads all.
    if (values.length !== width) {
      width = values.length
      makeRow = rowMaker(statement.columns().map(({ name }) => name))
    }
    return makeRow(values)
  }

  return {
    reader,
    all: (parameters: readonly unknown[]): unknown[] => rowsOf(statement, parameters).map(toRow),
    run: (parameters: readonly unknown[]) => statement.run(...parameters.map(toSqlite)),
    *iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
      for (const values of statement.iterate(...parameters.map(toSqlite)))
        yield toRow(values as unknown as SQLOutputValue[])
    },
  }
}

function rowsOf(statement: StatementSync, parameters: readonly unknown[]): SQLOutputValue[][] {
  return statement.all(...parameters.map(toSqlite)) as unknown as SQLOutputValue[][]
}

/**
 * Makes rows of a class for each statement, which V8 gives one shape. The objects that node:sqlite makes itself are hash
 * tables: reading their columns takes longer than reading the row from the database. [node] 26.10
 */
function rowMaker(names: readonly string[]): (values: readonly SQLOutputValue[]) => object {
  class Row {
    [column: string]: SQLOutputValue

    constructor(values: readonly SQLOutputValue[]) {
      for (let index = 0; index < names.length; index += 1)
        this[names[index] as string] = values[index] as SQLOutputValue
    }
  }
  return (values) => new Row(values)
}

function toSqlite(value: unknown): SQLInputValue {
  return typeof value === 'boolean' ? Number(value) : (value as SQLInputValue)
}

/**
 * Locks a file until the returned function runs or the process ends, however it ends.
 *
 * @returns undefined when another process has locked it
 */
export function lockFile(path: string): (() => void) | undefined {
  makePrivate(path)
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('begin exclusive')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode !== busy) throw error
    return undefined
  }
  return () => database.close()
}

/** Creates the file so that only its owner can read it. SQLite gives the files beside it the same mode. */
function makePrivate(path: string): void {
  if (path === ':memory:') return
  try {
    closeSync(openSync(path, 'a', 0o600))
  } catch {
    // The error of SQLite says more than this one.
  }
}

/** Copies a snapshot of the database at `from`. Other processes may write to it meanwhile. */
export async function backupSqlite(from: string, to: string): Promise<void> {
  const source = new DatabaseSync(from, { readOnly: true, timeout: 2000 })
  makePrivate(to)
  try {
    // All pages in one step: a writer between two steps would make the backup start again.
    await backup(source, to, { rate: 0x7fffffff })
  } finally {
    source.close()
  }
}

/** The tokens of the files in the database at `path`, which may be of another version: it is not migrated. */
export function listSqliteFiles(path: string): string[] {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 2000 })
  try {
    return database
      .prepare('select token from files')
      .all()
      .map(({ token }) => String(token))
  } finally {
    database.close()
  }
}

/** The problems of the database at `path`; empty if there are none. @throws when it cannot be opened */
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
