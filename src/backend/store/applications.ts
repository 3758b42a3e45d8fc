import type { Selectable } from 'kysely'
import type { Database, Tables } from './db.ts'

export type ApplicationRow = Selectable<Tables['applications']>

export async function insertApplication(
  db: Database,
  application: Pick<ApplicationRow, 'name'> & Partial<Omit<ApplicationRow, 'id'>>,
): Promise<ApplicationRow> {
  return db
    .insertInto('applications')
    .values({
      icon_url: null,
      url: null,
      redirect_uri: null,
      client_id: null,
      client_secret: null,
      owner_id: null,
      ...application,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Finds or creates the application for sources that were added without a registered application. */
export async function ensureApplication(db: Database, name: string): Promise<number> {
  const known = await db
    .selectFrom('applications')
    .select('id')
    .where('name', '=', name)
    .where('client_id', 'is', null)
    .executeTakeFirst()
  return known?.id ?? (await insertApplication(db, { name })).id
}

export async function findApplication(
  db: Database,
  by: { id: number } | { clientId: string },
): Promise<ApplicationRow | undefined> {
  const query = db.selectFrom('applications').selectAll()
  return (
    'id' in by ? query.where('id', '=', by.id) : query.where('client_id', '=', by.clientId)
  ).executeTakeFirst()
}

/** The registered applications, of one user if `ownerId` is given. */
export async function listApplications(db: Database, ownerId?: number): Promise<ApplicationRow[]> {
  const query = db.selectFrom('applications').selectAll().where('client_id', 'is not', null).orderBy('id')
  return (ownerId === undefined ? query : query.where('owner_id', '=', ownerId)).execute()
}
