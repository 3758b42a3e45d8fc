import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { cpuSeconds, memoryKiB, type Running, startPinned, startPinnedGateway } from './pinned-process.ts'
import { openClient } from './query-client.ts'
import { type QueryUpstream, startQueryUpstream } from './query-upstream.ts'

const rounds = Number(process.env['ROUNDS'] ?? 3)
const roundMs = Number(process.env['ROUND_MS'] ?? 2000)
const usualConnections = 32
const principals = 1000
/** The bench itself, its upstream and its clients have the second core. */
const ownCore = '1'

/** What each contender is asked: the gateway's schema and that of the peers name things differently. */
interface Query {
  readonly title: string
  readonly gateway: string
  readonly peers?: string
  /** For peers that have lists in place of pages. */
  readonly lists?: string
  readonly plain?: readonly ('naive' | 'lean' | 'proxy')[]
  /** How many items the answer has. */
  readonly items?: number
}

const messages = 'nodes { author { name } thread { title } ... on ChatMessage { content } }'
const peerMessages = 'author { name } thread { title } content'
const nestedQuery = `{ flow(by: { path: "acme/f1" }) { name messages(last: 100) { ${messages} } } }`
/** What is asked, by its name. */
export const queries = {
  static: { title: 'static', gateway: '{ __typename }', peers: '{ __typename }' },
  flows: {
    title: 'list of flows',
    gateway: '{ flows(first: 20) { nodes { name } } }',
    peers: '{ flows(first: 20) { nodes { name } } }',
    plain: ['proxy'],
  },
  nested: {
    title: 'flow → 100 messages → author, thread',
    gateway: nestedQuery,
    peers: `{ flow(path: "acme/f1") { name messages(last: 100) { nodes { ${peerMessages} } } } }`,
    lists: `{ flow(path: "acme/f1") { name messages(last: 100) { ${peerMessages} } } }`,
    plain: ['naive', 'lean'],
    items: 100,
  },
  'nested-10': {
    title: 'flow → 10 messages → author, thread',
    gateway: `{ flow(by: { path: "acme/f1" }) { name messages(last: 10) { ${messages} } } }`,
    items: 10,
  },
  'nested-1000': {
    title: '10 flows → 100 messages each → author, thread',
    gateway: `{ ${Array.from({ length: 10 }, (_, index) => `f${index}: flow(by: { path: "acme/f${index + 1}" }) { name messages(last: 100) { ${messages} } }`).join(' ')} }`,
    items: 1000,
  },
  dashboard: {
    title: 'a dashboard of six widgets',
    gateway:
      '{ viewer { name } flows(first: 5) { nodes { name unreadMentions } } ' +
      ['f1', 'f2', 'f3', 'f4']
        .map(
          (name) => `${name}: flow(by: { path: "acme/${name}" }) { name messages(last: 10) { ${messages} } }`,
        )
        .join(' ') +
      ' }',
  },
} satisfies Record<string, Query>

interface Contender {
  readonly name: string
  /** Whose queries it understands. */
  readonly speaks: 'gateway' | 'peers' | 'lists' | 'plain'
  readonly kind?: string
  start(upstream: string): Promise<Running>
}

const listening = /listening (\d+)/
const peer = (name: string, script: string, kind = 'loaders'): Contender => ({
  name,
  speaks: 'peers',
  start: (upstream) => startPinned(`peers/${script}`, [upstream, kind], {}, listening),
})
const plain = (name: string, kind: string, fixed = ''): Contender => ({
  name,
  kind,
  speaks: 'plain',
  start: (upstream) => startPinned('peers/query-plain.js', [upstream, kind, fixed], {}, listening),
})
const ours = (name: string, settings: Record<string, string> = {}): Contender => ({
  name,
  speaks: 'gateway',
  start: (upstream) => startPinnedGateway(upstream, settings),
})
const gateway = ours('the gateway')
/** An earlier checkout, in each comparison. */
const base = process.env['BASE']
const earlier: Contender[] =
  base === undefined
    ? []
    : [
        {
          name: 'the gateway, an earlier build',
          speaks: 'gateway',
          start: (upstream) => startPinnedGateway(upstream, {}, [], join(resolve(base), 'src/main.ts')),
        },
      ]
