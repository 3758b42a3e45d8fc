import { UpstreamError, ValidationError } from '../../errors.ts'
import type { ThingsCalls } from './calls.ts'
import { decodeCounts } from './decode.ts'

/** The sizes of buckets, largest first. */
const levels = ['year', 'month', 'day', 'hour'] as const
export type StatisticsLevel = (typeof levels)[number]

/** A year, a month of it or a day of it in UTC, and the size of the buckets that it is divided into. */
export interface StatisticsPeriod {
  readonly year: number
  /** From 1. */
  readonly month?: number | null | undefined
  /** From 1. It needs a month. */
  readonly day?: number | null | undefined
  /** By default the next smaller size than that of the period. */
  readonly bucket?: StatisticsLevel | null | undefined
}

/** What is counted, and of which object. */
export interface StatisticsRequest {
  readonly type: string
  readonly id: string
  readonly period: StatisticsPeriod
}

/** The number of times that something happened from a time until another, in milliseconds. */
export interface StatisticsBucket {
  readonly from: number
  readonly to: number
  readonly count: number
}

/** Enough for the hours of a month (744), and too few for those of a year (8,760). */
const maxBuckets = 1000

/**
 * Reads counts. [flowthings] statistics
 *
 * @param path the path of the period in the input
 * @throws ValidationError for a period that does not exist, or has too many buckets
 */
export async function readStatistics(
  { call }: ThingsCalls,
  { type, id, period }: StatisticsRequest,
  path: readonly string[],
): Promise<StatisticsBucket[]> {
  const { segments, level, starts, end } = divide(period, path)
  const counts = decodeCounts(
    await call('GET', ['statistics', type, id, ...segments], {
      query: { level: level.toUpperCase() },
      doing: 'read statistics',
    }),
  )
  if (counts.length !== starts.length)
    throw new UpstreamError(
      'UPSTREAM_INVALID',
      `Cannot read statistics: expected ${starts.length} counts from the upstream, got ${counts.length}`,
    )
  return counts.map((count, index) => ({ from: starts[index] ?? end, to: starts[index + 1] ?? end, count }))
}

/** The end of the last bucket of a later year has no text in RFC 3339. */
const lastYear = 9998

/** The start of each bucket of a period, and the end of the last one. */
function divide({ year, month, day, bucket }: StatisticsPeriod, path: readonly string[]) {
  check(year, 1970, lastYear, [...path, 'year'])
  if (month == null && day != null)
    throw new ValidationError(
      `Expected ${path.join('.')}.month to be given, since ${path.join('.')}.day is`,
      [],
      {
        inputPath: [...path, 'month'],
      },
    )
  if (month != null) check(month, 1, 12, [...path, 'month'])
  if (day != null) check(day, 1, new Date(Date.UTC(year, month ?? 1, 0)).getUTCDate(), [...path, 'day'])
  const range = month == null ? 'year' : day == null ? 'month' : 'day'
  const level = bucket ?? (levels[levels.indexOf(range) + 1] as StatisticsLevel)
  if (levels.indexOf(level) < levels.indexOf(range))
    throw new ValidationError(
      `Expected ${path.join('.')}.bucket to be no longer than the period, which is one ${range}`,
      [],
      { inputPath: [...path, 'bucket'] },
    )
  const end = next(range, Date.UTC(year, (month ?? 1) - 1, day ?? 1))
  const starts: number[] = []
  for (let at = Date.UTC(year, (month ?? 1) - 1, day ?? 1); at < end; at = next(level, at)) starts.push(at)
  if (starts.length > maxBuckets)
    throw new ValidationError(
      `Expected ${path.join('.')}.bucket to divide the period into at most ${maxBuckets} parts, got ${starts.length}`,
      [],
      { inputPath: [...path, 'bucket'] },
    )
  const segments = [year, month, day].filter((each) => each != null).map(String)
  return { segments, level, starts, end }
}

/** The end of the year, month, day or hour that begins at a time. */
function next(level: StatisticsLevel, time: number): number {
  const date = new Date(time)
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
  if (level === 'year') return Date.UTC(year + 1, 0)
  if (level === 'month') return Date.UTC(year, month + 1)
  return level === 'day' ? Date.UTC(year, month, day + 1) : time + 3_600_000
}

function check(value: number, least: number, most: number, path: readonly string[]): void {
  if (value >= least && value <= most) return
  throw new ValidationError(`Expected ${path.join('.')} to be from ${least} to ${most}, got ${value}`, [], {
    inputPath: path,
  })
}
