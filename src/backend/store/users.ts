import { type Insertable, type Selectable, sql } from 'kysely'
import { anyNumber, anyText, type Database, isPostgres, type Tables } from './db.ts'
import { prepared } from './prepared.ts'

export type UserRow = Selectable<Tables['users']>

export async function findUser(db: Database, id: number): Promise<UserRow | undefined> {
  return db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
}

/** E-mail addresses are compared without regard to case. */
export async function findUserByEmail(db: Database, email: string): Promise<UserRow | undefined> {
  return db.selectFrom('users').selectAll().where('email', '=', email).executeTakeFirst()
}

export type TokenUserRow = UserRow & {
  scope: string | null
  application_id: number | null
  expires_at: number | null
}

const byTokenHash = prepared<{ hash: string }, TokenUserRow>(
  (db, { hash }) =>
    db
      .selectFrom('tokens')
      .innerJoin('users', 'users.id', 'tokens.user_id')
      .selectAll('users')
      .select(['tokens.scope', 'tokens.application_id', 'tokens.expires_at'])
      .where('tokens.hash', '=', hash),
  { remembers: 'always' },
)

/** The user of a token and, for a token of an application, its scopes. Undefined when the token has expired. */
export async function findUserByTokenHash(db: Database, hash: string): Promise<TokenUserRow | undefined> {
  const [found] = await byTokenHash(db, { hash })
  return found === undefined || (found.expires_at ?? Number.POSITIVE_INFINITY) <= Date.now()
    ? undefined
    : found
}

/** The same for some tokens, without those that have expired or whose user is disabled, by their hashes. */
export async function listUsersByTokenHash(
  db: Database,
  hashes: readonly string[],
): Promise<
  Map<
    string,
    { userId: number; scope: string | null; applicationId: number | null; expiresAt: number | null }
  >
> {
  const rows = await db
    .selectFrom('tokens')
    .innerJoin('users', 'users.id', 'tokens.user_id')
    .select(['tokens.hash', 'tokens.user_id', 'tokens.scope', 'tokens.application_id', 'tokens.expires_at'])
    .where('tokens.hash', 'in', anyText(hashes))
    .where('users.disabled', '=', 0)
    .where((where) =>
      where.or([where('tokens.expires_at', 'is', null), where('tokens.expires_at', '>', Date.now())]),
    )
    .execute()
  return new Map(
    rows.map(({ hash, user_id, scope, application_id, expires_at }) => [
      hash,
      { userId: user_id, scope, applicationId: application_id, expiresAt: expires_at },
    ]),
  )
}

/** Those users that exist. */
export async function listUsersById(db: Database, ids: readonly number[]): Promise<UserRow[]> {
  return db.selectFrom('users').selectAll().where('id', 'in', anyNumber(ids)).orderBy('id').execute()
}

/** The tokens of some users that have not expired. */
export async function listTokensOf(
  db: Database,
  userIds: readonly number[],
): Promise<{ hash: string; user_id: number; scope: string | null }[]> {
  return db
    .selectFrom('tokens')
    .select(['hash', 'user_id', 'scope'])
    .where('user_id', 'in', anyNumber(userIds))
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', Date.now())]))
    .execute()
}

/** Those of these hashes whose token has not expired and whose user is not disabled. */
export async function listValidTokens(db: Database, hashes: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('tokens')
    .innerJoin('users', 'users.id', 'tokens.user_id')
    .select('tokens.hash')
    .where('tokens.hash', 'in', anyText(hashes))
    .where('users.disabled', '=', 0)
    .where((where) =>
      where.or([where('tokens.expires_at', 'is', null), where('tokens.expires_at', '>', Date.now())]),
    )
    .execute()
  return rows.map(({ hash }) => hash)
}

/** Those of these users who are not disabled. */
export async function listEnabledUsers(
  db: Database,
  ids: readonly number[],
): Promise<Pick<UserRow, 'id' | 'password_hash'>[]> {
  return db
    .selectFrom('users')
    .select(['id', 'password_hash'])
    .where('id', 'in', anyNumber(ids))
    .where('disabled', '=', 0)
    .execute()
}

/**
 * The users that `viewerId` may see: all users of the organizations that they administer, users with whom they share a flow, and
 * themselves. [flowdock] users.md, "List Users"
 */
