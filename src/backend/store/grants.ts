import type { Selectable } from 'kysely'
import type { Database, Tables } from './db.ts'

/** An authorization code or a refresh token, which an application exchanges for a token. */
export type GrantRow = Selectable<Tables['oauth_grants']>

export async function insertGrant(
  db: Database,
  grant: Omit<GrantRow, 'used_at' | 'code_challenge' | 'code_hash'> &
    Partial<Pick<GrantRow, 'code_challenge' | 'code_hash'>>,
): Promise<void> {
  const row = { used_at: null, code_challenge: null, code_hash: null, ...grant }
  await db.insertInto('oauth_grants').values(row).execute()
}

/** An authorization code of an application, used or unused. Undefined when it was deleted after it expired. */
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

/** Marks a code as exchanged. */
export async function useCode(db: Database, hash: string): Promise<void> {
  await db.updateTable('oauth_grants').set({ used_at: Date.now() }).where('hash', '=', hash).execute()
}

/** A refresh token of an application. */
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
