#!/usr/bin/env bash
# kysely 0.29.9: ParseJSONResultsPlugin turns users' texts that look like JSON into arrays and objects
#
# Documented: kysely, "ParseJSONResultsPlugin": parses JSON strings of query results, for dialects that do not; the
#   recipe "Relations" needs it with SQLite for jsonArrayFrom() and jsonObjectFrom(). One expects it to touch the
#   columns that hold JSON.
# Seen: the plugin knows no columns. Each string that begins and ends like an array or object and parses is replaced,
#   at any depth: a text column with '[1,2]' becomes an array and '{"a":1}' an object, while the types still say
#   string. '[not json' stays a string.
# Matters: somebody posts a JSON snippet in a chat, and message.content.length is undefined, or toUpperCase() is no
#   function, for that row only. Tests with ordinary texts never see it. Parse the known columns instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact kysely@0.29.9 node@26.10.0

cat > check.mjs <<'JS'
import { DatabaseSync } from 'node:sqlite'
import { Kysely, ParseJSONResultsPlugin, SqliteDialect } from 'kysely'

const sqlite = new DatabaseSync(':memory:')
const database = {
  prepare(text) {
    const statement = sqlite.prepare(text)
    return {
      reader: statement.columns().length > 0,
      all: (parameters) => statement.all(...parameters),
      run: (parameters) => statement.run(...parameters),
      iterate: (parameters) => statement.iterate(...parameters),
    }
  },
  close: () => sqlite.close(),
}
const db = new Kysely({ dialect: new SqliteDialect({ database }), plugins: [new ParseJSONResultsPlugin()] })
await db.schema.createTable('messages').addColumn('content', 'text').execute()
const contents = ['hello', '[1,2]', '{"a":1}', '[not json']
await db.insertInto('messages').values(contents.map((content) => ({ content }))).execute()
const rows = await db.selectFrom('messages').select('content').execute()
const seen = contents.map((content, index) => {
  const value = rows[index].content
  return { stored: content, read: Array.isArray(value) ? 'array' : typeof value }
})
console.log('expected: string on every line')
console.table(seen)
const same = seen.map(({ read }) => read).join() === 'string,array,object,string'
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
