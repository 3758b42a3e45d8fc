import { openLiveClients } from './live-clients.ts'
import { startLiveUpstream } from './live-upstream.ts'
import { memoryKiB, startPinnedGateway } from './pinned-process.ts'

const events = Number(process.env['EVENTS'] ?? 50_000)
const readers = 100
const eventsEachTurn = 10
const turnMs = 20
const content = 'x'.repeat(1000)
const hello = () => [
  { type: 'connection_init', payload: { Authorization: `Bearer ${'0'.repeat(32)}` } },
  {
    ...{ id: '1', type: 'subscribe' },
    payload: {
      query:
        'subscription { messageAdded(input: { flows: [{ path: "acme/f" }] }) { cursor ... on MessageAdded { message { author { name } ... on ChatMessage { content } } } } }',
    },
  },
]
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function figure(port: number, name: string): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return Number(new RegExp(`^flowdock_gateway_${name} (\\d+)`, 'm').exec(metrics)?.[1])
}

interface Outcome {
  /** How long it takes until everybody who reads has the events of a turn, in milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly lost: number
  /** Until the last who reads nothing was closed, in milliseconds. */
  readonly lastEndMs: number | undefined
  readonly mostKiB: number
}

/** The readers, in front of a server of its own, beside as many more who read nothing. */
async function run(stalling: number): Promise<Outcome> {
  const upstream = await startLiveUpstream(content)
  const server = await startPinnedGateway(upstream.url)
  const { port, pid } = server
  const healthy = await openLiveClients(port, readers, hello)
  while ((await figure(port, 'subscriptions_live')) < readers) await pause(100)

  async function tell(count: number): Promise<number[]> {
    const before = healthy.frames
    const delays: number[] = []
    for (let told = 0; told < count; told += eventsEachTurn) {
      const begun = performance.now()
      upstream.tell(eventsEachTurn)
      await healthy.until(before + (told + eventsEachTurn) * readers)
      delays.push(performance.now() - begun)
      await pause(Math.max(turnMs - (performance.now() - begun), 0))
    }
    return delays
  }

  // Until as much is kept for those who come back as ever is.
  await tell(15_000)
  const stalled = await openLiveClients(port, stalling, hello, { stalls: true })
  const before = healthy.frames
  const begun = performance.now()
  let lastEndMs: number | undefined
  let mostKiB = 0
  const watching = setInterval(() => {
    mostKiB = Math.max(mostKiB, memoryKiB(pid))
    if (lastEndMs === undefined)
      void figure(port, 'sockets').then((sockets) => {
        if (sockets <= readers) lastEndMs ??= performance.now() - begun
      })
  }, 250)
  const delays = (await tell(events)).sort((a, b) => a - b)
  clearInterval(watching)
  const lost = before + events * readers - healthy.frames
  stalled.close()
  healthy.close()
  await server.close()
  upstream.close()
  const at = (share: number) => delays[Math.floor(delays.length * share)] ?? 0
  return { p50: at(0.5), p99: at(0.99), lost, lastEndMs, mostKiB }
}

/** Readers who read, alone and beside as many who do not: how late they hear, and what becomes of the others. */
export async function slowReaders(): Promise<void> {
  const alone = await run(0)
  const beside = await run(readers)
  console.log(
    `\n${readers} readers beside ${readers} who read nothing; ${events} events of 1 KB, 500 a second\n`,
  )
  console.log('| | p50 | p99 | lost | memory at most |\n|---|---:|---:|---:|---:|')
  for (const [name, { p50, p99, lost, mostKiB }] of [
    ['alone', alone],
    ['beside those who do not read', beside],
  ] as const)
    console.log(
      `| ${name} | ${p50.toFixed(1)} ms | ${p99.toFixed(1)} ms | ${lost} | ${(mostKiB / 1024).toFixed(0)} MiB |`,
    )
  const { lastEndMs } = beside
  console.log(
    `\nThe last of those was closed after ${lastEndMs === undefined ? 'the end' : `${(lastEndMs / 1000).toFixed(0)} s`}.`,
  )
}
