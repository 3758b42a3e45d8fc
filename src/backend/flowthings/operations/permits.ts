import { randomBytes } from 'node:crypto'
import type { Database } from '../../store/db.ts'
import { insertPermit, takePermit } from '../../store/things/permits.ts'
import { hashToken } from '../../token-hash.ts'
import type { Json } from '../present.ts'
import { findPrincipalByHash, type ThingsPrincipal } from '../principal.ts'
import type { Writing } from './writing.ts'

const lastsMs = 60_000

/**
 * Makes a permit: a text that lets one rule act with the token of the request. So the token itself is sent to no other server than
 * this one.
 */
export async function createPermit({ db, now, principal }: Writing): Promise<Json> {
  const id = randomBytes(24).toString('base64url')
  const row = { hash: hashToken(id), token_hash: principal.tokenHash, expires_at: now + lastsMs }
  await insertPermit(db, row, now)
  return { id, expiresInMs: lastsMs }
}

/** Takes a permit, which is valid once. @returns undefined for one that is not valid */
export async function usePermit(
  db: Database,
  permit: string,
  now: number,
): Promise<ThingsPrincipal | undefined> {
  const tokenHash = await takePermit(db, hashToken(permit), now)
  return tokenHash === undefined ? undefined : findPrincipalByHash(db, tokenHash, now)
}
