import { expect, test } from 'vitest'
import { Grouped } from '../../src/events/grouped.ts'

const [a, b] = [{ name: 'a' }, { name: 'b' }]

test('a key has each of its values once, in the order they came', () => {
  const grouped = new Grouped<string, object>()
  for (const value of [a, b, a, b]) grouped.add('key', value)
  expect(grouped.of('key')).toEqual([a, b])
  expect(grouped.of('other')).toEqual([])
})

test('a value that was removed is gone, and the others stay', () => {
  const grouped = new Grouped<string, object>()
  grouped.add('key', a)
  grouped.remove('key', b)
  expect(grouped.of('key')).toEqual([a])
  grouped.add('key', b)
  grouped.remove('key', a)
  expect(grouped.of('key')).toEqual([b])
  grouped.remove('key', b)
  grouped.remove('key', b)
  expect(grouped.of('key')).toEqual([])
})

test('a list does not change when values come and go', () => {
  const grouped = new Grouped<string, object>()
  grouped.add('key', a)
  grouped.add('key', b)
  const list = grouped.of('key')
  grouped.remove('key', a)
  expect(list).toEqual([a, b])
})
