import { expect, onTestFinished, test } from 'vitest'
import { createRateLimiter } from '../../src/traffic/rate-limiter.ts'
import { openSubscription, post, socketClient, startTestApp } from '../support/app.ts'

test('the remaining calls can be read, and what an operation has used', async () => {
  const app = await startTestApp({ settings: { CALLS_PER_MINUTE: '600' } })
  onTestFinished(app.close)
  const query = '{ viewer { nick } flows { nodes { path } } rateLimit { limit remaining resetsAt used } }'
  const { data } = await app.graphql('Ada', query)
  expect(data.rateLimit).toMatchObject({ limit: 600, used: 2 })
  expect(data.rateLimit.remaining).toBeGreaterThanOrEqual(598)
  expect(data.rateLimit.remaining).toBeLessThan(600)
  expect((await post(app.url, { query: '{ rateLimit { limit } }' })).data).toEqual({ rateLimit: null })
})

test('past it operations fail with a code and a time to wait, for each principal separately', async () => {
  const app = await startTestApp({ settings: { CALLS_PER_MINUTE: '3' } })
  onTestFinished(app.close)
  const ask = () => app.graphql('Ada', '{ viewer { nick } }')
  for (let index = 0; index < 3; index += 1) expect((await ask()).errors).toBeUndefined()
  app.calls.length = 0
  const { errors } = await ask()
  expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED', retryable: true } }])
  expect(errors?.[0]?.extensions?.['retryAfterMs']).toBeGreaterThan(0)
  expect(app.calls).toEqual([])
  const sent = await app.graphql(
    'Ada',
    'mutation { sendMessage(input: { flow: { path: "example/main" }, content: "x" }) { ... on RateLimited { code retryAfterMs } } }',
  )
  expect(sent.data.sendMessage.code).toBe('RATE_LIMITED')
  expect((await app.graphql('Ben', '{ viewer { nick } }')).data.viewer.nick).toBe('Ben')
})

test('calls come back evenly, never more than there were', () => {
  let now = 0
  const allowances = createRateLimiter(60, 'calls', () => now)
  for (let index = 0; index < 60; index += 1) allowances.take('ada')
  expect(() => allowances.take('ada')).toThrow(expect.objectContaining({ retryAfterMs: 1000 }))
  now += 2500
  expect(allowances.of('ada')).toEqual({ limit: 60, remaining: 2, resetsAt: 60_000 })
  now += 3_600_000
  expect(allowances.of('ada').remaining).toBe(60)
  // A clock that is set back takes nothing away.
  now -= 7_200_000
  expect(allowances.of('ada').remaining).toBe(60)
})

test('work can be charged after it is done, and is made up for before there is more', () => {
  let now = 0
  const allowances = createRateLimiter(60, 'calls', () => now)
  allowances.charge('ada', 90)
  expect(() => allowances.expect('ada')).toThrow(expect.objectContaining({ retryAfterMs: 31_000 }))
  expect(allowances.of('ada').remaining).toBe(0)
  now += 30_999
  expect(() => allowances.expect('ada')).toThrow()
  now += 1
  allowances.expect('ada')
  allowances.expect('ada')
  allowances.expect('ben')
  // However much it was: within two minutes all is well again.
  allowances.charge('ada', 1_000_000)
  now += 120_000
  expect(allowances.of('ada').remaining).toBe(60)
})

test('the cost of an operation is in the response on request, over all transports', async () => {
  const app = await startTestApp()
  onTestFinished(app.close)
  const token = await app.backend.token('Ada')
  const query =
    '{ flow(by: { path: "example/main" }) { messages(last: 10) { nodes { author { name } thread { title } } } } }'
  const asked = { query, extensions: { cost: true } }
  const overHttp = await post(app.url, asked, token)
  expect(overHttp.extensions).toEqual({ cost: { fields: 52, predicted: 3, actual: 2, saved: 0 } })
  const subscription = openSubscription(socketClient(app.url, token), query, undefined, { cost: true })
  expect((await subscription.next())?.extensions).toEqual(overHttp.extensions)
  await subscription.close()
  expect(await post(app.url, { query }, token)).not.toHaveProperty('extensions')
})
