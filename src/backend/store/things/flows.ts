import { type Selectable, sql, type Updateable } from 'kysely'
import { anyText, type Database, type Tables } from '../db.ts'
import { prepared } from '../prepared.ts'
import { withCounts } from './drop-batch.ts'

export type FlowRow = Selectable<Tables['things_flows']>

const byId = prepared<{ id: string }, FlowRow>(
  (db, { id }) => db.selectFrom('things_flows').selectAll().where('id', '=', id),
  { remembers: 'transaction' },
)

export async function findFlowById(db: Database, id: string): Promise<FlowRow | undefined> {
  return withCounts(db, (await byId(db, { id }))[0])
}

const byKey = prepared<{ accountId: number; key: string }, FlowRow>(
  (db, { accountId, key }) =>
    db.selectFrom('things_flows').selectAll().where('account_id', '=', accountId).where('path_key', '=', key),
  { remembers: 'transaction' },
)

/** @param key the key of the path */
export async function findFlowByKey(
  db: Database,
  accountId: number,
  key: string,
): Promise<FlowRow | undefined> {
  return withCounts(db, (await byKey(db, { accountId, key }))[0])
}

export async function listFlowsById(db: Database, ids: readonly string[]): Promise<FlowRow[]> {
  return db.selectFrom('things_flows').selectAll().where('id', 'in', anyText(ids)).execute()
}

/** The flows of an account, oldest first, after the number `after`. */
export async function listFlowsOf(
  db: Database,
  accountId: number,
  after: number,
  limit: number,
): Promise<FlowRow[]> {
  return db
    .selectFrom('things_flows')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('no', '>', after)
    .orderBy('no')
    .limit(limit)
    .execute()
}

/** The flows of an account at a path and below it, oldest first, after the number `after`. */
export async function listFlowsBelow(
  db: Database,
  accountId: number,
  key: string,
  after: number,
  limit: number,
): Promise<FlowRow[]> {
  return (
    db
      .selectFrom('things_flows')
      .selectAll()
      .where('account_id', '=', accountId)
      // Compared by code points, because some collations of PostgreSQL have another order.
      .where((where) =>
        where.or([
          where('path_key', '=', key),
          where(sql`substr(path_key, 1, ${sql.lit(key.length + 1)})`, '=', `${key}/`),
        ]),
      )
      .where('no', '>', after)
      .orderBy('no')
      .limit(limit)
      .execute()
  )
}

export type NewFlow = Pick<
  FlowRow,
  | 'id'
  | 'account_id'
  | 'path'
  | 'path_key'
  | 'capacity'
  | 'filter'
  | 'details_json'
  | 'creator_id'
  | 'created_at'
>

export async function insertFlow(db: Database, flow: NewFlow): Promise<FlowRow> {
  return db.insertInto('things_flows').values(flow).returningAll().executeTakeFirstOrThrow()
}

export async function updateFlow(
  db: Database,
  no: number,
  changes: Updateable<Tables['things_flows']>,
): Promise<void> {
  await db.updateTable('things_flows').set(changes).where('no', '=', no).execute()
}

/** Deletes a flow with its drops. */
export async function deleteFlow(db: Database, no: number): Promise<void> {
  await db.deleteFrom('things_drops').where('flow_no', '=', no).execute()
  await db.deleteFrom('things_flows').where('no', '=', no).execute()
}
