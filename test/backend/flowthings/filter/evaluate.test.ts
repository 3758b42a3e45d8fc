import { describe, expect, test } from 'vitest'
import { compileFilter } from '../../../../src/backend/flowthings/filter/evaluate.ts'
import { parseFilter } from '../../../../src/backend/flowthings/filter/parse.ts'
import type { Subject } from '../../../../src/backend/flowthings/filter/subject.ts'

const now = 1_436_140_800_000

const drop: Subject = {
  id: 'd551ac39bd4c6c0000000000',
  flowId: 'f551ac39bd4c6c0000000000',
  path: '/alice/garden/temperature',
  creationDate: now - 5000,
  version: 0,
  fhash: 'today',
  location: { lat: 48.137, lon: 11.575 },
  elems: {
    temp: 21.5,
    count: 7,
    low: -3,
    title: 'Garden',
    on: true,
    nothing: null,
    when: now - 60_000,
    tags: ['a', 'b', 1],
    place: { lat: 48.2, lon: 11.6, specifiers: { city: 'Munich' } },
    nested: { deep: { value: 3 } },
  },
  elementTypes: { when: 'date', place: 'location' },
}

const matches = (text: string, subject: Subject = drop) =>
  compileFilter(parseFilter(text), 'drop')(subject, now)

describe('a drop matches', () => {
  test.each([
    '',
    'temp == 21.5',
    'elems.temp > 21',
    'temp >= 21.5 && temp <= 21.5',
    'temp < 22',
    'title == "Garden"',
    'title > "Garage"',
    'title < "a"',
    'on == true',
    'nothing == null',
    'EXISTS nothing',
    'EXISTS title',
    'EXISTS elems',
    'NOT EXISTS colour',
    'missing != 1',
    'NOT missing == 1',
    'temp != title',
    'tags != tags',
    'count != "7"',
    'fhash == "today"',
    'path =~ /garden/',
    'path =~ /TEMPERATURE$/i',
    'path =~ /^\\/alice\\//',
    'MATCHES /ard/',
    'count IN [1, 7]',
    'title IN ["a", "Garden"]',
    'count IN [version, count]',
    'tags CONTAINS ["a"]',
    'tags CONTAINS ["b", 1, "a"]',
    'tags CONTAINS ["b", 1, "a", "a", "b"]',
    'tags CONTAINS []',
    'location WITHIN 1 KM OF [48.137,11.575]',
    'place WITHIN 8 KM OF [48.137,11.575]',
    'place WITHIN 5 MILES OF [48.137,11.575]',
    'HAS float',
    'HAS date',
    'HAS location',
    'HAS list',
    'HAS null',
    'AGE == 5000',
    'AGE > 4999 && AGE < 5001',
    'AGE != 1',
    "AGE('when') == 60000",
    "AGE('elems.when') == 60000",
    'NOT AGE("lastEditDate") != 1',
    'count % 4 == 3',
    'low % 2 == -1',
    'title % 2 != 1',
    'nested.deep.value == 3',
    'elems.nested.deep.value == 3',
    'location.lat > 48',
    'place.specifiers.city == "Munich"',
    'temp > count',
    'temp > count || missing == 1',
    'title == "x" || title == "y" || title == "Garden"',
    'title != "x" && title != "y" && title != "z"',
  ])('%s', (text) => {
    expect(matches(text)).toBe(true)
  })
})

describe('a drop does not match', () => {
  test.each([
    'missing == 1',
    'missing == null',
    'missing < 1',
    'missing =~ /a/',
    'missing IN []',
    'missing == missing',
    'EXISTS constructor',
    'EXISTS nested.constructor',
    'EXISTS toString',
    'nested.length == 1',
    'EXISTS tags.length',
    'EXISTS title.length',
    'tags == tags',
    'nested == nested',
    'count == "7"',
    'count < "8"',
    'on > false',
    'nothing < 1',
    'count =~ /7/',
    'tags =~ /a/',
    'MATCHES /alice/',
    'title CONTAINS ["G"]',
    'tags CONTAINS ["a", "c"]',
    'tags CONTAINS [missing]',
    'tags CONTAINS [1, 2, 3, 4, 5]',
    'title IN []',
    'title WITHIN 5 KM OF [48,11]',
    'place WITHIN 7 KM OF [48.137,11.575]',
    'HAS email',
    'HAS sortedMap',
    "AGE('title') > 0",
    "AGE('lastEditDate') != 1",
    'title % 2 == 1',
  ])('%s', (text) => {
    expect(matches(text)).toBe(false)
  })
})

test('texts are ordered by code point', () => {
  const emoji = { elems: { a: '😀', b: '\uFB01' } }
  expect(matches('a > b', emoji)).toBe(true)
  expect(matches('a > "\uFB01"', emoji)).toBe(true)
  expect(matches('b < a', emoji)).toBe(true)
  expect(matches('a >= a && a <= a', emoji)).toBe(true)
})

test('a text that is too long to be searched has no match', () => {
  const isMatch = (length: number) => matches('text =~ /^a+$/', { elems: { text: 'a'.repeat(length) } })
  expect(isMatch(32_768)).toBe(true)
  expect(isMatch(32_769)).toBe(false)
})

test('names that objects inherit are members only where they are stored', () => {
  const elems = JSON.parse('{"__proto__": 1, "constructor": {"name": "x"}}') as Record<string, unknown>
  expect(matches('__proto__ == 1', { elems })).toBe(true)
  expect(matches('constructor.name == "x"', { elems })).toBe(true)
  expect(matches('EXISTS __proto__ || EXISTS constructor', { elems: {} })).toBe(false)
})

test('bare names of other resources are their members', () => {
  const flow = { path: '/alice/a', displayName: 'foo bar', capacity: 10 }
  const isMatch = (text: string) => compileFilter(parseFilter(text), 'resource')(flow, now)
  expect(isMatch("(displayName == 'foo bar') && (path =~ /^\\/alice/i)")).toBe(true)
  expect(isMatch('capacity > 5')).toBe(true)
  expect(isMatch('EXISTS elems.capacity')).toBe(false)
  expect(isMatch('MATCHES /bar$/')).toBe(true)
  expect(isMatch('HAS string')).toBe(false)
})
