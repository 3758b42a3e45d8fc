import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DropCondition } from '../../store/things/drop-conditions.ts'
import { type DropRow, findPageEnd, listDrops, listMatchingDrops } from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'

export interface DropReading {
  readonly descending: boolean
  /** What the database leaves out. */
  readonly condition?: DropCondition | undefined
  /** How many drops are needed at most. */
  readonly most?: number
}

/** How many drops are read at once, at first and at most. Between two reads other requests have their turn. */
const pageSizes = { first: 64, largest: 2048 }

/**
 * The drops of a flow in the order of their arrival, or from the newest on. They are read in pages, so drops that arrive
 * meanwhile are left out of what is read from the end.
 */
export async function* readDropsOf(
  { db }: Access,
  flow: Pick<FlowRow, 'no'>,
  { descending, condition, most = Number.POSITIVE_INFINITY }: DropReading,
): AsyncGenerator<DropRow> {
  let [seq, left] = [descending ? Number.MAX_SAFE_INTEGER : 0, most]
  for (let size = pageSizes.first; left > 0; size = Math.min(2 * size, pageSizes.largest)) {
    const from = descending ? { before: seq } : { after: seq }
    if (condition === undefined) {
      const rows = await listDrops(db, flow.no, from, Math.min(size, left))
      yield* rows
      const last = rows.at(-1)
      if (last === undefined || rows.length < size) return
      left -= rows.length
      seq = last.seq
    } else {
      const end = await findPageEnd(db, flow.no, from, size)
      yield* await listMatchingDrops(db, flow.no, from, end, condition)
      if (end === null) return
      seq = end
    }
    await nextTurn()
  }
}
