import { randomInt } from 'node:crypto'
import type { Database } from '../store/db.ts'
import { type AccountRow, findAccountById, findAccountByTokenHash } from '../store/things/accounts.ts'
import { listObjectsBySubject } from '../store/things/objects.ts'
import { hashToken } from '../token-hash.ts'
import { type PathPermissions, readPermissions } from './permissions.ts'

/** The account, and possibly the application, that sent a request. */
export interface ThingsPrincipal {
  readonly account: AccountRow
  /** The hash of the sent token. */
  readonly tokenHash: string
  /** The token of an application; undefined for the master token of the account, which has all rights. */
  readonly token: { readonly id: string; readonly permissions: readonly PathPermissions[] } | undefined
  /** When the token expires, in milliseconds. */
  readonly expiresAt: number | undefined
}

const alphanumeric = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** The forms of tokens: 32 letters and digits for a master token, 28 for others. [flowthings] java-client: token check */
export function makeTokenText(length: 28 | 32): string {
  return Array.from({ length }, () => alphanumeric[randomInt(alphanumeric.length)]).join('')
}

/** The principal of a token; undefined if it is not valid for the account. @param account the name of the account */
export async function findPrincipal(
  db: Database,
  account: string,
  token: string,
  now: number,
): Promise<ThingsPrincipal | undefined> {
  if (!/^[A-Za-z0-9]{20,64}$/.test(token)) return undefined
  const principal = await findPrincipalByHash(db, hashToken(token), now)
  return principal !== undefined && principal.account.name === account.toLowerCase() ? principal : undefined
}

/** Finds the principal by the hash of a token, to check again whether the token is valid. */
export async function findPrincipalByHash(
  db: Database,
  tokenHash: string,
  now: number,
): Promise<ThingsPrincipal | undefined> {
  const owner = await findAccountByTokenHash(db, tokenHash)
  if (owner !== undefined) return { account: owner, tokenHash, token: undefined, expiresAt: undefined }
  const [found] = await listObjectsBySubject(db, 'token', tokenHash)
  if (found === undefined || (found.expires_at ?? Number.POSITIVE_INFINITY) <= now) return undefined
  const account = await findAccountById(db, found.account_id)
  if (account === undefined) return undefined
  const { paths } = JSON.parse(found.object_json) as { paths: Record<string, Record<string, boolean>> }
  return {
    account,
    tokenHash,
    token: { id: found.id, permissions: readPermissions(paths) },
    expiresAt: found.expires_at ?? undefined,
  }
}
