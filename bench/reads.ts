import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Running, startPinned, unlimited } from './pinned-process.ts'
import { makeData } from './stack-data.ts'

const rounds = Number(process.env['ROUNDS'] ?? 3)
/** Reads of a round. */
const samples = Number(process.env['SAMPLES'] ?? 150)
const principals = Number(process.env['PRINCIPALS'] ?? 500)
const contenders = [join(import.meta.dirname, '..'), ...(process.env['BASE']?.split(',') ?? [])]

/** A read, whose first request after a change is measured. */
interface Read {
  readonly name: string
  readonly path: string
  /** Whether a message is sent before each request. */
  readonly changes?: boolean
  /** Whether the request names the version that the last one returned. */
  readonly isHeld?: boolean
}

const list = '/flows/acme/large/messages?limit=100'
const reads: readonly Read[] = [
  { name: '100 messages', path: list },
  { name: '100 messages, after a new one', path: list, changes: true },
  { name: '100 messages, unchanged since they were read', path: list, isHeld: true },
  { name: '100 messages, after a new one, the others held', path: list, changes: true, isHeld: true },
  { name: '100 messages before an older one', path: `${list}&until_id=20000` },
  { name: '100 messages after an older one', path: `${list}&since_id=20000&sort=asc` },
  { name: '10 messages, after a new one', path: '/flows/acme/large/messages?limit=10', changes: true },
  { name: 'search for a word, newest 20', path: '/search?search=word17&limit=20' },
  { name: 'search in a flow, newest 20', path: '/flows/acme/large/messages?search=word17&limit=20' },
  { name: 'newest 5 threads', path: '/flows/acme/large/threads?limit=5' },
  { name: 'list of flows', path: '/flows' },
  { name: 'flow without users', path: '/flows/acme/large?users=0' },
  { name: 'flow with 500 users', path: '/flows/acme/large' },
]

/** What reads of the embedded backend cost: the CPU time of its process for a request, one request at a time. */
export async function measureReads(): Promise<void> {
  spawnSync('taskset', ['-cp', '1', String(process.pid)])
  const data = await makeData()
  const wanted = process.env['READS']?.split(',')
  const running: { readonly name: string; readonly server: Running; readonly folder: string }[] = []
  for (const name of contenders) {
    const folder = mkdtempSync(join(tmpdir(), 'flowdock-gateway-reads-'))
    cpSync(data, folder, { recursive: true })
    running.push({ name, folder, server: await startBackend(name, folder) })
  }
  try {
    for (const read of reads) {
      if (wanted !== undefined && !wanted.some((each) => read.name.includes(each))) continue
      const figures = running.map(() => [] as number[])
      for (let round = 0; round <= rounds; round += 1)
        for (const [index, { server }] of running.entries()) {
          const each = await cpuOf(read, server)
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
    for (const { server, folder } of running) {
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    }
    rmSync(data, { recursive: true, force: true })
  }
}

/** The CPU time of a read, in milliseconds: the mean of a round. */
async function cpuOf({ path, changes, isHeld }: Read, server: Running): Promise<number> {
  const socket = connect(server.port, '127.0.0.1').setNoDelay(true)
  await once(socket, 'connect')
  let version: string | undefined
  let spent = 0
  for (let turn = 0; turn < samples; turn += 1) {
    if (changes === true)
      await send(socket, 'POST', '/flows/acme/large/messages', 0, undefined, {
        event: 'message',
        content: `a new message ${turn}`,
      })
    const before = cpuNanoseconds(server.pid)
    const answer = await send(socket, 'GET', path, turn % principals, isHeld === true ? version : undefined)
    spent += cpuNanoseconds(server.pid) - before
    version = /^flowdock-page: (\S+)/im.exec(answer)?.[1]
  }
  socket.destroy()
  return spent / samples / 1e6
}

/** Sends a request and resolves with the head of the response. */
async function send(
  socket: Socket,
  method: string,
  path: string,
  person: number,
  version: string | undefined,
  body?: object,
): Promise<string> {
  const text = body === undefined ? '' : JSON.stringify(body)
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic ${Buffer.from(`token${person}:`).toString('base64')}\r\n` +
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

function startBackend(folder: string, dataDir: string): Promise<Running> {
  return startPinned(
    join(folder, 'src/main.ts'),
    ['backend'],
    {
      BACKEND_PORT: '0',
      DATA_DIR: dataDir,
      LOG_LEVEL: 'error',
      SERVICE_TOKEN: 'bench'.repeat(8),
      ...unlimited,
    },
    /Flowdock API http:\/\/[^:]+:(\d+)[\s\S]*Streaming/,
  )
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
