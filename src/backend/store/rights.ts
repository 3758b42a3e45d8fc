import type { Selectable } from 'kysely'
import { type NewAvatar, replaceAvatar } from './avatars.ts'
import type { Change } from './change.ts'
import type { Tables } from './db.ts'
import { findFlow, listFlowUsers } from './flows.ts'

/*
 * The statements that change what a user or a credential may read, and what gateways keep of flows. Each publishes what it
 * changes, so that no caller can forget it: to the user, as Flowdock's API says, or as a control event to gateways. Only
 * operations and housekeeping call them.
 */

/** Makes a user a member of a flow: for the first time, or again after they left or were blocked. They receive `flow-add`. */
export async function admitMember(change: Change, flowId: string, userId: number): Promise<void> {
  const row = { flow_id: flowId, user_id: userId, open: 1, disabled: 0, status: null, last_activity: null }
  await change.db
    .insertInto('flow_members')
    .values(row)
    .onConflict((conflict) => conflict.columns(['flow_id', 'user_id']).doUpdateSet({ open: 1, disabled: 0 }))
    .execute()
  await publishAdded(change, flowId, [userId])
}

/**
 * Ends the access of a member, who receives `flow-remove`. The row stays: it says that the user is blocked, or left by
 * themselves.
 */
export async function shutOutMember(change: Change, flowId: string, userId: number): Promise<void> {
  await change.db
    .updateTable('flow_members')
    .set({ open: 0, disabled: 1 })
    .where('flow_id', '=', flowId)
    .where('user_id', '=', userId)
    .execute()
  await publishRemoved(change, flowId, userId)
}

/** Sets whether a member has the flow open. */
export async function setFlowOpen(
  { db, publishControl }: Change,
  flowId: string,
  userId: number,
  isOpen: boolean,
): Promise<void> {
  const open = Number(isOpen)
  const { numUpdatedRows } = await db
    .updateTable('flow_members')
    .set({ open })
    .where('flow_id', '=', flowId)
    .where('user_id', '=', userId)
    .where('open', '!=', open)
    .executeTakeFirst()
  if (numUpdatedRows > 0n) await publishControl({ kind: 'reach', userId })
}

export async function updateFlow(
  { db, publishControl }: Change,
  id: string,
  changes: Partial<Pick<Selectable<Tables['flows']>, 'name' | 'access_mode' | 'description' | 'join_code'>>,
): Promise<void> {
  if (Object.keys(changes).length === 0) return
  await db.updateTable('flows').set(changes).where('id', '=', id).execute()
  await publishControl({ kind: 'flow', flowId: id })
}

/**
 * Archives a flow, or ends that. The members receive `flow-remove` or `flow-add`. Blocked users receive neither, since
 * `flow-add` would make their streams include the flow.
 */
export async function setFlowArchived(change: Change, id: string, isArchived: boolean): Promise<void> {
  const { db } = change
  await db
    .updateTable('flows')
    .set({ disabled: Number(isArchived) })
    .where('id', '=', id)
    .execute()
  await change.publishControl({ kind: 'flow', flowId: id })
  const members = (await listFlowUsers(db, [id])).filter(({ flow_disabled }) => flow_disabled === 0)
  const userIds = members.map((member) => member.id)
  if (!isArchived) await publishAdded(change, id, userIds)
  else for (const userId of userIds) await publishRemoved(change, id, userId)
}

/** Removes a source; its threads stay and still name it. */
export async function deleteSource({ db, publishControl }: Change, id: number): Promise<void> {
  const now = Date.now()
  const source = await db
    .updateTable('sources')
    .set({ deleted_at: now, updated_at: now })
    .where('id', '=', id)
    .returning('flow_id')
    .executeTakeFirst()
  if (source !== undefined) await publishControl({ kind: 'flow', flowId: source.flow_id })
}

export async function updateSource(
  { db, publishControl }: Change,
  id: number,
  changes: { error_message?: string | null; configuration_url?: string | null },
): Promise<void> {
  const source = await db
    .updateTable('sources')
    .set({ ...changes, updated_at: Date.now() })
    .where('id', '=', id)
    .returning('flow_id')
    .executeTakeFirst()
  if (source !== undefined) await publishControl({ kind: 'flow', flowId: source.flow_id })
}

export async function insertOrganizationMember(
  { db, publishControl }: Change,
  organizationId: number,
  userId: number,
  admin: boolean,
): Promise<void> {
  await db
    .insertInto('organization_members')
    .values({ organization_id: organizationId, user_id: userId, admin: Number(admin) })
    .execute()
  await publishControl({ kind: 'reach', userId, organizationId })
}

/** Removes a user from an organization and its flows. The user receives `flow-remove` for each that they are a member of. */
export async function deleteOrganizationMember(
  change: Change,
  organizationId: number,
  userId: number,
): Promise<void> {
  const { db } = change
  const flows = db.selectFrom('flows').select('id').where('organization_id', '=', organizationId)
  const deleted = await db
    .deleteFrom('flow_members')
    .where('user_id', '=', userId)
    .where('flow_id', 'in', flows)
    .returning(['flow_id', 'disabled'])
    .execute()
  await db
    .deleteFrom('organization_members')
    .where('organization_id', '=', organizationId)
    .where('user_id', '=', userId)
    .execute()
  for (const { flow_id, disabled } of deleted)
    if (disabled === 0) await publishRemoved(change, flow_id, userId)
  await change.publishControl({ kind: 'reach', userId, organizationId })
}

