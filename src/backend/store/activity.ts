import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Database } from './db.ts'
import { serviceEvents } from './messages.ts'

/** The messages that one slice counts: that takes about 10 ms. */
const sliceLength = 2000
/** The most groups in all buckets together: a response of a few megabytes. */
export const maxGroups = 20_000

export class TooManyGroupsError extends Error {
  override readonly name = 'TooManyGroupsError'
}

/** What to count messages by. */
export type ActivityGroup = 'author' | 'kind' | 'tag' | 'source'

export interface ActivityQuery {
  /** Milliseconds, inclusive. */
  readonly since: number
  /** Milliseconds, exclusive. */
  readonly until: number
  /** How long a bucket is, and how far from the epoch the first one would begin, in milliseconds. */
  readonly bucketMs: number
  readonly offsetMs: number
}

/** The number of messages in a bucket. Buckets are numbered from 0. */
export interface BucketCount {
  readonly bucket: number
  readonly count: number
}

/** One group in a bucket. Members that the query does not group by are null. */
export interface GroupCount extends BucketCount {
  readonly user_id: number | null
  readonly external_user_name: string | null
  readonly author_json: string | null
  readonly event: string | null
  readonly tag: string | null
  readonly source_id: number | null
}

/** Counts the messages that users and integrations wrote. */
export async function countMessages(
  db: Database,
  channelId: number,
  query: ActivityQuery,
): Promise<BucketCount[]> {
  const merged = new Map<number, BucketCount>()
  for await (const slice of slices(db, channelId, query)) {
    const rows = await counts(db, channelId, slice, query).execute()
    for (const { bucket, count } of rows)
      merged.set(bucket, { bucket, count: count + (merged.get(bucket)?.count ?? 0) })
  }
  return [...merged.values()]
}

/**
 * Counts the messages of each group in each bucket. A message with several tags counts once for each tag.
 *
 * @throws TooManyGroupsError past `maxGroups`
 */
export async function countGroups(
  db: Database,
  channelId: number,
  by: ActivityGroup,
  query: ActivityQuery,
): Promise<GroupCount[]> {
  const merged = new Map<string, GroupCount>()
  for await (const slice of slices(db, channelId, query)) {
    for (const { count, ...group } of await countSlice(db, channelId, by, slice, query)) {
      const key = JSON.stringify(group)
      merged.set(key, { ...group, count: count + (merged.get(key)?.count ?? 0) })
    }
    if (merged.size > maxGroups) throw new TooManyGroupsError()
  }
  return [...merged.values()]
}

async function countSlice(
  db: Database,
  channelId: number,
  group: ActivityGroup,
  slice: IdRange,
  query: ActivityQuery,
): Promise<GroupCount[]> {
  const counted = counts(db, channelId, slice, query)
  const blank = {
    user_id: null,
    external_user_name: null,
    author_json: null,
    event: null,
    tag: null,
    source_id: null,
  }
  switch (group) {
    case 'author': {
      const columns = ['messages.user_id', 'messages.external_user_name', 'messages.author_json'] as const
      const rows = await counted.select(columns).groupBy(columns).execute()
      return rows.map((row) => ({ ...blank, ...row }))
    }
    case 'kind': {
      const rows = await counted.select('messages.event').groupBy('messages.event').execute()
      return rows.map((row) => ({ ...blank, ...row }))
    }
    case 'tag': {
      const rows = await counted
        .innerJoin('message_tags', 'message_tags.seq', 'messages.seq')
        // Tags with a colon are set by the server, for mentions and links.
        .where('message_tags.tag', 'not like', ':%')
        .where('message_tags.tag', 'not like', 'influx:%')
        .select('message_tags.tag')
        .groupBy('message_tags.tag')
        .execute()
      return rows.map((row) => ({ ...blank, ...row }))
    }
    case 'source': {
      const rows = await counted
        .leftJoin('threads', 'threads.id', 'messages.thread_id')
        .select('threads.source_id')
        .groupBy('threads.source_id')
        .execute()
      return rows.map((row) => ({ ...blank, ...row }))
    }
  }
}

/** The `seq` of the first message, and of the message after the last one. */
interface IdRange {
  readonly first: number
  readonly end: number
}

/** Splits the messages of a period into slices of a few thousand. Between two slices the thread does other work. */
async function* slices(
  db: Database,
  channelId: number,
  { since, until }: ActivityQuery,
): AsyncGenerator<IdRange> {
  const first = await firstIdAt(db, channelId, since)
  const end = await firstIdAt(db, channelId, until)
  for (let id = first; id < end; id += sliceLength) {
    yield { first: id, end: Math.min(id + sliceLength, end) }
    await setImmediate()
  }
}

function counts(db: Database, channelId: number, { first, end }: IdRange, query: ActivityQuery) {
  return db
    .selectFrom('messages')
    .where('messages.channel_id', '=', channelId)
    .where('messages.id', '>=', first)
    .where('messages.id', '<', end)
    .where('messages.event', 'not in', ['action', ...serviceEvents])
    .where('messages.deleted_at', 'is', null)
    .select((select) => [bucketOf(query).as('bucket'), select.fn.countAll<number>().as('count')])
    .groupBy('bucket')
}

/** Written into the SQL text, integers divide to integers; bound as parameters, they would not. */
function bucketOf({ bucketMs, offsetMs }: ActivityQuery) {
  return sql<number>`(messages.sent - ${sql.lit(offsetMs)}) / ${sql.lit(bucketMs)}`
}

/** The `seq` of the first message that was sent at this time or later, by binary search: `seq` grows with time. */
async function firstIdAt(db: Database, channelId: number, time: number): Promise<number> {
  const { last_id: last } = await db
    .selectFrom('channels')
    .select('last_id')
    .where('id', '=', channelId)
    .executeTakeFirstOrThrow()
  let low = 0
  let high = last + 1
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const message = await db
      .selectFrom('messages')
      .select(['id', 'sent'])
      .where('channel_id', '=', channelId)
      .where('id', '>=', middle)
      .orderBy('id')
      .limit(1)
      .executeTakeFirst()
    if (message === undefined || message.sent >= time) high = middle
    else low = message.id + 1
  }
  return low
}
