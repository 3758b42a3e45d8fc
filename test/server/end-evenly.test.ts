import { expect, test } from 'vitest'
import { endEvenly } from '../../src/server/end-evenly.ts'

test('all are ended in order, the first at once and the others evenly over the time', async () => {
  const begun = performance.now()
  const ended: { item: number; at: number }[] = []
  await endEvenly([1, 2, 3, 4], 100, (item) => ended.push({ item, at: performance.now() - begun }))
  expect(ended.map(({ item }) => item)).toEqual([1, 2, 3, 4])
  // Timers may be late, and never early.
  for (const [index, { at }] of ended.entries()) expect(at).toBeGreaterThan(index * 25 - 2)
})

test('without a time all are ended at once', async () => {
  const ended: number[] = []
  const done = endEvenly([1, 2, 3], 0, (item) => ended.push(item))
  expect(ended).toEqual([1, 2, 3])
  await done
})
