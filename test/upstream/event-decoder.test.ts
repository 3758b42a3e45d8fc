import { expect, test } from 'vitest'
import { createEventDecoder } from '../../src/upstream/flowdock/event-decoder.ts'

const message = (more: object = {}) =>
  JSON.stringify({ event: 'message', flow: 'f', id: 7, sent: 1, user: '1', tags: [], content: 'hi', ...more })

test('an event that several streams deliver is decoded once', () => {
  const decoder = createEventDecoder()
  const first = decoder.decode(message(), '5', 1)
  expect(decoder.decode(message(), '5', 2)).toBe(first)
  expect(decoder.decoded).toBe(1)
})

test('an id proves nothing: another text with the same id is another event', () => {
  const decoder = createEventDecoder()
  const first = decoder.decode(message(), '5', 1)
  const second = decoder.decode(message({ content: 'ho' }), '5', 1)
  expect(first).toMatchObject({ message: { content: 'hi' } })
  expect(second).toMatchObject({ message: { content: 'ho' } })
})

test('the same text with another id is another event', () => {
  const decoder = createEventDecoder()
  const first = decoder.decode(message(), '5', 1)
  expect(decoder.decode(message(), '6', 1)).not.toBe(first)
  expect(decoder.decode(message(), '6', 1)).toMatchObject({ cursor: '6' })
})

test('private events are never shared: what they mean depends on the user', () => {
  const decoder = createEventDecoder()
  const text = message({ flow: undefined, to: '2', user: '1' })
  expect(decoder.decode(text, '5', 1)).toMatchObject({ message: { channel: '@2' } })
  expect(decoder.decode(text, '5', 2)).toMatchObject({ message: { channel: '@1' } })
  const added = JSON.stringify({ event: 'flow-add', content: { id: 'f' } })
  expect(decoder.decode(added, '6', 1)).not.toBe(decoder.decode(added, '6', 2))
})

test('events that are stored nowhere are not shared', () => {
  const decoder = createEventDecoder()
  expect(decoder.decode(message(), '', 1)).not.toBe(decoder.decode(message(), '', 1))
})

test('a bound holds for the text that is remembered', () => {
  const decoder = createEventDecoder(1000)
  const first = decoder.decode(message(), '1', 1)
  for (let id = 2; id < 30; id += 1) decoder.decode(message(), String(id), 1)
  expect(decoder.decode(message(), '1', 1)).not.toBe(first)
  expect(decoder.decode(message(), '29', 1)).toBe(decoder.decode(message(), '29', 1))
})
