import { describe, expect, onTestFinished, test } from 'vitest'
import { addAccount } from '../../src/backend/flowthings/operations/accounts.ts'
import { makeTokenText } from '../../src/backend/flowthings/principal.ts'
import type { BackendOptions } from '../../src/backend/server.ts'
import { type Cluster, engines, type Machine, makeCluster } from '../support/machines.ts'
import { createClient, type Json, type ThingsClient } from '../support/things.ts'
import { openSocket, type ThingsSocket } from '../support/things-socket.ts'

/** The log is never searched: what arrives came over the bus. */
const onlyBus = { catchUpEveryMs: 3_600_000 }
const things = { port: 0, demoAccount: undefined, demoToken: undefined }

interface Server {
  readonly machine: Machine
  readonly alice: ThingsClient
  subscribe(address: object): Promise<ThingsSocket>
}

/** Two servers of one database, with the account of Alice. */
async function startTwo(
  cluster: Cluster,
  options: Partial<BackendOptions> = onlyBus,
): Promise<[Server, Server]> {
  const token = makeTokenText(32)
  const start = async (): Promise<Server> => {
    const machine = await cluster.start({ things, ...options })
    const url = machine.things?.url ?? ''
    const alice = createClient(url, 'alice', token)
    return {
      ...{ machine, alice },
      async subscribe(address) {
        const opened = await openSocket(url, alice)
        onTestFinished(() => opened.socket.terminate())
        const { head } = await opened.ask({ object: 'drop', type: 'subscribe', ...address })
        expect(head.ok).toBe(true)
        return opened
      },
    }
  }
  const [a, b] = [await start(), await start()]
  await a.machine.store.write((db) => addAccount(db, 'alice', token, Date.now()))
  return [a, b]
}

/** Resolves when drops of one arrive at the other: before, neither may know the other. */
async function connect(a: Server, b: Server): Promise<void> {
  const flow = (await a.alice('POST', '/flow', { path: `/alice/connect-${Math.random()}` })).body
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const listening = await to.subscribe({ flowId: flow.id })
    await expect
      .poll(async () => {
        await from.alice('POST', `/drop/${flow.id}`, { elems: {} })
        return listening.events.length
      })
      .toBeGreaterThan(0)
    listening.socket.close()
  }
}

const numbersOf = ({ events }: ThingsSocket): Json[] => events.map(({ value }) => value.elems.n.value)

