import { statementMigration } from './statements.ts'

/** Rules that join the chat and flowthings. A version before this one runs none for the messages and drops that it stores. */
export const rules = {
  isCompatible: true,
  ...statementMigration([
    `create table rules (
    id integer primary key autoincrement, kind text not null, flow_id text not null references flows,
    user_id integer not null references users, token_hash text, password_grant text,
    account_id integer not null references things_accounts, things_flow_id text not null,
    things_token_hash text not null, name text not null, source_id integer references sources, tag text, filter text,
    templates_json text not null, status text not null, problem_code text, problem_message text, problem_at integer,
    runs integer not null default 0, skipped integer not null default 0, last_run_at integer,
    minute_started_at integer not null default 0, minute_runs integer not null default 0,
    created_at integer not null, updated_at integer not null)`,
    'create index rules_by_flow on rules (flow_id, id)',
    'create index rules_by_things_flow on rules (things_flow_id, id)',
    'create index rules_by_account on rules (account_id)',
    `create table rule_jobs (
    no integer primary key autoincrement, rule_id integer not null references rules, job_json text not null,
    created_at integer not null)`,
    'create index rule_jobs_by_rule on rule_jobs (rule_id, no)',
    `create table things_permits (
    hash text primary key, token_hash text not null, expires_at integer not null) without rowid`,
    'alter table things_script_jobs add column from_rule integer not null default 0',
  ]),
}
