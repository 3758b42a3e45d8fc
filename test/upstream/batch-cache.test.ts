import { expect, test } from 'vitest'
import { BatchCache } from '../../src/upstream/flowdock/batch-cache.ts'

function start() {
  const state = { now: 0, version: 1, fails: false, reads: [] as string[][] }
  const cache = new BatchCache<string, { readonly version: number }>({
    ...{ maxEntries: 10, maxBatch: 10, maxAgeMs: 10_000, now: () => state.now },
    async read(keys) {
      state.reads.push([...keys])
      if (state.fails) throw new Error('down')
      return new Map(keys.map((key) => [key, { version: state.version }]))
    },
  })
  /** Resolves when the reads that have begun are over. */
  const settle = async () => {
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate)
  }
  return { cache, state, settle }
}

test('a value is used for ten seconds, and read again beside when it is half as old', async () => {
  const { cache, state, settle } = start()
  expect(await cache.findRecent('a')).toEqual({ version: 1 })
  state.now = 5000
  expect(cache.findRecent('a')).toEqual({ version: 1 })
  expect(state.reads).toHaveLength(1)
  state.version = 2
  state.now = 5001
  expect(cache.findRecent('a')).toEqual({ version: 1 })
  await settle()
  expect(cache.findRecent('a')).toEqual({ version: 2 })
  expect(state.reads).toHaveLength(2)
})

test('a value that is older is read before it is used, and its age begins with the read', async () => {
  const { cache, state } = start()
  await cache.findRecent('a')
  state.version = 2
  state.now = 10_001
  expect(await cache.findRecent('a')).toEqual({ version: 2 })
  state.now = 20_002
  state.version = 3
  expect(await cache.findRecent('a')).toEqual({ version: 3 })
})

test('a value that cannot be read again is used until it is too old', async () => {
  const { cache, state, settle } = start()
  await cache.findRecent('a')
  state.fails = true
  state.now = 9000
  expect(cache.findRecent('a')).toEqual({ version: 1 })
  await settle()
  expect(cache.findRecent('a')).toEqual({ version: 1 })
  state.now = 10_001
  await expect(cache.findRecent('a')).rejects.toThrow('down')
  // Events use it whatever its age.
  expect(cache.find('a')).toEqual({ version: 1 })
})

test('a read from before a value was forgotten is neither joined nor remembered', async () => {
  const { cache, state } = start()
  const early = cache.findRecent('a')
  cache.forget('a')
  const late = cache.findRecent('a')
  expect(late).not.toBe(early)
  state.version = 2
  expect(await late).toEqual({ version: 2 })
  expect(cache.findRecent('a')).toEqual({ version: 2 })
})
