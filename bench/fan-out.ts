import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openLiveClients } from './live-clients.ts'
import { startLiveUpstream } from './live-upstream.ts'
import { cpuSeconds, memoryKiB, type Running, startPinned, startPinnedGateway } from './pinned-process.ts'

const subscribers = Number(process.env['SUBSCRIBERS'] ?? 1000)
/** How many different documents they have. */
const groups = Math.min(Number(process.env['DOCUMENTS'] ?? 1), subscribers)
const burst = 100
const rounds = Number(process.env['ROUNDS'] ?? 9)
/** Events before the first round: code that is not compiled yet takes several times as long. */
const warmUp = 500
const content = 'something somebody had to say to everybody else in this flow. '.repeat(4)
const document =
  'subscription { messageAdded(input: { flows: [{ path: "acme/f" }] }) { cursor ... on MessageAdded { message { author { name } ... on ChatMessage { content } } } } }'
const stockDocument = 'subscription { messageAdded { cursor message { content author { name } } } }'

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

/** How many are told one by one, 25 a second. */
const quietEvents = 250
const subscribeTo = (query: string, index: number) => ({
  ...{ id: '1', type: 'subscribe' },
  payload: { query: query.replace('subscription', `subscription G${index % groups}`) },
})
const init = { type: 'connection_init', payload: { Authorization: `Bearer ${'0'.repeat(32)}` } }
/** Parts of names. */
const wanted = process.env['CONTENDERS']?.split(',')
const contenders: Contender[] = [
  {
    name: 'the gateway',
    start: (upstream) => startPinnedGateway(upstream),
    hello: (index) => [init, subscribeTo(document, index)],
    settled: allLive,
  },
  {
    name: 'one string to every socket (ws)',
    start: (upstream) =>
      startPinned('fan-out-contender.ts', ['naive', `${upstream}/stream/flows`], {}, /listening (\d+)/),
    hello: () => [],
    settled: () => pause(1000),
  },
  {
    name: 'stock graphql-ws, each subscriber executes',
    start: (upstream) =>
      startPinned('fan-out-contender.ts', ['stock', `${upstream}/stream/flows`], {}, /listening (\d+)/),
    hello: (index) => [init, subscribeTo(stockDocument, index)],
    settled: () => pause(4000),
  },
]

// Peers are installed apart: `npm ci --prefix bench/peers`.
if (existsSync(join(import.meta.dirname, 'peers/node_modules')))
  contenders.push({
    name: 'Mercurius, with its compiler',
    start: (upstream) =>
      startPinned('peers/mercurius.js', [`${upstream}/stream/flows`], {}, /listening (\d+)/),
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
  for (const contender of contenders.filter(
    ({ name }) => wanted?.some((each) => name.includes(each)) ?? true,
  )) {
    const upstream = await startLiveUpstream(content)
    const server = await contender.start(upstream.url)
    const before = memoryKiB(server.pid)
    const clients = await openLiveClients(server.port, subscribers, contender.hello)
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
    for (let told = 0; told < warmUp; told += burst) await tell(burst)
    const rates: number[] = []
    const cpuBefore = cpuSeconds(server.pid)
    for (let round = 0; round < rounds; round += 1) {
      const begun = performance.now()
      await tell(burst)
      const deliveries = burst * subscribers
      rates.push((deliveries * 1000) / (performance.now() - begun))
    }
    const cpu = ((cpuSeconds(server.pid) - cpuBefore) * 1e6) / (rounds * burst * subscribers)
    // 25 events a second: how long until everybody has one, and what that costs.
    const delays: number[] = []
    const quietCpu = cpuSeconds(server.pid)
    for (let index = 0; index < quietEvents; index += 1) {
      const begun = performance.now()
      await tell(1)
      delays.push(performance.now() - begun)
      await new Promise((resolve) => setTimeout(resolve, Math.max(40 - (performance.now() - begun), 0)))
    }
    delays.sort((a, b) => a - b)
    results.push({
      name: contender.name,
      rate: median(rates),
      cpu,
      idle,
      quiet: ((cpuSeconds(server.pid) - quietCpu) * 1e6) / (quietEvents * subscribers),
      p50: delays[quietEvents >> 1] ?? 0,
      p99: delays[Math.floor(quietEvents * 0.99)] ?? 0,
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
      `           at 25 events/s: ${quiet.toFixed(2)} µs of CPU each, all have an event after ${p50.toFixed(1)} ms (median), ${p99.toFixed(1)} ms (p99)`,
    )
    if (own !== undefined && own.name !== name)
      console.log(
        `           the gateway: ${(own.rate / rate).toFixed(1)} × the deliveries, ${(cpu / own.cpu).toFixed(1)} × less CPU`,
      )
  }
}
