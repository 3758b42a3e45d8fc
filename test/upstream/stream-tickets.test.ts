import { describe, expect, test } from 'vitest'
import {
  basicAuthorization,
  type Credential,
  parseAuthorization,
} from '../../src/upstream/flowdock/credentials.ts'
import { createStreamTickets } from '../../src/upstream/flowdock/stream-tickets.ts'

const credential = (token: string) => parseAuthorization(basicAuthorization(token)) as Credential

describe('a stream ticket', () => {
  test('stands for its credential once', () => {
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

  test('is refused to a principal with 100 unused ones, until one is used or has expired', () => {
    let now = 0
    const tickets = createStreamTickets(() => now)
    const issued = Array.from({ length: 100 }, () => tickets.issue(credential('a')).id)
    expect(new Set(issued).size).toBe(100)
    expect(() => tickets.issue(credential('a'))).toThrow('100 unused tickets')
    expect(tickets.issue(credential('b')).expiresAt).toBe(60_000)
    tickets.redeem(issued[0] ?? '')
    tickets.issue(credential('a'))
    expect(() => tickets.issue(credential('a'))).toThrow('100 unused tickets')
    now = 60_000
    for (let count = 0; count < 100; count += 1) tickets.issue(credential('a'))
  })
})
