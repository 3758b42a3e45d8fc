import { statementMigration } from './statements.ts'

export const avatars = statementMigration([
  `create table avatars (
    key text primary key, user_id integer not null unique references users, content_type text not null,
    bytes blob not null) without rowid`,
  // No earlier version set this column.
  'update users set avatar = null',
])
