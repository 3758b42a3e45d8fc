import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAdministration } from '../src/backend/admin/administration.ts'
import { type Running, startPinned, unlimited } from './pinned-process.ts'

/** An organization whose members all share one busy flow, and each one of several quiet ones. */
export interface People {
  readonly dataDir: string
  /** One for each member. */
  readonly tokens: readonly string[]
  remove(): void
}

export const busyFlow = '/flows/acme/busy'
/** How many members share a quiet flow. */
const teamSize = 20

export async function makePeople(count: number): Promise<People> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flowdock-gateway-people-'))
  const administration = await openAdministration({ dataDir, databaseUrl: undefined })
  await administration.addOrganization('Acme', 'acme')
  await administration.addFlow('acme', 'Busy', 'busy')
  const teams = Math.ceil(count / teamSize)
  for (let team = 0; team < teams; team += 1)
    await administration.addFlow('acme', `Team ${team}`, `team-${team}`)
  const add = async (index: number) => {
    const email = `person${index}@example.com`
    await administration.addUser({
      ...{ nick: `person${index}`, name: `Person ${index}`, email, organization: 'acme' },
      ...{ password: undefined, id: undefined, admin: false },
    })
    await administration.addFlowUser('acme/busy', email)
    await administration.addFlowUser(`acme/team-${index % teams}`, email)
    return String((await administration.addToken(email))['token'])
  }
  const tokens: string[] = []
  for (let index = 0; index < count; index += 16)
    tokens.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(16, count - index) }, (_, each) => add(index + each)),
      )),
    )
  await administration.close()
  return { dataDir, tokens, remove: () => rmSync(dataDir, { recursive: true, force: true }) }
}

export interface Service extends Running {
  /** Posts a message to the busy flow. */
  post(content: string): Promise<void>
  /** A figure of `/metrics`; 0 where it is missing. */
  metric(name: string): Promise<number>
}

/** The gateway with its backend in one process, on the first core. */
export async function startService({ dataDir, tokens }: People): Promise<Service> {
  const apiUrl = /Flowdock API (http:\S+)/
  const running = await startPinned(
    '../src/main.ts',
    ['serve'],
    { PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'error', ...unlimited },
    /GraphQL +http:\/\/[^:]+:(\d+)[\s\S]*Streaming/,
  )
  const url = apiUrl.exec(running.output())?.[1] ?? ''
  const authorization = `Basic ${btoa(`${tokens[0]}:`)}`
  return {
    ...running,
    async post(content) {
      const response = await fetch(`${url}${busyFlow}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ event: 'message', content }),
      })
      await response.arrayBuffer()
      if (!response.ok) throw new Error(`The backend refused a message with ${response.status}`)
    },
    async metric(name) {
      const text = await (await fetch(`http://127.0.0.1:${running.port}/metrics`)).text()
      return Number(new RegExp(`^${name} ([0-9.e+]+)$`, 'm').exec(text)?.[1] ?? 0)
    },
  }
}
