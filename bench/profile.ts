import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPinnedGateway } from './pinned-process.ts'
import { queries } from './queries.ts'
import { openClient } from './query-client.ts'
import { startQueryUpstream } from './query-upstream.ts'

const warmUpMs = 5000
const measuredMs = Number(process.env['ROUND_MS'] ?? 10_000)

interface CallFrame {
  readonly functionName: string
  readonly url: string
  /** -1 for what is no JavaScript. */
  readonly lineNumber: number
}

/** Part of the work by where its function is, the first that fits. */
const parts: readonly (readonly [name: string, fits: (frame: CallFrame) => boolean])[] = [
  ['nothing: waiting', ({ functionName }) => functionName === '(idle)'],
  ['collecting garbage', ({ functionName }) => functionName === '(garbage collector)'],
  ["parsing the upstream's JSON", ({ functionName }) => functionName === 'parseBody'],
  ["decoding and checking the upstream's answers", ({ url }) => url.endsWith('/flowdock/decode.ts')],
  ['calls to the upstream: undici', ({ url }) => url.includes('/undici/')],
  ['calls to the upstream: ours', ({ url }) => url.includes('/src/upstream/')],
  [
    "the system's calls: writing",
    ({ functionName }) => /^(write(Utf8|Latin1)String|writev|writeBuffer)$/.test(functionName),
  ],
  [
    'code that was compiled for the query',
    ({ url, lineNumber }) => (url === '' && lineNumber >= 0) || url.includes('/graphql-jit/'),
  ],
  ['Node: what is no JavaScript', ({ url }) => url === ''],
  ['resolvers and schema', ({ url }) => /\/src\/(resolvers|schema)\/|\/@pothos\/|\/graphql\//.test(url)],
  ['the HTTP server: ours, JSON of the answer', ({ url }) => /\/src\/(server|context|app)/.test(url)],
  ['Node: HTTP, streams, sockets, timers', ({ url }) => url.startsWith('node:')],
]

/** Where the time of a query goes, by a profile of the gateway under load. `QUERY=flows` picks another than the nested one. */
export async function profile(): Promise<void> {
  const name = process.env['QUERY'] ?? 'nested'
  if (!isQuery(name)) throw new Error(`Expected QUERY to be one of ${Object.keys(queries).join(', ')}`)
  const { title, gateway } = queries[name]
  spawnSync('taskset', ['-cp', '1', String(process.pid)])
  const folder = mkdtempSync(join(tmpdir(), 'profile-'))
  const upstream = await startQueryUpstream()
  const startedAt = Date.now()
  const flags = ['--cpu-prof', `--cpu-prof-dir=${folder}`]
  const server = await startPinnedGateway(upstream.url, {}, flags)
  const client = await openClient(server.port, gateway, 32, 1000)
  await client.run(warmUpMs)
  const from = Date.now()
  const answers = (await client.run(measuredMs)).length
  const until = Date.now()
  client.close()
  process.kill(server.pid, 'SIGTERM')
  while (readdirSync(folder).length === 0) await new Promise((resolve) => setTimeout(resolve, 200))
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const [file = ''] = readdirSync(folder)
  const { nodes, samples, timeDeltas, startTime } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
    nodes: { id: number; callFrame: CallFrame }[]
    samples: number[]
    timeDeltas: number[]
    startTime: number
  }
  rmSync(folder, { recursive: true })
  await server.close()
  upstream.close()

  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const spent = new Map<string, number>()
  const begin = startTime + (from - startedAt) * 1000
  const end = begin + (until - from) * 1000
  let at = startTime
  samples.forEach((id, index) => {
    at += timeDeltas[index] ?? 0
    const frame = frames.get(id)
    if (frame === undefined || at < begin || at > end) return
    const part = parts.find(([, fits]) => fits(frame))?.[0] ?? 'the rest'
    if (part !== parts[0]?.[0]) spent.set(part, (spent.get(part) ?? 0) + (timeDeltas[index] ?? 0))
  })
  const total = [...spent.values()].reduce((sum, each) => sum + each, 0)
  console.log(
    `\n${title}, 1,000 people, ${(answers / (measuredMs / 1000)).toFixed(0)} a second while profiled\n`,
  )
  console.log('| part | share |\n|---|---:|')
  for (const [part, each] of [...spent].sort(([, a], [, b]) => b - a))
    console.log(`| ${part} | ${((each / total) * 100).toFixed(0)} % |`)
}

function isQuery(name: string): name is keyof typeof queries {
  return Object.hasOwn(queries, name)
}
