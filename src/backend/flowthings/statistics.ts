/** The kinds of statistics, with the first letter of the ids of their resources. [flowthings] "Statistics" */
export const statisticTypes: Readonly<Record<string, string>> = {
  flowDropAdded: 'f',
  flowTracked: 'f',
  trackHit: 't',
  trackPass: 't',
  apiCallByIdentity: 'i',
  dropCreatedBy: 'i',
}

/** The periods in UTC, longest first. */
const levels = ['YEAR', 'MONTH', 'DAY', 'HOUR'] as const
type Level = (typeof levels)[number]

/** The start times of the buckets in milliseconds, and the end of the last one. */
export interface Buckets {
  readonly starts: readonly number[]
  readonly end: number
}

/** An invalid request for statistics. The message says what was expected. */
export class StatisticsError extends Error {
  override readonly name = 'StatisticsError'
}

/**
 * The buckets of a period. By default, these are the months of a year, the days of a month, or the hours of a day.
 *
 * @param period year, month and day as texts from the path; all are optional, and the default year is that of `now`
 * @param level the size of the buckets, in upper or lower case. If it is longer than the period, there is one bucket
 * @throws StatisticsError
 */
export function parseBuckets(period: readonly string[], level: string | undefined, now: number): Buckets {
  const [yearText, monthText, dayText] = period
  const year =
    yearText === undefined ? new Date(now).getUTCFullYear() : parsePart(yearText, 'year', [1970, 9999])
  const month = monthText === undefined ? undefined : parsePart(monthText, 'month', [1, 12])
  const days = new Date(Date.UTC(year, month ?? 1, 0)).getUTCDate()
  const day = dayText === undefined ? undefined : parsePart(dayText, 'day', [1, days])
  const range: Level = day !== undefined ? 'DAY' : month !== undefined ? 'MONTH' : 'YEAR'
  const start = Date.UTC(year, (month ?? 1) - 1, day ?? 1)
  const end = next(range, start)
  const size = parseLevel(level) ?? (levels[levels.indexOf(range) + 1] as Level)
  const starts: number[] = []
  for (let at = start; at < end; at = next(size, at)) starts.push(at)
  return { starts, end }
}

/** Sums the counts of each bucket. @param counts in any order, each with the start of its hour */
export function sumBuckets(
  { starts, end }: Buckets,
  counts: Iterable<{ readonly time: number; readonly count: number }>,
): number[] {
  const sums = starts.map(() => 0)
  for (const { time, count } of counts) {
    if (time < (starts[0] ?? end) || time >= end) continue
    const index = lastAtOrBefore(starts, time)
    sums[index] = (sums[index] ?? 0) + count
  }
  return sums
}

function lastAtOrBefore(starts: readonly number[], time: number): number {
  let [low, high] = [0, starts.length - 1]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((starts[middle] ?? Number.POSITIVE_INFINITY) <= time) low = middle
    else high = middle - 1
  }
  return low
}

/** The start of the next period of this size. */
function next(level: Level, time: number): number {
  const date = new Date(time)
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
  switch (level) {
    case 'YEAR':
      return Date.UTC(year + 1, 0)
    case 'MONTH':
      return Date.UTC(year, month + 1)
    case 'DAY':
      return Date.UTC(year, month, day + 1)
    case 'HOUR':
      return Date.UTC(year, month, day, date.getUTCHours() + 1)
  }
}

function parseLevel(text: string | undefined): Level | undefined {
  if (text === undefined || text === '') return undefined
  const level = levels.find((each) => each === text.toUpperCase())
  if (level === undefined)
    throw new StatisticsError(
      `Expected "level" to be YEAR, MONTH, DAY or HOUR, got ${JSON.stringify(text.slice(0, 40))}`,
    )
  return level
}

function parsePart(text: string, name: string, [least, most]: [number, number]): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most))
    throw new StatisticsError(
      `Expected the ${name} to be from ${least} to ${most}, got ${JSON.stringify(text.slice(0, 40))}`,
    )
  return value
}
