import { expect, test } from 'vitest'
import { createTickets } from '../../src/upstream/flowdock/tickets.ts'

const create = (options: { mostEach?: number; most?: number; now?: () => number } = {}) =>
  createTickets<string>({ lifetimeMs: 1000, mostEach: 3, most: 100, now: () => 0, ...options })

test('a principal that has as many tickets as it may loses its own oldest one', () => {
  const tickets = create()
  const other = tickets.issue('max', 'picture').id
  const ids = Array.from({ length: 1000 }, (_, index) => tickets.issue('eve', String(index)).id)
  expect(ids.filter((id) => tickets.find(id) !== undefined)).toEqual(ids.slice(-3))
  expect(tickets.find(other)?.value).toBe('picture')
})

test('when there are too many in all, who has most loses one, and who has few loses none', () => {
  const tickets = create({ mostEach: 50, most: 100 })
  const few = Array.from({ length: 10 }, () => tickets.issue('max', 'x').id)
  for (const name of ['eve', 'mallory', 'oscar'])
    for (let count = 0; count < 60; count += 1) tickets.issue(name, 'x')
  expect(few.every((id) => tickets.find(id) !== undefined)).toBe(true)
  const newcomer = tickets.issue('zoe', 'x').id
  expect(tickets.find(newcomer)).toBeDefined()
})

test('they end with their time, or when they are used', () => {
  let now = 0
  const tickets = create({ now: () => now })
  const [first, second] = [tickets.issue('max', 'a'), tickets.issue('max', 'b')]
  expect(first.expiresAt).toBe(1000)
  tickets.forget(first.id)
  expect(tickets.find(first.id)).toBeUndefined()
  now = 999
  expect(tickets.find(second.id)?.value).toBe('b')
  now = 1000
  expect(tickets.find(second.id)).toBeUndefined()
  expect(tickets.find('nothing')).toBeUndefined()
})

test('the same key is given the same ticket for half of its time, and only to the same principal', () => {
  let now = 0
  const tickets = create({ now: () => now })
  const { id } = tickets.issue('max', 'a', 'picture')
  expect(tickets.issue('max', 'a', 'picture').id).toBe(id)
  expect(tickets.issue('eve', 'a', 'picture').id).not.toBe(id)
  expect(tickets.issue('max', 'a', 'other').id).not.toBe(id)
  now = 500
  expect(tickets.issue('max', 'a', 'picture').id).not.toBe(id)
  // What was displaced is not given again.
  const displaced = tickets.issue('ann', 'a', 'first').id
  for (const key of ['second', 'third', 'fourth']) tickets.issue('ann', 'a', key)
  expect(tickets.find(displaced)).toBeUndefined()
  expect(tickets.issue('ann', 'a', 'first').id).not.toBe(displaced)
})
