import { expect } from 'vitest'
import { basic, call, makeFolder } from './backend.ts'
import { run } from './process.ts'
import { addRule, listActivities, type RuleMaker } from './rules.ts'
import { createClient, type Json } from './things.ts'

const thingsToken = 'AliceAliceAliceAliceAliceAlice12'
const chatToken = '0123456789abcdef0123456789abcdef'

async function start(dataDir: string, databaseUrl: string | undefined) {
  const backend = run(['src/main.ts', 'backend'], {
    ...{ BACKEND_PORT: '0', FLOWTHINGS_PORT: '0', DATA_DIR: dataDir, FLOWDOCK_DEMO_TOKEN: chatToken },
    ...{ FLOWTHINGS_DEMO_ACCOUNT: 'alice', FLOWTHINGS_DEMO_TOKEN: thingsToken },
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
  })
  const [, url = ''] = await backend.until(/Flowdock API (http:\S+)/)
  const [, thingsUrl = ''] = await backend.until(/flowthings +(http:\S+?)\/v0/)
  const maker: RuleMaker = { url, token: chatToken, things: createClient(thingsUrl, 'alice', thingsToken) }
  return { ...backend, maker }
}

/**
 * Kills a backend again and again while clients write drops and tagged messages. Afterwards each acknowledged drop is one
 * activity, and each acknowledged message one drop.
 */
export async function killWhileRulesRun(rounds: number, databaseUrl?: string): Promise<void> {
  const dataDir = await makeFolder()
  const acknowledged = { drops: new Set<string>(), messages: new Set<string>() }
  let sensors: Json
  let incidents: Json
  for (let round = 0; round < rounds; round += 1) {
    const backend = await start(dataDir, databaseUrl)
    const { maker } = backend
    if (round === 0) {
      sensors = (await maker.things('POST', '/flow', { path: '/alice/sensors' })).body
      incidents = (await maker.things('POST', '/flow', { path: '/alice/incidents' })).body
      await addRule(maker, { kind: 'drop', title: '{{key}}', things_flow: sensors.id })
      await addRule(maker, { kind: 'tag', tag: 'incident', things_flow: incidents.id })
    }
    const killAfter = 3 + ((round * 5) % 8)
    let count = 0
    const note = (keys: Set<string>, key: string) => {
      keys.add(key)
      count += 1
      if (count === killAfter) backend.child.kill('SIGKILL')
    }
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      // A rule takes 60 a minute.
      for (let index = 0; index < 10; index += 1) {
        const key = `${round}-${writer}-${index}`
        if (writer % 2 === 0) {
          const answer = await maker
            .things('POST', `/drop/${sensors.id}`, { elems: { key } })
            .catch(() => undefined)
          if (answer?.status !== 201) return
          note(acknowledged.drops, key)
        } else {
          const body = { event: 'message', content: `${key} #incident` }
          const headers = { authorization: basic(chatToken) }
          const path = `${maker.url}/flows/example/main/messages`
          const answer = await call(path, 'POST', headers, body).catch(() => undefined)
          if (answer?.status !== 201) return
          note(acknowledged.messages, key)
        }
      }
    })
    await Promise.all(writers)
    expect(await backend.exited).toBe('SIGKILL')
  }
  const { maker } = await start(dataDir, databaseUrl)
  const titles = async () => (await listActivities(maker)).map(({ title }) => title as string)
  const texts = async () => {
    const { body } = await maker.things('GET', `/drop/${incidents.id}?limit=1000`)
    return body.map(({ elems }: Json) => elems.text.value.split(' ')[0]) as string[]
  }
  await expect.poll(async () => includesAll(await titles(), acknowledged.drops)).toBe(true)
  await expect.poll(async () => includesAll(await texts(), acknowledged.messages)).toBe(true)
  for (const all of [await titles(), await texts()]) expect(all).toHaveLength(new Set(all).size)
  expect(acknowledged.drops.size + acknowledged.messages.size).toBeGreaterThanOrEqual(rounds * 3)
}

function includesAll(found: readonly string[], expected: ReadonlySet<string>): boolean {
  const all = new Set(found)
  return [...expected].every((each) => all.has(each))
}
