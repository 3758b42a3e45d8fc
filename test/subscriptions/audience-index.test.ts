import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AudienceIndex } from '../../src/subscriptions/audience-index.ts'

test('arrays of members stay as they were when members come and go', () => {
  const index = new AudienceIndex<string>()
  expect(index.of(['a'])).toEqual([])
  expect(index.add('a', 'eve')).toBe(true)
  expect(index.add('a', 'max')).toBe(false)
  const before = index.of(['a'])
  expect(before).toEqual(['eve', 'max'])
  expect(index.of(['a'])).toBe(before)
  index.add('b', 'zoe')
  expect(index.of(['a'])).toBe(before)
  expect(index.remove('a', 'eve')).toBe(false)
  expect(index.remove('a', 'eve')).toBe(false)
  expect(before).toEqual(['eve', 'max'])
  expect(index.of(['a'])).toEqual(['max'])
  expect(index.remove('a', 'max')).toBe(true)
  expect(index.of(['a'])).toEqual([])
})

test('the members of several audiences are their union, each once, after every change', () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const member = fc.constantFrom('eve', 'max', 'zoe')
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), name, member)),
      fc.array(name, { minLength: 1 }),
      (changes, asked) => {
        const index = new AudienceIndex<string>()
        const model = new Map<string, Set<string>>()
        for (const [isAdded, audience, each] of changes) {
          const members = model.get(audience) ?? new Set()
          model.set(audience, members)
          if (isAdded) index.add(audience, each)
          else index.remove(audience, each)
          if (isAdded) members.add(each)
          else members.delete(each)
          const expected = new Set(asked.flatMap((one) => [...(model.get(one) ?? [])]))
          const got = index.of(asked)
          expect(new Set(got)).toEqual(expected)
          expect(got).toHaveLength(expected.size)
        }
      },
    ),
  )
})
