import { expect, test } from 'vitest'
import { expiresAt } from '../../src/resolvers/things-objects.ts'

const token = (expiresInMs?: unknown) => ({
  ...({ kind: 'token', id: 'k0', created: { at: 0, byId: null, editedAt: null, editedById: null } } as const),
  members: { expiresInMs },
})

test('a token ends after the time that is left, and one without such a time, or after the year 9999, does not end', () => {
  expect(expiresAt(token(1500), 1000)).toBe(2500)
  expect(expiresAt(token(), 1000)).toBeNull()
  expect(expiresAt(token(9e15), 1000)).toBeNull()
})
