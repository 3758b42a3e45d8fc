import { statementMigration } from './statements.ts'

export const privateConversations = statementMigration([
  `create table conversations (
    channel_id integer primary key references channels, low_user_id integer not null references users,
    high_user_id integer not null references users, low_open integer not null, high_open integer not null,
    unique (low_user_id, high_user_id))`,
  'create index conversations_by_high_user on conversations (high_user_id)',
])
