import { createHash } from 'node:crypto'

/*
 * A grant names a credential without being one, so that gateways and backends can speak of it. It cannot be used to sign in,
 * and the credential cannot be found from it.
 */

/** @param tokenHash the hash of a token as it is stored */
export function grantOfToken(tokenHash: string): string {
  return sha256(tokenHash)
}

/** @param passwordHash the hash of a password as it is stored; null for a user without one */
export function grantOfPassword(userId: number, passwordHash: string | null): string {
  return `password:${userId}:${sha256(passwordHash ?? '')}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
