import { expect, test } from 'vitest'
import { isTopicFilter, isTopicName, matchesTopic } from '../../../../src/backend/flowthings/tasks/topics.ts'

test.each([
  ['a/b', 'a/b', true],
  ['a/b', 'a/c', false],
  ['a/b', 'a/b/c', false],
  ['a/+', 'a/b', true],
  ['a/+', 'a', false],
  ['+/+', '/a', true],
  ['a/#', 'a', true],
  ['a/#', 'a/b/c', true],
  ['a/#', 'ab', false],
  ['#', 'a/b', true],
  ['#', '$SYS/uptime', false],
  ['+/uptime', '$SYS/uptime', false],
  ['$SYS/#', '$SYS/uptime', true],
  ['$share/group/a/+', 'a/b', true],
  ['$share/group/a/+', 'group/a/b', false],
])('the filter %j matches the topic %j: %j', (filter, topic, matches) => {
  expect(matchesTopic(filter, topic)).toBe(matches)
})

test.each(['a', '/', 'a//b', '+', '#', 'a/+/b', 'a/#', '+/#'])('%j is a filter of topics', (filter) => {
  expect(isTopicFilter(filter)).toBe(true)
})

test.each(['', 'a+', 'a/b#', '#/a', 'a\0', '\ud800', 'x'.repeat(65_536)])(
  'a text that no broker accepts is no filter (%#)',
  (filter) => {
    expect(isTopicFilter(filter)).toBe(false)
  },
)

test('the name of a topic has no wildcards', () => {
  expect(isTopicName('a/b')).toBe(true)
  expect(isTopicName('a/+')).toBe(false)
  expect(isTopicName('#')).toBe(false)
})
