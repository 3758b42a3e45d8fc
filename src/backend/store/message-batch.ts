import { WritingConnection } from './connection.ts'
import type { Database, Tables } from './db.ts'
import { batchedRows, columns } from './prepared.ts'
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

function stateOf(db: Database) {
  if (!(db instanceof WritingConnection)) throw new TypeError('Messages are only added in a change')
  return db.state
}
