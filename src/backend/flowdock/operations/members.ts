import type { Change } from '../../store/change.ts'
import { type FlowItself, listFlowIds, listMemberFlows, rotateSecrets } from '../../store/flows.ts'
import { findOrganizationMember, listOrganizationUsers } from '../../store/organizations.ts'
import {
  admitMember,
  deleteOrganizationMember,
  insertOrganizationMember,
  shutOutMember,
} from '../../store/rights.ts'
import type { UserRow } from '../../store/users.ts'
import type { FlowChannel } from '../channel.ts'
import { encodeUser, storedBase } from '../encode.ts'
import { recordEvent } from './record.ts'

/** Makes users the first members of a flow. They receive `flow-add`, and no messages say that they joined. */
export async function admitFirstMembers(
  change: Change,
  flow: FlowItself,
  users: readonly Pick<UserRow, 'id'>[],
): Promise<void> {
  for (const { id } of users) await admitMember(change, flow.id, id)
}

/**
 * Makes a user a member of a flow: they join by themselves, or `by` adds them. The flow receives the action and
 * `backend.user.join`, the user `flow-add`.
 */
export async function joinFlow(change: Change, flow: FlowItself, user: UserRow, by: UserRow): Promise<void> {
  const content = by.id === user.id ? { type: 'join' } : { type: 'add_people', description: user.nick }
  await recordEvent(change, flow, { event: 'action', userId: by.id, content, app: 'chat' })
  const joined = { user: publicUser(user) }
  await recordEvent(change, flow, { event: 'backend.user.join', userId: user.id, content: joined })
  await admitMember(change, flow.id, user.id)
}

/**
 * Ends a user's access to a flow: they leave, or `by` blocks them. The flow receives the action and `backend.user.block`, the
 * user `flow-remove`. A block replaces the join URL and the push token of the flow, since the user may know them. A user who
 * leaves may come back, and must not be able to stop programs that use the push token.
 */
export async function blockMember(
  change: Change,
  flow: FlowItself,
  user: UserRow,
  by: UserRow,
): Promise<void> {
  if (by.id !== user.id) await rotateSecrets(change.db, [flow.id])
  const content = { type: 'block', description: { user: user.id } }
  await recordEvent(change, flow, { event: 'action', userId: by.id, content, app: 'chat' })
  await publishBlocked(change, flow, user.id, by.id)
}

/** Makes a user a member of an organization. Nothing changes for a user who is a member already. */
export async function joinOrganization(
  change: Change,
  organizationId: number,
  userId: number,
  admin = false,
): Promise<void> {
  if ((await findOrganizationMember(change.db, organizationId, userId)) === undefined)
    await insertOrganizationMember(change, organizationId, userId, admin)
}

/**
 * Removes a user from an organization and its flows. Each flow receives `backend.user.block`, the user `flow-remove`. All flows
 * of the organization have other join URLs and push tokens, since the user may know the old ones. Messages of the user stay.
 */
export async function leaveOrganization(
  change: Change,
  organizationId: number,
  userId: number,
  by: number,
): Promise<void> {
  const flows = await listMemberFlows(change.db, organizationId, userId)
  const member = await findOrganizationMember(change.db, organizationId, userId)
  if (member === undefined && flows.length === 0) return
  for (const flow of flows) await publishBlocked(change, flow, userId, by)
  await deleteOrganizationMember(change, organizationId, userId)
  await rotateSecrets(change.db, await listFlowIds(change.db, organizationId))
}

/**
 * The same for a command of the operator, who is no user: the events name an administrator of the organization, as with other
 * commands; the user where no other administrates it.
 */
export async function removeFromOrganization(
  change: Change,
  organizationId: number,
  userId: number,
): Promise<void> {
  const users = await listOrganizationUsers(change.db, organizationId)
  const administrator = users.find(({ id, admin }) => admin === 1 && id !== userId)
  await leaveOrganization(change, organizationId, userId, administrator?.id ?? userId)
}

async function publishBlocked(change: Change, flow: FlowChannel, userId: number, by: number): Promise<void> {
  await recordEvent(change, flow, { event: 'backend.user.block', userId: by, content: String(userId) })
  await shutOutMember(change, flow.id, userId)
}

/** A user as events show them. */
export function publicUser(user: UserRow) {
  const { id, nick, name, email, avatar } = encodeUser(user, storedBase)
  return { id, nick, name, email, avatar }
}
