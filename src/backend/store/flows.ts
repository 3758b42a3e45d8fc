import { randomBytes } from 'node:crypto'
import type { Selectable } from 'kysely'
import { anyNumber, anyText, type Database, type Tables } from './db.ts'
import { prepared } from './prepared.ts'
import type { UserRow } from './users.ts'

/** The columns of a flow that do not depend on the viewer, without those that each message changes. */
export interface FlowItself extends Omit<Selectable<Tables['flows']>, 'last_message_id' | 'last_message_at'> {
  organization_slug: string
  organization_name: string
}

/** The columns of a flow that do not depend on the viewer. */
export interface Flow extends FlowItself {
  last_message_id: number | null
  last_message_at: number | null
}

/** What a user is to a flow. */
interface Membership {
  /** `blocked` and `open` are null when the viewer was never a member. */
  open: number | null
  blocked: number | null
  /** Null when the viewer is not in the organization. */
  organization_admin: number | null
}

/** A flow and what one user is to it, without what each message changes. */
export type AccessedFlow = FlowItself & Membership

/** A flow as one user sees it. */
export interface FlowRow extends Flow, Membership {
  unread_mentions: number
}

export type FlowUserRow = UserRow & {
  flow_id: string
  flow_status: string | null
  flow_disabled: number
  last_activity: number | null
}

/** What decides whether a user may see a flow, and write to it. */
export type FlowAccess = Pick<FlowRow, 'access_mode' | 'disabled' | 'blocked' | 'organization_admin'>

/** Whether the viewer of this row is a member who may read and write. */
export function isJoined(flow: Pick<FlowRow, 'blocked'>): boolean {
  return flow.blocked === 0
}

/** The viewer, and the tag that marks their unread messages. */
interface Viewer {
  readonly viewer: number
  readonly unread: string
}

function viewing(viewer: number): Viewer {
  return { viewer, unread: `:unread:${viewer}` }
}

function flows(db: Database) {
  return db
    .selectFrom('flows')
    .innerJoin('organizations', 'organizations.id', 'flows.organization_id')
    .selectAll('flows')
    .select(['organizations.slug as organization_slug', 'organizations.name as organization_name'])
}

function viewedFlows(db: Database, { viewer: viewerId, unread }: Viewer) {
  return flows(db)
    .leftJoin('flow_members as mine', (join) =>
      join.onRef('mine.flow_id', '=', 'flows.id').on('mine.user_id', '=', viewerId),
    )
    .leftJoin('organization_members as seat', (join) =>
      join.onRef('seat.organization_id', '=', 'flows.organization_id').on('seat.user_id', '=', viewerId),
    )
    .select(['mine.open as open', 'mine.disabled as blocked', 'seat.admin as organization_admin'])
    .select((select) =>
      select
        .selectFrom('message_tags')
        .select((tag) => tag.fn.countAll<number>().as('count'))
        .whereRef('message_tags.channel_id', '=', 'flows.channel_id')
        .where('message_tags.tag', '=', unread)
        .$asScalar()
        .$notNull()
        .as('unread_mentions'),
    )
}

const joinedFlows = prepared<Viewer, FlowRow>((db, viewer) =>
  viewedFlows(db, viewer)
    .where('flows.disabled', '=', 0)
    .where('mine.disabled', '=', 0)
    .orderBy('flows.created_at')
    .orderBy('flows.id'),
)

/**
 * The flows `viewerId` has joined or, with `scope: 'all'`, could join too. Archived flows are left out.
 *
 * @param organizationId only the flows of this organization
 */
export async function listFlows(
  db: Database,
  viewerId: number,
  scope: 'joined' | 'all',
  organizationId?: number,
): Promise<readonly FlowRow[]> {
  if (scope === 'joined' && organizationId === undefined) return joinedFlows(db, viewing(viewerId))
  let query = viewedFlows(db, viewing(viewerId)).where('flows.disabled', '=', 0)
  if (organizationId !== undefined) query = query.where('flows.organization_id', '=', organizationId)
  query =
    scope === 'joined'
      ? query.where('mine.disabled', '=', 0)
      : query.where((where) =>
          where.or([
            where('mine.disabled', '=', 0),
            where.and([
              where('seat.user_id', 'is not', null),
              where('flows.access_mode', '=', 'organization'),
              where('mine.disabled', 'is', null),
            ]),
          ]),
        )
  return query.orderBy('flows.created_at').orderBy('flows.id').execute()
}

const flowById = prepared<{ id: string }, Flow>((db, by) => flows(db).where('flows.id', '=', by.id))
const flowByPath = prepared<{ organization: string; slug: string }, Flow>((db, by) =>
  flows(db).where('organizations.slug', '=', by.organization).where('flows.slug', '=', by.slug),
)
const flowByPushToken = prepared<{ pushToken: string }, Flow>((db, by) =>
  flows(db).where('flows.push_token', '=', by.pushToken),
)

