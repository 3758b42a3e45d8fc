import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { startFlags, startPinnedGateway } from './pinned-process.ts'
import { startQueryUpstream } from './query-upstream.ts'

const roundMs = Number(process.env['ROUND_MS'] ?? 8000)
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

/** The nested query, more often than it can be answered: how much still is, how soon, and what the others hear. */
export async function overload(): Promise<void> {
  spawnSync('taskset', ['-cp', '1', String(process.pid)])
  const upstream = await startQueryUpstream()
  upstream.latencyMs = Number(process.env['LATENCY_MS'] ?? 0)
  const server = await startPinnedGateway(upstream.url, {}, startFlags)
  const load = await openLoad(server.port)
  await load.closed(3000, 32)
  const peak = (await load.closed(roundMs, 32)).accepted.length / (roundMs / 1000)
  console.log('\nThe nested query, more often than it can be answered\n')
  console.log('| asked for | answered | p50 | p99 | refused | refusals p99 | no connection free |')
  console.log('|---|---:|---:|---:|---:|---:|---:|')
  for (const [name, share] of [
    ['half of what it can', 0.5],
    ['twice what it can', 2],
    ['half, right after', 0.5],
  ] as const) {
    const { accepted, refused, unsent } = await load.open(roundMs, peak * share)
    const goodput = accepted.length / (roundMs / 1000)
    console.log(
      `| ${name}: ${(peak * share).toFixed(0)}/s | ${goodput.toFixed(0)}/s (${((goodput / peak) * 100).toFixed(0)} % of ${peak.toFixed(0)}) | ${at(accepted, 0.5).toFixed(0)} ms | ${at(accepted, 0.99).toFixed(0)} ms | ${refused.length} | ${at(refused, 0.99).toFixed(0)} ms | ${unsent} |`,
    )
  }
  load.close()
  await server.close()
  upstream.close()
}
