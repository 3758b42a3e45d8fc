import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { makeId } from '../../../../src/backend/flowthings/ids.ts'
import { findAccount } from '../../../../src/backend/store/things/accounts.ts'
import { brokerUrl, connectClient, uniqueTopic, untilReceived } from '../../../support/mosquitto.ts'
import { type Json, startThings, type TestThings, type ThingsClient } from '../../../support/things.ts'

/* Tasks of MQTT, with a real broker. */

const things = { port: 0, demoAccount: undefined, demoToken: undefined }

let server: TestThings
let alice: ThingsClient
const notices: string[] = []
let flows = 0

beforeAll(async () => {
  server = await startThings({
    things: { ...things, tasks: { anywhere: true } },
    onNotice: (notice) => notices.push(notice),
    // PostgreSQL is searched for changed tasks.
    catchUpEveryMs: 50,
  })
  alice = server.alice
})
afterAll(() => server.close())

async function makeFlow(members: object = {}): Promise<Json> {
  flows += 1
  return (await alice('POST', '/flow', { path: `/alice/flow-${flows}`, ...members })).body
}

async function makeTask(members: object): Promise<Json> {
  const { status, body, text } = await alice('POST', '/mqtt', { uri: brokerUrl, ...members })
  expect([status, text]).toEqual([201, expect.anything()])
  onTestFinished(async () => void (await alice('DELETE', `/mqtt/${body.id}`)))
  return body
}

/** Waits until a task has a status, and shows it. */
async function untilStatus(task: Json, status: string): Promise<Json> {
  await expect.poll(async () => (await alice('GET', `/mqtt/${task.id}`)).body.status).toBe(status)
  return (await alice('GET', `/mqtt/${task.id}`)).body
}

/** The drops of a flow, oldest first. */
async function dropsOf(flow: Json): Promise<Json[]> {
  return (await alice('GET', `/drop/${flow.id}?order=asc&limit=1000`, undefined, 'v4.0')).body
}

async function untilDrops(flow: Json, count: number): Promise<Json[]> {
  await expect.poll(async () => (await dropsOf(flow)).length).toBeGreaterThanOrEqual(count)
  return dropsOf(flow)
}

