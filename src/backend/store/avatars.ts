import type { Selectable } from 'kysely'
import type { Database, Tables } from './db.ts'

export type AvatarRow = Selectable<Tables['avatars']>
export type NewAvatar = Pick<AvatarRow, 'key' | 'content_type' | 'bytes'>

export async function findAvatar(db: Database, key: string): Promise<AvatarRow | undefined> {
  return db.selectFrom('avatars').selectAll().where('key', '=', key).executeTakeFirst()
}

/** Replaces the picture of a user. @param avatar undefined removes it */
export async function replaceAvatar(
  db: Database,
  userId: number,
  avatar: NewAvatar | undefined,
): Promise<void> {
  await db.deleteFrom('avatars').where('user_id', '=', userId).execute()
  if (avatar !== undefined)
    await db
      .insertInto('avatars')
      .values({ ...avatar, user_id: userId })
      .execute()
  await db
    .updateTable('users')
    .set({ avatar: avatar?.key ?? null })
    .where('id', '=', userId)
    .execute()
}
