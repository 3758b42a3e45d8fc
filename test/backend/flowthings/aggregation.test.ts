import { describe, expect, test } from 'vitest'
import { createAccumulator } from '../../../src/backend/flowthings/aggregation/accumulate.ts'
import { AggregationError } from '../../../src/backend/flowthings/aggregation/aggregation-error.ts'
import { parseAggregation } from '../../../src/backend/flowthings/aggregation/parse.ts'
import type { Subject } from '../../../src/backend/flowthings/filter/subject.ts'

const at = (text: string) => Date.parse(`${text}Z`)

const drops: readonly Subject[] = [
  { creationDate: at('2015-01-31T23:30:00'), elems: { room: 'a', temp: 10, tags: ['x'] } },
  { creationDate: at('2015-02-01T00:15:30'), elems: { room: 'b', temp: 20, tags: ['x'] } },
  { creationDate: at('2015-02-01T00:45:00'), elems: { room: 'a', temp: 30, on: true } },
  { creationDate: at('2016-02-01T12:00:00'), elems: { room: 'a', temp: 'broken', on: false } },
  {
    creationDate: at('2016-02-02T12:00:00'),
    location: { lat: 48, lon: 11 },
    elems: { temp: 40, when: at('2000-05-06T07:08:09') },
  },
]

function aggregate(body: unknown, subjects: readonly Subject[] = drops) {
  const accumulator = createAccumulator(parseAggregation(body))
  for (const subject of subjects) accumulator.add(subject, at('2016-02-03T00:00:00'))
  return accumulator.rows()
}

describe('a row', () => {
  test('has its columns by the texts of their selectors', () => {
    const output = ['$count', '$sum:temp', '$avg:temp', '$min:temp', '$max:elems.temp']
    expect(aggregate({ output })).toEqual([
      { id: {}, $count: 5, '$sum:temp': 100, '$avg:temp': 25, '$min:temp': 10, '$max:elems.temp': 40 },
    ])
  })

  test('lists values, all or each once', () => {
    expect(aggregate({ output: ['$all:room', '$unique:room', '$unique:tags', '$unique:on'] })).toEqual([
      {
        id: {},
        '$all:room': ['a', 'b', 'a', 'a'],
        '$unique:room': ['a', 'b'],
        '$unique:tags': [['x']],
        '$unique:on': [true, false],
      },
    ])
  })

  test('has null where there was nothing to compute with, and 0 for a sum', () => {
    expect(aggregate({ output: ['$avg:x', '$min:x', '$sum:x', '$all:x'] })).toEqual([
      { id: {}, '$avg:x': null, '$min:x': null, '$sum:x': 0, '$all:x': [] },
    ])
  })

  test('is not there when no drop matches', () => {
    expect(aggregate({ output: ['$count'], filter: 'temp > 1000' })).toEqual([])
  })
})

describe('groups', () => {
  test('by a member; drops without it are one group', () => {
    expect(aggregate({ output: ['$count'], groupBy: ['room'] })).toEqual([
      { id: { room: 'a' }, $count: 3 },
      { id: { room: 'b' }, $count: 1 },
      { id: { room: null }, $count: 1 },
    ])
  })

  test('by a part of a date, with the coarser parts, in UTC', () => {
    expect(aggregate({ output: ['$avg:temp'], groupBy: ['$month'] })).toEqual([
      { id: { $year: 2015, $month: 1 }, '$avg:temp': 10 },
      { id: { $year: 2015, $month: 2 }, '$avg:temp': 25 },
      { id: { $year: 2016, $month: 2 }, '$avg:temp': 40 },
    ])
  })

  test('by a part of the date in another member', () => {
    expect(aggregate({ output: ['$count'], groupBy: ['$second:when'], filter: 'EXISTS when' })).toEqual([
      {
        id: {
          '$year:when': 2000,
          '$month:when': 5,
          '$day:when': 6,
          '$hour:when': 7,
          '$minute:when': 8,
          '$second:when': 9,
        },
        $count: 1,
      },
    ])
  })

  test('by several selectors, sorted by columns and keys', () => {
    const body = {
      output: ['$count', 'room'],
      groupBy: ['room', '$year'],
      sorts: ['$count:desc', 'room:desc', '$year'],
      filter: 'EXISTS room',
    }
    expect(aggregate(body)).toEqual([
      { id: { room: 'a', $year: 2015 }, $count: 2, room: 'a' },
      { id: { room: 'b', $year: 2015 }, $count: 1, room: 'b' },
      { id: { room: 'a', $year: 2016 }, $count: 1, room: 'a' },
    ])
  })

  test('what has no value is sorted last in both directions', () => {
    const order = (sort: string) =>
      aggregate({ output: ['$max:temp'], groupBy: ['room'], sorts: [sort] }).map(({ id }) => id)
    expect(order('room:asc')).toEqual([{ room: 'a' }, { room: 'b' }, { room: null }])
    expect(order('room:desc')).toEqual([{ room: 'b' }, { room: 'a' }, { room: null }])
  })
})

