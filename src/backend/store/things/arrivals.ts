import type { Selectable } from 'kysely'
import type { Database, Tables } from '../db.ts'
import { prepared } from '../prepared.ts'

export type ArrivalRow = Selectable<Tables['things_arrivals']>

const last = prepared<object, { seq: number | null }>((db) =>
  db.selectFrom('things_arrivals').select(({ fn }) => fn.max<number | null>('seq').as('seq')),
)

/** The number of the newest arrival; 0 before the first one. */
export async function findLastArrival(db: Database): Promise<number> {
  return (await last(db, {}))[0]?.seq ?? 0
}

/** The arrivals after a number, ascending. */
export async function listArrivalsAfter(db: Database, after: number, limit: number): Promise<ArrivalRow[]> {
  return db
    .selectFrom('things_arrivals')
    .selectAll()
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit)
    .execute()
}

/** The number of the newest of the oldest `limit` arrivals that were stored before a time; undefined where there is none. */
export async function findOldArrival(
  db: Database,
  before: number,
  limit: number,
): Promise<number | undefined> {
  const { seq } = await db
    .selectFrom((query) =>
      query
        .selectFrom('things_arrivals')
        .select(['seq', 'stored_at', 'place_json'])
        .orderBy('seq')
        .limit(limit)
        .as('oldest'),
    )
    .select(({ fn }) => fn.max<number | null>('oldest.seq').as('seq'))
    .where('oldest.stored_at', '<', before)
    .where('oldest.place_json', '!=', '')
    .executeTakeFirstOrThrow()
  return seq ?? undefined
}

/** Deletes the arrivals up to a number. The newest one is emptied, because the next number follows from it. */
export async function deleteArrivals(db: Database, upTo: number): Promise<void> {
  const newest = await findLastArrival(db)
  await db
    .deleteFrom('things_arrivals')
    .where('seq', '<=', Math.min(upTo, newest - 1))
    .execute()
  if (newest > upTo) return
  await db
    .updateTable('things_arrivals')
    .set({ place_json: '', drop_json: '' })
    .where('seq', '=', newest)
    .execute()
}
