#!/usr/bin/env bash
# node:sqlite of Node.js 26.10.0: a Date as the first parameter is left out without an error
#
# Documented: Node.js, "SQLite", "Type conversion between JavaScript and SQLite": writing a value of an unsupported
#   type throws. That is what happens with a Date as the second parameter (ERR_INVALID_ARG_TYPE).
# Seen: a first parameter that is an object is taken for the object of named parameters. A Date, a Map or a URL has
#   no own properties, so it binds nothing, takes no place and throws nothing: run(new Date(), 'ann') on values (?, ?)
#   stores 'ann' in the first column and NULL in the second, since parameters without a value are NULL.
# Matters: rows with wrong columns, with no error anywhere; better-sqlite3 throws a TypeError for the same call.
#   Convert dates before binding, and compare the number of parameters with that of the statement.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > check.mjs <<'JS'
import { DatabaseSync } from 'node:sqlite'

const database = new DatabaseSync(':memory:')
database.exec('create table logins (at, name)')
const insert = database.prepare('insert into logins values (?, ?)')
function outcome(...parameters) {
  database.exec('delete from logins')
  try {
    insert.run(...parameters)
    return JSON.stringify(database.prepare('select * from logins').get())
  } catch ({ code }) {
    return code
  }
}
const seen = {
  'date first': outcome(new Date(0), 'ann'),
  'date second': outcome('ann', new Date(0)),
  'map first': outcome(new Map([['a', 1]]), 'ann'),
}
console.log('Node.js', process.version)
console.log('expected: ERR_INVALID_ARG_TYPE three times')
console.log('seen:', seen)
const shifted = '{"at":"ann","name":null}'
const same =
  seen['date first'] === shifted && seen['map first'] === shifted && seen['date second'] === 'ERR_INVALID_ARG_TYPE'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
