import { expect, test } from 'vitest'
import { entityTag, matchesTag } from '../../../src/server/http/conditional.ts'

const tag = entityTag('2jmj7l5rSw0yVb_vlWAYkK-YBwk')

test('the tag is weak, because the body may be compressed', () => {
  expect(tag).toBe('W/"2jmj7l5rSw0yVb_vlWAYkK-YBwk"')
})

test.each<[string, string | undefined, boolean]>([
  ['the tag', tag, true],
  ['the tag as a strong one', tag.slice(2), true],
  ['the tag among others', `"a", ${tag} ,"b"`, true],
  ['any tag', '*', true],
  ['another tag', '"a"', false],
  ['a part of the tag', tag.slice(0, -2), false],
  ['a blank header', '', false],
  ['no header', undefined, false],
])('If-None-Match with %s', (_, header, isMatch) => {
  expect(matchesTag(tag, header)).toBe(isMatch)
})
