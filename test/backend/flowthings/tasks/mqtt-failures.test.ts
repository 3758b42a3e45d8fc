import { expect, onTestFinished, test } from 'vitest'
import { type BackendOptions, createBackend } from '../../../../src/backend/server.ts'
import { makeFolder } from '../../../support/backend.ts'
import {
  brokerUrl,
  connectClient,
  makeBroker,
  uniqueTopic,
  untilReceived,
} from '../../../support/mosquitto.ts'
import { isListening } from '../../../support/nats.ts'
import { createClient, type Json, startThings, type ThingsClient } from '../../../support/things.ts'

/* Brokers that are away or refuse a task, backends that end, and what is not allowed. */

const token = 'AliceAliceAliceAliceAliceAlice12'
const things = { port: 0, demoAccount: undefined, demoToken: undefined }

async function start(options: Partial<BackendOptions> = {}) {
  const notices: string[] = []
  const server = await startThings({
    things: { ...things, tasks: { anywhere: true } },
    onNotice: (notice) => notices.push(notice),
    ...options,
  })
  onTestFinished(server.close)
  const flow = (await server.alice('POST', '/flow', { path: '/alice/flow' })).body
  return { ...server, notices, flow, ...helpersOf(server.alice) }
}

function helpersOf(alice: ThingsClient) {
  const taskOf = async ({ id }: Json): Promise<Json> => (await alice('GET', `/mqtt/${id}`)).body
  return {
    taskOf,
    create: async (members: object): Promise<Json> => (await alice('POST', '/mqtt', members)).body,
    /** A failure shows the task with its last error. */
    untilStatus: (task: Json, status: string) => expect.poll(() => taskOf(task)).toMatchObject({ status }),
    /** The elements of the drops of a flow, oldest first. */
    read: async ({ id }: Json): Promise<Json[]> => {
      const { body } = await alice('GET', `/drop/${id}?order=asc&limit=10000`, undefined, 'v4.0')
      return body.map(({ elems }: Json) => elems)
    },
  }
}

test('a broker that ends and starts again loses nothing of what it kept, and gets the drops of the meantime', async () => {
  const { alice, flow, notices, ...server } = await start()
  const [broker, topic] = [await makeBroker(), uniqueTopic()]
  await broker.start()
  const sent = (await alice('POST', '/flow', { path: '/alice/sent' })).body
  const receiver = await server.create({ uri: broker.url, topic, destination: flow.path, qos: 1 })
  const sender = await server.create({
    ...{ uri: broker.webSocketUrl, topic: `${topic}/sent`, source: sent.path, outputFormat: 'elems' },
  })
  for (const task of [receiver, sender]) await server.untilStatus(task, 'OK')
  await broker.kill()
  for (const task of [receiver, sender]) await server.untilStatus(task, 'ERROR')
  await expect
    .poll(async () => (await server.taskOf(receiver)).lastError)
    .toContain('127.0.0.1: connect ECONNREFUSED')
  expect(server.taskFigures()).toMatchObject({ running: 2, failing: 2 })
  for (let n = 0; n < 20; n += 1) await alice('POST', `/drop/${sent.id}`, { elems: { n } })

  await broker.start()
  const client = await connectClient(broker.url)
  const received = await client.subscribe(`${topic}/sent`)
  for (let n = 0; n < 20; n += 1) await client.publish(topic, `{"n":${n}}`)
  const all = Array.from({ length: 20 }, (_, n) => ({ n }))
  await expect.poll(() => server.read(flow)).toEqual(all)
  expect((await untilReceived(received, 20)).map((text) => JSON.parse(text))).toEqual(all)
  for (const task of [receiver, sender]) await server.untilStatus(task, 'OK')
  expect(notices).toContain(`The MQTT task ${receiver.id} reaches its broker again`)
})

test('a task logs in with its user name and password, which no log or resource shows', async () => {
  const { flow, notices, ...server } = await start()
  const [broker, topic] = [await makeBroker({ ada: 'hunter2' }), uniqueTopic()]
  await broker.start()
  const wrong = await server.create({
    ...{ uri: broker.url, topic, destination: flow.path, username: 'ada', password: 'hunter3', version: '5' },
  })
  await server.untilStatus(wrong, 'ERROR')
  expect((await server.taskOf(wrong)).lastError).toBe('127.0.0.1: Connection refused: Not authorized')
  await server.alice('PUT', `/mqtt/${wrong.id}`, { password: 'hunter2' })
  await server.untilStatus(wrong, 'OK')
  const sensor = await connectClient(broker.url, { username: 'ada', password: 'hunter2' })
  await sensor.publish(topic, 'in')
  await expect.poll(() => server.read(flow)).toEqual([{ value: 'in' }])
  const shown = JSON.stringify([
    notices,
    await server.taskOf(wrong),
    (await server.alice('GET', '/mqtt')).body,
  ])
  expect(shown).toContain('Not authorized')
  expect(shown).not.toMatch(/hunter\d/)
})

