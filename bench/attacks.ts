import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { WebSocket } from 'ws'
import { cpuSeconds, memoryKiB } from './pinned-process.ts'

const rounds = Number(process.env['ROUNDS'] ?? 3)
/** How long one attack may last; all of it is bounded in number, too. */
const attackMs = 5000
/** Attackers come from another IP address than the bystanders. All of it is this machine. */
const attackerIp = '127.0.0.2'

interface Target {
  readonly name: string
  readonly pid: number
  readonly gateway: number
  readonly backend: number
  /** Of a member who attacks. */
  readonly token: string
  /** Of a member who only wants a response. */
  readonly bystander: string
  close(): Promise<void>
}

interface Attack {
  readonly name: string
  readonly run: (target: Target) => Promise<void>
}

const basic = (token: string) => `Basic ${Buffer.from(`${token}:`).toString('base64')}`

/** Starts what `npm start` starts, with default limits, on a folder of its own. */
async function startTarget(name: string, folder: string): Promise<Target> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-attacks-'))
  const env = { PATH: process.env['PATH'] ?? '', DATA_DIR: dataDir, LOG_LEVEL: 'silent' }
  const main = join(folder, 'src/main.ts')
  const child = spawn(process.execPath, [main, 'serve'], {
    env: { ...env, PORT: '0', BACKEND_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  while (!/Streaming/.test(output)) await once(child.stdout, 'data')
  const portOf = (pattern: RegExp) => Number(pattern.exec(output)?.[1])
  const cli = (...args: string[]) => {
    const { stdout } = spawnSync(process.execPath, [main, ...args, '--json'], { env, encoding: 'utf8' })
    return JSON.parse(stdout) as { token: string }
  }
  return {
    name,
    pid: child.pid ?? 0,
    gateway: portOf(/GraphQL +http:\/\/[^:]+:(\d+)/),
    backend: portOf(/Flowdock API http:\/\/[^:]+:(\d+)/),
    token: cli('token', 'add', '--user', 'ben@example.com').token,
    bystander: readFileSync(join(dataDir, 'demo-token'), 'utf8').trim(),
    async close() {
      child.kill('SIGKILL')
      await once(child, 'close')
      rmSync(dataDir, { recursive: true })
    },
  }
}

interface Sent {
  readonly port: number
  readonly path: string
  readonly method?: string
  readonly body?: string
  readonly headers?: Record<string, string>
  readonly agent?: Agent
  readonly localAddress?: string
}

/** The status; 0 when there was none. */
function send({
  port,
  path,
  method = 'POST',
  body,
  headers = {},
  agent,
  localAddress,
}: Sent): Promise<number> {
  return new Promise((done) => {
    const sent = request(
      { host: '127.0.0.1', port, path, method, headers, agent, localAddress },
      (response) => {
        response.resume()
        response.once('end', () => done(response.statusCode ?? 0))
        response.once('error', () => done(0))
      },
    )
    sent.once('error', () => done(0))
    sent.setTimeout(attackMs * 4, () => sent.destroy())
    sent.end(body)
  })
}

const json = { 'content-type': 'application/json' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const attack = (port: number, path: string, body: string, headers: Record<string, string>) =>
  send({ port, path, body, headers, localAddress: attackerIp })
const graphql = ({ gateway, token }: Target, query: string, variables: object = {}) =>
  attack(gateway, '/graphql', JSON.stringify({ query, variables }), { ...json, authorization: basic(token) })

/** Repeats `work` for `attackMs`, at most `most` times, with `atOnce` calls at a time. */
async function repeat(atOnce: number, most: number, work: (turn: number) => Promise<unknown>): Promise<void> {
  const until = performance.now() + attackMs
  let turn = 0
  const loop = async () => {
    while (performance.now() < until && turn < most) await work(turn++)
  }
  await Promise.all(Array.from({ length: atOnce }, loop))
}

/** Opens `count` connections and sends the beginning of a request on each. */
async function hold(count: number, port: number, text: string): Promise<void> {
  const sockets = Array.from({ length: count }, () => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: attackerIp })
    socket.on('error', () => undefined)
    socket.write(text)
    return socket
  })
  await new Promise((done) => setTimeout(done, attackMs))
  for (const socket of sockets) socket.destroy()
}

