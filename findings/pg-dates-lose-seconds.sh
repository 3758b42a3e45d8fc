#!/usr/bin/env bash
# pg 8.23.1 (PostgreSQL 15): a Date is stored up to 30 seconds off, where the time zone of the process had no whole minutes then
#
# Documented: node-postgres, "Data Types", "Date / timestamp / timestamptz": instances of Date are converted "into the expected
#   input value for your PostgreSQL server". A Date is a moment, so a timestamptz should hold the same one.
# Seen: pg writes a Date in local time with an offset of hours and minutes (`dateToString` in lib/utils.js), from
#   `getTimezoneOffset()`, which has no seconds. Where the offset then had seconds, they are lost, without an error: in Monrovia
#   until 1972, in Paris until 1911, in Kolkata until 1906. The same program is exact with TZ=UTC.
# Matters: dates of birth, deeds and archives differ by the TZ of the process that wrote them, and a row that was just
#   written is not found by its own date. Set `pg.defaults.parseInputDatesAsUTC = true`, or pass `date.toISOString()`.
# Uses the database at TEST_DATABASE_URL (postgres://postgres@127.0.0.1:5432/postgres unless set), and writes nothing there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact pg@8.23.1

cat > check.mjs <<'JS'
import pg from 'pg'

const connectionString = process.env.TEST_DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const client = new pg.Client({ connectionString })
await client.connect().catch((error) => {
  console.error(`Needs a PostgreSQL server: ${error.message || error.code}`)
  process.exit(2)
})

/** The seconds between a Date and what the server reads. */
async function shift(value, time) {
  const { rows } = await client.query('select extract(epoch from $1::timestamptz)::float8 as seconds', [value])
  return rows[0].seconds - time / 1000
}
const cases = [
  ['UTC', '1900-01-01T00:00:00Z', 0],
  ['Europe/Paris', '2000-01-01T00:00:00Z', 0],
  ['Europe/Paris', '1900-01-01T00:00:00Z', 21],
  ['Asia/Kathmandu', '1900-01-01T00:00:00Z', 16],
  ['Africa/Monrovia', '1971-12-31T00:00:00Z', -30],
]
const table = []
for (const [zone, iso, seen] of cases) {
  process.env.TZ = zone
  const date = new Date(iso)
  pg.defaults.parseInputDatesAsUTC = false
  const asDate = await shift(date, date.getTime())
  const asText = await shift(date.toISOString(), date.getTime())
  pg.defaults.parseInputDatesAsUTC = true
  table.push({ zone, iso, seen, asDate, asText, parseInputDatesAsUTC: await shift(date, date.getTime()) })
}
await client.end()
console.log('expected: 0 seconds of difference in each column')
console.table(table.map(({ seen, ...row }) => row))
const same = table.every((row) => row.asDate === row.seen && row.asText === 0 && row.parseInputDatesAsUTC === 0)
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
