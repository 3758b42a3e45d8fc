import { expect, test } from 'vitest'
import { parseTemplate, TemplateError } from '../../../src/backend/flowthings/templates.ts'

const drop = {
  ...{ id: 'd1', path: '/a/b', creationDate: 0, version: 2, fhash: 'key' },
  location: { lat: 1, lon: 2 },
  elems: {
    ...{ text: 'words', number: 1.5, yes: true, nothing: null, list: ['a', 1], map: { inner: 'deep' } },
    ...{ at: 1427578873318, place: { lat: 47, lon: 8 }, width: { magnitude: 3, unit: 'm' }, later: 1e300 },
    ...{ 'a-b': 'dashed', ключ: 'word' },
  },
  elementTypes: { at: 'date', place: 'location', width: 'length', later: 'date' },
}

test.each([
  ['no names', 'no names'],
  ['', ''],
  ['{{text}} and {{ elems.text }}', 'words and words'],
  ['{{number}}{{yes}}', '1.5true'],
  ['[{{nothing}}{{missing}}{{map.missing}}{{text.length}}]', '[]'],
  ['{{list}} {{map.inner}} {{map}}', 'a, 1 deep {"inner":"deep"}'],
  ['{{at}} {{creationDate}} {{later}}', '2015-03-28T21:41:13.318Z 1970-01-01T00:00:00.000Z 1e+300'],
  ['{{place}} | {{location}} | {{width}}', '47, 8 | 1, 2 | 3 m'],
  ['{{path}} {{id}} {{fhash}} {{version}}', '/a/b d1 key 2'],
  ['{{a-b}} {{ключ}}', 'dashed word'],
  ['{ {text} } }}', '{ {text} } }}'],
  ['[{{toString}}{{constructor}}{{elems.__proto__}}]', '[]'],
])('the template %j is rendered as %j', (template, text) => {
  expect(parseTemplate(template).render(drop)).toBe(text)
})

test.each([
  '{{',
  '{{text',
  '{{}}',
  '{{ }}',
  '{{text + 1}}',
  '{{text()}}',
  '{{{text}}}',
  "{{'text'}}",
  '{{a..b}}',
  '{{#if}}',
])('the template %j is refused', (template) => {
  expect(() => parseTemplate(template)).toThrow(TemplateError)
})

test('values are encoded, the text around them is not', () => {
  const encode = (text: string) => text.toUpperCase()
  expect(parseTemplate('a {{text}} b').render(drop, encode)).toBe('a WORDS b')
})

test('a long value is cut, and a template has 50 names at most', () => {
  const long = { elems: { long: '😀'.repeat(600) } }
  const text = parseTemplate('{{long}}').render(long)
  expect(text.length).toBeLessThanOrEqual(1000)
  expect(text.endsWith('…') && text.isWellFormed()).toBe(true)
  expect(parseTemplate('{{a}}'.repeat(50)).render({ elems: { a: 1 } })).toBe('1'.repeat(50))
  expect(() => parseTemplate('{{a}}'.repeat(51))).toThrow('more than 50')
})

/** A list or an object that counts how often one of its members is read. */
function counting<T extends object>(value: T): { readonly value: T; reads: () => number } {
  let reads = 0
  const counted = new Proxy(value, {
    get(target, name) {
      if (name in target && name !== 'length') reads += 1
      return Reflect.get(target, name)
    },
  })
  return { value: counted, reads: () => reads }
}

test.each([
  ['list', Array.from({ length: 50_000 }, (_, n) => n)],
  ['map', Object.fromEntries(Array.from({ length: 50_000 }, (_, n) => [`m${n}`, [n]]))],
])('of a %s with 50,000 members only those that are shown are read', (name, members) => {
  const { value, reads } = counting(members)
  const whole = name === 'list' ? (members as number[]).join(', ') : JSON.stringify(members)
  expect(parseTemplate('{{large}}').render({ elems: { large: value } })).toBe(`${whole.slice(0, 999)}…`)
  expect(reads()).toBeLessThan(1000)
})

test('a value that several templates name is read once', () => {
  const { value, reads } = counting({ a: 1, b: [2] })
  const [large, known] = [{ elems: { large: value } }, new Map<string, string>()]
  const text = '{"a":1,"b":[2]}'
  expect(parseTemplate('{{large}}{{elems.large}}').render(large, undefined, known)).toBe(text + text)
  const before = reads()
  expect(parseTemplate('{{large}}').render(large, undefined, known)).toBe(text)
  expect(reads()).toBe(before)
})

test('of a long text in a map only the beginning is read', () => {
  const long = { elems: { map: { text: 'x'.repeat(200_000) }, pair: { text: `${'x'.repeat(990)}"😀"` } } }
  expect(parseTemplate('{{map}}').render(long)).toBe(`{"text":"${'x'.repeat(990)}…`)
  expect(parseTemplate('{{pair}}').render(long)).toBe(`{"text":"${'x'.repeat(990)}…`)
})
