import { type Selectable, sql } from 'kysely'
import { WritingConnection } from './connection.ts'
import { type Database, isPostgres, type Tables } from './db.ts'
import { batched, batchedRows, columns, prepared } from './prepared.ts'
import type { Batch, Execute } from './transaction-state.ts'

/*
 * What changes write for new messages. Changes that share a commit write the rows of all of them with few statements, and the ids of
 * a channel and a thread once.
 */

type MessageRow = Selectable<Tables['messages']>
type ThreadRow = Selectable<Tables['threads']>
type TagRow = Tables['message_tags']
type WordRow = Tables['message_words']

const lastIdOf = prepared<{ channel: number }, { last_id: number }>(
  (db, { channel }) => db.selectFrom('channels').select('last_id').where('id', '=', channel),
  { isBesideBatches: true },
)

const setLastId = batched<{ channel: number; id: number }>((db, { channel, id }) =>
  db.updateTable('channels').set({ last_id: id }).where('id', '=', channel),
)

/** SQLite numbers rows by itself after the greatest number that the table ever had. */
const lastSeq = prepared<object, { seq: number }>(
  (db) =>
    db
      .selectFrom(sql<{ seq: number; name: string }>`sqlite_sequence`.as('numbers'))
      .select('numbers.seq')
      .where('numbers.name', '=', 'messages'),
  { isBesideBatches: true },
)

const takeSeq = prepared<object, { seq: number }>(
  (db) => db.selectNoFrom(sql<number>`nextval(pg_get_serial_sequence('messages', 'seq'))`.as('seq')),
  { isBesideBatches: true },
)

const insertThreads = batchedRows<ThreadRow>((db, rows) =>
  db
    .insertInto('threads')
    .values(
      rows.map((row) =>
        columns(row, [
          ...(['id', 'channel_id', 'source_id', 'external_thread_id', 'title', 'body'] as const),
          ...(['external_url', 'status_json', 'fields_json', 'actions_json', 'activities'] as const),
          ...(['internal_comments', 'external_comments', 'initial_message'] as const),
          ...(['created_at', 'updated_at'] as const),
        ]),
      ),
    ),
)

const updateThread = batched<ThreadRow>((db, row) =>
  db
    .updateTable('threads')
    .set(
      columns(row, [
        ...(['title', 'body', 'external_url', 'status_json', 'fields_json', 'actions_json'] as const),
        ...(['activities', 'internal_comments', 'external_comments'] as const),
        ...(['initial_message', 'updated_at'] as const),
      ]),
    )
    .where('id', '=', row.id),
)

const insertMessages = batchedRows<MessageRow>((db, rows) =>
  db
    .insertInto('messages')
    .values(
      rows.map((row) =>
        columns(row, [
          ...([
            'seq',
            'channel_id',
            'id',
            'event',
            'user_id',
            'source_id',
            'uuid',
            'thread_id',
            'app',
          ] as const),
          ...(['content_json', 'tags_json', 'external_user_name', 'author_json', 'title', 'body'] as const),
          ...(['attachments_json', 'sent', 'edited', 'deleted_at', 'reactions_json'] as const),
        ]),
      ),
    ),
)

const insertTags = batchedRows<TagRow>((db, rows) =>
  db.insertInto('message_tags').values(rows.map((row) => columns(row, ['channel_id', 'tag', 'seq']))),
)

const insertWords = batchedRows<WordRow>((db, rows) =>
  db.insertInto('message_words').values(rows.map((row) => columns(row, ['rowid', 'channel', 'words']))),
)

class MessageBatch implements Batch {
  readonly tables = ['channels', 'threads', 'messages', 'message_tags']
  readonly #db: Database
  /** The newest ids of channels. */
  readonly lastIds = new Map<number, { id: number; isChanged: boolean }>()
  /** The greatest number of a message, on SQLite. */
  lastSeq: number | undefined
  readonly threads = new Map<string, { readonly row: ThreadRow; readonly isNew: boolean }>()
  messages: MessageRow[] = []
  tags: TagRow[] = []

