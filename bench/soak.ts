import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { createLiveClient, type LiveEvent } from '../src/client/index.ts'
import { startFaultProxy } from '../test/support/fault-proxy.ts'
import { memoryKiB, unlimited } from './pinned-process.ts'

const minutes = Number(process.env['SOAK_MINUTES'] ?? 20)
/** Until the events that are kept for those who come back are as many as there ever are: 20,000. */
const warmUpMinutes = Math.min(10, minutes / 2)
const faultEveryMs = 30_000
const sampleEveryMs = 5000
const listeners = 50
const queriesEachSecond = 20
const messagesEachSecond = 40
const token = '0123456789abcdef'.repeat(2)
const authorization = `Basic ${Buffer.from(`${token}:`).toString('base64')}`

interface Sample {
  readonly minute: number
  readonly rssMiB: number
  readonly heapMiB: number
  readonly descriptors: number
}

async function run(args: string[], env: Record<string, string>, ready: RegExp) {
  const child: ChildProcess = spawn(
    process.execPath,
    [join(import.meta.dirname, '../src/main.ts'), ...args],
    {
      env: { PATH: process.env['PATH'] ?? '', LOG_LEVEL: 'error', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  while (!ready.test(output)) if (child.stdout) await once(child.stdout, 'data')
  return { child, url: ready.exec(output)?.[1] ?? '' }
}

/** How much a figure grows in ten minutes, by the line that fits it best. */
function growth(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const mean = (list: readonly number[]) => list.reduce((sum, each) => sum + each, 0) / list.length
  const x = mean(samples.map(({ minute }) => minute))
  const y = mean(samples.map(of))
  const over = samples.reduce((sum, each) => sum + (each.minute - x) * (of(each) - y), 0)
  const under = samples.reduce((sum, each) => sum + (each.minute - x) ** 2, 0)
  return (over / under) * 10
}

/** People who query, listen and write for as long as `SOAK_MINUTES` says, while lines break and the upstream goes away. */
export async function soak(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-soak-'))
  const backend = await run(
    ['backend'],
    { BACKEND_PORT: '0', DATA_DIR: dataDir, FLOWDOCK_DEMO_TOKEN: token, ...unlimited },
    /Flowdock API (http:\S+)/,
  )
  const proxy = await startFaultProxy(backend.url, Math.random)
  const gateway = await run(
    ['serve'],
    { PORT: '0', FLOWDOCK_API_URL: proxy.url, FLOWDOCK_STREAM_URL: `${proxy.url}/stream`, ...unlimited },
    /GraphQL +(http:\S+)\/graphql/,
  )
  const pid = gateway.child.pid ?? 0
  const answers = { ok: 0, failed: 0 }
  const heard = new Map<number, string[]>()
  const gaps: LiveEvent[] = []
  const said: string[] = []

  const clients = Array.from({ length: listeners }, (_, index) => {
    const client = createLiveClient({
      url: `${gateway.url}/graphql`,
      token,
      webSocketImpl: WebSocket as unknown as typeof globalThis.WebSocket,
    })
    const contents: string[] = []
    heard.set(index, contents)
    const query = `subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) {
      __typename cursor ... on MessageAdded { message { ... on ChatMessage { content } } } ... on Gap { after } } }`
    void (async () => {
      type Heard = LiveEvent & { message?: { content?: string } }
      for await (const { message } of client.listen<Heard>({ query, onGap: (gap) => gaps.push(gap) }))
        if (message?.content?.startsWith('soak ')) contents.push(message.content)
    })()
    return client
  })

  const ask = async () => {
    try {
      const response = await fetch(`${gateway.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({
          query: '{ flows { nodes { name messages(last: 30) { nodes { id author { name } } } } } }',
        }),
      })
      const { errors } = (await response.json()) as { errors?: unknown }
      answers[errors === undefined && response.ok ? 'ok' : 'failed'] += 1
    } catch {
      answers.failed += 1
    }
  }
  const say = async () => {
    const content = `soak ${said.length}`
    const response = await fetch(`${backend.url}/flows/example/main/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body: JSON.stringify({ event: 'message', content }),
    })
    if (response.status === 201) said.push(content)
  }
  const samples: Sample[] = []
  const begun = Date.now()
  const sample = async () => {
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
    samples.push({
      minute: (Date.now() - begun) / 60_000,
      rssMiB: memoryKiB(pid) / 1024,
      heapMiB: Number(/^nodejs_heap_size_used_bytes (\d+)/m.exec(metrics)?.[1]) / 1024 / 1024,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
    })
  }
  let faults = 0
  const fault = () => {
    faults += 1
    if (faults % 3 === 0) {
      proxy.refuse(faults % 2 === 0 ? 'reset' : 'unavailable')
      setTimeout(() => proxy.refuse(undefined), 3000)
    }
    for (let line = 0; line < 5; line += 1) proxy.cut()
  }
  await new Promise((resolve) => setTimeout(resolve, 2000))
  let writing: Promise<void> = Promise.resolve()
  const timers = [
    setInterval(() => void ask(), 1000 / queriesEachSecond),
    setInterval(() => {
      writing = writing.then(say)
    }, 1000 / messagesEachSecond),
    setInterval(() => void sample(), sampleEveryMs),
    setInterval(fault, faultEveryMs),
  ]
  await new Promise((resolve) => setTimeout(resolve, minutes * 60_000))
  for (const timer of timers) clearInterval(timer)
  proxy.refuse(undefined)
  await writing
  const deadline = Date.now() + 30_000
  const isWhole = (contents: readonly string[]) => contents.at(-1) === said.at(-1)
  while (![...heard.values()].every(isWhole) && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 100))

  const warm = samples.filter(({ minute }) => minute >= warmUpMinutes)
  const whole = [...heard.values()].filter((contents) => contents.join() === said.join()).length
  const last = warm.at(-1)
  console.log(`\nA soak of ${minutes} minutes: ${faults} faults, ${proxy.cuts} lines cut\n`)
  console.log('| | |\n|---|---:|')
  console.log(`| queries answered, failed | ${answers.ok}, ${answers.failed} |`)
  console.log(`| messages sent, gaps told | ${said.length}, ${gaps.length} |`)
  console.log(`| listeners that heard each once, in order | ${whole} of ${listeners} |`)
  console.log(
    `| resident memory after ${warmUpMinutes} minutes, at the end, growth in 10 minutes | ${warm[0]?.rssMiB.toFixed(0)} MiB, ${last?.rssMiB.toFixed(0)} MiB, ${growth(warm, ({ rssMiB }) => rssMiB).toFixed(1)} MiB |`,
  )
  console.log(
    `| heap in use, growth in 10 minutes | ${growth(warm, ({ heapMiB }) => heapMiB).toFixed(1)} MiB |`,
  )
  console.log(
    `| file descriptors, growth in 10 minutes | ${last?.descriptors}, ${growth(warm, ({ descriptors }) => descriptors).toFixed(1)} |`,
  )
  for (const client of clients) client.close()
  for (const { child } of [gateway, backend]) {
    child.kill('SIGTERM')
    await once(child, 'close')
  }
  await proxy.close()
  rmSync(dataDir, { recursive: true, force: true })
}
