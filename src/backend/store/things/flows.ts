import { type Selectable, sql, type Updateable } from 'kysely'
import { anyText, type Database, type Tables } from '../db.ts'
import { prepared } from '../prepared.ts'

export type FlowRow = Selectable<Tables['things_flows']>

const byId = prepared<{ id: string }, FlowRow>((db, { id }) =>
  db.selectFrom('things_flows').selectAll().where('id', '=', id),
)

export async function findFlowById(db: Database, id: string): Promise<FlowRow | undefined> {
  return (await byId(db, { id }))[0]
}

const byKey = prepared<{ accountId: number; key: string }, FlowRow>((db, { accountId, key }) =>
  db.selectFrom('things_flows').selectAll().where('account_id', '=', accountId).where('path_key', '=', key),
)

/** @param key the key of the path */
export async function findFlowByKey(
  db: Database,
  accountId: number,
  key: string,
): Promise<FlowRow | undefined> {
  return (await byKey(db, { accountId, key }))[0]
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

const countArrival = prepared<
  { no: number; now: number; added: number },
  Pick<FlowRow, 'last_seq' | 'drops' | 'last_drop_at'>
>((db, { no, now, added }) =>
  db
    .updateTable('things_flows')
    .set((set) => ({
      last_seq: set('last_seq', '+', added),
      drops: set('drops', '+', added),
      // The times of drops ascend, even if the clock was set back.
      last_drop_at: sql<number>`case when last_drop_at > ${now} then last_drop_at else ${now} end`,
    }))
    .where('no', '=', no)
    .returning(['last_seq', 'drops', 'last_drop_at']),
)

/**
 * Counts a new drop.
 *
 * @param added 1 if the drop is stored, 0 if it replaces another one or the flow stores none
 * @returns the number of the drop, the number of drops in the flow including it, and its time
 */
export async function takeArrival(
  db: Database,
  no: number,
  now: number,
  added: 0 | 1,
): Promise<Pick<FlowRow, 'last_seq' | 'drops' | 'last_drop_at'>> {
  const [row] = await countArrival(db, { no, now, added })
  if (row === undefined) throw new Error('The flow of a drop is not there')
  return row
}
