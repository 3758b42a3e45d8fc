import fc from 'fast-check'
import { sql } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { translateFilter } from '../../../../src/backend/flowthings/filter/drop-conditions.ts'
import { compileFilter } from '../../../../src/backend/flowthings/filter/evaluate.ts'
import { parseFilter } from '../../../../src/backend/flowthings/filter/parse.ts'
import { printFilter } from '../../../../src/backend/flowthings/filter/print.ts'
import type { Subject } from '../../../../src/backend/flowthings/filter/subject.ts'
import type { Filter } from '../../../../src/backend/flowthings/filter/syntax-tree.ts'
import { openStore, type Store } from '../../../../src/backend/store/db.ts'
import { dropConditionSql } from '../../../../src/backend/store/things/drop-conditions.ts'
import { makeLocation } from '../../../support/backend.ts'
import { anyDropRow, anyFilter, type DropRow, testNow } from '../../../support/filters.ts'

/* What the database finds is what the evaluator finds, on SQLite and on PostgreSQL. */

const source = { flowId: 'f551ac39bd4c6c0000000000', path: '/a/b' }

async function openTable(): Promise<Store> {
  const store = await openStore(await makeLocation())
  onTestFinished(store.close)
  await store.write((db) =>
    sql`create table drops_of_test (
      id text not null, fhash text, created_at bigint not null, drop_json text not null)`.execute(db),
  )
  return store
}

async function fill(store: Store, rows: readonly DropRow[]): Promise<void> {
  const values = rows.map(
    ({ id, fhash, created_at, drop }) => sql`(${id}, ${fhash}, ${created_at}, ${JSON.stringify(drop)})`,
  )
  await store.write(async (db) => {
    await sql`delete from drops_of_test`.execute(db)
    await sql`insert into drops_of_test values ${sql.join(values)}`.execute(db)
  })
}

/** The ids that the database finds, and whether they are all that match. */
async function select(
  store: Store,
  filter: Filter,
): Promise<{ ids: string[]; isExact: boolean } | undefined> {
  const translation = translateFilter(filter, source, testNow)
  if (translation === undefined) return undefined
  const condition = dropConditionSql(store.reader, translation.condition)
  const { rows } = await sql<{
    id: string
  }>`select id from drops_of_test where ${condition} order by id`.execute(store.reader)
  return { ids: rows.map(({ id }) => id), isExact: translation.isExact }
}

function evaluate(filter: Filter, rows: readonly DropRow[]): string[] {
  const matches = compileFilter(filter, 'drop')
  return rows
    .filter(({ id, fhash, created_at, drop: { types, ...members } }) => {
      const subject = { ...source, ...members, id, creationDate: created_at, elementTypes: types }
      return matches((fhash === null ? subject : { ...subject, fhash }) as Subject, testNow)
    })
    .map(({ id }) => id)
    .sort()
}

const anyRows = fc.uniqueArray(anyDropRow, { minLength: 10, maxLength: 30, selector: ({ id }) => id })

test('random filters find the same drops in the database', { timeout: 120_000 }, async () => {
  const store = await openTable()
  const counts = { exact: 0, narrowed: 0, some: 0 }
  await fc.assert(
    fc.asyncProperty(
      anyRows,
      fc.array(anyFilter, { minLength: 20, maxLength: 20 }),
      async (rows, filters) => {
        await fill(store, rows)
        for (const filter of filters) {
          const selected = await select(store, filter)
          if (selected === undefined) continue
          const matching = evaluate(filter, rows)
          const text = printFilter(filter)
          if (selected.isExact) expect(selected.ids, text).toEqual(matching)
          else expect(selected.ids, text).toEqual(expect.arrayContaining(matching))
          counts[selected.isExact ? 'exact' : 'narrowed'] += 1
          if (matching.length > 0 && matching.length < rows.length) counts.some += 1
        }
      },
    ),
    { numRuns: 60 },
  )
  expect(counts.exact).toBeGreaterThan(200)
  expect(counts.narrowed).toBeGreaterThan(5)
  expect(counts.some).toBeGreaterThan(50)
})

test('random numbers are compared exactly', { timeout: 60_000 }, async () => {
  const store = await openTable()
  const anyDouble = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(anyDouble, { minLength: 20, maxLength: 40 }), async (numbers) => {
      const rows = numbers.map(
        (a, index): DropRow => ({
          id: `d${String(index).padStart(24, '0')}`,
          fhash: null,
          created_at: 0,
          drop: { version: 0, elems: { a } },
        }),
      )
      await fill(store, rows)
      for (const value of numbers.slice(0, 5))
        for (const comparison of ['==', '<', '>='] as const) {
          const filter: Filter = { kind: 'compare', member: ['a'], comparison, operand: { value } }
          expect((await select(store, filter))?.ids, printFilter(filter)).toEqual(evaluate(filter, rows))
        }
    }),
    { numRuns: 40 },
  )
})

test('as many clauses as are translated fit into an expression of the database', async () => {
  const store = await openTable()
  await fill(store, fc.sample(anyDropRow, 5))
  for (const text of [
    Array(199).fill('a > 1').join(' && '),
    Array(199).fill('a > 1').join(' || '),
    `${'NOT '.repeat(199)}a > 1`,
    `a IN [${Array(8000).fill(1).join()}]`,
  ])
    expect((await select(store, parseFilter(text)))?.isExact).toBe(true)
  expect(translateFilter(parseFilter(Array(200).fill('a > 1').join(' && ')), source, testNow)).toBeUndefined()
})

describe('exact in the database is', () => {
  test.each([
    'temp > 20 && room == "kitchen"',
    'NOT (temp > 20 || EXISTS alarm)',
    'room IN ["a", 1, true, null]',
    'AGE < 3600000',
    'creationDate >= 1436140800000.5',
    'path =~ /^\\/a/ && temp != 3',
    'path == "/other/flow"',
    'fhash == "today"',
    'id > "d5"',
    '',
  ])('%s', (text) => {
    expect(translateFilter(parseFilter(text), source, testNow)?.isExact).toBe(true)
  })
})

describe('narrowed by the database, and then evaluated, is', () => {
  test.each(['temp > 20 && room =~ /^k/', '(a == 1 || b == 2 && HAS date) && c CONTAINS [1]'])(
    '%s',
    (text) => {
      expect(translateFilter(parseFilter(text), source, testNow)?.isExact).toBe(false)
    },
  )
})

describe('evaluated only is', () => {
  test.each([
    'room =~ /^k/',
    'MATCHES /a/',
    'temp > 20 || room =~ /^k/',
    'NOT (temp > 20 && room =~ /^k/)',
    'temp > count',
    'temp IN [count]',
    'temp % 2 == 1',
    'tags CONTAINS ["a"]',
    'location WITHIN 5 KM OF [1,2]',
    'HAS date',
    "AGE('when') > 5",
    'AGE > 0.5',
    'creationDate.x == 1',
    'path == room',
  ])('%s', (text) => {
    expect(translateFilter(parseFilter(text), source, testNow)).toBeUndefined()
  })
})
