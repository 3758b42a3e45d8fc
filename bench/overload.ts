import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { startPinnedGateway } from './pinned-process.ts'
import { startQueryUpstream } from './query-upstream.ts'

const roundMs = Number(process.env['ROUND_MS'] ?? 5000)
const rounds = Number(process.env['ROUNDS'] ?? 5)
const connections = 1000
const people = 1000
const query =
  '{ flow(by: { path: "acme/f1" }) { name messages(last: 100) { nodes { author { name } thread { title } ... on ChatMessage { content } } } } }'

/** What became of the requests of one stretch of time. */
interface Outcome {
  readonly accepted: number[]
  readonly refused: number[]
  /** Those that found no connection free: their server is that far behind. */
  unsent: number
}

const at = (list: number[], share: number) =>
  [...list].sort((a, b) => a - b)[Math.min(Math.floor(list.length * share), list.length - 1)] ?? 0

/** Connections that carry one request each at a time, begun at a rate whatever the answers do. */
async function openLoad(port: number) {
  const body = JSON.stringify({ query })
  const requests = Array.from({ length: people }, (_, index) => {
    const token = Buffer.from(`token${index}:`).toString('base64')
    return Buffer.from(
      `POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nAuthorization: Basic ${token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
  })
  const free: Socket[] = []
  for (let index = 0; index < connections; index += 1) {
    const socket = connect(port, '127.0.0.1').setNoDelay(true)
    free.push(socket)
    await once(socket, 'connect')
  }
  let turn = 0

  function send(outcome: Outcome, done: () => void): boolean {
    const socket = free.shift()
    if (socket === undefined) return false
    const begun = performance.now()
    let size = 0
    let end = Number.POSITIVE_INFINITY
    let isAccepted = true
    const onData = (chunk: Buffer) => {
      if (size === 0) {
        const text = chunk.toString('latin1')
        isAccepted = text.startsWith('HTTP/1.1 200')
        end = text.indexOf('\r\n\r\n') + 4 + Number(/^content-length: (\d+)/im.exec(text)?.[1])
      }
      size += chunk.length
      if (size < end) return
      socket.off('data', onData)
      free.push(socket)
      ;(isAccepted ? outcome.accepted : outcome.refused).push(performance.now() - begun)
      done()
    }
    socket.on('data', onData)
    socket.write(requests[turn++ % people] as Buffer)
    return true
  }

  return {
    /** As many as it can with so many at once. */
    async closed(ms: number, atOnce: number): Promise<Outcome> {
      const outcome: Outcome = { accepted: [], refused: [], unsent: 0 }
      const until = performance.now() + ms
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (performance.now() < until) await new Promise<void>((resolve) => send(outcome, resolve))
        }),
      )
      return outcome
    },
    /** So many a second, whatever becomes of them. */
    async open(ms: number, rate: number): Promise<Outcome> {
      const outcome: Outcome = { accepted: [], refused: [], unsent: 0 }
      const begun = performance.now()
      let sent = 0
      while (performance.now() - begun < ms) {
        const due = Math.floor(((performance.now() - begun) / 1000) * rate)
        for (; sent < due; sent += 1) if (!send(outcome, () => undefined)) outcome.unsent += 1
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      const deadline = performance.now() + 20_000
      while (free.length < connections && performance.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, 5))
      return outcome
    },
    close() {
      for (const socket of free) socket.destroy()
    },
  }
}

/** What becomes of the nested query when it is asked for at a share of what can be answered. */
const loads = [
  { name: 'half of what it can', share: 0.5 },
  { name: 'twice what it can', share: 2 },
  { name: 'half, right after', share: 0.5 },
] as const

/**
 * The nested query, more often than it can be answered: how much still is, how soon, and what the others hear. What
 * can be answered is measured before and after each round: the machine may have become slower in between.
 */
export async function overload(): Promise<void> {
  spawnSync('taskset', ['-cp', '1', String(process.pid)])
  const upstream = await startQueryUpstream()
  upstream.latencyMs = Number(process.env['LATENCY_MS'] ?? 0)
  const server = await startPinnedGateway(upstream.url)
  const load = await openLoad(server.port)
  const rate = (outcome: Outcome) => outcome.accepted.length / (roundMs / 1000)
  await load.closed(3000, 32)
  let peak = rate(await load.closed(roundMs, 32))
  const results: { peak: number; outcomes: Outcome[] }[] = []
  for (let round = 0; round < rounds; round += 1) {
    const outcomes: Outcome[] = []
    for (const { share } of loads) outcomes.push(await load.open(roundMs, peak * share))
    const after = rate(await load.closed(roundMs, 32))
    results.push({ peak: (peak + after) / 2, outcomes })
    peak = after
  }
  console.log('\nThe nested query, more often than it can be answered; medians, and from least to most\n')
  console.log(
    '| asked for | answered, of what it can | p50 | p99 | refused | refusals p99 | no connection free |',
  )
  console.log('|---|---:|---:|---:|---:|---:|---:|')
  for (const [index, { name }] of loads.entries()) {
    const outcomes = results.map(({ peak, outcomes }) => ({ peak, outcome: outcomes[index] as Outcome }))
    const figure = (of: (outcome: Outcome, peak: number) => number, unit: string) => {
      const list = outcomes.map(({ outcome, peak }) => of(outcome, peak)).sort((a, b) => a - b)
      const [least = 0, most = 0] = [list[0], list.at(-1)]
      return `${at(list, 0.5).toFixed(0)} (${least.toFixed(0)}–${most.toFixed(0)})${unit}`
    }
    console.log(
      `| ${name} | ${figure((each, peak) => (rate(each) / peak) * 100, ' %')} | ${figure(({ accepted }) => at(accepted, 0.5), ' ms')} | ${figure(({ accepted }) => at(accepted, 0.99), ' ms')} | ${figure(({ refused }) => refused.length, '')} | ${figure(({ refused }) => at(refused, 0.99), ' ms')} | ${figure(({ unsent }) => unsent, '')} |`,
    )
  }
  const peaks = results.map((each) => each.peak)
  console.log(
    `\nIt can answer ${Math.min(...peaks).toFixed(0)} to ${Math.max(...peaks).toFixed(0)} a second.`,
  )
  load.close()
  await server.close()
  upstream.close()
}
