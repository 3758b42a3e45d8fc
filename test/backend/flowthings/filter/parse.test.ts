import { describe, expect, test } from 'vitest'
import { FilterError } from '../../../../src/backend/flowthings/filter/filter-error.ts'
import { parseFilter } from '../../../../src/backend/flowthings/filter/parse.ts'
import { printFilter } from '../../../../src/backend/flowthings/filter/print.ts'

/* [flowthings] the texts that clients send, filters of python-client and flowthings-browser */

describe('filters that clients write', () => {
  test.each([
    ['foo == 1', 'foo == 1'],
    ['elems.foo > 12', 'elems.foo > 12'],
    [String.raw`a == 'it\'s'`, `a == "it's"`],
    [String.raw`a == 'C:\temp "x"'`, String.raw`a == "C:\\temp \"x\""`],
    ['a == 1e+20', 'a == 100000000000000000000'],
    ['a == b', 'a == b'],
    ['foo =~ /\\/foo/i', 'foo =~ /\\/foo/i'],
    ['foo IN [1,2,3]', 'foo IN [1,2,3]'],
    ["foo IN ['a',1,true,b]", 'foo IN ["a",1,true,b]'],
    ['foo CONTAINS [1,2,3]', 'foo CONTAINS [1,2,3]'],
    ['foo WITHIN 5 KM OF [1,2]', 'foo WITHIN 5 KM OF [1,2]'],
    ['location WITHIN 5 MILES OF [-1.5,170]', 'location WITHIN 5 MILES OF [-1.5,170]'],
    ['EXISTS foo', 'EXISTS foo'],
    ['HAS float', 'HAS float'],
    ['MATCHES /foo/i', 'MATCHES /foo/i'],
    ['NOT foo == 1', 'NOT (foo == 1)'],
    ['AGE > 1000', 'AGE > 1000'],
    ["AGE('lastEditDate') == 123", "AGE('lastEditDate') == 123"],
    ["AGE ('elems.when') < 5", "AGE('elems.when') < 5"],
    ['((a == 1) && (b == 2)) && (c == 3)', 'a == 1 && b == 2 && c == 3'],
    ['(path == "/a b")&&(x >= 2)&&(n =~ /^a\\/b/i)', 'path == "/a b" && x >= 2 && n =~ /^a\\/b/i'],
    ['elems.aNumber<=1', 'elems.aNumber <= 1'],
    ['path=~/^\\/acct\\/(x|y)$/', 'path =~ /^\\/acct\\/(x|y)$/'],
    ['a % 2 == 1', 'a % 2 == 1'],
    ['elems.length<=elems.width', 'elems.length <= elems.width'],
    ['is_the_sky_blue==true', 'is_the_sky_blue == true'],
    ['a == Date(1342404840000)', 'a == 1342404840000'],
    ['a == Date("2012-07-16T02:14:00Z")', 'a == 1342404840000'],
    ["a == ObjectId('d5517') || b == Email('a@b.c')", 'a == "d5517" || b == "a@b.c"'],
    ['', ''],
    ['  ', ''],
  ])('%s', (text, printed) => {
    expect(printFilter(parseFilter(text))).toBe(printed)
    expect(parseFilter(printed)).toEqual(parseFilter(text))
  })

  test('a slash behind a backslash never ends a regular expression', () => {
    expect(parseFilter(String.raw`a =~ /^\\/x/`)).toEqual({
      kind: 'regex',
      member: ['a'],
      regex: { source: String.raw`^\/x`, flags: '' },
    })
  })
})

describe('precedence', () => {
  test('&& binds tighter than ||', () => {
    expect(parseFilter('a == 1 && b == 2 || c == 3')).toEqual(parseFilter('(a == 1 && b == 2) || c == 3'))
    expect(parseFilter('a == 1 || b == 2 && c == 3')).toEqual(parseFilter('a == 1 || (b == 2 && c == 3)'))
  })

  test('NOT binds tighter than &&', () => {
    expect(parseFilter('NOT (a == 1) && b == 2')).toEqual(parseFilter('(NOT a == 1) && (b == 2)'))
    expect(parseFilter('NOT NOT a == 1')).toEqual(parseFilter('NOT (NOT (a == 1))'))
  })

  test('the words AND and OR stand for the signs', () => {
    expect(parseFilter('a == 1 AND b == 2 OR c == 3')).toEqual(parseFilter('a == 1 && b == 2 || c == 3'))
  })
})

