import { expect, test } from 'vitest'
import { type EventResult, ResultCache } from '../../src/subscriptions/result-cache.ts'

const result = (text: string): EventResult => ({ bytes: Buffer.from(text), cursor: text })

test('subscribers that execute the same event alike at the same time share one execution', async () => {
  const cache = new ResultCache()
  const event = {}
  let executions = 0
  const execute = async () => {
    executions += 1
    await new Promise(setImmediate)
    return result('a')
  }
  const all = await Promise.all([1, 2, 3].map(() => cache.share('scope', event, execute)))
  expect(executions).toBe(1)
  expect(new Set(all).size).toBe(1)
  expect(cache.find('scope', event)).toBe(all[0])
})

test('another scope, and an equal event that is another object, are executed again', async () => {
  const cache = new ResultCache()
  const event = { id: 1 }
  await cache.share('scope', event, async () => result('a'))
  expect(cache.find('other scope', event)).toBeUndefined()
  expect(cache.find('scope', { id: 1 })).toBeUndefined()
})

test('a result that may not be shared reaches nobody else: the next one executes', async () => {
  const cache = new ResultCache()
  const event = {}
  let executions = 0
  const refused = cache.share('scope', event, async () => {
    executions += 1
    return undefined
  })
  const next = cache.share('scope', event, async () => {
    executions += 1
    return result('b')
  })
  expect(await refused).toBeUndefined()
  expect(await next).toEqual(result('b'))
  expect(executions).toBe(2)
})

test('a failure of one execution is not remembered', async () => {
  const cache = new ResultCache()
  const event = {}
  await expect(cache.share('scope', event, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await cache.share('scope', event, async () => result('a'))).toEqual(result('a'))
})

test('what was forgotten while it was executed is not remembered', async () => {
  const cache = new ResultCache()
  const event = {}
  const { promise, resolve } = Promise.withResolvers<EventResult>()
  const old = cache.share('scope', event, () => promise)
  cache.clear()
  const fresh = cache.share('scope', event, async () => result('new'))
  resolve(result('old'))
  expect(await old).toEqual(result('old'))
  expect(await fresh).toEqual(result('new'))
  expect(cache.find('scope', event)).toEqual(result('new'))
})

test('results are bounded in bytes; the one used least recently goes first', async () => {
  const cache = new ResultCache({ maxBytes: 5000, maxAgeMs: 60_000 })
  const events = Array.from({ length: 30 }, () => ({}))
  for (const event of events) await cache.share('scope', event, async () => result('x'.repeat(700)))
  const known = events.filter((event) => cache.find('scope', event) !== undefined)
  expect(known).toEqual(events.slice(-5))
})
