import { statementMigration } from './statements.ts'

/** The newest drops of all flows, for backends that share the database. */
export const thingsArrivals = {
  isCompatible: true,
  ...statementMigration([
    `create table things_arrivals (
    seq integer primary key, stored_at integer not null, place_json text not null, drop_json text not null)`,
  ]),
}
