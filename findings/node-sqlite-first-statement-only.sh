#!/usr/bin/env bash
# node:sqlite of Node.js 26.10.0: prepare() compiles the first statement and ignores the rest of the text
#
# Documented: Node.js, "SQLite", database.prepare(): compiles "a SQL statement". exec() runs several. Text that is not one
#   statement should be an error; better-sqlite3 throws a RangeError for it.
# Seen: prepare('insert …; insert …').run() executes the first insert and reports success. What follows the first semicolon
#   is not even parsed: a misspelt or unfinished second statement is accepted. Tag stores (createTagStore()) do the same.
# Matters: a migration or a pair of writes that is moved from exec() to prepare(), in order to bind values, loses all but its
#   first statement, with no error and a plausible `changes`. Prepare each statement of its own, in a transaction.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact node@26.10.0

cat > check.mjs <<'JS'
import { DatabaseSync } from 'node:sqlite'

const database = new DatabaseSync(':memory:')
database.exec('create table accounts (name, credit)')
database.exec("insert into accounts values ('ann', 10), ('ben', 0)")
const credits = () => database.prepare('select credit from accounts order by name').all().map(({ credit }) => credit).join()

const seen = {}
const transfer = `
  update accounts set credit = credit - 5 where name = 'ann';
  update accounts set credit = credit + 5 where name = 'ben'`
seen['prepare().run()'] = `changes ${database.prepare(transfer).run().changes}`
seen['ann and ben have'] = credits()
try {
  database.prepare("delete from accounts where name = 'nobody'; this is no SQL at all").run()
  seen['a second statement that is no SQL'] = 'accepted'
} catch ({ message }) {
  seen['a second statement that is no SQL'] = message
}
database.createTagStore().run`update accounts set credit = ${7}; this is no SQL at all`
seen['after a tag store'] = credits()
database.exec(transfer)
seen['after exec()'] = credits()

console.log('Node.js', process.version)
console.log('expected: an error for each text of two statements, except by exec()')
console.log('seen:', seen)
const same = Object.values(seen).join(' | ') === 'changes 1 | 5,0 | accepted | 7,7 | 2,12'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