/** Opens `count` subscriptions on one socket, then sends three messages that each of them delivers. */
async function subscribe(target: Target, count: number, query: (turn: number) => string): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${target.gateway}/graphql`, 'graphql-transport-ws', {
    localAddress: attackerIp,
  })
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: basic(target.token) } }))
  await once(socket, 'message')
  for (let turn = 0; turn < count; turn += 1)
    socket.send(JSON.stringify({ id: String(turn), type: 'subscribe', payload: { query: query(turn) } }))
  await new Promise((done) => setTimeout(done, 1000))
  for (let turn = 0; turn < 3; turn += 1) {
    await attack(
      target.backend,
      '/flows/example/main/messages',
      JSON.stringify({ event: 'message', content: `message ${turn}` }),
      { ...json, authorization: basic(target.token) },
    )
    await new Promise((done) => setTimeout(done, 500))
  }
  socket.terminate()
}

const input = '(input: { flows: [{ path: "example/main" }] })'

const attacks: readonly Attack[] = [
  { name: 'nothing', run: () => new Promise((done) => setTimeout(done, 2000)) },
  {
    name: 'a form whose names never close, 10 KB',
    run: ({ backend }) =>
      attack(backend, '/oauth/token', `${'['.repeat(10_000)}=1`, form).then(() => undefined),
  },
  {
    name: 'a form of 50,000 pairs',
    run: ({ backend }) => attack(backend, '/oauth/token', 'a&'.repeat(50_000), form).then(() => undefined),
  },
  {
    name: 'a URL of 10,000 slashes',
    run: ({ gateway }) =>
      attack(
        gateway,
        '/graphql',
        JSON.stringify({
          query: 'query($u: String!) { resource(url: $u) { __typename } }',
          variables: { u: `http://x/a${'/'.repeat(10_000)}b` },
        }),
        json,
      ).then(() => undefined),
  },
  {
    name: '1,000 requests that are half sent',
    run: ({ gateway }) =>
      hold(
        1000,
        gateway,
        'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{',
      ),
  },
  {
    name: '30 bodies of 14 MiB without a credential',
    run: ({ backend }) =>
      hold(
        30,
        backend,
        `POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 15000000\r\n\r\n"${'x'.repeat(14 * 1024 * 1024)}`,
      ),
  },
  {
    name: 'wrong passwords over 40 connections',
    run: ({ backend }) =>
      repeat(40, 400, () =>
        attack(backend, '/flows', '', {
          authorization: `Basic ${Buffer.from('ada@example.com:wrong').toString('base64')}`,
        }),
      ),
  },
  {
    name: 'documents of 8 KB over 8 connections',
    run: ({ gateway }) =>
      repeat(8, 400, (turn) =>
        attack(
          gateway,
          '/graphql',
          JSON.stringify({ query: `query q${turn} { ${'organization { id name } '.repeat(300)} }` }),
          json,
        ),
      ),
  },
  {
    name: '60 introspections at once',
    run: (target) =>
      repeat(60, 60, () =>
        graphql(
          target,
          '{ __schema { types { name fields { name type { name ofType { name } } args { name } } } } }',
        ),
      ),
  },
  {
    name: '40 subscriptions whose events ask for much',
    run: (target) =>
      subscribe(
        target,
        40,
        (turn) =>
          `subscription s${turn} { messageAdded${input} { ... on MessageAdded { message { thread { flow { messages(first: 100) { nodes { id thread { messages(first: 30) { nodes { id author { name } } } } } } } } } } } }`,
      ),
  },
  {
    name: '100 subscriptions of different names',
    run: (target) =>
      subscribe(
        target,
        100,
        (turn) =>
          `subscription s${turn} { messageAdded${input} { ... on MessageAdded { message { id author { name } } } } }`,
      ),
  },
  {
    name: '5,000 URLs for uploads',
    run: (target) =>
      repeat(4, 250, () =>
        graphql(
          target,
          `mutation { ${Array.from({ length: 20 }, (_, at) => `a${at}: createUpload(input: { to: { flow: { path: "example/main" } }, fileName: "x" }) { __typename }`).join(' ')} }`,
        ),
      ),
  },
  {
    name: 'searches of 3,000 words',
    run: ({ backend, token }) =>
      repeat(4, 40, () =>
        send({
          ...{ port: backend, method: 'GET', localAddress: attackerIp },
          path: `/flows/example/main/messages?search=${'word+'.repeat(3000)}`,
          headers: { authorization: basic(token) },
        }),
      ),
  },
]

