import { hashToken } from '../../../token-hash.ts'
import { parsePermissions } from '../../permissions.ts'
import type { Json } from '../../present.ts'
import { makeTokenText } from '../../principal.ts'
import { badRequest } from '../../things-error.ts'
import type { ObjectType } from '../object-type.ts'

/**
 * A token of an application. It is stored in plain text, because clients expect it in each read. [flowthings] swift and java
 * clients
 */
export const tokenType: ObjectType = {
  kind: 'token',
  allows: { create: true, change: false, remove: true },
  async parse(writing, { given }) {
    const { principal, now } = writing
    const paths = parsePermissions(given['paths'], checkPermissionPath)
    const duration = parseDuration(given)
    const tokenString = makeTokenText(28)
    return {
      members: { ...duration.members, paths, tokenString, issuedBy: principal.account.identity_id },
      subject: hashToken(tokenString),
      ...(duration.ms === undefined ? {} : { expiresAt: now + duration.ms }),
    }
  },
  isSeenByToken: ({ principal }, { id }) => principal.token?.id === id,
  compute: async ({ now }, { expires_at: expiresAt }) =>
    expiresAt === null ? {} : { expiresInMs: expiresAt - now },
}

/** @throws ThingsError 400 for an invalid path */
export function checkPermissionPath(path: string): void {
  if (!/^\/./.test(path) || path.length > 128)
    throw badRequest(`Expected "${path.slice(0, 128)}" to be a path such as "/account/flow"`)
}

const maxDurationMs = 100 * 365 * 24 * 3600_000

/**
 * Parses the lifetime of a token or share.
 *
 * @returns the lifetime, and the given members without what is computed from it
 * @throws ThingsError 400
 */
export function parseDuration({ expiresInMs, ...given }: Json): {
  readonly ms: number | undefined
  readonly members: Json
} {
  const { duration } = given
  if (duration === undefined) {
    // It would be shown and mean nothing: the token would never expire.
    if (expiresInMs !== undefined)
      throw badRequest('Expected "duration" to say the lifetime; "expiresInMs" is what is left of it')
    return { ms: undefined, members: given }
  }
  const ms = typeof duration === 'string' && /^\d{1,15}$/.test(duration) ? Number(duration) : duration
  if (typeof ms !== 'number' || !Number.isInteger(ms) || ms <= 0 || ms > maxDurationMs)
    throw badRequest('Expected "duration" to be a number of milliseconds, more than 0')
  return { ms, members: { ...given, duration: ms } }
}
