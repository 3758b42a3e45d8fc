import { expect } from 'vitest'
import { checkData } from '../../src/backend/admin/maintenance.ts'
import { makeFolder } from './backend.ts'
import { run } from './process.ts'
import { createClient, type Json, type ThingsClient } from './things.ts'
import { openSocket } from './things-socket.ts'

const token = 'AliceAliceAliceAliceAliceAlice12'
const writers = 16

async function start(dataDir: string, databaseUrl: string | undefined) {
  const backend = run(['src/main.ts', 'backend'], {
    ...{ BACKEND_PORT: '0', FLOWTHINGS_PORT: '0', DATA_DIR: dataDir },
    ...{ FLOWTHINGS_DEMO_ACCOUNT: 'alice', FLOWTHINGS_DEMO_TOKEN: token },
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
  })
  const [, url = ''] = await backend.until(/flowthings +(http:\S+?)\/v0/)
  return { ...backend, url, alice: createClient(url, 'alice', token) }
}

/**
 * Kills a backend again and again while 16 clients write drops, over REST and over sockets. Afterwards each acknowledged drop
 * is in its flow once, and so is what a track copied of it.
 */
export async function killUnderLoad(rounds: number, databaseUrl?: string): Promise<void> {
  const dataDir = await makeFolder()
  const acknowledged = new Map<string, Json>()
  const sent: string[] = []
  let flow: Json
  let copies: Json

  for (let round = 0; round < rounds; round += 1) {
    const backend = await start(dataDir, databaseUrl)
    const { alice, url } = backend
    if (round === 0) {
      flow = (await alice('POST', '/flow', { path: '/alice/kept', capacity: 100_000 })).body
      copies = (await alice('POST', '/flow', { path: '/alice/copied', capacity: 100_000 })).body
      await alice('POST', '/track', { source: flow.path, destination: copies.path })
    }
    const killAfter = 20 + ((round * 53) % 400)
    let count = 0
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const write = writer % 2 === 0 ? overRest(alice, flow) : await overSocket(url, alice, flow)
        for (let index = 0; ; index += 1) {
          const key = `${round}-${writer}-${index}`
          sent.push(key)
          const drop = await write({ elems: { key } })
          if (drop === undefined) return
          acknowledged.set(key, drop)
          count += 1
          if (count === killAfter) backend.child.kill('SIGKILL')
        }
      }),
    )
    expect(await backend.exited).toBe('SIGKILL')
  }

  const backend = await start(dataDir, databaseUrl)
  const read = async ({ id }: Json): Promise<Json[]> =>
    (await backend.alice('GET', `/drop/${id}?limit=100000&order=asc`)).body
  const [stored, copied] = [await read(flow), await read(copies)]
  const keyOf = ({ elems }: Json): string => elems.key.value
  const byKey = Map.groupBy(stored, keyOf)
  for (const [key, drop] of acknowledged) expect(byKey.get(key), key).toEqual([drop])
  for (const [key, drops] of byKey) expect([key, drops.length]).toEqual([key, 1])
  expect(sent).toEqual(expect.arrayContaining([...byKey.keys()]))
  expect(acknowledged.size).toBeGreaterThanOrEqual(rounds * 20)
  // A copy shares the transaction of its drop, and neither is there without the other.
  expect(copied.map(keyOf)).toEqual(stored.map(keyOf))
  expect(copied.map(({ parentDropId }) => parentDropId.dropId)).toEqual(stored.map(({ id }) => id))
  const dates = stored.map(({ creationDate }) => creationDate)
  expect(dates).toEqual(dates.toSorted((a, b) => a - b))
  expect((await backend.alice('GET', `/flow/${flow.id}`)).status).toBe(200)
  if (databaseUrl === undefined)
    expect((await checkData({ dataDir, databaseUrl: undefined })).problems).toEqual([])
}

/** Writes a drop. Resolves with what was acknowledged; undefined when nothing was. */
type Write = (body: object) => Promise<Json | undefined>

function overRest(alice: ThingsClient, flow: Json): Write {
  return async (body) => {
    const answer = await alice('POST', `/drop/${flow.id}`, body).catch(() => undefined)
    return answer?.status === 201 ? answer.body : undefined
  }
}

async function overSocket(url: string, alice: ThingsClient, flow: Json): Promise<Write> {
  // It may be killed before the socket is open.
  const socket = await openSocket(url, alice).catch(() => undefined)
  return async (value) => {
    const frame = { object: 'drop', type: 'create', flowId: flow.id, value }
    const reply = await socket?.ask(frame).catch(() => undefined)
    return reply?.head.status === 201 ? reply.body : undefined
  }
}