/** A flow without a viewer, for the server itself. */
export async function findFlow(
  db: Database,
  by: { id: string } | { organization: string; slug: string } | { pushToken: string },
): Promise<Flow | undefined> {
  if ('id' in by) return (await flowById(db, by))[0]
  if ('slug' in by) return (await flowByPath(db, by))[0]
  return (await flowByPushToken(db, by))[0]
}

const viewedById = prepared<Viewer & { id: string }, FlowRow>((db, by) =>
  viewedFlows(db, by).where('flows.id', '=', by.id),
)
const viewedByPath = prepared<Viewer & { organization: string; slug: string }, FlowRow>((db, by) =>
  viewedFlows(db, by).where('organizations.slug', '=', by.organization).where('flows.slug', '=', by.slug),
)
const viewedByChannel = prepared<Viewer & { channelId: number }, FlowRow>((db, by) =>
  viewedFlows(db, by).where('flows.channel_id', '=', by.channelId),
)
const viewedByJoinCode = prepared<Viewer & { joinCode: string }, FlowRow>((db, by) =>
  viewedFlows(db, by).where('flows.join_code', '=', by.joinCode),
)

/** A flow as one user would see it. It is also found when the user may not see it. */
export async function findViewedFlow(
  db: Database,
  viewerId: number,
  by: { id: string } | { organization: string; slug: string } | { joinCode: string } | { channelId: number },
): Promise<FlowRow | undefined> {
  const viewer = viewing(viewerId)
  if ('id' in by) return (await viewedById(db, { ...viewer, ...by }))[0]
  if ('slug' in by) return (await viewedByPath(db, { ...viewer, ...by }))[0]
  if ('channelId' in by) return (await viewedByChannel(db, { ...viewer, ...by }))[0]
  return (await viewedByJoinCode(db, { ...viewer, ...by }))[0]
}

const accessByPath = prepared<{ viewer: number; organization: string; slug: string }, AccessedFlow>(
  (db, { viewer, organization, slug }) =>
    db
      .selectFrom('flows')
      .innerJoin('organizations', 'organizations.id', 'flows.organization_id')
      .leftJoin('flow_members as mine', (join) =>
        join.onRef('mine.flow_id', '=', 'flows.id').on('mine.user_id', '=', viewer),
      )
      .leftJoin('organization_members as seat', (join) =>
        join.onRef('seat.organization_id', '=', 'flows.organization_id').on('seat.user_id', '=', viewer),
      )
      .select(['flows.id', 'flows.channel_id', 'flows.organization_id', 'flows.slug', 'flows.name'])
      .select(['flows.description', 'flows.access_mode', 'flows.join_code', 'flows.push_token'])
      .select(['flows.disabled', 'flows.created_at'])
      .select(['organizations.slug as organization_slug', 'organizations.name as organization_name'])
      .select(['mine.open as open', 'mine.disabled as blocked', 'seat.admin as organization_admin'])
      .where('organizations.slug', '=', organization)
      .where('flows.slug', '=', slug),
  { remembers: 'always' },
)

/** The flow with a path. It is also found when the user may not see it. */
export async function findAccessedFlow(
  db: Database,
  viewer: number,
  path: { organization: string; slug: string },
): Promise<AccessedFlow | undefined> {
  return (await accessByPath(db, { viewer, ...path }))[0]
}

const accessById = prepared<{ viewer: number; id: string }, FlowAccess>(
  (db, { viewer, id }) =>
    db
      .selectFrom('flows')
      .leftJoin('flow_members as mine', (join) =>
        join.onRef('mine.flow_id', '=', 'flows.id').on('mine.user_id', '=', viewer),
      )
      .leftJoin('organization_members as seat', (join) =>
        join.onRef('seat.organization_id', '=', 'flows.organization_id').on('seat.user_id', '=', viewer),
      )
      .select([
        'flows.access_mode',
        'flows.disabled',
        'mine.disabled as blocked',
        'seat.admin as organization_admin',
      ])
      .where('flows.id', '=', id),
  { remembers: 'always' },
)

/** The access of a user to a flow; undefined when the flow does not exist. */
export async function findFlowAccess(
  db: Database,
  viewer: number,
  id: string,
): Promise<FlowAccess | undefined> {
  return (await accessById(db, { viewer, id }))[0]
}

export async function isFlowSlugTaken(db: Database, organizationId: number, slug: string): Promise<boolean> {
  const row = await db
    .selectFrom('flows')
    .select('id')
    .where('organization_id', '=', organizationId)
    .where('slug', '=', slug)
    .executeTakeFirst()
  return row !== undefined
}

/** The members of the given flows, blocked ones included, ordered by user id. */
export async function listFlowUsers(db: Database, flowIds: readonly string[]): Promise<FlowUserRow[]> {
  if (flowIds.length === 0) return []
  return db
    .selectFrom('flow_members as member')
    .innerJoin('users', 'users.id', 'member.user_id')
    .selectAll('users')
    .select([
      'member.flow_id as flow_id',
      'member.status as flow_status',
      'member.disabled as flow_disabled',
      'member.last_activity as last_activity',
    ])
    .where('member.flow_id', 'in', anyText(flowIds))
    .orderBy('users.id')
    .execute()
}

