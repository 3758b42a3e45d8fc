#!/usr/bin/env bash
# node:sqlite of Node.js 26.10.0: in a tag store, a query that is iterated ends when the same query is made again
#
# Documented: Node.js, "SQLite", createTagStore(): sql.get`SELECT ${value}` is equivalent to db.prepare('SELECT ?').get(value),
#   with the prepared statement cached.
# Seen: equal texts share one statement, so any get, all, run or iterate of a text resets an iteration of that text elsewhere
#   in the program, whatever its values: the iteration throws ERR_INVALID_STATE, "iterator was invalidated", after some of its
#   rows. With prepare() in each place all rows come.
# Matters: a function that walks a tree fails after its first branch, and a response that is written row by row fails, halfway,
#   when a second reader asks for the same list. In a tag store use all(); where rows are iterated, prepare().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > check.mjs <<'JS'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as turn } from 'node:timers/promises'

const database = new DatabaseSync(':memory:')
database.exec('create table threads (id integer primary key, parent integer)')
database.exec('insert into threads values (1, 0), (2, 1), (3, 1), (4, 2), (5, 3)')
const sql = database.createTagStore()
const ways = {
  'tag store': (parent) => sql.iterate`select id from threads where parent = ${parent}`,
  prepare: (parent) => database.prepare('select id from threads where parent = ?').iterate(parent),
}
function walk(children, parent, visited) {
  for (const { id } of children(parent)) {
    visited.push(id)
    walk(children, id, visited)
  }
}
async function stream(children, parent, written) {
  for (const { id } of children(parent)) {
    written.push(id)
    await turn()
  }
}
async function outcome(act) {
  const ids = []
  try {
    await act(ids)
    return ids.join()
  } catch ({ code }) {
    return `${ids.join()} ${code}`
  }
}
const seen = {}
for (const [way, children] of Object.entries(ways)) {
  const tree = await outcome((visited) => walk(children, 0, visited))
  const [first, second] = await Promise.all([1, 2].map((parent) => outcome((written) => stream(children, parent, written))))
  seen[way] = { tree, 'first reader': first, 'second reader': second }
}
console.log('Node.js', process.version)
console.log('expected: 1,2,4,3,5 and 2,3 and 4 on both lines')
console.table(seen)
const { 'tag store': shared, prepare } = seen
const same =
  shared.tree.endsWith('ERR_INVALID_STATE') &&
  shared['first reader'] === '2 ERR_INVALID_STATE' &&
  Object.values(prepare).join(' | ') === '1,2,4,3,5 | 2,3 | 4'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