export async function listVisibleUsers(db: Database, viewerId: number): Promise<UserRow[]> {
  const administered = db
    .selectFrom('organization_members as mine')
    .innerJoin('organization_members as theirs', 'theirs.organization_id', 'mine.organization_id')
    .select('theirs.user_id')
    .where('mine.user_id', '=', viewerId)
    .where('mine.admin', '=', 1)
  const together = db
    .selectFrom('flow_members as mine')
    .innerJoin('flow_members as theirs', 'theirs.flow_id', 'mine.flow_id')
    .select('theirs.user_id')
    .where('mine.user_id', '=', viewerId)
    .where('mine.disabled', '=', 0)
  return db
    .selectFrom('users')
    .selectAll()
    .where((where) =>
      where.or([where('id', 'in', administered), where('id', 'in', together), where('id', '=', viewerId)]),
    )
    .orderBy('id')
    .execute()
}

/** The nicks in organizations, those of disabled users included. */
export async function listNicks(
  db: Database,
  organizationIds: readonly number[],
): Promise<{ id: number; nick: string }[]> {
  return db
    .selectFrom('users')
    .innerJoin('organization_members as member', 'member.user_id', 'users.id')
    .select(['users.id', 'users.nick'])
    .where('member.organization_id', 'in', anyNumber(organizationIds))
    .execute()
}

export async function listOrganizationIds(db: Database, userId: number): Promise<number[]> {
  const rows = await db
    .selectFrom('organization_members')
    .select('organization_id')
    .where('user_id', '=', userId)
    .execute()
  return rows.map(({ organization_id }) => organization_id)
}

export async function shareOrganization(db: Database, one: number, other: number): Promise<boolean> {
  if (one === other) return true
  const row = await db
    .selectFrom('organization_members as a')
    .innerJoin('organization_members as b', 'b.organization_id', 'a.organization_id')
    .select('a.organization_id')
    .where('a.user_id', '=', one)
    .where('b.user_id', '=', other)
    .executeTakeFirst()
  return row !== undefined
}

export async function insertUser(
  db: Database,
  user: Omit<Insertable<Tables['users']>, 'disabled' | 'created_at' | 'last_access_at'> & {
    disabled?: number
  },
): Promise<UserRow> {
  const row = await db
    .insertInto('users')
    .values({ disabled: 0, created_at: Date.now(), last_access_at: null, ...user })
    .returningAll()
    .executeTakeFirstOrThrow()
  // SQLite continues after the largest id by itself.
  if (user.id !== undefined && isPostgres(db))
    await sql`select setval(pg_get_serial_sequence('users', 'id'), (select max(id) from users))`.execute(db)
  return row
}

/** @param grant for a token of an application; a personal token has none, and all scopes */
export async function insertToken(
  db: Database,
  hash: string,
  userId: number,
  grant:
    | { applicationId: number; scope: string; expiresAt: number; codeHash: string | null }
    | undefined = undefined,
): Promise<void> {
  await db
    .insertInto('tokens')
    .values({
      hash,
      user_id: userId,
      created_at: Date.now(),
      application_id: grant?.applicationId ?? null,
      scope: grant?.scope ?? null,
      expires_at: grant?.expiresAt ?? null,
      code_hash: grant?.codeHash ?? null,
    })
    .onConflict((conflict) => conflict.column('hash').doNothing())
    .execute()
}

/** Whether a token is one of a user, an application, a source or a flow, removed and expired ones included. */
export async function isTokenTaken(db: Database, token: string, hash: string): Promise<boolean> {
  const rows = await Promise.all([
    db.selectFrom('tokens').select('hash').where('hash', '=', hash).executeTakeFirst(),
    db.selectFrom('oauth_grants').select('hash').where('hash', '=', hash).executeTakeFirst(),
    db.selectFrom('sources').select('id').where('token_hash', '=', hash).executeTakeFirst(),
    db.selectFrom('flows').select('id').where('push_token', '=', token).executeTakeFirst(),
  ])
  return rows.some((row) => row !== undefined)
}

/** All users by id, with their organizations. */
export async function listUsers(db: Database): Promise<(UserRow & { organizations: string[] })[]> {
  const users = await db.selectFrom('users').selectAll().orderBy('id').execute()
  const memberships = await db
    .selectFrom('organization_members as member')
    .innerJoin('organizations', 'organizations.id', 'member.organization_id')
    .select(['member.user_id', 'organizations.slug'])
    .execute()
  const byUser = Map.groupBy(memberships, ({ user_id }) => user_id)
  return users.map((user) => ({
    ...user,
    organizations: (byUser.get(user.id) ?? []).map(({ slug }) => slug),
  }))
}

export async function listTokens(
  db: Database,
  userId: number,
): Promise<{ hash: string; created_at: number }[]> {
  return db
    .selectFrom('tokens')
    .select(['hash', 'created_at'])
    .where('user_id', '=', userId)
    .orderBy('created_at')
    .execute()
}
