import type { Selectable } from 'kysely'
import type { Database, Tables } from './db.ts'

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
