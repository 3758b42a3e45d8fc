import type { Change } from '../../store/change.ts'
import { type FlowItself, findFlowAccess, isJoined } from '../../store/flows.ts'
import {
  acceptInvitation,
  deleteInvitation,
  type InvitationRow,
  upsertInvitation,
} from '../../store/invitations.ts'
import { findOrganizationMember } from '../../store/organizations.ts'
import { findUserByEmail, type UserRow } from '../../store/users.ts'
import { joinFlow } from './members.ts'
import { recordEvent } from './record.ts'

/** An e-mail address alone: no list of them, and no name around it. */
export const emailPattern = /^[^\s@,<>"]+@[^\s@,<>"]+$/

/**
 * Invites an e-mail address to a flow. A user of the organization who has it becomes a member of the flow at once; otherwise
 * the flow receives the action.
 *
 * @returns the invitation, and the user who became a member or was one
 */
export async function invite(
  change: Change,
  flow: FlowItself,
  email: string,
  by: UserRow,
): Promise<{ invitation: InvitationRow; added: UserRow | undefined }> {
  const { db } = change
  const invitation = await upsertInvitation(db, { flow_id: flow.id, email, inviter_id: by.id })
  const user = await findUserByEmail(db, email)
  if (user === undefined || (await findOrganizationMember(db, flow.organization_id, user.id)) === undefined) {
    await recordInvitation(change, flow, by, 'invite', email)
    return { invitation, added: undefined }
  }
  const access = await findFlowAccess(db, user.id, flow.id)
  if (access !== undefined && !isJoined(access)) await joinFlow(change, flow, user, by)
  await acceptInvitation(db, invitation.id)
  return { invitation: { ...invitation, state: 'accepted' }, added: user }
}

/** Deletes a pending invitation: `by` withdraws it or, with the invited e-mail address, declines it. */
export async function withdrawInvitation(
  change: Change,
  flow: FlowItself,
  invitation: InvitationRow,
  by: UserRow,
): Promise<void> {
  await deleteInvitation(change.db, invitation.id)
  const declined = invitation.email.toLowerCase() === by.email.toLowerCase()
  await recordInvitation(change, flow, by, declined ? 'decline' : 'uninvite', invitation.email)
}

async function recordInvitation(
  change: Change,
  flow: FlowItself,
  by: UserRow,
  type: 'invite' | 'uninvite' | 'decline',
  email: string,
): Promise<void> {
  const content = { type, description: { email } }
  await recordEvent(change, flow, { event: 'action', userId: by.id, content, app: 'chat' })
}
