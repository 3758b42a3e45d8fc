import { type Generated, Kysely, PostgresAdapter, sql } from 'kysely'
import { migrate } from './migrate.ts'
import { beginPostgres, openPostgres, withWriteLock } from './postgres.ts'
import { beginSqlite, sqliteDialect } from './sqlite.ts'
import type { ThingsTables } from './things/tables.ts'

/** The tables. Times are milliseconds, flags are 0 or 1, columns ending in `_json` hold JSON text. */
export interface Tables extends ThingsTables {
  organizations: {
    id: Generated<number>
    slug: string
    name: string
    active: number
    user_limit: number
    created_at: number
  }
  users: {
    id: Generated<number>
    nick: string
    name: string
    email: string
    /** The key of the picture that the user set. Null for the generated picture. */
    avatar: string | null
    website: string | null
    password_hash: string | null
    disabled: number
    created_at: number
    last_access_at: number | null
  }
  /** Pictures that users set. */
  avatars: { key: string; user_id: number; content_type: string; bytes: Uint8Array }
  organization_members: { organization_id: number; user_id: number; admin: number }
  tokens: {
    hash: string
    user_id: number
    created_at: number
    /** The application that the token was given to. Null for a personal token, which has all scopes. */
    application_id: number | null
    /** The scopes, separated by blanks. */
    scope: string | null
    expires_at: number | null
    /** The authorization code that the token was exchanged for. Null when there was none. */
    code_hash: string | null
  }
  /** One row for each flow and private conversation: message ids are unique in a channel. `last_id` is the newest one. */
  channels: { id: Generated<number>; last_id: number }
  flows: {
    id: string
    channel_id: number
    organization_id: number
    slug: string
    name: string
    description: string
    access_mode: string
    join_code: string
    /** The legacy push token. */
    push_token: string
    disabled: number
    last_message_id: number | null
    last_message_at: number | null
    created_at: number
  }
  flow_members: {
    flow_id: string
    user_id: number
    open: number
    disabled: number
    status: string | null
    last_activity: number | null
  }
  /** A private conversation of two users, the one with the smaller id first. */
  conversations: {
    channel_id: number
    low_user_id: number
    high_user_id: number
    low_open: number
    high_open: number
  }
  messages: {
    seq: Generated<number>
    channel_id: number
    id: number
    event: string
    /** 0 for a message that was sent with a flow token or the push token. */
    user_id: number
    /** The source that sent it; 0 for none. */
    source_id: number
    uuid: string | null
    thread_id: string | null
    app: string | null
    content_json: string
    tags_json: string
    external_user_name: string | null
    author_json: string | null
    title: string | null
    body: string | null
    attachments_json: string
    sent: number
    edited: number | null
    /** When the message was deleted. Only its id, sender and time are left. */
    deleted_at: number | null
    /** A JSON object from emoji names to lists of user ids. */
    reactions_json: Generated<string>
  }
  message_tags: { channel_id: number; tag: string; seq: number }
  /** The full-text index: the words of a message, and its channel as a word in a column of its own. */
  message_words: { rowid: number; channel: string; words: string }
  threads: {
    id: string
    channel_id: number
    source_id: number | null
    external_thread_id: string | null
    title: string
    body: string | null
    external_url: string | null
    status_json: string | null
    fields_json: string
    actions_json: string
    activities: number
    internal_comments: number
    external_comments: number
    initial_message: number | null
    created_at: number
    updated_at: number
  }
  applications: {
    id: Generated<number>
    name: string
    icon_url: string | null
    url: string | null
    redirect_uri: string | null
    /** Null for an application that was created with a source, and not registered by a user. */
    client_id: string | null
    client_secret: string | null
    owner_id: number | null
  }
  /** Authorization codes and refresh tokens, which applications exchange for tokens. */
  oauth_grants: {
    hash: string
    kind: 'code' | 'refresh'
    application_id: number
    user_id: number
    redirect_uri: string | null
    scope: string
    created_at: number
    expires_at: number | null
    /** When the code was exchanged. A code can be exchanged once. */
    used_at: number | null
    /** The PKCE code challenge (S256). Null when the application sent none. */
    code_challenge: string | null
    /** The authorization code that a refresh token comes from. */
    code_hash: string | null
  }
  sources: {
    id: Generated<number>
    flow_id: string
    application_id: number
    creator_id: number
    name: string
    external_url: string | null
    configuration_url: string | null
    error_message: string | null
    token_hash: string
    deleted_at: number | null
    created_at: number
    updated_at: number
  }
  files: {
    token: string
    channel_id: number
    file_name: string
    content_type: string
    file_size: number
    created_at: number
    /** The token of the thumbnail's file. */
    thumbnail: string | null
  }
  invitations: {
    id: Generated<number>
    flow_id: string
    email: string
    state: string
    inviter_id: number
    created_at: number
  }
  /** The event log: one row per event, for a flow or for one user. */
  events: {
    seq: Generated<number>
    flow_id: string | null
    user_id: number | null
    payload: string
    created_at: number
    /** 1 for a control event, which no client of Flowdock's API receives. */
    kind: number
  }
  /** One row. The id changes when a number of the log may stand for another event than before. */
  event_log: { id: string }
  /** Migrations that versions before them work beside. */
  compatible_migrations: { name: string }
}

