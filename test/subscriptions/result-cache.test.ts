import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type EventResult, ResultCache } from '../../src/subscriptions/result-cache.ts'

const result = (text: string): EventResult => ({
  ...{ bytes: Buffer.from(text), cursor: text, questions: [], hasErrors: false },
})
const anyone = () => true

test('subscribers that execute the same event alike at the same time share one execution', async () => {
  const cache = new ResultCache()
  const event = {}
  let executions = 0
  const execute = async () => {
    executions += 1
    await new Promise(setImmediate)
    return result('a')
  }
  const all = await Promise.all([1, 2, 3].map(() => cache.share('scope', event, anyone, execute)))
  expect(executions).toBe(1)
  expect(new Set(all).size).toBe(1)
  expect(cache.find('scope', event, anyone)).toBe(all[0])
})

test('another scope, and an equal event that is another object, are executed again', async () => {
  const cache = new ResultCache()
  const event = { id: 1 }
  await cache.share('scope', event, anyone, async () => result('a'))
  expect(cache.find('other scope', event, anyone)).toBeUndefined()
  expect(cache.find('scope', { id: 1 }, anyone)).toBeUndefined()
})

test('a result that may not be shared reaches no one else: the next one executes', async () => {
  const cache = new ResultCache()
  const event = {}
  let executions = 0
  const refused = cache.share('scope', event, anyone, async () => {
    executions += 1
    return undefined
  })
  const next = cache.share('scope', event, anyone, async () => {
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
  await expect(cache.share('scope', event, anyone, () => Promise.reject(new Error('no')))).rejects.toThrow(
    'no',
  )
  expect(await cache.share('scope', event, anyone, async () => result('a'))).toEqual(result('a'))
})

test('what was forgotten while it was executed is not remembered', async () => {
  const cache = new ResultCache()
  const event = {}
  const { promise, resolve } = Promise.withResolvers<EventResult>()
  const old = cache.share('scope', event, anyone, () => promise)
  cache.clear()
  const fresh = cache.share('scope', event, anyone, async () => result('new'))
  resolve(result('old'))
  expect(await old).toEqual(result('old'))
  expect(await fresh).toEqual(result('new'))
  expect(cache.find('scope', event, anyone)).toEqual(result('new'))
})

test('results are bounded in bytes; the one used least recently goes first', async () => {
  const cache = new ResultCache({ maxBytes: 5000, maxAgeMs: 60_000 })
  const events = Array.from({ length: 30 }, () => ({}))
  for (const event of events) await cache.share('scope', event, anyone, async () => result('x'.repeat(700)))
  const known = events.filter((event) => cache.find('scope', event, anyone) !== undefined)
  expect(known).toEqual(events.slice(-5))
})

test('a result is right for those viewers alone for whom all questions have the same answers', async () => {
  const cache = new ResultCache()
  const event = {}
  const fits = (userId: number) => (known: EventResult) =>
    known.questions.every(({ question, answer }) => question.userIds.includes(userId) === answer)
  let executions = 0
  const executeAs = (userId: number) =>
    cache.share('scope', event, fits(userId), async () => {
      executions += 1
      await new Promise(setImmediate)
      const questions = [{ question: { userIds: [7] }, answer: userId === 7 }] as const
      return { ...result(String(userId)), questions }
    })
  const all = await Promise.all([1, 7, 2, 3, 7].map(executeAs))
  expect(all.map((each) => String(each?.bytes))).toEqual(['1', '7', '1', '1', '7'])
  expect(executions).toBe(2)
})

test('a result with errors goes to those who wait for it, and is not remembered', async () => {
  const cache = new ResultCache()
  const event = {}
  const failed = { ...result('failed'), hasErrors: true }
  const both = await Promise.all(
    [1, 2].map(() =>
      cache.share('scope', event, anyone, async () => {
        await new Promise(setImmediate)
        return failed
      }),
    ),
  )
  expect(both).toEqual([failed, failed])
  expect(cache.find('scope', event, anyone)).toBeUndefined()
})

test('a result is forgotten at its greatest age, whatever other results of the event came later', async () => {
  const cache = new ResultCache({ maxBytes: 1000, maxAgeMs: 300 })
  const event = {}
  const isA = ({ cursor }: EventResult) => cursor === 'a'
  const isB = ({ cursor }: EventResult) => cursor === 'b'
  await cache.share('scope', event, isA, async () => result('a'))
  await sleep(200)
  await cache.share('scope', event, isB, async () => result('b'))
  await sleep(150)
  expect(cache.find('scope', event, isA)).toBeUndefined()
})