/** Parts of the names of contenders; by default all run. The gateway always does. */
const picked = process.env['CONTENDERS']?.split(',')
const keeping = ours('the gateway, answers kept (RESPONSE_CACHE_SECONDS=60)', {
  RESPONSE_CACHE_SECONDS: '60',
})
const peers = [
  peer('Mercurius, loaders and compiler', 'query-mercurius.js'),
  peer('Yoga, Pothos, DataLoader', 'query-yoga.js'),
  peer('Apollo Server, RESTDataSource', 'query-apollo.js'),
]
const lean = [
  peer('Mercurius and its compiler, two calls by hand', 'query-mercurius.js', 'lean'),
  peer('Yoga and Pothos, two calls by hand', 'query-yoga.js', 'lean'),
]
/** There is a binary for one kind of machine. */
const native: Contender[] = existsSync(join(import.meta.dirname, 'peers/node_modules/@tailcallhq'))
  ? [
      {
        name: 'Tailcall, in native code',
        speaks: 'lists',
        start: (upstream) =>
          startPinned('peers/query-tailcall.js', [upstream], {}, /launched at \[127\.0\.0\.1:(\d+)/),
      },
    ]
  : []
/** Some hundred packages of its own. */
const hive: Contender[] = existsSync(join(import.meta.dirname, 'peers/hive/node_modules'))
  ? [
      {
        name: 'Hive Gateway, Mesh',
        speaks: 'lists',
        start: (upstream) =>
          startPinned('peers/hive/query-hive.js', [upstream], { NODE_ENV: 'production' }, listening),
      },
    ]
  : []

interface Row {
  readonly name: string
  readonly rates: number[]
  readonly p50: number[]
  readonly p99: number[]
  readonly cpu: number[]
  calls: number
  memory: number
}

const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0
const at = (list: readonly number[], share: number) => list[Math.floor(list.length * share)] ?? 0

/** Runs the contenders in turns and prints a table with their ratio to the gateway. */
async function compare(
  title: string,
  query: Query,
  contenders: readonly Contender[],
  upstream: QueryUpstream,
  { connections = usualConnections, people = principals } = {},
): Promise<void> {
  const running: { text: string; server: Running; row: Row }[] = []
  const [first, ...others] = contenders
  const isPicked = ({ name }: Contender) => picked?.some((part) => name.includes(part)) ?? true
  for (const contender of [first as Contender, ...earlier, ...others.filter(isPicked)]) {
    const server = await contender.start(upstream.url)
    const texts: Record<Contender['speaks'], string | undefined> = {
      ...{ gateway: query.gateway, peers: query.peers, lists: query.lists, plain: query.gateway },
    }
    const text = texts[contender.speaks] ?? ''
    const probe = await openClient(server.port, text, 1, people)
    const answer = await probe.once()
    const isWhole = query.items === undefined || contender.kind === 'static' || answer.includes('"Thread ')
    if (answer.includes('"errors"') || answer.length < 20 || !isWhole)
      throw new Error(`${contender.name}: ${answer.slice(0, 300)}`)
    probe.close()
    const client = await openClient(server.port, text, connections, people)
    await client.run(Math.min(roundMs, 1000))
    const row = { name: contender.name, rates: [], p50: [], p99: [], cpu: [], calls: 0, memory: 0 }
    client.close()
    running.push({ text, server, row })
  }
  for (let round = 0; round < rounds; round += 1)
    for (const { text, server, row } of running) {
      // Servers close connections that wait for their turn.
      const client = await openClient(server.port, text, connections, people)
      // A busy server takes its time to accept them.
      await client.run(roundMs / 4)
      const calls = upstream.calls
      const cpu = cpuSeconds(server.pid)
      const start = performance.now()
      const took = await client.run(roundMs)
      const seconds = (performance.now() - start) / 1000
      client.close()
      took.sort((a, b) => a - b)
      row.rates.push(took.length / seconds)
      row.p50.push(at(took, 0.5))
      row.p99.push(at(took, 0.99))
      row.cpu.push(((cpuSeconds(server.pid) - cpu) * 1000) / took.length)
      row.calls = (upstream.calls - calls) / took.length
      row.memory = memoryKiB(server.pid) / 1024
    }
  console.log(`\n${title}\n`)
  console.log('| | requests/s | the gateway is | p50 | p99 | CPU each | upstream calls | memory |')
  console.log('|---|---:|---:|---:|---:|---:|---:|---:|')
  const own = median(running[0]?.row.rates ?? [])
  for (const { row } of running) {
    const rate = median(row.rates)
    console.log(
      `| ${row.name} | ${rate.toFixed(0)} | ${(own / rate).toFixed(2)} × | ${median(row.p50).toFixed(1)} ms | ${median(row.p99).toFixed(1)} ms | ${median(row.cpu).toFixed(3)} ms | ${row.calls.toFixed(1)} | ${row.memory.toFixed(0)} MiB |`,
    )
  }
  if (query.items !== undefined)
    console.log(`\nThe gateway: ${(1e6 / own / query.items).toFixed(1)} µs for each item.`)
  for (const { server } of running) await server.close()
}

/** Queries beside other servers of the same upstream. `QUERIES=nested,flows` picks some. */
export async function measureQueries(): Promise<void> {
  spawnSync('taskset', ['-cp', ownCore, String(process.pid)])
  if (!existsSync(join(import.meta.dirname, 'peers/node_modules')))
    throw new Error('The peers are not there yet: npm ci --prefix bench/peers')
  const upstream = await startQueryUpstream()
  const wanted = (
    process.env['QUERIES'] ?? 'static,flows,nested,own,bare,same,items,dashboard,connections,latency'
  ).split(',')
  const { nested, flows } = queries
  const has = (name: string) => wanted.includes(name)
  if (has('static'))
    await compare(
      'Static: `{ __typename }`',
      queries.static,
      [gateway, peers[0] as Contender, plain('node:http alone', 'static', '{"data":{"__typename":"Query"}}')],
      upstream,
    )
  if (has('flows'))
    await compare(
      'List of 20 flows, 1,000 people',
      flows,
      [gateway, ...peers, plain('a proxy of the REST answer', 'proxy')],
      upstream,
    )
  if (has('nested'))
    await compare(
      'Flow → 100 messages → author, thread; 1,000 people, nothing can be shared',
      nested,
      [
        gateway,
        ...peers,
        ...native,
        ...hive,
        ...lean,
        plain('written by hand, a call for each author and thread', 'naive'),
        plain('written by hand, two calls', 'lean'),
        keeping,
      ],
      upstream,
    )
  if (has('own')) {
    for (const own of ['one item', 'every item'] as const) {
      upstream.own = own
      const where = `each person gets other bytes from the upstream in ${own} of a body`
      await compare(
        `The same, ${where}`,
        nested,
        [gateway, ...lean, plain('written by hand, two calls', 'lean')],
        upstream,
      )
      await compare(
        `List of 20 flows, ${where}`,
        flows,
        [gateway, ...peers, plain('a proxy of the REST answer', 'proxy')],
        upstream,
      )
      const { title } = queries['nested-1000']
      await compare(`${title}, ${where}`, queries['nested-1000'], [gateway], upstream)
    }
    upstream.own = 'nothing'
  }
  if (has('bare')) {
    const bare = await startQueryUpstream({ embeds: false })
    await compare(
      'The same of an upstream whose answers bring nothing along',
      nested,
      [gateway, ...peers.slice(0, 2), ...native],
      bare,
    )
    bare.close()
  }
  if (has('same'))
    await compare(
      'The same, one person',
      nested,
      [
        gateway,
        keeping,
        peers[0] as Contender,
        ...native,
        plain('node:http alone, as many bytes', 'static', '10600'),
      ],
      upstream,
      { people: 1 },
    )
  if (has('items'))
    for (const query of [queries['nested-10'], nested, queries['nested-1000']])
      await compare(query.title, query, [gateway], upstream)
  if (has('dashboard')) await compare(queries.dashboard.title, queries.dashboard, [gateway], upstream)
  if (has('connections'))
    for (const connections of [1, 32, 128])
      await compare(`Flow → 100 messages, ${connections} connections`, nested, [gateway], upstream, {
        connections,
      })
  if (has('latency')) {
    upstream.latencyMs = 20
    await compare(
      'An upstream that takes 20 ms: flow → 100 messages, 32 connections',
      nested,
      [gateway, peers[0] as Contender],
      upstream,
    )
    await compare('The same, one connection', nested, [gateway, peers[0] as Contender], upstream, {
      connections: 1,
    })
    upstream.latencyMs = 0
    await compare(
      'One connection, one call: list of flows',
      flows,
      [gateway, plain('a proxy of the REST answer', 'proxy')],
      upstream,
      { connections: 1 },
    )
  }
  upstream.close()
}
