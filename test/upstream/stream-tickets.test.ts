import { describe, expect, test } from 'vitest'
import {
  basicAuthorization,
  type Credential,
  parseAuthorization,
} from '../../src/upstream/flowdock/credentials.ts'
import { createStreamTickets } from '../../src/upstream/flowdock/stream-tickets.ts'

const credential = (token: string) => parseAuthorization(basicAuthorization(token)) as Credential

describe('a stream ticket', () => {
  test('replaces its credential once', () => {
    const tickets = createStreamTickets(() => 0)
    const { id } = tickets.issue(credential('a'))
    expect(tickets.redeem(id)?.principal).toBe(credential('a').principal)
    expect(tickets.redeem(id)).toBeUndefined()
    expect(tickets.redeem('unknown')).toBeUndefined()
  })

  test('expires after 60 seconds', () => {
    let now = 0
    const tickets = createStreamTickets(() => now)
    const [early, late] = [tickets.issue(credential('a')), tickets.issue(credential('a'))]
    expect(early.expiresAt).toBe(60_000)
    now = 59_999
    expect(tickets.redeem(early.id)).toBeDefined()
    now = 60_000
    expect(tickets.redeem(late.id)).toBeUndefined()
  })

  test('ends when its principal, however the token is spelt, has 100 newer ones; that of another does not', () => {
    const tickets = createStreamTickets(() => 0)
    const other = tickets.issue(credential('b'))
    const first = tickets.issue(credential('a'))
    const spelt = parseAuthorization('Bearer a') as Credential
    const newer = Array.from({ length: 100 }, () => tickets.issue(spelt).id)
    expect(tickets.redeem(first.id)).toBeUndefined()
    expect(newer.every((id) => tickets.redeem(id) !== undefined)).toBe(true)
    expect(tickets.redeem(other.id)).toBeDefined()
  })
})
