import { expect, test } from 'vitest'
import type { Arrival } from '../../../../src/backend/flowthings/operations/writing.ts'
import { createWaitingDrops } from '../../../../src/backend/flowthings/tasks/waiting-drops.ts'

function arrival(seq: number, characters = 10): Arrival {
  return {
    flow: { id: 'f', path: '/a/b', path_key: '/a/b', account_id: 1 },
    row: { flow_no: 1, seq, id: `d${seq}`, fhash: null, created_at: 0, drop_json: 'x'.repeat(characters) },
    stored: { version: 0, elems: {} },
  }
}

const numbersOf = (arrivals: readonly Arrival[]) => arrivals.map(({ row }) => row.seq)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n)

function create() {
  const dropped = { count: 0 }
  return {
    dropped,
    waiting: createWaitingDrops(() => {
      dropped.count += 1
    }),
  }
}

test('the newest 1,000 drops wait, in their order', () => {
  const { waiting, dropped } = create()
  for (const seq of range(0, 1005)) waiting.push(arrival(seq))
  expect([waiting.length, dropped.count]).toEqual([1000, 5])
  expect(numbersOf(waiting.take(3))).toEqual([5, 6, 7])
  expect(numbersOf(waiting.take(2000))).toEqual(range(8, 1005))
  expect(waiting.length).toBe(0)
})

test('large drops that wait have 4 MiB of JSON at most', () => {
  const { waiting, dropped } = create()
  for (const seq of range(0, 20)) waiting.push(arrival(seq, 256 * 1024))
  expect([waiting.length, dropped.count]).toEqual([16, 4])
  expect(numbersOf(waiting.take(16))).toEqual(range(4, 20))
  for (const seq of range(0, 16)) waiting.push(arrival(seq, 256 * 1024))
  expect(dropped.count).toBe(4)
})

test('drops that were not sent wait before the others again, and leave first', () => {
  const { waiting, dropped } = create()
  for (const seq of range(0, 10)) waiting.push(arrival(seq))
  const taken = waiting.take(5)
  for (const seq of range(10, 1004)) waiting.push(arrival(seq))
  waiting.putBack(taken.slice(2))
  expect([waiting.length, dropped.count]).toEqual([1000, 2])
  expect(numbersOf(waiting.take(3))).toEqual([4, 5, 6])
})
