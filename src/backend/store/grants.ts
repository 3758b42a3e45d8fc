import type { Selectable } from 'kysely'
import type { Database, Tables } from './db.ts'

/** What an application may exchange for a token: an authorization code or a refresh token. */
export type GrantRow = Selectable<Tables['oauth_grants']>

export async function insertGrant(
  db: Database,
  grant: Omit<GrantRow, 'used_at' | 'code_challenge' | 'code_hash'> &
    Partial<Pick<GrantRow, 'code_challenge' | 'code_hash'>>,
): Promise<void> {
  const row = { used_at: null, code_challenge: null, code_hash: null, ...grant }
  await db.insertInto('oauth_grants').values(row).execute()
}

/** An authorization code, used or not, that was given to an application; undefined when it has long expired. */
export async function findCode(
  db: Database,
  applicationId: number,
  hash: string,
): Promise<GrantRow | undefined> {
  return db
    .selectFrom('oauth_grants')
    .selectAll()
    .where('hash', '=', hash)
    .where('kind', '=', 'code')
    .where('application_id', '=', applicationId)
    .executeTakeFirst()
}

/** Notes that a code was exchanged. */
export async function useCode(db: Database, hash: string): Promise<void> {
  await db.updateTable('oauth_grants').set({ used_at: Date.now() }).where('hash', '=', hash).execute()
}

/** A refresh token that was given to an application. */
export async function findRefreshToken(
  db: Database,
  applicationId: number,
  hash: string,
): Promise<GrantRow | undefined> {
  return db
    .selectFrom('oauth_grants')
    .selectAll()
    .where('hash', '=', hash)
    .where('kind', '=', 'refresh')
    .where('application_id', '=', applicationId)
    .executeTakeFirst()
}

/** Drops codes and tokens that expired some time ago. */
export async function deleteExpired(db: Database, before: number): Promise<void> {
  await db.deleteFrom('oauth_grants').where('expires_at', '<', before).execute()
  await db.deleteFrom('tokens').where('expires_at', '<', before).execute()
}
