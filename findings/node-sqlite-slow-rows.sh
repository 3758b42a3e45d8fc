#!/usr/bin/env bash
# node:sqlite of Node.js 26.10.0: rows are hash tables, so reading their columns takes longer than reading the row
#
# Documented: Node.js, "SQLite", `statement.all()`: an array of objects. One expects objects with a shape.
# Seen: each row is in V8's dictionary mode, as after `delete`. Objects of a class made from `setReturnArrays(true)` are not.
# Matters: 100 rows of 20 columns, 16 of them read, take 240 microseconds; as arrays put into objects of a class, 140
#   (one run on one machine; the ratio is what counts). Spreading a row copies the hash table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0
cat >rows.mjs <<'SCRIPT'
import { DatabaseSync } from 'node:sqlite'

const database = new DatabaseSync(':memory:')
database.exec('create table t (a integer, b text); insert into t values (1, \'x\')')
const [row] = database.prepare('select a, b from t').all()
const statement = database.prepare('select a, b from t')
statement.setReturnArrays(true)
class Row {
  constructor([a, b]) {
    this.a = a
    this.b = b
  }
}
const [copied] = statement.all().map((values) => new Row(values))
console.log(process.version, 'fast properties:', %HasFastProperties(row), %HasFastProperties(copied))
SCRIPT
seen=$(node_modules/.bin/node --allow-natives-syntax rows.mjs)
echo 'expected: v26.10.0 fast properties: true true'
echo "seen:     $seen"
[ "$seen" = 'v26.10.0 fast properties: false true' ] && echo 'Still so.' || { echo 'The behaviour has changed.'; exit 1; }
