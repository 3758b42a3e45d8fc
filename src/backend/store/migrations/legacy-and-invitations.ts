import { statementMigration } from './statements.ts'

export const legacyAndInvitations = statementMigration([
  // The flow shows the push token, so it cannot be stored as a hash.
  'alter table flows add column push_token text',
  'update flows set push_token = lower(hex(randomblob(16)))',
  'create unique index flows_by_push_token on flows (push_token)',
  "alter table messages add column reactions_json text not null default '{}'",
  'alter table users add column last_access_at integer',
  `create table invitations (
    id integer primary key autoincrement, flow_id text not null references flows, email text not null collate nocase,
    state text not null, inviter_id integer not null references users, created_at integer not null,
    unique (flow_id, email))`,
  'create index invitations_by_email on invitations (email, state)',
])
