import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import pg from 'pg'

/** Where the tests that need PostgreSQL find one. */
export const postgresUrl = process.env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'

/** Whether these tests run on PostgreSQL; else they run on SQLite. */
export const onPostgres = process.env['TEST_DATABASE'] === 'postgres'

/** An empty database of its own in PostgreSQL, when the tests run on it. */
export async function makeDatabase(): Promise<{ url: string; drop(): Promise<void> } | undefined> {
  if (!onPostgres) return undefined
  const name = `test_${randomBytes(8).toString('hex')}`
  await execute(`create database ${name}`)
  const url = new URL(postgresUrl)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => execute(`drop database ${name} with (force)`) }
}

/** Runs a statement where the databases are made. */
export async function execute(statement: string): Promise<void> {
  const client = new pg.Client(postgresUrl)
  await client.connect()
  await client.query(statement)
  await client.end()
}

/** Whether something listens where PostgreSQL should. */
export function isPostgresThere(): Promise<boolean> {
  const { hostname, port } = new URL(postgresUrl)
  return new Promise((resolve) => {
    const socket = connect(Number(port || 5432), hostname)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
