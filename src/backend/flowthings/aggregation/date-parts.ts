/** Parts of a date in UTC, coarsest first. Months and days count from 1. */
export const dateParts = ['year', 'month', 'day', 'hour', 'minute', 'second'] as const
export type DatePart = (typeof dateParts)[number]

/** @param time milliseconds; anything else has no parts @returns undefined for no date */
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
