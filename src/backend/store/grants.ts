import type { Selectable } from 'kysely'
import type { Database, Tables } from './db.ts'

/** What an application may exchange for a token: an authorization code or a refresh token. */
export type GrantRow = Selectable<Tables['oauth_grants']>

export async function insertGrant(db: Database, grant: GrantRow): Promise<void> {
  await db.insertInto('oauth_grants').values(grant).execute()
}

export async function findGrant(
  db: Database,
  kind: GrantRow['kind'],
  hash: string,
): Promise<GrantRow | undefined> {
  return db
    .selectFrom('oauth_grants')
    .selectAll()
    .where('hash', '=', hash)
    .where('kind', '=', kind)
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', Date.now())]))
    .executeTakeFirst()
}

export async function deleteGrant(db: Database, hash: string): Promise<void> {
  await db.deleteFrom('oauth_grants').where('hash', '=', hash).execute()
}

/** Takes away a token or a refresh token of an application. */
export async function revokeGranted(db: Database, applicationId: number, hash: string): Promise<void> {
  await db
    .deleteFrom('oauth_grants')
    .where('hash', '=', hash)
    .where('application_id', '=', applicationId)
    .execute()
  await db.deleteFrom('tokens').where('hash', '=', hash).where('application_id', '=', applicationId).execute()
}

/** Drops codes and tokens that expired some time ago. */
export async function deleteExpired(db: Database, before: number): Promise<void> {
  await db.deleteFrom('oauth_grants').where('expires_at', '<', before).execute()
  await db.deleteFrom('tokens').where('expires_at', '<', before).execute()
}
