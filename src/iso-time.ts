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
  const usual = parseUsualForm(text)
  if (usual !== undefined) return usual
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((digits) => Number(digits ?? 0))
  const fraction = Math.trunc(Number(`0.${match[7] ?? 0}`) * 1000)
  const offset = offsetMinutes(match[8])
  const time = new Date(0)
  time.setUTCFullYear(year as number, (month as number) - 1, day)
  time.setUTCHours(hour as number, minute, second, fraction)
  // `Date` turns the 30th of February into a day of March, and 24:00 into the next day.
  const isReal = time.getUTCDate() === day && time.getUTCMonth() + 1 === month && time.getUTCHours() === hour
  if (!isReal || (minute as number) > 59 || (second as number) > 59 || offset === undefined) return undefined
  const ms = time.getTime() - offset * 60_000
  // With its offset, a time can be later than the last one of `Date`.
  return Number.isNaN(new Date(ms).getTime()) ? undefined : ms
}

/**
 * Fast path for the form that `Date.prototype.toISOString` writes, because each message of a page has such times. Undefined for
 * other texts and for some times of this form: then the caller uses the pattern.
 */
function parseUsualForm(text: string): number | undefined {
  if (text.length !== 24 || text[4] !== '-' || text[7] !== '-' || text[10] !== 'T') return undefined
  if (text[13] !== ':' || text[16] !== ':' || text[19] !== '.' || text[23] !== 'Z') return undefined
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  const hour = twoDigits(text, 11)
  const minute = twoDigits(text, 14)
  const second = twoDigits(text, 17)
  const millisecond = twoDigits(text, 20) * 10 + (twoDigits(text, 21) % 10)
  const isTime = hour < 24 && minute < 60 && second < 60 && millisecond < 1000
  // `Date.UTC` reads years below 100 as those of the twentieth century, and the 31st of April as the 1st of May.
  if (!isTime || !(year >= 100 && month >= 1 && month <= 12 && day >= 1 && day <= 31)) return undefined
  const ms = Date.UTC(year, month - 1, day, hour, minute, second, millisecond)
  return day <= 28 || new Date(ms).getUTCDate() === day ? ms : undefined
}

const dayMs = 86_400_000

/**
 * As `Date.prototype.toISOString`, in a fifth of the time: a page of messages has some hundred times.
 * http://howardhinnant.github.io/date_algorithms.html, "civil_from_days"
 *
 * @param ms a whole number of milliseconds since the epoch
 * @throws RangeError for a time that `Date` cannot hold
 */
export function formatIsoTime(ms: number): string {
  const days = Math.floor(ms / dayMs)
  // Days count from 1 March of the year 0, so that the leap day is the last day of a year.
  const sinceMarch = days + 719_468
  const era = Math.floor(sinceMarch / 146_097)
  const dayOfEra = sinceMarch - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const month = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * month + 2) / 5) + 1
  const year = era * 400 + yearOfEra + (month < 10 ? 0 : 1)
  if (!(year >= 1000 && year <= 9999)) return new Date(ms).toISOString()
  const time = ms - days * dayMs
  const seconds = Math.floor(time / 1000)
  const minutes = Math.floor(seconds / 60)
  const date = `${year}-${digits(month < 10 ? month + 3 : month - 9)}-${digits(day)}`
  const thousandths = String(1000 + (time % 1000)).slice(1)
  return `${date}T${digits(Math.floor(minutes / 60))}:${digits(minutes % 60)}:${digits(seconds % 60)}.${thousandths}Z`
}

function digits(number: number): string {
  return number < 10 ? `0${number}` : String(number)
}

/** NaN unless both characters are digits. */
function twoDigits(text: string, index: number): number {
  const tens = text.charCodeAt(index) - 48
  const ones = text.charCodeAt(index + 1) - 48
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

/** As `parseIsoTime`, but only for RFC 3339, which requires seconds and an offset. */
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

const [first, last] = [Date.parse('0000-01-01T00:00:00.000Z'), Date.parse('9999-12-31T23:59:59.999Z')]

/** Whether a number of milliseconds has a text in RFC 3339, where years have four digits. */
export function hasRfc3339Text(ms: number): boolean {
  return ms >= first && ms <= last
}
