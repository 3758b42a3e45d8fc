import type { Selectable } from 'kysely'
import { anyOf, type Database, type Tables } from './db.ts'

export type ThreadRow = Selectable<Tables['threads']>

export interface ThreadPage {
  /** Only threads updated after this time, exclusive. */
  readonly since?: number
  /** Only threads updated before this time, exclusive. */
  readonly until?: number
  /** `chat` for threads without a source, `inbox` for those with one, or an application's id. */
  readonly application?: string
  /** Threads whose messages are all gone are listed too. */
  readonly empty?: boolean
  readonly limit: number
}

export async function findThread(db: Database, id: string): Promise<ThreadRow | undefined> {
  return db.selectFrom('threads').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function findExternalThread(
  db: Database,
  sourceId: number,
  externalThreadId: string,
): Promise<ThreadRow | undefined> {
  return db
    .selectFrom('threads')
    .selectAll()
    .where('source_id', '=', sourceId)
    .where('external_thread_id', '=', externalThreadId)
    .executeTakeFirst()
}

export async function findThreads(db: Database, ids: readonly string[]): Promise<ThreadRow[]> {
  if (ids.length === 0) return []
  return db.selectFrom('threads').selectAll().where('id', 'in', anyOf<string>(ids)).execute()
}

/** The most recently updated threads of a channel, newest first. */
export async function listThreads(db: Database, channelId: number, page: ThreadPage): Promise<ThreadRow[]> {
  let query = db.selectFrom('threads').selectAll('threads').where('threads.channel_id', '=', channelId)
  if (page.since !== undefined) query = query.where('threads.updated_at', '>', page.since)
  if (page.until !== undefined) query = query.where('threads.updated_at', '<', page.until)
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
  return query.orderBy('threads.updated_at', 'desc').orderBy('threads.id', 'desc').limit(page.limit).execute()
}

export async function insertThread(db: Database, thread: ThreadRow): Promise<void> {
  await db.insertInto('threads').values(thread).execute()
}

export async function updateThread(
  db: Database,
  id: string,
  changes: Partial<Omit<ThreadRow, 'id'>>,
): Promise<void> {
  if (Object.keys(changes).length > 0)
    await db.updateTable('threads').set(changes).where('id', '=', id).execute()
}

/** Counts a thread's messages anew, after some came or went otherwise than by being sent. */
export async function recountThread(db: Database, id: string): Promise<void> {
  const rows = await db
    .selectFrom('messages')
    .select((select) => [
      'event' as const,
      select.fn.countAll<number>().as('count'),
      select.fn.min('id').as('first'),
    ])
    .where('thread_id', '=', id)
    .groupBy('event')
    .execute()
  const count = (matches: (event: string) => boolean) =>
    rows.filter(({ event }) => matches(event)).reduce((sum, row) => sum + row.count, 0)
  await updateThread(db, id, {
    activities: count((event) => event === 'activity'),
    external_comments: count((event) => event === 'discussion'),
    internal_comments: count((event) => event !== 'activity' && event !== 'discussion'),
    initial_message: rows.length === 0 ? null : Math.min(...rows.map(({ first }) => first)),
  })
}
