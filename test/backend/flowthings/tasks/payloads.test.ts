import { expect, test } from 'vitest'
import { PayloadError, toDrop, toPayload } from '../../../../src/backend/flowthings/tasks/payloads.ts'

const bytes = (text: string) => Buffer.from(text)

test.each([
  ['{"elems": {"x": 1}, "fhash": "f"}', { elems: { x: 1 }, fhash: 'f' }],
  ['{"temp": 21.5}', { elems: { temp: 21.5 } }],
  ['{"elems": 3}', { elems: { elems: 3 } }],
  ['21.5', { elems: { value: 21.5 } }],
  ['true', { elems: { value: true } }],
  ['[1, 2]', { elems: { value: [1, 2] } }],
  ['"on"', { elems: { value: 'on' } }],
  ['on', { elems: { value: 'on' } }],
  ['{"temp": 21.5', { elems: { value: '{"temp": 21.5' } }],
])('the payload %s makes a drop with its elements', (payload, drop) => {
  expect(toDrop(bytes(payload), 'json')).toEqual(drop)
})

test('whole numbers keep all their digits', () => {
  expect(JSON.stringify(toDrop(bytes('9007199254740993'), 'json'))).toBe(
    '{"elems":{"value":9007199254740993}}',
  )
})

test('with the format "text", each payload is one text', () => {
  expect(toDrop(bytes('{"temp": 21.5}'), 'text')).toEqual({ elems: { value: '{"temp": 21.5}' } })
})

test('bytes that are no UTF-8 are an element in Base64', () => {
  expect(toDrop(Buffer.from([0xff, 0x00]), 'json')).toEqual({
    elems: { value: { type: 'bytes', value: '/wA=' } },
  })
})

test.each([
  ['that is empty', '', 'is empty'],
  ['that is longer than a drop may be', 'x'.repeat(256 * 1024 + 1), 'at most 262144 bytes'],
  ['with too many values', `[${'0,'.repeat(100_001)}0]`, 'too many values'],
])('a payload %s makes no drop', (_, payload, problem) => {
  expect(() => toDrop(bytes(payload), 'json')).toThrow(PayloadError)
  expect(() => toDrop(bytes(payload), 'json')).toThrow(problem)
})

test('a drop is sent whole, or only its elements', () => {
  const drop = { id: 'd1', elems: { x: 1 } }
  expect(toPayload(drop, 'json')).toBe('{"id":"d1","elems":{"x":1}}')
  expect(toPayload(drop, 'elems')).toBe('{"x":1}')
})
