import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assemble, divide, type WholeContent } from '../../src/upstream/equal-parts.ts'

const kinds: readonly (readonly [string, (text: string) => WholeContent])[] = [
  ['bytes', (text) => Buffer.from(text)],
  ['text', (text) => text],
]

/** Assembles a body from the parts of another one. */
function between(known: string, text: string, of: (text: string) => WholeContent) {
  const parts = divide(of(known), JSON.parse(known))
  const assembled = parts && assemble(parts, of(text))
  return { parts, assembled, json: assembled?.json }
}

const item = (id: number, more = {}) => ({
  id,
  content: `message ${id}, ü, "quoted" \\ [{`,
  tags: ['a,b'],
  ...more,
})
const memberOf = (json: unknown, name: string) => (json as Record<string, unknown>)[name]
const items = (count: number, from = 0) => Array.from({ length: count }, (_, index) => item(from + index))

test.each(kinds)('of a list of %s only the items are parsed that are not known', (_, of) => {
  const known = items(20)
  const changes: Record<string, unknown[]> = {
    'one changed': known.with(7, item(7, { edited: true })),
    'the last one changed': known.with(19, item(19, { edited: true })),
    'two changed': known.with(0, item(0, { tags: [] })).with(12, item(12, { tags: [] })),
    'one added at the end': [...known, item(20)],
    'one added at the start, one in the middle': [item(99), ...known.toSpliced(9, 0, item(98))],
    'the window moved': items(20, 1),
    'two removed': known.toSpliced(4, 2),
    'the last ones removed': known.slice(0, 15),
    'all of them': known,
  }
  for (const [name, list] of Object.entries(changes)) {
    const text = JSON.stringify(list)
    const { parts, assembled, json } = between(JSON.stringify(known), text, of)
    expect(json, name).toEqual(list)
    const shared = new Set<unknown>(parts?.json as unknown[])
    const own = (json as unknown[]).filter((each) => !shared.has(each))
    expect(own.length, name).toBeLessThanOrEqual(2)
    expect(assembled?.parsedLength, name).toBeLessThan(text.length / 4)
    // The parts of the new body serve the next one.
    expect(assembled && assemble(assembled, of(text))?.json, name).toEqual(list)
  }
})

test.each(kinds)('of an object of %s only the members are parsed that are not known', (_, of) => {
  const known = { id: 'f1', unread: 1, name: 'Main', users: items(30), open: true }
  for (const object of [
    { ...known, unread: 12 },
    { ...known, open: false },
    { ...known, more: null },
  ]) {
    const { parts, json } = between(JSON.stringify(known), JSON.stringify(object), of)
    expect(json).toEqual(object)
    expect(parts && memberOf(json, 'users') === memberOf(parts.json, 'users')).toBe(true)
  }
})

test('a body that has few of the known parts is not assembled', () => {
  const known = JSON.stringify(items(20))
  for (const list of [items(20, 100), [], items(20).map((each) => ({ ...each, own: 1 }))])
    expect(between(known, JSON.stringify(list), Buffer.from).assembled).toBeUndefined()
  expect(between(known, JSON.stringify({ a: 1 }), Buffer.from).assembled).toBeUndefined()
})

test('members with names that an object cannot have twice, or as its own, are left to the parser', () => {
  for (const text of ['{"a":1,"a":2,"b":3}', '{"__proto__":{"a":1},"b":2}'])
    expect(divide(text, JSON.parse(text))).toBeUndefined()
  for (const text of ['{"a":1,"b":2,"a":3}', '{"a":1,"b":2,"__proto__":{}}', '{"a":1,"b":2,"c":3,"c":4}'])
    expect(between('{"a":1,"b":2}', text, Buffer.from).assembled).toBeUndefined()
})

test('a list of very short items is not divided, so that its parts take no more memory than its body', () => {
  const short = JSON.stringify(Array(10_000).fill(1))
  expect(divide(short, JSON.parse(short))).toBeUndefined()
  const long = JSON.stringify(items(10_000))
  expect(divide(long, JSON.parse(long))?.starts).toHaveLength(10_000)
})

test('a number that goes on is another number', () => {
  expect(between('[1,2,3,4]', '[1,2,3,42]', Buffer.from).json).toEqual([1, 2, 3, 42])
  expect(between('[1,2,3,4]', '[11,2,3,4]', Buffer.from).json).toEqual([11, 2, 3, 4])
})

test.each(kinds)('any change of the %s of a body gives what the parser gives, or nothing', (_, of) => {
  const value = fc.jsonValue({ maxDepth: 3 })
  const body = fc.oneof(
    fc.array(value, { maxLength: 12 }),
    fc.dictionary(fc.string({ maxLength: 3 }), value, { maxKeys: 12 }),
  )
  const edit = fc.record({
    at: fc.nat(),
    removed: fc.nat({ max: 12 }),
    added: fc.oneof(
      fc.constantFrom(',', ']', '}', '[', '{', '"', '\\', '1', ',1', '"a":1,', ' ', '\u{feff}'),
      fc.string(),
    ),
  })
  fc.assert(
    fc.property(body, fc.array(edit, { maxLength: 2 }), fc.boolean(), (json, edits, isSpaced) => {
      const known = JSON.stringify(json, null, isSpaced ? 1 : 0)
      const text = edits.reduce((all, { at, removed, added }) => {
        const index = at % (all.length + 1)
        return all.slice(0, index) + added + all.slice(index + removed)
      }, known)
      const { json: assembled } = between(known, text, of)
      if (assembled !== undefined) expect(JSON.stringify(assembled)).toBe(JSON.stringify(JSON.parse(text)))
    }),
    { numRuns: Number(process.env['RUNS'] ?? 2000) },
  )
})
