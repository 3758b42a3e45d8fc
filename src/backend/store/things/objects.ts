import type { Insertable, Selectable } from 'kysely'
import { anyText, type Database, type Tables } from '../db.ts'
import { prepared } from '../prepared.ts'

export type ObjectRow = Selectable<Tables['things_objects']>
export type NewObject = Insertable<Tables['things_objects']>

const byId = prepared<{ id: string }, ObjectRow>((db, { id }) =>
  db.selectFrom('things_objects').selectAll().where('id', '=', id),
)

export async function findObject(db: Database, id: string): Promise<ObjectRow | undefined> {
  return (await byId(db, { id }))[0]
}

export async function listObjectsById(db: Database, ids: readonly string[]): Promise<ObjectRow[]> {
  return db.selectFrom('things_objects').selectAll().where('id', 'in', anyText(ids)).execute()
}

/** The objects of one kind, oldest first, after the number `after`. */
export async function listObjects(
  db: Database,
  accountId: number,
  kind: string,
  after: number,
  limit: number,
): Promise<ObjectRow[]> {
  return db
    .selectFrom('things_objects')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('kind', '=', kind)
    .where('no', '>', after)
    .orderBy('no')
    .limit(limit)
    .execute()
}

const bySubject = prepared<{ kind: string; subject: string }, ObjectRow>(
  (db, { kind, subject }) =>
    db
      .selectFrom('things_objects')
      .selectAll()
      .where('subject', '=', subject)
      .where('kind', '=', kind)
      .orderBy('no'),
  { remembers: 'transaction' },
)

/** The objects of one kind with a subject, oldest first. */
export async function listObjectsBySubject(
  db: Database,
  kind: string,
  subject: string,
): Promise<readonly ObjectRow[]> {
  return bySubject(db, { kind, subject })
}

const sharesWith = prepared<{ identityId: string }, ObjectRow>(
  (db, { identityId }) =>
    db
      .selectFrom('things_objects')
      .selectAll()
      .where('kind', '=', 'share')
      .where((where) =>
        where.or([
          where('subject', '=', identityId),
          where('subject', 'in', (query) =>
            query.selectFrom('things_members').select('group_id').where('identity_id', '=', identityId),
          ),
        ]),
      )
      .orderBy('no'),
  { remembers: 'transaction' },
)

/** The shares for an identity, or for a group with it, that have not expired. */
export async function listSharesWith(db: Database, identityId: string, now: number): Promise<ObjectRow[]> {
  const shares = await sharesWith(db, { identityId })
  return shares.filter(({ expires_at }) => expires_at === null || expires_at > now)
}

export async function insertObject(db: Database, object: NewObject): Promise<ObjectRow> {
  return db.insertInto('things_objects').values(object).returningAll().executeTakeFirstOrThrow()
}

export async function updateObject(
  db: Database,
  no: number,
  changes: Partial<Pick<ObjectRow, 'object_json' | 'subject'>>,
): Promise<void> {
  await db.updateTable('things_objects').set(changes).where('no', '=', no).execute()
}

export async function deleteObject(db: Database, { no, id, kind }: ObjectRow): Promise<void> {
  if (kind === 'group') await setGroupMembers(db, id, [])
  await db.deleteFrom('things_objects').where('no', '=', no).execute()
}

export async function setGroupMembers(
  db: Database,
  groupId: string,
  identityIds: readonly string[],
): Promise<void> {
  await db.deleteFrom('things_members').where('group_id', '=', groupId).execute()
  const rows = [...new Set(identityIds)].map((identity_id) => ({ group_id: groupId, identity_id }))
  if (rows.length > 0) await db.insertInto('things_members').values(rows).execute()
}

/** The groups that an identity is a member of. */
export async function listGroupIds(db: Database, identityId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('things_members')
    .select('group_id')
    .where('identity_id', '=', identityId)
    .execute()
  return rows.map(({ group_id }) => group_id)
}

/** Deletes tokens and shares that expired before a time. */
export async function deleteExpiredObjects(db: Database, before: number): Promise<void> {
  await db.deleteFrom('things_objects').where('expires_at', '<', before).execute()
}
