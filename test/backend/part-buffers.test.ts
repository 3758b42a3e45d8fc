import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createPartBuffers } from '../../src/backend/part-buffers.ts'

test('as many buffers are made as are used at once, and never more than there may be', async () => {
  const buffers = createPartBuffers(2, 10, 1000)
  const seen = new Set<Buffer>()
  const use = () =>
    buffers.with(async (buffer) => {
      seen.add(buffer)
      await sleep(1)
    })
  await use()
  await use()
  expect(seen.size).toBe(1)
  await Promise.all(Array.from({ length: 20 }, use))
  expect(seen.size).toBe(2)
})

test('a buffer goes to the one that waits longest, also after a failure', async () => {
  const buffers = createPartBuffers(1, 10, 1000)
  const order: number[] = []
  const outcomes = await Promise.allSettled(
    [1, 2, 3].map((number) =>
      buffers.with(async () => {
        order.push(number)
        throw new Error(`${number} failed`)
      }),
    ),
  )
  expect(order).toEqual([1, 2, 3])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
})

test('the one that waits too long is refused, and does not take the buffer of another', async () => {
  const buffers = createPartBuffers(1, 10, 1)
  let release = () => {}
  const held = buffers.with(() => new Promise<void>((resolve) => (release = resolve)))
  await expect(buffers.with(async () => undefined)).rejects.toThrow('No buffer was free for 1 ms')
  release()
  await held
  expect(await buffers.with(async () => 'used')).toBe('used')
})
