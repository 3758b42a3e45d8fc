import type { Selectable } from 'kysely'
import { anyText, type Database, type Tables } from '../db.ts'
import { prepared } from '../prepared.ts'

export type AccountRow = Selectable<Tables['things_accounts']>

const byTokenHash = prepared<{ hash: string }, AccountRow>(
  (db, { hash }) => db.selectFrom('things_accounts').selectAll().where('token_hash', '=', hash),
  { remembers: 'transaction' },
)

/** The account whose master token has this hash. */
export async function findAccountByTokenHash(db: Database, hash: string): Promise<AccountRow | undefined> {
  return (await byTokenHash(db, { hash }))[0]
}

const byName = prepared<{ name: string }, AccountRow>(
  (db, { name }) => db.selectFrom('things_accounts').selectAll().where('name', '=', name),
  { remembers: 'transaction' },
)

/** @param name in upper or lower case */
export async function findAccount(db: Database, name: string): Promise<AccountRow | undefined> {
  return (await byName(db, { name: name.toLowerCase() }))[0]
}

const byId = prepared<{ id: number }, AccountRow>(
  (db, { id }) => db.selectFrom('things_accounts').selectAll().where('id', '=', id),
  { remembers: 'transaction' },
)

export async function findAccountById(db: Database, id: number): Promise<AccountRow | undefined> {
  return (await byId(db, { id }))[0]
}

export async function listAccounts(db: Database): Promise<AccountRow[]> {
  return db.selectFrom('things_accounts').selectAll().orderBy('name').execute()
}

export async function insertAccount(db: Database, account: Omit<AccountRow, 'id'>): Promise<AccountRow> {
  return db.insertInto('things_accounts').values(account).returningAll().executeTakeFirstOrThrow()
}

export async function setMasterToken(db: Database, id: number, hash: string): Promise<void> {
  await db.updateTable('things_accounts').set({ token_hash: hash }).where('id', '=', id).execute()
}

export async function listAccountsByIdentity(db: Database, ids: readonly string[]): Promise<AccountRow[]> {
  return db.selectFrom('things_accounts').selectAll().where('identity_id', 'in', anyText(ids)).execute()
}
