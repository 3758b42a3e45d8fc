import { parse } from 'graphql'
import { describe, expect, test } from 'vitest'
import { countFieldPairs } from '../../src/graphql/field-pairs.ts'

const unbounded = 1_000_000
const count = (text: string, max = unbounded) => countFieldPairs(parse(text), max)
const repeat = (length: number, each: (index: number) => string) =>
  Array.from({ length }, (_, index) => each(index)).join(' ')

describe('the comparisons of fields in a document', () => {
  test.each([
    ['different fields', `{ ${repeat(100, (index) => `f${index}`)} }`, 0],
    ['the same field twice', '{ a a }', 1],
    ['under an alias', '{ a b: a b }', 1],
    ['in inline fragments', '{ a ... on T { a } ... { a } }', 3],
    ['once more for each argument', '{ a(x: 1, y: 2) a(x: 1, y: 2) }', 3],
    ['in a fragment and beside it', '{ a ...F ...F } fragment F on T { a }', 1],
    ['of merged objects', '{ a { b } a { b } a { b } }', 6],
    ['of merged objects that are merged by fragments', '{ a { b } ...F } fragment F on T { a { b } }', 2],
    ['of objects that are not merged', '{ x: a { b } y: a { b } }', 0],
    [
      'of fragments that spread each other',
      '{ ...A } fragment A on T { a ...B } fragment B on T { a ...A }',
      5,
    ],
  ])('%s', (_, text, pairs) => {
    // Fields that are visited on the way count a tenth.
    expect(count(text)).toBeGreaterThanOrEqual(pairs)
    expect(count(text)).toBeLessThanOrEqual(pairs + 12)
  })

  test('grow with the square of the repetitions, and counting ends where there are too many', () => {
    const repeated = (length: number) => `{ ${'a { b } '.repeat(length)} }`
    expect(count(repeated(400)) / count(repeated(100))).toBeGreaterThan(14)
    expect(count(repeated(400), 1000)).toBeGreaterThan(1000)
    // By no more than the group that was counted last.
    expect(count(repeated(400), 1000)).toBeLessThan(100_000)
  })

  test('are few for fragments that are spread in many places, nested however deep', () => {
    const nested = (levels: number) =>
      `{ ...F0 } ${repeat(levels, (index) => `fragment F${index} on T { x: a { ...F${index + 1} } y: a { ...F${index + 1} } }`)} fragment F${levels} on T { a }`
    expect(count(nested(10))).toBeLessThan(100)
    expect(count(nested(40)) / count(nested(10))).toBeLessThan(5)
  })
})
