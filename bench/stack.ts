import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openAdministration } from '../src/backend/admin/administration.ts'
import { hashToken } from '../src/backend/token-hash.ts'
import { memoryKiB, type Running, startPinned, unlimited } from './pinned-process.ts'
import { openClient } from './query-client.ts'

const rounds = Number(process.env['ROUNDS'] ?? 3)
const roundMs = Number(process.env['ROUND_MS'] ?? 2000)
const principals = Number(process.env['PRINCIPALS'] ?? 500)
const messagesInFlow = Number(process.env['MESSAGES'] ?? 33_000)
/** How many members each flow has. */
const sizes = { small: 20, large: 500, huge: 5000 } as const

const nested = (flow: string) =>
  `{ flow(by: { path: "acme/${flow}" }) { name messages(last: 100) { nodes { author { name } thread { title } ... on ChatMessage { content } } } } }`
const widget = (flow: string) =>
  `${flow}: flow(by: { path: "acme/${flow}" }) { name unreadMentions messages(last: 10) { nodes { author { name } ... on ChatMessage { content } } } }`

interface Question {
  readonly name: string
  readonly query: string
  /** Members of the smallest flow alone see that one. */
  readonly people: number
}

const questions: readonly Question[] = [
  { name: 'static', query: '{ __typename }', people: principals },
  { name: 'viewer', query: '{ viewer { name email } }', people: principals },
  { name: 'list of flows', query: '{ flows(first: 20) { nodes { name } } }', people: principals },
  { name: 'nested, 20 in the flow', query: nested('small'), people: sizes.small },
  { name: 'nested, 500 in the flow', query: nested('large'), people: principals },
  { name: 'nested, 500 in the flow, one person', query: nested('large'), people: 1 },
  { name: 'nested, 5,000 in the flow', query: nested('huge'), people: principals },
  {
    name: 'search',
    query:
      '{ search(text: "word17", last: 20) { nodes { author { name } ... on ChatMessage { content } } } }',
    people: principals,
  },
  {
    name: 'a dashboard of six widgets',
    query: `{ viewer { name } flows(first: 5) { nodes { name unreadMentions } } ${widget('large')} ${widget('huge')} }`,
    people: principals,
  },
]

/** Earlier checkouts to compare with, as folders. */
const contenders = [join(import.meta.dirname, '..'), ...(process.env['BASE']?.split(',') ?? [])]

