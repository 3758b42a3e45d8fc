import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openAdministration } from '../src/backend/admin/administration.ts'
import { hashToken } from '../src/backend/token-hash.ts'
import { type Running, startPinned, unlimited } from './pinned-process.ts'

/** An organization whose members all share one busy flow, unless there is none, and each one of several others. */
export interface People {
  readonly dataDir: string
  /** One for each member. */
  readonly tokens: readonly string[]
  remove(): void
}

export const busyFlow = '/flows/acme/busy'

/** The flow of every member whose index has this remainder. */
export const teamFlow = (team: number) => `/flows/acme/team-${team}`

/** @param options `teamSize`: how many members share another flow than the busy one */
export async function makePeople(count: number, { teamSize = 20, hasBusyFlow = true } = {}): Promise<People> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-people-'))
  const administration = await openAdministration({ dataDir, databaseUrl: undefined })
  await administration.addOrganization('Acme', 'acme')
  await administration.addFlow('acme', 'Busy', 'busy')
  const teams = Math.ceil(count / teamSize)
  for (let team = 0; team < teams; team += 1)
    await administration.addFlow('acme', `Team ${team}`, `team-${team}`)
  await administration.close()
  // The command for a user reads the whole organization, which takes too long for ten thousand of them.
  const database = new DatabaseSync(join(dataDir, 'flowdock.db'))
  database.exec('begin')
  const addUser = database.prepare(
    'insert into users (nick, name, email, disabled, created_at) values (?, ?, ?, 0, 1) returning id',
  )
  const addMember = database.prepare(
    'insert into organization_members (organization_id, user_id, admin) select id, ?, 0 from organizations',
  )
  const addToken = database.prepare('insert into tokens (hash, user_id, created_at) values (?, ?, 1)')
  const joinFlow = database.prepare(
    'insert into flow_members (flow_id, user_id, open, disabled) select id, ?, 1, 0 from flows where slug = ?',
  )
  const tokens = Array.from({ length: count }, (_, index) => {
    const { id } = addUser.get(`person${index}`, `Person ${index}`, `person${index}@example.com`) as {
      id: number
    }
    const token = randomBytes(16).toString('hex')
    addMember.run(id)
    addToken.run(hashToken(token), id)
    if (hasBusyFlow) joinFlow.run(id, 'busy')
    joinFlow.run(id, `team-${index % teams}`)
    return token
  })
  database.exec('commit; analyze')
  database.close()
  return { dataDir, tokens, remove: () => rmSync(dataDir, { recursive: true, force: true }) }
}

export interface Service extends Running {
  /** Posts a message to the busy flow. */
  post(content: string): Promise<void>
  postTo(flow: string, token: string, content: string): Promise<void>
  /** A figure of `/metrics`; 0 where it is missing. */
  metric(name: string): Promise<number>
}

/** The gateway with its backend in one process. @param cores where it runs; the first one unless given */
export async function startService({ dataDir, tokens }: People, cores = '0'): Promise<Service> {
  const apiUrl = /Flowdock API (http:\S+)/
  const running = await startPinned(
    '../src/main.ts',
    ['serve'],
    { PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'error', ...unlimited },
    /GraphQL +http:\/\/[^:]+:(\d+)[\s\S]*Streaming/,
    [],
    cores,
  )
  const url = apiUrl.exec(running.output())?.[1] ?? ''
  const postTo: Service['postTo'] = async (flow, token, content) => {
    const response = await fetch(`${url}${flow}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Basic ${btoa(`${token}:`)}` },
      body: JSON.stringify({ event: 'message', content }),
    })
    await response.arrayBuffer()
    if (!response.ok) throw new Error(`The backend refused a message with ${response.status}`)
  }
  return {
    ...running,
    postTo,
    post: (content) => postTo(busyFlow, tokens[0] ?? '', content),
    async metric(name) {
      const text = await (await fetch(`http://127.0.0.1:${running.port}/metrics`)).text()
      return Number(new RegExp(`^${name} ([0-9.e+]+)$`, 'm').exec(text)?.[1] ?? 0)
    },
  }
}
