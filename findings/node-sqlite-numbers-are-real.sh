#!/usr/bin/env bash
# node:sqlite of Node.js 26.10.0: every JavaScript number is bound as REAL, so the id 7 becomes the text '7.0'
#
# Documented: Node.js, "SQLite", "Type conversion between JavaScript and SQLite": a number is stored as INTEGER or
#   REAL; one expects INTEGER for a safe integer.
# Seen: typeof(?) of 7 is 'real'. Columns with INTEGER affinity repair it. Everything without that affinity does
#   not: a TEXT column stores '7.0' and no longer equals '7', '/flows/' || ? is '/flows/7.0', json_object('id', ?) is
#   {"id":7.0}, and ? / 2 is 3.5 where 7 / 2 written in the statement is 3. A bigint is bound as INTEGER.
# Matters: ids that were text (JSON, URLs, FTS and key-value tables) stop matching, without an error. Bind
#   String(id) for text, BigInt(n) or cast(? as integer) in expressions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > check.mjs <<'JS'
import { DatabaseSync } from 'node:sqlite'

const database = new DatabaseSync(':memory:')
database.exec('create table flows (id text primary key)')
database.prepare('insert into flows values (?)').run(7)
const seen = {
  ...database
    .prepare("select typeof(?) type, '/flows/' || ? path, json_object('id', ?) json, ? / 2 half, typeof(?) bigint")
    .get(7, 7, 7, 7, 7n),
  text: database.prepare('select id from flows').get().id,
  found: database.prepare('select count(*) count from flows where id = ?').get('7').count,
}
console.log('Node.js', process.version)
console.log('expected: integer, /flows/7, {"id":7}, 3, text 7, found 1')
console.log('seen:', seen)
const same =
  seen.type === 'real' &&
  seen.path === '/flows/7.0' &&
  seen.json === '{"id":7.0}' &&
  seen.half === 3.5 &&
  seen.bigint === 'integer' &&
  seen.text === '7.0' &&
  seen.found === 0
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
