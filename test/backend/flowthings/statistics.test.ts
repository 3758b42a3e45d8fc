import { describe, expect, test } from 'vitest'
import { parseBuckets, StatisticsError, sumBuckets } from '../../../src/backend/flowthings/statistics.ts'

const now = Date.UTC(2015, 6, 6)
const sizes = (period: string[], level?: string) => parseBuckets(period, level, now).starts.length

describe('a period has a bucket for', () => {
  test.each([
    [['2015'], undefined, 12],
    [['2015', '1'], undefined, 31],
    [['2015', '02'], undefined, 28],
    [['2016', '2'], undefined, 29],
    [['2015', '1', '31'], undefined, 24],
    [['2015'], 'DAY', 365],
    [['2016'], 'day', 366],
    [['2015'], 'YEAR', 1],
    [['2015', '1'], 'YEAR', 1],
    [['2015', '1'], 'hour', 744],
    [['2015', '1', '2'], '', 24],
    [[], undefined, 12],
  ])('%j by %s: %d', (period, level, count) => {
    expect(sizes(period, level)).toBe(count)
  })
})

test('counts are summed into the bucket they lie in, in UTC', () => {
  const buckets = parseBuckets(['2015', '1'], undefined, now)
  const sums = sumBuckets(buckets, [
    { time: Date.UTC(2015, 0, 31, 23), count: 3 },
    { time: Date.UTC(2015, 0, 1), count: 1 },
    { time: Date.UTC(2015, 0, 1, 5), count: 1 },
    { time: Date.UTC(2015, 1, 1), count: 100 },
    { time: Date.UTC(2014, 11, 31, 23), count: 100 },
  ])
  expect(sums).toHaveLength(31)
  expect(sums.slice(0, 2)).toEqual([2, 0])
  expect(sums.at(-1)).toBe(3)
})

test('a year is that of the clock unless it is given', () => {
  expect(parseBuckets([], undefined, now).starts[0]).toBe(Date.UTC(2015, 0))
})

describe('is refused', () => {
  test.each([
    [['15'], undefined, 'Expected the year to be from 1970 to 9999, got "15"'],
    [['2015', '13'], undefined, 'Expected the month to be from 1 to 12'],
    [['2015', '2', '29'], undefined, 'Expected the day to be from 1 to 28'],
    [['2015', '2', 'x'], undefined, 'Expected the day'],
    [['2015'], 'WEEK', 'Expected "level" to be YEAR, MONTH, DAY or HOUR, got "WEEK"'],
  ])('%j by %s', (period, level, message) => {
    expect(() => parseBuckets(period, level, now)).toThrow(StatisticsError)
    expect(() => parseBuckets(period, level, now)).toThrow(message)
  })
})
