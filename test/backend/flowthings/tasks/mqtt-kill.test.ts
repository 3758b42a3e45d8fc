import { expect, test } from 'vitest'
import { makeFolder } from '../../../support/backend.ts'
import { brokerUrl, connectClient, uniqueTopic } from '../../../support/mosquitto.ts'
import { run } from '../../../support/process.ts'
import { createClient, type Json, startThings } from '../../../support/things.ts'

test('messages that a backend had not stored when it was killed are delivered again; with QoS 2 each drop is stored once', async () => {
  const topic = uniqueTopic()
  const dataDir = await makeFolder()
  const prepared = await startThings({ dataDir })
  await prepared.close()
  const open = async () => {
    const backend = run(['src/main.ts', 'backend'], {
      ...{ BACKEND_PORT: '0', FLOWTHINGS_PORT: '0', DATA_DIR: dataDir, NODE_ENV: 'production' },
      ...{ FLOWTHINGS_TASKS: 'mqtt', FLOWTHINGS_TASK_TARGETS: 'any' },
    })
    const [, url = ''] = await backend.until(/flowthings +(http:\S+?)\/v0/)
    return { ...backend, alice: createClient(url, 'alice', prepared.alice.token) }
  }
  const before = await open()
  const create = async (members: object): Promise<void> => {
    const { body } = await before.alice('POST', '/mqtt', { uri: brokerUrl, ...members })
    await expect.poll(async () => (await before.alice('GET', `/mqtt/${body.id}`)).body.status).toBe('OK')
  }
  /** The numbers of the drops of a flow, oldest first. */
  const read = async ({ alice }: Pick<typeof before, 'alice'>, { id }: Json): Promise<number[]> => {
    const { body } = await alice('GET', `/drop/${id}?order=asc&limit=10000`, undefined, 'v4.0')
    return body.map(({ elems }: Json) => elems.n)
  }
  const flows: Json[] = []
  for (const qos of [0, 1, 2]) {
    const flow = (await before.alice('POST', '/flow', { path: `/alice/qos-${qos}`, capacity: 10_000 })).body
    flows.push(flow)
    if (qos > 0) await create({ topic: `${topic}/${qos}`, destination: flow.path, qos })
  }
  const [sent, once, exactly] = flows
  await create({ topic: `${topic}/sent`, source: sent.path, qos: 1, outputFormat: 'elems' })
  const client = await connectClient()
  const received = await client.subscribe(`${topic}/sent`)
  const count = 60
  const publish = async () => {
    // No more at once than the broker keeps.
    for (let n = 0; n < count; n += 1) {
      await client.publish(`${topic}/1`, `{"n":${n}}`)
      await client.publish(`${topic}/2`, `{"n":${n}}`, { qos: 2 })
    }
  }
  const publishing = publish()
  await expect.poll(async () => (await read(before, once)).length).toBeGreaterThan(5)
  const acknowledged: number[] = []
  for (let n = 0; n < 30; n += 1)
    if ((await before.alice('POST', `/drop/${sent.id}`, { elems: { n } })).status === 201)
      acknowledged.push(n)
  before.child.kill('SIGKILL')
  expect(await before.exited).toBe('SIGKILL')
  await publishing

  const after = await open()
  const all = Array.from({ length: count }, (_, n) => n)
  await expect.poll(() => read(after, exactly)).toEqual(all)
  await expect.poll(async () => new Set(await read(after, once))).toEqual(new Set(all))
  await expect
    .poll(() => [...new Set(received.map((text) => JSON.parse(text).n as number))])
    .toEqual(acknowledged)
})
