import { statementMigration } from './statements.ts'

export const oauthAndSearch = statementMigration([
  // A search reads the words of one channel only: the channel is a word of its own column.
  {
    sqlite: `create virtual table channel_words using fts5 (
      channel, words, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 0 tokenchars '_'")`,
  },
  { sqlite: 'create virtual table temp.word_list using fts5vocab(main, message_words, instance)' },
  {
    sqlite: `insert into channel_words (rowid, channel, words)
      select doc, messages.channel_id, group_concat(term, ' ') from temp.word_list
      join messages on messages.seq = doc group by doc`,
  },
  { sqlite: 'drop table temp.word_list' },
  { sqlite: 'drop table message_words' },
  { sqlite: 'alter table channel_words rename to message_words' },
  {
    postgres:
      'create table message_words (rowid bigint primary key, channel text not null, words tsvector not null)',
  },
  { postgres: 'create index message_words_by_word on message_words using gin (words)' },

  'alter table applications add column url text',
  'alter table applications add column redirect_uri text',
  'alter table applications add column client_id text',
  // It signs requests to the application, so it cannot be stored as a hash.
  'alter table applications add column client_secret text',
  'alter table applications add column owner_id integer references users',
  'create unique index applications_by_client on applications (client_id)',
  'alter table tokens add column application_id integer references applications',
  'alter table tokens add column scope text',
  'alter table tokens add column expires_at integer',
  `create table oauth_grants (
    hash text primary key, kind text not null, application_id integer not null references applications,
    user_id integer not null references users, redirect_uri text, scope text not null,
    created_at integer not null, expires_at integer) without rowid`,
  'alter table files add column thumbnail text',
  // Most events are for a flow.
  'drop index events_by_user',
  'create index events_by_user on events (user_id, seq) where user_id is not null',
])
