import fc from 'fast-check'
import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { type Database, openStore, type Store } from '../../../src/backend/store/db.ts'
import {
  addCount,
  evictDrops,
  insertArrival,
  insertDrop,
  takeArrival,
} from '../../../src/backend/store/things/drop-batch.ts'
import {
  deleteDrop,
  deleteDrops,
  findDropByFhash,
  listDrops,
} from '../../../src/backend/store/things/drops.ts'
import { findFlowById } from '../../../src/backend/store/things/flows.ts'
import { makeLocation } from '../../support/backend.ts'

type Step =
  | { readonly kind: 'add'; readonly flow: string; readonly fhash: string | null }
  | { readonly kind: 'fail' | 'empty' | 'delete newest'; readonly flow: string }

const capacity = 5
const flowIds = ['f1', 'f2']

async function open(): Promise<Store> {
  const store = await openStore(await makeLocation())
  onTestFinished(store.close)
  await store.write(async (db) => {
    const account = { name: 'a', identity_id: 'i', token_hash: 'h', created_at: 0 }
    const { id: account_id } = await db
      .insertInto('things_accounts')
      .values(account)
      .returning('id')
      .executeTakeFirstOrThrow()
    for (const id of flowIds)
      await db
        .insertInto('things_flows')
        .values({
          ...{ id, account_id, path: `/a/${id}`, path_key: `/a/${id}`, capacity },
          ...{ details_json: '{}', creator_id: 'i', created_at: 0 },
        })
        .execute()
  })
  return store
}

/** @param name of the step, which its drop has as its id */
async function run(db: Database, step: Step, name: string): Promise<void> {
  const flow = await findFlowById(db, step.flow)
  if (flow === undefined) throw new Error('The flow is not there')
  const { no } = flow
  if (step.kind === 'empty') return deleteDrops(db, no)
  if (step.kind === 'delete newest') {
    const [newest] = await listDrops(db, no, { before: Number.MAX_SAFE_INTEGER }, 1)
    return newest === undefined ? undefined : deleteDrop(db, newest)
  }
  const fhash = step.kind === 'add' ? step.fhash : null
  if (fhash !== null && (await findDropByFhash(db, no, fhash)) !== undefined) return
  const { last_seq: seq, drops } = await takeArrival(db, no, 1, 1)
  expect(drops).toBe(flow.drops + 1)
  insertDrop(db, { flow_no: no, seq, id: name, fhash, created_at: 1, drop_json: '{}' })
  await evictDrops(db, no, drops - flow.capacity)
  addCount(db, 'flowDropAdded', flow.id, 1)
  await insertArrival(db, { stored_at: 1, place_json: name, drop_json: '{}' })
  if (step.kind === 'fail') throw new Error('The step fails')
}

async function readAll({ reader }: Store) {
  const tables = ['things_drops', 'things_arrivals', 'things_counts', 'things_flows'] as const
  return Promise.all(tables.map((table) => reader.selectFrom(table).selectAll().orderBy(sql`1, 2`).execute()))
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      flow: fc.constantFrom(...flowIds),
      fhash: fc.constantFrom(null, null, 'x', 'y'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('fail' as const, 'empty' as const, 'delete newest' as const),
      flow: fc.constantFrom(...flowIds),
    }),
  },
)

test('changes that share a commit leave the same drops, counts and arrivals as one after another', async () => {
  const [together, single] = [await open(), await open()]
  await fc.assert(
    fc
      .asyncProperty(fc.array(anyStep, { maxLength: 40 }), async (steps) => {
        const write = (store: Store, step: Step, index: number) =>
          store.write((db) => run(db, step, `d${index}`)).catch(() => undefined)
        await Promise.all(steps.map((step, index) => write(together, step, index)))
        for (const [index, step] of steps.entries()) await write(single, step, index)
        expect(await readAll(together)).toEqual(await readAll(single))
      })
      .afterEach(async () => {
        for (const store of [together, single])
          await store.write(async (db) => {
            for (const table of ['things_drops', 'things_arrivals', 'things_counts'] as const)
              await db.deleteFrom(table).execute()
            await db.updateTable('things_flows').set({ drops: 0, last_seq: 0, last_drop_at: 0 }).execute()
          })
      }),
    { numRuns: 30 },
  )
})

test('a change sees the drops of changes before it in its commit', async () => {
  const store = await open()
  const add = (name: string) => store.write((db) => run(db, { kind: 'add', flow: 'f1', fhash: null }, name))
  const [, , seen] = await Promise.all([
    add('d1'),
    add('d2'),
    store.write(async (db) => {
      const flow = await findFlowById(db, 'f1')
      const drops = await listDrops(db, flow?.no ?? 0, { after: 0 }, 10)
      return { count: flow?.drops, ids: drops.map(({ id }) => id) }
    }),
  ])
  expect(seen).toEqual({ count: 2, ids: ['d1', 'd2'] })
})

test('a row that the database refuses at the commit fails its own change, and no other of the commit', async () => {
  const store = await open()
  const before = await counts(store)
  const drop = { seq: 1, id: 'x', fhash: null, created_at: 1, drop_json: '{}' }
  const writes = [
    store.write(async (db) => insertDrop(db, { ...drop, flow_no: 999 })),
    store.write(async (db) => insertArrival(db, { stored_at: 1, place_json: '{}', drop_json: '{}' })),
  ]
  const results = await Promise.allSettled(writes)
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  // The error is that of the database.
  expect(results[0]).toMatchObject({ reason: { message: expect.stringMatching(/foreign key/i) } })
  expect(await counts(store)).toEqual({ drops: before.drops, arrivals: before.arrivals + 1 })
})

async function counts({ reader }: Store): Promise<{ drops: number; arrivals: number }> {
  const count = async (table: 'things_drops' | 'things_arrivals') =>
    (await reader.selectFrom(table).selectAll().execute()).length
  return { drops: await count('things_drops'), arrivals: await count('things_arrivals') }
}
