import type { Database } from '../db.ts'

export const hourMs = 3600_000
/** The number of rows in one statement, which has a limit of parameters. */
const rowsAtOnce = 500

/** Adds one at each of several times, to an object that has no counts of this kind. */
export async function addCounts(
  db: Database,
  kind: string,
  id: string,
  times: readonly number[],
): Promise<void> {
  const counts = new Map<number, number>()
  for (const time of times) {
    const hour = Math.floor(time / hourMs)
    counts.set(hour, (counts.get(hour) ?? 0) + 1)
  }
  const rows = [...counts].map(([hour, count]) => ({ kind, object_id: id, hour, count }))
  for (let from = 0; from < rows.length; from += rowsAtOnce)
    await db
      .insertInto('things_counts')
      .values(rows.slice(from, from + rowsAtOnce))
      .execute()
}

/** The counts of the hours from a time to another, exclusive, each with the start of its hour. */
export async function listCounts(
  db: Database,
  kind: string,
  id: string,
  from: number,
  to: number,
): Promise<{ readonly time: number; readonly count: number }[]> {
  const rows = await db
    .selectFrom('things_counts')
    .select(['hour', 'count'])
    .where('kind', '=', kind)
    .where('object_id', '=', id)
    .where('hour', '>=', Math.floor(from / hourMs))
    .where('hour', '<', Math.ceil(to / hourMs))
    .orderBy('hour')
    .execute()
  return rows.map(({ hour, count }) => ({ time: hour * hourMs, count }))
}
