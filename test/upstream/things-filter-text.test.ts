import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseFilter } from '../../src/backend/flowthings/filter/parse.ts'
import { printFilter } from '../../src/backend/flowthings/filter/print.ts'
import type { Filter, Member, Operand } from '../../src/backend/flowthings/filter/syntax-tree.ts'
import { filterText, type ThingsFilter } from '../../src/upstream/flowthings/filter-text.ts'
import { anyFilter } from '../support/filters.ts'

const text = (filter: ThingsFilter) => filterText(filter, ['filter'])
const one: ThingsFilter = { compare: { member: 'a', comparison: '==', value: 1 } }

test('each part has parentheses of its own', () => {
  expect(text({ and: [one, { not: one }] })).toBe('((a == 1) && (NOT ((a == 1))))')
  expect(text({ or: [one, { exists: 'elems.b' }] })).toBe('((a == 1) || (EXISTS elems.b))')
})

test('the server reads what was meant', () => {
  const pairs: [ThingsFilter, string][] = [
    [
      { compare: { member: 'elems.a', comparison: '>=', value: 'it\'s "5"\\' } },
      'elems.a >= "it\'s \\"5\\"\\\\"',
    ],
    [{ compare: { member: 'a', comparison: '!=', otherMember: 'b' } }, 'a != b'],
    [{ compare: { member: 'a', comparison: '==', value: null } }, 'a == null'],
    [{ remainder: { member: 'a', divisor: 2, comparison: '==', remainder: 1 } }, 'a % 2 == 1'],
    [{ matches: { member: 'path', pattern: '^/a/\\w+$', ignoreCase: true } }, 'path =~ /^\\/a\\/\\w+$/i'],
    [{ matches: { pattern: 'warm' } }, 'MATCHES /warm/'],
    [{ matches: { pattern: 'C:\\\\' } }, 'MATCHES /C:\\\\(?:)/'],
    [{ in: { member: 'a', values: [1, 'b', true] } }, 'a IN [1,"b",true]'],
    [{ contains: { member: 'a', values: ['x'] } }, 'a CONTAINS ["x"]'],
    [
      { within: { member: 'location', distance: 5, unit: 'KM', latitude: 47.5, longitude: -8 } },
      'location WITHIN 5 KM OF [47.5,-8]',
    ],
    [{ hasType: 'float' }, 'HAS float'],
    [{ age: { comparison: '<', milliseconds: 1000 } }, 'AGE < 1000'],
    [{ age: { member: 'lastEditDate', comparison: '<', milliseconds: 1000 } }, "AGE('lastEditDate') < 1000"],
    [{ not: { and: [one, one] } }, 'NOT (a == 1 && a == 1)'],
  ]
  for (const [filter, expected] of pairs) expect(printFilter(parseFilter(text(filter)))).toBe(expected)
})

test('a comparison has either a value or another member', () => {
  for (const more of [{}, { value: 1, otherMember: 'b' }])
    expect(() => text({ compare: { member: 'a', comparison: '>', ...more } })).toThrow(
      'either value or otherMember',
    )
})

test('the server reads random filters as they were meant', () => {
  fc.assert(
    fc.property(anyFilter, (filter) => {
      const given = inInputTerms(filter)
      expect(parseFilter(text(toInput(given)))).toEqual(given)
    }),
    { numRuns: 1000 },
  )
})

/** The same filter with what the input can say: lists of values without members, and of the flags `i` alone. */
function inInputTerms(filter: Filter): Filter {
  if (filter.kind === 'and' || filter.kind === 'or')
    return { ...filter, clauses: filter.clauses.map(inInputTerms) }
  if (filter.kind === 'not') return { ...filter, clause: inInputTerms(filter.clause) }
  if (filter.kind === 'in' || filter.kind === 'contains')
    return { ...filter, operands: filter.operands.filter((operand) => 'value' in operand) }
  if (filter.kind !== 'regex' && filter.kind !== 'matches') return filter
  const { source, flags } = filter.regex
  return { ...filter, regex: { source: source || 'x', flags: flags.includes('i') ? 'i' : '' } }
}

function toInput(filter: Filter): ThingsFilter {
  const name = (member: Member) => member.join('.')
  const values = (operands: readonly Operand[]) =>
    operands.flatMap((operand) => ('value' in operand ? [operand.value] : []))
  switch (filter.kind) {
    case 'all':
      return {}
    case 'and':
    case 'or':
      return { [filter.kind]: filter.clauses.map(toInput) }
    case 'not':
      return { not: toInput(filter.clause) }
    case 'compare': {
      const { operand, comparison } = filter
      const other = 'value' in operand ? { value: operand.value } : { otherMember: name(operand.member) }
      return { compare: { member: name(filter.member), comparison, ...other } }
    }
    case 'remainder':
      return { remainder: { ...filter, member: name(filter.member) } }
    case 'regex':
    case 'matches': {
      const matches = { pattern: filter.regex.source, ignoreCase: filter.regex.flags === 'i' }
      return { matches: filter.kind === 'matches' ? matches : { ...matches, member: name(filter.member) } }
    }
    case 'in':
    case 'contains':
      return { [filter.kind]: { member: name(filter.member), values: values(filter.operands) } }
    case 'within': {
      const { distance, unit, center } = filter
      const point = { latitude: center.lat, longitude: center.lon }
      return { within: { member: name(filter.member), distance, unit, ...point } }
    }
    case 'exists':
      return { exists: name(filter.member) }
    case 'has':
      return { hasType: filter.type }
    case 'age': {
      const { comparison, milliseconds } = filter
      return { age: { member: name(filter.member), comparison, milliseconds } }
    }
  }
}

test('what no text can have is refused with the path of the input', () => {
  const refused: [ThingsFilter, string[]][] = [
    [{ exists: 'a b' }, ['filter', 'exists']],
    [{ exists: 'a) || (b' }, ['filter', 'exists']],
    [{ and: [one, { exists: 'NOT' }] }, ['filter', 'and', '1', 'exists']],
    [{ or: [] }, ['filter', 'or']],
    [{ matches: { pattern: 'a\\' } }, ['filter', 'matches', 'pattern']],
    [{ in: { member: 'a', values: [{}] } }, ['filter', 'in', 'values', '0']],
    [{ hasType: 'a b' }, ['filter', 'hasType']],
    [{}, ['filter']],
  ]
  for (const [filter, inputPath] of refused)
    expect(() => text(filter)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT', inputPath }))
})

test('a filter of too many levels is refused', () => {
  let filter: ThingsFilter = one
  for (let level = 0; level < 30; level += 1) filter = { not: filter }
  expect(() => text(filter)).toThrow('at most 20 levels')
})
