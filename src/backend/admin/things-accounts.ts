import { accountNameProblem, addAccount, replaceMasterToken } from '../flowthings/operations/accounts.ts'
import { makeTokenText } from '../flowthings/principal.ts'
import type { Database, Store } from '../store/db.ts'
import { findAccount, findAccountByTokenHash, listAccounts } from '../store/things/accounts.ts'
import { hashToken } from '../token-hash.ts'
import { AdministrationError, type Entry } from './administration-error.ts'
import { storedThingsToken } from './things-token.ts'

/** Manages accounts of the flowthings API, also while the server runs. */
export interface AccountAdministration {
  /**
   * Adds an account. Resolves with its master token, which cannot be read again.
   *
   * @param token the master token; a new one by default
   */
  addAccount(name: string, token?: string): Promise<Entry>
  listAccounts(): Promise<Entry[]>
  /** Replaces the master token of an account. Resolves with the new one. A file with the old one is removed. */
  replaceMasterToken(name: string, token?: string): Promise<Entry>
}

export function createAccountAdministration(store: Store, dataDir: string): AccountAdministration {
  return {
    async addAccount(given, token = makeTokenText(32)) {
      const name = given.toLowerCase()
      const problem = accountNameProblem(name)
      if (problem !== undefined)
        throw new AdministrationError(`The name of an account ${problem}: "${given}"`)
      checkToken(token)
      const account = await store.write(async (db) => {
        await requireUnused(db, token, undefined)
        return addAccount(db, name, token, Date.now())
      })
      if (account === undefined) throw new AdministrationError(`There is an account "${name}" already`)
      return { name, identity: account.identity_id, token }
    },
    listAccounts: async () =>
      (await listAccounts(store.reader)).map(({ name, identity_id, created_at }) => ({
        name,
        identity: identity_id,
        created: new Date(created_at).toISOString(),
      })),
    async replaceMasterToken(name, token = makeTokenText(32)) {
      checkToken(token)
      const account = await store.write(async (db) => {
        const found = await findAccount(db, name)
        if (found === undefined) throw new AdministrationError(`There is no account "${name}"`)
        await requireUnused(db, token, found.id)
        await replaceMasterToken(db, found, token)
        return found
      })
      const stored = storedThingsToken(dataDir)
      const demo = await stored.read()
      if (demo !== undefined && demo !== token && hashToken(demo) === account.token_hash)
        await stored.remove(demo)
      return { name: account.name, token }
    },
  }
}

/** @throws AdministrationError for a master token that clients would not accept */
function checkToken(token: string): void {
  if (!/^[A-Za-z0-9]{32}$/.test(token))
    throw new AdministrationError('A master token has 32 letters and digits')
}

/**
 * @param accountId the account that may have the token
 * @throws AdministrationError when another account has it
 */
async function requireUnused(db: Database, token: string, accountId: number | undefined): Promise<void> {
  const owner = await findAccountByTokenHash(db, hashToken(token))
  if (owner !== undefined && owner.id !== accountId)
    throw new AdministrationError('Another account has this token')
}
