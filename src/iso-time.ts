/** [ecma] 21.4.1.32.1: years outside of 0 to 9999 have a sign and six digits, in the links of lists, too. */
const pattern =
  /^(\d{4}|[+-]\d{6})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?)?$/i

/** [spec] RFC 3339, section 5.6: seconds and an offset are required. */
const rfc3339 = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i

/**
 * An ISO 8601 date or time in milliseconds since the epoch. A time without an offset is in UTC: `Date.parse` would read it
 * in the time zone of the server. Undefined for anything else, such as the 30th of February.
 */
export function parseIsoTime(text: string): number | undefined {
  // The form that servers write, without the pattern: a page of messages has hundreds of times.
  if (text.length === 24) {
    const ms = Date.parse(text)
    if (!Number.isNaN(ms) && new Date(ms).toISOString() === text) return ms
  }
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((digits) => Number(digits ?? 0))
  const fraction = Math.trunc(Number(`0.${match[7] ?? 0}`) * 1000)
  const offset = offsetMinutes(match[8])
  const time = new Date(0)
  time.setUTCFullYear(year as number, (month as number) - 1, day)
  time.setUTCHours(hour as number, minute, second, fraction)
  // Dates and hours that do not exist become others.
  const isReal = time.getUTCDate() === day && time.getUTCMonth() + 1 === month && time.getUTCHours() === hour
  if (!isReal || (minute as number) > 59 || (second as number) > 59 || offset === undefined) return undefined
  const ms = time.getTime() - offset * 60_000
  // An offset can lead past the last time that a calendar has.
  return Number.isNaN(new Date(ms).getTime()) ? undefined : ms
}

/** The same for a text that RFC 3339 allows: it says the seconds and the offset. */
export function parseRfc3339(text: string): number | undefined {
  return rfc3339.test(text) ? parseIsoTime(text) : undefined
}

function offsetMinutes(offset: string | undefined): number | undefined {
  if (offset === undefined || offset.toUpperCase() === 'Z') return 0
  const hours = Number(offset.slice(1, 3))
  const minutes = Number(offset.slice(-2))
  if (hours > 23 || minutes > 59) return undefined
  return (offset.startsWith('-') ? -1 : 1) * (hours * 60 + minutes)
}
