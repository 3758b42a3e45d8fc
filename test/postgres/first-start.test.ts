import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/backend/store/db.ts'
import { openPostgres, postgresEngine } from '../../src/backend/store/postgres.ts'
import { call, makeFolder } from '../support/backend.ts'
import { makeDatabase } from '../support/database.ts'
import { run } from '../support/process.ts'

test('backends that start at once on an empty database all come up, with the same demo token', async () => {
  const token = '0123456789abcdef'.repeat(2)
  const database = await makeDatabase()
  if (database === undefined) throw new Error('These tests need PostgreSQL')
  onTestFinished(database.drop)
  const folder = await makeFolder()
  const start = (name: string) =>
    run(['src/main.ts', 'backend'], {
      ...{ BACKEND_PORT: '0', DATA_DIR: join(folder, name), DATABASE_URL: database.url },
      FLOWDOCK_DEMO_TOKEN: token,
    })
  const backends = ['a', 'b', 'c'].map(start)
  const urls = await Promise.all(
    backends.map(async (each) => (await each.until(/Flowdock API (http:\S+)/))[1]),
  )
  const authorization = `Basic ${btoa(`${token}:`)}`
  for (const url of urls) {
    const { json } = await call(`${url}/flows/example/main/messages?event=message`, 'GET', {
      authorization,
    })
    expect(json.length).toBeGreaterThan(0)
  }
  for (const { child } of backends) child.kill('SIGTERM')
  for (const { exited, output } of backends) {
    expect(await exited).toBe(0)
    expect(output.stderr).toBe('')
  }
})

test('a backend that starts while another one fills the database for longer than a change may take waits for it', async () => {
  const database = await makeDatabase()
  if (database === undefined) throw new Error('These tests need PostgreSQL')
  onTestFinished(database.drop)
  await (await openStore(database.url)).close()
  const other = postgresEngine(openPostgres(database.url).writer)
  onTestFinished(other.close)
  const settings = { BACKEND_PORT: '0', DATA_DIR: await makeFolder(), DATABASE_URL: database.url }
  const starting = await other.withConnection(async (connection) => {
    const attempts = new Set<string>()
    // A transaction sees one state of the view, so another connection looks.
    const waitFor = (lock: string, count: number) =>
      other.withConnection((observer) =>
        expect
          .poll(async () => {
            const waiting = sql<{ at: string }>`
              select xact_start::text as at from pg_stat_activity
                where datname = current_database() and wait_event = 'advisory' and query like ${`%${lock}(%`}`
            for (const { at } of (await waiting.execute(observer)).rows) attempts.add(at)
            return attempts.size
          })
          .toBe(count),
      )
    await other.begin(connection, undefined)
    const backend = run(['src/main.ts', 'backend'], settings)
    await waitFor('pg_advisory_lock', 1)
    await sql`commit`.execute(connection)
    // Locks are given in order: the backend brings the database up to date, then this one fills it.
    await other.begin(connection, undefined)
    await waitFor('pg_advisory_xact_lock', 3)
    await sql`commit`.execute(connection)
    return backend
  })
  const [, url = ''] = await starting.until(/Flowdock API (http:\S+)/)
  expect((await call(`${url}/health/ready`, 'GET', {})).status).toBe(200)
})

test('a database is brought up to date while no other process writes', async () => {
  const database = await makeDatabase()
  if (database === undefined) throw new Error('These tests need PostgreSQL')
  onTestFinished(database.drop)
  const other = postgresEngine(openPostgres(database.url).writer)
  onTestFinished(other.close)
  const opened = Promise.withResolvers<void>()
  await other.withConnection(async (connection) => {
    await other.begin(connection, undefined)
    void openStore(database.url).then(async (store) => {
      opened.resolve()
      await store.close()
    }, opened.reject)
    const waits = sql<{ count: number }>`
      select count(*) from pg_locks where not granted and locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())`
    await expect.poll(async () => (await waits.execute(connection)).rows[0]?.count).toBe(1)
    const { rows } = await sql`select 1 from pg_tables where schemaname = 'public'`.execute(connection)
    expect(rows).toEqual([])
    await sql`commit`.execute(connection)
  })
  await opened.promise
})
