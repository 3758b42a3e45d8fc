import type { Database } from '../db.ts'

/** Adds a permit, and deletes those that have expired. */
export async function insertPermit(
  db: Database,
  permit: { readonly hash: string; readonly token_hash: string; readonly expires_at: number },
  now: number,
): Promise<void> {
  await db.deleteFrom('things_permits').where('expires_at', '<=', now).execute()
  await db.insertInto('things_permits').values(permit).execute()
}

/** Deletes a permit. @returns the hash of the token that made it; undefined for a permit that is not valid */
export async function takePermit(db: Database, hash: string, now: number): Promise<string | undefined> {
  const row = await db
    .deleteFrom('things_permits')
    .where('hash', '=', hash)
    .returning(['token_hash', 'expires_at'])
    .executeTakeFirst()
  return row === undefined || row.expires_at <= now ? undefined : row.token_hash
}
