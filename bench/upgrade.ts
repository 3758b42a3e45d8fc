import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { WebSocket } from 'ws'

const token = '0123456789abcdef'.repeat(2)
const authorization = `Basic ${Buffer.from(`${token}:`).toString('base64')}`
const postgresUrl = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const natsUrl = process.env['NATS_URL']
/** How long each arrangement of processes is kept under load. */
const stepMs = Number(process.env['STEP_MS'] ?? 4000)
const subscriberCount = 8
const shutdown = { SHUTDOWN_DELAY_SECONDS: '1', SHUTDOWN_DRAIN_SECONDS: '2' }
const readyMs = 20_000

/**
 * A rolling upgrade from the checkout at `BASELINE` to this one, and back, under load: two backends and two gateways on one database
 * are replaced one by one. Prints what subscribers missed, received twice or out of order.
 */
export async function upgrade(): Promise<void> {
  const baseline = process.env['BASELINE']
  if (baseline === undefined) {
    console.log('upgrade: set BASELINE to the folder of an earlier checkout')
    return
  }
  const now = join(import.meta.dirname, '..')
  await roll('backends before gateways', baseline, now, ['backend', 'gateway'])
  await roll('gateways before backends', baseline, now, ['gateway', 'backend'])
  await roll('back to the earlier version, gateways before backends', now, baseline, ['gateway', 'backend'])
}

type Kind = 'backend' | 'gateway'

interface Running {
  readonly port: number
  readonly errors: () => string
  /** Ends as a process manager does: with a signal, after which the process goes on for a while. */
  stop(): Promise<number | null>
}

async function start(folder: string, kind: Kind, settings: Record<string, string>): Promise<Running> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-bench-'))
  const child: ChildProcess = spawn(
    process.execPath,
    [join(folder, 'src/main.ts'), kind === 'gateway' ? 'serve' : 'backend'],
    {
      cwd: folder,
      env: {
        ...{ PATH: process.env['PATH'] ?? '', PORT: '0', LOG_LEVEL: 'warn', SERVICE_TOKEN: 'x'.repeat(32) },
        ...{ REQUESTS_PER_MINUTE: '0', REQUESTS_PER_MINUTE_PER_IP: '0', CALLS_PER_MINUTE: '0' },
        ...{ MAX_CONNECTIONS_PER_PRINCIPAL: '0', MAX_CONNECTIONS_PER_IP: '0', LOAD_SHEDDING: 'off' },
        ...shutdown,
        ...(kind === 'backend' ? { BACKEND_PORT: '0', DATA_DIR: dataDir, FLOWDOCK_DEMO_TOKEN: token } : {}),
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const exited = once(child, 'close')
  const pattern = kind === 'gateway' ? /GraphQL +http:\/\/[^:]+:(\d+)/ : /Flowdock API http:\/\/[^:]+:(\d+)/
  const deadline = Date.now() + readyMs
  while (!pattern.test(output)) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`The ${kind} of ${folder} did not start: ${output}${errors}`)
    await sleep(20)
  }
  return {
    port: Number(pattern.exec(output)?.[1]),
    errors: () => errors,
    async stop() {
      child.kill('SIGTERM')
      const [code] = await exited
      rmSync(dataDir, { recursive: true, force: true })
      return code
    },
  }
}

