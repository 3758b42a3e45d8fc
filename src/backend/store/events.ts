import { randomBytes } from 'node:crypto'
import { type ExpressionBuilder, type Selectable, sql } from 'kysely'
import { anyText, type Database, type Tables } from './db.ts'
import { fingerprintColumn } from './fingerprint.ts'
import { prepared } from './prepared.ts'
import type { NewEvent } from './writing.ts'

export type EventRow = Selectable<Tables['events']>

/** What a stream may deliver: the events of these flows, and the events for this user. */
export interface EventScope {
  readonly flowIds: readonly string[]
  readonly userId: number | null
}

/** The `kind` of events. */
const kinds = { public: 0, control: 1 } as const

/** Whether an event is a control event, which no client of Flowdock's API receives. */
export function isControlEvent({ kind }: Pick<EventRow, 'kind'>): boolean {
  return kind === kinds.control
}

/** An event that is stored and delivered at the end of its transaction. */
export function newEvent(event: Pick<NewEvent, 'flow_id' | 'user_id' | 'payload'>): NewEvent {
  return { ...event, created_at: Date.now(), kind: kinds.public }
}

/** The same for a control event. */
export function newControlEvent(event: Pick<NewEvent, 'flow_id' | 'user_id' | 'payload'>): NewEvent {
  return { ...event, created_at: Date.now(), kind: kinds.control }
}

/** The events of a scope with `after < seq`, ascending. Control events are left out. */
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
    .where('kind', '=', kinds.public)
    .where((where) =>
      where.or([
        where('flow_id', 'in', anyText(scope.flowIds)),
        ...(scope.userId === null ? [] : [where('user_id', '=', scope.userId)]),
      ]),
    )
    .orderBy('seq')
    .limit(limit)
    .execute()
}

const flowEvents = prepared<
  { flow: string; after: number; limit: number },
  Pick<EventRow, 'payload' | 'kind'>
>((db, { flow, after, limit }) =>
  db
    .selectFrom('events')
    .select(['payload', 'kind'])
    .where('flow_id', '=', flow)
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit),
)

/** The events of a flow after a number, ascending; control events are among them. */
export async function listFlowEvents(
  db: Database,
  flowId: string,
  after: number,
  limit: number,
): Promise<readonly Pick<EventRow, 'payload' | 'kind'>[]> {
  return flowEvents(db, { flow: flowId, after, limit })
}

/** The events after a number, ascending; control events are among them. */
export async function listEventsAfter(db: Database, after: number, limit: number): Promise<EventRow[]> {
  return db.selectFrom('events').selectAll().where('seq', '>', after).orderBy('seq').limit(limit).execute()
}

/** The number of the oldest event in the log; 1 when there never was an event. */
export async function firstEventSeq(db: Database): Promise<number> {
  const row = await db
    .selectFrom('events')
    .select((select) => select.fn.min('seq').as('seq'))
    .executeTakeFirst()
  return row?.seq ?? 1
}

/**
 * Deletes at most `most` events that are older than a time, the oldest first. The newest event stays, because the next number
 * follows it.
 *
 * @returns the number of deleted events
 */
export async function dropEvents(db: Database, before: number, most: number): Promise<number> {
  const oldest = await db
    .selectFrom('events')
    .select(['seq', 'created_at'])
    .orderBy('seq')
    .limit(most + 1)
    .execute()
  const dropped = oldest.slice(0, -1).filter(({ created_at }) => created_at < before)
  const last = dropped.at(-1)
  if (last !== undefined) await db.deleteFrom('events').where('seq', '<=', last.seq).execute()
  return dropped.length
}

/** The number of the newest event; 0 when there is none. */
export async function lastEventSeq(db: Database): Promise<number> {
  const row = await db
    .selectFrom('events')
    .select((select) => select.fn.max('seq').as('seq'))
    .executeTakeFirst()
  return row?.seq ?? 0
}

/** Where the log begins and ends, at one moment. */
export interface LogPosition {
  /** The id of the log. */
  readonly id: string
  /** The number of the oldest event; 1 when there never was one. */
  readonly first: number
  /** The number of the newest event; 0 when there is none. */
  readonly last: number
  /** The fingerprint of the newest event; null when there is none. */
  readonly fingerprint: string | null
}

type LogExpressions = ExpressionBuilder<Tables, 'event_log'>

/** The number of the oldest event; 1 when there never was one. */
function oldestSeq({ fn, selectFrom, val }: LogExpressions) {
  return fn.coalesce(
    selectFrom('events').select((event) => event.fn.min<number>('seq').as('seq')),
    val(1),
  )
}

/** The number of the newest event, of the log or of one flow; 0 when there is none. */
function newestSeq({ fn, selectFrom, val }: LogExpressions, flowId?: string) {
  const newest = selectFrom('events').select((event) => event.fn.max<number>('seq').as('seq'))
  return fn.coalesce(flowId === undefined ? newest : newest.where('flow_id', '=', flowId), val(0))
}

const logPosition = prepared<object, LogPosition>((db) =>
  db.selectFrom('event_log').select((log) => [
    'event_log.id',
    oldestSeq(log).as('first'),
    newestSeq(log).as('last'),
    log
      .selectFrom('events')
      .select(sql<string>`${sql.raw(fingerprintColumn)}`.as('fingerprint'))
      .orderBy('seq', 'desc')
      .limit(1)
      .as('fingerprint'),
  ]),
)

export async function findLogPosition(db: Database): Promise<LogPosition> {
  return (await logPosition(db, {}))[0] as LogPosition
}

const logEnd = prepared<object, Pick<LogPosition, 'id' | 'last'>>((db) =>
  db.selectFrom('event_log').select((log) => ['event_log.id', newestSeq(log).as('last')]),
)

/** The id of the log, and the number of its newest event. */
export async function findLogEnd(db: Database): Promise<Pick<LogPosition, 'id' | 'last'>> {
  return (await logEnd(db, {}))[0] as Pick<LogPosition, 'id' | 'last'>
}

/** Where the log begins and ends, and the number of the newest event of one flow; 0 when there is none. */
export type LogChanges = Omit<LogPosition, 'fingerprint'> & { readonly newest: number }

const logChanges = prepared<{ flow: string }, LogChanges>((db, { flow }) =>
  db
    .selectFrom('event_log')
    .select((log) => [
      'event_log.id',
      oldestSeq(log).as('first'),
      newestSeq(log).as('last'),
      newestSeq(log, flow).as('newest'),
    ]),
)

export async function findLogChanges(db: Database, flowId: string): Promise<LogChanges> {
  return (await logChanges(db, { flow: flowId }))[0] as LogChanges
}

/** Gives the log another id, unless it is not `id` any more: numbers of events may stand for other events than before. */
export async function replaceLogId(db: Database, id: string): Promise<void> {
  const next = randomBytes(16).toString('hex')
  await db.updateTable('event_log').set({ id: next }).where('id', '=', id).execute()
}
