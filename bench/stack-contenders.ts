import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { basicCredential } from './load.ts'
import { cpuSeconds, memoryKiB, type Running, startPinned, unlimited } from './pinned-process.ts'
import { copyToPostgres, type StackDatabase } from './stack-postgres.ts'

/** Seconds on a core so far: of the thread that answers GraphQL, and of all other threads and processes that it needs. */
export interface StackCpu {
  readonly front: number
  readonly others: number
}

export interface RunningContender {
  readonly port: number
  cpu(): StackCpu
  memoryMiB(): number
  /** Called while it is busy, before it is measured. */
  pin(): Promise<void>
  /** Sends a message to a flow, not through GraphQL. */
  write(flow: string): Promise<void>
  /** Removes uploaded files. */
  removeFiles(): void
  close(): Promise<void>
}

export interface StackContender {
  readonly name: string
  readonly title: string
  readonly schema: 'gateway' | 'tables'
  /** @param dataDir the data, of which it uses a copy */
  start(dataDir: string): Promise<RunningContender>
}

const here = import.meta.dirname
const core = '0'
const apiUrl = /Flowdock API (http:\S+)/
const readyStack = /GraphQL +http:\/\/[^:]+:(\d+)[\s\S]*Streaming/

const gateway = (name: string, title: string, folder: string): StackContender => ({
  ...{ name, title, schema: 'gateway' },
  async start(dataDir) {
    const copy = copyOf(dataDir)
    const server = await startGateway(folder, copy)
    return {
      ...front(server),
      cpu: () => threadSeconds(server.pid),
      memoryMiB: () => memoryKiB(server.pid) / 1024,
      ...files(copy, server),
      close: () => closeAll(server, copy),
    }
  },
})

const gatewayOnPostgres: StackContender = {
  ...{ name: 'gateway-postgres', title: 'the gateway on PostgreSQL', schema: 'gateway' },
  async start(dataDir) {
    const database = await copyToPostgres(dataDir)
    const folder = mkdtempSync(join(tmpdir(), 'flowdock-gateway-stack-'))
    const server = await startGateway(join(here, '..'), folder, { DATABASE_URL: database.url })
    return {
      ...front(server),
      ...onDatabase(server, database),
      ...files(folder, server),
      async close() {
        await closeAll(server, folder)
        await database.drop()
      },
    }
  },
}

/** A server in front of a backend of its own. */
const peer = (name: string, title: string, script: string, kind: string): StackContender => ({
  ...{ name, title, schema: 'gateway' },
  async start(dataDir) {
    const copy = copyOf(dataDir)
    const backend = await startPinned(
      join(here, '../src/main.ts'),
      ['backend'],
      { BACKEND_PORT: '0', DATA_DIR: copy, LOG_LEVEL: 'error', ...withoutLimits },
      /Flowdock API http:\/\/[^:]+:(\d+)[\s\S]*Streaming/,
    )
    const url = apiUrl.exec(backend.output())?.[1] ?? ''
    const server = await startPinned(join(here, 'peers', script), [url, kind], production, /listening (\d+)/)
    return {
      ...front(server),
      cpu() {
        const { front: main, others } = threadSeconds(server.pid)
        return { front: main, others: others + cpuSeconds(backend.pid) }
      },
      memoryMiB: () => (memoryKiB(server.pid) + memoryKiB(backend.pid)) / 1024,
      ...files(copy, backend),
      async close() {
        await server.close()
        await closeAll(backend, copy)
      },
    }
  },
})

const postgraphile = (name: string, title: string, schema: string): StackContender => ({
  ...{ name, title, schema: 'tables' },
  async start(dataDir) {
    const database = await copyToPostgres(dataDir)
    const script = join(here, 'peers/postgraphile/stack-postgraphile.js')
    const server = await startPinned(script, [database.url, schema], production, /listening (\d+)/)
    return {
      ...front(server),
      ...onDatabase(server, database),
      write: (flow) =>
        database.query(`
          insert into messages (channel_id, id, event, user_id, uuid, thread_id, app, content_json, tags_json, attachments_json, sent)
            select channel_id, id + 1, event, user_id, null, thread_id, app, content_json, tags_json, attachments_json, sent
            from messages where channel_id = (select channel_id from flows where slug = '${flow}') order by id desc limit 1`),
      removeFiles: () => undefined,
      async close() {
        await server.close()
        await database.drop()
      },
    }
  },
})

