import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { join } from 'node:path'

const subscribers = Number(process.env['SUBSCRIBERS'] ?? 1000)
/** How many different documents they have. */
const groups = Math.min(Number(process.env['DOCUMENTS'] ?? 1), subscribers)
const burst = 100
const rounds = 3
const content = 'something somebody had to say to everybody else in this flow. '.repeat(4)
const document =
  'subscription { messageAdded(input: { flows: [{ path: "acme/f" }] }) { cursor ... on MessageAdded { message { author { name } ... on ChatMessage { content } } } } }'
const stockDocument = 'subscription { messageAdded { cursor message { content author { name } } } }'

/** An upstream with one flow; its stream says what it is told to. */
async function startUpstream() {
  const streams = new Set<ServerResponse>()
  const organization = { id: 1, parameterized_name: 'acme', name: 'Acme' }
  const ada = { id: 1, nick: 'Ada', name: 'Ada Byron', email: 'ada@example.com' }
  const flow = { id: 'f', name: 'F', parameterized_name: 'f', organization, joined: true, users: [ada] }
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://x')
    if (pathname === '/stream/flows') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(':\n\n')
      streams.add(response)
      response.on('close', () => streams.delete(response))
      return
    }
    const body = pathname === '/flows' ? [flow] : pathname === '/users' ? [ada] : flow
    response.writeHead(pathname === '/capabilities' ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  let id = 0
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tell(count: number) {
      let text = ''
      for (let index = 0; index < count; index += 1) {
        id += 1
        const message = { event: 'message', flow: 'f', id, sent: id, user: '1', tags: [], content }
        text += `id: ${id}\ndata: ${JSON.stringify(message)}\n\n`
      }
      for (const stream of streams) stream.write(text)
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

interface Running {
  readonly port: number
  readonly pid: number
  close(): Promise<void>
}

const hasTaskset = spawnSync('taskset', ['-V']).status === 0

/** A server on the first core, so that its clients have the other. */
async function start(
  script: string,
  args: string[],
  env: Record<string, string>,
  ready: RegExp,
): Promise<Running> {
  const command = [process.execPath, join(import.meta.dirname, script), ...args]
  const [file = '', ...rest] = hasTaskset ? ['taskset', '-c', '0', ...command] : command
  const child: ChildProcess = spawn(file, rest, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  while (!ready.test(output)) if (child.stdout) await once(child.stdout, 'data')
  return {
    port: Number(ready.exec(output)?.[1]),
    pid: child.pid ?? 0,
    async close() {
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

/** Sockets that count frames and do nothing else, so that what is measured is the server. */
async function openClients(port: number, count: number, hello: (index: number) => readonly object[]) {
  let frames = 0
  let waiting: { upTo: number; resolve: () => void } | undefined
  const sockets: Socket[] = []
  const frame = (message: object) => {
    const body = Buffer.from(JSON.stringify(message))
    const head =
      body.length < 126
        ? Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0])
        : Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255, 0, 0, 0, 0])
    return Buffer.concat([head, body])
  }
  const open = async (index: number) => {
    const [introduce, subscribe] = hello(index).map(frame)
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    await once(socket, 'connect')
    socket.write(
      `GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`,
    )
    /** How many bytes of a frame are still to come; the ends of frames are all that is looked at. */
    let left = 0
    let rest: Buffer | undefined
    await new Promise<void>((resolve) => {
      socket.once('data', (chunk: Buffer) => {
        const end = chunk.indexOf('\r\n\r\n') + 4
        if (introduce === undefined || subscribe === undefined) {
          socket.on('data', read)
          if (chunk.length > end) read(chunk.subarray(end))
          return resolve()
        }
        socket.write(introduce)
        // The acknowledgement: what is subscribed to before is refused by some.
        socket.once('data', () => {
          socket.on('data', read)
          socket.write(subscribe)
          resolve()
        })
      })
    })
    function read(chunk: Buffer): void {
      let bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk])
      rest = undefined
      for (;;) {
        if (left > bytes.length) {
          left -= bytes.length
          break
        }
        if (left > 0) bytes = bytes.subarray(left)
        left = 0
        if (bytes.length < 4) {
          if (bytes.length > 0) rest = bytes
          break
        }
        const short = (bytes[1] as number) & 127
        const size = short < 126 ? short : bytes.readUInt16BE(2)
        // Acknowledgements are short; results are not.
        if (size > 100) frames += 1
        left = size + (short < 126 ? 2 : 4)
      }
      if (waiting !== undefined && frames >= waiting.upTo) {
        waiting.resolve()
        waiting = undefined
      }
    }
  }
  for (let index = 0; index < count; index += 50)
    await Promise.all(Array.from({ length: Math.min(50, count - index) }, (_, each) => open(index + each)))
  return {
    get frames() {
      return frames
    },
    until: (upTo: number) =>
      frames >= upTo
        ? Promise.resolve()
        : new Promise<void>((resolve) => {
            waiting = { upTo, resolve }
          }),
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Seconds on a core so far. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function memoryKiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

const median = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1] ?? 0

interface Contender {
  readonly name: string
  readonly start: (upstream: string) => Promise<Running>
  readonly hello: (index: number) => object[]
  /** Resolves when everybody listens. */
  readonly settled: (port: number) => Promise<void>
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function allLive(port: number): Promise<void> {
  for (;;) {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    if (metrics.includes(`flowdock_gateway_subscriptions_live ${subscribers}\n`)) return pause(1000)
    await pause(200)
  }
}

const subscribeTo = (query: string, index: number) => ({
  ...{ id: '1', type: 'subscribe' },
  payload: { query: query.replace('subscription', `subscription G${index % groups}`) },
})
const init = { type: 'connection_init', payload: { Authorization: `Bearer ${'0'.repeat(32)}` } }
const contenders: Contender[] = [
  {
    name: 'the gateway',
    start: (upstream) =>
      start(
        '../src/main.ts',
        [],
        { PORT: '0', FLOWDOCK_API_URL: upstream, CALLS_PER_MINUTE: '0', LOG_LEVEL: 'error' },
        /GraphQL +http:\S+:(\d+)\/graphql/,
      ),
    hello: (index) => [init, subscribeTo(document, index)],
    settled: allLive,
  },
  {
    name: 'one string to every socket (ws)',
    start: (upstream) =>
      start('fan-out-contender.ts', ['naive', `${upstream}/stream/flows`], {}, /listening (\d+)/),
    hello: () => [],
    settled: () => pause(1000),
  },
  {
    name: 'stock graphql-ws, each subscriber executes',
    start: (upstream) =>
      start('fan-out-contender.ts', ['stock', `${upstream}/stream/flows`], {}, /listening (\d+)/),
    hello: (index) => [init, subscribeTo(stockDocument, index)],
    settled: () => pause(4000),
  },
]

// Peers are installed apart: `npm ci --prefix bench/peers`.
if (existsSync(join(import.meta.dirname, 'peers/node_modules')))
  contenders.push({
    name: 'Mercurius, with its compiler',
    start: (upstream) => start('peers/mercurius.js', [`${upstream}/stream/flows`], {}, /listening (\d+)/),
    hello: (index) => [init, subscribeTo(stockDocument, index)],
    settled: () => pause(4000),
  })

/** Events to many subscribers who asked the same. */
export async function fanOut(): Promise<void> {
  console.log(
    `\n${subscribers} subscribers over WebSocket, ${groups} different documents, bursts of ${burst} events, ${content.length} characters each`,
  )
  const results: {
    name: string
    rate: number
    cpu: number
    idle: number
    quiet: number
    p50: number
    p99: number
  }[] = []
  for (const contender of contenders) {
    const upstream = await startUpstream()
    const server = await contender.start(upstream.url)
    const before = memoryKiB(server.pid)
    const clients = await openClients(server.port, subscribers, contender.hello)
    await contender.settled(server.port)
    const idle = (memoryKiB(server.pid) - before) / subscribers
    const tell = async (count: number) => {
      const upTo = clients.frames + count * subscribers
      upstream.tell(count)
      await clients.until(upTo)
    }
    // Until all of them hear.
    for (let heard = 0; heard !== subscribers; ) {
      const before = clients.frames
      upstream.tell(1)
      await pause(1000)
      heard = clients.frames - before
    }
    await tell(20)
    const rates: number[] = []
    const cpus: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      const cpu = cpuSeconds(server.pid)
      const begun = performance.now()
      await tell(burst)
      const deliveries = burst * subscribers
      rates.push((deliveries * 1000) / (performance.now() - begun))
      cpus.push(((cpuSeconds(server.pid) - cpu) * 1e6) / deliveries)
    }
    // 25 events a second: how long until everybody has one, and what that costs.
    const delays: number[] = []
    const quietCpu = cpuSeconds(server.pid)
    for (let index = 0; index < 50; index += 1) {
      const begun = performance.now()
      await tell(1)
      delays.push(performance.now() - begun)
      await new Promise((resolve) => setTimeout(resolve, Math.max(40 - (performance.now() - begun), 0)))
    }
    delays.sort((a, b) => a - b)
    results.push({
      name: contender.name,
      rate: median(rates),
      cpu: median(cpus),
      idle,
      quiet: ((cpuSeconds(server.pid) - quietCpu) * 1e6) / (50 * subscribers),
      p50: delays[25] ?? 0,
      p99: delays[49] ?? 0,
    })
    clients.close()
    await server.close()
    upstream.close()
  }
  const [own] = results
  for (const { name, rate, cpu, idle, quiet, p50, p99 } of results) {
    console.log(
      `  ${rate.toFixed(0).padStart(8)} deliveries/s  ${cpu.toFixed(2).padStart(6)} µs of CPU each  ${idle.toFixed(1).padStart(5)} KiB each idle  ${name}`,
    )
    console.log(
      `           at 25 events/s: ${quiet.toFixed(2)} µs of CPU each, all have an event after ${p50.toFixed(1)} ms (median), ${p99.toFixed(1)} ms (slowest of 50)`,
    )
    if (own !== undefined && own.name !== name)
      console.log(
        `           the gateway: ${(own.rate / rate).toFixed(1)} × the deliveries, ${(cpu / own.cpu).toFixed(1)} × less CPU`,
      )
  }
}
