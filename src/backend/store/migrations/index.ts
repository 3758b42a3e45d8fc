import type { Migration } from 'kysely/migration'
import { avatars } from './avatars.ts'
import { compatibleMigrations } from './compatible-migrations.ts'
import { composedText } from './composed-text.ts'
import { controlEvents } from './control-events.ts'
import { databaseIdentity } from './database-identity.ts'
import { deletedMessages } from './deleted-messages.ts'
import { first } from './first.ts'
import { legacyAndInvitations } from './legacy-and-invitations.ts'
import { oauthAndSearch } from './oauth-and-search.ts'
import { privateConversations } from './private-conversations.ts'
import { rules } from './rules.ts'
import { sendersAndCodes } from './senders-and-codes.ts'
import { taskRuns } from './task-runs.ts'
import { things } from './things.ts'
import { thingsArrivals } from './things-arrivals.ts'

/** A change of the schema. */
interface SchemaMigration extends Migration {
  /**
   * Whether the version before it reads and writes the database correctly, ignoring the change: it adds tables, or columns
   * with a default. A change that cannot do without is made in two versions: one adds, and the next one uses or removes.
   */
  readonly isCompatible?: boolean
}

/** In the order they run; a released one is never changed. */
export const migrations: Readonly<Record<string, SchemaMigration>> = {
  '0001-first': first,
  '0002-private-conversations': privateConversations,
  '0003-legacy-and-invitations': legacyAndInvitations,
  '0004-oauth-and-search': oauthAndSearch,
  '0005-senders-and-codes': sendersAndCodes,
  '0006-avatars': avatars,
  '0007-deleted-messages': deletedMessages,
  '0008-composed-text': composedText,
  '0009-control-events': controlEvents,
  '0010-compatible-migrations': compatibleMigrations,
  '0011-things': things,
  '0012-things-arrivals': thingsArrivals,
  '0013-task-runs': taskRuns,
  '0014-rules': rules,
  '0015-database-identity': databaseIdentity,
}
