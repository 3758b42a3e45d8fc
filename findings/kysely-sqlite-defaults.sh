#!/usr/bin/env bash
# kysely 0.29.9 (SQLite of Node.js 26.10.0): rows that are inserted together lose the defaults of their columns
#
# Documented: Kysely, InsertQueryBuilder.values(): an object or an array of objects; `Generated` columns may be left out,
#   because the database fills them. On PostgreSQL they get DEFAULT.
# Seen: with the SQLite dialect, a column that one row of the array has and another has not is inserted as NULL for the other.
#   The same row inserted alone gets its default. The types are satisfied in both cases.
# Matters: one row with an explicit state turns the state of all others into NULL (or, with "not null", fails all of them), in
#   the database of the tests or of production only. Give all rows of an array the same keys, or insert them one by one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module", "allowScripts": { "node": true } }' > package.json
npm install --silent --no-audit --no-fund --save-exact kysely@0.29.9 node@26.10.0

cat > check.mjs <<'JS'
import { DatabaseSync } from 'node:sqlite'
import * as kysely from 'kysely'

const sqlite = new DatabaseSync(':memory:')
sqlite.exec("create table tasks (id integer primary key, state text default 'open', tries integer default 3)")
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
const db = new kysely.Kysely({ dialect: new kysely.SqliteDialect({ database }) })
const onPostgres = new kysely.Kysely({
  dialect: {
    createAdapter: () => new kysely.PostgresAdapter(),
    createDriver: () => new kysely.DummyDriver(),
    createIntrospector: (instance) => new kysely.PostgresIntrospector(instance),
    createQueryCompiler: () => new kysely.PostgresQueryCompiler(),
  },
})
const rows = [{ id: 1 }, { id: 2, state: 'done' }]
await db.insertInto('tasks').values(rows).execute()
await db.insertInto('tasks').values({ id: 3 }).execute()
await db.insertInto('tasks').values([{ id: 4 }, { id: 5 }]).execute()
const seen = {}
for (const { id, state, tries } of await db.selectFrom('tasks').selectAll().execute()) seen[id] = `${state} ${tries}`
const { sql } = onPostgres.insertInto('tasks').values(rows).compile()
console.log('expected: the row 1 is "open 3", like the rows 3 to 5')
console.log('seen:', seen)
console.log('for PostgreSQL:', sql)
const same = Object.values(seen).join() === 'null 3,done 3,open 3,open 3,open 3' && sql.includes('($1, default)')
console.log(same ? 'Still so.' : 'The behaviour has changed.')
process.exit(same ? 0 : 1)
JS
timeout 30 node_modules/.bin/node check.mjs
