import { statementMigration } from './statements.ts'

/** An id that a database has for ever, and copies of it have, too. Storages of files are marked with it. */
export const databaseIdentity = {
  isCompatible: true,
  ...statementMigration([
    'create table database_identity (id text not null)',
    'insert into database_identity (id) values (lower(hex(randomblob(16))))',
  ]),
}
