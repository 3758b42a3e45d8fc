import { expect, onTestFinished, test } from 'vitest'
import { createFilterCache } from '../../../../src/backend/flowthings/filter-cache.ts'
import {
  noteSentDrops,
  receiveTaskMessage,
  TaskStoppedError,
  takeTaskLease,
} from '../../../../src/backend/flowthings/operations/task-runs.ts'
import { createThings } from '../../../../src/backend/flowthings/things.ts'
import { findObject } from '../../../../src/backend/store/things/objects.ts'
import { findTaskLease } from '../../../../src/backend/store/things/task-runs.ts'
import { brokerUrl, connectClient, uniqueTopic } from '../../../support/mosquitto.ts'
import { type Json, startThings } from '../../../support/things.ts'

/* Only one backend runs a task, and only as it is now. */

const things = { port: 0, demoAccount: undefined, demoToken: undefined }

/** A backend that runs no task itself, with a task, whose messages the test stores in its place. */
async function start() {
  const server = await startThings()
  onTestFinished(server.close)
  const { store, alice } = server
  const flow = (await alice('POST', '/flow', { path: '/alice/flow' })).body
  const task = (
    await alice('POST', '/mqtt', { uri: 'mqtt://broker.example', topic: 'a', destination: flow.path })
  ).body
  const row = await findObject(store.reader, task.id)
  if (row === undefined) throw new Error('The task is not there')
  const own = createThings({
    ...{ store, filters: createFilterCache(), onScriptJobs: () => undefined, onRuleJobs: () => undefined },
    arrivals: { store: async () => [], publish: () => undefined },
  })
  const take = async (instance: string) => {
    const lease = await findTaskLease(store.reader)
    return store.write((db) => takeTaskLease(db, instance, lease))
  }
  const receive = (instance: string, n: number, packetId?: number) =>
    own.writeAsAccount(row.account_id, (writing) =>
      receiveTaskMessage(writing, { instance, task: row }, flow.path, {
        ...{ content: { drop: { elems: { n } } }, packetId },
      }),
    )
  const numbers = async (): Promise<number[]> => {
    const { body } = await alice('GET', `/drop/${flow.id}?order=asc`, undefined, 'v4.0')
    return body.map(({ elems }: Json) => elems.n)
  }
  return { ...server, flow, task, row, take, receive, numbers }
}

test('a backend stores the messages of a task only while it holds the lease', async () => {
  const { take, receive, numbers, store, row } = await start()
  await expect(receive('a', 1)).rejects.toThrow(TaskStoppedError)
  expect(await take('a')).toBe(true)
  await receive('a', 2)
  expect(await take('b')).toBe(true)
  await expect(receive('a', 3)).rejects.toThrow(TaskStoppedError)
  const sent = { flowNo: 1, position: 5, sent: 1, refused: 0, problem: undefined }
  await expect(store.write((db) => noteSentDrops(db, { instance: 'a', task: row }, sent))).rejects.toThrow(
    TaskStoppedError,
  )
  await receive('b', 4)
  expect(await numbers()).toEqual([2, 4])
})

test('of two backends that take the lease at once, one gets it', async () => {
  const { store } = await start()
  const lease = await findTaskLease(store.reader)
  const taken = await Promise.all(
    ['a', 'b', 'c'].map((instance) => store.write((db) => takeTaskLease(db, instance, lease))),
  )
  expect(taken.toSorted()).toEqual([false, false, true])
})

test.each([
  ['changed', 'PUT', { topic: 'b' }],
  ['turned off', 'PUT', { disabled: true }],
  ['deleted', 'DELETE', undefined],
])('once a task is %s, nothing more is stored that it received as it was', async (_, method, body) => {
  const { take, receive, numbers, alice, task } = await start()
  await take('a')
  await receive('a', 1)
  expect((await alice(method, `/mqtt/${task.id}`, body)).status).toBe(200)
  await expect(receive('a', 2)).rejects.toThrow(TaskStoppedError)
  expect(await numbers()).toEqual([1])
})

test('a message of QoS 2 that is delivered again makes one drop', async () => {
  const { take, receive, numbers } = await start()
  await take('a')
  await receive('a', 1, 7)
  await receive('a', 1, 7)
  await receive('a', 2, 8)
  expect(await numbers()).toEqual([1, 2])
})

test('a backend takes over the tasks of one that ended without notice', async () => {
  const server = await startThings({
    things: { ...things, tasks: { anywhere: true, beatMs: 50, silentMs: 500 } },
  })
  onTestFinished(server.close)
  const { store, alice } = server
  const lease = await findTaskLease(store.reader)
  expect(await store.write((db) => takeTaskLease(db, 'gone', lease))).toBe(true)
  const [topic, flow] = [uniqueTopic(), (await alice('POST', '/flow', { path: '/alice/flow' })).body]
  const task = (await alice('POST', '/mqtt', { uri: brokerUrl, topic, destination: flow.path })).body
  await expect.poll(async () => (await alice('GET', `/mqtt/${task.id}`)).body.status).toBe('OK')
  expect((await findTaskLease(store.reader)).instance).not.toBe('gone')
  await (await connectClient()).publish(topic, 'on')
  await expect.poll(async () => (await alice('GET', `/drop/${flow.id}`)).body.length).toBe(1)
})

test('messages past the limit of an account wait, and none is lost', async () => {
  const perMinute = 60
  const server = await startThings({
    things: { ...things, tasks: { anywhere: true } },
    traffic: { requestsPerMinute: perMinute },
  })
  onTestFinished(server.close)
  const [topic, flow] = [uniqueTopic(), (await server.alice('POST', '/flow', { path: '/alice/flow' })).body]
  await server.alice('POST', '/mqtt', { uri: brokerUrl, topic, destination: flow.path })
  const runs = server.store.reader.selectFrom('things_task_runs').select(['status', 'messages'])
  await expect.poll(() => runs.execute()).toEqual([{ status: 'OK', messages: 0 }])
  const sensor = await connectClient()
  const count = perMinute + 2
  for (let n = 0; n < count; n += 1) await sensor.publish(topic, `{"n":${n}}`)
  await expect.poll(() => runs.execute()).toEqual([{ status: 'OK', messages: count }])
})
