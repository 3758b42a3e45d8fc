import type { Selectable } from 'kysely'
import { WritingConnection } from '../connection.ts'
import type { Database, Tables } from '../db.ts'
import { batched, batchedRows, columns, prepared } from '../prepared.ts'
import type { Batch, Execute } from '../transaction-state.ts'
import { hourMs } from './counts.ts'

/*
 * What changes write for new drops. A transaction often adds many drops to few flows, so it writes the rows of all of them with few
 * statements, and the counts of each flow once.
 */

type DropRow = Selectable<Tables['things_drops']>
type ArrivalRow = Selectable<Tables['things_arrivals']>
type CountRow = Selectable<Tables['things_counts']>
/** The columns of a flow that change with each drop. */
export type FlowCounts = Pick<Selectable<Tables['things_flows']>, 'last_seq' | 'drops' | 'last_drop_at'>

const countsOfFlow = prepared<{ no: number }, FlowCounts>(
  (db, { no }) =>
    db.selectFrom('things_flows').select(['last_seq', 'drops', 'last_drop_at']).where('no', '=', no),
  { remembers: 'transaction' },
)

const lastArrival = prepared<object, { seq: number | null }>(
  (db) => db.selectFrom('things_arrivals').select(({ fn }) => fn.max<number | null>('seq').as('seq')),
  { remembers: 'transaction' },
)

const setCounts = batched<FlowCounts & { no: number }>((db, { no, last_seq, drops, last_drop_at }) =>
  db.updateTable('things_flows').set({ last_seq, drops, last_drop_at }).where('no', '=', no),
)

const insertDrops = batchedRows<DropRow>((db, rows) =>
  db
    .insertInto('things_drops')
    .values(rows.map((row) => columns(row, ['flow_no', 'seq', 'id', 'fhash', 'created_at', 'drop_json']))),
)

const deleteOldest = batched<{ no: number; excess: number }>((db, { no, excess }) =>
  db
    .deleteFrom('things_drops')
    .where('flow_no', '=', no)
    .where('seq', 'in', (query) =>
      query
        .selectFrom('things_drops as old')
        .select('old.seq')
        .where('old.flow_no', '=', no)
        .orderBy('old.seq')
        .limit(excess),
    ),
)

const addToCount = batched<CountRow>((db, row) =>
  db
    .insertInto('things_counts')
    .values(columns(row, ['kind', 'object_id', 'hour', 'count']))
    .onConflict((conflict) =>
      conflict
        .columns(['kind', 'object_id', 'hour'])
        .doUpdateSet((set) => ({ count: set('things_counts.count', '+', set.ref('excluded.count')) })),
    ),
)

const insertArrivals = batchedRows<ArrivalRow>((db, rows) =>
  db
    .insertInto('things_arrivals')
    .values(rows.map((row) => columns(row, ['seq', 'stored_at', 'place_json', 'drop_json']))),
)

interface CountedFlow {
  readonly counts: { -readonly [Column in keyof FlowCounts]: FlowCounts[Column] }
  isChanged: boolean
  /** How many of its oldest drops are to be deleted. */
  excess: number
}

class DropBatch implements Batch {
  readonly tables = ['things_']
  readonly #db: Database
  readonly flows = new Map<number, CountedFlow>()
  drops: DropRow[] = []
  arrivals: ArrivalRow[] = []
  readonly counts = new Map<string, CountRow>()
  lastArrival: number | undefined

  constructor(db: Database) {
    this.#db = db
  }

  flush(execute: Execute): void {
    const db = this.#db
    insertDrops(db, execute, this.drops)
    this.drops = []
    for (const [no, flow] of this.flows) {
      if (flow.excess > 0) deleteOldest(db, execute, { no, excess: flow.excess })
      if (flow.isChanged) setCounts(db, execute, { no, ...flow.counts })
      flow.excess = 0
      flow.isChanged = false
    }
    for (const row of this.counts.values()) addToCount(db, execute, row)
    this.counts.clear()
    insertArrivals(db, execute, this.arrivals)
    this.arrivals = []
  }
}

/** @throws TypeError outside of a change */
function batchOf(db: Database): DropBatch {
  if (!(db instanceof WritingConnection)) throw new TypeError('Drops are only added in a change')
  return db.state.batch(DropBatch, db)
}

async function requireCounted(db: Database, no: number): Promise<CountedFlow> {
  for (;;) {
    const batch = batchOf(db)
    const known = batch.flows.get(no)
    if (known !== undefined) return known
    const [counts] = await countsOfFlow(db, { no })
    if (counts === undefined) throw new Error('The flow of a drop is not there')
    // Another batch means that something was written meanwhile.
    if (batch === batchOf(db)) batch.flows.set(no, { counts: { ...counts }, isChanged: false, excess: 0 })
  }
}

/** A flow with its counts including the drops that are not written yet. */
export function withCounts<F extends FlowCounts & { no: number }>(
  db: Database,
  flow: F | undefined,
): F | undefined {
  if (flow === undefined || !(db instanceof WritingConnection)) return flow
  const counted = batchOf(db).flows.get(flow.no)
  return counted === undefined ? flow : { ...flow, ...counted.counts }
}

/**
 * Counts a new drop.
 *
 * @param added 1 if the drop is stored, 0 if it replaces another one or the flow stores none
 * @returns the number of the drop, the number of drops in the flow including it, and its time
 */
export async function takeArrival(db: Database, no: number, now: number, added: 0 | 1): Promise<FlowCounts> {
  const flow = await requireCounted(db, no)
  flow.isChanged = true
  const { counts } = flow
  counts.last_seq += added
  counts.drops += added
  // The times of drops ascend, even if the clock was set back.
  counts.last_drop_at = Math.max(counts.last_drop_at, now)
  return { ...counts }
}

/** Deletes the oldest drops of a flow. @param excess how many */
export async function evictDrops(db: Database, no: number, excess: number): Promise<void> {
  if (excess <= 0) return
  const flow = await requireCounted(db, no)
  flow.isChanged = true
  flow.counts.drops -= excess
  flow.excess += excess
}

export function insertDrop(db: Database, row: DropRow): void {
  batchOf(db).drops.push(row)
}

/** Adds to the count of the hour of `time`. */
export function addCount(db: Database, kind: string, id: string, time: number, count = 1): void {
  const hour = Math.floor(time / hourMs)
  const { counts } = batchOf(db)
  const key = `${kind} ${id} ${hour}`
  const known = counts.get(key)
  if (known === undefined) counts.set(key, { kind, object_id: id, hour, count })
  else known.count += count
}

/** Adds an arrival. @returns its number: arrivals are numbered in the order of their commits, without holes */
export async function insertArrival(db: Database, row: Omit<ArrivalRow, 'seq'>): Promise<number> {
  for (;;) {
    const batch = batchOf(db)
    if (batch.lastArrival !== undefined) {
      batch.lastArrival += 1
      batch.arrivals.push({ seq: batch.lastArrival, ...row })
      return batch.lastArrival
    }
    // Only one transaction at a time adds drops. The newest row is never deleted.
    const [last] = await lastArrival(db, {})
    if (batch === batchOf(db)) batch.lastArrival = last?.seq ?? 0
  }
}
