import { statementMigration } from './statements.ts'

export const deletedMessages = statementMigration([
  'alter table messages add column deleted_at integer',
  // Only a deletion leaves a chat message or a comment blank.
  `update messages set deleted_at = coalesce(edited, sent) where
    (event = 'message' and content_json = '""') or (event = 'comment' and content_json like '%"text":""}')`,
  `delete from message_tags where seq in (select seq from messages where deleted_at is not null)
    and tag not like 'influx:%'`,
  `update messages set reactions_json = '{}' where deleted_at is not null`,
  // A comment keeps the tag that names what it is on.
  {
    sqlite: `update messages set tags_json =
      (select json_group_array(value) from json_each(tags_json) where value like 'influx:%') where deleted_at is not null`,
    postgres: `update messages set tags_json =
      coalesce((select json_agg(value)::text from json_each(tags_json) where value like 'influx:%'), '[]')
      where deleted_at is not null`,
  },
])
