import { statementMigration } from './statements.ts'

export const first = statementMigration([
  {
    // Compares letters without regard to case. SQLite has `nocase` for ASCII.
    postgres: "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
  },
  {
    // SQLite's function of this name, for conditions with lists.
    postgres: `create function json_each(list text) returns table (value text) language sql immutable rows 10
      as 'select value from json_array_elements_text(list::json)'`,
  },
  `create table organizations (
    id integer primary key autoincrement, slug text not null unique, name text not null,
    active integer not null, user_limit integer not null, created_at integer not null)`,
  `create table users (
    id integer primary key autoincrement, nick text not null, name text not null, email text not null unique collate nocase,
    avatar text, website text, password_hash text, disabled integer not null, created_at integer not null)`,
  `create table organization_members (
    organization_id integer not null references organizations, user_id integer not null references users,
    admin integer not null, primary key (organization_id, user_id)) without rowid`,
  'create index organization_members_by_user on organization_members (user_id)',
  `create table tokens (hash text primary key, user_id integer not null references users,
    created_at integer not null) without rowid`,
  'create table channels (id integer primary key autoincrement, last_id integer not null)',
  `create table flows (
    id text primary key, channel_id integer not null unique references channels,
    organization_id integer not null references organizations, slug text not null, name text not null,
    description text not null, access_mode text not null, join_code text not null, disabled integer not null,
    last_message_id integer, last_message_at integer, created_at integer not null,
    unique (organization_id, slug)) without rowid`,
  `create table flow_members (
    flow_id text not null references flows, user_id integer not null references users,
    open integer not null, disabled integer not null, status text, last_activity integer,
    primary key (flow_id, user_id)) without rowid`,
  'create index flow_members_by_user on flow_members (user_id)',
  `create table applications (id integer primary key autoincrement, name text not null, icon_url text)`,
  `create table sources (
    id integer primary key autoincrement, flow_id text not null references flows,
    application_id integer not null references applications, creator_id integer not null references users,
    name text not null, external_url text, configuration_url text, error_message text,
    token_hash text not null unique, deleted_at integer, created_at integer not null, updated_at integer not null)`,
  'create index sources_by_flow on sources (flow_id)',
  `create table threads (
    id text primary key, channel_id integer not null references channels, source_id integer references sources,
    external_thread_id text, title text not null, body text, external_url text, status_json text,
    fields_json text not null, actions_json text not null, activities integer not null,
    internal_comments integer not null, external_comments integer not null, initial_message integer,
    created_at integer not null, updated_at integer not null, unique (source_id, external_thread_id)) without rowid`,
  'create index threads_by_update on threads (channel_id, updated_at)',
  `create table messages (
    seq integer primary key autoincrement, channel_id integer not null references channels, id integer not null,
    event text not null, user_id integer not null, uuid text, thread_id text references threads, app text,
    content_json text not null, tags_json text not null, external_user_name text, author_json text, title text,
    body text, attachments_json text not null, sent integer not null, edited integer, unique (channel_id, id))`,
  'create index messages_by_thread on messages (thread_id, id)',
  'create index messages_by_event on messages (channel_id, event, id)',
  'create unique index messages_by_uuid on messages (channel_id, user_id, uuid) where uuid is not null',
  `create table message_tags (
    channel_id integer not null, tag text not null, seq integer not null references messages,
    primary key (channel_id, tag, seq)) without rowid`,
  'create index message_tags_by_message on message_tags (seq)',
  {
    sqlite: `create virtual table message_words using fts5 (
    words, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 0 tokenchars '_'")`,
  },
  `create table files (
    token text primary key, channel_id integer not null references channels, file_name text not null,
    content_type text not null, file_size integer not null, created_at integer not null) without rowid`,
  `create table events (
    seq integer primary key autoincrement, flow_id text, user_id integer, payload text not null,
    created_at integer not null)`,
  'create index events_by_flow on events (flow_id, seq)',
  'create index events_by_user on events (user_id, seq)',
])
