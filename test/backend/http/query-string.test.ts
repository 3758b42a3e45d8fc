import { expect, test } from 'vitest'
import { readTarget } from '../../../src/backend/http/query-string.ts'
import { createRandom } from '../../support/query-generator.ts'

const origin = 'http://127.0.0.1:4001'

test.each([
  ['/flows', []],
  ['/', []],
  ['/flows?', []],
  [
    '/flows?a=1&b=%C3%A9+x&a',
    [
      ['a', '1'],
      ['b', 'é x'],
      ['a', ''],
    ],
  ],
  ['/flows?a=1#b=2', [['a', '1']]],
  ['/flows?a="<>\'|{}`^', [['a', '"<>\'|{}`^']]],
  ['//flows?a=1', [['a', '1']]],
  ['/?a=/?', [['a', '/?']]],
  ['/??a=1', [['?a', '1']]],
])('the query of %s', (target, pairs) => {
  expect([...(readTarget(target, origin)?.query ?? [])]).toEqual(pairs)
})

test.each(['flows', '*', '', '//[/x', '/\\[/x', 'http://127.0.0.1/'])('%j is no path', (target) => {
  expect(readTarget(target, origin)).toBeUndefined()
})

test('a query has the pairs that a parser of URLs finds, whatever its characters', () => {
  const random = createRandom(7)
  const characters = '/\\?#&=+%2fé"\'<>|{}`^ ab.:@[]\u00ff'
  for (let count = 0; count < 50_000; count += 1) {
    const target = `/${Array.from({ length: 8 }, () => characters[Math.floor(random() * characters.length)]).join('')}`
    const found = readTarget(target, origin)
    if (!URL.canParse(target, origin)) expect(found).toBeUndefined()
    else {
      const { search, searchParams } = new URL(target, origin)
      expect([...(found?.query ?? [])]).toEqual([...searchParams])
      expect([...new URLSearchParams(`?${found?.search}`)]).toEqual([...new URLSearchParams(search)])
    }
  }
})
