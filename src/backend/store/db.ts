import { type Generated, Kysely, PostgresAdapter, sql } from 'kysely'
import { migrate } from './migrate.ts'
import { openPostgres, postgresEngine, withWriteLock } from './postgres.ts'
import { ReadMemory } from './read-memory.ts'
import type { RuleTables } from './rule-tables.ts'
import { beginSqlite, openSqliteReader, openSqliteWriter, sqliteEngine } from './sqlite.ts'
import type { ThingsTables } from './things/tables.ts'
import { type ChangeFunction, createWriting, type WriteOptions, type WritingEngine } from './writing.ts'

/** The tables. Times are milliseconds, flags are 0 or 1, columns ending in `_json` hold JSON text. */
export interface Tables extends ThingsTables, RuleTables {
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
  /** One row, which never changes. */
  database_identity: { id: string }
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
   * writes, and the events that it publishes.
   */
  write<T>(change: ChangeFunction<Tables, T>, options?: WriteOptions<T>): Promise<T>
  close(): Promise<void>
}

/** The right side of `column in …` for numbers: one SQL text however many there are. */
export function anyNumber(values: readonly number[]) {
  return numbersIn(JSON.stringify(values))
}

/** The same for a prepared query, where the list is a parameter in JSON. */
export function numbersIn(json: string) {
  return sql<number>`(select cast(value as bigint) from json_each(${json}))`
}

/** The right side of `column in …` for texts: one SQL text however many there are. */
export function anyText(values: readonly string[]) {
  return textsIn(jsonTexts(values))
}

/** The same for a prepared query, where the list is a parameter, see `jsonTexts`. */
export function textsIn(json: string) {
  return sql<string>`(select cast(value as text) from json_each(${json}))`
}

/** A list of texts in JSON. No stored text has a NUL, and one of the databases takes none. */
export function jsonTexts(values: readonly string[]): string {
  return JSON.stringify(values.map((value) => value.replaceAll('\0', '')))
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

/**
 * Opens a database and runs its migrations.
 *
 * @param location the path of a SQLite file, or a `postgres://` address
 * @throws when it cannot be opened or written, or was made by a newer version
 */
export async function openStore(location: string): Promise<Store> {
  const { engine, reader, close } = await open(location)
  const { write, settled } = createWriting(engine)
  return {
    reader,
    readTogether: (read) => reader.transaction().setIsolationLevel('repeatable read').execute(read),
    write,
    async close() {
      await settled()
      await close()
    },
  }
}

interface Opened {
  readonly engine: WritingEngine<Tables>
  readonly reader: Database
  close(): Promise<void>
}

function open(location: string): Promise<Opened> {
  return /^postgres(ql)?:/.test(location) ? openPostgresDatabase(location) : openSqliteDatabase(location)
}

async function openPostgresDatabase(url: string): Promise<Opened> {
  const { writer, reader: readerDialect } = openPostgres(url)
  const engine = postgresEngine<Tables>(writer)
  try {
    await engine.withConnection((connection) =>
      withWriteLock(connection, async () => {
        const { rows } = await sql<{ name: string }>`select current_schema() as name`.execute(connection)
        await migrate(connection, rows[0]?.name)
      }),
    )
  } catch (error) {
    await engine.close()
    throw error
  }
  const reader = new Kysely<Tables>({ dialect: readerDialect })
  return {
    engine,
    reader,
    async close() {
      await reader.destroy()
      await engine.close()
    },
  }
}

async function openSqliteDatabase(path: string): Promise<Opened> {
  const writer = openSqliteWriter<Tables>(path)
  const memory = new ReadMemory()
  const engine = sqliteEngine(writer, memory)
  try {
    // Kysely does not run the migrations of SQLite in a transaction.
    await engine.withConnection(async (connection) => {
      await beginSqlite(connection)
      try {
        await migrate(connection)
        connection.state.execute('commit')
      } catch (error) {
        await sql`rollback`.execute(connection).catch(() => undefined)
        throw error
      }
    })
  } catch (error) {
    await writer.destroy()
    throw error
  }
  const reader = openSqliteReader<Tables>(path, writer, memory)
  return {
    engine,
    reader,
    async close() {
      await reader.destroy()
      await writer.destroy()
    },
  }
}
