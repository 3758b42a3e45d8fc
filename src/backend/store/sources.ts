import { type Insertable, type Selectable, sql } from 'kysely'
import { anyNumber, anyText, type Database, type Tables } from './db.ts'
import type { UserRow } from './users.ts'

export interface SourceRow extends Selectable<Tables['sources']> {
  application_name: string
  application_icon_url: string | null
  flow_path: string
  creator: UserRow
}

async function withCreators(db: Database, sources: Omit<SourceRow, 'creator'>[]): Promise<SourceRow[]> {
  if (sources.length === 0) return []
  const ids = [...new Set(sources.map(({ creator_id }) => creator_id))]
  const creators = await db.selectFrom('users').selectAll().where('id', 'in', anyNumber(ids)).execute()
  const byId = new Map(creators.map((creator) => [creator.id, creator]))
  return sources.map((source) => ({ ...source, creator: byId.get(source.creator_id) as UserRow }))
}

function sources(db: Database) {
  return db
    .selectFrom('sources')
    .innerJoin('applications', 'applications.id', 'sources.application_id')
    .innerJoin('flows', 'flows.id', 'sources.flow_id')
    .innerJoin('organizations', 'organizations.id', 'flows.organization_id')
    .selectAll('sources')
    .select([
      'applications.name as application_name',
      'applications.icon_url as application_icon_url',
      sql<string>`organizations.slug || '/' || flows.slug`.as('flow_path'),
    ])
}

/** The sources of these flows, without removed ones. */
export async function listSources(db: Database, flowIds: readonly string[]): Promise<SourceRow[]> {
  const rows = await sources(db)
    .where('sources.flow_id', 'in', anyText(flowIds))
    .where('sources.deleted_at', 'is', null)
    .orderBy('sources.id')
    .execute()
  return withCreators(db, rows)
}

/** Also finds removed sources, because their threads still name them. */
export async function findSources(db: Database, ids: readonly number[]): Promise<SourceRow[]> {
  if (ids.length === 0) return []
  const rows = await sources(db).where('sources.id', 'in', anyNumber(ids)).execute()
  return withCreators(db, rows)
}

export async function findSourceByTokenHash(db: Database, hash: string): Promise<SourceRow | undefined> {
  return (await withCreators(db, await sources(db).where('sources.token_hash', '=', hash).execute()))[0]
}

export async function insertSource(
  db: Database,
  source: Omit<
    Insertable<Tables['sources']>,
    'configuration_url' | 'error_message' | 'deleted_at' | 'created_at' | 'updated_at'
  >,
): Promise<number> {
  const now = Date.now()
  const { id } = await db
    .insertInto('sources')
    .values({
      ...source,
      configuration_url: null,
      error_message: null,
      deleted_at: null,
      created_at: now,
      updated_at: now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** Inserts a source as removed. Imported threads name sources that do not exist on this server. */
export async function insertRemovedSource(
  db: Database,
  source: Parameters<typeof insertSource>[1],
): Promise<number> {
  const id = await insertSource(db, source)
  await db.updateTable('sources').set({ deleted_at: Date.now() }).where('id', '=', id).execute()
  return id
}

/** The first source of a flow with this name, removed ones included. */
export async function findSourceByName(
  db: Database,
  flowId: string,
  name: string,
): Promise<number | undefined> {
  const row = await db
    .selectFrom('sources')
    .select('id')
    .where('flow_id', '=', flowId)
    .where('name', '=', name)
    .orderBy('id')
    .executeTakeFirst()
  return row?.id
}
