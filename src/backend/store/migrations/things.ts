import { statementMigration } from './statements.ts'

/** The flowthings API. */
export const things = {
  isCompatible: true,
  ...statementMigration([
    `create table things_accounts (
    id integer primary key autoincrement, name text not null unique, identity_id text not null unique,
    token_hash text not null unique, created_at integer not null)`,
    `create table things_flows (
    no integer primary key autoincrement, id text not null unique,
    account_id integer not null references things_accounts, path text not null, path_key text not null,
    capacity integer not null, filter text, details_json text not null, creator_id text not null,
    created_at integer not null, edited_at integer, editor_id text, last_seq integer not null default 0,
    drops integer not null default 0, last_drop_at integer not null default 0, unique (account_id, path_key))`,
    `create table things_drops (
    flow_no integer not null references things_flows, seq integer not null, id text not null, fhash text,
    created_at integer not null, drop_json text not null, primary key (flow_no, seq)) without rowid`,
    'create unique index things_drops_by_id on things_drops (flow_no, id)',
    'create unique index things_drops_by_fhash on things_drops (flow_no, fhash) where fhash is not null',
    `create table things_objects (
    no integer primary key autoincrement, id text not null unique, kind text not null,
    account_id integer not null references things_accounts, subject text, expires_at integer,
    created_at integer not null, object_json text not null)`,
    'create index things_objects_by_account on things_objects (account_id, kind, no)',
    'create index things_objects_by_subject on things_objects (subject, kind) where subject is not null',
    `create table things_members (
    group_id text not null, identity_id text not null, primary key (group_id, identity_id)) without rowid`,
    'create index things_members_by_identity on things_members (identity_id)',
    `create table things_script_jobs (
    no integer primary key autoincrement, track_id text not null, account_id integer not null, drop_json text not null,
    hops integer not null, created_at integer not null)`,
    `create table things_counts (
    kind text not null, object_id text not null, hour integer not null, count integer not null,
    primary key (kind, object_id, hour)) without rowid`,
  ]),
}
