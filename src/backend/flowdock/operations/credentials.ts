import { createHash } from 'node:crypto'
import { type ApplicationRow, findApplication } from '../../store/applications.ts'
import type { Change } from '../../store/change.ts'
import { findCode, findRefreshToken, insertGrant, useCode } from '../../store/grants.ts'
import { revokeCode } from '../../store/rights.ts'
import { findUser, insertToken } from '../../store/users.ts'
import { hashToken } from '../../token-hash.ts'
import { makeToken } from '../auth.ts'

export { deleteToken, revokeGranted, unregisterApplication } from '../../store/rights.ts'

const codeLifetimeMs = 10 * 60_000
const tokenLifetimeSeconds = 24 * 3600

/**
 * The PKCE challenge of an authorization request. The application proves at the exchange that it made it. [spec] RFC 7636, 4.3
 */
export interface Challenge {
  readonly text: string
  readonly method: 'plain' | 'S256'
}

/** [spec] RFC 7636, 4.1 and 4.2: the same characters for a challenge and its verifier. */
export const challengePattern = /^[A-Za-z0-9._~-]{43,128}$/

/** A token of an application. */
export interface IssuedToken {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  readonly expiresInSeconds: number
  /** Scopes, separated by blanks. */
  readonly scope: string
}

/** Why a token was not issued: an error of OAuth, or the second use of a code, which revoked tokens. */
export type Refusal = 'invalid_client' | 'invalid_grant' | 'code_used_again'

/** Adds a personal token, which has all rights of its user. */
export async function addToken({ db }: Change, userId: number, token: string): Promise<void> {
  await insertToken(db, hashToken(token), userId)
}

/** Issues an authorization code. Undefined when the application was removed meanwhile. */
export async function grantCode(
  change: Change,
  { id }: ApplicationRow,
  grant: { userId: number; redirectUri: string; scope: string; challenge: Challenge | undefined },
): Promise<string | undefined> {
  if (!(await isRegistered(change, id))) return undefined
  const code = makeToken()
  const now = Date.now()
  const { challenge } = grant
  await insertGrant(change.db, {
    hash: hashToken(code),
    kind: 'code',
    application_id: id,
    user_id: grant.userId,
    redirect_uri: grant.redirectUri,
    scope: grant.scope,
    created_at: now,
    expires_at: now + codeLifetimeMs,
    // A plain challenge equals its verifier. Its hash is stored, so that both kinds are verified in the same way.
    code_challenge:
      challenge === undefined ? null : challenge.method === 'S256' ? challenge.text : sha256(challenge.text),
  })
  return code
}

/**
 * Issues a token for an authorization code. If a code is used twice, one of the two senders stole it, so the tokens that it was
 * exchanged for are revoked. [spec] RFC 6749, 4.1.2
 */
export async function exchangeCode(
  change: Change,
  application: ApplicationRow,
  given: { code: string; redirectUri: string | undefined; verifier: string | undefined },
): Promise<IssuedToken | Refusal> {
  const { db } = change
  const codeHash = hashToken(given.code)
  const grant = await findCode(db, application.id, codeHash)
  if (grant === undefined) return 'invalid_grant'
  if (grant.used_at !== null) {
    await revokeCode(change, codeHash)
    return 'code_used_again'
  }
  if ((grant.expires_at ?? 0) <= Date.now()) return 'invalid_grant'
  if ((given.redirectUri ?? grant.redirect_uri) !== grant.redirect_uri) return 'invalid_grant'
  if (!fitsChallenge(grant.code_challenge, given.verifier)) return 'invalid_grant'
  await useCode(db, codeHash)
  return issueToken(change, application, { userId: grant.user_id, scope: grant.scope, codeHash })
}

/** Issues another token for a refresh token, which stays valid. */
export async function refreshToken(
  change: Change,
  application: ApplicationRow,
  token: string,
): Promise<IssuedToken | Refusal> {
  const grant = await findRefreshToken(change.db, application.id, hashToken(token))
  if (grant === undefined) return 'invalid_grant'
  const { user_id: userId, scope, code_hash: codeHash } = grant
  return issueToken(change, application, { userId, scope, codeHash, refreshToken: token })
}

/**
 * Issues a token and, with the scope `offline_access`, one to refresh it.
 *
 * @param given.codeHash the authorization code that the grant comes from; null for none
 * @param given.refreshToken the refresh token that stays valid
 */
export async function issueToken(
  change: Change,
  application: ApplicationRow,
  given: { userId: number; scope: string; codeHash: string | null; refreshToken?: string },
): Promise<IssuedToken | Refusal> {
  const { db } = change
  const { userId, scope, codeHash } = given
  if (!(await isRegistered(change, application.id))) return 'invalid_client'
  if ((await findUser(db, userId))?.disabled !== 0) return 'invalid_grant'
  const token = makeToken()
  const isOffline = scope.split(' ').includes('offline_access')
  const refresh = given.refreshToken ?? (isOffline ? makeToken() : undefined)
  const now = Date.now()
  await insertToken(db, hashToken(token), userId, {
    applicationId: application.id,
    scope,
    expiresAt: now + tokenLifetimeSeconds * 1000,
    codeHash,
  })
  if (refresh !== undefined && refresh !== given.refreshToken)
    await insertGrant(db, {
      hash: hashToken(refresh),
      kind: 'refresh',
      application_id: application.id,
      user_id: userId,
      redirect_uri: null,
      scope,
      created_at: now,
      expires_at: null,
      code_hash: codeHash,
    })
  return { accessToken: token, refreshToken: refresh, expiresInSeconds: tokenLifetimeSeconds, scope }
}

/** Whether an application that was found before the transaction is still registered. */
async function isRegistered({ db }: Change, id: number): Promise<boolean> {
  return (await findApplication(db, { id }))?.client_id != null
}

/** A verifier without a challenge is refused, too: an attacker may have removed the challenge from the request. */
function fitsChallenge(stored: string | null, verifier: string | undefined): boolean {
  if (stored === null || verifier === undefined) return stored === null && verifier === undefined
  return challengePattern.test(verifier) && sha256(verifier) === stored
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
