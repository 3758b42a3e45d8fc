import { randomBytes } from 'node:crypto'
import type { Selectable } from 'kysely'
import { anyText, type Database, type Tables } from './db.ts'
import { prepared } from './prepared.ts'
import type { UserRow } from './users.ts'

/** A flow as one user sees it. */
export interface FlowRow extends Selectable<Tables['flows']> {
  organization_slug: string
  /** Whether the viewer is a member; null in `blocked` and `open` says they never were. */
  open: number | null
  blocked: number | null
  organization_admin: number | null
  unread_mentions: number
}

export type FlowUserRow = UserRow & {
  flow_id: string
  flow_status: string | null
  flow_disabled: number
  last_activity: number | null
}

/** What decides whether somebody may see a flow, and write to it. */
export type FlowAccess = Pick<FlowRow, 'access_mode' | 'disabled' | 'blocked' | 'organization_admin'>

/** Whether the viewer of this row is a member who may read and write. */
export function isJoined(flow: Pick<FlowRow, 'blocked'>): boolean {
  return flow.blocked === 0
}

/** Who looks, and the tag of what they have not read. */
interface Viewer {
  readonly viewer: number
  readonly unread: string
}

function viewing(viewer: number): Viewer {
  return { viewer, unread: `:unread:${viewer}` }
}