describe('a task with a destination', () => {
  test('adds a drop for each message of its topic, in their order', async () => {
    const [flow, topic] = [await makeFlow(), uniqueTopic()]
    const task = await makeTask({ destination: flow.path, topic: `${topic}/+/temp`, qos: 1 })
    await untilStatus(task, 'OK')
    const sensor = await connectClient()
    await sensor.publish(`${topic}/kitchen/temp`, '{"celsius": 21.5}')
    await sensor.publish(`${topic}/hall/temp`, '{"elems": {"celsius": 19}, "location": {"lat": 1, "lon": 2}}')
    await sensor.publish(`${topic}/hall/light`, '{"of": "another topic"}')
    await sensor.publish(`${topic}/hall/temp`, '18.5')
    const drops = await untilDrops(flow, 3)
    expect(drops).toEqual([
      expect.objectContaining({ elems: { celsius: 21.5 }, topic: `${topic}/kitchen/temp`, taskId: task.id }),
      expect.objectContaining({ elems: { celsius: 19 }, location: { lat: 1, lon: 2 } }),
      expect.objectContaining({ elems: { value: 18.5 }, topic: `${topic}/hall/temp` }),
    ])
    expect(await untilStatus(task, 'OK')).toMatchObject({
      runCt: 3,
      refusedCt: 0,
      lastRun: expect.any(Number),
    })
  })

  test.each([
    ['3.1', 1],
    ['3.1.1', 0],
    ['3.1.1', 2],
    ['5', 1],
    ['5', 2],
  ] as const)('works with version %s of the protocol and QoS %i', async (version, qos) => {
    const [flow, topic] = [await makeFlow(), uniqueTopic()]
    await untilStatus(await makeTask({ destination: flow.path, topic, qos, version }), 'OK')
    const sensor = await connectClient()
    for (let n = 0; n < 15; n += 1) await sensor.publish(topic, `{"n": ${n}}`, { qos: 2 })
    const drops = await untilDrops(flow, 15)
    expect(drops.map(({ elems }) => elems.n)).toEqual(Array.from({ length: 15 }, (_, n) => n))
  })

  test.each(['3.1.1', '5'])('counts what makes no drop, and goes on, with version %s', async (version) => {
    const [flow, topic] = [await makeFlow({ filter: 'EXISTS n' }), uniqueTopic()]
    const task = await makeTask({ destination: flow.path, topic, version })
    await untilStatus(task, 'OK')
    const sensor = await connectClient()
    await sensor.publish(topic, '')
    await sensor.publish(topic, '{"m": 1}')
    await sensor.publish(topic, '{"elems": {"n": {"type": "date", "value": "noon"}}}')
    await sensor.publish(topic, Buffer.alloc(300 * 1024, 'x'))
    await sensor.publish(topic, '{"n": 1}')
    expect((await untilDrops(flow, 1)).map(({ elems }) => elems)).toEqual([{ n: 1 }])
    const { refusedCt, lastError } = await untilStatus(task, 'OK')
    expect([refusedCt, lastError]).toEqual([4, 'Expected a message to have at most 262144 bytes'])
    expect(notices.filter((notice) => notice.includes(task.id))).toEqual([
      `The MQTT task ${task.id} refused a message of the topic "${topic}": The message is empty`,
    ])
  })

  test('does not end for a message that is far too long, which a broker would send again and again', async () => {
    const [flow, topic] = [await makeFlow(), uniqueTopic()]
    const task = await makeTask({ destination: flow.path, topic, qos: 2 })
    await untilStatus(task, 'OK')
    const sensor = await connectClient()
    await sensor.publish(topic, Buffer.alloc(3 * 1024 * 1024, 'x'), { qos: 2 })
    await sensor.publish(topic, 'short', { qos: 2 })
    expect((await untilDrops(flow, 1)).map(({ elems }) => elems)).toEqual([{ value: 'short' }])
    expect((await untilStatus(task, 'OK')).refusedCt).toBe(1)
  })

  test('keeps its messages at the broker while the flow is not there', async () => {
    const [flow, topic] = [await makeFlow(), uniqueTopic()]
    const task = await makeTask({ destination: flow.path, topic })
    await untilStatus(task, 'OK')
    expect((await alice('DELETE', `/flow/${flow.id}`)).status).toBe(200)
    const sensor = await connectClient()
    await sensor.publish(topic, 'kept')
    expect((await untilStatus(task, 'ERROR')).lastError).toContain(
      `There is no flow at the path "${flow.path}"`,
    )
    const again = (await alice('POST', '/flow', { path: flow.path })).body
    expect((await untilDrops(again, 1)).map(({ elems }) => elems)).toEqual([{ value: 'kept' }])
  })

  test('has no more messages once it is turned off, and none of what was sent meanwhile', async () => {
    const [flow, topic] = [await makeFlow(), uniqueTopic()]
    const task = await makeTask({ destination: flow.path, topic, qos: 1 })
    await untilStatus(task, 'OK')
    const sensor = await connectClient()
    await sensor.publish(topic, 'before')
    await untilDrops(flow, 1)
    const running = server.taskFigures()?.running ?? 0
    await alice('PUT', `/mqtt/${task.id}`, { disabled: true })
    await expect.poll(() => server.taskFigures()?.running).toBe(running - 1)
    await sensor.publish(topic, 'meanwhile')
    await alice('PUT', `/mqtt/${task.id}`, { disabled: false })
    await expect.poll(() => server.taskFigures()?.running).toBe(running)
    await expect
      .poll(async () => {
        await sensor.publish(topic, 'after')
        return (await dropsOf(flow)).length
      })
      .toBeGreaterThan(1)
    expect((await dropsOf(flow)).map(({ elems }) => elems.value).slice(0, 2)).toEqual(['before', 'after'])
  })

  test('receives another topic once it is changed, and not the earlier one', async () => {
    const [flow, before, after] = [await makeFlow(), uniqueTopic(), uniqueTopic()]
    const task = await makeTask({ destination: flow.path, topic: before })
    await untilStatus(task, 'OK')
    const sensor = await connectClient()
    expect((await alice('PUT', `/mqtt/${task.id}`, { topic: after })).status).toBe(200)
    await expect
      .poll(async () => {
        await sensor.publish(before, 'before')
        await sensor.publish(after, 'after')
        return (await dropsOf(flow)).length
      })
      .toBeGreaterThan(1)
    expect(new Set((await dropsOf(flow)).map(({ elems }) => elems.value))).toEqual(new Set(['after']))
  })
})