/** Sends each connection to the next of the ports. */
async function balance() {
  let ports: readonly number[] = []
  let next = 0
  const server = createServer((client) => {
    next += 1
    const target = connect(ports[next % ports.length] ?? 0, '127.0.0.1')
    client.pipe(target).pipe(client)
    for (const socket of [client, target]) {
      socket.on('error', () => undefined)
      socket.on('close', () => {
        client.destroy()
        target.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    setPorts(all: readonly number[]) {
      ports = all
    },
    close: () => server.close(),
  }
}

interface Subscriber {
  readonly received: string[]
  gaps: number
  connections: number
  readonly errors: string[]
  close(): void
}

const subscription = `subscription ($after: String) {
  flowEvents(input: { flows: [{ path: "example/main" }], after: $after }) {
    __typename cursor ... on MessageAdded { message { ... on ChatMessage { content } } } } }`

/** Subscribes over a WebSocket, and resumes after the last cursor when it is closed. */
function subscribe(url: string): Subscriber {
  let after: string | null = null
  let isClosed = false
  let socket: WebSocket
  const subscriber: Subscriber = {
    received: [],
    gaps: 0,
    connections: 0,
    errors: [],
    close() {
      isClosed = true
      socket.terminate()
    },
  }
  const open = () => {
    socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    const current = socket
    current.on('open', () => {
      current.send(JSON.stringify({ type: 'connection_init', payload: { Authorization: authorization } }))
    })
    current.on('message', (data) => {
      const { type, payload } = JSON.parse(String(data))
      if (type === 'connection_ack') {
        subscriber.connections += 1
        const query = { query: subscription, variables: { after } }
        current.send(JSON.stringify({ id: '1', type: 'subscribe', payload: query }))
      }
      if (type === 'ping') current.send(JSON.stringify({ type: 'pong' }))
      const event = payload?.data?.flowEvents
      if (type === 'error' || payload?.errors !== undefined)
        subscriber.errors.push(JSON.stringify(payload).slice(0, 200))
      if (event === undefined || event === null) return
      after = event.cursor
      if (event.__typename === 'Gap') subscriber.gaps += 1
      if (event.__typename === 'MessageAdded') subscriber.received.push(event.message.content)
    })
    current.on('error', () => undefined)
    current.on('close', () => {
      if (!isClosed) setTimeout(open, 100)
    })
  }
  open()
  return subscriber
}

/** Sends messages in turns over REST and GraphQL, each until it is acknowledged. */
function load(restUrl: string, graphqlUrl: string) {
  const sent: string[] = []
  const refusals = new Map<string, number>()
  let isStopped = false
  const refuse = (reason: string) => void refusals.set(reason, (refusals.get(reason) ?? 0) + 1)

  async function post(url: string, body: object): Promise<string | undefined> {
    try {
      const headers = { authorization, 'content-type': 'application/json' }
      const signal = AbortSignal.timeout(15_000)
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body), signal })
      const text = await response.text()
      if (response.status >= 300) return `${response.status}`
      const { errors, data } = JSON.parse(text)
      const failure = errors?.[0]?.extensions?.code ?? data?.sendMessage?.__typename
      return failure === undefined || failure === 'SendMessagePayload' ? undefined : String(failure)
    } catch (error) {
      const { cause, name } = error as Error & { cause?: { code?: string } }
      return cause?.code ?? name
    }
  }

  const mutation = `mutation ($content: String!, $uuid: String!) {
    sendMessage(input: { flow: { path: "example/main" }, content: $content, uuid: $uuid }) { __typename } }`

  async function run(worker: number): Promise<void> {
    for (let count = 0; !isStopped; count += 1) {
      const content = `message ${worker} ${count}`
      const uuid = randomUUID()
      for (;;) {
        const isRest = (worker + count) % 2 === 0
        const reason = isRest
          ? await post(`${restUrl}/flows/example/main/messages`, { event: 'message', content, uuid })
          : await post(`${graphqlUrl}/graphql`, { query: mutation, variables: { content, uuid } })
        if (reason === undefined) break
        refuse(`${isRest ? 'REST' : 'GraphQL'} ${reason}`)
        await sleep(50)
      }
      sent.push(content)
      await sleep(100)
    }
  }

  const running = Promise.all(Array.from({ length: 4 }, (_, worker) => run(worker)))
  return {
    sent,
    refusals,
    async stop() {
      isStopped = true
      await running
    },
  }
}

async function roll(title: string, from: string, to: string, order: readonly Kind[]): Promise<void> {
  console.log(`\n${title}`)
  const name = `bench_${randomBytes(6).toString('hex')}`
  const admin = new pg.Client(postgresUrl)
  await admin.connect()
  await admin.query(`create database ${name}`)
  const databaseUrl = new URL(postgresUrl)
  databaseUrl.pathname = `/${name}`
  const balancers = { backend: await balance(), gateway: await balance() }
  const settings: Record<Kind, Record<string, string>> = {
    backend: { DATABASE_URL: databaseUrl.href, ...(natsUrl === undefined ? {} : { NATS_URL: natsUrl }) },
    gateway: { FLOWDOCK_API_URL: balancers.backend.url },
  }
  const running: Record<Kind, Running[]> = { backend: [], gateway: [] }
  const ended: Running[] = []
  const route = (kind: Kind) => balancers[kind].setPorts(running[kind].map(({ port }) => port))
  const subscribers: Subscriber[] = []
  let writing: ReturnType<typeof load> | undefined
  try {
    for (const kind of ['backend', 'gateway'] as const)
      for (let count = 0; count < 2; count += 1) {
        running[kind].push(await start(from, kind, settings[kind]))
        route(kind)
      }
    for (let count = 0; count < subscriberCount; count += 1)
      subscribers.push(subscribe(balancers.gateway.url))
    while (subscribers.some(({ connections }) => connections === 0)) await sleep(20)
    await sleep(1000)
    writing = load(balancers.backend.url, balancers.gateway.url)
    await sleep(stepMs)
    for (const kind of order)
      for (let count = 0; count < 2; count += 1) {
        // The new one first; the old one is not routed to any more as soon as it says that it stops.
        running[kind].push(await start(to, kind, settings[kind]))
        route(kind)
        const old = running[kind].shift()
        if (old === undefined) throw new Error('Nothing runs')
        ended.push(old)
        const stopped = old.stop()
        await sleep(500)
        route(kind)
        const code = await stopped
        if (code !== 0) console.log(`  a ${kind} ended with ${code}: ${old.errors().slice(-500)}`)
        await sleep(stepMs)
      }
    await writing.stop()
    const { sent, refusals } = writing
    const isDone = () => subscribers.every(({ received }) => new Set(received).size >= sent.length)
    for (const deadline = Date.now() + 20_000; !isDone() && Date.now() < deadline; ) await sleep(50)
    const stored = await listStored(databaseUrl.href)
    print(stored, sent, refusals, subscribers)
    const errors = [...running.backend, ...running.gateway, ...ended].map((each) => each.errors()).join('')
    const lines = errors.split('\n').filter((line) => line !== '')
    const kinds = Map.groupBy(lines, (line) =>
      (/"msg":"(.{0,160})/.exec(line)?.[1] ?? line).replaceAll(/\d+/g, 'N'),
    )
    for (const [line, all] of kinds) console.log(`  logged ${all.length} ×: ${line}`)
  } finally {
    await writing?.stop()
    for (const subscriber of subscribers) subscriber.close()
    await Promise.all([...running.gateway, ...running.backend].map((each) => each.stop()))
    for (const each of Object.values(balancers)) each.close()
    await admin.query(`drop database ${name} with (force)`)
    await admin.end()
  }
}

/** The contents of the stored messages of the load, in their order. */
async function listStored(url: string): Promise<string[]> {
  const client = new pg.Client(url)
  await client.connect()
  const text = "select content_json from messages where content_json like '\"message %' order by seq"
  const { rows } = await client.query<{ content_json: string }>(text)
  await client.end()
  return rows.map(({ content_json }) => JSON.parse(content_json) as string)
}

function print(
  stored: readonly string[],
  sent: readonly string[],
  refusals: ReadonlyMap<string, number>,
  subscribers: readonly Subscriber[],
): void {
  const all = new Set(stored)
  const missing = sent.filter((content) => !all.has(content)).length
  console.log(
    `  ${sent.length} messages acknowledged, ${missing} of them not stored, ${stored.length - all.size} stored twice`,
  )
  console.log(
    `  refused: ${[...refusals].map(([reason, count]) => `${reason} ${count} ×`).join(', ') || 'none'}`,
  )
  const place = new Map(stored.map((content, index) => [content, index]))
  let lost = 0
  let repeated = 0
  let outOfOrder = 0
  for (const { received } of subscribers) {
    lost += all.size - new Set(received).size
    repeated += received.length - new Set(received).size
    for (let index = 1; index < received.length; index += 1)
      if ((place.get(received[index] ?? '') ?? 0) < (place.get(received[index - 1] ?? '') ?? 0))
        outOfOrder += 1
  }
  const sum = (of: (subscriber: Subscriber) => number) =>
    subscribers.reduce((total, each) => total + of(each), 0)
  console.log(
    `  ${subscribers.length} subscribers: lost ${lost}, repeated ${repeated}, out of order ${outOfOrder}, gaps ${sum(({ gaps }) => gaps)}, connections ${sum(({ connections }) => connections)}`,
  )
  const errors = Map.groupBy(
    subscribers.flatMap(({ errors }) => errors),
    (error) => error,
  )
  for (const [error, list] of errors) console.log(`  subscription error ${list.length} ×: ${error}`)
}
