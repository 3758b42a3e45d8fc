import { statementMigration } from './statements.ts'

/** [ecma] 21.4.1.1: the last millisecond that a calendar has. Imports accepted larger numbers, which SQLite cannot return. */
const lastMs = 8_640_000_000_000_000

export const deletedMessages = statementMigration([
  ...(
    [
      ['threads', 'created_at'],
      ['threads', 'updated_at'],
      ['messages', 'sent'],
      ['messages', 'edited'],
      ['flows', 'last_message_at'],
    ] as const
  ).map(([table, column]) => `update ${table} set ${column} = ${lastMs} where ${column} > ${lastMs}`),
  'alter table messages add column deleted_at integer',
  // A chat message or comment is blank only if it was deleted.
  `update messages set deleted_at = coalesce(edited, sent) where
    (event = 'message' and content_json = '""') or (event = 'comment' and content_json like '%"text":""}')`,
  `delete from message_tags where seq in (select seq from messages where deleted_at is not null)
    and tag not like 'influx:%'`,
  `update messages set reactions_json = '{}' where deleted_at is not null`,
  // A comment keeps the tag that names its parent message.
  {
    sqlite: `update messages set tags_json =
      (select json_group_array(value) from json_each(tags_json) where value like 'influx:%') where deleted_at is not null`,
    postgres: `update messages set tags_json =
      coalesce((select json_agg(value)::text from json_each(tags_json) where value like 'influx:%'), '[]')
      where deleted_at is not null`,
  },
])
