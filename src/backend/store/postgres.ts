import type { Socket } from 'node:net'
import { type Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { WritingConnection } from './connection.ts'
import { fingerprintColumn } from './fingerprint.ts'
import { together } from './together.ts'
import type { Execute, TransactionState } from './transaction-state.ts'
import type { WritingEngine } from './writing.ts'

const int8 = 20
/** The keys of the lock of writers, and of the lock of the end of the log. */
const writeLock = 0x666c6f77
const logLock = 0x6c6f6773
/** The time limits of waiting for a lock, of a read, and of a change that sends no statements. */
const lockWaitMs = 5000
const readMs = 10_000
const idleMs = 10_000
/**
 * How long a response may take before the connection is taken for broken: of a read, which the server itself ends earlier; of the
 * statements that begin a change, two of which may wait for a lock; of any other statement of a change. Without these limits a socket
 * waits a quarter of an hour when the network loses its packets.
 */
const silenceMs = { read: readMs + 2000, begin: 2 * lockWaitMs + 2000, change: 30_000 }
/** How long an idle connection is silent before it is probed; ten probes a second apart without a response end it. */
const probeAfterMs = 10_000

/**
 * Connections to the PostgreSQL database at `url`: some for writes, and a Kysely dialect for reads. They connect with the first
 * query.
 */
export function openPostgres(url: string): { writer: pg.Pool; reader: PostgresDialect } {
  const writer: pg.PoolConfig & { pipeline: boolean } = {
    max: writers,
    // Statements that do not need each other's result are sent without waiting for it.
    pipeline: true,
    // A process that stops in the middle of a change loses its locks.
    idle_in_transaction_session_timeout: idleMs,
  }
  const reader = { max: 8, statement_timeout: readMs, lock_timeout: lockWaitMs }
  const readers = openPool(url, reader, silenceMs.read)
  return { writer: openPool(url, writer), reader: new PostgresDialect({ pool: readers }) }
}

/** @param responseMs how long each response may take; without a limit by default */
function openPool(url: string, options: pg.PoolConfig, responseMs?: number): pg.Pool {
  const pool = new pg.Pool({
    ...options,
    connectionString: url,
    keepAlive: true,
    keepAliveInitialDelayMillis: probeAfterMs,
    connectionTimeoutMillis: 10_000,
    allowExitOnIdle: true,
    onConnect: requirePrimary,
    types: {
      // Ids and times in milliseconds are far below 2^53.
      getTypeParser: (oid: number, format: 'text' | 'binary' = 'text') =>
        oid === int8 && format === 'text' ? Number : pg.types.getTypeParser(oid, format as 'text'),
    },
  })
  // The pool replaces a connection that breaks. The query that used the connection fails.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return cleaned(pool, responseMs)
}

/** What is read at a standby may be older than what was delivered. @throws an error with the code of a read-only transaction */
async function requirePrimary(client: pg.ClientBase): Promise<void> {
  const { rows } = await withinMs(
    client,
    silenceMs.begin,
    client.query<{ is_standby: boolean }>('select pg_is_in_recovery() as is_standby'),
  )
  if (rows[0]?.is_standby === true)
    throw Object.assign(new Error('The database server is a standby'), { code: readOnly })
}

/** Waits for a response. If it takes longer than `ms`, the connection ends, and so do all that wait for a response of it. */
async function withinMs<T>(client: pg.ClientBase, ms: number, response: Promise<T>): Promise<T> {
  const { connection } = client as unknown as { connection: { stream: Socket } }
  const timer = setTimeout(() => {
    const error = new Error(`The database has not responded for ${ms / 1000} s`)
    connection.stream.destroy(Object.assign(error, { code: 'ETIMEDOUT' }))
  }, ms)
  try {
    return await response
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Queries as Kysely makes them, with two differences. PostgreSQL stores no NUL character in texts, and SQLite and JSON allow it. And
 * a text that is used often is parsed and planned once for each connection. When a connection falls silent, the older ones are not
 * used any more, because the network or the server that they lead to is the same.
 */
function cleaned(pool: pg.Pool, usualMs?: number): pg.Pool {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>
  const names = createStatementNames()
  const connectedAt = new WeakMap<pg.PoolClient, number>()
  let silentAt = 0
  pool.on('connect', (client) => connectedAt.set(client as pg.PoolClient, performance.now()))

  async function take(): Promise<pg.PoolClient> {
    for (;;) {
      const client = await connect().catch(withCode)
      if ((connectedAt.get(client) ?? 0) >= silentAt) return client
      client.release(true)
    }
  }

  return Object.assign(pool, {
    async connect() {
      const client = await take()
      let isBroken = false
      /** @throws the error of the database, with a code */
      const note = (error: Error & { code?: string }): never => {
        if (error.code === 'ETIMEDOUT') silentAt = performance.now()
        if (error.code === 'ETIMEDOUT' || error.code === readOnly) isBroken = true
        return withCode(error)
      }
      const within = <R>(ms: number | undefined, response: Promise<R>) =>
        ms === undefined ? response : withinMs(client, ms, response)
      const taken = {
        responseMs: usualMs,
        processID: (client as { processID?: number }).processID,
        release: (destroy?: boolean) => client.release(destroy === true || isBroken),
      }
      const run = (text: string, values: readonly unknown[], name: string | undefined): Promise<unknown> =>
        within(
          taken.responseMs,
          client.query({ text, values: values.map(withoutNul), ...(name === undefined ? {} : { name }) }),
        )
      return Object.assign(taken, {
        async query(text: string, values?: readonly unknown[]) {
          // Several statements in one text, such as those that begin a transaction, have no values.
          if (values === undefined || values.length === 0)
            return within(taken.responseMs, client.query(text)).catch(note)
          return run(text, values, names.find(text)).catch((error: Error & { code?: string }) => {
            if (error.code !== staleStatement) return note(error)
            names.renew()
            // Within a transaction this fails, too, and the transaction runs again.
            return run(text, values, undefined).catch(() => withCode(error))
          })
        },
      })
    },
  })
}

/** [postgres] "cached plan must not change result type": another process added a column to a table. */
const staleStatement = '0A000'
/** [postgres] A server that accepts no changes, such as a standby, or a primary that was taken out of service. */
const readOnly = '25006'
/** Texts that have a name. Conditions of lists make many texts, of which few are used again. */
const maxNames = 300
const usesBeforeName = 3

interface StatementNames {
  /** The name of a text that is used often. */
  find(text: string): string | undefined
  /** Gives every text another name, so that it is parsed again. */
  renew(): void
}

function createStatementNames(): StatementNames {
  let generation = 0
  let names = new Map<string, string>()
  const uses = new Map<string, number>()
  return {
    find(text) {
      const name = names.get(text)
      if (name !== undefined || names.size >= maxNames) return name
      if (uses.size > 10 * maxNames) uses.clear()
      const count = (uses.get(text) ?? 0) + 1
      uses.set(text, count)
      if (count < usesBeforeName) return undefined
      const given = `s${generation}_${names.size}`
      names.set(text, given)
      return given
    },
    renew() {
      generation += 1
      names = new Map()
    },
  }
}

/** Adds the code `ECONNRESET` to the error of a lost connection, which has none. */
function withCode(error: Error & { code?: string }): never {
  if (error.code === undefined && /connect|terminated|closed/i.test(error.message))
    throw Object.assign(error, { code: 'ECONNRESET' })
  throw error
}

function withoutNul(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNul)
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value
}

/** Transactions that write, at a time. */
const writers = 4

const insertEvents = `with last as (
    select seq, ${fingerprintColumn} as fingerprint from events order by seq desc limit 1
  )
  insert into events (seq, flow_id, user_id, payload, created_at, kind)
  select coalesce((select seq from last), 0) + position, flow_id, user_id, payload, created_at, kind
  from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
    with ordinality as event (flow_id, user_id, payload, created_at, kind, position)
  returning seq, (select fingerprint from last) as previous`

/**
 * Changes that run alone hold the lock of writers. Those of channels share it, and lock the rows of their channels. A transaction
 * numbers its events while it holds the lock of the log, in the same round trip as its commit. So events have the order of their
 * commits, and no transaction waits for the network of another one.
 */
export function postgresEngine<T>(pool: pg.Pool): WritingEngine<T> & { close(): Promise<void> } {
  const clients = new WeakMap<Kysely<T>, pg.PoolClient>()
  let closed: Promise<void> | undefined
  const queriesOf = (connection: Kysely<T>) => {
    const client = clients.get(connection)
    if (client === undefined) throw new Error('The connection is not one of this engine')
    return (text: string, values: readonly unknown[] = []) => client.query(text, [...values])
  }
  /** Migrations, which are not begun as a change is, may take any time. */
  const setResponseMs = (connection: Kysely<T>, ms: number | undefined) => {
    Object.assign(clients.get(connection) ?? {}, { responseMs: ms })
  }
  return {
    connections: writers,
    async withConnection(work) {
      const client = await pool.connect()
      const send: Execute = async (text, values) => (await client.query(text, [...values])).rows
      const connection = new WritingConnection<T>(send, (state) => poolOfOne(client, state))
      clients.set(connection, client)
      try {
        return await work(connection)
      } finally {
        setResponseMs(connection, undefined)
        client.release()
      }
    },
    async begin(connection, channels) {
      const query = queriesOf(connection)
      setResponseMs(connection, silenceMs.begin)
      connection.state.begin(undefined)
      const lock = channels === undefined ? 'pg_advisory_xact_lock' : 'pg_advisory_xact_lock_shared'
      await together([
        // Migrations may wait for those of another process for longer than a change.
        query(`begin; set local lock_timeout = ${lockWaitMs}`),
        query(`select ${lock}(${writeLock}, hashtext(current_schema()))`),
        ...(channels === undefined
          ? []
          : [query('select from channels where id = any($1::bigint[]) order by id for update', [channels])]),
      ])
      setResponseMs(connection, silenceMs.change)
    },
    async commit(connection, events) {
      const query = queriesOf(connection)
      const flushed = connection.state.flush()
      if (events.length === 0) {
        await together([flushed, query('commit')])
        return { first: 0, previous: undefined }
      }
      const columns = (['flow_id', 'user_id', 'payload', 'created_at', 'kind'] as const).map((name) =>
        events.map((event) => event[name]),
      )
      // If one of them fails, the commit rolls back.
      const [, , { rows }] = await together([
        flushed,
        query(`select pg_advisory_xact_lock(${logLock}, hashtext(current_schema()))`),
        query(insertEvents, columns),
        query('commit'),
      ])
      return {
        first: rows.reduce((first, { seq }) => Math.min(first, seq), Number.POSITIVE_INFINITY),
        previous: rows[0]?.previous ?? undefined,
      }
    },
    close() {
      closed ??= pool.end()
      return closed
    },
  }
}

/** Kysely runs the queries of `connection()` one after the other, and those of a pool at the same time. */
function poolOfOne(client: pg.PoolClient, state: TransactionState): PostgresDialect {
  const same = {
    ...client,
    async query(text: string, values?: unknown[]) {
      const flushed = state.before(text)
      const response = client.query(text, values)
      return flushed === undefined ? response : (await together([flushed, response]))[1]
    },
    release: () => undefined,
  }
  return new PostgresDialect({
    pool: { connect: async () => same, end: async () => undefined } as unknown as pg.Pool,
  })
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
    keepAliveInitialDelayMillis: probeAfterMs,
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
