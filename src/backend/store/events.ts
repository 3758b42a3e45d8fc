import type { Selectable } from 'kysely'
import { anyOf, type Database, type Tables } from './db.ts'

export type EventRow = Selectable<Tables['events']>

/** What one stream may be told: the events of these flows and those for this user. */
export interface EventScope {
  readonly flowIds: readonly string[]
  readonly userId: number | null
}

export async function insertEvent(
  db: Database,
  event: { flow_id: string | null; user_id: number | null; payload: string },
): Promise<EventRow> {
  return db
    .insertInto('events')
    .values({ ...event, created_at: Date.now() })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** The events of a scope with `after < seq`, ascending. */
export async function listEvents(
  db: Database,
  scope: EventScope,
  after: number,
  limit: number,
): Promise<EventRow[]> {
  return db
    .selectFrom('events')
    .selectAll()
    .where('seq', '>', after)
    .where((where) =>
      where.or([
        where('flow_id', 'in', anyOf(scope.flowIds)),
        ...(scope.userId === null ? [] : [where('user_id', '=', scope.userId)]),
      ]),
    )
    .orderBy('seq')
    .limit(limit)
    .execute()
}

/** The events numbered between the two, both exclusive, ascending. */
export async function listEventsBetween(db: Database, after: number, before: number): Promise<EventRow[]> {
  return db
    .selectFrom('events')
    .selectAll()
    .where('seq', '>', after)
    .where('seq', '<', before)
    .orderBy('seq')
    .execute()
}

/** The number of the newest event; 0 when there is none. */
export async function lastEventSeq(db: Database): Promise<number> {
  const row = await db
    .selectFrom('events')
    .select((select) => select.fn.max('seq').as('seq'))
    .executeTakeFirst()
  return row?.seq ?? 0
}