/** Those that are installed, or the ones that `CONTENDERS` names. Earlier checkouts at `BASE` always take part. */
export function findContenders(): readonly StackContender[] {
  const hasPeers = existsSync(join(here, 'peers/node_modules'))
  const hasPostgraphile = existsSync(join(here, 'peers/postgraphile/node_modules'))
  const all = [
    gateway('gateway', 'the gateway', join(here, '..')),
    ...(hasPeers
      ? [
          peer('mercurius', 'Mercurius and its compiler, calls by hand', 'stack-mercurius.js', 'calls'),
          peer('mercurius-cached', 'the same with caches by hand', 'stack-mercurius.js', 'cached'),
          peer('yoga', 'Yoga, calls by hand', 'stack-yoga.js', 'calls'),
          peer('yoga-cached', 'the same with caches by hand', 'stack-yoga.js', 'cached'),
        ]
      : []),
    ...(hasPostgraphile
      ? [
          gatewayOnPostgres,
          postgraphile('postgraphile', 'PostGraphile, which checks membership', 'api'),
          postgraphile('postgraphile-open', 'PostGraphile, which checks no rights', 'open'),
        ]
      : []),
  ]
  const names = process.env['CONTENDERS']?.split(',') ?? all.map(({ name }) => name)
  const unknown = names.filter((name) => !all.some((contender) => contender.name === name))
  if (unknown.length > 0)
    throw new Error(`Expected CONTENDERS to be of ${all.map(({ name }) => name)}, got ${unknown}`)
  const bases = process.env['BASE']?.split(',') ?? []
  return [
    ...all.filter(({ name }) => names.includes(name)),
    ...bases.map((folder) => gateway(folder, `the gateway at ${folder}`, folder)),
  ]
}

const production = { NODE_ENV: 'production', GRAPHILE_ENV: 'production' }
const {
  CALLS_PER_MINUTE: _calls,
  MAX_TCP_CONNECTIONS: _connections,
  MAX_TCP_CONNECTIONS_PER_IP: _connectionsOfIp,
  ...withoutLimits
} = unlimited

function startGateway(
  folder: string,
  dataDir: string,
  settings: Record<string, string> = {},
): Promise<Running> {
  return startPinned(
    join(folder, 'src/main.ts'),
    ['serve'],
    { PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'error', ...unlimited, ...settings },
    readyStack,
  )
}

/** Servers that write to the same data would disturb each other. */
function copyOf(dataDir: string): string {
  const copy = mkdtempSync(join(tmpdir(), 'flowdock-gateway-stack-'))
  cpSync(dataDir, copy, { recursive: true })
  return copy
}

const front = ({ port }: Running) => ({ port, pin: async () => undefined })

function files(dataDir: string, backend: Running) {
  const url = apiUrl.exec(backend.output())?.[1] ?? ''
  return {
    async write(flow: string) {
      const response = await fetch(`${url}/flows/acme/${flow}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...basicCredential('token0') },
        body: JSON.stringify({ event: 'message', content: 'written meanwhile' }),
      })
      await response.arrayBuffer()
      if (response.status !== 201) throw new Error(`The backend refused a message with ${response.status}`)
    },
    removeFiles() {
      const folder = join(dataDir, 'files')
      // The others are of the running server.
      for (const name of readdirSync(folder)) if (/^[0-9a-f]{32}$/.test(name)) rmSync(join(folder, name))
    },
  }
}

function onDatabase(server: Running, database: StackDatabase) {
  return {
    cpu() {
      const { front: main, others } = threadSeconds(server.pid)
      return { front: main, others: others + database.cpuSeconds() }
    },
    memoryMiB: () => (memoryKiB(server.pid) + database.memoryKiB()) / 1024,
    pin: () => database.pin(core),
  }
}

async function closeAll(server: Running, dataDir: string): Promise<void> {
  await server.close()
  rmSync(dataDir, { recursive: true, force: true })
}

/** Of the main thread, and of all others: the backend's, and those that collect garbage. */
function threadSeconds(pid: number): StackCpu {
  let main = 0
  let others = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const fields = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    const seconds = (Number(fields[11]) + Number(fields[12])) / 100
    if (thread === String(pid)) main += seconds
    else others += seconds
  }
  return { front: main, others }
}