describe('a task with a source', () => {
  test('sends the drops of its flow, in their order, whole', async () => {
    const [flow, topic] = [await makeFlow(), uniqueTopic()]
    await alice('POST', `/drop/${flow.id}`, { elems: { n: -1 } })
    await makeTask({ source: flow.path, topic, qos: 1 })
    const received = await (await connectClient()).subscribe(topic)
    for (let n = 0; n < 30; n += 1) await alice('POST', `/drop/${flow.id}`, { elems: { n } })
    await untilReceived(received, 30)
    expect(received.map((text) => JSON.parse(text))).toEqual((await dropsOf(flow)).slice(1))
  })

  test.each([
    ['3.1', 0],
    ['3.1.1', 2],
    ['5', 0],
    ['5', 1],
    ['5', 2],
  ] as const)(
    'works with version %s of the protocol and QoS %i, and sends only elements',
    async (version, qos) => {
      const [flow, topic] = [await makeFlow(), uniqueTopic()]
      const received = await (await connectClient()).subscribe(topic)
      await makeTask({ source: flow.path, topic, qos, version, outputFormat: 'elems' })
      await alice('POST', `/drop/${flow.id}`, { elems: { at: { type: 'date', value: 5 } } })
      await alice('POST', `/drop/${flow.id}`, { elems: { n: 9007199254740 } })
      expect(await untilReceived(received, 2)).toEqual(['{"at":5}', '{"n":9007199254740}'])
    },
  )

  test('sends what replaces another drop, and what its flow does not store', async () => {
    const [flow, volatile] = [await makeFlow(), await makeFlow({ capacity: 0 })]
    const topics = [uniqueTopic(), uniqueTopic()] as const
    const client = await connectClient()
    const received = [await client.subscribe(topics[0]), await client.subscribe(topics[1])] as const
    for (const [index, { path }] of [flow, volatile].entries())
      await untilStatus(await makeTask({ source: path, topic: topics[index], outputFormat: 'elems' }), 'OK')
    for (let n = 0; n < 5; n += 1) {
      await alice('POST', `/drop/${flow.id}`, { elems: { n }, fhash: 'state' })
      await alice('POST', `/drop/${volatile.id}`, { elems: { n } })
      // One after the other: of two that replace each other at once, the later one may be sent alone.
      await untilReceived(received[0], n + 1)
      await untilReceived(received[1], n + 1)
    }
    const all = [0, 1, 2, 3, 4].map((n) => `{"n":${n}}`)
    expect(received).toEqual([all, all])
  })

  test('sends nothing of the flow that another account has at the same path', async () => {
    const [path, topic] = [`/common/flow-${flows}`, uniqueTopic()]
    const other = (await alice('POST', '/flow', { path })).body
    const carol = await server.addAccount('carol')
    const own = (await carol('POST', '/flow', { path, capacity: 0 })).body
    const received = await (await connectClient()).subscribe(topic)
    const members = { uri: brokerUrl, source: path, topic, outputFormat: 'elems' }
    const task = (await carol('POST', '/mqtt', members)).body
    onTestFinished(async () => void (await carol('DELETE', `/mqtt/${task.id}`)))
    await expect.poll(async () => (await carol('GET', `/mqtt/${task.id}`)).body.status).toBe('OK')
    for (let n = 0; n < 3; n += 1) await alice('POST', `/drop/${other.id}`, { elems: { n }, fhash: 'state' })
    await carol('POST', `/drop/${own.id}`, { elems: { n: 'own' } })
    expect(await untilReceived(received, 1)).toEqual(['{"n":"own"}'])
  })

  test('leaves out the drops of the time in which it is turned off', async () => {
    const [flow, topic] = [await makeFlow(), uniqueTopic()]
    const received = await (await connectClient()).subscribe(topic)
    const task = await makeTask({ source: flow.path, topic, outputFormat: 'elems', disabled: true })
    await alice('POST', `/drop/${flow.id}`, { elems: { n: 1 } })
    await alice('PUT', `/mqtt/${task.id}`, { disabled: false })
    await alice('POST', `/drop/${flow.id}`, { elems: { n: 2 } })
    expect(await untilReceived(received, 1)).toEqual(['{"n":2}'])
  })
})

describe('messages that would go round', () => {
  test('two tasks that would send what they receive are refused', async () => {
    const [flow, topic] = [await makeFlow(), uniqueTopic()]
    const first = await makeTask({ destination: flow.path, topic: `${topic}/#` })
    const second = {
      uri: `${brokerUrl.toUpperCase().replace('MQTT', 'tcp')}`,
      topic: `${topic}/a`,
      source: flow.path,
    }
    const { status, head } = await alice('POST', '/mqtt', second)
    expect([status, head.errors]).toEqual([
      400,
      [`The task ${first.id} and this one would send each other's messages without an end`],
    ])
    const other = await makeTask({ ...second, topic: `other/${topic}` })
    expect((await alice('PUT', `/mqtt/${other.id}`, { topic: `${topic}/b` })).status).toBe(400)
  })

  test('a drop is not sent to the topic that it came from by way of tracks', async () => {
    const [inward, outward, topic] = [await makeFlow(), await makeFlow(), uniqueTopic()]
    const js = 'function (drop) { return {elems: {copied: drop.elems.value}} }'
    await alice('POST', '/track', { source: inward.path, destination: outward.path, js }, 'v4.0')
    const receiver = await makeTask({ destination: inward.path, topic })
    const sender = await makeTask({ source: outward.path, topic })
    for (const task of [receiver, sender]) await untilStatus(task, 'OK')
    const client = await connectClient()
    const received = await client.subscribe(topic)
    await client.publish(topic, 'round')
    await expect.poll(async () => (await alice('GET', `/mqtt/${sender.id}`)).body.refusedCt).toBe(1)
    expect(received).toEqual(['round'])
    expect((await dropsOf(outward))[0]).toMatchObject({ elems: { copied: 'round' }, taskId: receiver.id })
    expect((await untilStatus(sender, 'OK')).lastError).toBe(
      `The drop comes from the task ${receiver.id}, which would receive it again`,
    )
  })
})

