import { expect, test } from 'vitest'
import { createReadiness } from '../../src/telemetry/readiness.ts'

test('many requests cause one check at a time, and its result is used for a moment', async () => {
  const tries: PromiseWithResolvers<void>[] = []
  const lost: unknown[] = []
  const isReady = createReadiness(
    () => {
      const attempt = Promise.withResolvers<void>()
      tries.push(attempt)
      return attempt.promise
    },
    (reason) => lost.push(reason),
  )
  const asked = [isReady(), isReady()]
  expect(tries.length).toBe(1)
  tries[0]?.reject(new Error('unreachable'))
  expect(await Promise.all(asked)).toEqual([false, false])
  expect(await isReady()).toBe(false)
  expect(tries.length).toBe(1)
  expect(lost).toEqual([new Error('unreachable')])
})