interface Outcome {
  readonly delays: number[]
  readonly failed: number
  readonly grownMiB: number
  readonly cpu: number
}

/** Two bystanders ask each server for something small, every 20 ms, while the attack lasts. */
async function measure(target: Target, { run }: Attack): Promise<Outcome> {
  const agent = new Agent({ keepAlive: true })
  const authorization = basic(target.bystander)
  const asked: Sent[] = [
    {
      port: target.gateway,
      path: '/graphql',
      body: '{"query":"{ viewer { id } }"}',
      headers: { ...json, authorization },
      agent,
    },
    { port: target.backend, path: '/user', method: 'GET', headers: { authorization }, agent },
  ]
  const before = memoryKiB(target.pid)
  const cpu = cpuSeconds(target.pid)
  let most = before
  let isOver = false
  const delays: number[] = []
  let failed = 0
  const ask = async (each: Sent) => {
    while (!isOver) {
      const begun = performance.now()
      const status = await send(each)
      if (status !== 200) failed += 1
      delays.push(performance.now() - begun)
      most = Math.max(most, memoryKiB(target.pid))
      await new Promise((done) => setTimeout(done, 20))
    }
  }
  const bystanders = Promise.all(asked.map(ask))
  await run(target)
  isOver = true
  await bystanders
  agent.destroy()
  return { delays, failed, grownMiB: (most - before) / 1024, cpu: cpuSeconds(target.pid) - cpu }
}

const at = (list: readonly number[], share: number) =>
  [...list].sort((a, b) => a - b)[Math.min(Math.floor(list.length * share), list.length - 1)] ?? 0

/**
 * How long a bystander waits during an attack: each attack against each build in turns. `BASE=folder` names a checkout
 * of an earlier build.
 */
export async function attackAll(): Promise<void> {
  const builds = [
    ...(process.env['BASE'] === undefined ? [] : [{ name: 'before', folder: resolve(process.env['BASE']) }]),
    { name: 'now', folder: join(import.meta.dirname, '..') },
  ]
  console.log(`\nA bystander during an attack: medians of ${rounds} rounds\n`)
  console.log('| attack | build | p99, ms | longest, ms | failed | memory, MiB | CPU, s |')
  console.log('|---|---|---:|---:|---:|---:|---:|')
  for (const each of attacks) {
    const outcomes = new Map(builds.map(({ name }) => [name, [] as Outcome[]]))
    for (let round = 0; round < rounds; round += 1)
      for (const { name, folder } of builds) {
        const target = await startTarget(name, folder)
        await measure(target, attacks[0] as Attack)
        outcomes.get(name)?.push(await measure(target, each))
        await target.close()
      }
    for (const [name, list] of outcomes) {
      const median = (of: (outcome: Outcome) => number) => at(list.map(of), 0.5)
      const cells = [
        median(({ delays }) => at(delays, 0.99)).toFixed(0),
        median(({ delays }) => Math.max(...delays)).toFixed(0),
        median(({ failed }) => failed).toFixed(0),
        median(({ grownMiB }) => grownMiB).toFixed(0),
        median(({ cpu }) => cpu).toFixed(1),
      ]
      console.log(`| ${each.name} | ${name} | ${cells.join(' | ')} |`)
    }
  }
}
