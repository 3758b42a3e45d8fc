import type { Selectable } from 'kysely'
import { anyText, type Database, type Tables } from '../db.ts'
import { prepared } from '../prepared.ts'

export type DropRow = Selectable<Tables['things_drops']>

/** The number of rows in one statement, which has a limit of parameters. */
const rowsAtOnce = 500

export async function insertDrops(db: Database, rows: readonly DropRow[]): Promise<void> {
  for (let from = 0; from < rows.length; from += rowsAtOnce)
    await db
      .insertInto('things_drops')
      .values(rows.slice(from, from + rowsAtOnce))
      .execute()
}

const byId = prepared<{ no: number; id: string }, DropRow>((db, { no, id }) =>
  db.selectFrom('things_drops').selectAll().where('flow_no', '=', no).where('id', '=', id),
)

export async function findDrop(db: Database, flowNo: number, id: string): Promise<DropRow | undefined> {
  return (await byId(db, { no: flowNo, id }))[0]
}

const byFhash = prepared<{ no: number; fhash: string }, DropRow>((db, { no, fhash }) =>
  db.selectFrom('things_drops').selectAll().where('flow_no', '=', no).where('fhash', '=', fhash),
)

export async function findDropByFhash(
  db: Database,
  flowNo: number,
  fhash: string,
): Promise<DropRow | undefined> {
  return (await byFhash(db, { no: flowNo, fhash }))[0]
}

export async function listDropsById(
  db: Database,
  flowNo: number,
  ids: readonly string[],
): Promise<DropRow[]> {
  return db
    .selectFrom('things_drops')
    .selectAll()
    .where('flow_no', '=', flowNo)
    .where('id', 'in', anyText(ids))
    .execute()
}

const before = prepared<{ no: number; seq: number; limit: number }, DropRow>((db, { no, seq, limit }) =>
  db
    .selectFrom('things_drops')
    .selectAll()
    .where('flow_no', '=', no)
    .where('seq', '<', seq)
    .orderBy('seq', 'desc')
    .limit(limit),
)

const after = prepared<{ no: number; seq: number; limit: number }, DropRow>((db, { no, seq, limit }) =>
  db
    .selectFrom('things_drops')
    .selectAll()
    .where('flow_no', '=', no)
    .where('seq', '>', seq)
    .orderBy('seq')
    .limit(limit),
)

/** Drops of a flow before or after a number, nearest first. */
export async function listDrops(
  db: Database,
  flowNo: number,
  from: { readonly before: number } | { readonly after: number },
  limit: number,
): Promise<readonly DropRow[]> {
  return 'before' in from
    ? before(db, { no: flowNo, seq: from.before, limit })
    : after(db, { no: flowNo, seq: from.after, limit })
}

export async function updateDrop(
  db: Database,
  { flow_no, seq }: Pick<DropRow, 'flow_no' | 'seq'>,
  changes: Pick<DropRow, 'drop_json' | 'fhash'>,
): Promise<void> {
  await db
    .updateTable('things_drops')
    .set(changes)
    .where('flow_no', '=', flow_no)
    .where('seq', '=', seq)
    .execute()
}

/** Deletes one drop, and counts that. */
export async function deleteDrop(
  db: Database,
  { flow_no, seq }: Pick<DropRow, 'flow_no' | 'seq'>,
): Promise<void> {
  await db.deleteFrom('things_drops').where('flow_no', '=', flow_no).where('seq', '=', seq).execute()
  await db
    .updateTable('things_flows')
    .set((set) => ({ drops: set('drops', '-', 1) }))
    .where('no', '=', flow_no)
    .execute()
}

/** Deletes all drops of a flow. */
export async function deleteDrops(db: Database, flowNo: number): Promise<void> {
  await db.deleteFrom('things_drops').where('flow_no', '=', flowNo).execute()
  await db.updateTable('things_flows').set({ drops: 0 }).where('no', '=', flowNo).execute()
}