describe('rules', () => {
  test('are 1 for a drop that matches, else 0', () => {
    const body = { output: ['$avg:hot', '$sum:hot'], rules: { hot: 'temp >= 20' } }
    expect(aggregate(body)).toEqual([{ id: {}, '$avg:hot': 0.6, '$sum:hot': 3 }])
  })

  test('can be grouped by', () => {
    const body = { output: ['$count'], groupBy: ['hot'], rules: { hot: 'temp >= 20' } }
    expect(aggregate(body)).toEqual([
      { id: { hot: 0 }, $count: 2 },
      { id: { hot: 1 }, $count: 3 },
    ])
  })

  test('that are one WITHIN give the distance, in their unit', () => {
    const body = { output: ['$min:distance:near'], rules: { near: 'location WITHIN 500 KM OF [49,11]' } }
    expect(aggregate(body)[0]?.['$min:distance:near']).toBeCloseTo(111.195, 3)
  })
})

test('what clients leave out as empty texts, lists and objects is left out', () => {
  expect(aggregate({ output: ['$count'], groupBy: [], filter: '', rules: {}, sorts: [] })).toEqual([
    { id: {}, $count: 5 },
  ])
  expect(aggregate({ output: '$count', groupBy: '', rules: '', sorts: '' })).toEqual([{ id: {}, $count: 5 }])
})

describe('an aggregation is refused', () => {
  test.each([
    [{}, 'Expected "output" to name at least one column'],
    [undefined, 'Expected an object with "output"'],
    [{ output: ['$median:x'] }, 'Unknown output "$median:x"'],
    [{ output: ['room'] }, 'Unknown output "room"'],
    [{ output: ['$avg'] }, 'Unknown output "$avg"'],
    [{ output: ['$avg:a b'] }, 'Expected "a b" to be the name of a member or a rule'],
    [{ output: [1] }, 'Expected "output" to be a list of texts'],
    [{ output: Array(101).fill('$count') }, 'at most 100 entries'],
    [{ output: ['$count'], groupBy: ['$week'] }, 'Cannot group by "$week"'],
    [{ output: ['$count'], groupBy: ['$count'] }, 'Cannot group by "$count"'],
    [{ output: ['$count'], groupBy: ['$day:'] }, 'Expected "" to be the name of a member or a rule'],
    [{ output: ['$sum:'] }, 'Expected "" to be the name of a member or a rule'],
    [{ output: ['$count'], sorts: ['$avg:x:asc'] }, 'Cannot sort by "$avg:x"'],
    [{ output: ['$count'], filter: 'x >' }, 'In the filter: Cannot read the filter at character 4'],
    [{ output: ['$count'], rules: { a: 'x' } }, 'In the rule "a": Cannot read the filter'],
    [{ output: ['$count'], rules: ['x'] }, 'Expected "rules" to be an object'],
    [{ output: ['$avg:distance:a'], rules: { a: 'x > 1' } }, 'to name a rule that is one WITHIN'],
  ])('%j', (body, message) => {
    expect(() => parseAggregation(body)).toThrow(AggregationError)
    expect(() => parseAggregation(body)).toThrow(message)
  })

  test('when a sum is no number any more', () => {
    const subjects = [1e308, 1e308].map((temp): Subject => ({ creationDate: 0, elems: { temp } }))
    for (const name of ['$sum:temp', '$avg:temp'])
      expect(() => aggregate({ output: [name] }, subjects)).toThrow(
        `Cannot compute "${name}": the sum exceeds 1.8e308`,
      )
    expect(aggregate({ output: ['$max:temp'] }, subjects)).toEqual([{ id: {}, '$max:temp': 1e308 }])
  })

  test('when it has too many rows, or keeps too much', () => {
    const many = Array.from(
      { length: 10_001 },
      (_, n): Subject => ({ elems: { n, text: 'x'.repeat(1000) + n } }),
    )
    expect(() => aggregate({ output: ['$count'], groupBy: ['n'] }, many)).toThrow('more than 10000 rows')
    expect(() => aggregate({ output: ['$all:text'] }, many)).toThrow('more than 16777216 bytes of values')
    expect(() => aggregate({ output: ['$count'], groupBy: ['text'] }, many)).toThrow(
      'more than 16777216 bytes',
    )
  })
})
