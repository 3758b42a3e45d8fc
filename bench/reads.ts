import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Running, startPinned, unlimited } from './pinned-process.ts'
import { makeData } from './stack-data.ts'

const rounds = Number(process.env['ROUNDS'] ?? 3)
/** How long the events of a message are waited for, so that their delivery is not measured. */
const eventMs = 20
/** Reads of a round. */
const samples = Number(process.env['SAMPLES'] ?? 150)
const principals = Number(process.env['PRINCIPALS'] ?? 500)
const contenders = [join(import.meta.dirname, '..'), ...(process.env['BASE']?.split(',') ?? [])]

/** A read of the REST API of a backend that runs alone, or a query of `npm start`. */
interface Read {
  readonly name: string
  readonly path: string
  readonly query?: string
  /** The flow to which a message is sent before each request. */
  readonly changes?: 'large' | 'huge'
  /** Whether the request names the version that the last one returned. */
  readonly isHeld?: boolean
}

const list = '/flows/acme/large/messages?limit=100'
const nested =
  '{ flow(by: { path: "acme/large" }) { name messages(last: 100) { nodes { author { name } thread { title } ... on ChatMessage { content } } } } }'
const reads: readonly Read[] = [
  { name: '100 messages', path: list },
  { name: '100 messages, after a new one', path: list, changes: 'large' },
  { name: '100 messages, unchanged since they were read', path: list, isHeld: true },
  { name: '100 messages, after a new one, the others held', path: list, changes: 'large', isHeld: true },
  { name: '100 messages before an older one', path: `${list}&until_id=20000` },
  { name: '100 messages after an older one', path: `${list}&since_id=20000&sort=asc` },
  { name: '10 messages, after a new one', path: '/flows/acme/large/messages?limit=10', changes: 'large' },
  { name: 'search for a word, newest 20', path: '/search?search=word17&limit=20' },
  { name: 'search in a flow, newest 20', path: '/flows/acme/large/messages?search=word17&limit=20' },
  { name: 'newest 5 threads', path: '/flows/acme/large/threads?limit=5' },
  { name: 'list of flows', path: '/flows' },
  { name: 'flow without users', path: '/flows/acme/large?users=0' },
  { name: 'flow with 500 users', path: '/flows/acme/large' },
  { name: 'nested query, unchanged', path: '/graphql', query: nested },
  { name: 'nested query, after a message in another flow', path: '/graphql', query: nested, changes: 'huge' },
  { name: 'nested query, after a new message', path: '/graphql', query: nested, changes: 'large' },
]

/** The servers of a contender, on copies of the data. */
interface Servers {
  readonly name: string
  readonly folders: readonly string[]
  readonly backend: Running
  readonly stack: Running
}

/**
 * What reads of the embedded backend cost: the CPU time of its process for a request, one request at a time. For a query, that of the
 * gateway and its backend in one process.
 */
export async function measureReads(): Promise<void> {
  spawnSync('taskset', ['-cp', '1', String(process.pid)])
  const data = await makeData()
  const wanted = process.env['READS']?.split(',')
  const running: Servers[] = []
  try {
    for (const name of contenders) running.push(await start(name, data))
    for (const read of reads) {
      if (wanted !== undefined && !wanted.some((each) => read.name.includes(each))) continue
      const figures = running.map(() => [] as number[])
      for (let round = 0; round <= rounds; round += 1)
        for (const [index, servers] of running.entries()) {
          const each = await cpuOf(read, servers)
          // The first round is for the compiler.
          if (round > 0) figures[index]?.push(each)
        }
      for (const [index, { name }] of running.entries())
        console.log(
          `  ${median(figures[index] ?? [])
            .toFixed(3)
            .padStart(7)} ms  ${read.name}${running.length > 1 ? `  ${name}` : ''}`,
        )
    }
  } finally {
    for (const { backend, stack, folders } of running) {
      await backend.close()
      await stack.close()
      for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    }
    rmSync(data, { recursive: true, force: true })
  }
}

async function start(name: string, data: string): Promise<Servers> {
  const folders = ['alone', 'stack'].map((each) => {
    const folder = mkdtempSync(join(tmpdir(), `flowdock-gateway-reads-${each}-`))
    cpSync(data, folder, { recursive: true })
    return folder
  })
  const [alone = '', together = ''] = folders
  const script = join(name, 'src/main.ts')
  const settings = { BACKEND_PORT: '0', LOG_LEVEL: 'error', ...unlimited }
  const backend = await startPinned(
    script,
    ['backend'],
    { ...settings, DATA_DIR: alone, SERVICE_TOKEN: 'bench'.repeat(8) },
    /Flowdock API http:\/\/[^:]+:(\d+)[\s\S]*Streaming/,
  )
  const stack = await startPinned(
    script,
    ['serve'],
    { ...settings, PORT: '0', DATA_DIR: together },
    /GraphQL +http:\/\/[^:]+:(\d+)[\s\S]*Streaming/,
  )
  return { name, folders, backend, stack }
}

/** The CPU time of a read, in milliseconds: the mean of a round. */
async function cpuOf({ path, query, changes, isHeld }: Read, { backend, stack }: Servers): Promise<number> {
  const server = query === undefined ? backend : stack
  const restPort = Number(/Flowdock API http:\/\/[^:]+:(\d+)/.exec(server.output())?.[1])
  const [socket, writer] = await Promise.all([open(server.port), open(restPort)])
  let version: string | undefined
  let spent = 0
  for (let turn = 0; turn < samples; turn += 1) {
    if (changes !== undefined) {
      await send(writer, {
        path: `/flows/acme/${changes}/messages`,
        person: 0,
        body: { event: 'message', content: `a new message ${turn}` },
      })
      await sleep(eventMs)
    }
    const before = cpuNanoseconds(server.pid)
    const answer = await send(socket, {
      path,
      person: turn % principals,
      version: isHeld === true ? version : undefined,
      body: query === undefined ? undefined : { query },
    })
    spent += cpuNanoseconds(server.pid) - before
    version = /^flowdock-page: (\S+)/im.exec(answer)?.[1]
  }
  socket.destroy()
  writer.destroy()
  return spent / samples / 1e6
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  await once(socket, 'connect')
  return socket
}

interface Sent {
  readonly path: string
  readonly person: number
  readonly version?: string | undefined
  /** With a body it is a POST, and else a GET. */
  readonly body?: object | undefined
}

/** Sends a request and resolves with the head of the response. */
async function send(socket: Socket, { path, person, version, body }: Sent): Promise<string> {
  const text = body === undefined ? '' : JSON.stringify(body)
  socket.write(
    `${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic ${Buffer.from(`token${person}:`).toString('base64')}\r\n` +
      (version === undefined ? '' : `Flowdock-Page: ${version}\r\n`) +
      (body === undefined
        ? ''
        : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`) +
      `\r\n${text}`,
  )
  let head = ''
  let left = Number.POSITIVE_INFINITY
  while (left > 0) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    if (head === '') {
      const end = chunk.indexOf('\r\n\r\n')
      head = chunk.toString('latin1', 0, end)
      if (!/^HTTP\/1.1 (2\d\d|304)/.test(head)) throw new Error(chunk.toString())
      left = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0) - (chunk.length - end - 4)
    } else left -= chunk.length
  }
  return head
}

/** Of all threads of a process. */
function cpuNanoseconds(pid: number): number {
  let sum = 0
  for (const thread of readdirSync(`/proc/${pid}/task`))
    sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
  return sum
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