/** Reads and, inside `Store.write`, writes. */
export type Database = Kysely<Tables>

export interface Store {
  /** Reads committed data; never waits for a writer. */
  readonly reader: Database
  /** Runs several reads in one snapshot. */
  readTogether<T>(read: (db: Database) => Promise<T>): Promise<T>
  /**
   * Runs `change` in a transaction and resolves once it is on the disk. Changes that arrive together share one commit; one that
   * throws is undone alone, and the others of its group run once more, so a change must have no effects except its reads and
   * writes. `onCommit` runs right after the commit, in the order of the changes, before this promise resolves.
   */
  write<T>(change: (tx: Database) => Promise<T>, onCommit?: (value: T) => void): Promise<T>
  close(): Promise<void>
}

/** The right side of `column in …` for numbers: one SQL text however many there are. */
export function anyNumber(values: readonly number[]) {
  return sql<number>`(select cast(value as bigint) from json_each(${JSON.stringify(values)}))`
}

/** The right side of `column in …` for texts: one SQL text however many there are. */
export function anyText(values: readonly string[]) {
  // No stored text has a NUL, and one of the databases takes none.
  const json = JSON.stringify(values.map((value) => value.replaceAll('\0', '')))
  return sql<string>`(select cast(value as text) from json_each(${json}))`
}

/**
 * Another number after each commit of another connection to a SQLite database, also of another process. Much cheaper than a
 * query.
 */
export async function findDataVersion(db: Database): Promise<number | undefined> {
  const { rows } = await sql<{ data_version: number }>`pragma data_version`.execute(db)
  return rows[0]?.data_version
}

/** Whether a database is PostgreSQL; else it is SQLite. */
export function isPostgres(db: Database): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}

interface Job {
  readonly run: (tx: Database) => Promise<() => void>
  readonly reject: (error: unknown) => void
}

/** The most changes that share a commit. It bounds how long the first one waits. */
const maxGroup = 256

/**
 * Opens a database and runs its migrations.
 *
 * @param location the path of a SQLite file, or a `postgres://` address
 * @throws when it cannot be opened or written, or was made by a newer version
 */