/** The whole stack as `npm start` runs it: the gateway, the embedded backend and SQLite in one process on one core. */
export async function stack(): Promise<void> {
  spawnSync('taskset', ['-cp', '1', String(process.pid)])
  const dataDir = await makeData()
  const running: { readonly name: string; readonly server: Running }[] = []
  for (const folder of contenders) running.push({ name: folder, server: await startStack(folder, dataDir) })
  console.log(`\nthe default stack; ${principals} people with tokens of their own, 32 connections`)
  try {
    for (const question of questions) await measure(question, running)
    for (const { name, server } of running)
      console.log(`  ${(memoryKiB(server.pid) / 1024).toFixed(0)} MiB at the end  ${name}`)
  } finally {
    for (const { server } of running) await server.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

async function measure(
  { name, query, people }: Question,
  running: readonly { readonly name: string; readonly server: Running }[],
): Promise<void> {
  const figures = running.map(() => ({ rates: [] as number[], p50: [] as number[], p99: [] as number[] }))
  const cpu = running.map(() => ({ gateway: [] as number[], backend: [] as number[] }))
  for (const { server } of running) {
    const probe = await openClient(server.port, query, 1, people)
    const answer = await probe.once()
    if (answer.includes('"errors"') || answer.length < 10) throw new Error(`${name}: ${answer.slice(0, 300)}`)
    probe.close()
  }
  // The first round is for the compiler.
  for (let round = 0; round <= rounds; round += 1)
    for (const [index, { server }] of running.entries()) {
      const client = await openClient(server.port, query, 32, people)
      await client.run(roundMs / 4)
      const before = threadSeconds(server.pid)
      const start = performance.now()
      const took = (await client.run(roundMs)).sort((a, b) => a - b)
      const seconds = (performance.now() - start) / 1000
      const after = threadSeconds(server.pid)
      client.close()
      if (round === 0) continue
      figures[index]?.rates.push(took.length / seconds)
      figures[index]?.p50.push(took[took.length >> 1] ?? 0)
      figures[index]?.p99.push(took[Math.floor(took.length * 0.99)] ?? 0)
      cpu[index]?.gateway.push(((after.main - before.main) * 1000) / took.length)
      cpu[index]?.backend.push(((after.others - before.others) * 1000) / took.length)
    }
  for (const [index, { name: contender }] of running.entries()) {
    const { rates, p50, p99 } = figures[index] ?? { rates: [], p50: [], p99: [] }
    const { gateway, backend } = cpu[index] ?? { gateway: [], backend: [] }
    console.log(
      `  ${median(rates).toFixed(0).padStart(7)}/s  p50 ${median(p50).toFixed(1).padStart(6)} ms  p99 ${median(p99).toFixed(1).padStart(6)} ms  CPU ${median(gateway).toFixed(2)} + ${median(backend).toFixed(2)} ms  ${name}${running.length > 1 ? `  ${contender}` : ''}`,
    )
  }
}

/** Of the gateway's thread, and of all others: the backend's, and those that collect garbage. */
function threadSeconds(pid: number): { readonly main: number; readonly others: number } {
  let main = 0
  let others = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const fields = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    const seconds = (Number(fields[11]) + Number(fields[12])) / 100
    if (thread === String(pid)) main += seconds
    else others += seconds
  }
  return { main, others }
}

export function startStack(folder: string, dataDir: string): Promise<Running> {
  return startPinned(
    join(folder, 'src/main.ts'),
    ['serve'],
    { PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'error', ...unlimited },
    /GraphQL +http:\/\/[^:]+:(\d+)[\s\S]*Streaming/,
  )
}

/** An organization whose flows have more and more members; the tokens are `token0`, `token1`, … */
export async function makeData(): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-stack-'))
  const administration = await openAdministration({ dataDir, databaseUrl: undefined })
  await administration.addOrganization('Acme', 'acme')
  for (const slug of Object.keys(sizes)) await administration.addFlow('acme', slug, slug)
  await administration.close()
  const database = new DatabaseSync(join(dataDir, 'flowdock.db'))
  database.exec('pragma journal_mode = wal; pragma synchronous = off; begin')
  const organization = only(database, 'select id from organizations')
  const user = database.prepare(
    'insert into users (nick, name, email, disabled, created_at) values (?, ?, ?, 0, 1) returning id',
  )
  const member = database.prepare(
    'insert into organization_members (organization_id, user_id, admin) values (?, ?, 0)',
  )
  const token = database.prepare('insert into tokens (hash, user_id, created_at) values (?, ?, 1)')
  const joinFlow = database.prepare(
    'insert into flow_members (flow_id, user_id, open, disabled) select id, ?, 1, 0 from flows where slug = ?',
  )
  const ids: number[] = []
  for (let index = 0; index < sizes.huge; index += 1) {
    const { id } = user.get(`person${index}`, `Person ${index}`, `person${index}@example.com`) as {
      id: number
    }
    ids.push(id)
    member.run(organization, id)
    token.run(hashToken(`token${index}`), id)
    for (const [slug, size] of Object.entries(sizes)) if (index < size) joinFlow.run(id, slug)
  }
  database.function('sentence', (seed: unknown) =>
    Array.from({ length: 20 }, (_, index) => `word${(Number(seed) * 7919 + index * 104_729) % 997}`).join(
      ' ',
    ),
  )
  for (const [slug, size] of Object.entries(sizes)) fillFlow(database, slug, ids.slice(0, size))
  database.exec('commit; analyze')
  database.close()
  return dataDir
}

function fillFlow(database: DatabaseSync, slug: string, members: readonly number[]): void {
  const channel = only(database, `select channel_id as id from flows where slug = '${slug}'`)
  const numbers = `with recursive n (i) as (select 1 union all select i + 1 from n where i < ${messagesInFlow})`
  const first = 1000
  database.exec(`
    insert into threads (id, channel_id, title, fields_json, actions_json, activities, internal_comments,
      external_comments, initial_message, created_at, updated_at)
      ${numbers} select 'stack-${channel}-' || i, ${channel}, 'thread ' || i, '[]', '[]', 0, 1, 0, ${first} + i, i, i
      from n where i % 10 = 1;
    insert into messages (channel_id, id, event, user_id, uuid, thread_id, app, content_json, tags_json,
      attachments_json, sent)
      ${numbers} select ${channel}, ${first} + i, 'message', ${members[0]} + i % ${members.length}, 'stack-' || i,
        'stack-${channel}-' || (i - (i - 1) % 10), 'chat', json_quote(sentence(i)), '[]', '[]', i from n;
    insert into message_words (rowid, channel, words) select seq, '${channel}', content_json from messages
      where channel_id = ${channel};
    update channels set last_id = ${first + messagesInFlow} where id = ${channel}`)
}

function only(database: DatabaseSync, query: string): number {
  return (database.prepare(query).get() as { id: number }).id
}

const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0
