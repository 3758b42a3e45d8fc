import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createTickets } from '../src/tickets.ts'

const key = 'a key that is long enough for this'
const other = 'another key, of the same kind as it'
const minuteMs = 60_000

test('a ticket opens to its value and expiry at every gateway with the key, and at no other', () => {
  const ticket = createTickets([key], () => 0).seal('file', 'pä"th', minuteMs)
  expect(createTickets([key], () => 0).open('file', ticket)).toEqual({ value: 'pä"th', expiresAt: minuteMs })
  expect(createTickets([other], () => 0).open('file', ticket)).toBeUndefined()
})

test('while a key is replaced, tickets of both open, and new ones are of the new key', () => {
  const before = createTickets([key], () => 0)
  const during = createTickets([other, key], () => 0)
  const after = createTickets([other], () => 0)
  expect(during.open('file', before.seal('file', 'x', minuteMs))?.value).toBe('x')
  expect(after.open('file', during.seal('file', 'x', minuteMs))?.value).toBe('x')
  expect(before.open('file', during.seal('file', 'x', minuteMs))).toBeUndefined()
})

test('it is the same text for the same value and expiry, and shows nothing of the value', () => {
  const tickets = createTickets([key], () => 0)
  const ticket = tickets.seal('file', 'Basic c2VjcmV0', minuteMs)
  expect(createTickets([key], () => 0).seal('file', 'Basic c2VjcmV0', minuteMs)).toBe(ticket)
  expect(tickets.seal('file', 'Basic c2VjcmV0', 2 * minuteMs)).not.toBe(ticket)
  expect(ticket).toMatch(/^[\w-]+$/)
  expect(Buffer.from(ticket, 'base64url').includes('secret')).toBe(false)
  expect(Buffer.from(ticket, 'base64url').includes('c2VjcmV0')).toBe(false)
})

test('one of a kind does not open as another', () => {
  const tickets = createTickets([key], () => 0)
  const ticket = tickets.seal('file', 'x', minuteMs)
  for (const kind of ['upload', 'stream', 'connection'] as const)
    expect(tickets.open(kind, ticket)).toBeUndefined()
})

test('it opens until it expires', () => {
  let now = 0
  const tickets = createTickets([key], () => now)
  const ticket = tickets.seal('file', 'x', 1500)
  now = 1500
  expect(tickets.open('file', ticket)?.value).toBe('x')
  now = 2000
  expect(tickets.open('file', ticket)).toBeUndefined()
})

test('one that is valid for longer than a month is none', () => {
  const tickets = createTickets([key], () => 0)
  expect(tickets.open('file', tickets.seal('file', 'x', 31 * 24 * 60 * minuteMs))?.value).toBe('x')
  expect(tickets.open('file', tickets.seal('file', 'x', 31 * 24 * 60 * minuteMs + 1000))).toBeUndefined()
})

test('with any bit changed it does not open, nor with another spelling, nor cut short, nor made longer', () => {
  const tickets = createTickets([key], () => 0)
  const ticket = tickets.seal('file', 'value', minuteMs)
  const bytes = Buffer.from(ticket, 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(tickets.open('file', changed.toString('base64url')), `bit ${bit}`).toBeUndefined()
  }
  for (let length = 0; length < ticket.length; length += 1)
    expect(tickets.open('file', ticket.slice(0, length)), `length ${length}`).toBeUndefined()
  for (const spelt of [`${ticket}=`, `${ticket}A`, ` ${ticket}`, `${ticket}.`, ticket.replace(/.$/, '$&$&')])
    expect(tickets.open('file', spelt), spelt).toBeUndefined()
  expect(tickets.open('file', ticket)?.value).toBe('value')
})

test('random text is no ticket', () => {
  const tickets = createTickets([key], () => 0)
  for (let length = 1; length < 1000; length += 1) {
    const bytes = randomBytes(length)
    // What a ticket begins with: its version, and an expiry of this day.
    Buffer.from([1, 0, 0, 0, 60]).copy(bytes)
    expect(tickets.open('file', bytes.toString('base64url'))).toBeUndefined()
  }
})

test('no two values have the same nonce', () => {
  const tickets = createTickets([key], () => 0)
  const nonces = new Set<string>()
  for (let count = 0; count < 5000; count += 1)
    nonces.add(Buffer.from(tickets.seal('file', String(count), minuteMs), 'base64url').toString('hex', 5, 17))
  expect(nonces.size).toBe(5000)
})
