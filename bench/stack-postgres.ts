import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { openAdministration } from '../src/backend/admin/administration.ts'
import { serviceEvents } from '../src/backend/store/messages.ts'
import { cpuSeconds, hasTaskset } from './pinned-process.ts'

const serverUrl = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'

/** A database of PostgreSQL on this machine, with the same data as the SQLite database of a folder. */
export interface StackDatabase {
  readonly url: string
  /** Seconds on a core so far, of all processes of the server. */
  cpuSeconds(): number
  memoryKiB(): number
  /** Moves the processes that serve this database to a core. */
  pin(core: string): Promise<void>
  query(statement: string): Promise<void>
  drop(): Promise<void>
}

export async function copyToPostgres(dataDir: string): Promise<StackDatabase> {
  const name = `bench_${process.pid}_${Date.now()}`
  const server = new pg.Client(serverUrl)
  await server.connect()
  await server.query(`create database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  await copyTables(dataDir, url.href)
  const client = new pg.Client(url.href)
  await client.connect()
  await client.query(views('api', true))
  await client.query(views('open', false))
  await client.query('vacuum analyze')
  const { rows } = await server.query<{ pid: number }>('select pg_backend_pid() as pid')
  const postmaster = parentOf(rows[0]?.pid ?? 0)
  const processes = () => [postmaster, ...childrenOf(postmaster)]
  return {
    url: url.href,
    cpuSeconds: () =>
      processes().reduce((sum, pid) => sum + cpuSeconds(pid), 0) + secondsOfEndedChildren(postmaster),
    memoryKiB: () => processes().reduce((sum, pid) => sum + proportionalKiB(pid), 0),
    async pin(core) {
      const found = await server.query<{ pid: number }>(
        'select pid from pg_stat_activity where datname = $1',
        [name],
      )
      if (hasTaskset) for (const { pid } of found.rows) spawnSync('taskset', ['-cp', core, String(pid)])
    },
    async query(statement) {
      await client.query(statement)
    },
    async drop() {
      await client.end()
      await server.query(`drop database ${name} with (force)`)
      await server.end()
    },
  }
}

async function copyTables(dataDir: string, databaseUrl: string): Promise<void> {
  const filesDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-stack-'))
  // It creates the tables.
  await (await openAdministration({ dataDir: filesDir, databaseUrl })).close()
  rmSync(filesDir, { recursive: true })
  const sqlite = new DatabaseSync(join(dataDir, 'flowdock.db'), { readOnly: true })
  const client = new pg.Client(databaseUrl)
  await client.connect()
  // Foreign keys are triggers.
  await client.query(
    'begin; set local session_replication_role = replica; set local synchronous_commit = off',
  )
  for (const table of [
    ...['organizations', 'users', 'organization_members', 'tokens', 'channels', 'flows', 'flow_members'],
    ...['threads', 'messages', 'events'],
  ]) {
    let batch: unknown[] = []
    const flush = async () => {
      await client.query(
        `insert into ${table} select * from json_populate_recordset(null::${table}, $1::json)`,
        [JSON.stringify(batch)],
      )
      batch = []
    }
    await client.query(`delete from ${table}`)
    for (const row of sqlite.prepare(`select * from ${table}`).iterate())
      if (batch.push(row) === 5000) await flush()
    await flush()
    const { rows } = await client.query<{ column_name: string }>(
      `select column_name from information_schema.columns where table_name = '${table}' and is_identity = 'YES'`,
    )
    for (const { column_name: column } of rows)
      await client.query(
        `select setval(pg_get_serial_sequence('${table}', '${column}'), (select coalesce(max(${column}), 1) from ${table}))`,
      )
  }
  await client.query(
    `insert into message_words select seq, channel_id::text, to_tsvector('simple', content_json) from messages`,
  )
  await client.query('commit')
  await client.end()
  sqlite.close()
}

/**
 * What PostGraphile makes a schema of: views of the tables with smart tags for keys and names.
 *
 * @param checksRights whether a flow is there only for its members, by the token that is in a setting of the transaction
 */
function views(schema: string, checksRights: boolean): string {
  const isMember = `exists (
    select from public.tokens join public.flow_members on flow_members.user_id = tokens.user_id
    where tokens.hash = current_setting('flowdock.token_hash', true)
      and flow_members.flow_id = flows.id and flow_members.disabled = 0)`
  return `
    create schema ${schema};
    create view ${schema}.flows as select flows.id, organizations.slug as organization, flows.slug, flows.name, flows.channel_id
      from public.flows join public.organizations on organizations.id = flows.organization_id
      where ${checksRights ? isMember : 'true'};
    create view ${schema}.users as select id, name from public.users;
    create view ${schema}.threads as select id, title from public.threads;
    create view ${schema}.messages as select channel_id, id, user_id, thread_id, content_json::json #>> '{}' as content
      from public.messages where event not in (${serviceEvents.map((event) => `'${event}'`).join(', ')});
    comment on view ${schema}.flows is E'@primaryKey id\\n@unique organization,slug\\n@unique channel_id';
    comment on view ${schema}.users is E'@primaryKey id';
    comment on view ${schema}.threads is E'@primaryKey id';
    comment on view ${schema}.messages is E'@primaryKey channel_id,id
@foreignKey (channel_id) references ${schema}.flows (channel_id)|@fieldName flow|@foreignFieldName messages
@foreignKey (user_id) references ${schema}.users (id)|@fieldName author
@foreignKey (thread_id) references ${schema}.threads (id)|@fieldName thread'`
}

const statOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
const parentOf = (pid: number) => Number(statOf(pid)[1])
const secondsOfEndedChildren = (pid: number) => (Number(statOf(pid)[13]) + Number(statOf(pid)[14])) / 100

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => {
      try {
        return parentOf(other) === pid
      } catch {
        // It has ended.
        return false
      }
    })
}

/** Memory that processes share counts once, in parts. */
function proportionalKiB(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1])
}