export async function openStore(location: string): Promise<Store> {
  const { writer, reader } = await open(location)
  const queue: Job[] = []
  let draining: Promise<void> | undefined

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      // Requests that arrive in this turn of the event loop and the next one join this group.
      await new Promise(setImmediate)
      await new Promise(setImmediate)
      const group = queue.splice(0, maxGroup)
      await writer
        .connection()
        .execute((connection) => commitGroup(connection, group))
        .catch((error: unknown) => {
          for (const job of group) job.reject(error)
        })
    }
    draining = undefined
  }

  return {
    reader,
    readTogether: (read) => reader.transaction().setIsolationLevel('repeatable read').execute(read),
    write(change, onCommit) {
      return new Promise((resolve, reject) => {
        const run = async (tx: Database) => {
          const value = await change(tx)
          return () => {
            onCommit?.(value)
            resolve(value)
          }
        }
        queue.push({ run, reject })
        draining ??= drain()
      })
    },
    async close() {
      await draining
      await reader.destroy()
      await writer.destroy()
    },
  }
}

/**
 * Commits the changes of a group together. A savepoint for each change would cost more than the changes themselves, because each
 * savepoint flushes the word index. So savepoints are only set when a change failed and all changes run again.
 */
async function commitGroup(connection: Database, group: readonly Job[]): Promise<void> {
  try {
    const settle = await transact(connection, () => runAll(connection, group))
    settle()
  } catch (error) {
    if (!(error instanceof ChangeError)) throw error
    const settle = await transact(connection, () => runEach(connection, group))
    settle()
  }
}

/** Thrown when a change failed, and not the database. */
class ChangeError extends Error {
  override readonly name = 'ChangeError'
}

async function transact(connection: Database, run: () => Promise<() => void>): Promise<() => void> {
  try {
    await (isPostgres(connection) ? beginPostgres(connection) : beginSqlite(connection))
    const settle = await run()
    await sql`commit`.execute(connection)
    return settle
  } catch (error) {
    await sql`rollback`.execute(connection).catch(() => undefined)
    throw error
  }
}

async function runAll(connection: Database, group: readonly Job[]): Promise<() => void> {
  const outcomes: (() => void)[] = []
  for (const job of group) {
    const outcome = await job.run(connection).catch((cause: unknown) => {
      throw new ChangeError('A change of the group failed', { cause })
    })
    outcomes.push(outcome)
  }
  return () => {
    for (const settle of outcomes) settle()
  }
}

/** Runs each change after a savepoint, so that one that fails is undone alone. */
async function runEach(connection: Database, group: readonly Job[]): Promise<() => void> {
  const outcomes: (() => void)[] = []
  for (const job of group) {
    await sql`savepoint job`.execute(connection)
    try {
      outcomes.push(await job.run(connection))
    } catch (error) {
      // A full disk undoes the whole transaction at once; then no change was stored.
      await sql`rollback to job`.execute(connection).catch(() => Promise.reject(error))
      outcomes.push(() => job.reject(error))
    }
    await sql`release job`.execute(connection)
  }
  return () => {
    for (const settle of outcomes) settle()
  }
}

async function open(location: string): Promise<{ writer: Database; reader: Database }> {
  if (/^postgres(ql)?:/.test(location)) {
    const dialects = openPostgres(location)
    const writer = new Kysely<Tables>({ dialect: dialects.writer })
    const reader = new Kysely<Tables>({ dialect: dialects.reader })
    try {
      await writer.connection().execute((connection) =>
        withWriteLock(connection, async () => {
          const { rows } = await sql<{ name: string }>`select current_schema() as name`.execute(connection)
          await migrate(connection, rows[0]?.name)
        }),
      )
    } catch (error) {
      await writer.destroy()
      throw error
    }
    return { writer, reader }
  }
  const writer = new Kysely<Tables>({ dialect: sqliteDialect(location) })
  try {
    // Kysely does not run the migrations of SQLite in a transaction.
    await writer.connection().execute((connection) =>
      transact(connection, async () => {
        await migrate(connection)
        return () => undefined
      }),
    )
  } catch (error) {
    await writer.destroy()
    throw error
  }
  return { writer, reader: new Kysely<Tables>({ dialect: sqliteDialect(location, { readOnly: true }) }) }
}
