import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { WebSocket } from 'ws'

/*
 * Drops that arrive at 1,000 subscribers of one flow, beside a server of the package ws that serializes each drop for each
 * subscriber and stores nothing. Both get the drops over one socket, and both have to send the same frames.
 */

const subscribers = Number(process.env['SUBSCRIBERS'] ?? 1000)
const drops = Number(process.env['DROPS'] ?? 300)
const rounds = Number(process.env['ROUNDS'] ?? 3)
const token = 'AliceAliceAliceAliceAliceAlice12'
const elems = { temp: 21.5, room: 'kitchen', count: 12, on: true }

interface Contender {
  /** Sends drops, and resolves when each subscriber has all. */
  publish(count: number): Promise<void>
  /** Microseconds since the process began. */
  cpu(): Promise<number>
  close(): void
}

export async function measureDropFanOut(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'drop-fan-out-'))
  const contenders: Record<string, Contender> = {
    'one frame for all subscribers': await startOwn(folder),
    'ws, JSON.stringify for each subscriber': await startStock(),
  }
  console.log(`${drops} drops to ${subscribers} subscribers of one flow`)
  try {
    const results = new Map<string, { rate: number; cpu: number }[]>()
    for (let round = 0; round <= rounds; round += 1)
      for (const [name, contender] of Object.entries(contenders)) {
        const [begin, cpuBegin] = [performance.now(), await contender.cpu()]
        await contender.publish(drops)
        const seconds = (performance.now() - begin) / 1000
        const result = {
          rate: (drops * subscribers) / seconds,
          cpu: ((await contender.cpu()) - cpuBegin) / (drops * subscribers),
        }
        // In the first round the code is not optimized.
        if (round > 0) results.set(name, [...(results.get(name) ?? []), result])
      }
    for (const [name, values] of results) {
      const [rate, cpu] = [median(values.map((each) => each.rate)), median(values.map((each) => each.cpu))]
      console.log(`${rate.toFixed(0).padStart(10)} deliveries/s  ${cpu.toFixed(3)} µs of CPU each  ${name}`)
    }
  } finally {
    for (const contender of Object.values(contenders)) contender.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

async function startProcess(script: string, args: readonly string[]) {
  const flags = process.env['PROFILE'] === '1' ? ['--cpu-prof'] : []
  const child = spawn(process.execPath, [...flags, resolve(import.meta.dirname, script), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const nextLine = async (from: number) => {
    while (!output.slice(from).includes('\n')) await once(child.stdout, 'data')
    return Number(output.slice(from).split('\n')[0])
  }
  return {
    port: await nextLine(0),
    cpu() {
      const from = output.length
      child.stdin.write('cpu\n')
      return nextLine(from)
    },
    close: () => child.stdin.end(),
  }
}

async function startOwn(folder: string): Promise<Contender> {
  const server = await startProcess('things-server.ts', [folder, token])
  const headers = { 'x-auth-account': 'alice', 'x-auth-token': token }
  const call = async (path: string, body?: object) => {
    const url = `http://127.0.0.1:${server.port}${path}`
    const response = await fetch(url, {
      ...{ method: 'POST', headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return ((await response.json()) as { body: { id: string } }).body
  }
  const flow = await call('/v0.1/alice/flow', { path: '/alice/sensors', capacity: 0 })
  const session = await call('/session')
  const path = `/session/${session.id}/ws`
  const subscription = JSON.stringify({ msgId: 1, object: 'drop', type: 'subscribe', flowId: flow.id })
  const clients = await openClients(server.port, path, subscription)
  const writer = new WebSocket(`ws://127.0.0.1:${server.port}${path}`)
  await once(writer, 'open')
  const frame = JSON.stringify({ object: 'drop', type: 'create', flowId: flow.id, value: { elems } })
  return contend(server, clients, writer, () => frame)
}

async function startStock(): Promise<Contender> {
  const server = await startProcess('drop-fan-out-contender.ts', [])
  const clients = await openClients(server.port, '/', 'subscribe')
  const writer = new WebSocket(`ws://127.0.0.1:${server.port}/`)
  await once(writer, 'open')
  return contend(server, clients, writer, () => JSON.stringify({ elems }))
}

function contend(
  server: Awaited<ReturnType<typeof startProcess>>,
  clients: Awaited<ReturnType<typeof openClients>>,
  writer: WebSocket,
  makeFrame: () => string,
): Contender {
  return {
    async publish(count) {
      const arrived = clients.wait(count)
      for (let index = 0; index < count; index += 1) writer.send(makeFrame())
      await arrived
    },
    cpu: server.cpu,
    close() {
      writer.terminate()
      clients.close()
      server.close()
    },
  }
}

/** Sockets that count the frames of drops by their beginning, and do nothing else. */
async function openClients(port: number, path: string, subscription: string) {
  const sockets: Socket[] = []
  const counters: (() => number)[] = []
  let wake: () => void = () => undefined
  for (let index = 0; index < subscribers; index += 1) {
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    )
    await once(socket, 'data')
    socket.write(maskedFrame(subscription))
    await once(socket, 'data')
    let [bytes, frameBytes] = [0, 0]
    socket.on('data', (chunk: Buffer) => {
      // All frames of drops are equally long.
      if (frameBytes === 0) frameBytes = 4 + chunk.readUInt16BE(2)
      bytes += chunk.length
      wake()
    })
    counters.push(() => (frameBytes === 0 ? 0 : bytes / frameBytes))
  }
  let total = 0
  return {
    wait(count: number): Promise<void> {
      total += count
      return new Promise((resolve) => {
        let next = 0
        wake = () => {
          while (next < counters.length && (counters[next] as () => number)() >= total) next += 1
          if (next === counters.length) resolve()
        }
      })
    },
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

function maskedFrame(text: string): Buffer {
  const body = Buffer.from(text)
  return Buffer.concat([
    body.length < 126
      ? Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0])
      : Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 255, 0, 0, 0, 0]),
    body,
  ])
}
