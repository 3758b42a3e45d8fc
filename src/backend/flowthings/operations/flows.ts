import { disableRulesOfThingsFlow } from '../../store/rules.ts'
import { findAccount } from '../../store/things/accounts.ts'
import { evictDrops } from '../../store/things/drop-batch.ts'
import {
  deleteFlow,
  type FlowRow,
  findFlowById,
  findFlowByKey,
  insertFlow,
  listFlowsBelow,
  listFlowsOf,
  updateFlow,
} from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import { type FlowMembers, parseFlow } from '../flow-model.ts'
import { makeId } from '../ids.ts'
import { firstSegment, pathKey } from '../paths.ts'
import type { Json } from '../present.ts'
import { badRequest, forbidden } from '../things-error.ts'
import type { Writing } from './writing.ts'

/**
 * Creates a flow. At a path of another account, that account must share the path with the permission to write; the flow then
 * belongs to that account.
 *
 * @throws ThingsError 400 when the path has a flow, 403 without the permission to write
 */
export async function createFlow(writing: Writing, body: unknown): Promise<FlowRow> {
  const { db, principal, now } = writing
  if (principal.token !== undefined) throw forbidden('A token may write drops and nothing else')
  const members = parseFlow(body, undefined)
  const accountId = await ownerOf(writing, members.path)
  await requireFree(writing, accountId, members.path)
  return insertFlow(db, {
    id: makeId('flow', now),
    account_id: accountId,
    path: members.path,
    path_key: pathKey(members.path),
    capacity: members.capacity,
    filter: members.filter,
    details_json: JSON.stringify(members.details),
    creator_id: principal.account.identity_id,
    created_at: now,
  })
}

/** The account that a path belongs to. @throws ThingsError 403 */
async function ownerOf(writing: Writing, path: string): Promise<number> {
  const { db, principal } = writing
  const named = await findAccount(db, firstSegment(path))
  if (named === undefined || named.id === principal.account.id) return principal.account.id
  const rights = await writing.rightsAt(named.id, pathKey(path))
  if (!rights.write) throw forbidden(`The path "${path}" belongs to another account`)
  return named.id
}

/** @throws ThingsError 403 for a path of another account, even if it is shared */
export async function requireOwnPath({ db, principal }: Access, path: string): Promise<void> {
  const named = await findAccount(db, firstSegment(path))
  if (named !== undefined && named.id !== principal.account.id)
    throw forbidden(`The path "${path}" belongs to another account`)
}

async function requireFree({ db }: Writing, accountId: number, path: string): Promise<void> {
  if ((await findFlowByKey(db, accountId, pathKey(path))) !== undefined)
    throw badRequest(`There is a flow at the path "${path}" already`)
}

/** Changes the given members of a flow. With a smaller capacity, the oldest drops are deleted. */
export async function changeFlow(writing: Writing, id: unknown, changes: unknown): Promise<FlowRow> {
  const { db, principal, now } = writing
  const flow = await writing.requireFlow(id, 'write')
  const members = parseFlow(changes, membersOf(flow))
  const key = pathKey(members.path)
  if (key !== flow.path_key) {
    if ((await ownerOf(writing, members.path)) !== flow.account_id)
      throw badRequest('A flow cannot move to another account')
    await requireFree(writing, flow.account_id, members.path)
  }
  await updateFlow(db, flow.no, {
    path: members.path,
    path_key: key,
    capacity: members.capacity,
    filter: members.filter,
    details_json: JSON.stringify(members.details),
    edited_at: now,
    editor_id: principal.account.identity_id,
  })
  await evictDrops(db, flow.no, flow.drops - members.capacity)
  return (await findFlowById(db, flow.id)) as FlowRow
}

function membersOf({ path, capacity, filter, details_json }: FlowRow): FlowMembers {
  return { path, capacity, filter, details: JSON.parse(details_json) as Json }
}

export async function removeFlow(writing: Writing, id: unknown): Promise<void> {
  const flow = await writing.requireFlow(id, 'administer')
  await deleteFlow(writing.db, flow.no)
  const problem = { code: 'THINGS_FLOW_NOT_FOUND', message: `The flow "${flow.path}" was deleted` }
  await disableRulesOfThingsFlow(writing.db, flow.id, problem, writing.now)
}

/** The number of flows in one read. */
const pageSize = 500

/** The flows that the principal may read, oldest first: those of its account, then shared ones of other accounts. */
export async function* readFlows(access: Access): AsyncGenerator<FlowRow> {
  const { db, principal } = access
  const seen = new Set<number>()
  const once = function* (rows: readonly FlowRow[]) {
    for (const row of rows) {
      if (seen.has(row.no)) continue
      seen.add(row.no)
      yield row
    }
  }
  if (principal.token === undefined)
    yield* readPages((after) => listFlowsOf(db, principal.account.id, after, pageSize))
  for (const { key } of principal.token?.permissions ?? [])
    for await (const row of readPages((after) =>
      listFlowsBelow(db, principal.account.id, key, after, pageSize),
    ))
      yield* once([row])
  for (const { accountId, permissions } of await access.shared())
    for (const { key } of permissions)
      for await (const row of readPages((after) => listFlowsBelow(db, accountId, key, after, pageSize)))
        if ((await access.rightsAt(accountId, row.path_key)).read) yield* once([row])
}

async function* readPages(read: (after: number) => Promise<FlowRow[]>): AsyncGenerator<FlowRow> {
  for (let after = 0; ; ) {
    const rows = await read(after)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < pageSize) return
    after = last.no
  }
}
