import { statementMigration } from './statements.ts'

export const compatibleMigrations = statementMigration([
  'create table compatible_migrations (name text primary key)',
])
