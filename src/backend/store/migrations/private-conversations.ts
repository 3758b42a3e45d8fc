import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

const statements = [
  `create table conversations (
    channel_id integer primary key references channels, low_user_id integer not null references users,
    high_user_id integer not null references users, low_open integer not null, high_open integer not null,
    unique (low_user_id, high_user_id))`,
  'create index conversations_by_high_user on conversations (high_user_id)',
]

export const privateConversations: Migration = {
  async up(database: Kysely<unknown>) {
    for (const statement of statements) await sql.raw(statement).execute(database)
  },
}
