import type { Insertable, Selectable } from 'kysely'
import type { Database, Tables } from '../db.ts'

export type ScriptJobRow = Selectable<Tables['things_script_jobs']>

export async function insertScriptJob(
  db: Database,
  job: Insertable<Tables['things_script_jobs']>,
): Promise<void> {
  await db.insertInto('things_script_jobs').values(job).execute()
}

/** Jobs after a number, oldest first. */
export async function listScriptJobs(db: Database, after: number, limit: number): Promise<ScriptJobRow[]> {
  return db
    .selectFrom('things_script_jobs')
    .selectAll()
    .where('no', '>', after)
    .orderBy('no')
    .limit(limit)
    .execute()
}

/** How many jobs of an account wait, up to a number. */
export async function countScriptJobs(db: Database, accountId: number, most: number): Promise<number> {
  const { count } = await db
    .selectFrom((query) =>
      query
        .selectFrom('things_script_jobs')
        .select('no')
        .where('account_id', '=', accountId)
        .limit(most)
        .as('jobs'),
    )
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** @returns whether it was there: another process may have been faster */
export async function takeScriptJob(db: Database, no: number): Promise<boolean> {
  const row = await db
    .deleteFrom('things_script_jobs')
    .where('no', '=', no)
    .returning('no')
    .executeTakeFirst()
  return row !== undefined
}
