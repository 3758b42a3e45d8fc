import { createHash } from 'node:crypto'
import type { WireAuditClaim, WireAuditFindings } from '../../wire/service.ts'
import { grantOfPassword, grantOfToken } from '../grants.ts'
import type { Database } from '../store/db.ts'
import { listJoinedFlowIds } from '../store/flows.ts'
import { listEnabledUsers, listTokensOf } from '../store/users.ts'

/** Whether the token of an application may receive what is sent to flows. @param scopes undefined for a credential of the user's own */
export function receivesFlows(scopes: ReadonlySet<string> | undefined): boolean {
  return scopes === undefined || scopes.has('flow')
}

/** Compares what a gateway believes of credentials with the database, as `src/wire/service.ts` describes it. */
export async function audit(db: Database, claims: readonly WireAuditClaim[]): Promise<WireAuditFindings> {
  const userIds = [...new Set(claims.map(({ user }) => user))]
  const users = await listEnabledUsers(db, userIds)
  const enabled = users.map(({ id }) => id)
  /** What the valid credentials of a user may receive of flows, by their grants. */
  const credentials = new Map<string, { readonly user: number; readonly receivesFlows: boolean }>()
  for (const { id, password_hash } of users)
    credentials.set(grantOfPassword(id, password_hash), { user: id, receivesFlows: true })
  for (const { hash, user_id, scope } of await listTokensOf(db, enabled)) {
    const scopes = scope === null ? undefined : new Set(scope.split(' '))
    credentials.set(grantOfToken(hash), { user: user_id, receivesFlows: receivesFlows(scopes) })
  }
  const flowIds = await listJoinedFlowIds(db, enabled)
  return claims.flatMap(({ grant, user, flowsHash }) => {
    const credential = credentials.get(grant)
    if (credential?.user !== user) return { grant, user, state: 'gone' as const }
    const flows = credential.receivesFlows ? (flowIds.get(user) ?? []) : []
    return hashFlows(flows) === flowsHash ? [] : { grant, user, state: 'differs' as const }
  })
}

/** The `flowsHash` of a claim. */
function hashFlows(ids: readonly string[]): string {
  const text = ids
    .toSorted()
    .map((id) => `${id}\n`)
    .join('')
  return createHash('sha256').update(text).digest('hex')
}
