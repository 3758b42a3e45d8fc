import { statementMigration } from './statements.ts'

export const sendersAndCodes = statementMigration([
  // All sources send as user 0, so a uuid was unique among all sources of a flow.
  'alter table messages add column source_id integer not null default 0',
  `update messages set source_id =
    coalesce((select threads.source_id from threads where threads.id = messages.thread_id), 0) where user_id = 0`,
  'drop index messages_by_uuid',
  `create unique index messages_by_uuid on messages (channel_id, user_id, source_id, uuid) where uuid is not null`,

  // A used code stays until it expires, because a second use revokes the tokens of the first use.
  'alter table oauth_grants add column used_at integer',
  'alter table oauth_grants add column code_challenge text',
  'alter table oauth_grants add column code_hash text',
  'alter table tokens add column code_hash text',
  'create index oauth_grants_by_code on oauth_grants (code_hash) where code_hash is not null',
  'create index tokens_by_code on tokens (code_hash) where code_hash is not null',
])
