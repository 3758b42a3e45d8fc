import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { startBalancer } from '../support/balancer.ts'
import { type Forwarder, startForwarder } from '../support/forwarder.ts'
import {
  expectEachOnceInOrder,
  follow,
  send,
  startBackendProcess,
  startGateway,
  startLoad,
  subscribe,
} from '../support/load.ts'
import { engines } from '../support/machines.ts'
import { makeNatsServer } from '../support/nats.ts'
import { startPostgresPair } from '../support/postgres-server.ts'

/* Two PostgreSQL servers, of which one replicates the other, and two backends that reach the present primary through a forwarder. */

/** The longest time from the promotion of the standby until messages are acknowledged again. */
const recoveryMs = 10_000

async function sendUntilStored(url: string, content: string): Promise<void> {
  const uuid = randomUUID()
  await expect.poll(async () => (await send(url, content, uuid)) ?? 599, { interval: 50 }).toBeLessThan(300)
}

const urlOf = (port: number) => `postgres://postgres@127.0.0.1:${port}/postgres`

test.each(engines)(
  'over %s: a primary that is killed while it replicates synchronously loses nothing that was acknowledged',
  async (engine) => {
    const { primary, standby } = await startPostgresPair({ isSynchronous: true })
    const database = await startForwarder(primary.port)
    const nats = await makeNatsServer()
    await nats.start()
    const settings: Record<string, string> = engine === 'NATS' ? { NATS_URL: nats.url } : {}
    const start = () => startBackendProcess(urlOf(database.port), settings)
    const backends = await Promise.all([start(), start()])
    const urls = () => backends.map(({ url }) => url)
    const followers = Array.from({ length: 6 }, (_, index) => follow(urls, index))
    const gateway = await startGateway((await startBalancer(urls())).url)
    const subscribers = Array.from({ length: 4 }, () => subscribe(gateway))
    await expect.poll(() => followers.every(({ connections }) => connections > 0)).toBe(true)
    await expect
      .poll(() => subscribers.map(({ isLive, delivered }) => (isLive ? 'live' : delivered)))
      .toEqual(subscribers.map(() => 'live'))

    const load = startLoad(urls, { most: 300 })
    await load.reaches(120)
    await primary.kill()
    // For a while nothing listens where the database was, then there is the standby.
    database.cut()
    await standby.promote()
    database.setTarget(standby.port)
    const promotedAt = performance.now()
    const { sent } = load
    await expect.poll(() => load.sent, { interval: 5 }).toBeGreaterThan(sent)
    const recovered = performance.now() - promotedAt
    await load.stop()
    await expectEachOnceInOrder(backends[0]?.url ?? '', load, { followers, subscribers })
    expect(recovered).toBeLessThan(recoveryMs)
    expect(load.refused).toBeGreaterThan(0)
  },
  90_000,
)

test('a primary that is killed with commits that the standby does not have: every reader is told, and nothing later is lost', async () => {
  let replication: Forwarder | undefined
  const { primary, standby } = await startPostgresPair({
    isSynchronous: false,
    async throughPort(port) {
      replication = await startForwarder(port)
      return replication.port
    },
  })
  const database = await startForwarder(primary.port)
  const start = () => startBackendProcess(urlOf(database.port))
  const backends = await Promise.all([start(), start()])
  const [a, b] = backends.map(({ url }) => url) as [string, string]
  const gateway = await startGateway((await startBalancer([a, b])).url)
  const subscribers = Array.from({ length: 4 }, () => subscribe(gateway))
  await expect
    .poll(() => subscribers.map(({ isLive, delivered }) => (isLive ? 'live' : delivered)))
    .toEqual(subscribers.map(() => 'live'))
  const before = ['one', 'two', 'three']
  for (const content of before) expect(await send(a, content)).toBe(201)
  await expect
    .poll(() =>
      standby.query(
        'select count(*)::int as count from messages where content_json in (\'"one"\', \'"two"\', \'"three"\')',
      ),
    )
    .toEqual([{ count: 3 }])

  replication?.stall()
  const lost = ['lost 1', 'lost 2', 'lost 3']
  for (const content of lost) expect(await send(b, content)).toBe(201)
  for (const { delivered } of subscribers) await expect.poll(() => delivered).toEqual([...before, ...lost])
  await primary.kill()
  database.cut()
  await standby.promote()
  database.setTarget(standby.port)
  const promotedAt = performance.now()

  // Messages are written at once, under the numbers of those that were lost.
  const after = ['after 1', 'after 2', 'after 3', 'after 4', 'after 5']
  for (const content of after) await sendUntilStored(a, content)
  for (const { delivered } of subscribers)
    await expect.poll(() => delivered, { timeout: 2 * recoveryMs }).toContain('gap')
  const toldAfter = performance.now() - promotedAt
  const last = ['last 1', 'last 2']
  for (const content of last) await sendUntilStored(b, content)
  for (const { delivered } of subscribers) {
    await expect.poll(() => delivered.at(-1)).toBe('last 2')
    const gap = delivered.indexOf('gap')
    expect(delivered.slice(0, gap)).toEqual([...before, ...lost])
    // What was written before the gap was told is read from the list; what comes after it comes once, and in order.
    const rest = delivered.slice(gap + 1)
    expect(rest).toEqual([...after, ...last].slice(-rest.length))
  }
  expect(toldAfter).toBeLessThan(recoveryMs)
}, 90_000)
