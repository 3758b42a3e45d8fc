import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { basicCredential, createClient, createLeanClient } from './load.ts'
import { cpuSeconds } from './pinned-process.ts'

const token = '0123456789abcdef'.repeat(2)
const postgresUrl = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const natsUrl = process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222'
const samples = Number(process.env['SAMPLES'] ?? 200)
const rounds = Number(process.env['ROUNDS'] ?? 3)
const roundMs = Number(process.env['ROUND_MS'] ?? 4000)
const writers = 8
const flowCount = 16

/** Builds that are compared: this one, and one at `BASELINE`, a folder with another checkout. */
const builds: readonly (readonly [name: string, folder: string])[] = [
  ...(process.env['BASELINE'] === undefined ? [] : [['baseline', process.env['BASELINE']] as const]),
  ['this build', join(import.meta.dirname, '..')],
]

/** Several backends on one PostgreSQL: how late an event of another one is, and how many messages they take together. */
export async function machines(): Promise<void> {
  await measureDelay()
  for (const delayMs of [0, 1]) await measureWriting(delayMs)
}

interface Backend {
  readonly url: string
  readonly pid: number
  close(): Promise<void>
}

async function startBackend(folder: string, settings: Record<string, string>): Promise<Backend> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-bench-'))
  const child: ChildProcess = spawn(process.execPath, [join(folder, 'src/main.ts'), 'backend'], {
    env: {
      ...{ PATH: process.env['PATH'] ?? '', BACKEND_PORT: '0', DATA_DIR: dataDir },
      ...{ FLOWDOCK_DEMO_TOKEN: token, LOG_LEVEL: 'error' },
      ...{ REQUESTS_PER_MINUTE: '0', REQUESTS_PER_MINUTE_PER_IP: '0', MAX_CONNECTIONS_PER_PRINCIPAL: '0' },
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  while (!output.includes('Streaming')) if (child.stdout) await once(child.stdout, 'data')
  return {
    url: /Flowdock API (http:\S+)/.exec(output)?.[1] ?? '',
    pid: child.pid ?? 0,
    async close() {
      child.kill('SIGKILL')
      await once(child, 'close')
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** An empty database, which goes with the measurement. */
async function makeDatabase(): Promise<{ readonly url: string; drop(): Promise<void> }> {
  const name = `bench_${process.pid}_${Date.now()}`
  const run = async (statement: string) => {
    const client = new pg.Client(postgresUrl)
    await client.connect()
    await client.query(statement)
    await client.end()
  }
  await run(`create database ${name}`)
  const url = new URL(postgresUrl)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => run(`drop database ${name} with (force)`) }
}

/** A network between the backends and the database that takes `delayMs` each way. */
async function startSlowNetwork(url: string, delayMs: number) {
  if (delayMs === 0) return { url, close: () => undefined }
  const { hostname, port } = new URL(url)
  const program = `const net = require('node:net')
    net.createServer((socket) => {
      const other = net.connect(${Number(port || 5432)}, ${JSON.stringify(hostname)})
      for (const [from, to] of [[socket, other], [other, socket]]) {
        from.setNoDelay(true).on('error', () => to.destroy()).on('close', () => to.destroy())
        from.on('data', (bytes) => setTimeout(() => to.write(bytes), ${delayMs}))
      }
    }).listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const slow = new URL(url)
  slow.host = `127.0.0.1:${line.toString().trim()}`
  return { url: slow.href, close: () => void child.kill('SIGKILL') }
}

/** The time from a request that sends a message, at A or at B, until a stream of B delivers it. */
async function measureDelay(): Promise<void> {
  console.log(`\nfrom a message sent until a stream at B delivers it, ms: median (p99) of ${samples}`)
  console.log('| carried by | sent at B | sent at A | A beyond B |\n|---|---:|---:|---:|')
  for (const [name, settings] of [
    ['PostgreSQL', {}],
    ['NATS', { NATS_URL: natsUrl }],
  ] as const) {
    const database = await makeDatabase()
    const folder = join(import.meta.dirname, '..')
    const a = await startBackend(folder, { DATABASE_URL: database.url, ...settings })
    const b = await startBackend(folder, { DATABASE_URL: database.url, ...settings })
    const stream = await openStream(`${b.url}/stream/flows?filter=example/main`)
    const client = createClient(token)
    const times: [number[], number[]] = [[], []]
    for (let index = 0; index < samples * 2 + 20; index += 1) {
      const content = `sample ${index}.`
      const begun = performance.now()
      const delivered = stream.waitFor(content)
      const at = index % 2 === 0 ? b : a
      await client.call('POST', `${at.url}/flows/example/main/messages`, { event: 'message', content })
      const ms = (await delivered) - begun
      // The first ones find nothing compiled.
      if (index >= 20) times[index % 2 === 0 ? 0 : 1].push(ms)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const [own, other] = times.map((list) => list.toSorted((x, y) => x - y)) as [number[], number[]]
    const at = (list: number[], part: number) => list[Math.floor(list.length * part)] ?? 0
    const show = (list: number[]) => `${at(list, 0.5).toFixed(1)} (${at(list, 0.99).toFixed(1)})`
    const beyond = at(other, 0.5) - at(own, 0.5)
    console.log(`| ${name} | ${show(own)} | ${show(other)} | ${beyond.toFixed(1)} |`)
    stream.close()
    client.close()
    for (const backend of [a, b]) await backend.close()
    await database.drop()
  }
}

async function openStream(url: string) {
  const waiting = new Map<string, (at: number) => void>()
  const headers = { accept: 'text/event-stream' }
  const outgoing = get(url, { auth: `${token}:`, headers })
  const [response] = await once(outgoing, 'response')
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    for (const [content, resolve] of waiting) {
      if (!text.includes(`"${content}"`)) continue
      waiting.delete(content)
      text = ''
      resolve(performance.now())
    }
  })
  response.on('error', () => undefined)
  return {
    waitFor: (content: string) => new Promise<number>((resolve) => waiting.set(content, resolve)),
    close: () => outgoing.destroy(),
  }
}

/** Where the writers of each backend write. */
const spreads = [
  ['each backend in a flow of its own', (backend: number) => [backend]],
  [`all in ${flowCount} flows`, () => Array.from({ length: flowCount }, (_, index) => index)],
  ['all in one flow', () => [0]],
] as const

async function measureWriting(delayMs: number): Promise<void> {
  console.log(
    `\nmessages/s of one and of two backends, ${writers} writers each, ${delayMs} ms each way to the database (CPU of a message)`,
  )
  console.log('| | build | one backend | two | two against one |\n|---|---|---:|---:|---:|')
  const running = await Promise.all(
    builds.map(async ([name, folder]) => {
      const database = await makeDatabase()
      const network = await startSlowNetwork(database.url, delayMs)
      const settings = { DATABASE_URL: network.url }
      const backends = [await startBackend(folder, settings), await startBackend(folder, settings)]
      const paths = await makeFlows(backends[0]?.url ?? '')
      return { name, database, network, backends, paths }
    }),
  )
  for (const [spread, flowsOf] of spreads) {
    const results = running.map(() => ({ one: [] as Rate[], two: [] as Rate[] }))
    for (let round = 0; round < rounds; round += 1)
      for (const [index, { backends, paths }] of running.entries()) {
        const loads = backends.map((backend, which) => ({
          backend,
          paths: flowsOf(which).map((flow) => paths[flow] ?? ''),
        }))
        results[index]?.one.push(await write(loads.slice(0, 1)))
        results[index]?.two.push(await write(loads))
      }
    for (const [index, { name }] of running.entries()) {
      const [one, two] = [median(results[index]?.one), median(results[index]?.two)]
      const show = ({ rate, cpuMs }: Rate) => `${rate.toFixed(0)} (${cpuMs.toFixed(2)} ms)`
      console.log(
        `| ${spread} | ${name} | ${show(one)} | ${show(two)} | ${(two.rate / one.rate).toFixed(2)} × |`,
      )
    }
  }
  for (const { backends, network, database } of running) {
    for (const backend of backends) await backend.close()
    network.close()
    await database.drop()
  }
}

interface Rate {
  readonly rate: number
  /** Of the backends, for a message. */
  readonly cpuMs: number
}

function median(rates: readonly Rate[] = []): Rate {
  return rates.toSorted((a, b) => a.rate - b.rate)[rates.length >> 1] ?? { rate: 0, cpuMs: 0 }
}

async function makeFlows(url: string): Promise<string[]> {
  const client = createClient(token)
  const paths: string[] = []
  for (let index = 0; index < flowCount; index += 1) {
    const flow = JSON.parse(await client.call('POST', `${url}/flows/example`, { name: `Bench ${index}` }))
    paths.push(`/flows/example/${flow.parameterized_name}/messages`)
  }
  client.close()
  return paths
}

/** Writes to each backend at the same time. */
async function write(loads: readonly { backend: Backend; paths: readonly string[] }[]): Promise<Rate> {
  const clients = loads.flatMap(({ backend, paths }) =>
    Array.from({ length: writers }, (_, index) =>
      createLeanClient(backend.url, paths[index % paths.length] ?? '', basicCredential(token)),
    ),
  )
  let sent = 0
  const send = (client: (typeof clients)[number]) => {
    sent += 1
    return client.post({ event: 'message', content: `a message of usual length, with a #hashtag, ${sent}` })
  }
  for (const client of clients) await send(client)
  const before = loads.map(({ backend }) => cpuSeconds(backend.pid))
  const begun = performance.now()
  sent = 0
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() - begun < roundMs) await send(client)
    }),
  )
  const seconds = (performance.now() - begun) / 1000
  const cpu = loads.reduce(
    (sum, { backend }, index) => sum + cpuSeconds(backend.pid) - (before[index] ?? 0),
    0,
  )
  for (const client of clients) client.close()
  return { rate: sent / seconds, cpuMs: (cpu * 1000) / sent }
}