describe('a task is refused', () => {
  test.each([
    [
      'with credentials in its URI',
      { uri: 'mqtt://ada:secret@broker.example' },
      'they are "username" and "password"',
    ],
    ['without a host', { uri: 'mqtt:///topic' }, 'Expected "uri"'],
    ['with a topic that no broker accepts', { topic: 'a/#/b' }, 'Expected "topic"'],
    ['that sends to a filter', { destination: undefined, source: '/alice/a', topic: 'a/+' }, 'no "+" or "#"'],
    ['with an unknown version', { version: '4' }, 'to be 3.1, 3.1.1 or 5'],
    ['with an unknown format', { inputFormat: 'xml' }, 'to be json or text'],
    ['with a password that is no text', { password: 5 }, 'Expected "password"'],
  ])('%s', async (_, members, problem) => {
    await alice('POST', '/flow', { path: '/alice/a' })
    const task = { uri: brokerUrl, topic: 'a', destination: '/alice/a', ...members }
    const { status, head } = await alice('POST', '/mqtt', task)
    expect([status, head.errors.join()]).toEqual([400, expect.stringContaining(problem)])
  })
})

test('the password of a task is stored and not shown', async () => {
  const [flow, topic] = [await makeFlow(), uniqueTopic()]
  const task = await makeTask({
    destination: flow.path,
    topic,
    username: 'ada',
    password: 'hunter2',
    disabled: true,
  })
  const { text } = await alice('PUT', `/mqtt/${task.id}`, { description: 'still with a password' })
  for (const shown of [JSON.stringify(task), text, (await alice('GET', '/mqtt')).text])
    expect(shown).not.toContain('hunter2')
  const rows = await server.store.reader
    .selectFrom('things_objects')
    .selectAll()
    .where('id', '=', task.id)
    .execute()
  expect(JSON.parse(rows[0]?.object_json ?? '')).toMatchObject({ username: 'ada', password: 'hunter2' })
})

test('an account runs 20 tasks; the next one runs when one is deleted', async () => {
  const bob = await server.addAccount('bob')
  const [topic, flow] = [uniqueTopic(), (await bob('POST', '/flow', { path: '/bob/flow' })).body]
  const tasks: Json[] = []
  for (let n = 0; n < 21; n += 1)
    tasks.push(
      (await bob('POST', '/mqtt', { uri: brokerUrl, topic: `${topic}/${n}`, source: flow.path })).body,
    )
  const statusOf = async (task: Json) => (await bob('GET', `/mqtt/${task.id}`)).body
  await expect.poll(async () => (await statusOf(tasks[20])).status).toBe('ERROR')
  expect((await statusOf(tasks[20])).lastError).toBe('More than 20 tasks of the account are turned on')
  await bob('DELETE', `/mqtt/${tasks[0].id}`)
  await expect.poll(async () => (await statusOf(tasks[20])).status).toBe('OK')
})

test('the tasks of one account, of which there may be thousands, leave those of others alone', async () => {
  const many = await server.addAccount('many')
  const account = (await findAccount(server.store.reader, many.account))?.id ?? 0
  const now = Date.now()
  const rowOf = (disabled: boolean, n: number) => ({
    ...{ id: makeId('mqtt', now), kind: 'mqtt', account_id: account, created_at: now, subject: null },
    expires_at: null,
    object_json: JSON.stringify({
      ...{ uri: brokerUrl, topic: `many/${n}`, source: '/many/none', periodicity: 60_000, disabled },
    }),
  })
  const rows = [...Array(1000).keys()].flatMap((n) => [rowOf(true, n), ...(n < 30 ? [rowOf(false, n)] : [])])
  await server.store.write((db) => db.insertInto('things_objects').values(rows).execute())
  onTestFinished(async () => {
    await server.store.write((db) =>
      db.deleteFrom('things_objects').where('account_id', '=', account).execute(),
    )
  })
  const flow = await makeFlow()
  await untilStatus(await makeTask({ source: flow.path, topic: uniqueTopic() }), 'OK')
})
