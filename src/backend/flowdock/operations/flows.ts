import { randomUUID } from 'node:crypto'
import type { WireAccessMode } from '../../../wire/flowdock.ts'
import type { Change } from '../../store/change.ts'
import { type Flow, findFlow, insertFlow, newJoinCode } from '../../store/flows.ts'
import { setFlowArchived, updateFlow } from '../../store/rights.ts'
import type { UserRow } from '../../store/users.ts'
import { freeSlug } from '../slug.ts'
import { admitFirstMembers } from './members.ts'

export { rotatePushToken } from '../../store/flows.ts'
export { setFlowOpen } from '../../store/rights.ts'

/**
 * Creates a flow. Its first members receive `flow-add`.
 *
 * @param flow.id a new id by default
 * @param flow.slug a free slug; by default it is made from the name
 * @param flow.accessMode `invitation` by default
 */
export async function createFlow(
  change: Change,
  organizationId: number,
  flow: { name: string; id?: string; slug?: string; description?: string; accessMode?: WireAccessMode },
  members: readonly Pick<UserRow, 'id'>[],
): Promise<Flow> {
  const { db } = change
  const id = flow.id ?? randomUUID()
  await insertFlow(db, {
    id,
    organization_id: organizationId,
    slug: flow.slug ?? (await freeSlug(db, organizationId, flow.name)),
    name: flow.name,
    description: flow.description ?? '',
    access_mode: flow.accessMode ?? 'invitation',
  })
  const created = (await findFlow(db, { id })) as Flow
  await admitFirstMembers(change, created, members)
  return created
}

/** Changes the given properties of a flow. */
export async function editFlow(
  change: Change,
  flow: Flow,
  changes: { name?: string; description?: string; accessMode?: WireAccessMode; archived?: boolean },
): Promise<void> {
  const { accessMode, archived, ...rest } = changes
  await updateFlow(change, flow.id, {
    ...rest,
    ...(accessMode === undefined ? {} : { access_mode: accessMode }),
  })
  if (archived !== undefined) await setArchived(change, flow, archived)
}

/**
 * Archives or restores a flow. The messages of an archived flow stay; it is hidden and accepts no messages. The members receive
 * `flow-remove` or `flow-add`.
 */
export async function setArchived(
  change: Change,
  flow: Pick<Flow, 'id' | 'disabled'>,
  archived: boolean,
): Promise<void> {
  if (archived === (flow.disabled === 1)) return
  await setFlowArchived(change, flow.id, archived)
}

/** Replaces the join URL of a flow. A flow that users join by invitation only can be joined with its URL from now on. */
export async function renewJoinUrl(change: Change, { id }: Pick<Flow, 'id'>): Promise<Flow> {
  const flow = (await findFlow(change.db, { id })) as Flow
  const access_mode = flow.access_mode === 'invitation' ? 'link' : flow.access_mode
  const changes = { access_mode, join_code: newJoinCode() }
  await updateFlow(change, id, changes)
  return { ...flow, ...changes }
}

/** Restricts a flow to users with an invitation: it cannot be joined with its URL or by its organization any more. */
export async function removeJoinUrl(change: Change, { id }: Pick<Flow, 'id'>): Promise<void> {
  await updateFlow(change, id, { access_mode: 'invitation', join_code: newJoinCode() })
}
