import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { createdRange, translateFilter } from '../../../src/backend/flowthings/filter/drop-conditions.ts'
import { compileFilter } from '../../../src/backend/flowthings/filter/evaluate.ts'
import { parseFilter } from '../../../src/backend/flowthings/filter/parse.ts'
import { printFilter } from '../../../src/backend/flowthings/filter/print.ts'
import type { Filter } from '../../../src/backend/flowthings/filter/syntax-tree.ts'
import {
  ScannedDrop,
  type ScanOptions,
  scanDrops,
} from '../../../src/backend/flowthings/operations/scan-drops.ts'
import { openStore, type Store } from '../../../src/backend/store/db.ts'
import type { DropRow } from '../../../src/backend/store/things/drops.ts'
import { makeLocation } from '../../support/backend.ts'
import { anyDropRow, anyFilter, testNow } from '../../support/filters.ts'

const flow = { no: 1, id: 'f551ac39bd4c6c0000000000', path: '/a/b' }
const ages = [999, 1000, 5000, 60_000]

/** A flow with drops that were created one after another, some numbers missing. */
async function openFlow(size: number): Promise<{ store: Store; rows: readonly DropRow[] }> {
  const store = await openStore(await makeLocation())
  onTestFinished(store.close)
  const drops = fc.sample(anyDropRow, { numRuns: size, seed: 7 })
  const rows = drops.map(({ drop }, index): DropRow => {
    const seq = 3 * index + 1 + (index % 2)
    return {
      ...{ flow_no: flow.no, seq, id: `d${seq.toString(16).padStart(24, '0')}` },
      fhash: index % 5 === 0 ? `key ${index}` : null,
      // Several drops share a millisecond.
      created_at: testNow - 1000 * Math.ceil((size - index) / 3),
      drop_json: JSON.stringify(drop),
    }
  })
  await store.write(async (db) => {
    const account = { name: 'a', identity_id: 'i', token_hash: 'h', created_at: 0 }
    const { id } = await db
      .insertInto('things_accounts')
      .values(account)
      .returning('id')
      .executeTakeFirstOrThrow()
    for (const no of [flow.no, 2])
      await db
        .insertInto('things_flows')
        .values({
          ...{ no, id: `f${no}`, account_id: id, path: `/a/${no}`, path_key: `/a/${no}`, capacity: 1000 },
          ...{ details_json: '{}', creator_id: 'i', created_at: 0 },
        })
        .execute()
    await db
      .insertInto('things_drops')
      .values([...rows])
      .execute()
    // Drops of another flow are not found.
    await db
      .insertInto('things_drops')
      .values(rows.map((row) => ({ ...row, flow_no: 2 })))
      .execute()
  })
  return { store, rows }
}

async function scan(store: Store, filter: Filter, options: ScanOptions): Promise<number[]> {
  const found: number[] = []
  for await (const { row } of scanDrops({ db: store.reader, now: testNow }, flow, filter, options))
    found.push(row.seq)
  return found
}

test('a scan finds the drops that match, in both orders', { timeout: 60_000 }, async () => {
  const { store, rows } = await openFlow(400)
  const narrowed = fc.tuple(anyFilter, fc.constantFrom(...ages)).map(
    ([filter, milliseconds]): Filter => ({
      kind: 'and',
      clauses: [{ kind: 'age', member: ['creationDate'], comparison: '<', milliseconds }, filter],
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.oneof(anyFilter, narrowed), fc.boolean(), async (filter, descending) => {
      const matches = compileFilter(filter, 'drop')
      const expected = rows
        .filter((row) => matches(new ScannedDrop(flow, row).subject, testNow))
        .map(({ seq }) => seq)
      expect(await scan(store, filter, { descending }), printFilter(filter)).toEqual(
        descending ? expected.toReversed() : expected,
      )
    }),
    { numRuns: 150 },
  )
})

test('an empty flow has no drops', async () => {
  const { store } = await openFlow(1)
  await store.write((db) => db.deleteFrom('things_drops').execute())
  for (const text of ['', 'a == 1', 'a =~ /x/', 'AGE < 5', 'creationDate < 5 && creationDate > 6'])
    expect(await scan(store, parseFilter(text), { descending: true })).toEqual([])
})

test('a scan that takes too long is refused', async () => {
  const { store } = await openFlow(400)
  for (const text of ['a == "no drop has this"', 'a =~ /no drop has this/'])
    await expect(scan(store, parseFilter(text), { descending: true, maxMs: -1 })).rejects.toThrow(
      'takes more than -1 ms',
    )
})

test.each([
  ['creationDate > 5 && creationDate <= 10', { from: 6, to: 10 }],
  ['creationDate == 7', { from: 7, to: 7 }],
  ['creationDate IN [3, 9, 4]', { from: 3, to: 9 }],
  ['creationDate < 5 || creationDate == 8', { from: Number.NEGATIVE_INFINITY, to: 8 }],
  ['creationDate >= 5.5 && a == 1', { from: 6, to: Number.POSITIVE_INFINITY }],
  ['AGE <= 1000', { from: testNow - 1000, to: Number.POSITIVE_INFINITY }],
  ['AGE > 1000 && room =~ /a/', { from: Number.NEGATIVE_INFINITY, to: testNow - 1001 }],
  ['NOT creationDate < 5', { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY }],
  ['creationDate < 5 || a == 1', { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY }],
  ['path == "/other"', { from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY }],
])('%s is created between %j', (text, range) => {
  const translation = translateFilter(parseFilter(text), { flowId: flow.id, path: flow.path }, testNow)
  expect(translation && createdRange(translation.condition)).toEqual(range)
})
