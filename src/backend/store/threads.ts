import { type Selectable, sql } from 'kysely'
import { type Database, isPostgres, jsonTexts, type Tables, textsIn } from './db.ts'
import { findSavedThread, saveThread } from './message-batch.ts'
import { prepared } from './prepared.ts'

export type ThreadRow = Selectable<Tables['threads']>

/** A position in the list of threads. The id orders threads with the same time. */
export interface ThreadPosition {
  readonly updatedAt: number
  readonly id: string
}

export interface ThreadPage {
  /** Only threads updated after this time, exclusive. */
  readonly since?: number | undefined
  /** Only threads updated before this time, exclusive. */
  readonly until?: number | undefined
  /** Only threads after this position in the list. The thread of the position may have moved since. */
  readonly after?: ThreadPosition | undefined
  /** `chat` for threads without a source, `inbox` for those with one, or an application's id. */
  readonly application?: string | undefined
  /** Whether to list threads without messages, too. */
  readonly empty?: boolean
  readonly limit: number
}

const byId = prepared<{ id: string }, ThreadRow>(
  (db, { id }) => db.selectFrom('threads').selectAll().where('id', '=', id),
  { isBesideBatches: true },
)

export async function findThread(db: Database, id: string): Promise<ThreadRow | undefined> {
  return findSavedThread(db, id) ?? (await byId(db, { id }))[0]
}

const byExternalId = prepared<{ source: number; externalId: string }, ThreadRow>(
  (db, { source, externalId }) =>
    db
      .selectFrom('threads')
      .selectAll()
      .where('source_id', '=', source)
      .where('external_thread_id', '=', externalId),
  { isBesideBatches: true },
)

export async function findExternalThread(
  db: Database,
  sourceId: number,
  externalThreadId: string,
): Promise<ThreadRow | undefined> {
  const saved = findSavedThread(
    db,
    (thread) => thread.source_id === sourceId && thread.external_thread_id === externalThreadId,
  )
  return saved ?? (await byExternalId(db, { source: sourceId, externalId: externalThreadId }))[0]
}

const byIds = prepared<{ ids: string }, ThreadRow>((db, { ids }) =>
  db.selectFrom('threads').selectAll().where('id', 'in', textsIn(ids)),
)

export async function findThreads(db: Database, ids: readonly string[]): Promise<readonly ThreadRow[]> {
  return ids.length === 0 ? [] : byIds(db, { ids: jsonTexts(ids) })
}

interface Updated {
  readonly channel: number
  /** Exclusive, both. */
  readonly since: number
  readonly until: number
}

function threadsUpdated(db: Database, { channel, since, until }: Updated) {
  return db
    .selectFrom('threads')
    .selectAll('threads')
    .where('threads.channel_id', '=', channel)
    .where('threads.updated_at', '>', since)
    .where('threads.updated_at', '<', until)
}

/** Ids are ASCII and compared by bytes, so both databases and API clients order them in the same way. */
function orderedId(db: Database) {
  return isPostgres(db) ? sql<string>`threads.id collate "C"` : sql<string>`threads.id`
}

const withMessages = prepared<Updated & { limit: number }, ThreadRow>((db, updated) =>
  threadsUpdated(db, updated)
    .where('threads.initial_message', 'is not', null)
    .orderBy('threads.updated_at', 'desc')
    .orderBy(orderedId(db), 'desc')
    .limit(updated.limit),
)

/** The threads of a channel, the latest update first; threads with the same time by descending id. */
export async function listThreads(
  db: Database,
  channel: number,
  page: ThreadPage,
): Promise<readonly ThreadRow[]> {
  const { since = Number.MIN_SAFE_INTEGER, until = Number.MAX_SAFE_INTEGER, limit } = page
  if (page.after === undefined && page.application === undefined && page.empty !== true)
    return withMessages(db, { channel, since, until, limit })
  let query = threadsUpdated(db, { channel, since, until })
  const id = orderedId(db)
  if (page.after !== undefined) {
    const { after } = page
    query = query
      .where('threads.updated_at', '<=', after.updatedAt)
      .where((where) =>
        where.or([where('threads.updated_at', '<', after.updatedAt), where(id, '<', after.id)]),
      )
  }
  if (page.application === 'chat') query = query.where('threads.source_id', 'is', null)
  else if (page.application === 'inbox') query = query.where('threads.source_id', 'is not', null)
  else if (page.application !== undefined) {
    const sources = db
      .selectFrom('sources')
      .select('id')
      .where('application_id', '=', Number(page.application))
    query = query.where('threads.source_id', 'in', sources)
  }
  if (page.empty !== true) query = query.where('threads.initial_message', 'is not', null)
  return query.orderBy('threads.updated_at', 'desc').orderBy(id, 'desc').limit(limit).execute()
}

export function insertThread(db: Database, thread: ThreadRow): void {
  saveThread(db, thread, true)
}

/** Updates the state, the counts and the time of a thread after a message. */
export function countInThread(db: Database, thread: ThreadRow): void {
  saveThread(db, thread, false)
}

export async function updateThread(
  db: Database,
  id: string,
  changes: Partial<Omit<ThreadRow, 'id'>>,
): Promise<void> {
  if (Object.keys(changes).length > 0)
    await db.updateTable('threads').set(changes).where('id', '=', id).execute()
}

/** Counts a thread's messages again, after messages were moved, deleted or imported. */
export async function recountThread(db: Database, id: string): Promise<void> {
  const rows = await db
    .selectFrom('messages')
    .select((select) => [
      'event' as const,
      select.fn.countAll<number>().filterWhere('deleted_at', 'is', null).as('counted'),
      select.fn.min('id').as('first'),
    ])
    .where('thread_id', '=', id)
    .groupBy('event')
    .execute()
  const total = (matches: (event: string) => boolean) =>
    rows.filter(({ event }) => matches(event)).reduce((sum, row) => sum + row.counted, 0)
  await updateThread(db, id, {
    activities: total((event) => event === 'activity'),
    external_comments: total((event) => event === 'discussion'),
    internal_comments: total((event) => event !== 'activity' && event !== 'discussion'),
    initial_message: rows.length === 0 ? null : Math.min(...rows.map(({ first }) => first)),
  })
}
