import { type DropRow, findDrop, findDropByFhash } from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import { readStored, type StoredDrop, toSubject } from '../drop-model.ts'
import { compileFilter } from '../filter/evaluate.ts'
import { createGetter, resolveMember } from '../filter/subject.ts'
import type { Filter } from '../filter/syntax-tree.ts'
import type { FindParams } from '../find-params.ts'
import { FirstResults, isByCreation, type SizedResult } from '../sorting.ts'
import { badRequest, type ThingsError } from '../things-error.ts'
import { requiredText } from './find-resources.ts'
import { scanDrops } from './scan-drops.ts'

/** A drop with its members. */
export interface FoundDrop {
  readonly row: DropRow
  readonly stored: StoredDrop
}

/** The longest JSON of the drops of one response. */
const maxResponseBytes = 64 * 1024 * 1024

/**
 * The drops of a flow that match, in order. Equal creation dates are in the order of arrival. A flow is read from its end or
 * its beginning until there are enough results.
 *
 * @throws ThingsError 400 for results that are too long for one response, and where finding them takes too long
 */
export async function findDrops(access: Access, flow: FlowRow, params: FindParams): Promise<FoundDrop[]> {
  const single = await findSingle(access, flow, params.filter)
  if (single !== undefined) return filterOne(access, flow, single, params)
  return isByCreation(params.sort) ? findInOrder(access, flow, params) : findSorted(access, flow, params)
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
  row: DropRow | null,
  { filter, start, limit }: FindParams,
): FoundDrop[] {
  if (row === null || start > 0 || limit === 0) return []
  const stored = readStored(row)
  return compileFilter(filter, 'drop')(toSubject(flow, row, stored), now) ? [{ row, stored }] : []
}

async function findInOrder(
  access: Access,
  flow: FlowRow,
  { filter, start, limit, descending }: FindParams,
): Promise<FoundDrop[]> {
  const found: FoundDrop[] = []
  let [left, bytes] = [start, 0]
  if (limit === 0) return found
  for await (const drop of scanDrops(access, flow, filter, { descending })) {
    left -= 1
    if (left >= 0) continue
    bytes += drop.row.drop_json.length
    if (bytes > maxResponseBytes) throw tooLong()
    found.push({ row: drop.row, stored: drop.stored })
    if (found.length >= limit) break
  }
  return found
}

async function findSorted(
  access: Access,
  flow: FlowRow,
  { filter, start, limit, sort, descending }: FindParams,
): Promise<FoundDrop[]> {
  const get = createGetter(resolveMember(sort, 'drop'))
  const results = new FirstResults<FoundDrop & SizedResult>(start + limit, descending, maxResponseBytes)
  for await (const { row, stored, subject } of scanDrops(access, flow, filter, { descending: true })) {
    const result = { row, stored, value: get(subject), seq: row.seq, bytes: row.drop_json.length }
    if (!results.add(result)) throw tooLong()
  }
  return results.take(start)
}

function tooLong(): ThingsError {
  return badRequest(
    `The drops that match are longer than ${maxResponseBytes} bytes together: expected a smaller "limit"`,
  )
}
