import { expect, test } from 'vitest'
import { errorCodes } from '../../src/errors.ts'
import { requestErrorStatus, statusOf } from '../../src/server/status.ts'

test('each code has a status of HTTP that says it failed', () => {
  for (const code of errorCodes) expect(statusOf(code), code).toBeGreaterThanOrEqual(400)
})

test('a rejected operation is 200 in plain JSON, and the status of its code in the type of GraphQL', () => {
  const type = 'application/graphql-response+json; charset=utf-8'
  for (const code of errorCodes) expect(requestErrorStatus('application/json; charset=utf-8', code)).toBe(200)
  expect(requestErrorStatus(type, 'UNAUTHENTICATED')).toBe(401)
  expect(requestErrorStatus(type, 'RATE_LIMITED')).toBe(429)
  expect(requestErrorStatus(type, undefined)).toBe(400)
})

test('a document past a limit is a bad request, because 413 is about bodies', () => {
  expect(requestErrorStatus('application/graphql-response+json; charset=utf-8', 'LIMIT_EXCEEDED')).toBe(400)
  expect(statusOf('LIMIT_EXCEEDED')).toBe(413)
})
