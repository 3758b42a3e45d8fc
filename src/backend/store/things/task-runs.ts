import { type Selectable, sql } from 'kysely'
import type { Database, Tables } from '../db.ts'
import { prepared } from '../prepared.ts'
import type { ObjectRow } from './objects.ts'

export type TaskRunRow = Selectable<Tables['things_task_runs']>
export type TaskLeaseRow = Omit<Selectable<Tables['things_task_lease']>, 'id'>

const lease = prepared<object, TaskLeaseRow>((db) =>
  db.selectFrom('things_task_lease').select(['instance', 'beat', 'changes']),
)

export async function findTaskLease(db: Database): Promise<TaskLeaseRow> {
  const [row] = await lease(db, {})
  if (row === undefined) throw new Error('The lease of tasks is not there')
  return row
}

/**
 * Changes the holder of the lease, and raises its beat.
 *
 * @param from who holds it now, and with a beat: at that beat
 * @returns whether it was so
 */
export async function updateTaskLease(
  db: Database,
  from: { readonly instance: string; readonly beat?: number },
  instance: string,
): Promise<boolean> {
  let update = db
    .updateTable('things_task_lease')
    .set((set) => ({ instance, beat: set('beat', '+', 1) }))
    .where('instance', '=', from.instance)
  if (from.beat !== undefined) update = update.where('beat', '=', from.beat)
  return (await update.returning('beat').executeTakeFirst()) !== undefined
}

/** Says that tasks have to be read again. */
export async function raiseTaskChanges(db: Database): Promise<void> {
  await db
    .updateTable('things_task_lease')
    .set((set) => ({ changes: set('changes', '+', 1) }))
    .execute()
}

/** The tasks of a kind, of all accounts, oldest first. @param after a number of objects */
export async function listTasks(
  db: Database,
  kind: string,
  after: number,
  limit: number,
): Promise<ObjectRow[]> {
  return db
    .selectFrom('things_objects')
    .selectAll()
    .where('kind', '=', kind)
    .where('no', '>', after)
    .orderBy('no')
    .limit(limit)
    .execute()
}

const byTask = prepared<{ id: string }, TaskRunRow>((db, { id }) =>
  db.selectFrom('things_task_runs').selectAll().where('task_id', '=', id),
)

export async function findTaskRun(db: Database, id: string): Promise<TaskRunRow | undefined> {
  return (await byTask(db, { id }))[0]
}

/** Inserts the row of a task, or changes the given columns. */
export async function putTaskRun(
  db: Database,
  id: string,
  columns: Partial<Omit<TaskRunRow, 'task_id'>>,
): Promise<void> {
  await db
    .insertInto('things_task_runs')
    .values({ task_id: id, ...columns })
    .onConflict((conflict) => conflict.column('task_id').doUpdateSet(columns))
    .execute()
}

const count = prepared<{ id: string; messages: number; refused: number; now: number }, never>(
  (db, { id, messages, refused, now }) =>
    db
      .insertInto('things_task_runs')
      .values({ task_id: id, messages, refused, last_run_at: now })
      .onConflict((conflict) =>
        conflict.column('task_id').doUpdateSet({
          messages: sql<number>`things_task_runs.messages + excluded.messages`,
          refused: sql<number>`things_task_runs.refused + excluded.refused`,
          last_run_at: sql<number>`excluded.last_run_at`,
        }),
      ),
)

/** Counts messages of a task. */
export async function countTaskMessages(
  db: Database,
  id: string,
  counts: { readonly messages: number; readonly refused: number },
  now: number,
): Promise<void> {
  await count(db, { id, ...counts, now })
}

export async function deleteTaskRun(db: Database, id: string): Promise<void> {
  await db.deleteFrom('things_task_runs').where('task_id', '=', id).execute()
  await deleteTaskPackets(db, id)
}

/** @returns whether it was not there */
export async function insertTaskPacket(db: Database, id: string, packetId: number): Promise<boolean> {
  const row = await db
    .insertInto('things_task_packets')
    .values({ task_id: id, packet_id: packetId })
    .onConflict((conflict) => conflict.columns(['task_id', 'packet_id']).doNothing())
    .returning('packet_id')
    .executeTakeFirst()
  return row !== undefined
}

export async function deleteTaskPacket(db: Database, id: string, packetId: number): Promise<void> {
  await db
    .deleteFrom('things_task_packets')
    .where('task_id', '=', id)
    .where('packet_id', '=', packetId)
    .execute()
}

export async function deleteTaskPackets(db: Database, id: string): Promise<void> {
  await db.deleteFrom('things_task_packets').where('task_id', '=', id).execute()
}
