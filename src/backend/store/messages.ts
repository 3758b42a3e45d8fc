import { type Selectable, sql } from 'kysely'
import { anyOf, type Database, type Tables } from './db.ts'

export type MessageRow = Selectable<Tables['messages']>

/** Everything of a message but the numbers the store gives it. */
export type NewMessage = Omit<MessageRow, 'seq' | 'id' | 'reactions_json'>

export interface MessageBrowse {
  readonly events?: readonly string[]
  /** Exclusive. */
  readonly sinceId?: number
  /** Exclusive. */
  readonly untilId?: number
  /** Which end of the matches to take: the newest (`desc`) or the oldest (`asc`). */
  readonly sort: 'asc' | 'desc'
  readonly limit: number
  readonly threadId?: string
}

export interface MessageSearch {
  readonly events?: readonly string[]
  readonly words: readonly string[]
  readonly tags: readonly string[]
  readonly tagMode: 'and' | 'or'
  /** How many of the newest matches to leave out. */
  readonly skip: number
  readonly limit: number
  readonly threadId?: string
}

/**
 * What happened to messages and people rather than what was said: told on streams, listed only when asked for by
 * name.
 */
const serviceEvents = [
  'tag-change',
  'message-edit',
  'message-delete',
  'thread-change',
  'emoji-reaction',
  'user-edit',
  'backend.user.join',
  'backend.user.block',
]

/** Whether somebody said this, rather than did it: it can be tagged, edited and deleted. */
export function isContent(message: MessageRow): boolean {
  return message.event !== 'action' && !serviceEvents.includes(message.event)
}

/** Gives out the next message id of a channel. */
export async function nextMessageId(db: Database, channelId: number): Promise<number> {
  const { last_id: id } = await db
    .updateTable('channels')
    .set((set) => ({ last_id: set('last_id', '+', 1) }))
    .where('id', '=', channelId)
    .returning('last_id')
    .executeTakeFirstOrThrow()
  return id
}

/** @param words what a search finds it by, see `searchWords` */
export async function insertMessage(
  db: Database,
  message: NewMessage & { id: number },
  words: readonly string[],
): Promise<MessageRow> {
  const row = await db.insertInto('messages').values(message).returningAll().executeTakeFirstOrThrow()
  await insertTags(db, row)
  if (words.length > 0) await insertWords(db, row.seq, words)
  return row
}

/** Writes the changed columns; the tag and word indexes follow. */
export async function updateMessage(
  db: Database,
  message: MessageRow,
  words: readonly string[],
): Promise<void> {
  const { seq, id, channel_id, ...columns } = message
  await db.updateTable('messages').set(columns).where('seq', '=', seq).execute()
  await db.deleteFrom('message_tags').where('seq', '=', seq).execute()
  await insertTags(db, message)
  await db.deleteFrom('message_words').where('rowid', '=', seq).execute()
  if (words.length > 0) await insertWords(db, seq, words)
}

export async function deleteMessage(db: Database, message: MessageRow): Promise<void> {
  await db.deleteFrom('message_tags').where('seq', '=', message.seq).execute()
  await db.deleteFrom('message_words').where('rowid', '=', message.seq).execute()
  await db.deleteFrom('messages').where('seq', '=', message.seq).execute()
}

export async function findMessage(
  db: Database,
  channelId: number,
  id: number,
): Promise<MessageRow | undefined> {
  return db
    .selectFrom('messages')
    .selectAll()
    .where('channel_id', '=', channelId)
    .where('id', '=', id)
    .executeTakeFirst()
}

export async function findMessageByUuid(
  db: Database,
  channelId: number,
  userId: number,
  uuid: string,
): Promise<MessageRow | undefined> {
  return db
    .selectFrom('messages')
    .selectAll()
    .where('channel_id', '=', channelId)
    .where('user_id', '=', userId)
    .where('uuid', '=', uuid)
    .executeTakeFirst()
}

export async function setReactions(db: Database, seq: number, reactions: string): Promise<void> {
  await db.updateTable('messages').set({ reactions_json: reactions }).where('seq', '=', seq).execute()
}

export async function moveToThread(db: Database, seq: number, threadId: string): Promise<void> {
  await db.updateTable('messages').set({ thread_id: threadId }).where('seq', '=', seq).execute()
}

/** The matches between the two ids, ascending. */
export async function browseMessages(
  db: Database,
  channelId: number,
  browse: MessageBrowse,
): Promise<MessageRow[]> {
  let query = db.selectFrom('messages').selectAll().where('channel_id', '=', channelId)
  if (browse.threadId !== undefined) query = query.where('thread_id', '=', browse.threadId)
  query = browse.events
    ? query.where('event', 'in', anyOf(browse.events))
    : query.where('event', 'not in', anyOf(serviceEvents))
  if (browse.sinceId !== undefined) query = query.where('id', '>', browse.sinceId)
  if (browse.untilId !== undefined) query = query.where('id', '<', browse.untilId)
  const rows = await query.orderBy('id', browse.sort).limit(browse.limit).execute()
  return browse.sort === 'asc' ? rows : rows.reverse()
}

/** Messages that have all the words, united with those that have the tags; the newest of them, ascending. */
export async function searchMessages(
  db: Database,
  channelId: number,
  search: MessageSearch,
): Promise<MessageRow[]> {
  const byWords = db
    .selectFrom('message_words')
    .select('rowid as seq')
    .where(sql<boolean>`message_words match ${search.words.map((word) => `"${word}"`).join(' ')}`)
  const byTags = db
    .selectFrom('message_tags')
    .select('seq')
    .where('channel_id', '=', channelId)
    .where('tag', 'in', anyOf(search.tags))
    .groupBy('seq')
    .having((having) => having.fn.countAll(), '>=', search.tagMode === 'and' ? search.tags.length : 1)
  let query = db
    .selectFrom('messages')
    .selectAll()
    .where('channel_id', '=', channelId)
    .where((where) =>
      where.or([
        ...(search.words.length > 0 ? [where('seq', 'in', byWords)] : []),
        ...(search.tags.length > 0 ? [where('seq', 'in', byTags)] : []),
      ]),
    )
  if (search.events) query = query.where('event', 'in', anyOf(search.events))
  if (search.threadId !== undefined) query = query.where('thread_id', '=', search.threadId)
  const rows = await query.orderBy('id', 'desc').limit(search.limit).offset(search.skip).execute()
  return rows.reverse()
}

/**
 * The words of a text as the index keeps them: lower case, Chinese, Japanese and Korean characters one by one.
 * A query goes through the same function.
 */
export function searchWords(text: string): string[] {
  return [
    ...text
      .toLowerCase()
      .matchAll(
        /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}])[\p{L}\p{M}\p{N}_])+/gu,
      ),
  ].map((match) => match[0])
}

async function insertTags(db: Database, message: MessageRow): Promise<void> {
  const tags = new Set((JSON.parse(message.tags_json) as string[]).map((tag) => tag.toLowerCase()))
  if (tags.size === 0) return
  const rows = [...tags].map((tag) => ({ channel_id: message.channel_id, tag, seq: message.seq }))
  await db.insertInto('message_tags').values(rows).execute()
}

async function insertWords(db: Database, seq: number, words: readonly string[]): Promise<void> {
  await db
    .insertInto('message_words')
    .values({ rowid: seq, words: words.join(' ') })
    .execute()
}
