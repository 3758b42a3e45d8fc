import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ValidationError } from '../../src/errors.ts'
import {
  decodeGlobalId,
  encodeGlobalId,
  encodeInFlow,
  splitInFlow,
  splitMessageKey,
} from '../../src/resolvers/global-id.ts'
import { decodeCursor, encodeCursor } from '../../src/resolvers/pagination.ts'

const typename = fc.stringMatching(/^[A-Za-z]{1,20}$/)
const key = fc.string({ minLength: 1, unit: 'grapheme' })

test('a global id names what it was made of', () => {
  fc.assert(
    fc.property(typename, key, (type, id) => {
      expect(decodeGlobalId(encodeGlobalId(type, id))).toEqual({ typename: type, id })
    }),
  )
})

test('what is inside a flow is named by both, whatever the flow is called', () => {
  fc.assert(
    fc.property(key, fc.integer({ min: 1, max: 2 ** 40 }), (flow, id) => {
      const { id: inner } = decodeGlobalId(encodeInFlow('Message', flow, id))
      expect(splitInFlow(inner)).toEqual({ flowId: flow, id: String(id) })
      if (!flow.startsWith('@')) expect(splitMessageKey(inner)).toEqual({ channel: flow, id })
    }),
  )
})

test('any other text is refused with a failure of the input, never another', () => {
  const refuse = (decode: (text: string) => unknown) => (text: string) => {
    try {
      decode(text)
    } catch (error) {
      expect(error).toBeInstanceOf(ValidationError)
    }
  }
  const anything = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.base64String(),
    typename.map((type) => Buffer.from(`${type}:`).toString('base64url')),
    fc.string().map((text) => Buffer.from(text).toString('base64url')),
  )
  fc.assert(fc.property(anything, refuse(decodeGlobalId)))
  fc.assert(fc.property(anything, refuse(splitMessageKey)))
  fc.assert(
    fc.property(
      anything,
      refuse((text) => decodeCursor('message', text, 'after')),
    ),
  )
})

test('a cursor is good for its own kind of list alone', () => {
  fc.assert(
    fc.property(key, (place) => {
      const cursor = encodeCursor('message', place)
      expect(decodeCursor('message', cursor, 'after')).toBe(place)
      for (const list of ['thread', 'user', 'search result'])
        expect(() => decodeCursor(list, cursor, 'after')).toThrow(`a cursor of a list of ${list}s`)
    }),
  )
})
