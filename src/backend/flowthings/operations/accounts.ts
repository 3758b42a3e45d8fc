import type { Database } from '../../store/db.ts'
import { type AccountRow, findAccount, insertAccount, setMasterToken } from '../../store/things/accounts.ts'
import { insertObject } from '../../store/things/objects.ts'
import { hashToken } from '../../token-hash.ts'
import { makeId } from '../ids.ts'

/** Names have at least two characters, because paths of programs begin with `/u/`, for any account. */
const namePattern = /^[a-z0-9][a-z0-9_-]{1,62}$/

/** The problem with the name of an account; undefined for a valid name. */
export function accountNameProblem(name: string): string | undefined {
  return namePattern.test(name)
    ? undefined
    : 'has 2 to 63 lower-case letters, digits, dashes and underscores, and begins with a letter or digit'
}

/**
 * Adds an account with its identity.
 *
 * @param token the master token
 * @returns undefined when an account with that name exists
 */
export async function addAccount(
  db: Database,
  name: string,
  token: string,
  now: number,
): Promise<AccountRow | undefined> {
  if ((await findAccount(db, name)) !== undefined) return undefined
  const identityId = makeId('identity', now)
  const account = await insertAccount(db, {
    ...{ name: name.toLowerCase(), identity_id: identityId, token_hash: hashToken(token), created_at: now },
  })
  await insertObject(db, {
    ...{
      id: identityId,
      kind: 'identity',
      account_id: account.id,
      created_at: now,
      object_json: JSON.stringify({ name }),
    },
    ...{ subject: null, expires_at: null },
  })
  return account
}

/** Replaces the master token. The previous one is refused from now on. */
export async function replaceMasterToken(db: Database, account: AccountRow, token: string): Promise<void> {
  await setMasterToken(db, account.id, hashToken(token))
}
