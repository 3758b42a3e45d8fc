import { beforeEach, expect, test } from 'vitest'
import { BoundedQueue } from '../../src/events/bounded-queue.ts'

let closed: number
let queue: BoundedQueue<string>

beforeEach(() => {
  closed = 0
  queue = new BoundedQueue({ maxEvents: 3, maxBytes: 100 }, () => {
    closed += 1
  })
})

const end = { done: true, value: undefined }

test('a reader gets queued events in order, and waits for the next one', async () => {
  queue.push('one', 1)
  queue.push('two', 1)
  const got = [queue.next(), queue.next(), queue.next()]
  queue.push('three', 1)
  expect((await Promise.all(got)).map(({ value }) => value)).toEqual(['one', 'two', 'three'])
})

test.each([
  ['events', 4, 1],
  ['bytes', 2, 51],
])(
  'a reader that falls behind by too many %s loses what is queued, and gets SLOW_CONSUMER once',
  async (_, count, bytes) => {
    for (let index = 0; index < count; index += 1) queue.push(`event ${index}`, bytes)
    expect(closed).toBe(1)
    await expect(queue.next()).rejects.toMatchObject({ code: 'SLOW_CONSUMER' })
    expect(await queue.next()).toEqual(end)
  },
)

test('what was taken counts no longer towards the limits', async () => {
  for (let index = 0; index < 50; index += 1) {
    queue.push(`event ${index}`, 90)
    expect((await queue.next()).value).toBe(`event ${index}`)
  }
  expect(closed).toBe(0)
})

test('an event for a reader that waits is never too long', async () => {
  const next = queue.next()
  queue.push('long', 1000)
  expect((await next).value).toBe('long')
})

test('after finish the queued events are delivered, then the end', async () => {
  queue.push('last', 1)
  queue.finish()
  expect(closed).toBe(0)
  expect((await queue.next()).value).toBe('last')
  expect(closed).toBe(1)
  expect(await queue.next()).toEqual(end)
})

test('a failure reaches the reader that waits, once, and drops what is queued', async () => {
  const waiting = queue.next()
  queue.fail(new Error('gone'))
  queue.fail(new Error('again'))
  queue.push('late', 1)
  await expect(waiting).rejects.toThrow('gone')
  expect(await queue.next()).toEqual(end)
  expect(closed).toBe(1)
})

test('return ends at once, also while the reader waits', async () => {
  const waiting = [queue.next(), queue.next()]
  expect(await queue.return()).toEqual(end)
  expect(await Promise.all(waiting)).toEqual([end, end])
  await queue.return()
  expect(closed).toBe(1)
})
