import { expect, test } from 'vitest'
import { type Batch, type Execute, TransactionState } from '../../src/backend/store/transaction-state.ts'

/** A state whose statements are noted. */
function makeState() {
  const sent: string[] = []
  const state = new TransactionState((sql) => {
    sent.push(sql)
    return [{ number: sent.length }]
  })
  return { state, sent }
}

class Words implements Batch {
  readonly tables = ['words']
  rows: string[] = []

  flush(execute: Execute): void {
    if (this.rows.length > 0) execute(`insert words ${this.rows.join(' ')}`, [])
    this.rows = []
  }
}

test('the rows of a batch are written before a statement that names its table, and not before others', () => {
  const { state, sent } = makeState()
  state.batch(Words, undefined).rows.push('a')
  state.execute('update "flows" set "name" = ?')
  state.batch(Words, undefined).rows.push('b')
  state.execute('select * from "words"')
  state.execute('select * from "words"')
  expect(sent).toEqual([
    'update "flows" set "name" = ?',
    'insert words a b',
    'select * from "words"',
    'select * from "words"',
  ])
})

test('a savepoint and a commit come after the rows of all batches', () => {
  const { state, sent } = makeState()
  for (const sql of ['savepoint job', 'release job', 'commit']) {
    state.batch(Words, undefined).rows.push(sql)
    state.execute(sql)
  }
  expect(sent).toEqual([
    ...['insert words savepoint job', 'savepoint job', 'insert words release job', 'release job'],
    ...['insert words commit', 'commit'],
  ])
})

test('rows of a batch that are forgotten, as after a rollback, are not written', () => {
  const { state, sent } = makeState()
  state.batch(Words, undefined).rows.push('a')
  state.forget()
  state.execute('commit')
  expect(sent).toEqual(['commit'])
})

test('equal reads are sent once, until something writes to one of their tables', () => {
  const { state, sent } = makeState()
  const read = () => state.read('select * from "users" join "tokens"', [1])
  const first = read()
  expect(read()).toBe(first)
  state.execute('insert into "flows" values (?)')
  expect(read()).toBe(first)
  expect(state.read('select * from "users" join "tokens"', [2])).not.toBe(first)
  state.execute('update "users" set "name" = ?')
  expect(read()).not.toBe(first)
  expect(sent).toHaveLength(5)
})

test.for(['delete from "flows"', 'rollback to job', 'with x as (select 1) update "flows" set "name" = 1'])(
  'all reads are forgotten after %o, which may change more than it names',
  (sql) => {
    const { state } = makeState()
    const first = state.read('select * from "users"', [])
    state.execute(sql)
    expect(state.read('select * from "users"', [])).not.toBe(first)
  },
)

test('reads are kept for later transactions while no other connection commits', () => {
  const { state } = makeState()
  const read = () => state.readKept('select * from "users"', [1])
  state.begin(1)
  const first = read()
  state.begin(1)
  expect(read()).toBe(first)
  state.begin(2)
  expect(read()).not.toBe(first)
})

test('no read is kept where it is unknown whether another connection has committed', () => {
  const { state } = makeState()
  const read = () => state.readKept('select * from "users"', [1])
  state.begin(undefined)
  const first = read()
  expect(read()).toBe(first)
  state.begin(undefined)
  expect(read()).not.toBe(first)
})

test('the tables that statements changed are known, and all after one that may change more', () => {
  const { state } = makeState()
  state.begin(1)
  state.execute('select * from "users"')
  state.execute('update "flows" set "name" = ?')
  state.execute('insert into "tokens" values (?)')
  expect([...state.changed]).toEqual(['flows', 'tokens'])
  state.execute('delete from "flows"')
  expect([...state.changed]).toEqual(['flows', 'tokens', ''])
  state.begin(1)
  expect([...state.changed]).toEqual([])
})