test('without the setting no task runs', async () => {
  const { flow, ...server } = await start({ things })
  const task = await server.create({ uri: brokerUrl, topic: uniqueTopic(), destination: flow.path })
  expect(task.id).toMatch(/^m/)
  expect(server.taskFigures()).toBeUndefined()
  expect(
    await server.store.reader.selectFrom('things_task_lease').select(['instance', 'beat']).execute(),
  ).toEqual([{ instance: '', beat: 0 }])
})

test('brokers at this machine and its network are refused unless the setting allows them', async () => {
  const { flow, ...server } = await start({ things: { ...things, tasks: { anywhere: false } } })
  for (const [host, shown] of [
    ['127.0.0.1', '127.0.0.1'],
    ['localhost', 'localhost'],
    ['[::1]', '::1'],
    ['10.1.2.3', '10.1.2.3'],
    // A number that the system reads as 127.0.0.1.
    ['2130706433', '2130706433'],
    ['there-is-no-such-host.invalid', 'there-is-no-such-host.invalid'],
  ] as const) {
    const uri = `${host === 'localhost' ? 'ws' : 'mqtt'}://${host}:1883`
    const task = await server.create({ uri, topic: uniqueTopic(), destination: flow.path })
    await server.untilStatus(task, 'ERROR')
    expect((await server.taskOf(task)).lastError).toBe(`${shown} is not a public address`)
  }
})

test('one of two backends runs the tasks, and the other takes over', async () => {
  const topic = uniqueTopic()
  const dataDir = await makeFolder()
  const open = async () => {
    const backend = await createBackend({
      ...{ host: '127.0.0.1', port: 0, dataDir, demoOrganization: false },
      things: { port: 0, demoAccount: 'alice', demoToken: token, tasks: { anywhere: true, beatMs: 100 } },
    })
    onTestFinished(backend.close)
    return { ...backend, alice: createClient(backend.things?.url ?? '', 'alice', token) }
  }
  const [a, b] = [await open(), await open()]
  const { create, untilStatus, read } = helpersOf(b.alice)
  const flow = (await b.alice('POST', '/flow', { path: '/alice/flow' })).body
  const sent = (await b.alice('POST', '/flow', { path: '/alice/sent' })).body
  const task = await create({ uri: brokerUrl, topic, destination: flow.path, qos: 1 })
  await create({ uri: brokerUrl, topic: `${topic}/sent`, source: sent.path, outputFormat: 'elems' })
  await untilStatus(task, 'OK')
  const client = await connectClient()
  const received = await client.subscribe(`${topic}/sent`)
  const first = () => [a, b].find(({ taskFigures }) => (taskFigures()?.running ?? 0) > 0)
  await expect.poll(() => [a, b].map(({ taskFigures }) => taskFigures()?.running).toSorted()).toEqual([0, 2])
  for (let n = 0; n < 10; n += 1) {
    await client.publish(topic, `{"n":${n}}`)
    await (n % 2 === 0 ? a : b).alice('POST', `/drop/${sent.id}`, { elems: { n } })
  }
  await expect.poll(async () => (await read(flow)).length).toBe(10)
  await untilReceived(received, 10)

  const holder = first()
  const left = holder === a ? b : a
  await holder?.close()
  for (let n = 10; n < 20; n += 1) {
    await client.publish(topic, `{"n":${n}}`)
    await left.alice('POST', `/drop/${sent.id}`, { elems: { n } })
  }
  const all = Array.from({ length: 20 }, (_, n) => ({ n }))
  const { read: readLeft } = helpersOf(left.alice)
  await expect.poll(() => readLeft(flow)).toEqual(all)
  await untilReceived(received, 20)
  expect(received.map((text) => JSON.parse(text))).toEqual(all)
})

test('a real broker is there for these tests', async () => {
  const { hostname, port } = new URL(brokerUrl)
  expect(await isListening(Number(port || 1883), hostname)).toBe(true)
})
