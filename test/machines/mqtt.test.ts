import { expect, test } from 'vitest'
import { addAccount } from '../../src/backend/flowthings/operations/accounts.ts'
import { makeTokenText } from '../../src/backend/flowthings/principal.ts'
import { makeCluster } from '../support/machines.ts'
import { brokerUrl, connectClient, uniqueTopic, untilReceived } from '../support/mosquitto.ts'
import { createClient, type Json } from '../support/things.ts'

test('two backends on one database run a task once, whichever is asked to change it or to store drops', async () => {
  const cluster = await makeCluster('PostgreSQL')
  const token = makeTokenText(32)
  const tasks = { anywhere: true }
  const start = async () => {
    const machine = await cluster.start({
      things: { port: 0, demoAccount: undefined, demoToken: undefined, tasks },
    })
    return { machine, alice: createClient(machine.things?.url ?? '', 'alice', token) }
  }
  const [a, b] = [await start(), await start()]
  await a.machine.store.write((db) => addAccount(db, 'alice', token, Date.now()))
  const topic = uniqueTopic()
  const flow = (await a.alice('POST', '/flow', { path: '/alice/in' })).body
  const sent = (await a.alice('POST', '/flow', { path: '/alice/out' })).body
  const created = async (members: object): Promise<Json> => {
    const { body } = await a.alice('POST', '/mqtt', { uri: brokerUrl, ...members })
    await expect.poll(async () => (await b.alice('GET', `/mqtt/${body.id}`)).body.status).toBe('OK')
    return body
  }
  const receiver = await created({ topic: `${topic}/in`, destination: flow.path, qos: 2 })
  await created({ topic: `${topic}/out`, source: sent.path, outputFormat: 'elems' })
  const running = () => [a, b].map(({ machine }) => machine.taskFigures()?.running)
  expect(running().toSorted()).toEqual([0, 2])
  const client = await connectClient()
  const received = await client.subscribe(`${topic}/out`)
  const read = async (): Promise<number[]> => {
    const { body } = await b.alice('GET', `/drop/${flow.id}?order=asc&limit=100`, undefined, 'v4.0')
    return body.map(({ elems }: Json) => elems.n)
  }
  const all = Array.from({ length: 20 }, (_, n) => n)
  for (const n of all) {
    await client.publish(`${topic}/in`, `{"n":${n}}`, { qos: 2 })
    await (n % 2 === 0 ? a : b).alice('POST', `/drop/${sent.id}`, { elems: { n } })
    if (n === 10) await cluster.cutConnections()
  }
  await expect.poll(read).toEqual(all)

  const other = running()[0] === 0 ? a : b
  expect((await other.alice('DELETE', `/mqtt/${receiver.id}`)).status).toBe(200)
  await expect.poll(() => running().toSorted()).toEqual([0, 1])
  // A drop that was refused while connections were cut is not sent.
  const stored = (await b.alice('GET', `/drop/${sent.id}?order=asc&limit=100`, undefined, 'v4.0')).body
  await untilReceived(received, stored.length)
  expect([...new Set(received)]).toEqual(stored.map(({ elems }: Json) => JSON.stringify(elems)))
  expect(await read()).toEqual(all)
})
