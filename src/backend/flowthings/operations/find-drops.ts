import { setImmediate as nextTurn } from 'node:timers/promises'
import { type DropRow, findDrop, findDropByFhash, listDrops } from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import { readStored, type StoredDrop, toSubject } from '../drop-model.ts'
import { compileFilter, type Evaluator } from '../filter/evaluate.ts'
import { createGetter, resolveMember } from '../filter/subject.ts'
import type { Filter } from '../filter/syntax-tree.ts'
import type { FindParams } from '../find-params.ts'
import { FirstResults, isByCreation, type SizedResult } from '../sorting.ts'
import { badRequest, type ThingsError } from '../things-error.ts'
import { requiredText } from './find-resources.ts'

/** A drop with its members. */
export interface FoundDrop {
  readonly row: DropRow
  readonly stored: StoredDrop
}

/** How many rows are read at once, at first and at most. Between two reads others have their turn. */
const pageSizes = { first: 64, largest: 512 }
/** The longest JSON of the drops of one response. */
const maxResponseBytes = 64 * 1024 * 1024

/**
 * The drops of a flow that match, in order. Equal creation dates are in the order of arrival. A flow is read from its end or
 * its beginning until there are enough results.
 *
 * @throws ThingsError 400 for results that are too long for one response
 */
export async function findDrops(access: Access, flow: FlowRow, params: FindParams): Promise<FoundDrop[]> {
  const matches = compileFilter(params.filter, 'drop')
  const single = await findSingle(access, flow, params.filter)
  if (single !== undefined) return filterOne(access, flow, matches, single, params)
  return isByCreation(params.sort)
    ? findInOrder(access, flow, matches, params)
    : findSorted(access, flow, matches, params)
}

/** The only drop that can match, where the filter says its id or fhash; null where there is none, undefined for others. */
async function findSingle(
  { db }: Access,
  flow: FlowRow,
  filter: Filter,
): Promise<DropRow | null | undefined> {
  const fhash = requiredText(filter, 'fhash')
  if (fhash !== undefined) return (await findDropByFhash(db, flow.no, fhash)) ?? null
  const id = requiredText(filter, 'id')
  return id === undefined ? undefined : ((await findDrop(db, flow.no, id)) ?? null)
}

function filterOne(
  { now }: Access,
  flow: FlowRow,
  matches: Evaluator,
  row: DropRow | null,
  { start, limit }: FindParams,
): FoundDrop[] {
  if (row === null || start > 0 || limit === 0) return []
  const stored = readStored(row)
  return matches(toSubject(flow, row, stored), now) ? [{ row, stored }] : []
}

async function findInOrder(
  access: Access,
  flow: FlowRow,
  matches: Evaluator,
  { filter, start, limit, descending }: FindParams,
): Promise<FoundDrop[]> {
  const found: FoundDrop[] = []
  let bytes = 0
  // Without a filter no more is read than is shown.
  const most = filter.kind === 'all' ? start + limit : Number.POSITIVE_INFINITY
  let left = start
  if (limit === 0) return found
  for await (const row of readAll(access, flow, descending, most)) {
    const stored = filter.kind === 'all' && left > 0 ? undefined : readStored(row)
    if (stored !== undefined && !matches(toSubject(flow, row, stored), access.now)) continue
    if (left > 0) {
      left -= 1
      continue
    }
    bytes += row.drop_json.length
    if (bytes > maxResponseBytes) throw tooLong()
    found.push({ row, stored: stored ?? readStored(row) })
    if (found.length >= limit) break
  }
  return found
}

async function findSorted(
  access: Access,
  flow: FlowRow,
  matches: Evaluator,
  { start, limit, sort, descending }: FindParams,
): Promise<FoundDrop[]> {
  const get = createGetter(resolveMember(sort, 'drop'))
  const results = new FirstResults<FoundDrop & SizedResult>(start + limit, descending, maxResponseBytes)
  for await (const row of readAll(access, flow, true)) {
    const stored = readStored(row)
    const subject = toSubject(flow, row, stored)
    if (!matches(subject, access.now)) continue
    const result = { row, stored, value: get(subject), seq: row.seq, bytes: row.drop_json.length }
    if (!results.add(result)) throw tooLong()
  }
  return results.take(start)
}

/** The drops of a flow, newest or oldest first. Those that arrive meanwhile are left out of what is read from the end. */
export async function* readAll(
  { db }: Access,
  flow: FlowRow,
  descending: boolean,
  most = Number.POSITIVE_INFINITY,
): AsyncGenerator<DropRow> {
  let [seq, left] = [descending ? Number.MAX_SAFE_INTEGER : 0, most]
  for (let size = pageSizes.first; ; size = Math.min(2 * size, pageSizes.largest)) {
    const limit = Math.min(size, left)
    if (limit <= 0) return
    const rows = await listDrops(db, flow.no, descending ? { before: seq } : { after: seq }, limit)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < limit) return
    seq = last.seq
    left -= rows.length
    await nextTurn()
  }
}

function tooLong(): ThingsError {
  return badRequest(
    `The drops that match are longer than ${maxResponseBytes} bytes together: expected a smaller "limit"`,
  )
}