  constructor(db: Database) {
    this.#db = db
  }

  flush(execute: Execute): void {
    const db = this.#db
    for (const [channel, last] of this.lastIds) {
      if (last.isChanged) setLastId(db, execute, { channel, id: last.id })
      last.isChanged = false
    }
    const threads = [...this.threads.values()]
    insertThreads(
      db,
      execute,
      threads.filter(({ isNew }) => isNew).map(({ row }) => row),
    )
    for (const { row, isNew } of threads) if (!isNew) updateThread(db, execute, row)
    insertMessages(db, execute, this.messages)
    insertTags(db, execute, this.tags)
    this.threads.clear()
    this.messages = []
    this.tags = []
  }
}

/**
 * A batch of its own: a row of the word index that is followed by other statements costs SQLite more than all other rows of a
 * message, because such a statement flushes the index.
 */
class WordBatch implements Batch {
  readonly tables = ['message_words']
  readonly #db: Database
  rows: WordRow[] = []

  constructor(db: Database) {
    this.#db = db
  }

  flush(execute: Execute): void {
    insertWords(this.#db, execute, this.rows)
    this.rows = []
  }
}

/** @throws TypeError outside of a change */
function stateOf(db: Database) {
  if (!(db instanceof WritingConnection)) throw new TypeError('Messages are only added in a change')
  return db.state
}

function batchOf(db: Database): MessageBatch {
  return stateOf(db).batch(MessageBatch, db)
}

/** Assigns the next message id of a channel. */
export async function nextMessageId(db: Database, channel: number): Promise<number> {
  for (;;) {
    const batch = batchOf(db)
    const last = batch.lastIds.get(channel)
    if (last !== undefined) {
      last.isChanged = true
      last.id += 1
      return last.id
    }
    const [row] = await lastIdOf(db, { channel })
    if (row === undefined) throw new Error(`There is no channel ${channel}`)
    // Another batch means that something was written meanwhile.
    if (batch === batchOf(db) && !batch.lastIds.has(channel))
      batch.lastIds.set(channel, { id: row.last_id, isChanged: false })
  }
}

/** Adds a message. @returns its number: numbers ascend within a channel */
export async function addMessage(db: Database, message: Omit<MessageRow, 'seq'>): Promise<number> {
  if (isPostgres(db)) {
    const [row] = await takeSeq(db, {})
    const { seq } = row as { seq: number }
    batchOf(db).messages.push({ seq, ...message })
    return seq
  }
  for (;;) {
    const batch = batchOf(db)
    if (batch.lastSeq !== undefined) {
      batch.lastSeq += 1
      batch.messages.push({ seq: batch.lastSeq, ...message })
      return batch.lastSeq
    }
    // Only one transaction at a time adds messages.
    const [last] = await lastSeq(db, {})
    if (batch === batchOf(db)) batch.lastSeq ??= last?.seq ?? 0
  }
}

export function addTags(db: Database, rows: readonly TagRow[]): void {
  batchOf(db).tags.push(...rows)
}

/** Adds a row to the word index. */
export function addWords(db: Database, row: WordRow): void {
  stateOf(db).batch(WordBatch, db).rows.push(row)
}

/** A message that was added and is not written yet. */
export function findAdded(db: Database, matches: (message: MessageRow) => boolean): MessageRow | undefined {
  return db instanceof WritingConnection ? batchOf(db).messages.find(matches) : undefined
}

/** Adds a thread, or writes a present one. */
export function saveThread(db: Database, row: ThreadRow, isNew: boolean): void {
  const { threads } = batchOf(db)
  threads.set(row.id, { row, isNew: isNew || threads.get(row.id)?.isNew === true })
}

/** A thread that was added or changed and is not written yet. */
export function findSavedThread(
  db: Database,
  matches: string | ((thread: ThreadRow) => boolean),
): ThreadRow | undefined {
  if (!(db instanceof WritingConnection)) return undefined
  const { threads } = batchOf(db)
  if (typeof matches === 'string') return threads.get(matches)?.row
  for (const { row } of threads.values()) if (matches(row)) return row
  return undefined
}
