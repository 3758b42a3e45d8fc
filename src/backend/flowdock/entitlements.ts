import type { WireEntitlement } from '../../wire/service.ts'
import type { Database } from '../store/db.ts'
import { findLogPosition } from '../store/events.ts'
import { listJoinedFlowIds } from '../store/flows.ts'
import { listMembershipsOf } from '../store/organizations.ts'
import { receivesFlows } from './audit.ts'

/** A valid credential. */
export interface Holder {
  readonly userId: number
  readonly grant: string
  /** Undefined for a credential of the user's own. */
  readonly scopes: ReadonlySet<string> | undefined
  readonly expiresAt: number | undefined
}

/** What credentials may receive, in their order. @param db a transaction, so that it is all of one position in the log */
export async function readEntitlements(db: Database, holders: readonly Holder[]): Promise<WireEntitlement[]> {
  const userIds = [...new Set(holders.map(({ userId }) => userId))]
  const { id: log, last: at } = await findLogPosition(db)
  const joined = await listJoinedFlowIds(db, userIds)
  const memberships = await listMembershipsOf(db, userIds)
  return holders.map(({ userId, grant, scopes, expiresAt }) => ({
    log,
    at,
    user: userId,
    grant,
    flows: receivesFlows(scopes) ? (joined.get(userId) ?? []) : [],
    private: scopes === undefined || scopes.has('private'),
    organizations: memberships.get(userId) ?? [],
    scopes: scopes === undefined ? null : [...scopes],
    expires_at: expiresAt ?? null,
  }))
}
