import type { Selectable } from 'kysely'
import { anyNumber, type Database, type Tables } from './db.ts'
import { addMessage, addTags, addWords, findAdded } from './message-batch.ts'
import { prepared } from './prepared.ts'

export type MessageRow = Selectable<Tables['messages']>

/** A message without the ids that the store assigns. */
export type NewMessage = Omit<MessageRow, 'seq' | 'id' | 'reactions_json'>

export interface MessageBrowse {
  readonly events?: readonly string[] | undefined
  /** Exclusive. */
  readonly sinceId?: number | undefined
  /** Exclusive. */
  readonly untilId?: number | undefined
  /** Which end of the matches to take: the newest (`desc`) or the oldest (`asc`). */
  readonly sort: 'asc' | 'desc'
  readonly limit: number
  readonly threadId?: string | undefined
}

/**
 * The kinds that report changes of messages and users. Streams deliver them; lists have them only when their kind is requested.
 */
export const serviceEvents = [
  'tag-change',
  'message-edit',
  'message-delete',
  'thread-change',
  'emoji-reaction',
  'user-edit',
  'backend.user.join',
  'backend.user.block',
]

/** No list names more kinds of message than there are. */
const maxKinds = 50
/** The full-text search of PostgreSQL rejects words longer than 2 KB. */
const maxWordLength = 250

/** Whether a kind reports a change, so that lists leave it out. */
export function isServiceEvent(event: string): boolean {
  return serviceEvents.includes(event)
}

/** Whether a message has content of its own, so that it can be tagged, edited and deleted. */
export function isContent(message: MessageRow): boolean {
  return message.event !== 'action' && !isServiceEvent(message.event)
}

/** Writes to the database without changing anything. @throws the error of any failed write */
export async function tryWriting(db: Database): Promise<void> {
  await db
    .updateTable('channels')
    .set(({ ref }) => ({ last_id: ref('last_id') }))
    .where('id', '=', ({ selectFrom }) => selectFrom('channels').select(({ fn }) => fn.min('id').as('id')))
    .execute()
}

/** @param words the words for the search index, see `searchWords` */
export async function insertMessage(
  db: Database,
  message: NewMessage & { id: number },
  words: readonly string[],
): Promise<MessageRow> {
  return importMessage(db, { ...message, reactions_json: '{}' }, words)
}

/** Inserts an imported message with the id that it had on the other server; see `raiseMessageId`. */
export async function importMessage(
  db: Database,
  message: Omit<MessageRow, 'seq'>,
  words: readonly string[],
): Promise<MessageRow> {
  const seq = await addMessage(db, message)
  const inserted = { seq, ...message }
  insertWords(db, inserted, words)
  insertTags(db, inserted)
  return inserted
}

/** Makes sure that the next message id of a channel is greater than `id`. */
export async function raiseMessageId(db: Database, channelId: number, id: number): Promise<void> {
  await db
    .updateTable('channels')
    .set({ last_id: id })
    .where('id', '=', channelId)
    .where('last_id', '<', id)
    .execute()
}

/** Those of these messages that exist. */
export async function listMessagesById(
  db: Database,
  channelId: number,
  ids: readonly number[],
): Promise<MessageRow[]> {
  return db
    .selectFrom('messages')
    .selectAll()
    .where('channel_id', '=', channelId)
    .where('id', 'in', anyNumber(ids))
    .execute()
}

/** Writes the changed columns, and updates the tag and word indexes. */
export async function updateMessage(
  db: Database,
  message: MessageRow,
  words: readonly string[],
): Promise<void> {
  const { seq, id, channel_id, ...columns } = message
  await db.updateTable('messages').set(columns).where('seq', '=', seq).execute()
  await db.deleteFrom('message_tags').where('seq', '=', seq).execute()
  insertTags(db, message)
  await db.deleteFrom('message_words').where('rowid', '=', seq).execute()
  insertWords(db, message, words)
}

/** Deletes everything of a message except its id, sender and time. */
export async function emptyMessageRow(
  db: Database,
  message: MessageRow,
  emptied: { readonly content_json: string; readonly tags_json: string; readonly deletedAt: number },
): Promise<MessageRow> {
  const { content_json, tags_json, deletedAt } = emptied
  const row = {
    ...message,
    content_json,
    tags_json,
    edited: deletedAt,
    deleted_at: deletedAt,
    reactions_json: '{}',
  }
  await updateMessage(db, row, [])
  return row
}

/** The edits of a message, as the stream delivered them. */
export async function listEdits(db: Database, channelId: number, messageId: number): Promise<MessageRow[]> {
  return db
    .selectFrom('messages')
    .selectAll()
    .where('channel_id', '=', channelId)
    .where('event', 'in', ['message-edit', 'tag-change'])
    .where('id', '>', messageId)
    .where('content_json', 'like', `{"message":${messageId},%`)
    .execute()
}

/** The comments on a message. */
export async function listComments(
  db: Database,
  channelId: number,
  messageId: number,
): Promise<MessageRow[]> {
  return db
    .selectFrom('message_tags')
    .innerJoin('messages', 'messages.seq', 'message_tags.seq')
    .selectAll('messages')
    .where('message_tags.channel_id', '=', channelId)
    .where('message_tags.tag', '=', `influx:${messageId}`)
    .where('messages.event', '=', 'comment')
    .execute()
}

