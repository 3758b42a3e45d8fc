import type { Change } from '../../event-log.ts'
import { type FlowRow, findFlow, isJoined } from '../../store/flows.ts'
import {
  acceptInvitation,
  deleteInvitation,
  type InvitationRow,
  upsertInvitation,
} from '../../store/invitations.ts'
import { findOrganization, findOrganizationMember } from '../../store/organizations.ts'
import { findUserByEmail, type UserRow } from '../../store/users.ts'
import { joinFlow, type MemberFlow } from './members.ts'
import { recordEvent } from './record.ts'

/** What may stand in an invitation: an address, but no list of them and no name around it. */
export const emailPattern = /^[^\s@,<>"]+@[^\s@,<>"]+$/

/** Invites an address. Somebody who is in the organization already comes in at once. */
export async function invite(
  change: Change,
  flow: FlowRow,
  email: string,
  by: UserRow,
): Promise<{ invitation: InvitationRow; added: UserRow | undefined }> {
  const { db } = change
  const invitation = await upsertInvitation(db, { flow_id: flow.id, email, inviter_id: by.id })
  const user = await findUserByEmail(db, email)
  const seat = user && (await findOrganizationMember(db, flow.organization_id, user.id))
  if (user === undefined || seat === undefined) {
    await tellAction(change, flow, by, 'invite', email)
    return { invitation, added: undefined }
  }
  const theirs = await findFlow(db, user.id, { id: flow.id })
  if (theirs !== undefined && !isJoined(theirs))
    await joinFlow(change, await memberFlow(change, flow), user, by)
  await acceptInvitation(db, invitation.id)
  return { invitation: { ...invitation, state: 'accepted' }, added: user }
}

async function tellAction(
  change: Change,
  flow: FlowRow,
  by: UserRow,
  type: string,
  email: string,
): Promise<void> {
  const content = { type, description: { email } }
  await recordEvent(change, flow, { event: 'action', userId: by.id, content, app: 'chat' })
}

/** A flow with what people are told of it who come into it. */
export async function memberFlow({ db }: Change, flow: FlowRow): Promise<MemberFlow & FlowRow> {
  const organization = await findOrganization(db, { id: flow.organization_id })
  return { ...flow, organization_name: organization?.name ?? '' }
}

/** Takes a pending invitation back, or declines it for whom it was for. */
export async function withdrawInvitation(
  change: Change,
  flow: FlowRow,
  invitation: InvitationRow,
  by: UserRow,
): Promise<void> {
  await deleteInvitation(change.db, invitation.id)
  const declined = invitation.email.toLowerCase() === by.email.toLowerCase()
  await tellAction(change, flow, by, declined ? 'decline' : 'uninvite', invitation.email)
}
