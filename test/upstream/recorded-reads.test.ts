import { expect, test } from 'vitest'
import type { Flowdock } from '../../src/upstream/flowdock/index.ts'
import type { Loaders } from '../../src/upstream/flowdock/loaders.ts'
import type { Message } from '../../src/upstream/flowdock/model.ts'
import { RecordedReads } from '../../src/upstream/flowdock/recorded-reads.ts'
import { collectGarbage } from '../support/memory.ts'

const page = { from: 'newest', limit: 1 } as const

/** An upstream with this page of messages. */
function loadersOf(items: readonly Message[]): Loaders {
  const load: Partial<Loaders> = {
    expectMessages: () => undefined,
    messages: async () => ({ items, sent: items.length, at: undefined }),
  }
  return load as Loaders
}

test('a page that only a record of reads knows is freed', async () => {
  const reads = new RecordedReads()
  let items: readonly Message[] | undefined = [{ id: 1 } as Message]
  const freed = new WeakRef(items)
  const read = async (list: readonly Message[]) => {
    await reads.record({ load: loadersOf(list) } as Flowdock).load.messages('a/b', undefined, page)
    return reads.repeat(loadersOf(list))
  }
  expect(await read(items)).toBe(true)
  expect(reads.isComplete).toBe(true)
  items = undefined
  await expect
    .poll(() => {
      collectGarbage()
      return freed.deref() === undefined
    })
    .toBe(true)
  expect(await reads.repeat(loadersOf([{ id: 1 } as Message]))).toBe(false)
})
