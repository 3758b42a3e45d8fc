import { randomBytes } from 'node:crypto'
import type { Change } from '../../event-log.ts'
import { replaceAvatar } from '../../store/avatars.ts'
import {
  listFlowIds,
  listFlows,
  listMemberFlows,
  rotateSecrets,
  upsertFlowMember,
} from '../../store/flows.ts'
import { deleteOrganizationMember, findOrganizationMember } from '../../store/organizations.ts'
import { findUser, type UserRow } from '../../store/users.ts'
import { maxAvatarBytes } from '../avatar.ts'
import { encodeUser, storedBase } from '../encode.ts'
import { pictureType } from '../image.ts'
import { type FlowChannel, recordEvent } from './record.ts'

/** What people are told of a flow they came into. */
export interface MemberFlow extends FlowChannel {
  readonly name: string
  readonly organization_name: string
}

/** `user` comes into the flow, by themselves or added by `by`. */
export async function joinFlow(change: Change, flow: MemberFlow, user: UserRow, by: UserRow): Promise<void> {
  await upsertFlowMember(change.db, flow.id, user.id, { open: 1, disabled: 0 })
  const content = by.id === user.id ? { type: 'join' } : { type: 'add_people', description: user.nick }
  await recordEvent(change, flow, { event: 'action', userId: by.id, content, app: 'chat' })
  await recordEvent(change, flow, {
    event: 'backend.user.join',
    userId: user.id,
    content: { user: shownUser(user) },
  })
  await tellFlowAdded(change, flow, user.id)
}

/**
 * `user` loses access to the flow; `by` did it. Where that is another user, the flow's secrets are rotated, since the blocked
 * user may know them. A user who leaves by themselves may come back, and must not stop what posts with the push token.
 */
export async function blockMember(
  change: Change,
  flow: MemberFlow,
  user: UserRow,
  by: UserRow,
): Promise<void> {
  await upsertFlowMember(change.db, flow.id, user.id, { disabled: 1, open: 0 })
  if (by.id !== user.id) await rotateSecrets(change.db, [flow.id])
  await recordEvent(change, flow, {
    event: 'action',
    userId: by.id,
    content: { type: 'block', description: { user: user.id } },
    app: 'chat',
  })
  await recordEvent(change, flow, {
    event: 'backend.user.block',
    userId: by.id,
    content: String(user.id),
  })
  await tellFlowRemoved(change, flow, user.id)
}

/**
 * Removes a user from an organization and its flows, and rotates the secrets of all its flows, since they may know them.
 * What they wrote stays.
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
  for (const flow of flows) {
    await recordEvent(change, flow, { event: 'backend.user.block', userId: by, content: String(userId) })
    await tellFlowRemoved(change, flow, userId)
  }
  await deleteOrganizationMember(change.db, organizationId, userId)
  await rotateSecrets(change.db, await listFlowIds(change.db, organizationId))
}

/** Tells every flow of somebody that their profile changed. */
export async function tellUserEdited(change: Change, user: UserRow): Promise<void> {
  const content = { user: shownUser(user) }
  for (const flow of await listFlows(change.db, user.id, 'joined'))
    await recordEvent(change, flow, { event: 'user-edit', userId: user.id, content })
}

function shownUser(user: UserRow) {
  const { id, nick, name, email, avatar } = encodeUser(user, storedBase)
  return { id, nick, name, email, avatar }
}

/** What is wrong with a picture that somebody wants to set; undefined when nothing is. */
export function avatarProblem(bytes: Uint8Array): string | undefined {
  if (bytes.length > maxAvatarBytes) return `is too long (maximum is ${maxAvatarBytes} bytes)`
  return pictureType(bytes) === undefined ? 'must be a PNG, JPEG, GIF or WebP image' : undefined
}

/**
 * Sets the picture of a user; undefined brings the generated one back. The flows of the user are told.
 *
 * @param bytes a picture that has no problem
 * @returns the key of the picture; null for the generated one
 */
export async function setAvatar(
  change: Change,
  { id }: Pick<UserRow, 'id'>,
  bytes: Uint8Array | undefined,
): Promise<string | null> {
  const type = bytes && pictureType(bytes)
  const avatar =
    bytes === undefined || type === undefined
      ? undefined
      : { key: randomBytes(16).toString('hex'), content_type: type, bytes }
  await replaceAvatar(change.db, id, avatar)
  const user = await findUser(change.db, id)
  if (user !== undefined) await tellUserEdited(change, user)
  return avatar?.key ?? null
}

export async function tellFlowAdded(change: Change, flow: MemberFlow, userId: number): Promise<void> {
  const content = { id: flow.id, name: flow.name, organization: flow.organization_name, open: true }
  await change.tell({ userId, payload: { user: userId, event: 'flow-add', content } })
}

export async function tellFlowRemoved(change: Change, flow: FlowChannel, userId: number): Promise<void> {
  await change.tell({ userId, payload: { user: userId, event: 'flow-remove', content: { id: flow.id } } })
}
