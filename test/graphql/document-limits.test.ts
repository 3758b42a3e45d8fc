import { parse } from 'graphql'
import { expect, test } from 'vitest'
import {
  checkDocumentSize,
  checkFieldPairs,
  defaultLimits,
  measureDocument,
} from '../../src/graphql/document-limits.ts'
import { schema } from '../../src/schema/index.ts'

const measure = (text: string, variables = {}, limits = {}) =>
  measureDocument(schema, parse(text), variables, { ...defaultLimits, ...limits })
const nested = (field: string, levels: number) => `${`${field} { `.repeat(levels)}id${' }'.repeat(levels)}`

test('a list costs its size times what one item costs', () => {
  expect(measure('{ flows(first: 10) { nodes { id name } } }').cost).toBe(1 + 10 * 3)
  expect(measure('{ a: flows(last: 2) { id } b: flows(first: 3) { id } }').cost).toBe(1 + 2 + 1 + 3)
})

test('a size that a variable gives is the value of the variable, or the largest page without one', () => {
  const text = 'query ($n: Int) { flows(first: $n) { id } }'
  expect(measure(text, { n: 7 })).toMatchObject({ cost: 8, isFixed: false })
  expect(measure(text)).toMatchObject({ cost: 101, isFixed: false })
  expect(measure('{ flows(first: 7) { id } }')).toMatchObject({ cost: 8, isFixed: true })
})

test('a fragment costs the same wherever it is spread as written out', () => {
  const written = measure('{ a: viewer { id nick } b: viewer { id nick } }')
  const spread = measure('{ a: viewer { ...F } b: viewer { ...F } } fragment F on User { id nick }')
  expect(spread).toEqual(written)
})

test('fragments that double thirty times are refused, and not written out', () => {
  const fragments = Array.from(
    { length: 30 },
    (_, i) => `fragment F${i} on User { ...F${i + 1} ...F${i + 1} }`,
  )
  const text = `{ viewer { ...F0 } } ${fragments.join(' ')} fragment F30 on User { id }`
  expect(() => measure(text)).toThrow(/fields to resolve; at most 50000/)
})

test('a fragment that spreads itself comes to an end', () => {
  expect(measure('{ viewer { ...F } } fragment F on User { id ...F }').cost).toBe(2)
})

test.each<[string, string, RegExp]>([
  ['levels', `{ ${nested('flow', 12)} }`, /13 levels of fields; at most 12/],
  ['levels of introspection', `{ ${nested('__type', 16)} }`, /levels of introspection; at most 15/],
  ['aliases', `{ ${'a: id '.repeat(31)} }`, /31 aliases; at most 30/],
  ['directives', `{ id ${'@skip(if: false) '.repeat(51)} }`, /51 directives; at most 50/],
  ['root fields', `{ ${'id '.repeat(21)} }`, /21 root fields; at most 20/],
  ['cost', '{ a(first: 100) { b(first: 100) { c(first: 6) { id } } } }', /fields to resolve; at most 50000/],
])('a document with too many %s is refused, and the limit is named', (_, text, message) => {
  expect(() => measure(text)).toThrow(message)
})

test('a list without a size counts as the page that it declares, 30 at most, and the ids of `nodes` count', () => {
  expect(measure('{ flows { nodes { id } } }').cost).toBe(1 + 30 * 2)
  expect(measure('{ flow(by: { path: "a/b" }) { threads { nodes { fields { label } } } } }').cost).toBe(
    1 + 1 + 30 * (1 + 1 + 5),
  )
  expect(measure('{ nodes(ids: ["a", "b"]) { id } }').cost).toBe(1 + 2)
})

test('a document is volatile when it selects a volatile field, not when it has its name elsewhere', () => {
  expect(measure('{ rateLimit { used } }')).toMatchObject({ isVolatile: true })
  expect(measure('{ viewer { ...F } } fragment F on User { presence }')).toMatchObject({ isVolatile: true })
  expect(measure('query presence { activity: viewer { id } }')).toMatchObject({ isVolatile: false })
})

test('introspection costs one for each field, whatever is selected of it', () => {
  expect(measure('{ __schema { types { fields { name } } } }').cost).toBe(1)
})

test('the length of a document counts in bytes', () => {
  expect(() => checkDocumentSize('é'.repeat(16_384), defaultLimits)).not.toThrow()
  expect(() => checkDocumentSize(`${'é'.repeat(16_384)}x`, defaultLimits)).toThrow(/32769 bytes/)
})

test('a field may be repeated 141 times, which are 9,870 pairs', () => {
  const repeated = (count: number) => parse(`{ viewer { ${'id '.repeat(count)} } }`)
  expect(() => checkFieldPairs(repeated(141), defaultLimits)).not.toThrow()
  expect(() => checkFieldPairs(repeated(143), defaultLimits)).toThrow(/select each field once/)
})
