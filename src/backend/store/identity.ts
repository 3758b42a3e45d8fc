import type { Database } from './db.ts'

/** The id of the database, 32 hexadecimal digits. Unlike that of the event log it stays, also in a restored backup. */
export async function findDatabaseId(db: Database): Promise<string> {
  return (await db.selectFrom('database_identity').select('id').executeTakeFirstOrThrow()).id
}
