import { isRecord } from '../../../json-values.ts'
import { listDropsById } from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import { encodeDrop, parseDrop, readStored } from '../drop-model.ts'
import { type FindParams, parseFindParams } from '../find-params.ts'
import { checkId, isId } from '../ids.ts'
import type { Json } from '../present.ts'
import type { Style } from '../style.ts'
import { badRequest } from '../things-error.ts'
import { changeDrop, requireDrop } from './drops.ts'
import { findDrops } from './find-drops.ts'
import { putDrop } from './tracked-drops.ts'
import type { Writing } from './writing.ts'

/** Which flow a drop belongs to: its id, or its path. */
export interface FlowAddress {
  readonly flowId?: unknown
  readonly path?: unknown
}

/** @throws ThingsError 400 where neither is given or there is no flow at the path, 403, 404 */
export async function requireFlowOf(
  access: Access,
  { flowId, path }: FlowAddress,
  right: 'dropRead' | 'dropWrite',
): Promise<FlowRow> {
  if (flowId !== undefined) return access.requireFlow(flowId, right)
  if (path === undefined) throw badRequest('Expected "flowId" or "path" to say which flow')
  return access.requireFlowAt(path, right)
}

/** @returns the drop as it is stored, or as it was passed on where the flow stores none */
export async function createDrop(
  writing: Writing,
  address: FlowAddress,
  body: unknown,
  style: Style,
): Promise<Json> {
  const inBody = isRecord(body) ? body : {}
  // A flow that the URL or frame names goes before one that the drop names.
  const flow = await requireFlowOf(
    writing,
    address.flowId === undefined && address.path === undefined ? inBody : address,
    'dropWrite',
  )
  const { row, stored } = await putDrop(writing, flow, parseDrop(body, undefined))
  return encodeDrop(flow, row, stored, style)
}

export async function readDrop(
  access: Access,
  address: FlowAddress,
  id: unknown,
  style: Style,
): Promise<Json> {
  const flow = await requireFlowOf(access, address, 'dropRead')
  const { row, stored } = await requireDrop(access, flow, id)
  return encodeDrop(flow, row, stored, style)
}

/** Without those that are not there. */
export async function readDrops(
  access: Access,
  address: FlowAddress,
  ids: readonly unknown[],
  style: Style,
): Promise<ReadonlyMap<string, Json>> {
  const flow = await requireFlowOf(access, address, 'dropRead')
  const rows = await listDropsById(
    access.db,
    flow.no,
    ids.map((id) => checkId(id, 'drop')),
  )
  return new Map(rows.map((row) => [row.id, encodeDrop(flow, row, readStored(row), style)]))
}

export async function findDropsOf(
  access: Access,
  address: FlowAddress,
  params: FindParams,
  style: Style,
): Promise<Json[]> {
  const flow = await requireFlowOf(access, address, 'dropRead')
  const found = await findDrops(access, flow, params)
  return found.map(({ row, stored }) => encodeDrop(flow, row, stored, style))
}

const maxFinds = 500

/**
 * Finds of several flows, such as `[{"flowId": "f…", "params": {"limit": 2}}]`. [flowthings] drop multi-search
 *
 * @returns the drops by flow, without flows that the principal does not see
 */
export async function findDropsOfMany(
  access: Access,
  body: unknown,
  style: Style,
): Promise<ReadonlyMap<string, Json[]>> {
  if (!Array.isArray(body) || body.length > maxFinds)
    throw badRequest(`Expected a list of at most ${maxFinds} objects with "flowId" and "params"`)
  const finds = body.map((find: unknown) => {
    if (!isRecord(find)) throw badRequest('Expected each find to be an object with "flowId" and "params"')
    const { flowId, params = {} } = find
    if (!isRecord(params)) throw badRequest('Expected "params" to be an object')
    return { flowId: checkId(flowId, 'flow'), params: parseFindParams(params) }
  })
  const results = new Map<string, Json[]>()
  for (const { flowId, params } of finds) {
    if (!(await canRead(access, flowId))) continue
    results.set(flowId, await findDropsOf(access, { flowId }, params, style))
  }
  return results
}

async function canRead(access: Access, flowId: string): Promise<boolean> {
  const flow = await access.findFlow(flowId)
  return flow !== undefined && (await access.rightsAt(flow.account_id, flow.path_key)).dropRead
}

export async function updateDrop(
  writing: Writing,
  address: FlowAddress,
  id: unknown,
  changes: unknown,
  style: Style,
): Promise<Json> {
  const flow = await requireFlowOf(writing, address, 'dropWrite')
  // The response shows the members that are left as they were.
  await requireFlowOf(writing, address, 'dropRead')
  requireSame(id, changes)
  const { row, stored } = await changeDrop(writing, flow, id, changes)
  return encodeDrop(flow, row, stored, style)
}

/** Clients send whole resources back. @throws ThingsError 400 where the id in a body is that of another one */
export function requireSame(id: unknown, changes: unknown): void {
  if (isRecord(changes) && isId(changes['id']) && changes['id'] !== id)
    throw badRequest(`Expected the "id" in the body to be "${String(id).slice(0, 60)}"`)
}
