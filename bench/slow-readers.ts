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

/** Readers who read, alone and beside as many who do not: how late they hear, and what becomes of the others. */
export async function slowReaders(): Promise<void> {
  const upstream = await startLiveUpstream(content)
  const server = await startPinnedGateway(upstream.url)
  const { port, pid } = server
  const healthy = await openLiveClients(port, readers, hello)
  while ((await figure(port, 'subscriptions_live')) < readers) await pause(100)

  /** Tells events at an even rate; how long it takes until everybody who reads has those of a turn. */
  async function tell(count: number): Promise<{ p50: number; p99: number; lost: number }> {
    const before = healthy.frames
    const delays: number[] = []
    for (let told = 0; told < count; told += eventsEachTurn) {
      const begun = performance.now()
      upstream.tell(eventsEachTurn)
      await healthy.until(before + (told + eventsEachTurn) * readers)
      delays.push(performance.now() - begun)
      await pause(Math.max(turnMs - (performance.now() - begun), 0))
    }
    delays.sort((a, b) => a - b)
    return {
      p50: delays[delays.length >> 1] ?? 0,
      p99: delays[Math.floor(delays.length * 0.99)] ?? 0,
      lost: before + count * readers - healthy.frames,
    }
  }

  await tell(2000)
  const alone = await tell(events / 5)
  const memory = memoryKiB(pid)
  const stalled = await openLiveClients(port, readers, hello, { stalls: true })
  let most = memory
  let begun = 0
  let lastEndMs: number | undefined
  const watching = setInterval(() => {
    most = Math.max(most, memoryKiB(pid))
    if (begun > 0 && lastEndMs === undefined)
      void figure(port, 'sockets').then((sockets) => {
        if (sockets <= readers) lastEndMs ??= performance.now() - begun
      })
  }, 250)
  begun = performance.now()
  const beside = await tell(events)
  clearInterval(watching)

  console.log(
    `\n${readers} readers beside ${readers} who read nothing; ${events} events of 1 KB, 500 a second\n`,
  )
  console.log('| | p50 | p99 | lost |\n|---|---:|---:|---:|')
  console.log(`| alone | ${alone.p50.toFixed(1)} ms | ${alone.p99.toFixed(1)} ms | ${alone.lost} |`)
  console.log(
    `| beside those who do not read | ${beside.p50.toFixed(1)} ms | ${beside.p99.toFixed(1)} ms | ${beside.lost} |`,
  )
  console.log(
    `\nThe last of those was closed after ${lastEndMs === undefined ? 'the end' : `${(lastEndMs / 1000).toFixed(0)} s`}; the process took up ${((most - memory) / 1024).toFixed(0)} MiB more at most.`,
  )
  stalled.close()
  healthy.close()
  await server.close()
  upstream.close()
}
