#!/usr/bin/env bash
# postgres (postgres.js) 3.4.9 (PostgreSQL 15): JSON text given for a jsonb parameter is stored as a JSON string
#
# Remembered: a text parameter cast to jsonb is parsed by PostgreSQL; so it is with pg and most drivers.
# Seen: sql`select ${'{"a":1}'}::jsonb` gives the JSON string "{\"a\":1}" (jsonb_typeof 'string'), not the object.
#   The driver asks the server for the type of the parameter and encodes every value of a json parameter with
#   JSON.stringify, strings too. pg 8.23.1 with the same statement and parameter gives the object.
#   `${text}::text::jsonb` gives it with both.
# Matters: events that are already serialized (from a queue, from NOTIFY) are stored double-encoded; ->> 'a' is NULL
#   for each of them, and nothing fails until a reader looks. Moving from pg changes data silently.
# Uses the database at TEST_DATABASE_URL (postgres://postgres@127.0.0.1:5432/postgres unless set); reads constants
#   only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact postgres@3.4.9 pg@8.23.1

cat > check.mjs <<'JS'
import pg from 'pg'
import postgres from 'postgres'

const url = process.env.TEST_DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const text = '{"a":1}'
const client = new pg.Client(url)
await client.connect().catch(({ message, code }) => {
  console.error(`Needs a PostgreSQL server: ${message || code}`)
  process.exit(2)
})
const sql = postgres(url, { max: 1 })
const { rows } = await client.query("select jsonb_typeof($1::jsonb) type, $1::jsonb ->> 'a' a", [text])
const [direct] = await sql`select jsonb_typeof(${text}::jsonb) type, ${text}::jsonb ->> 'a' a`
const [viaText] = await sql`select jsonb_typeof(${text}::text::jsonb) type, ${text}::text::jsonb ->> 'a' a`
await Promise.all([client.end(), sql.end()])
const seen = { pg: rows[0], postgres: { ...direct }, 'postgres, ::text::jsonb': { ...viaText } }
console.log('expected: object, 1 on every line')
console.table(seen)
const same = rows[0].type === 'object' && direct.type === 'string' && direct.a === null && viaText.type === 'object'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
