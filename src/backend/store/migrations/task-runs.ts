import { statementMigration } from './statements.ts'

/** What the server of flowthings knows of the tasks that it runs. */
export const taskRuns = {
  isCompatible: true,
  ...statementMigration([
    `create table things_task_runs (
    task_id text primary key, flow_no integer, position integer, session_json text, status text, last_error text,
    last_error_at integer, messages integer not null default 0, refused integer not null default 0, last_run_at integer)`,
    `create table things_task_packets (
    task_id text not null, packet_id integer not null, primary key (task_id, packet_id)) without rowid`,
    `create table things_task_lease (
    id integer primary key, instance text not null, beat integer not null, changes integer not null)`,
    "insert into things_task_lease (id, instance, beat, changes) values (1, '', 0, 0)",
  ]),
}
