import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ElementsError,
  parseElements,
  printElements,
  typeNames,
} from '../../../src/backend/flowthings/values.ts'

const typed = (elems: unknown) => printElements(parseElements(elems), 'typed')
const plain = (elems: unknown) => printElements(parseElements(elems), 'plain')

describe('plain elements get the types of their JSON', () => {
  test.each([
    ['text', { type: 'string', value: 'text' }],
    [true, { type: 'boolean', value: true }],
    [1, { type: 'integer', value: 1 }],
    [2 ** 31, { type: 'long', value: 2 ** 31 }],
    [1.5, { type: 'float', value: 1.5 }],
    [null, { type: 'null', value: null }],
    [
      [1, 'a'],
      {
        type: 'list',
        value: [
          { type: 'integer', value: 1 },
          { type: 'string', value: 'a' },
        ],
      },
    ],
    [{ a: 1 }, { type: 'map', value: { a: { type: 'integer', value: 1 } } }],
  ])('%j', (value, shown) => {
    expect(typed({ x: value })).toEqual({ x: shown })
    expect(plain({ x: value })).toEqual({ x: value })
    expect(typed({ x: shown })).toEqual({ x: shown })
  })
})

test('typed elements keep their types, however deep and beside plain ones', () => {
  const elems = {
    at: { type: 'date', value: 1_436_140_800_000 },
    ratio: { type: 'float', value: 1 },
    mixed: { type: 'list', value: [1, { type: 'date', value: 2 }, { a: { type: 'email', value: 'a@b.c' } }] },
    'a/b~c': { type: 'id', value: 'f1' },
  }
  expect(plain(elems)).toEqual({
    at: 1_436_140_800_000,
    ratio: 1,
    mixed: [1, 2, { a: 'a@b.c' }],
    'a/b~c': 'f1',
  })
  expect(parseElements(elems).types).toEqual({
    at: 'date',
    ratio: 'float',
    'mixed/1': 'date',
    'mixed/2/a': 'email',
    'a~1b~0c': 'id',
  })
  expect(typed(elems)['mixed']).toEqual({
    type: 'list',
    value: [
      { type: 'integer', value: 1 },
      { type: 'date', value: 2 },
      { type: 'map', value: { a: { type: 'email', value: 'a@b.c' } } },
    ],
  })
})

test('what is shown can be sent again, typed and plain', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), (elems) => {
      const elements = parseElements(elems)
      expect(parseElements(printElements(elements, 'typed'))).toEqual(elements)
      expect(parseElements(elements.values)).toEqual(elements)
    }),
  )
})

test('members of a location, a length and the like are plain', () => {
  const place = { type: 'location', value: { lat: 48.1, lon: 11.5, specifiers: { city: 'Munich' } } }
  const width = { type: 'length', value: { magnitude: 2, unit: 'meters' } }
  expect(typed({ place, width })).toEqual({ place, width })
})

test('sets drop repetitions; sorted ones are sorted', () => {
  expect(plain({ x: { type: 'set', value: [2, 'a', 2, { type: 'integer', value: 2 }] } })).toEqual({
    x: [2, 'a'],
  })
  expect(plain({ x: { type: 'sortedSet', value: [10, 9, 10, 1] } })).toEqual({ x: [1, 9, 10] })
  expect(Object.keys(plain({ x: { type: 'sortedMap', value: { b: 1, a: 2 } } })['x'] as object)).toEqual([
    'a',
    'b',
  ])
})

test('an object with other members, or of an unknown type, is an ordinary map', () => {
  expect(plain({ x: { type: 'car', value: 3 } })).toEqual({ x: { type: 'car', value: 3 } })
  expect(plain({ x: { type: 'date', value: 3, unit: 'ms' } })).toEqual({
    x: { type: 'date', value: 3, unit: 'ms' },
  })
})

test('texts and names that not every database stores are replaced', () => {
  expect(plain({ 'a\0': 'b\ud800' })).toEqual({ 'a\uFFFD': 'b\uFFFD' })
})

test('a member called __proto__ is a member', () => {
  const elems = JSON.parse('{"__proto__": {"type": "date", "value": 1}}') as unknown
  expect(JSON.stringify(plain(elems))).toBe('{"__proto__":1}')
  expect(JSON.stringify(typed(elems))).toBe('{"__proto__":{"type":"date","value":1}}')
})

describe('elements are refused', () => {
  test.each([
    [[], 'Expected "elems" to be an object'],
    [{ x: { type: 'integer', value: '1' } }, 'Expected the element "x" of type integer to be a whole number'],
    [{ x: { type: 'date', value: 1.5 } }, 'to be milliseconds since 1970, a whole number'],
    [{ x: { a: { type: 'location', value: { lat: 100, lon: 0 } } } }, 'the element "x/a" of type location'],
    [{ x: { type: 'list', value: {} } }, 'to be a list'],
    [{ x: { type: 'map', value: [] } }, 'to be an object'],
    [{ x: { type: 'length', value: 3 } }, 'to be an object with a number "magnitude"'],
  ])('%j', (elems, message) => {
    expect(() => parseElements(elems)).toThrow(ElementsError)
    expect(() => parseElements(elems)).toThrow(message)
  })

  test('when they are nested too deep', () => {
    const nest = (levels: number): unknown => (levels === 0 ? 1 : { a: nest(levels - 1) })
    expect(() => parseElements(nest(33))).toThrow('at most 32 levels deep')
    expect(() => parseElements({ x: { type: 'text', value: nest(40) } })).toThrow('at most 32 levels deep')
    expect(parseElements(nest(32)).types).toEqual({})
  })

  test('of every type when the value is of another kind', () => {
    for (const type of typeNames) {
      const wrong = type === 'null' ? 1 : null
      expect(() => parseElements({ x: { type, value: wrong } }), type).toThrow(ElementsError)
    }
  })
})
