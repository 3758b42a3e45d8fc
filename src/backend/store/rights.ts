import type { Selectable } from 'kysely'
import type { Change } from './change.ts'
import type { Tables } from './db.ts'

/*
 * The statements that change what a user may read. Each takes a `Change`, so that it can publish the change of rights. Only
 * operations call them.
 */

/** Makes a user a member of a flow, also one who left it or was blocked. */
export async function admitMember({ db }: Change, flowId: string, userId: number): Promise<void> {
  const row = { flow_id: flowId, user_id: userId, open: 1, disabled: 0, status: null, last_activity: null }
  await db
    .insertInto('flow_members')
    .values(row)
    .onConflict((conflict) => conflict.columns(['flow_id', 'user_id']).doUpdateSet({ open: 1, disabled: 0 }))
    .execute()
}

/** Ends the access of a member. The row stays and says whether the user was blocked or left. */
export async function shutOutMember({ db }: Change, flowId: string, userId: number): Promise<void> {
  await db
    .updateTable('flow_members')
    .set({ open: 0, disabled: 1 })
    .where('flow_id', '=', flowId)
    .where('user_id', '=', userId)
    .execute()
}

export async function updateFlow(
  { db }: Change,
  id: string,
  changes: Partial<
    Pick<Selectable<Tables['flows']>, 'name' | 'access_mode' | 'disabled' | 'description' | 'join_code'>
  >,
): Promise<void> {
  if (Object.keys(changes).length > 0)
    await db.updateTable('flows').set(changes).where('id', '=', id).execute()
}

export async function insertOrganizationMember(
  { db }: Change,
  organizationId: number,
  userId: number,
  admin: boolean,
): Promise<void> {
  await db
    .insertInto('organization_members')
    .values({ organization_id: organizationId, user_id: userId, admin: Number(admin) })
    .execute()
}

/** Removes a user from an organization and its flows. */
export async function deleteOrganizationMember(
  { db }: Change,
  organizationId: number,
  userId: number,
): Promise<void> {
  const flows = db.selectFrom('flows').select('id').where('organization_id', '=', organizationId)
  await db.deleteFrom('flow_members').where('user_id', '=', userId).where('flow_id', 'in', flows).execute()
  await db
    .deleteFrom('organization_members')
    .where('organization_id', '=', organizationId)
    .where('user_id', '=', userId)
    .execute()
}

export async function deactivateOrganization({ db }: Change, id: number): Promise<void> {
  await db.updateTable('organizations').set({ active: 0 }).where('id', '=', id).execute()
}

/** A disabled user cannot sign in; their tokens are refused. */
export async function disableUser({ db }: Change, id: number): Promise<void> {
  await db.updateTable('users').set({ disabled: 1 }).where('id', '=', id).execute()
}

export async function deleteToken({ db }: Change, userId: number, hash: string): Promise<void> {
  await db.deleteFrom('tokens').where('user_id', '=', userId).where('hash', '=', hash).execute()
}

/** Deletes every token and refresh token that a code was exchanged for, directly or by refreshing. */
export async function revokeCode({ db }: Change, hash: string): Promise<void> {
  await db.deleteFrom('tokens').where('code_hash', '=', hash).execute()
  await db.deleteFrom('oauth_grants').where('code_hash', '=', hash).execute()
}

/** Deletes a token or a refresh token of an application. */
export async function revokeGranted({ db }: Change, applicationId: number, hash: string): Promise<void> {
  for (const table of ['oauth_grants', 'tokens'] as const)
    await db.deleteFrom(table).where('hash', '=', hash).where('application_id', '=', applicationId).execute()
}

/** Deletes an application's tokens and its own credentials. Its sources stay, and post with their flow tokens. */
export async function unregisterApplication({ db }: Change, id: number): Promise<void> {
  await db.deleteFrom('oauth_grants').where('application_id', '=', id).execute()
  await db.deleteFrom('tokens').where('application_id', '=', id).execute()
  await db
    .updateTable('applications')
    .set({ client_id: null, client_secret: null })
    .where('id', '=', id)
    .execute()
}
