import { type Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrations } from './migrations/index.ts'

/**
 * Brings a database to the schema of this version. Versions before a compatible migration go on beside it, so during an upgrade
 * processes of two versions may use one database; the older ones can be started again, too.
 *
 * @param schema of PostgreSQL
 * @throws Error for a database of a newer version that this one cannot use
 */
export async function migrate<T>(database: Kysely<T>, schema?: string): Promise<void> {
  const executed = await listExecuted(database, schema)
  const newer = executed.filter((name) => !(name in migrations))
  if (newer.length > 0) return checkUsable(database, executed, newer)
  const migrator = new Migrator({
    db: database,
    provider: { getMigrations: async () => migrations },
    ...(schema === undefined ? {} : { migrationTableSchema: schema }),
  })
  const { error, results = [] } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
  for (const { migrationName: name } of results)
    if (migrations[name]?.isCompatible === true)
      await sql`insert into compatible_migrations (name) values (${name})`.execute(database)
}

async function listExecuted<T>(database: Kysely<T>, schema: string | undefined): Promise<readonly string[]> {
  const tables = await database.introspection.getTables({ withInternalKyselyTables: true })
  const isThere = tables.some(
    (table) => table.name === 'kysely_migration' && (schema === undefined || table.schema === schema),
  )
  if (!isThere) return []
  return listNames(database, 'kysely_migration')
}

async function listNames<T>(database: Kysely<T>, table: string): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(table)}`.execute(database)
  return rows.map(({ name }) => name)
}

/** @throws Error when this version cannot use the database */
async function checkUsable<T>(
  database: Kysely<T>,
  executed: readonly string[],
  newer: readonly string[],
): Promise<void> {
  const done = new Set(executed)
  const isComplete = Object.keys(migrations).every((name) => done.has(name))
  const names = new Set(isComplete ? await listNames(database, 'compatible_migrations') : [])
  const changes = newer.filter((name) => !names.has(name))
  if (changes.length === 0) return
  throw new Error(
    `The database was changed by a newer version of flowdock-gateway (${changes.join(', ')}). Start that version, or restore a backup of this one`,
  )
}
