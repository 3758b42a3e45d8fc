import { type Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'

const int8 = 20
/** The key of the lock of writers. Writers of all processes take turns, as in SQLite. */
const writeLock = 0x666c6f77
/** The time limits of waiting for a lock, of a read, and of a change that sends no statements. */
const lockWaitMs = 5000
const readMs = 10_000
const idleMs = 10_000

/**
 * Kysely dialects for the PostgreSQL database at `url`: one connection for writes, and several for reads. They connect with the
 * first query.
 */
export function openPostgres(url: string): { writer: PostgresDialect; reader: PostgresDialect } {
  return {
    // A process that stops in the middle of a change loses its lock.
    writer: dialect(url, { max: 1, idle_in_transaction_session_timeout: idleMs }),
    reader: dialect(url, { max: 8, statement_timeout: readMs, lock_timeout: lockWaitMs }),
  }
}

function dialect(url: string, options: pg.PoolConfig): PostgresDialect {
  const pool = new pg.Pool({
    ...options,
    connectionString: url,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    allowExitOnIdle: true,
    types: {
      // Ids and times in milliseconds are far below 2^53.
      getTypeParser: (oid: number, format: 'text' | 'binary' = 'text') =>
        oid === int8 && format === 'text' ? Number : pg.types.getTypeParser(oid, format as 'text'),
    },
  })
  // The pool replaces a connection that breaks. The query that used the connection fails.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return new PostgresDialect({ pool: cleaned(pool) })
}

/** PostgreSQL stores no NUL character in texts; SQLite and JSON allow it. */
function cleaned(pool: pg.Pool): pg.Pool {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>
  return Object.assign(pool, {
    async connect() {
      const client = await connect().catch(withCode)
      const query = client.query.bind(client) as (text: string, values?: readonly unknown[]) => unknown
      return {
        processID: (client as { processID?: number }).processID,
        query: async (text: string, values: readonly unknown[] = []) =>
          Promise.resolve(query(text, values.map(withoutNul))).catch(withCode),
        release: (destroy?: boolean) => client.release(destroy),
      }
    },
  })
}

/** Adds the code `ECONNRESET` to the error of a lost connection, which has none. */
function withCode(error: Error & { code?: string }): never {
  if (error.code === undefined && /connection|terminated|closed/i.test(error.message))
    throw Object.assign(error, { code: 'ECONNRESET' })
  throw error
}

function withoutNul(value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value
}

/** Begins a transaction that writes, when no other one is open. So events are numbered in the order of their commits. */
export async function beginPostgres<T>(connection: Kysely<T>): Promise<void> {
  // Migrations may wait for those of another process for longer than a change.
  await sql.raw(`begin; set local lock_timeout = ${lockWaitMs}`).execute(connection)
  await sql`select pg_advisory_xact_lock(${writeLock}, hashtext(current_schema()))`.execute(connection)
}

/** Runs `work` while no other process writes or migrates. It waits for them without a limit. */
export async function withWriteLock<T>(connection: Kysely<T>, work: () => Promise<void>): Promise<void> {
  await sql`select pg_advisory_lock(${writeLock}, hashtext(current_schema()))`.execute(connection)
  try {
    await work()
  } finally {
    await sql`select pg_advisory_unlock(${writeLock}, hashtext(current_schema()))`.execute(connection)
  }
}

/** A connection that sends and receives notifications, and does nothing else. */
export interface NotificationConnection {
  /** Sends the texts in their order. Resolves once the others can receive them. */
  send(texts: readonly string[]): Promise<void>
  close(): Promise<void>
}

/** [postgres] NOTIFY: a text must be shorter than 8,000 bytes. */
export const maxNotificationBytes = 7900
/** Longer than any notification takes; then the connection is taken for broken. */
const notifyMs = 5000

/**
 * Connects, and listens to `channel`. The connection also receives what it sends itself.
 *
 * @param events.onEnd is called once, when the connection is gone
 * @throws when there is no connection
 */
export async function connectNotifications(
  url: string,
  channel: string,
  events: { onText(text: string): void; onEnd(error: Error | undefined): void },
): Promise<NotificationConnection> {
  const client = new pg.Client({
    connectionString: url,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    query_timeout: notifyMs,
    application_name: 'flowdock-gateway bus',
  })
  let failure: Error | undefined
  client.on('error', (error) => {
    failure = error
  })
  client.on('notification', ({ payload }) => events.onText(payload ?? ''))
  try {
    await client.connect()
    await client.query(`listen ${client.escapeIdentifier(channel)}`)
  } catch (error) {
    void client.end().catch(() => undefined)
    throw error
  }
  client.once('end', () => events.onEnd(failure))
  return {
    async send(texts) {
      await client.query('select pg_notify($1, text) from unnest($2::text[]) as text', [channel, texts])
    },
    close: () => client.end(),
  }
}
