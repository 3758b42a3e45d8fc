import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { findFreePort } from './nats.ts'

const execute = promisify(execFile)

/** A PostgreSQL server of a test's own, which ends with the test, and its data with it. */
export interface PostgresServer {
  readonly port: number
  query(text: string): Promise<pg.QueryResult['rows']>
  /** Ends it without notice. */
  kill(): Promise<void>
  /** Accepts changes from now on. */
  promote(): Promise<void>
}

/** Where Debian, macOS or the path have the programs of a server. */
async function findPrograms(): Promise<string> {
  const debian = '/usr/lib/postgresql'
  const versions = await readdir(debian).catch(() => [])
  const newest = versions.toSorted((a, b) => Number(a) - Number(b)).at(-1)
  if (newest !== undefined) return join(debian, newest, 'bin')
  const { stdout } = await execute('pg_config', ['--bindir'])
  return stdout.trim()
}

/** PostgreSQL does not run as root. */
async function findUser(): Promise<{ uid?: number; gid?: number }> {
  if (process.getuid?.() !== 0) return {}
  const find = async (option: string) => Number((await execute('id', [option, 'postgres'])).stdout)
  return { uid: await find('-u'), gid: await find('-g') }
}

interface Place {
  readonly programs: string
  readonly folder: string
  readonly user: { uid?: number; gid?: number }
}

async function makePlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'flowdock-postgres-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const user = await findUser()
  if (user.uid !== undefined && user.gid !== undefined) await chown(folder, user.uid, user.gid)
  return { programs: await findPrograms(), folder, user }
}

async function startServer({ programs, folder, user }: Place, name: string): Promise<PostgresServer> {
  const port = await findFreePort()
  const settings = {
    ...{ listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: '' },
    // The machine goes on when a server is killed.
    ...{ fsync: 'off', wal_level: 'replica', max_wal_senders: '4', max_connections: '100' },
    ...{ wal_retrieve_retry_interval: '100ms', shared_buffers: '32MB' },
  }
  const options = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])
  const child: ChildProcess = spawn(join(programs, 'postgres'), ['-D', join(folder, name), ...options], {
    ...{ cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], ...user },
  })
  let log = ''
  child.stderr?.on('data', (text) => {
    log = `${log}${text}`.slice(-4000)
  })
  const exited = once(child, 'exit')
  const end = async (signal: 'SIGKILL' | 'SIGQUIT') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exited
  }
  onTestFinished(() => end('SIGQUIT'))
  const query = async (text: string) => {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' })
    client.on('error', () => undefined)
    await client.connect()
    try {
      return (await client.query(text)).rows
    } finally {
      await client.end().catch(() => undefined)
    }
  }
  while (
    !(await query('select 1').then(
      () => true,
      () => false,
    ))
  ) {
    if (child.exitCode !== null) throw new Error(`The PostgreSQL server ended: ${log}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    port,
    query,
    kill: () => end('SIGKILL'),
    async promote() {
      const [row] = await query('select pg_promote(true, 20) as is_promoted')
      if (row?.is_promoted !== true) throw new Error(`The standby was not promoted: ${log}`)
    },
  }
}

export interface PostgresPair {
  readonly primary: PostgresServer
  /** Replicates the primary, and accepts reads. */
  readonly standby: PostgresServer
}

/**
 * Starts a primary server and a standby that replicates it.
 *
 * @param options.isSynchronous whether a commit is acknowledged only when the standby has it
 * @param options.throughPort makes the port that the standby reaches the primary at
 */
export async function startPostgresPair(options: {
  readonly isSynchronous: boolean
  readonly throughPort?: (port: number) => Promise<number>
}): Promise<PostgresPair> {
  const place = await makePlace()
  const { programs, folder, user } = place
  const run = (program: string, args: string[]) =>
    execute(join(programs, program), args, { cwd: folder, ...user })
  const common = ['-U', 'postgres', '--no-sync']
  const locale = ['-A', 'trust', '-E', 'UTF8', '--locale', 'C.UTF-8']
  await run('initdb', ['-D', join(folder, 'primary'), ...common, ...locale])
  const primary = await startServer(place, 'primary')
  const port = (await options.throughPort?.(primary.port)) ?? primary.port
  const copy = ['-D', join(folder, 'standby'), '-h', '127.0.0.1', '-p', String(port)]
  await mkdir(join(folder, 'standby'), { mode: 0o700 })
  if (user.uid !== undefined && user.gid !== undefined)
    await chown(join(folder, 'standby'), user.uid, user.gid)
  await run('pg_basebackup', [...copy, '-R', '-X', 'stream', '-c', 'fast', ...common])
  const standby = await startServer(place, 'standby')
  if (options.isSynchronous) {
    await primary.query("alter system set synchronous_standby_names = '*'")
    await primary.query('select pg_reload_conf()')
  }
  const state = options.isSynchronous ? 'sync' : 'async'
  for (;;) {
    const rows = await primary.query('select state, sync_state from pg_stat_replication')
    if (rows.some((row) => row.state === 'streaming' && row.sync_state === state)) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { primary, standby }
}
