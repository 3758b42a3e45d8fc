import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatIsoTime, parseIsoTime, parseRfc3339 } from '../src/iso-time.ts'

const noon = Date.UTC(2026, 0, 31, 12)

test.each([
  ['2026-01-31T12:00:00.000Z', noon],
  ['2026-01-31T12:00:00Z', noon],
  ['2026-01-31t12:00:00z', noon],
  ['2026-01-31T12:00:00', noon],
  ['2026-01-31 12:00', noon],
  ['2026-01-31T14:30:00+02:30', noon],
  ['2026-01-31T07:00:00-0500', noon],
  ['2026-01-31T12:00:00.123456Z', noon + 123],
  ['2026-01-31', noon - 12 * 3_600_000],
  ['2024-02-29', Date.UTC(2024, 1, 29)],
  ['+275760-09-13T00:00:00Z', 8.64e15],
  ['2024-02-29T23:59:59.999Z', Date.UTC(2024, 1, 29, 23, 59, 59, 999)],
  ['0099-01-31T12:00:00.000Z', -59_040_360_000_000],
  ['2026-01-31t12:00:00.000z', noon],
])('"%s" is a time', (text, ms) => {
  expect(parseIsoTime(text)).toBe(ms)
})

test.each([
  '',
  '1',
  'yesterday',
  '2026-02-30',
  '2026-02-29T00:00:00Z',
  '2026-13-01',
  '2026-02-29T00:00:00.000Z',
  '2026-04-31T00:00:00.000Z',
  '2026-00-31T12:00:00.000Z',
  '2026-01-00T12:00:00.000Z',
  '2026-01-31T24:00:00.000Z',
  '2026-01-31T12:60:00.000Z',
  '2026-01-31T12:00:60.000Z',
  '2026-01-31T12:00:00.00xZ',
  '2026-01-31T12:00:00.x00Z',
  '2026-01-3 T12:00:00.000Z',
  '2026-01-31T24:00:00Z',
  '2026-01-31T12:60:00Z',
  '2026-01-31T12:00:60Z',
  '2026-01-31T12:00:00+99:00',
  '2026-01-31T12:00:00 02:00',
  '+275760-09-13T00:00:00.001Z',
])('"%s" is no time', (text) => {
  expect(parseIsoTime(text)).toBeUndefined()
})

test('RFC 3339 requires seconds and an offset', () => {
  expect(parseRfc3339('2026-01-31T07:00:00-05:00')).toBe(noon)
  for (const text of ['2026-01-31T12:00:00', '2026-01-31T12:00Z', '2026-01-31', '2026-01-31T07:00:00-0500'])
    expect(parseRfc3339(text)).toBeUndefined()
})

test('no time depends on the time zone of the server', () => {
  const program = `
    import { parseIsoTime } from './src/iso-time.ts'
    import { decodeThread } from './src/upstream/flowdock/decode.ts'
    import { isoTime } from './src/backend/flowdock/routes/access.ts'
    import { Params } from './src/backend/http/params.ts'
    const text = '2026-01-31T12:00:00'
    console.log(JSON.stringify([
      new Date(0).getTimezoneOffset(),
      parseIsoTime(text),
      decodeThread({ id: 'x', updated_at: text }).updatedAt,
      isoTime(new Params({ since: text }), 'since'),
    ]))`
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: new URL('..', import.meta.url),
    env: { ...process.env, TZ: 'America/New_York' },
    encoding: 'utf8',
  })
  expect(JSON.parse(output)).toEqual([300, noon, noon, noon])
})

test('each day of four centuries is read as it was written', () => {
  const misread: string[] = []
  for (let ms = Date.UTC(1800, 0, 1, 13, 7, 59, 42); ms < Date.UTC(2200, 0, 1); ms += 86_400_000) {
    const text = new Date(ms).toISOString()
    if (parseIsoTime(text) !== ms) misread.push(text)
  }
  expect(misread).toEqual([])
})

test('a year of six digits is read as it is written', () => {
  expect(parseIsoTime('+275760-09-13T00:00:00.000Z')).toBe(8.64e15)
  expect(parseIsoTime('+275760-09-13T00:00:00.001Z')).toBeUndefined()
  expect(parseIsoTime('+275760-09-13T00:00:00-01:00')).toBeUndefined()
  expect(parseRfc3339('+275760-09-13T00:00:00.000Z')).toBeUndefined()
})

test('a time is written as Date.prototype.toISOString writes it', () => {
  const times = fc.oneof(
    fc.integer({ min: 0, max: Date.UTC(2100, 0) }),
    fc.maxSafeInteger().filter((ms) => Math.abs(ms) <= 8.64e15),
    // Around the ends of years, leap days among them.
    fc
      .tuple(
        fc.integer({ min: 0, max: 10_001 }),
        fc.integer({ min: -70, max: 70 }),
        fc.integer({ min: -2, max: 2 }),
      )
      .map(([year, days, ms]) => new Date(0).setUTCFullYear(year, 0, 1 + days) + ms),
  )
  fc.assert(
    fc.property(times, (ms) => {
      expect(formatIsoTime(ms)).toBe(new Date(ms).toISOString())
    }),
    { numRuns: 2000 },
  )
})

test('a time that no calendar has is a RangeError', () => {
  for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, 8.64e15 + 1])
    expect(() => formatIsoTime(ms)).toThrow(RangeError)
})
