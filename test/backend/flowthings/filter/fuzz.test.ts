import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compileFilter } from '../../../../src/backend/flowthings/filter/evaluate.ts'
import { FilterError } from '../../../../src/backend/flowthings/filter/filter-error.ts'
import { parseFilter } from '../../../../src/backend/flowthings/filter/parse.ts'
import { printFilter } from '../../../../src/backend/flowthings/filter/print.ts'
import { anyFilter } from '../../../support/filters.ts'

const pieces = [
  ...[
    'a',
    'elems.b',
    'path',
    'NOT',
    'EXISTS',
    'HAS',
    'date',
    'MATCHES',
    'AGE',
    'IN',
    'CONTAINS',
    'WITHIN',
    'OF',
  ],
  ...[
    'AND',
    'OR',
    'true',
    'null',
    '(',
    ')',
    '[',
    ']',
    ',',
    '&&',
    '||',
    '==',
    '!=',
    '<',
    '>=',
    '=~',
    '%',
    '=',
  ],
  ...[
    '/a/',
    '/(/',
    '/a',
    "'x'",
    "'",
    '"x"',
    '"',
    '"\\',
    '1',
    '-1',
    '1e5',
    '1e999',
    '5 KM OF [1,2]',
    'Date(',
    'ZIP',
    '\\',
  ],
  ...['.', '~', '\0', '\ud800', '😀', ' '],
]

/** Texts that look like filters: some are. */
const anyText = fc.oneof(
  fc.array(fc.constantFrom(...pieces), { maxLength: 20 }).map((words) => words.join(' ')),
  fc.array(fc.constantFrom(...pieces), { maxLength: 20 }).map((words) => words.join('')),
  fc.string({ unit: 'binary' }),
  // A filter with something in it changed.
  fc.tuple(anyFilter, fc.nat(), fc.constantFrom(...pieces)).map(([filter, at, piece]) => {
    const text = printFilter(filter)
    const position = text.length === 0 ? 0 : at % text.length
    return text.slice(0, position) + piece + text.slice(position + 1)
  }),
)

test('any text is a filter or a FilterError with a position in it', () => {
  let parsed = 0
  fc.assert(
    fc.property(anyText, (text) => {
      try {
        const filter = parseFilter(text)
        parsed += 1
        // What was parsed can be printed, parsed again, and evaluated.
        expect(parseFilter(printFilter(filter))).toEqual(filter)
        expect(typeof compileFilter(filter, 'drop')({ elems: {} }, 0)).toBe('boolean')
      } catch (error) {
        if (!(error instanceof FilterError)) throw error
        expect(error.position).toBeGreaterThanOrEqual(0)
        expect(error.position).toBeLessThanOrEqual(text.length)
        expect(error.message).toMatch(/^Cannot read the filter at character \d+: \S/)
      }
    }),
    { numRuns: 5000 },
  )
  expect(parsed).toBeGreaterThan(300)
})

test('a filter is evaluated for a subject of any shape', () => {
  fc.assert(
    fc.property(
      anyFilter,
      fc.object({ maxDepth: 4 }),
      fc.constantFrom('drop' as const, 'resource' as const),
      (filter, subject, kind) => {
        expect(typeof compileFilter(filter, kind)(subject, 0)).toBe('boolean')
      },
    ),
    { numRuns: 2000 },
  )
})