const mentionable = prepared<{ flow: string }, { id: number; nick: string }>(
  (db, { flow }) =>
    db
      .selectFrom('flow_members as member')
      .innerJoin('users', 'users.id', 'member.user_id')
      .select(['users.id', 'users.nick'])
      .where('member.flow_id', '=', flow)
      .where('member.disabled', '=', 0)
      .where('users.disabled', '=', 0)
      .orderBy('users.id'),
  { remembers: 'always' },
)

/** The users who can be mentioned in a flow. */
export async function listMentionable(
  db: Database,
  flowId: string,
): Promise<readonly { id: number; nick: string }[]> {
  return mentionable(db, { flow: flowId })
}

/** The secret of a join URL. */
export function newJoinCode(): string {
  return randomBytes(20).toString('hex')
}

function newPushToken(): string {
  return randomBytes(16).toString('hex')
}

export async function insertFlow(
  db: Database,
  flow: Pick<
    Selectable<Tables['flows']>,
    'id' | 'organization_id' | 'slug' | 'name' | 'description' | 'access_mode'
  >,
): Promise<void> {
  const { id: channelId } = await db
    .insertInto('channels')
    .values({ last_id: 0 })
    .returning('id')
    .executeTakeFirstOrThrow()
  await db
    .insertInto('flows')
    .values({
      ...flow,
      channel_id: channelId,
      join_code: newJoinCode(),
      push_token: newPushToken(),
      disabled: 0,
      last_message_id: null,
      last_message_at: null,
      created_at: Date.now(),
    })
    .execute()
}

/** Replaces the push token of a flow. Resolves with the new one. */
export async function rotatePushToken(
  db: Database,
  id: string,
  token: string = newPushToken(),
): Promise<string> {
  await db.updateTable('flows').set({ push_token: token }).where('id', '=', id).execute()
  return token
}

/** Replaces the join URL and the push token of flows, for users who know them and lost access. */
export async function rotateSecrets(db: Database, flowIds: readonly string[]): Promise<void> {
  for (const id of flowIds)
    await db
      .updateTable('flows')
      .set({ join_code: newJoinCode(), push_token: newPushToken() })
      .where('id', '=', id)
      .execute()
}

/** Sets the status of a member. */
export async function setMemberStatus(
  db: Database,
  flowId: string,
  userId: number,
  status: string,
): Promise<void> {
  await db
    .updateTable('flow_members')
    .set({ status })
    .where('flow_id', '=', flowId)
    .where('user_id', '=', userId)
    .execute()
}

/** The ids of all flows of an organization, archived ones included. */
export async function listFlowIds(db: Database, organizationId: number): Promise<string[]> {
  const rows = await db
    .selectFrom('flows')
    .select('id')
    .where('organization_id', '=', organizationId)
    .execute()
  return rows.map(({ id }) => id)
}

/** The id of the newest message of a channel. */
export async function channelLastId(db: Database, channelId: number): Promise<number> {
  const row = await db.selectFrom('channels').select('last_id').where('id', '=', channelId).executeTakeFirst()
  return row?.last_id ?? 0
}

/** Those flows that exist, archived ones included, in the order of their ids. */
export async function listFlowsById(db: Database, ids: readonly string[]): Promise<Flow[]> {
  return flows(db).where('flows.id', 'in', anyText(ids)).orderBy('flows.id').execute()
}

/** The ids of the flows that each of some users has joined, in ascending order. Archived flows are left out. */
export async function listJoinedFlowIds(
  db: Database,
  userIds: readonly number[],
): Promise<Map<number, string[]>> {
  const rows = await db
    .selectFrom('flow_members as member')
    .innerJoin('flows', 'flows.id', 'member.flow_id')
    .select(['member.user_id', 'member.flow_id'])
    .where('member.user_id', 'in', anyNumber(userIds))
    .where('member.disabled', '=', 0)
    .where('flows.disabled', '=', 0)
    .orderBy('member.flow_id')
    .execute()
  const flowIds = new Map<number, string[]>(userIds.map((id) => [id, []]))
  for (const { user_id, flow_id } of rows) flowIds.get(user_id)?.push(flow_id)
  return flowIds
}

/** What some users are to flows, archived ones included: members, or those who left or were blocked. */
export async function listFlowMembershipsOf(
  db: Database,
  userIds: readonly number[],
): Promise<{ user_id: number; flow_id: string; open: number; disabled: number }[]> {
  return db
    .selectFrom('flow_members')
    .select(['user_id', 'flow_id', 'open', 'disabled'])
    .where('user_id', 'in', anyNumber(userIds))
    .orderBy('flow_id')
    .execute()
}

/** Every flow, archived ones included. */
export async function listAllFlows(db: Database): Promise<Flow[]> {
  return flows(db).orderBy('flows.created_at').orderBy('flows.id').execute()
}

/** The flows of an organization that a user is a member of, archived ones included. */
export async function listMemberFlows(db: Database, organizationId: number, userId: number): Promise<Flow[]> {
  return viewedFlows(db, viewing(userId))
    .where('flows.organization_id', '=', organizationId)
    .where('mine.disabled', '=', 0)
    .execute()
}
