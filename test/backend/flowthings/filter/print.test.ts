import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseFilter } from '../../../../src/backend/flowthings/filter/parse.ts'
import { printFilter } from '../../../../src/backend/flowthings/filter/print.ts'
import { anyFilter } from '../../../support/filters.ts'

test('a filter that is printed and parsed again is the same filter', () => {
  fc.assert(
    fc.property(anyFilter, (filter) => {
      expect(parseFilter(printFilter(filter))).toEqual(filter)
    }),
    { numRuns: 2000 },
  )
})
