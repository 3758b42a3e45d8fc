import { expect, onTestFinished, test } from 'vitest'
import { createBackground } from '../../../src/backend/background.ts'
import { type Arrivals, createArrivals } from '../../../src/backend/flowthings/arrivals.ts'
import { toStored } from '../../../src/backend/flowthings/drop-model.ts'
import type { Arrival } from '../../../src/backend/flowthings/operations/writing.ts'
import { openStore, type Store } from '../../../src/backend/store/db.ts'
import { deleteArrivals, findOldArrival } from '../../../src/backend/store/things/arrivals.ts'
import { makeFolder } from '../../support/backend.ts'
import { makeDatabase } from '../../support/database.ts'

async function makeLocation(): Promise<string> {
  const database = await makeDatabase()
  if (database !== undefined) onTestFinished(database.drop)
  return database?.url ?? `${await makeFolder()}/flowdock.db`
}

async function open(location: string): Promise<{ store: Store; arrivals: Arrivals; lost: () => number }> {
  const store = await openStore(location)
  onTestFinished(() => store.close())
  const closing = new AbortController()
  onTestFinished(() => closing.abort())
  let lost = 0
  const arrivals = await createArrivals({
    ...{ store, background: createBackground(() => undefined), signal: closing.signal },
    onLost() {
      lost += 1
    },
  })
  return { store, arrivals, lost: () => lost }
}

function makeArrival(seq: number): Arrival {
  const drop_json = toStored(
    { elements: { values: { n: seq }, types: {} }, fhash: null, rest: {} },
    0,
    undefined,
  )
  const row = { flow_no: 1, seq, id: `d${seq}`, fhash: null, created_at: seq, drop_json }
  const flow = { id: 'f1', path: '/a/b', path_key: '/a/b', account_id: 1 }
  return { flow, row, stored: JSON.parse(drop_json) }
}

const storeAt = (store: Store, arrivals: Arrivals, now: number, seqs: readonly number[]) =>
  store.write((db) => arrivals.store(db, now, seqs.map(makeArrival)))

test('old arrivals are deleted, and the numbers go on', async () => {
  const { store, arrivals } = await open(await makeLocation())
  await storeAt(store, arrivals, 1000, [1, 2, 3])
  expect(await findOldArrival(store.reader, 1000, 10)).toBeUndefined()
  expect(await findOldArrival(store.reader, 1001, 2)).toBe(2)
  expect(await findOldArrival(store.reader, 1001, 10)).toBe(3)
  await store.write((db) => deleteArrivals(db, 3))
  const left = await store.reader.selectFrom('things_arrivals').selectAll().execute()
  expect(left).toEqual([{ seq: 3, stored_at: 1000, place_json: '', drop_json: '' }])
  expect(await findOldArrival(store.reader, 1001, 10)).toBeUndefined()
  expect((await storeAt(store, arrivals, 2000, [4])).map(({ seq }) => seq)).toEqual([4])
})

test('arrivals of another process are found by a search, and as they were written', async () => {
  const location = await makeLocation()
  const [a, b] = [await open(location), await open(location)]
  const received: Arrival[] = []
  b.arrivals.listen((arrival) => received.push(arrival))
  await storeAt(a.store, a.arrivals, 1000, [1, 2])
  await b.arrivals.catchUp()
  await expect.poll(() => received.length).toBe(2)
  expect(received.map(({ flow, row, stored }) => ({ flow, row, stored }))).toEqual([1, 2].map(makeArrival))
  expect(b.lost()).toBe(0)
})

test('a reader behind the oldest arrival gets an error, and receives later arrivals', async () => {
  const location = await makeLocation()
  const [a, b] = [await open(location), await open(location)]
  const received: number[] = []
  b.arrivals.listen(({ row }) => received.push(row.seq))
  await storeAt(a.store, a.arrivals, 1000, [1, 2, 3])
  await a.store.write((db) => deleteArrivals(db, 2))
  await b.arrivals.catchUp()
  await expect.poll(() => received).toEqual([3])
  expect(b.lost()).toBe(1)
})

test('a database that lost its newest arrivals, such as a restored backup, gives an error, too', async () => {
  const { store, arrivals, lost } = await open(await makeLocation())
  const received: number[] = []
  arrivals.listen(({ row }) => received.push(row.seq))
  arrivals.publish(await storeAt(store, arrivals, 1000, [1, 2]))
  await store.write((db) => db.deleteFrom('things_arrivals').where('seq', '=', 2).execute())
  await arrivals.catchUp()
  expect(lost()).toBe(1)
  arrivals.publish(await storeAt(store, arrivals, 1000, [2]))
  expect(received).toEqual([1, 2, 2])
})

test('a database with another arrival under a delivered number gives an error, too', async () => {
  const { store, arrivals, lost } = await open(await makeLocation())
  const received: number[] = []
  arrivals.listen(({ row }) => received.push(row.seq))
  const published = await storeAt(store, arrivals, 1000, [1, 2])
  arrivals.publish(published)
  await store.write((db) => db.deleteFrom('things_arrivals').where('seq', '=', 2).execute())
  arrivals.publish(await storeAt(store, arrivals, 1000, [7]))
  await expect.poll(lost).toBe(1)
  arrivals.publish(await storeAt(store, arrivals, 1000, [8]))
  expect(received).toEqual([1, 2, 8])
})
