import type { Selectable } from 'kysely'
import { anyNumber, type Database, numbersIn, type Tables } from './db.ts'
import { prepared } from './prepared.ts'
import type { UserRow } from './users.ts'

export type OrganizationRow = Selectable<Tables['organizations']> & { user_count: number }

function organizations(db: Database) {
  return db
    .selectFrom('organizations')
    .selectAll('organizations')
    .select((select) =>
      select
        .selectFrom('organization_members')
        .select((member) => member.fn.countAll<number>().as('count'))
        .whereRef('organization_members.organization_id', '=', 'organizations.id')
        .$asScalar()
        .$notNull()
        .as('user_count'),
    )
}

export async function listOrganizations(db: Database, userId: number): Promise<OrganizationRow[]> {
  return organizations(db)
    .innerJoin('organization_members as mine', 'mine.organization_id', 'organizations.id')
    .where('mine.user_id', '=', userId)
    .orderBy('organizations.id')
    .execute()
}

export async function findOrganization(
  db: Database,
  by: { id: number } | { slug: string },
): Promise<OrganizationRow | undefined> {
  if ('id' in by) return (await findOrganizations(db, [by.id]))[0]
  return organizations(db).where('slug', '=', by.slug).executeTakeFirst()
}

const byIds = prepared<{ ids: string }, OrganizationRow>((db, { ids }) =>
  organizations(db).where('id', 'in', numbersIn(ids)),
)

export async function findOrganizations(
  db: Database,
  ids: readonly number[],
): Promise<readonly OrganizationRow[]> {
  return byIds(db, { ids: JSON.stringify(ids) })
}

/** Undefined for a user who is not a member. */
export async function findOrganizationMember(
  db: Database,
  organizationId: number,
  userId: number,
): Promise<{ admin: boolean } | undefined> {
  const row = await db
    .selectFrom('organization_members')
    .select('admin')
    .where('organization_id', '=', organizationId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return row && { admin: row.admin === 1 }
}

/** The organizations of a user. */
export async function listMembershipsOf(
  db: Database,
  userIds: readonly number[],
): Promise<Map<number, { id: number; admin: boolean }[]>> {
  const rows = await db
    .selectFrom('organization_members')
    .select(['user_id', 'organization_id', 'admin'])
    .where('user_id', 'in', anyNumber(userIds))
    .orderBy('organization_id')
    .execute()
  const memberships = new Map<number, { id: number; admin: boolean }[]>(userIds.map((id) => [id, []]))
  for (const { user_id, organization_id, admin } of rows)
    memberships.get(user_id)?.push({ id: organization_id, admin: admin === 1 })
  return memberships
}

export async function listOrganizationUsers(
  db: Database,
  organizationId: number,
): Promise<(UserRow & { admin: number })[]> {
  return db
    .selectFrom('organization_members as member')
    .innerJoin('users', 'users.id', 'member.user_id')
    .selectAll('users')
    .select('member.admin')
    .where('member.organization_id', '=', organizationId)
    .orderBy('users.id')
    .execute()
}

/** The members of several organizations, by organization. */
export async function listUsersOfOrganizations(
  db: Database,
  organizationIds: readonly number[],
): Promise<Map<number, (UserRow & { admin: number })[]>> {
  const rows = await db
    .selectFrom('organization_members as member')
    .innerJoin('users', 'users.id', 'member.user_id')
    .selectAll('users')
    .select(['member.admin', 'member.organization_id'])
    .where('member.organization_id', 'in', anyNumber(organizationIds))
    .orderBy('users.id')
    .execute()
  return Map.groupBy(rows, ({ organization_id }) => organization_id)
}

export async function insertOrganization(
  db: Database,
  organization: { slug: string; name: string },
): Promise<number> {
  const { id } = await db
    .insertInto('organizations')
    .values({ ...organization, active: 1, user_limit: 0, created_at: Date.now() })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

export async function listAllOrganizations(db: Database): Promise<OrganizationRow[]> {
  return organizations(db).orderBy('organizations.id').execute()
}
