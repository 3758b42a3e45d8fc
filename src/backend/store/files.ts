import type { Selectable } from 'kysely'
import { anyText, type Database, type Tables } from './db.ts'

export type FileRow = Selectable<Tables['files']>

export async function insertFile(db: Database, file: FileRow): Promise<void> {
  await db.insertInto('files').values(file).execute()
}

export async function findFile(db: Database, token: string): Promise<FileRow | undefined> {
  return db.selectFrom('files').selectAll().where('token', '=', token).executeTakeFirst()
}

export async function listFiles(db: Database): Promise<FileRow[]> {
  return db.selectFrom('files').selectAll().orderBy('created_at').execute()
}

export async function deleteFile(db: Database, token: string): Promise<void> {
  await db.deleteFrom('files').where('token', '=', token).execute()
}

/**
 * Deletes files of a channel, and their thumbnails.
 *
 * @returns the tokens of all that were deleted
 */
export async function deleteFiles(
  db: Database,
  channelId: number,
  tokens: readonly string[],
): Promise<string[]> {
  if (tokens.length === 0) return []
  const deleted = await db
    .deleteFrom('files')
    .where('channel_id', '=', channelId)
    .where('token', 'in', anyText(tokens))
    .returning(['token', 'thumbnail'])
    .execute()
  const thumbnails = deleted.map(({ thumbnail }) => thumbnail).filter((token) => token !== null)
  if (thumbnails.length > 0)
    await db
      .deleteFrom('files')
      .where('channel_id', '=', channelId)
      .where('token', 'in', anyText(thumbnails))
      .execute()
  return [...deleted.map(({ token }) => token), ...thumbnails]
}
