import { expect, onTestFinished, test, vi } from 'vitest'
import { createPresenceTable, type PresenceEvent } from '../../src/upstream/flowdock/presence-table.ts'

const event = (userId: number, state: PresenceEvent['state']): PresenceEvent => ({
  ...{ type: 'presence', cursor: '', flowId: null, userId, state, changedAt: 1 },
})

test('only changes pass', () => {
  const table = createPresenceTable(() => undefined)
  expect(table.learn(event(1, 'offline'))).toBe(false)
  expect(table.learn(event(1, 'active'))).toBe(true)
  expect(table.learn(event(1, 'active'))).toBe(false)
  expect(table.learn(event(1, 'idle'))).toBe(true)
  expect(table.list()).toEqual([event(1, 'idle')])
  expect(table.learn(event(1, 'offline'))).toBe(true)
  expect(table.list()).toEqual([])
})

test('a user that a stream does not report again after a reconnect has left', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const gone: PresenceEvent[] = []
  const table = createPresenceTable((each) => gone.push(each))
  table.learn(event(1, 'active'))
  table.learn(event(2, 'active'))
  table.reconnected()
  expect(table.learn(event(2, 'active'))).toBe(false)
  vi.runAllTimers()
  expect(gone).toEqual([{ ...event(1, 'offline'), changedAt: null }])
  expect(table.list()).toEqual([event(2, 'active')])
})
