import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuSeconds, unlimited } from './pinned-process.ts'

export interface Contender {
  readonly name: string
  /** Does the work once. @param turn grows with every call */
  readonly work: (turn: number) => Promise<void>
  /** How many are under way at the same time. */
  readonly concurrency: number
  /** How many units one call of `work` is, 1 unless given. */
  readonly units?: number
  /** The process whose CPU time for a unit is printed. */
  readonly pid?: number | undefined
}

const rounds = 3
const roundMs = 2000

/** Runs the contenders in turns and prints how often a second each was done, and its ratio to the first. */
export async function compare(title: string, contenders: readonly Contender[]): Promise<void> {
  console.log(`\n${title}`)
  const rates = new Map(contenders.map(({ name }) => [name, [] as number[]]))
  const cpu = new Map<string, { seconds: number; units: number }>()
  let turn = 0
  for (const { work } of contenders) await work(turn++)
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, work, concurrency, units = 1, pid } of contenders) {
      let done = 0
      const before = pid === undefined ? 0 : cpuSeconds(pid)
      const start = performance.now()
      const loop = async () => {
        while (performance.now() - start < roundMs) {
          await work(turn++)
          done += units
        }
      }
      await Promise.all(Array.from({ length: concurrency }, loop))
      rates.get(name)?.push((done * 1000) / (performance.now() - start))
      if (pid === undefined) continue
      const { seconds, units: others } = cpu.get(name) ?? { seconds: 0, units: 0 }
      cpu.set(name, { seconds: seconds + cpuSeconds(pid) - before, units: others + done })
    }
  }
  const medians = [...rates].map(([name, list]) => ({
    name,
    rate: list.sort((a, b) => a - b)[rounds >> 1] ?? 0,
  }))
  const [first] = medians
  for (const { name, rate } of medians) {
    const ratio = first === undefined ? '' : (rate / first.rate).toFixed(2)
    const spent = cpu.get(name)
    const each =
      spent === undefined ? '' : `, ${((spent.seconds * 1e6) / spent.units).toFixed(0)} µs CPU each`
    console.log(`  ${rate.toFixed(0).padStart(8)}/s  ${ratio.padStart(6)} ×  ${name}${each}`)
  }
}

export interface Gateway {
  readonly url: string
  readonly restUrl: string
  readonly token: string
  close(): Promise<void>
}

/** Starts the gateway on a folder of its own, which goes with it. */
export async function startGateway(): Promise<Gateway> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-bench-'))
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts')], {
    env: { PATH: process.env['PATH'] ?? '', ...unlimited, PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  while (!/Streaming/.test(output)) if (child.stdout) await once(child.stdout, 'data')
  const find = (pattern: RegExp) => pattern.exec(output)?.[1] ?? ''
  return {
    url: find(/GraphQL +(http:\S+)\/graphql/),
    restUrl: find(/Flowdock API (http:\S+)/),
    token: readFileSync(join(dataDir, 'demo-token'), 'utf8').trim(),
    async close() {
      child.kill('SIGTERM')
      await once(child, 'close')
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** A client that keeps its connections. @throws for any status of 300 or more */
export function createClient(token: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  return {
    call: (method: string, url: string, body?: object): Promise<string> =>
      new Promise((resolve, reject) => {
        const text = body === undefined ? '' : JSON.stringify(body)
        const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
        request(url, { method, agent, auth: `${token}:`, headers }, async (response) => {
          const chunks: Buffer[] = []
          for await (const chunk of response) chunks.push(chunk as Buffer)
          const answer = Buffer.concat(chunks).toString()
          if ((response.statusCode ?? 500) < 300) resolve(answer)
          else reject(new Error(`${method} ${url}: ${response.statusCode} ${answer}`))
        })
          .on('error', reject)
          .end(text)
      }),
    close: () => agent.destroy(),
  }
}

/** The header with a token of Flowdock. */
export function basicCredential(token: string): { readonly Authorization: string } {
  return { Authorization: `Basic ${Buffer.from(`${token}:`).toString('base64')}` }
}

/**
 * A client that only writes bytes and waits for the end of an answer, so that the two cores have time for the server.
 * Every request that is under way at the same time has a connection of its own.
 */
export function createLeanClient(url: string, path: string, headers: Readonly<Record<string, string>>) {
  const { hostname, port } = new URL(url)
  let idle: Socket[] = []
  const all: Socket[] = []
  const fields = Object.entries({ Host: hostname, 'Content-Type': 'application/json', ...headers })
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `POST ${path} HTTP/1.1\r\n${lines.join('')}Content-Length: `

  async function open(): Promise<Socket> {
    const socket = connect(Number(port), hostname).setNoDelay(true)
    all.push(socket)
    // A server ends connections that were idle for a while.
    socket.on('close', () => {
      idle = idle.filter((other) => other !== socket)
    })
    await once(socket, 'connect')
    return socket
  }

  return {
    /** @throws for any status but 201 */
    async post(body: object): Promise<void> {
      const socket = idle.pop() ?? (await open())
      const text = JSON.stringify(body)
      await new Promise<void>((resolve, reject) => {
        let answer = ''
        const onData = (bytes: Buffer) => {
          answer += bytes.toString('latin1')
          const end = answer.indexOf('\r\n\r\n')
          if (end === -1) return
          const length = Number(/^content-length: (\d+)/im.exec(answer)?.[1])
          if (answer.length < end + 4 + length) return
          socket.off('data', onData)
          if (answer.startsWith('HTTP/1.1 201')) resolve()
          else reject(new Error(answer))
        }
        socket.on('data', onData)
        socket.write(`${head}${Buffer.byteLength(text)}\r\n\r\n${text}`)
      })
      idle.push(socket)
    },
    close() {
      for (const socket of all) socket.destroy()
    },
  }
}
