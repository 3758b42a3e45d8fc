import type { Database } from '../store/db.ts'
import { findAccount } from '../store/things/accounts.ts'
import { type FlowRow, findFlowById, findFlowByKey } from '../store/things/flows.ts'
import { listSharesWith } from '../store/things/objects.ts'
import type { FilterCache } from './filter-cache.ts'
import { checkId } from './ids.ts'
import { firstSegment, pathKey } from './paths.ts'
import {
  allRights,
  noRights,
  type PathPermissions,
  type Rights,
  readPermissions,
  rightsOf,
} from './permissions.ts'
import type { ThingsPrincipal } from './principal.ts'
import type { Style } from './style.ts'
import { badRequest, forbidden, notFound, type ThingsError } from './things-error.ts'

/** What others share with an account. */
export interface Shared {
  readonly accountId: number
  readonly permissions: readonly PathPermissions[]
}

/** Who asks, and what the answer depends on besides. */
export interface AccessOptions {
  readonly db: Database
  readonly filters: FilterCache
  readonly principal: ThingsPrincipal
  /** In milliseconds since 1970. */
  readonly now: number
  /** How the version of the API shows elements. */
  readonly style: Style
}

/** What a principal may read and change, at one moment or within one transaction. */
export interface Access extends AccessOptions {
  /** What others share with the principal. Nothing with a token: it is confined to its paths. */
  shared(): Promise<readonly Shared[]>
  /** @param key of a path, as it is compared */
  rightsAt(accountId: number, key: string): Promise<Rights>
  /**
   * The flow with an id, if the principal has a right there.
   *
   * @throws ThingsError 400 for what is no id, 404 for a flow that the principal does not see, 403 without the right
   */
  requireFlow(id: unknown, right: keyof Rights): Promise<FlowRow>
  /** The same by its path. @throws ThingsError 400 where there is no such flow */
  requireFlowAt(path: unknown, right: keyof Rights): Promise<FlowRow>
  /** The flow with an id. No rights are checked. */
  findFlow(id: string): Promise<FlowRow | undefined>
  /** The flow with a path, in the principal's account or in the one that its first segment names. No rights are checked. */
  findFlowAt(path: string): Promise<FlowRow | undefined>
  /** @throws ThingsError 403 for the token of an application */
  requireMaster(what: string): void
}

export function createAccess(options: AccessOptions): Access {
  const { db, principal, now } = options
  let shares: Promise<readonly Shared[]> | undefined

  async function readShares(): Promise<readonly Shared[]> {
    if (principal.token !== undefined) return []
    const rows = await listSharesWith(db, principal.account.identity_id, now)
    return rows.map((row) => {
      const { paths } = JSON.parse(row.object_json) as { paths: Record<string, Record<string, boolean>> }
      return { accountId: row.account_id, permissions: readPermissions(paths) }
    })
  }

  const shared = () => {
    shares ??= readShares()
    return shares
  }

  async function rightsAt(accountId: number, key: string): Promise<Rights> {
    if (accountId === principal.account.id)
      return principal.token === undefined
        ? allRights
        : // [flowthings] token object overview: a token writes nothing but drops, whatever its permissions say.
          { ...rightsOf(principal.token.permissions, key), write: false, administer: false }
    if (principal.token !== undefined) return noRights
    const theirs = (await shared()).filter((share) => share.accountId === accountId)
    return rightsOf(
      theirs.flatMap(({ permissions }) => permissions),
      key,
    )
  }

  async function check(flow: FlowRow, right: keyof Rights, unknown: () => ThingsError): Promise<FlowRow> {
    const rights = await rightsAt(flow.account_id, flow.path_key)
    if (rights[right]) return flow
    // Responses do not show whether another account has a flow.
    if (!rights.read && flow.account_id !== principal.account.id) throw unknown()
    throw forbidden(
      `The ${principal.token === undefined ? 'share' : 'token'} does not permit ${right} at "${flow.path}"`,
    )
  }

  async function findFlowAt(path: string): Promise<FlowRow | undefined> {
    const key = pathKey(path)
    const own = await findFlowByKey(db, principal.account.id, key)
    if (own !== undefined) return own
    const named = await findAccount(db, firstSegment(path))
    return named === undefined || named.id === principal.account.id
      ? undefined
      : findFlowByKey(db, named.id, key)
  }

  return {
    ...options,
    findFlow: (id) => findFlowById(db, id),
    ...{ shared, rightsAt, findFlowAt },
    async requireFlow(given, right) {
      const id = checkId(given, 'flow')
      const flow = await findFlowById(db, id)
      if (flow === undefined) throw notFound(`flow "${id}"`)
      return check(flow, right, () => notFound(`flow "${id}"`))
    },
    async requireFlowAt(path, right) {
      if (typeof path !== 'string' || !path.startsWith('/'))
        throw badRequest('Expected "path" to be the path of a flow, such as "/account/flow"')
      const unknown = () => badRequest(`There is no flow at the path "${path.slice(0, 200)}"`)
      const flow = await findFlowAt(path)
      if (flow === undefined) throw unknown()
      return check(flow, right, unknown)
    },
    requireMaster(what) {
      if (principal.token !== undefined) throw forbidden(`${what} needs the master token of the account`)
    },
  }
}