describe('errors say the position and what is expected there', () => {
  test.each([
    [
      'foo',
      3,
      'expected a comparison (==, !=, <, <=, >, >=), =~, %, IN, CONTAINS or WITHIN, and the filter ends there',
    ],
    ['foo = 1', 4, 'expected a comparison'],
    ['foo == ', 7, 'expected a value, such as 1, "text" or true, or a member'],
    ['foo == 1 bar', 9, 'expected &&, || or the end, and there is bar'],
    ['(foo == 1', 9, 'expected &&, || or )'],
    ['foo in [1]', 4, 'Keywords are in upper case'],
    ['EXISTS 1', 7, 'expected a member'],
    ['HAS colour', 4, 'expected a data type (string, boolean, integer'],
    ['foo == "a', 7, 'has no closing quote'],
    [String.raw`foo == 'a\'`, 7, 'has no closing quote'],
    [String.raw`foo == "\x"`, 7, 'is a string of JSON'],
    ['foo =~ /a', 7, 'has no closing slash'],
    ['foo =~ /(/', 7, 'the regular expression is refused: missing closing )'],
    ['foo =~ /(a)\\1/', 7, 'which has no backreferences'],
    ['foo =~ /(?=a)/', 7, 'no lookahead'],
    ['foo =~ /a/x', 7, 'has the flag "x"'],
    ['foo =~ /(a{1000}){1000}/', 7, 'regular expression'],
    ['foo =~ /(((a?){30}){30})/', 7, 'repeats too much'],
    ['foo WITHIN 5 MILES OF [ZIP=123]', 23, 'ZIP codes are not known'],
    ['foo WITHIN 5 MILES OF [91,0]', 23, 'expected a latitude from -90 to 90'],
    ['foo WITHIN 5 YARDS OF [1,0]', 13, 'expected a unit (KM, MILES, METERS or FEET)'],
    ['foo % 0 == 1', 6, 'divided by 0'],
    ['foo % 2 > 1', 8, 'expected == or !='],
    ["AGE('a b') > 1", 4, 'expected the member of a date in quotes'],
    ['AGE > x', 6, 'expected a number of milliseconds'],
    ['a == Date(true)', 10, 'expected a date in milliseconds'],
    ['a == Colour(1)', 5, 'there is no type Colour'],
    ['a == 1e999', 5, 'is too large'],
    ['a == ~', 5, 'there is "~", which begins nothing of a filter'],
    ['a == [1]', 5, 'expected a value'],
    ['1 == a', 0, 'expected a member, NOT, EXISTS, HAS, MATCHES, AGE or ('],
    ['&& a == 1', 0, 'expected a member'],
    ['a == 1 &&', 9, 'expected a member'],
  ])('%s', (text, position, message) => {
    const error = attempt(text)
    expect(error?.message).toContain(`Cannot read the filter at character ${position + 1}: `)
    expect(error?.message).toContain(message)
    expect(error?.position).toBe(position)
  })

  test('a filter is bounded in length, depth and clauses', () => {
    expect(attempt('a'.repeat(16_385))?.message).toContain('more than 16384 characters')
    expect(attempt(`${'('.repeat(201)}a==1${')'.repeat(201)}`)?.message).toContain('deeper than 200 levels')
    expect(attempt(`${'NOT '.repeat(201)}a==1`)?.message).toContain('deeper than 200 levels')
    expect(attempt(Array(1001).fill('a==1').join('||'))?.message).toContain('more than 1000 clauses')
    expect(attempt(Array(1000).fill('a==1').join('||'))).toBeUndefined()
  })

  test('the chain that the Python client makes of many filters is one level', () => {
    let text = 'a == 1'
    for (let count = 1; count < 150; count += 1) text = `(${text}) && (a == 1)`
    expect(parseFilter(text)).toMatchObject({ kind: 'and', clauses: { length: 150 } })
  })
})

function attempt(text: string): FilterError | undefined {
  try {
    parseFilter(text)
  } catch (error) {
    expect(error).toBeInstanceOf(FilterError)
    return error as FilterError
  }
  return undefined
}
