import type { Migration } from 'kysely/migration'
import { avatars } from './avatars.ts'
import { composedText } from './composed-text.ts'
import { controlEvents } from './control-events.ts'
import { deletedMessages } from './deleted-messages.ts'
import { first } from './first.ts'
import { legacyAndInvitations } from './legacy-and-invitations.ts'
import { oauthAndSearch } from './oauth-and-search.ts'
import { privateConversations } from './private-conversations.ts'
import { sendersAndCodes } from './senders-and-codes.ts'

/** In the order they run; a released one is never changed. */
export const migrations: Record<string, Migration> = {
  '0001-first': first,
  '0002-private-conversations': privateConversations,
  '0003-legacy-and-invitations': legacyAndInvitations,
  '0004-oauth-and-search': oauthAndSearch,
  '0005-senders-and-codes': sendersAndCodes,
  '0006-avatars': avatars,
  '0007-deleted-messages': deletedMessages,
  '0008-composed-text': composedText,
  '0009-control-events': controlEvents,
}
