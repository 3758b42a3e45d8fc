import { expect, test } from 'vitest'
import { decodeFrame } from '../../src/upstream/flowdock/service-frames.ts'
import { StreamPresence } from '../../src/upstream/flowdock/stream-presence.ts'

const states = { offline: 0, idle: 1_000_000, active: 2_000_000 }

function signal(user: number, state: keyof typeof states, ...flows: string[]) {
  const content = { user_id: user, state: states[state], updated_at: '2026-01-01T00:00:00Z' }
  const data = { f: flows, presence: true, p: { event: 'presence', content, user_id: user } }
  const frame = decodeFrame('s', undefined, JSON.stringify(data))
  if (frame?.kind !== 'signal') throw new Error('Expected a signal')
  return frame
}

const usersIn = (presence: StreamPresence, flow: string) =>
  presence.list((audiences) => audiences.includes(`p:${flow}`)).map(({ userId, state }) => [userId, state])

test('only what is new is said: who comes, falls idle and goes', () => {
  const presence = new StreamPresence()
  expect(presence.learn(signal(1, 'active', 'a'))).toBe(true)
  expect(presence.learn(signal(1, 'active', 'a'))).toBe(false)
  expect(presence.learn(signal(1, 'idle', 'a'))).toBe(true)
  expect(presence.learn(signal(2, 'offline', 'a'))).toBe(false)
  expect(usersIn(presence, 'a')).toEqual([[1, 'idle']])
  expect(presence.learn(signal(1, 'offline', 'a'))).toBe(true)
  expect(presence.size).toBe(0)
})

test('who left while the stream was lost is said to be gone once the stream has named all others', () => {
  const presence = new StreamPresence()
  presence.learn(signal(1, 'active', 'a', 'b'))
  presence.learn(signal(2, 'active', 'b'))
  presence.reconnected()
  presence.learn(signal(2, 'active', 'b'))
  expect(presence.confirm()).toMatchObject([
    { event: { userId: 1, state: 'offline', changedAt: null }, audiences: ['p:a', 'p:b'] },
  ])
  expect(presence.confirm()).toEqual([])
  expect(usersIn(presence, 'b')).toEqual([[2, 'active']])
})

test('a user who joins or leaves a flow is present for its members from then on', () => {
  const presence = new StreamPresence()
  presence.learn(signal(1, 'active', 'a'))
  presence.change({ kind: 'joined', user: 1, flow: 'b' })
  presence.change({ kind: 'left', user: 1, flow: 'a' })
  presence.change({ kind: 'userChanged', user: 1 })
  expect(usersIn(presence, 'a')).toEqual([])
  expect(usersIn(presence, 'b')).toEqual([[1, 'active']])
})
