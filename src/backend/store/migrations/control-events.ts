import { statementMigration } from './statements.ts'

export const controlEvents = statementMigration([
  // 1 for a control event: it has a number in the log, and no client of Flowdock's API receives it.
  'alter table events add column kind integer not null default 0',
  // One row. A new id says that event numbers may mean other events than before.
  'create table event_log (id text not null)',
  'insert into event_log (id) values (lower(hex(randomblob(16))))',
  // Gateways ask for the tokens of users whose credentials they have.
  'create index tokens_by_user on tokens (user_id)',
])
