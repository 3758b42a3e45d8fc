import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startApp } from '../../src/app.ts'
import { createLiveClient, type LiveEvent } from '../../src/client/index.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { liveMembers, testConfig } from '../support/app.ts'
import { startTestBackend } from '../support/backend.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { createRandom } from '../support/query-generator.ts'

/*
 * The promise of the live stream: joined over cut lines on either side and restarts of the gateway, what a client hears is
 * the log. `CUTS=1000 EVENTS=100000` for a long run; `SEED` repeats one.
 */

const wantedCuts = Number(process.env['CUTS'] ?? 100)
const wantedEvents = Number(process.env['EVENTS'] ?? wantedCuts)
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

interface Heard extends LiveEvent {
  readonly message?: { readonly content?: string }
}

const query = `subscription { flowEvents(input: { flows: [{ path: "example/main" }, { path: "example/engineering" }] }) {
  __typename cursor ... on MessageAdded { message { ... on ChatMessage { content } } } } }`

test(
  `over ${wantedCuts} cuts and restarts nothing is lost, repeated or out of order (SEED=${seed})`,
  async () => {
    const random = createRandom(seed)
    const backend = await startTestBackend()
    onTestFinished(backend.close)
    const upstream = await startFaultProxy(backend.url, random)
    onTestFinished(upstream.close)
    const startGateway = () => startApp(testConfig(upstream.url), { log: createLogger('silent') })
    let gateway = await startGateway()
    const front = await startFaultProxy(gateway.url, random)
    onTestFinished(async () => {
      await gateway.close()
      await front.close()
    })

    const listeners = await Promise.all(
      (['Ada', 'Ben', 'Ben'] as const).map(async (nick) => {
        const client = createLiveClient({
          ...{ url: `${front.url}/graphql`, token: await backend.token(nick), webSocketImpl: WebSocket },
        })
        const heard: Heard[] = []
        const gaps: LiveEvent[] = []
        const done = (async () => {
          for await (const event of client.listen<Heard>({ query, onGap: (gap) => gaps.push(gap) }))
            heard.push(event)
        })()
        onTestFinished(async () => {
          client.close()
          await done
        })
        return { heard, gaps }
      }),
    )
    const flows = ['main', 'engineering']
    let sent = 0
    const say = async () => {
      sent += 1
      const path = `/flows/example/${flows[sent % 2]}/messages`
      const { status } = await backend.as('Ada')('POST', path, {
        ...{ event: 'message', content: `${sent} „ü😀“`, uuid: `resume-${sent}` },
      })
      expect(status).toBe(201)
    }
    // Everybody hears something before it begins, so that everybody has a place to go on from.
    while (listeners.some(({ heard }) => heard.length === 0)) await say()

    let restarts = 0
    while (upstream.cuts + front.cuts < wantedCuts || sent < wantedEvents) {
      for (let count = 0; count < wantedEvents / wantedCuts; count += 1) await say()
      const dice = random()
      if (dice < 0.35) upstream.cut()
      else if (dice < 0.7) front.cut()
      else if (dice < 0.74) {
        const proxy = random() < 0.5 ? upstream : front
        proxy.refuse(random() < 0.5 ? 'reset' : 'unavailable')
        for (let index = 0; index < 5; index += 1) await say()
        proxy.refuse(undefined)
      } else if (dice < 0.745 || (restarts === 0 && upstream.cuts + front.cuts > wantedCuts / 2)) {
        restarts += 1
        const old = gateway
        gateway = await startGateway()
        front.setTarget(gateway.url)
        await old.close()
      }
      // Lines come back while others are cut, and often enough all of them are there.
      if (random() < 0.2) await new Promise((resolve) => setTimeout(resolve, 300 * random()))
    }

    const last = `${sent} „ü😀“`
    const contents = (heard: readonly Heard[]) => heard.flatMap(({ message }) => message?.content ?? [])
    for (const { heard } of listeners)
      await expect.poll(() => contents(heard).at(-1), { timeout: 60_000 }).toBe(last)
    const all = await Promise.all(
      flows.map(async (flow) => {
        const list: { content: string }[] = []
        for (let since = 0; ; ) {
          const { json } = await backend.as('Ada')(
            'GET',
            `/flows/example/${flow}/messages?event=message&sort=asc&limit=100&since_id=${since}`,
          )
          list.push(...json)
          if (json.length < 100) return list
          since = json.at(-1).id
        }
      }),
    )
    const log = all
      .flat()
      .map(({ content }) => content)
      .filter((content) => /^\d+ „/.test(content))
      .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
    for (const { heard, gaps } of listeners) {
      expect(gaps).toEqual([])
      const told = contents(heard)
      expect(told).toEqual(log.slice(log.length - told.length))
      // The first it heard is one of the first.
      expect(log.length - told.length).toBeLessThan(50)
    }
    expect(restarts).toBeGreaterThan(0)
  },
  60_000 + wantedCuts * 1000 + wantedEvents * 20,
)

test('a subscription that is cut off before its first event loses nothing', async () => {
  const backend = await startTestBackend()
  onTestFinished(backend.close)
  const startGateway = () => startApp(testConfig(backend.url), { log: createLogger('silent') })
  let gateway = await startGateway()
  const front = await startFaultProxy(gateway.url, createRandom(1))
  onTestFinished(async () => {
    await gateway.close()
    await front.close()
  })
  const say = (content: string) =>
    backend.as('Ada')('POST', '/flows/example/main/messages', { event: 'message', content })
  const client = createLiveClient({
    ...{ url: `${front.url}/graphql`, token: await backend.token('Ben'), webSocketImpl: WebSocket },
  })
  const events = client.listen<Heard>({
    query: `subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) {
      __typename cursor ... on MessageAdded { message { ... on ChatMessage { content } } } } }`,
  })
  const first = events.next()
  onTestFinished(() => client.close())
  await expect.poll(() => liveMembers(gateway)).toBe(1)

  await gateway.close()
  await say('sent meanwhile')
  gateway = await startGateway()
  front.setTarget(gateway.url)

  expect((await first).value).toMatchObject({ message: { content: 'sent meanwhile' } })
})
