import { expect, test } from 'vitest'
import { ReplayPermits } from '../../src/live/replay-permits.ts'

test('as many replays run as there are permits, and others begin in their order when one ends', async () => {
  const permits = new ReplayPermits(2)
  const begun: number[] = []
  const ends = Array.from({ length: 5 }, async (_, index) => {
    const release = await permits.acquire()
    begun.push(index)
    return release
  })
  const [first, second] = await Promise.all(ends.slice(0, 2))
  expect([begun, permits.waiting]).toEqual([[0, 1], 3])
  second?.()
  const third = await ends[2]
  expect([begun, permits.waiting]).toEqual([[0, 1, 2], 2])
  first?.()
  third?.()
  await Promise.all(ends)
  expect([begun, permits.waiting]).toEqual([[0, 1, 2, 3, 4], 0])
})

test('permits that were given back are free for later replays', async () => {
  const permits = new ReplayPermits(1)
  for (let round = 0; round < 3; round += 1) {
    const release = await permits.acquire()
    expect(permits.waiting).toBe(0)
    release()
  }
})
