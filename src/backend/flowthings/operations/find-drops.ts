import type { DropCondition } from '../../store/things/drop-conditions.ts'
import { type DropRow, findDrop, findDropByFhash } from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import { readStored, type StoredDrop, toSubject } from '../drop-model.ts'
import { translateFilter } from '../filter/drop-conditions.ts'
import { compileFilter, type Evaluator } from '../filter/evaluate.ts'
import { createGetter, resolveMember } from '../filter/subject.ts'
import type { Filter } from '../filter/syntax-tree.ts'
import type { FindParams } from '../find-params.ts'
import { FirstResults, isByCreation, type SizedResult } from '../sorting.ts'
import { badRequest, type ThingsError } from '../things-error.ts'
import { requiredText } from './find-resources.ts'
import { readDropsOf } from './read-drops.ts'

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
 * @throws ThingsError 400 for results that are too long for one response
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
  if (limit === 0) return found
  const { condition, matches } = splitFilter(access, flow, filter)
  const most = filter.kind === 'all' ? start + limit : Number.POSITIVE_INFINITY
  let [left, bytes] = [start, 0]
  for await (const row of readDropsOf(access, flow, { descending, condition, most })) {
    const stored = matches === undefined && left > 0 ? undefined : readStored(row)
    if (stored !== undefined && matches?.(toSubject(flow, row, stored), access.now) === false) continue
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
  { filter, start, limit, sort, descending }: FindParams,
): Promise<FoundDrop[]> {
  const { condition, matches } = splitFilter(access, flow, filter)
  const get = createGetter(resolveMember(sort, 'drop'))
  const results = new FirstResults<FoundDrop & SizedResult>(start + limit, descending, maxResponseBytes)
  for await (const row of readDropsOf(access, flow, { descending: true, condition })) {
    const stored = readStored(row)
    const subject = toSubject(flow, row, stored)
    if (matches?.(subject, access.now) === false) continue
    const result = { row, stored, value: get(subject), seq: row.seq, bytes: row.drop_json.length }
    if (!results.add(result)) throw tooLong()
  }
  return results.take(start)
}

/** What the database decides of a filter, and what is evaluated for each drop that it returns. */
export function splitFilter(
  { now }: Access,
  flow: Pick<FlowRow, 'id' | 'path'>,
  filter: Filter,
): { readonly condition: DropCondition | undefined; readonly matches: Evaluator | undefined } {
  if (filter.kind === 'all') return { condition: undefined, matches: undefined }
  const translation = translateFilter(filter, { flowId: flow.id, path: flow.path }, now)
  return {
    condition: translation?.condition,
    matches: translation?.isExact === true ? undefined : compileFilter(filter, 'drop'),
  }
}

function tooLong(): ThingsError {
  return badRequest(
    `The drops that match are longer than ${maxResponseBytes} bytes together: expected a smaller "limit"`,
  )
}
