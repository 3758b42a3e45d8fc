import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { type Database, openStore } from '../../src/backend/store/db.ts'
import { newEvent } from '../../src/backend/store/events.ts'
import { makeLocation } from '../support/backend.ts'

/** Two stores on one database with two channels. */
async function openTwo() {
  const location = await makeLocation()
  const stores = [await openStore(location), await openStore(location)] as const
  for (const store of stores) onTestFinished(store.close)
  const [one, other] = stores
  const add = () =>
    one.write((db) =>
      db.insertInto('channels').values({ last_id: 0 }).returning('id').executeTakeFirstOrThrow(),
    )
  const channels = [(await add()).id, (await add()).id] as const
  return { one, other, channels }
}

const event = () => newEvent({ flow_id: 'f', user_id: null, payload: '{}' })
const count = (db: Database, id: number) =>
  db
    .updateTable('channels')
    .set((set) => ({ last_id: set('last_id', '+', 1) }))
    .where('id', '=', id)
    .execute()

test('changes of two channels run at the same time, and a change of one channel waits for another of that channel', async () => {
  const { one, other, channels } = await openTwo()
  const [first, second] = channels
  const held = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const order: string[] = []
  const holding = one
    .write(
      async (_, publish) => {
        publish(event())
        begun.resolve()
        await held.promise
      },
      { channel: first },
    )
    .then(() => order.push('held'))
  await begun.promise
  const same = other
    .write((db) => count(db, first), { channel: first })
    .then(() => order.push('same channel'))
  await one.write((db) => count(db, second), { channel: second })
  order.push('other channel, here')
  const alone = other.write((db) => count(db, first)).then(() => order.push('alone'))
  held.resolve()
  await Promise.all([holding, same, alone])
  expect(order.slice(0, 2)).toEqual(['other channel, here', 'held'])
  expect(order.toSorted()).toEqual(['alone', 'held', 'other channel, here', 'same channel'])
})

test('events of transactions that run at the same time are numbered in the order of their commits, without holes', async () => {
  const { one, other, channels } = await openTwo()
  const committed: number[] = []
  const write = (index: number) =>
    (index % 2 === 0 ? one : other).write(
      async (_, publish) => {
        for (let events = 0; events <= index % 3; events += 1) publish(event())
        if (index % 11 === 0) throw new Error('refused')
      },
      {
        channel: index % 5 === 0 ? undefined : channels[index % 2],
        onCommit: (_, events) => void committed.push(...events.map(({ seq }) => seq)),
      },
    )
  const outcomes = await Promise.allSettled(Array.from({ length: 200 }, (_, index) => write(index)))
  expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(19)
  const rows = await one.reader.selectFrom('events').select('seq').orderBy('seq').execute()
  const numbers = rows.map(({ seq }) => seq)
  expect(numbers).toEqual(numbers.map((_, index) => index + 1))
  expect(committed.toSorted((a, b) => a - b)).toEqual(numbers)
})

test('a reader that has seen an event has seen all before it, while many transactions commit', async () => {
  const { one, other, channels } = await openTwo()
  let isWriting = true
  const writing = Promise.all(
    Array.from({ length: 120 }, (_, index) =>
      (index % 2 === 0 ? one : other).write(async (_, publish) => publish(event()), {
        channel: channels[index % 2],
      }),
    ),
  ).then(() => {
    isWriting = false
  })
  while (isWriting) {
    const { rows } = await sql<{ last: number; total: number }>`
      select coalesce(max(seq), 0) as last, count(*) as total from events`.execute(one.reader)
    expect(rows[0]?.total).toBe(rows[0]?.last)
  }
  await writing
})

test('a change that fails among those of other channels is undone alone, also what it sent at the same time', async () => {
  const { one, channels } = await openTwo()
  const [first, second] = channels
  const failing = one.write(
    async (db, publish) => {
      publish(event())
      await Promise.all([count(db, first), sql`select 1 / 0`.execute(db)])
    },
    { channel: first },
  )
  const working = one.write(
    async (db, publish) => {
      publish(event())
      for (let times = 0; times < 5; times += 1) await count(db, second)
    },
    { channel: second },
  )
  await expect(failing).rejects.toMatchObject({ code: '22012' })
  await working
  const rows = await one.reader.selectFrom('channels').select(['id', 'last_id']).orderBy('id').execute()
  expect(rows.slice(-2)).toEqual([
    { id: first, last_id: 0 },
    { id: second, last_id: 5 },
  ])
  expect(await one.reader.selectFrom('events').select('seq').execute()).toEqual([{ seq: 1 }])
})

test('of two changes that wait for each other, PostgreSQL ends one, and it runs again', async () => {
  const { one, other, channels } = await openTwo()
  const names = ['a', 'b']
  await one.write(async (db) => {
    for (const slug of names)
      await db
        .insertInto('organizations')
        .values({ slug, name: slug, active: 1, user_limit: 0, created_at: 0 })
        .execute()
  })
  const raise = (db: Database, slug: string) =>
    db
      .updateTable('organizations')
      .set((set) => ({ user_limit: set('user_limit', '+', 1) }))
      .where('slug', '=', slug)
      .execute()
  const met = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
  let runs = 0
  const write = (store: typeof one, index: 0 | 1, slugs: readonly string[]) =>
    store.write(
      async (db) => {
        runs += 1
        await raise(db, slugs[0] ?? '')
        met[index].resolve()
        await Promise.all(met.map(({ promise }) => promise))
        await raise(db, slugs[1] ?? '')
      },
      { channel: channels[index] },
    )
  await Promise.all([write(one, 0, names), write(other, 1, names.toReversed())])
  expect(runs).toBeGreaterThan(2)
  const rows = await one.reader.selectFrom('organizations').select('user_limit').execute()
  expect(rows).toEqual([{ user_limit: 2 }, { user_limit: 2 }])
})

test('another process may add a column to a table: reads and changes go on', async () => {
  const { one, other, channels } = await openTwo()
  const read = () => one.reader.selectFrom('channels').selectAll().where('id', '=', channels[0]).execute()
  const change = () =>
    one.write(
      async (db) => {
        await db.selectFrom('channels').selectAll().where('id', '=', channels[0]).execute()
        await count(db, channels[0])
      },
      { channel: channels[0] },
    )
  // Often enough that each of the connections has the statement.
  for (let times = 0; times < 5; times += 1) await Promise.all(Array.from({ length: 8 }, read))
  for (let times = 0; times < 10; times += 1) await change()
  await other.write(async (db) => void (await sql`alter table channels add column later bigint`.execute(db)))
  for (let times = 0; times < 5; times += 1) {
    const results = await Promise.all(Array.from({ length: 8 }, read))
    for (const rows of results) expect(rows).toEqual([{ id: channels[0], last_id: 10, later: null }])
  }
  for (let times = 0; times < 10; times += 1) await change()
  expect((await read())[0]?.last_id).toBe(20)
})