/** The control events make gateways read the name again, which they cache with the organization and with each flow. */
export async function renameOrganization(change: Change, id: number, name: string): Promise<void> {
  await change.db.updateTable('organizations').set({ name }).where('id', '=', id).execute()
  await publishOrganization(change, id)
}

/** Its users left and its flows were archived before. Members of its flows who were never its users still read them. */
export async function deactivateOrganization(change: Change, id: number): Promise<void> {
  await change.db.updateTable('organizations').set({ active: 0 }).where('id', '=', id).execute()
  await publishOrganization(change, id)
}

/** With another e-mail address, the password is accepted with that one alone. */
export async function updateUser(
  { db, publishControl }: Change,
  id: number,
  changes: { nick?: string; name?: string; email?: string },
): Promise<void> {
  await db.updateTable('users').set(changes).where('id', '=', id).execute()
  await publishControl({ kind: changes.email === undefined ? 'profile' : 'user', userId: id })
}

/** @param avatar undefined removes the picture, and the generated one is used again */
export async function setUserAvatar(
  { db, publishControl }: Change,
  id: number,
  avatar: NewAvatar | undefined,
): Promise<void> {
  await replaceAvatar(db, id, avatar)
  await publishControl({ kind: 'profile', userId: id })
}

/** A disabled user cannot sign in; their tokens are refused. */
export async function disableUser({ db, publishControl }: Change, id: number): Promise<void> {
  await db.updateTable('users').set({ disabled: 1 }).where('id', '=', id).execute()
  await publishControl({ kind: 'user', userId: id })
}

export async function deleteToken(change: Change, userId: number, hash: string): Promise<void> {
  const deleted = change.db.deleteFrom('tokens').where('user_id', '=', userId).where('hash', '=', hash)
  await publishDeleted(change, await deleted.returning(['hash', 'user_id']).execute())
}

/** Deletes every token and refresh token that a code was exchanged for, directly or by refreshing. */
export async function revokeCode(change: Change, hash: string): Promise<void> {
  const { db } = change
  await db.deleteFrom('oauth_grants').where('code_hash', '=', hash).execute()
  const deleted = db.deleteFrom('tokens').where('code_hash', '=', hash)
  await publishDeleted(change, await deleted.returning(['hash', 'user_id']).execute())
}

/** Deletes a token or a refresh token of an application. */
export async function revokeGranted(change: Change, applicationId: number, hash: string): Promise<void> {
  const { db } = change
  const isIt = { hash, application_id: applicationId }
  await db
    .deleteFrom('oauth_grants')
    .where(({ and }) => and(isIt))
    .execute()
  const deleted = db.deleteFrom('tokens').where(({ and }) => and(isIt))
  await publishDeleted(change, await deleted.returning(['hash', 'user_id']).execute())
}

/** Deletes an application's tokens and its own credentials. Its sources stay, and post with their flow tokens. */
export async function unregisterApplication(change: Change, id: number): Promise<void> {
  const { db } = change
  await db.deleteFrom('oauth_grants').where('application_id', '=', id).execute()
  const deleted = db.deleteFrom('tokens').where('application_id', '=', id)
  await publishDeleted(change, await deleted.returning(['hash', 'user_id']).execute())
  await db
    .updateTable('applications')
    .set({ client_id: null, client_secret: null })
    .where('id', '=', id)
    .execute()
}

/** Deletes codes and tokens that expired some time ago. The clock of a gateway may be slow, so it is told of the tokens. */
export async function deleteExpired(change: Change, before: number): Promise<void> {
  const { db } = change
  await db.deleteFrom('oauth_grants').where('expires_at', '<', before).execute()
  const deleted = db.deleteFrom('tokens').where('expires_at', '<', before)
  await publishDeleted(change, await deleted.returning(['hash', 'user_id']).execute())
}

async function publishDeleted(
  { publishControl }: Change,
  tokens: readonly { readonly hash: string; readonly user_id: number }[],
): Promise<void> {
  for (const { hash, user_id } of tokens)
    await publishControl({ kind: 'token', userId: user_id, tokenHash: hash })
}

/** An organization has no audience of its own: its flows receive the event or, if it has none, one of its users. */
async function publishOrganization({ db, publishControl }: Change, organizationId: number): Promise<void> {
  const flows = await db
    .selectFrom('flows')
    .select('id')
    .where('organization_id', '=', organizationId)
    .execute()
  for (const { id } of flows) await publishControl({ kind: 'flow', flowId: id, organizationId })
  if (flows.length > 0) return
  const member = await db
    .selectFrom('organization_members')
    .select('user_id')
    .where('organization_id', '=', organizationId)
    .orderBy('user_id')
    .limit(1)
    .executeTakeFirst()
  if (member !== undefined) await publishControl({ kind: 'reach', userId: member.user_id, organizationId })
}

/** An archived flow is in no list of a user's flows, so it is not added. */
async function publishAdded(
  { db, publish, publishControl }: Change,
  flowId: string,
  userIds: readonly number[],
): Promise<void> {
  const flow = await findFlow(db, { id: flowId })
  if (flow?.disabled !== 0) {
    for (const userId of userIds) await publishControl({ kind: 'reach', userId })
    return
  }
  const content = { id: flow.id, name: flow.name, organization: flow.organization_name, open: true }
  for (const user of userIds) await publish({ user }, { user, event: 'flow-add', content })
}

async function publishRemoved({ publish }: Change, flowId: string, user: number): Promise<void> {
  await publish({ user }, { user, event: 'flow-remove', content: { id: flowId } })
}
