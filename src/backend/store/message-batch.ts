import { WritingConnection } from './connection.ts'
import type { Database, Tables } from './db.ts'
import { batched, batchedRows, columns } from './prepared.ts'
import type { Batch, Execute } from './transaction-state.ts'

/*
 * What changes write beside the rows of new messages. A row of the word index that is followed by other statements costs SQLite more
 * than all other rows of a message, because such a statement flushes the index.
 */

type WordRow = Tables['message_words']

const insertWordRows = batchedRows<WordRow>((db, rows) =>
  db.insertInto('message_words').values(rows.map((row) => columns(row, ['rowid', 'channel', 'words']))),
)

class WordBatch implements Batch {
  readonly tables = ['message_words']
  readonly #db: Database
  rows: WordRow[] = []

  constructor(db: Database) {
    this.#db = db
  }

  flush(execute: Execute): void {
    insertWordRows(this.#db, execute, this.rows)
    this.rows = []
  }
}

/** Adds a row to the word index. @throws TypeError outside of a change */
export function insertWordRow(db: Database, row: WordRow): void {
  stateOf(db).batch(WordBatch, db).rows.push(row)
}

const setLastMessage = batched<{ flow: string; id: number; sent: number }>((db, { flow, id, sent }) =>
  db.updateTable('flows').set({ last_message_id: id, last_message_at: sent }).where('id', '=', flow),
)
const setLastActivity = batched<{ flow: string; user: number; at: number }>((db, { flow, user, at }) =>
  db
    .updateTable('flow_members')
    .set({ last_activity: at })
    .where('flow_id', '=', flow)
    .where('user_id', '=', user),
)

class TouchBatch implements Batch {
  readonly tables = ['flows', 'flow_members']
  readonly #db: Database
  readonly flows = new Map<string, { flow: string; id: number; sent: number }>()
  readonly members = new Map<string, { flow: string; user: number; at: number }>()

  constructor(db: Database) {
    this.#db = db
  }

  flush(execute: Execute): void {
    for (const flow of this.flows.values()) setLastMessage(this.#db, execute, flow)
    for (const member of this.members.values()) setLastActivity(this.#db, execute, member)
    this.flows.clear()
    this.members.clear()
  }
}

/**
 * Updates the last message of a flow and, if a member sent it, when that member was last active.
 *
 * @throws TypeError outside of a change
 */
export function touchFlow(
  db: Database,
  flow: string,
  { id, sent, userId }: { id: number; sent: number; userId: number },
): void {
  const { flows, members } = stateOf(db).batch(TouchBatch, db)
  flows.set(flow, { flow, id, sent })
  if (userId !== 0) members.set(`${userId} ${flow}`, { flow, user: userId, at: sent })
}

function stateOf(db: Database) {
  if (!(db instanceof WritingConnection)) throw new TypeError('Messages are only added in a change')
  return db.state
}
