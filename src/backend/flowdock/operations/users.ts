import { randomBytes } from 'node:crypto'
import type { Change } from '../../store/change.ts'
import { findFlow, listFlows } from '../../store/flows.ts'
import { acceptInvitation, listInvitationsOf } from '../../store/invitations.ts'
import { listAllOrganizations } from '../../store/organizations.ts'
import { disableUser, setUserAvatar, updateUser } from '../../store/rights.ts'
import { findUser, insertUser, type UserRow } from '../../store/users.ts'
import { maxAvatarBytes } from '../avatar.ts'
import { pictureType } from '../image.ts'
import { joinFlow, joinOrganization, publicUser, removeFromOrganization } from './members.ts'
import { recordEvent } from './record.ts'

/**
 * Creates a user in an organization. Invitations to its flows that are pending for their e-mail address are accepted, as if the
 * user joined each flow. An archived flow admits no user, so an invitation to one stays pending.
 *
 * @param user.nick must be unique in the organization
 * @param user.email must be unique on the server
 * @param user.id the next id by default
 * @param user.disabled a disabled user cannot sign in and joins no flow
 */
export async function addUser(
  change: Change,
  organizationId: number,
  user: {
    readonly nick: string
    readonly name: string
    readonly email: string
    readonly id?: number | undefined
    readonly passwordHash?: string | undefined
    readonly admin?: boolean
    readonly disabled?: boolean
  },
): Promise<UserRow> {
  const { db } = change
  const { id, nick, name, email, passwordHash = null, disabled = false } = user
  const row = { nick, name, email, avatar: null, website: null, password_hash: passwordHash }
  const added = await insertUser(db, {
    ...row,
    disabled: Number(disabled),
    ...(id === undefined ? {} : { id }),
  })
  await joinOrganization(change, organizationId, added.id, user.admin)
  if (disabled) return added
  for (const invitation of await listInvitationsOf(db, email)) {
    const flow = await findFlow(db, { id: invitation.flow_id })
    if (flow === undefined || flow.organization_id !== organizationId || flow.disabled === 1) continue
    await joinFlow(change, flow, added, added)
    await acceptInvitation(db, invitation.id)
  }
  return added
}

/** Changes the given properties of a user. Their flows receive `user-edit`. */
export async function editUser(
  change: Change,
  user: UserRow,
  changes: { nick?: string; name?: string; email?: string },
): Promise<UserRow> {
  await updateUser(change, user.id, changes)
  const edited = { ...user, ...changes }
  await publishUserEdited(change, edited)
  return edited
}

/** Disables a user, who leaves every organization and flow. Their messages stay. */
export async function removeUser(change: Change, { id }: UserRow): Promise<void> {
  for (const organization of await listAllOrganizations(change.db))
    await removeFromOrganization(change, organization.id, id)
  await disableUser(change, id)
}

/** What is wrong with a picture, as text after the name of the parameter. Undefined if it is valid. */
export function avatarProblem(bytes: Uint8Array): string | undefined {
  if (bytes.length > maxAvatarBytes) return `is too long (maximum is ${maxAvatarBytes} bytes)`
  return pictureType(bytes) === undefined ? 'must be a PNG, JPEG, GIF or WebP image' : undefined
}

/**
 * Sets the picture of a user. With undefined, the generated picture is used again. Their flows receive `user-edit`.
 *
 * @param bytes a picture that was checked
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
  await setUserAvatar(change, id, avatar)
  const user = await findUser(change.db, id)
  if (user !== undefined) await publishUserEdited(change, user)
  return avatar?.key ?? null
}

async function publishUserEdited(change: Change, user: UserRow): Promise<void> {
  const content = { user: publicUser(user) }
  for (const flow of await listFlows(change.db, user.id, 'joined'))
    await recordEvent(change, flow, { event: 'user-edit', userId: user.id, content })
}
