/** The parts of a date in UTC, largest first. Months and days begin at 1. */
export const dateParts = ['year', 'month', 'day', 'hour', 'minute', 'second'] as const
export type DatePart = (typeof dateParts)[number]

/** @param time milliseconds since 1970 @returns undefined for a value that is not a time */
export function readDatePart(part: DatePart, time: unknown): number | undefined {
  if (typeof time !== 'number') return undefined
  const value = readers[part](new Date(time))
  return Number.isNaN(value) ? undefined : value
}

const readers: Readonly<Record<DatePart, (date: Date) => number>> = {
  year: (date) => date.getUTCFullYear(),
  month: (date) => date.getUTCMonth() + 1,
  day: (date) => date.getUTCDate(),
  hour: (date) => date.getUTCHours(),
  minute: (date) => date.getUTCMinutes(),
  second: (date) => date.getUTCSeconds(),
}