function flows(db: Database, { viewer: viewerId, unread }: Viewer) {
  return db
    .selectFrom('flows')
    .innerJoin('organizations', 'organizations.id', 'flows.organization_id')
    .leftJoin('flow_members as mine', (join) =>
      join.onRef('mine.flow_id', '=', 'flows.id').on('mine.user_id', '=', viewerId),
    )
    .leftJoin('organization_members as seat', (join) =>
      join.onRef('seat.organization_id', '=', 'flows.organization_id').on('seat.user_id', '=', viewerId),
    )
    .selectAll('flows')
    .select([
      'organizations.slug as organization_slug',
      'mine.open as open',
      'mine.disabled as blocked',
      'seat.admin as organization_admin',
    ])
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
): Promise<FlowRow[]> {
  let query = flows(db, viewing(viewerId)).where('flows.disabled', '=', 0)
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

const flowById = prepared<Viewer & { id: string }, FlowRow>((db, by) =>
  flows(db, by).where('flows.id', '=', by.id),
)
const flowByPath = prepared<Viewer & { organization: string; slug: string }, FlowRow>((db, by) =>
  flows(db, by).where('organizations.slug', '=', by.organization).where('flows.slug', '=', by.slug),
)
const flowByPushToken = prepared<Viewer & { pushToken: string }, FlowRow>((db, by) =>
  flows(db, by).where('flows.push_token', '=', by.pushToken),
)
const flowByChannel = prepared<Viewer & { channelId: number }, FlowRow>((db, by) =>
  flows(db, by).where('flows.channel_id', '=', by.channelId),
)
const flowByJoinCode = prepared<Viewer & { joinCode: string }, FlowRow>((db, by) =>
  flows(db, by).where('flows.join_code', '=', by.joinCode),
)

export async function findFlow(
  db: Database,
  viewerId: number,
  by:
    | { id: string }
    | { organization: string; slug: string }
    | { pushToken: string }
    | { joinCode: string }
    | { channelId: number },
): Promise<FlowRow | undefined> {
  const viewer = viewing(viewerId)
  if ('id' in by) return (await flowById(db, { ...viewer, ...by }))[0]
  if ('slug' in by) return (await flowByPath(db, { ...viewer, ...by }))[0]
  if ('pushToken' in by) return (await flowByPushToken(db, { ...viewer, ...by }))[0]
  if ('channelId' in by) return (await flowByChannel(db, { ...viewer, ...by }))[0]
  return (await flowByJoinCode(db, { ...viewer, ...by }))[0]
}

const accessById = prepared<{ viewer: number; id: string }, FlowAccess>((db, { viewer, id }) =>
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
)

/** What somebody may do in a flow; undefined when there is none. */
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

const mentionable = prepared<{ flow: string }, { id: number; nick: string }>((db, { flow }) =>
  db
    .selectFrom('flow_members as member')
    .innerJoin('users', 'users.id', 'member.user_id')
    .select(['users.id', 'users.nick'])
    .where('member.flow_id', '=', flow)
    .where('member.disabled', '=', 0)
    .where('users.disabled', '=', 0)
    .orderBy('users.id'),
)

/** The users who can be mentioned in a flow. */
export async function listMentionable(db: Database, flowId: string): Promise<{ id: number; nick: string }[]> {
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

export async function updateFlow(
  db: Database,
  id: string,
  changes: Partial<
    Pick<Selectable<Tables['flows']>, 'name' | 'access_mode' | 'disabled' | 'description' | 'join_code'>
  >,
): Promise<void> {
  if (Object.keys(changes).length > 0)
    await db.updateTable('flows').set(changes).where('id', '=', id).execute()
}

/** Gives a flow a new push token; the old one is refused from then on. Resolves with the new one. */
export async function rotatePushToken(db: Database, id: string): Promise<string> {
  const token = newPushToken()
  await db.updateTable('flows').set({ push_token: token }).where('id', '=', id).execute()
  return token
}

/** Makes the join URL and the push token of flows useless to people who know them and lost access. */
export async function rotateSecrets(db: Database, flowIds: readonly string[]): Promise<void> {
  for (const id of flowIds) {
    await updateFlow(db, id, { join_code: newJoinCode() })
    await rotatePushToken(db, id)
  }
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

/** Adds or changes a member; what is not given stays, or begins open, unblocked and without status. */
export async function upsertFlowMember(
  db: Database,
  flowId: string,
  userId: number,
  changes: { open?: number; disabled?: number; status?: string | null },
): Promise<void> {
  await db
    .insertInto('flow_members')
    .values({
      flow_id: flowId,
      user_id: userId,
      open: 1,
      disabled: 0,
      status: null,
      last_activity: null,
      ...changes,
    })
    .onConflict((conflict) =>
      conflict.columns(['flow_id', 'user_id']).doUpdateSet({ user_id: userId, ...changes }),
    )
    .execute()
}

const noteMessage = prepared<{ flow: string; id: number; sent: number }, never>((db, { flow, id, sent }) =>
  db.updateTable('flows').set({ last_message_id: id, last_message_at: sent }).where('id', '=', flow),
)
const noteActivity = prepared<{ flow: string; user: number; at: number }, never>((db, { flow, user, at }) =>
  db
    .updateTable('flow_members')
    .set({ last_activity: at })
    .where('flow_id', '=', flow)
    .where('user_id', '=', user),
)

/** Notes that a message arrived and, for a member's own message, that they were active. */
export async function touchFlow(
  db: Database,
  flowId: string,
  message: { id: number; sent: number; userId: number },
): Promise<void> {
  await noteMessage(db, { flow: flowId, ...message })
  if (message.userId !== 0) await noteActivity(db, { flow: flowId, user: message.userId, at: message.sent })
}

/** Notes that somebody is at work, in every flow of theirs. */
export async function noteActive(db: Database, userId: number, at: number): Promise<void> {
  await db.updateTable('flow_members').set({ last_activity: at }).where('user_id', '=', userId).execute()
}

/** The newest message id given out in a channel. */
export async function channelLastId(db: Database, channelId: number): Promise<number> {
  const row = await db.selectFrom('channels').select('last_id').where('id', '=', channelId).executeTakeFirst()
  return row?.last_id ?? 0
}

/** Every flow, archived ones included, as nobody in particular sees it. */
export async function listAllFlows(db: Database): Promise<FlowRow[]> {
  return flows(db, viewing(0)).orderBy('flows.created_at').orderBy('flows.id').execute()
}

/** The flows of an organization that somebody is a member of. */
export async function listMemberFlows(
  db: Database,
  organizationId: number,
  userId: number,
): Promise<FlowRow[]> {
  return flows(db, viewing(userId))
    .where('flows.organization_id', '=', organizationId)
    .where('mine.disabled', '=', 0)
    .execute()
}
