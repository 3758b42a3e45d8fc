import { describe, expect, test } from 'vitest'
import { createTickets } from '../../src/tickets.ts'
import {
  basicAuthorization,
  type Credential,
  parseAuthorization,
} from '../../src/upstream/flowdock/credentials.ts'
import { createStreamTickets } from '../../src/upstream/flowdock/stream-tickets.ts'

const credential = (token: string) => parseAuthorization(basicAuthorization(token)) as Credential

const start = (now: () => number = () => 0, key = 'the key of these gateways, long enough') =>
  createStreamTickets(createTickets([key], now), now)

describe('a stream ticket', () => {
  test('replaces its credential once', () => {
    const tickets = start()
    const { id } = tickets.issue(credential('a'))
    expect(tickets.redeem(id)?.principal).toBe(credential('a').principal)
    expect(tickets.redeem(id)).toBeUndefined()
    expect(tickets.redeem('unknown')).toBeUndefined()
  })

  test('is another one each time, also within a second', () => {
    const tickets = start()
    const [one, two] = [tickets.issue(credential('a')), tickets.issue(credential('a'))]
    expect(tickets.redeem(one.id)).toBeDefined()
    expect(tickets.redeem(two.id)).toBeDefined()
  })

  test('expires after 60 seconds', () => {
    let now = 0
    const tickets = start(() => now)
    const [early, late] = [tickets.issue(credential('a')), tickets.issue(credential('a'))]
    expect(early.expiresAt).toBe(60_000)
    now = 59_999
    expect(tickets.redeem(early.id)).toBeDefined()
    now = 60_000
    expect(tickets.redeem(late.id)).toBeUndefined()
  })

  test('works once at each gateway with the same key, and never at one with another', () => {
    const [here, there, elsewhere] = [start(), start(), start(() => 0, 'the key of some other gateway, long')]
    const { id } = here.issue(credential('a'))
    expect(elsewhere.redeem(id)).toBeUndefined()
    expect(there.redeem(id)?.principal).toBe(credential('a').principal)
    expect(there.redeem(id)).toBeUndefined()
    expect(here.redeem(id)).toBeDefined()
    expect(here.redeem(id)).toBeUndefined()
  })
})
