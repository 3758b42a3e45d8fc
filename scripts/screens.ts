/**
 * Compares three screens of a chat application: what a client asks of REST, and the one query it asks of the gateway.
 * Writes the table of `docs/screens.md` anew: `node scripts/screens.ts`.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AppHooks, startApp } from '../src/app.ts'
import { readConfig } from '../src/config.ts'

const page = new URL('../docs/screens.md', import.meta.url)
const dataDir = await mkdtemp(join(tmpdir(), 'flowdock-gateway-screens-'))
let calls: string[] = []
const hooks: AppHooks = {
  onUpstreamCall({ kind, url }) {
    const { pathname } = new URL(url)
    // The stream and the audits of credentials belong to no query.
    if (kind === 'rest' && pathname !== '/service/v1/audit') calls.push(pathname)
  },
}
const settings = { PORT: '0', LOG_LEVEL: 'silent', CALLS_PER_MINUTE: '0', REQUESTS_PER_MINUTE: '0' }
const app = await startApp(
  readConfig({
    ...{ ...settings, BACKEND_PORT: '0', DATA_DIR: dataDir },
    // The URLs in responses have the same length in every run.
    BACKEND_URL: 'https://api.team.example',
  }),
  hooks,
)
/** A gateway over the same server without its service stream, as over Flowdock itself. */
const ordinary = await startApp(readConfig({ ...settings, FLOWDOCK_API_URL: app.restUrl }), hooks)
const headers = {
  authorization: `Basic ${btoa(`${app.demoToken}:`)}`,
  'content-type': 'application/json',
}

async function rest(method: string, path: string, body?: object): Promise<string> {
  const response = await fetch(app.restUrl + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.text()
}

// A flow as teams have them: fifty messages, some of them long.
for (let index = 0; index < 50; index += 1)
  await rest('POST', '/flows/example/main/messages', {
    event: 'message',
    content: `message ${index}: ${'something somebody had to say '.repeat(1 + (index % 7))}`,
  })
await rest('POST', '/private/2/messages', { event: 'message', content: 'Are you there?' })
const threads = JSON.parse(await rest('GET', '/flows/example/engineering/threads')) as {
  id: string
  title: string
}[]
const thread = threads.find(({ title }) => title.startsWith('Polish'))?.id ?? ''

interface Screen {
  readonly name: string
  readonly rest: readonly string[]
  readonly query: string
}

const flows = ['main', 'engineering', 'support'].map((flow) => `/flows/example/${flow}`)
const screens: readonly Screen[] = [
  {
    name: 'Sidebar: flows and users, unread mentions, the last message',
    rest: ['/user', '/flows', '/private', ...flows.map((flow) => `${flow}/messages?limit=1`), '/users'],
    query: `{ viewer { nick } flows { nodes { path name unreadMentions messages(last: 1) { nodes { author { name }
      ... on ChatMessage { content } } } } } privateConversations { nodes { user { nick } unreadMentions } } }`,
  },
  {
    name: 'Flow: its name and users, the last 30 messages with authors and threads',
    rest: ['/flows/example/main', '/flows/example/main/messages?limit=30'],
    query: `{ flow(by: { path: "example/main" }) { name users { nodes { user { nick } status } }
      messages(last: 30) { nodes { id sentAt tags author { name avatarUrl } thread { id title } ... on ChatMessage { content } } } } }`,
  },
  {
    name: 'Inbox thread: an item, its status, its messages with authors',
    rest: [
      `/flows/example/engineering/threads/${thread}`,
      `/flows/example/engineering/threads/${thread}/messages?limit=30`,
      '/flows/example/engineering',
    ],
    query: `{ flow(by: { path: "example/engineering" }) { thread(databaseId: "${thread}") { title externalUrl
      status { color value } fields { label value } source { name } messages(last: 30) { nodes { sentAt author { name }
      ... on Activity { title } ... on Discussion { title body } ... on ChatMessage { content } } } } } }`,
  },
]

/** Loads a screen, and returns the bytes of the response and the paths of the calls. */
async function load({ url }: typeof app, { query }: Screen): Promise<{ bytes: number; calls: string[] }> {
  calls = []
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) })
  const answer = await response.text()
  if (answer.includes('"errors"')) throw new Error(answer)
  return { bytes: Buffer.byteLength(answer), calls: calls.sort() }
}

/** The number of calls of a load that makes the same calls as the one before it, with what the service stream keeps true in memory. */
async function countRepeated(screen: Screen): Promise<number> {
  let before: string | undefined
  for (let loads = 0; loads < 1000; loads += 1) {
    const { calls } = await load(app, screen)
    const isFromMemory = calls.includes('/service/v1/head')
    if (isFromMemory && calls.join() === before) return calls.length
    before = calls.join()
  }
  throw new Error(`The calls of "${screen.name}" differ each time`)
}

const rows: string[] = []
for (const screen of screens) {
  let restBytes = 0
  for (const path of screen.rest) restBytes += Buffer.byteLength(await rest('GET', path))
  const { bytes, calls } = await load(ordinary, screen)
  if ((await load(ordinary, screen)).calls.join() !== calls.join())
    throw new Error(`Another load of "${screen.name}" makes other calls`)
  const cells = [
    screen.name,
    `${screen.rest.length} requests, ${kilobytes(restBytes)}`,
    `1 request, ${kilobytes(bytes)}`,
    `${Math.round((100 * bytes) / restBytes)} %`,
    calls.length,
    await countRepeated(screen),
  ]
  rows.push(`| ${cells.join(' | ')} |`)
}
await ordinary.close()
await app.close()
await rm(dataDir, { recursive: true, force: true })

const table = [
  '| screen | REST | GraphQL | bytes to the client, GraphQL to REST | calls of the gateway to Flowdock | to the embedded backend, repeated |',
  '|---|---|---|---|---|---|',
  ...rows,
].join('\n')
const text = await readFile(page, 'utf8')
await writeFile(page, text.replace(/\| screen [\s\S]*?(?=\n\n|$)/, table))
console.log(table)

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`
}
