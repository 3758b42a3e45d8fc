import { addCount, evictDrops, insertDrop, takeArrival } from '../../store/things/drop-batch.ts'
import {
  type DropRow,
  deleteDrop,
  deleteDrops,
  findDrop,
  findDropByFhash,
  updateDrop,
} from '../../store/things/drops.ts'
import type { FlowRow } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import { type DropMembers, membersOf, parseDrop, readStored, toStored, toSubject } from '../drop-model.ts'
import { checkId, makeId } from '../ids.ts'
import { badRequest, notFound } from '../things-error.ts'
import type { FoundDrop } from './find-drops.ts'
import type { Arrival, Writing } from './writing.ts'

/**
 * Adds a drop to a flow, or replaces the one with the same fhash, which keeps its id and its place. The oldest drops leave
 * a flow that is full; one without capacity stores none.
 *
 * @param creatorId the identity that it counts for
 * @throws ThingsError 400 when the filter of the flow refuses it
 */
export async function storeDrop(
  writing: Writing,
  flow: FlowRow,
  members: DropMembers,
  creatorId: string = writing.principal.account.identity_id,
): Promise<Arrival> {
  const { db, now } = writing
  const known =
    members.fhash === null || flow.capacity === 0
      ? undefined
      : await findDropByFhash(db, flow.no, members.fhash)
  const isNew = known === undefined && flow.capacity > 0
  const draft: DropRow =
    known === undefined
      ? {
          flow_no: flow.no,
          seq: flow.last_seq + 1,
          id: makeId('drop', now),
          fhash: members.fhash,
          created_at: Math.max(flow.last_drop_at, now),
          drop_json: toStored(members, 0, undefined),
        }
      : { ...known, drop_json: toStored(members, readStored(known).version + 1, now) }
  const stored = readStored(draft)
  // Before anything is written: a track goes on when one of its flows refuses a drop.
  requireMatch(writing, flow, draft, stored)
  const arrived = await takeArrival(db, flow.no, now, isNew ? 1 : 0)
  const row =
    known === undefined ? { ...draft, seq: arrived.last_seq, created_at: arrived.last_drop_at } : draft
  if (known !== undefined) await updateDrop(db, row, row)
  else if (isNew) insertDrop(db, row)
  await evictDrops(db, flow.no, arrived.drops - flow.capacity)
  addCount(db, 'flowDropAdded', flow.id, now)
  addCount(db, 'dropCreatedBy', creatorId, now)
  const arrival = { flow, row, stored }
  writing.arrivals.push(arrival)
  return arrival
}

function requireMatch(
  { filters, now }: Access,
  flow: FlowRow,
  row: DropRow,
  stored: FoundDrop['stored'],
): void {
  if (flow.filter === null || flow.filter === '') return
  if (!filters.get(flow.filter, 'drop')(toSubject(flow, row, stored), now))
    throw badRequest(`The filter of the flow "${flow.path}" refuses the drop: ${flow.filter.slice(0, 200)}`)
}

/** A drop by its id. @throws ThingsError 400, 404 */
export async function requireDrop({ db }: Access, flow: FlowRow, given: unknown): Promise<FoundDrop> {
  const id = checkId(given, 'drop')
  const row = await findDrop(db, flow.no, id)
  if (row === undefined) throw notFound(`drop "${id}" in the flow "${flow.path}"`)
  return { row, stored: readStored(row) }
}

/**
 * Changes the members of a drop that are given. Elements are replaced together.
 *
 * @throws ThingsError 400 for what is no drop, or has the fhash of another one
 */
export async function changeDrop(
  writing: Writing,
  flow: FlowRow,
  id: unknown,
  changes: unknown,
): Promise<FoundDrop> {
  const { db, now } = writing
  const { row, stored } = await requireDrop(writing, flow, id)
  const members = parseDrop(changes, membersOf(row, stored))
  if (members.fhash !== null && members.fhash !== row.fhash) {
    const other = await findDropByFhash(db, flow.no, members.fhash)
    if (other !== undefined) throw badRequest(`The drop "${other.id}" of the flow has this fhash`)
  }
  const changed: DropRow = {
    ...row,
    fhash: members.fhash,
    drop_json: toStored(members, stored.version + 1, now),
  }
  requireMatch(writing, flow, changed, readStored(changed))
  await updateDrop(db, row, changed)
  return { row: changed, stored: readStored(changed) }
}

/** @throws ThingsError 400, 404 */
export async function removeDrop(writing: Writing, flow: FlowRow, id: unknown): Promise<void> {
  const { row } = await requireDrop(writing, flow, id)
  await deleteDrop(writing.db, row)
}

/** Deletes all drops of a flow. */
export async function emptyFlow({ db }: Writing, flow: FlowRow): Promise<void> {
  await deleteDrops(db, flow.no)
}
