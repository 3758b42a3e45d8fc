import type { Selectable } from 'kysely'
import type { Database, Tables } from './db.ts'

export type InvitationRow = Selectable<Tables['invitations']>

export async function listPendingInvitations(db: Database, flowId: string): Promise<InvitationRow[]> {
  return db
    .selectFrom('invitations')
    .selectAll()
    .where('flow_id', '=', flowId)
    .where('state', '=', 'pending')
    .orderBy('id')
    .execute()
}

export async function listInvitationsOf(db: Database, email: string): Promise<InvitationRow[]> {
  return db
    .selectFrom('invitations')
    .selectAll()
    .where('email', '=', email)
    .where('state', '=', 'pending')
    .execute()
}

export async function findInvitation(db: Database, id: number): Promise<InvitationRow | undefined> {
  return db.selectFrom('invitations').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Creates an invitation. If the e-mail address has one already, that one is pending again. */
export async function upsertInvitation(
  db: Database,
  invitation: { flow_id: string; email: string; inviter_id: number },
): Promise<InvitationRow> {
  return db
    .insertInto('invitations')
    .values({ ...invitation, state: 'pending', created_at: Date.now() })
    .onConflict((conflict) => conflict.columns(['flow_id', 'email']).doUpdateSet({ state: 'pending' }))
    .returningAll()
    .executeTakeFirstOrThrow()
}

export async function acceptInvitation(db: Database, id: number): Promise<void> {
  await db.updateTable('invitations').set({ state: 'accepted' }).where('id', '=', id).execute()
}

export async function deleteInvitation(db: Database, id: number): Promise<void> {
  await db.deleteFrom('invitations').where('id', '=', id).execute()
}
