import type { Change } from '../../store/change.ts'
import { type ConversationRow, findConversation, insertConversation } from '../../store/conversations.ts'

export { setConversationOpen } from '../../store/conversations.ts'

/** The private conversation of two users. If there is none, it is created, open for neither user. */
export async function ensureConversation(
  { db }: Change,
  one: number,
  other: number,
): Promise<ConversationRow> {
  return (await findConversation(db, one, other)) ?? (await insertConversation(db, one, other))
}
