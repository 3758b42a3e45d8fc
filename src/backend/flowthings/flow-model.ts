import { isRecord } from '../../json-values.ts'
import type { FlowRow } from '../store/things/flows.ts'
import { readFilter } from './find-params.ts'
import { checkPath } from './paths.ts'
import { type Json, present } from './present.ts'
import { badRequest } from './things-error.ts'
import { ElementsError, storableJson } from './values.ts'

/** [flowthings] flow object overview */
const defaultCapacity = 1000
export const maxCapacity = 100_000

/** The members of a flow that clients can set. `details` has those without a column of their own. */
export interface FlowMembers {
  readonly path: string
  readonly capacity: number
  readonly filter: string | null
  readonly details: Json
}

/** Members that only the server sets. They are ignored in requests, because clients send back whole resources. */
const readOnly = new Set(['id', 'creationDate', 'creatorId', 'lastEditDate', 'lastEditorId'])

/** The longest JSON of a resource other than a drop. */
export const maxObjectBytes = 64 * 1024

export function encodeFlow(row: FlowRow): Json {
  return present({
    ...(JSON.parse(row.details_json) as Json),
    id: row.id,
    path: row.path,
    capacity: row.capacity,
    filter: row.filter,
    creationDate: row.created_at,
    creatorId: row.creator_id,
    lastEditDate: row.edited_at,
    lastEditorId: row.editor_id,
  })
}

/**
 * The members of a flow after a change. Given members replace present ones, and `null` removes a member.
 *
 * @param before the present members; undefined for a new flow
 * @throws ThingsError 400
 */
export function parseFlow(input: unknown, before: FlowMembers | undefined): FlowMembers {
  // Before characters that cannot be stored are replaced: another path would be meant then.
  if (isRecord(input) && input['path'] !== undefined) checkPath(input['path'])
  const given = parseObject(input)
  const { path = before?.path, capacity = before?.capacity, filter = before?.filter, ...rest } = given
  const details = mergeMembers(before?.details ?? {}, rest)
  const text = filter ?? null
  if (text !== null) readFilter(text)
  return {
    path: checkPath(path),
    capacity: parseCapacity(capacity ?? defaultCapacity),
    filter: text as string | null,
    details,
  }
}

/** Parses a JSON object of a request, without the members that only the server sets. @throws ThingsError 400 */
export function parseObject(input: unknown): Json {
  if (!isRecord(input)) throw badRequest('Expected the body to be a JSON object')
  const members = Object.entries(input).filter(([name]) => !readOnly.has(name))
  try {
    return storableJson(Object.fromEntries(members)) as Json
  } catch (error) {
    throw error instanceof ElementsError ? badRequest(error.message) : error
  }
}

/** Replaces present members by given ones; `null` removes a member. @throws ThingsError 400 when there are too many */
export function mergeMembers(before: Json, given: Json): Json {
  const merged = present({ ...before, ...given })
  const bytes = Buffer.byteLength(JSON.stringify(merged))
  if (bytes > maxObjectBytes)
    throw badRequest(`Expected the members to have at most ${maxObjectBytes} bytes of JSON`)
  return merged
}

/** Accepts a number as a text, too. [flowthings] c-sharp-client */
function parseCapacity(value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > maxCapacity)
    throw badRequest(`Expected "capacity" to be a whole number from 0 to ${maxCapacity}`)
  return number
}
