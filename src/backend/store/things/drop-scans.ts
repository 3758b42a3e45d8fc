import type { Database } from '../db.ts'
import { prepared } from '../prepared.ts'
import { type DropCondition, dropConditionSql } from './drop-conditions.ts'
import type { DropRow } from './drops.ts'

/** Numbers of drops, both included. There are none where `from` is greater than `to`. */
export interface SeqRange {
  readonly from: number
  readonly to: number
}

// Two searches of the index: one query for both ends would read all drops between them.
const bounds = prepared<{ no: number }, { from: number | null; to: number | null }>((db, { no }) =>
  db.selectNoFrom(({ selectFrom }) => {
    const drops = selectFrom('things_drops').where('flow_no', '=', no)
    return [
      drops.select(({ fn }) => fn.min<number>('seq').as('seq')).as('from'),
      drops.select(({ fn }) => fn.max<number>('seq').as('seq')).as('to'),
    ]
  }),
)

/** The numbers of the oldest and the newest drop of a flow. */
export async function findDropBounds(db: Database, flowNo: number): Promise<SeqRange> {
  const [found] = await bounds(db, { no: flowNo })
  return { from: found?.from ?? 1, to: found?.to ?? 0 }
}

const from = prepared<{ no: number; seq: number }, Pick<DropRow, 'seq' | 'created_at'>>((db, { no, seq }) =>
  db
    .selectFrom('things_drops')
    .select(['seq', 'created_at'])
    .where('flow_no', '=', no)
    .where('seq', '>=', seq)
    .orderBy('seq')
    .limit(1),
)

/** The first drop of a flow with a number or a greater one. */
export async function findDropFrom(
  db: Database,
  flowNo: number,
  seq: number,
): Promise<Pick<DropRow, 'seq' | 'created_at'> | undefined> {
  return (await from(db, { no: flowNo, seq }))[0]
}

export interface DropSelection {
  readonly descending: boolean
  readonly limit: number
  readonly condition: DropCondition | undefined
}

/** Drops of a flow by their numbers that fulfil a condition. */
export async function listDropsBetween(
  db: Database,
  flowNo: number,
  range: SeqRange,
  { descending, limit, condition }: DropSelection,
): Promise<DropRow[]> {
  const query = db
    .selectFrom('things_drops')
    .selectAll()
    .where('flow_no', '=', flowNo)
    .where('seq', '>=', range.from)
    .where('seq', '<=', range.to)
    .orderBy('seq', descending ? 'desc' : 'asc')
    .limit(limit)
  return (condition === undefined ? query : query.where(dropConditionSql(db, condition))).execute()
}