export async function setContent(db: Database, seq: number, content: string): Promise<void> {
  await db.updateTable('messages').set({ content_json: content }).where('seq', '=', seq).execute()
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

const byUuid = prepared<{ channel: number; user: number; source: number; uuid: string }, MessageRow>(
  (db, { channel, user, source, uuid }) =>
    db
      .selectFrom('messages')
      .selectAll()
      .where('channel_id', '=', channel)
      .where('user_id', '=', user)
      .where('source_id', '=', source)
      .where('uuid', '=', uuid),
  { isBesideBatches: true },
)

/** The message that a user or a source sent with this uuid. */
export async function findMessageByUuid(
  db: Database,
  channelId: number,
  sender: { userId: number; sourceId: number },
  uuid: string,
): Promise<MessageRow | undefined> {
  const { userId: user, sourceId: source } = sender
  const added = findAdded(
    db,
    (message) =>
      message.uuid === uuid &&
      message.channel_id === channelId &&
      message.user_id === user &&
      message.source_id === source,
  )
  return added ?? (await byUuid(db, { channel: channelId, user, source, uuid }))[0]
}

export async function setReactions(db: Database, seq: number, reactions: string): Promise<void> {
  await db.updateTable('messages').set({ reactions_json: reactions }).where('seq', '=', seq).execute()
}

export async function moveToThread(db: Database, seq: number, threadId: string): Promise<void> {
  await db.updateTable('messages').set({ thread_id: threadId }).where('seq', '=', seq).execute()
}

interface Range {
  readonly channel: number
  /** Null for all threads. */
  readonly thread: string | null
  /** Exclusive, both. */
  readonly after: number
  readonly before: number
  readonly limit: number
}

/** All columns of the messages of a channel between two ids. */
function messagesBetween(
  db: Database,
  { channel, after, before }: Pick<Range, 'channel' | 'after' | 'before'>,
) {
  return db
    .selectFrom('messages')
    .selectAll()
    .where('channel_id', '=', channel)
    .where('id', '>', after)
    .where('id', '<', before)
}

function prepareRange(sort: 'asc' | 'desc', isInThread: boolean) {
  return prepared<Range, MessageRow>((db, range) => {
    const query = messagesBetween(db, range).where('event', 'not in', serviceEvents)
    return (isInThread ? query.where('thread_id', '=', range.thread) : query)
      .orderBy('id', sort)
      .limit(range.limit)
  })
}

const ranges = {
  asc: { flow: prepareRange('asc', false), thread: prepareRange('asc', true) },
  desc: { flow: prepareRange('desc', false), thread: prepareRange('desc', true) },
} as const

/** The matches between the two ids, ascending. Without kinds, all but those that report changes. */
export async function browseMessages(
  db: Database,
  channelId: number,
  browse: MessageBrowse,
): Promise<readonly MessageRow[]> {
  const { events, sort, limit, threadId } = browse
  const { sinceId: after = Number.MIN_SAFE_INTEGER, untilId: before = Number.MAX_SAFE_INTEGER } = browse
  if (events === undefined) {
    const read = ranges[sort][threadId === undefined ? 'flow' : 'thread']
    const thread = threadId ?? null
    const rows = await read(db, { channel: channelId, thread, after, before, limit })
    return sort === 'asc' ? rows : rows.toReversed()
  }
  let query = messagesBetween(db, { channel: channelId, after, before })
  if (threadId !== undefined) query = query.where('thread_id', '=', threadId)
  query = query.orderBy('id', sort).limit(limit)
  // The index finds the newest messages of one kind fast, but not those of several kinds.
  const kinds = await Promise.all(
    [...new Set(events)].slice(0, maxKinds).map((event) => query.where('event', '=', event).execute()),
  )
  const rows = kinds.flat().toSorted(byId)
  return sort === 'asc' ? rows.slice(0, limit) : rows.slice(-limit)
}

const scanPage = 1000

/** The tokens of all files that messages name, in whatever part of them. */
export async function namedFiles(db: Database): Promise<Set<string>> {
  const tokens = new Set<string>()
  for (let last = 0; ; ) {
    const page = await db
      .selectFrom('messages')
      .select(['seq', 'content_json', 'attachments_json', 'title', 'body'])
      .where('seq', '>', last)
      .where((where) =>
        where.or([
          where('attachments_json', '!=', '[]'),
          where('content_json', 'like', '%/files/%'),
          where('body', 'like', '%/files/%'),
          where('title', 'like', '%/files/%'),
        ]),
      )
      .orderBy('seq')
      .limit(scanPage)
      .execute()
    for (const { content_json, attachments_json, title, body } of page)
      for (const [token] of `${content_json} ${attachments_json} ${title} ${body}`.matchAll(
        /(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/g,
      ))
        tokens.add(token)
    last = page.at(-1)?.seq ?? last
    if (page.length < scanPage) return tokens
  }
}

function byId(a: MessageRow, b: MessageRow): number {
  return a.id - b.id
}

/**
 * The words of a text as they are in the index: in composed form (NFC) and lower case. Each Chinese, Japanese and Korean
 * character is a word. Search queries use the same function.
 */
export function searchWords(text: string): string[] {
  const words = text
    .normalize()
    .toLowerCase()
    .match(
      /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}])[\p{L}\p{M}\p{N}_])+/gu,
    )
  return (words ?? []).map((word) => word.slice(0, maxWordLength))
}

function insertTags(db: Database, { channel_id, seq, tags_json }: MessageRow): void {
  if (tags_json === '[]') return
  const tags = new Set((JSON.parse(tags_json) as string[]).map((tag) => tag.normalize().toLowerCase()))
  addTags(
    db,
    [...tags].map((tag) => ({ channel_id, tag, seq })),
  )
}

function insertWords(db: Database, message: MessageRow, words: readonly string[]): void {
  if (words.length === 0) return
  // SQLite needs quotes around words; PostgreSQL ignores quotes.
  const quoted = `'${words.join("' '")}'`
  addWords(db, { rowid: message.seq, channel: String(message.channel_id), words: quoted })
}