describe.each(engines)('two servers of flowthings on one database, over %s', (engine) => {
  test('drops of one arrive at the subscribers of the other at once, in order, each once', async () => {
    const [a, b] = await startTwo(await makeCluster(engine))
    await connect(a, b)
    const flow = (await a.alice('POST', '/flow', { path: '/alice/sensors' })).body
    const listening = await b.subscribe({ path: '/alice/sensors' })
    await listening.ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
    for (let n = 0; n < 10; n += 1) await a.alice('POST', `/drop/${flow.id}`, { elems: { n } })
    await listening.until(10)
    expect(numbersOf(listening)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    const stored = (await b.alice('GET', `/drop/${flow.id}?order=asc`)).body
    expect(listening.events.map(({ value }) => value)).toEqual(stored)
    expect(new Set(listening.events.map(({ resource }) => resource))).toEqual(new Set([flow.id]))
  })

  test('a drop that replaces another one by its fhash arrives each time', async () => {
    const [a, b] = await startTwo(await makeCluster(engine))
    await connect(a, b)
    const flow = (await a.alice('POST', '/flow', { path: '/alice/state' })).body
    const listening = await b.subscribe({ flowId: flow.id })
    for (let n = 0; n < 3; n += 1) await a.alice('POST', `/drop/${flow.id}`, { elems: { n }, fhash: 'now' })
    await listening.until(3)
    expect(listening.events.map(({ value }) => [value.version, value.elems.n.value])).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
    ])
  })

  test('a flow that stores nothing passes on what is written at the other server, however long it is', async () => {
    const [a, b] = await startTwo(await makeCluster(engine))
    await connect(a, b)
    const flow = (await a.alice('POST', '/flow', { path: '/alice/signals', capacity: 0 })).body
    const listening = await b.subscribe({ flowId: flow.id })
    for (const n of ['short', 'x'.repeat(100_000), 'last'])
      await a.alice('POST', `/drop/${flow.id}`, { elems: { n } })
    await listening.until(3)
    expect(numbersOf(listening).map((text) => text.length)).toEqual([5, 100_000, 4])
  })

  test('drops written at both arrive at both in one order, which is that of reading', async () => {
    const [a, b] = await startTwo(await makeCluster(engine))
    await connect(a, b)
    const flow = (await a.alice('POST', '/flow', { path: '/alice/both' })).body
    const listening = [await a.subscribe({ flowId: flow.id }), await b.subscribe({ flowId: flow.id })]
    await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        (n % 2 === 0 ? a : b).alice('POST', `/drop/${flow.id}`, { elems: { n } }),
      ),
    )
    for (const each of listening) await each.until(60)
    const stored = (await b.alice('GET', `/drop/${flow.id}?order=asc&limit=100`)).body
    const order = stored.map((drop: Json) => drop.elems.n.value)
    expect(order.toSorted((x: number, y: number) => x - y)).toEqual(Array.from({ length: 60 }, (_, n) => n))
    for (const each of listening) expect(numbersOf(each)).toEqual(order)
  })

  test('what a track copies arrives at the other server, too', async () => {
    const [a, b] = await startTwo(await makeCluster(engine))
    await connect(a, b)
    const [source, target] = [
      (await a.alice('POST', '/flow', { path: '/alice/source' })).body,
      (await a.alice('POST', '/flow', { path: '/alice/target' })).body,
    ]
    const track = { source: source.path, destination: target.path }
    expect((await a.alice('POST', '/track', track)).status).toBe(201)
    const listening = await b.subscribe({ flowId: target.id })
    await a.alice('POST', `/drop/${source.id}`, { elems: { n: 1 } })
    await listening.until(1)
    expect(numbersOf(listening)).toEqual([1])
  })
})

test('without a bus, drops of one arrive at the other within a second', async () => {
  const cluster = await makeCluster('NATS', 'nats://127.0.0.1:9')
  const [a, b] = await startTwo(cluster, {})
  const flow = (await a.alice('POST', '/flow', { path: '/alice/sensors' })).body
  const listening = await b.subscribe({ flowId: flow.id })
  await Promise.all(
    Array.from({ length: 40 }, (_, n) =>
      (n % 2 === 0 ? a : b).alice('POST', `/drop/${flow.id}`, { elems: { n } }),
    ),
  )
  await listening.until(40)
  const stored = (await a.alice('GET', `/drop/${flow.id}?order=asc&limit=100`)).body
  expect(numbersOf(listening)).toEqual(stored.map((drop: Json) => drop.elems.n.value))
})

test('while its database is cut off, a server misses no drop of the other one', async () => {
  const cluster = await makeCluster('PostgreSQL')
  const [a, b] = await startTwo(cluster, {})
  await connect(a, b)
  const flow = (await a.alice('POST', '/flow', { path: '/alice/sensors' })).body
  const listening = await b.subscribe({ flowId: flow.id })
  const acknowledged: number[] = []
  for (let n = 0; n < 60; n += 1) {
    if (n % 20 === 10) await cluster.cutConnections()
    if ((await a.alice('POST', `/drop/${flow.id}`, { elems: { n } })).status === 201) acknowledged.push(n)
  }
  await expect.poll(() => listening.events.length).toBeGreaterThanOrEqual(acknowledged.length)
  const stored = (await b.alice('GET', `/drop/${flow.id}?order=asc&limit=100`)).body
  const order = stored.map((drop: Json) => drop.elems.n.value)
  await expect.poll(() => numbersOf(listening)).toEqual(order)
  expect(order).toEqual(expect.arrayContaining(acknowledged))
})

test('a token that was revoked at one server ends its sockets at the other', async () => {
  const [a, b] = await startTwo(await makeCluster('PostgreSQL'))
  const token = (await a.alice('POST', '/token', { paths: { '/alice': { dropRead: true } } })).body
  const url = b.machine.things?.url ?? ''
  const opened = await openSocket(url, { account: 'alice', token: token.tokenString })
  expect((await a.alice('DELETE', `/token/${token.id}`)).status).toBe(200)
  expect(await opened.closed).toBe(1008)
})
