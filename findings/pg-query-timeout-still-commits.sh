#!/usr/bin/env bash
# pg 8.23.1 (PostgreSQL 15): a statement that failed with query_timeout is executed and committed all the same
#
# Remembered: a timeout of a database client cancels the statement, as statement_timeout does (pg documents the two
#   options side by side: "Client", new Client, statement_timeout and query_timeout).
# Seen: query_timeout only rejects the promise with "Query read timeout". The server goes on; an INSERT outside of a
#   transaction commits after the caller was told that it failed. On the same client the next statement waits behind
#   it and times out as well, ROLLBACK included.
# Matters: a caller that retries after the error inserts the message twice. Use statement_timeout (the server
#   cancels and undoes) and keep query_timeout as a longer last resort; destroy the client after one.
# Uses the database at TEST_DATABASE_URL (postgres://postgres@127.0.0.1:5432/postgres unless set), with one
#   temporary table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --save-exact pg@8.23.1

cat > check.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const connectionString = process.env.TEST_DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const message = (promise) => promise.then(() => 'done', (error) => error.message)

async function run(option) {
  const client = new pg.Client({ connectionString, [option]: 1000 })
  await client.connect().catch((error) => {
    console.error(`Needs a PostgreSQL server: ${error.message || error.code}`)
    process.exit(2)
  })
  await client.query('create temporary table events (id int)')
  const insert = await message(client.query('insert into events select 1 from pg_sleep(2.5)'))
  const next = await message(client.query('select 1'))
  await sleep(3000)
  const { rows } = await client.query('select count(*)::int as count from events')
  await client.end()
  return { insert, next, rows: rows[0].count }
}
const [query_timeout, statement_timeout] = await Promise.all([run('query_timeout'), run('statement_timeout')])
console.log('expected: 0 rows after an error, and the next statement done, with both')
console.table({ query_timeout, statement_timeout })
const same =
  query_timeout.insert === 'Query read timeout' &&
  query_timeout.next === 'Query read timeout' &&
  query_timeout.rows === 1 &&
  statement_timeout.next === 'done' &&
  statement_timeout.rows === 0
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs
