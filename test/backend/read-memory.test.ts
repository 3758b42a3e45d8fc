import { expect, test } from 'vitest'
import { ReadMemory } from '../../src/backend/store/read-memory.ts'

test('rows are read once for each statement and its parameters, until a table of the statement is forgotten', () => {
  const memory = new ReadMemory()
  let reads = 0
  const read = (sql: string, ...parameters: unknown[]) =>
    memory.read(sql, parameters, () => {
      reads += 1
      return [{ reads }]
    })
  const one = read('select * from "users" where "id" = ?', 1)
  expect(read('select * from "users" where "id" = ?', 1)).toBe(one)
  expect(read('select * from "users" where "id" = ?', '1')).not.toBe(one)
  const flows = read('select * from "flows" where "a" = ? and "b" = ?', 'a', 'b')
  expect(read('select * from "flows" where "a" = ? and "b" = ?', 'a', 'c')).not.toBe(flows)
  memory.forget('users')
  expect(read('select * from "flows" where "a" = ? and "b" = ?', 'a', 'b')).toBe(flows)
  expect(read('select * from "users" where "id" = ?', 1)).not.toBe(one)
  memory.forget()
  expect(read('select * from "flows" where "a" = ? and "b" = ?', 'a', 'b')).not.toBe(flows)
})

test('at most 50,000 rows are remembered', () => {
  const memory = new ReadMemory()
  const read = (from: string, rows: number) =>
    memory.read(`select * from ${from}`, [], () => Array.from({ length: rows }, () => ({})))
  const small = read('small', 10)
  read('large', 49_000)
  expect(read('small', 10)).toBe(small)
  read('larger', 1000)
  expect(read('small', 10)).not.toBe(small)
})

const long = (character: string) => character.repeat(6 * 1024 * 1024)

test.for([
  { where: 'a parameter', parametersOf: (text: string) => [text], textOf: () => '' },
  { where: 'one of several parameters', parametersOf: (text: string) => [1, text], textOf: () => '' },
  { where: 'a row', parametersOf: (text: string) => [text[0]], textOf: (text: string) => text },
])(
  'at most 16 Mi characters are remembered, such as those of a long text in $where',
  ({ parametersOf, textOf }) => {
    const memory = new ReadMemory()
    const read = (text: string) =>
      memory.read('select * from flows', parametersOf(text), () => [{ text: textOf(text) }])
    const small = read('small')
    read(long('a'))
    read(long('b'))
    expect(read('small')).toBe(small)
    read(long('c'))
    expect(read('small')).not.toBe(small)
  },
)

test('a result that is too large by itself is not remembered, and takes the place of no other', () => {
  const memory = new ReadMemory()
  const read = (from: string, rows: number) =>
    memory.read(`select * from ${from}`, [], () => Array.from({ length: rows }, () => ({})))
  const small = read('small', 1)
  expect(read('large', 50_000)).not.toBe(read('large', 50_000))
  expect(read('small', 1)).toBe(small)
})
