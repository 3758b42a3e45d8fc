import type { Selectable } from 'kysely'
import { anyNumber, type Database, type Tables } from './db.ts'

export type ConversationRow = Selectable<Tables['conversations']>

/** The conversation of two users, in either order. */
export async function findConversation(
  db: Database,
  one: number,
  other: number,
): Promise<ConversationRow | undefined> {
  return db
    .selectFrom('conversations')
    .selectAll()
    .where('low_user_id', '=', Math.min(one, other))
    .where('high_user_id', '=', Math.max(one, other))
    .executeTakeFirst()
}

/** The conversations of a user, oldest first. */
export async function listConversations(db: Database, userId: number): Promise<ConversationRow[]> {
  return db
    .selectFrom('conversations')
    .selectAll()
    .where((where) => where.or([where('low_user_id', '=', userId), where('high_user_id', '=', userId)]))
    .orderBy('channel_id')
    .execute()
}

/** The number of unread messages of a user in each of these channels. Channels without unread messages are left out. */
export async function countUnread(
  db: Database,
  userId: number,
  channelIds: readonly number[],
): Promise<Map<number, number>> {
  const rows = await db
    .selectFrom('message_tags')
    .select((select) => ['channel_id', select.fn.countAll<number>().as('count')])
    .where('channel_id', 'in', anyNumber(channelIds))
    .where('tag', '=', `:unread:${userId}`)
    .groupBy('channel_id')
    .execute()
  return new Map(rows.map(({ channel_id, count }) => [channel_id, count]))
}

/** Creates a conversation that is open for neither user. */
export async function insertConversation(db: Database, one: number, other: number): Promise<ConversationRow> {
  const { id } = await db
    .insertInto('channels')
    .values({ last_id: 0 })
    .returning('id')
    .executeTakeFirstOrThrow()
  return db
    .insertInto('conversations')
    .values({
      channel_id: id,
      low_user_id: Math.min(one, other),
      high_user_id: Math.max(one, other),
      low_open: 0,
      high_open: 0,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Opens or closes a conversation for one of its users. */
export async function setConversationOpen(
  db: Database,
  conversation: Pick<ConversationRow, 'channel_id' | 'low_user_id'>,
  userId: number,
  open: boolean,
): Promise<void> {
  await db
    .updateTable('conversations')
    .set({ [conversation.low_user_id === userId ? 'low_open' : 'high_open']: Number(open) })
    .where('channel_id', '=', conversation.channel_id)
    .execute()
}
