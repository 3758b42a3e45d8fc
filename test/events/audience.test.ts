import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Audience, AudienceIndex, audiencesOf, receives, type Topic } from '../../src/events/audience.ts'

const audience = fc.constantFrom<Audience[]>('f:a', 'f:b', 'f:c', 'u:1', 'u:2')
const audiences = fc.uniqueArray(audience).map((list) => new Set(list))
const member = fc.constantFrom('ada', 'bob', 'eve')

test('a member is in the list of an audience if and only if the audience is one of its own, after each change', () => {
  const change = fc.oneof(fc.tuple(member, audiences), fc.tuple(member, fc.constant(undefined)))
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), fc.array(audience), (changes, several) => {
      const index = new AudienceIndex<string>()
      const model = new Map<string, ReadonlySet<Audience>>()
      for (const [name, names] of changes) {
        if (names === undefined) {
          index.delete(name)
          model.delete(name)
        } else {
          index.set(name, names)
          model.set(name, names)
        }
        const membersOf = (list: readonly Audience[]) =>
          [...model].flatMap(([each, its]) => (list.some((one) => its.has(one)) ? [each] : [])).sort()
        for (const each of ['f:a', 'f:b', 'f:c', 'u:1', 'u:2'] as const)
          expect([...index.membersOf([each])].sort()).toEqual(membersOf([each]))
        expect([...index.membersOf(several)].sort()).toEqual(membersOf(several))
        expect([...index.membersOf('all')].sort()).toEqual([...model.keys()].sort())
        expect(index.audiencesOf(name)).toBe(model.get(name))
        expect(index.size).toBe(model.size)
      }
    }),
  )
})

test('the list of an audience that was read stays as it was when members come and go', () => {
  const index = new AudienceIndex<string>()
  index.set('ada', new Set(['f:a']))
  const before = index.membersOf(['f:a'])
  expect(index.membersOf(['f:a'])).toBe(before)
  index.set('bob', new Set(['f:a']))
  index.delete('ada')
  expect(before).toEqual(['ada'])
  expect(index.membersOf(['f:a'])).toEqual(['bob'])
  expect(Object.isFrozen(before)).toBe(true)
})

test('one event is for a topic if and only if its audience is among those of the topic', () => {
  const topic = fc.record({
    flows: fc.oneof(fc.constant('all' as const), fc.uniqueArray(fc.constantFrom('a', 'b', 'c'))),
    isPrivate: fc.boolean(),
  })
  const access = fc
    .tuple(fc.uniqueArray(fc.constantFrom<Audience[]>('f:a', 'f:b', 'f:c')), fc.boolean())
    .map(([names, isPrivate]) => {
      const flows = new Set<Audience>(names)
      return { flows, all: isPrivate ? new Set<Audience>([...names, 'u:1']) : flows }
    })
  fc.assert(
    fc.property(topic, access, audience, (asked: Topic, has, of) => {
      expect(receives(asked, has, of)).toBe(audiencesOf(asked, has).has(of))
    }),
  )
})
