import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Audience, audiencesOf, receives, type Topic } from '../../src/events/audience.ts'
import { accessOf } from '../../src/events/entitlement.ts'

const audience = fc.constantFrom<Audience[]>('f:a', 'f:b', 'f:c', 'u:1', 'u:2', 'p:a', 'p:b', 'p:c')

test('one event is for a topic if and only if its audience is among those of the topic', () => {
  const topic = fc.record({
    flows: fc.oneof(fc.constant('all' as const), fc.uniqueArray(fc.constantFrom('a', 'b', 'c'))),
    isPrivate: fc.boolean(),
  })
  const access = fc
    .tuple(fc.uniqueArray(fc.constantFrom('a', 'b', 'c')), fc.boolean())
    .map(([flows, isPrivate]) => accessOf({ user: 1, grant: '', flows, receivesFlows: true, isPrivate }))
  fc.assert(
    fc.property(topic, access, audience, (asked: Topic, has, of) => {
      expect(receives(asked, has, of)).toBe(audiencesOf(asked, has).has(of))
    }),
  )
})

test('an event about a user of a flow reaches subscriptions to the flow that request private events', () => {
  const access = accessOf({
    ...{ user: 1, grant: '', flows: ['a', 'b'], receivesFlows: true, isPrivate: false },
  })
  expect(receives({ flows: 'all', isPrivate: true }, access, 'p:a')).toBe(true)
  expect(receives({ flows: ['a'], isPrivate: true }, access, 'p:a')).toBe(true)
  expect(receives({ flows: ['b'], isPrivate: true }, access, 'p:a')).toBe(false)
  expect(receives({ flows: 'all', isPrivate: false }, access, 'p:a')).toBe(false)
  expect(receives({ flows: 'all', isPrivate: true }, access, 'p:c')).toBe(false)
  expect(receives({ flows: 'all', isPrivate: true }, access, 'u:1')).toBe(false)
})
