import { expect, test } from 'vitest'
import { decodeFrame } from '../../src/upstream/flowdock/service-frames.ts'

const message = {
  ...{ event: 'message', id: 7, flow: 'flow-1', content: 'hello', sent: 1000, app: 'chat', user: '3' },
  ...{ tags: [], attachments: [], created_at: '2026-01-01T00:00:00Z' },
}
const frameOf = (name: string, id: string | undefined, data: unknown) =>
  decodeFrame(name, id, typeof data === 'string' ? data : JSON.stringify(data))

test('an event of a flow is decoded with its number, its cursor and its audience', () => {
  expect(frameOf('e', '12', { a: 'f:flow-1', t: 1000, p: message })).toMatchObject({
    ...{ kind: 'event', number: 12, audiences: ['f:flow-1'], change: undefined },
    event: { type: 'message', cursor: '12', flowId: 'flow-1', message: { id: 7 } },
  })
})

test('a private message is decoded as the user sees it that it is sent to', () => {
  const { flow: _, ...unplaced } = message
  const p = { ...unplaced, to: '4' }
  expect(frameOf('e', '12', { a: 'u:3', t: 1000, p })).toMatchObject({
    ...{ audiences: ['u:3'], event: { flowId: null, message: { channel: '@4' } } },
  })
  expect(frameOf('e', '13', { a: 'u:4', t: 1000, p })).toMatchObject({
    ...{ audiences: ['u:4'], event: { flowId: null, message: { channel: '@3' } } },
  })
})

test('who comes into a flow and who leaves it is read from the events that say so', () => {
  const membership = (event: string) => ({ user: 3, event, content: { id: 'flow-1' } })
  expect(frameOf('e', '1', { a: 'u:3', t: 0, p: membership('flow-add') })).toMatchObject({
    change: { kind: 'joined', user: 3, flow: 'flow-1' },
  })
  expect(frameOf('e', '1', { a: 'u:3', t: 0, p: membership('flow-remove') })).toMatchObject({
    change: { kind: 'left', user: 3, flow: 'flow-1' },
  })
  const block = { ...message, event: 'backend.user.block', content: '5', app: null }
  expect(frameOf('e', '1', { a: 'f:flow-1', t: 0, p: block })).toMatchObject({
    ...{ audiences: ['f:flow-1'], change: { kind: 'left', user: 5, flow: 'flow-1' } },
  })
})

test.each([
  ['a lost credential', { a: 'u:7', k: 'token', g: 'grant' }, { kind: 'grantEnded', grant: 'grant' }],
  ['a changed user', { a: 'u:7', k: 'user' }, { kind: 'userChanged', user: 7 }],
  ['other rights', { a: 'u:7', k: 'reach' }, { kind: 'userChanged', user: 7 }],
  ['a kind of a later version', { a: 'u:7', k: 'later' }, { kind: 'userChanged', user: 7 }],
  ['a changed flow', { a: 'f:flow-1', k: 'flow' }, undefined],
])('a control event reaches nobody: %s', (_, data, change) => {
  expect(frameOf('c', '5', data)).toMatchObject({ kind: 'event', number: 5, audiences: [] })
  expect(frameOf('c', '5', data)).toMatchObject({ change, about: data.a })
})

test('a signal has all its audiences and no number', () => {
  const p = {
    event: 'presence',
    content: { user_id: 3, state: 2_000_000, updated_at: '2026-01-01T00:00:00Z' },
  }
  expect(frameOf('s', undefined, { f: ['a', 'b'], u: 3, presence: true, p })).toMatchObject({
    ...{ kind: 'signal', audiences: ['p:a', 'p:b', 'u:3'], event: { type: 'presence', userId: 3 } },
  })
  expect(frameOf('s', undefined, { f: 'a', p })).toBeUndefined()
  expect(frameOf('s', undefined, { f: ['a'], p: 7 })).toBeUndefined()
})

test('an event that cannot be read is a gap for its audience, and for all when the audience cannot be read either', () => {
  const gap = { type: 'gap', cursor: '9', after: '8', reason: 'unreadable' }
  expect(frameOf('e', '9', { a: 'f:a', t: 0, p: [] })).toMatchObject({ audiences: ['f:a'], event: gap })
  expect(frameOf('e', '9', { a: 'nobody', t: 0, p: message })).toMatchObject({ audiences: 'all', event: gap })
  expect(frameOf('e', '9', '{"a":')).toMatchObject({ audiences: 'all', number: 9, event: gap })
})

test('a message that was deleted since, and an event of a later version, keep their numbers and reach no one', () => {
  expect(frameOf('e', '9', { a: 'f:a', t: 0, p: null })).toMatchObject({ number: 9, audiences: [] })
  expect(frameOf('later', '9', {})).toMatchObject({ number: 9, audiences: [] })
  expect(frameOf('later', undefined, {})).toBeUndefined()
})

test.each(['', '-1', '1.5', 'x', '99999999999999999999', undefined])(
  'a connection that numbers an event with %j is of no use',
  (id) => {
    expect(() => frameOf('e', id, { a: 'f:a', t: 0, p: message })).toThrow(RangeError)
    expect(() => frameOf('h', undefined, { head: id ?? null })).toThrow(RangeError)
  },
)
