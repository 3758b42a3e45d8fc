import { isRecord } from '../../../json-values.ts'
import type {
  WireAuditClaim,
  WireEntitlement,
  WireEntitlementOutcome,
  WireServiceFlows,
  WireServiceLogHead,
  WireServiceOrganizations,
  WireServiceUsers,
} from '../../../wire/service.ts'
import { HttpError, invalid, unauthorized } from '../../http/errors.ts'
import type { Database } from '../../store/db.ts'
import { findLogEnd, findLogPosition, type LogPosition, listEventsAfter } from '../../store/events.ts'
import { listFlowMembershipsOf, listFlowsById, listJoinedFlowIds } from '../../store/flows.ts'
import { findOrganizations, listMembershipsOf } from '../../store/organizations.ts'
import { listUsersById } from '../../store/users.ts'
import { audit } from '../audit.ts'
import { authenticateTokens, grantOf } from '../auth.ts'
import { encodeFlowItself, encodeOrganization, encodeUser } from '../encode.ts'
import { readEntitlements } from '../entitlements.ts'
import { withoutDeleted } from '../replay.ts'
import type { Request, Route } from '../route.ts'
import { streamLog } from '../service-stream.ts'

/** What a gateway reads from its own backend; `src/wire/service.ts` describes it. */
export const serviceRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/service/v1/stream',
    auth: 'service',
    async handle(request, backend) {
      const { store, log, presence, signal } = backend
      const { reader } = store
      const position = await findLogPosition(reader)
      const after = beginningOf(request, position)
      await checkKnownEvent(request, reader)
      return {
        write: (response) =>
          streamLog(response, {
            log,
            position,
            after,
            presence,
            signal,
            base: request.base,
            readPage: async (from, limit) =>
              withoutDeleted(reader, await listEventsAfter(reader, from, limit)),
            listFlowIds: (userIds) => listJoinedFlowIds(reader, userIds),
          }),
      }
    },
  },
  {
    method: 'GET',
    pattern: '/service/v1/entitlement',
    auth: 'user',
    handle: async (request, backend) => ({
      status: 200,
      body: await backend.store.readTogether(async (db): Promise<WireEntitlement> => {
        const { user, scopes, expiresAt } = request
        if (!(await request.isValid(db))) throw unauthorized()
        const grant = grantOf(request.signedInBy)
        const [entitlement] = await readEntitlements(db, [{ userId: user.id, grant, scopes, expiresAt }])
        return entitlement as WireEntitlement
      }),
    }),
  },
  {
    method: 'POST',
    pattern: '/service/v1/entitlements',
    auth: 'service',
    listAs: 'credentials',
    async handle({ params }, { store }) {
      const credentials = decodeCredentials(params.raw('credentials'))
      const body = await store.readTogether(async (db): Promise<WireEntitlementOutcome[]> => {
        const outcomes = await authenticateTokens(db, credentials)
        const entitlements = await readEntitlements(
          db,
          outcomes.filter((outcome) => typeof outcome !== 'string'),
        )
        return outcomes.map((outcome) => {
          if (outcome === 'invalid') return { status: 401 }
          return outcome === 'password' ? { status: 501 } : (entitlements.shift() as WireEntitlement)
        })
      })
      return { status: 200, body }
    },
  },
  {
    method: 'POST',
    pattern: '/service/v1/audit',
    auth: 'service',
    listAs: 'claims',
    async handle({ params }, { store }) {
      const claims = decodeClaims(params.raw('claims'))
      return { status: 200, body: await store.readTogether((db) => audit(db, claims)) }
    },
  },
  {
    method: 'GET',
    pattern: '/service/v1/head',
    auth: 'service',
    async handle(_, { store }) {
      const { id: log, last: at } = await findLogEnd(store.reader)
      const body: WireServiceLogHead = { log, at }
      return { status: 200, body }
    },
  },
  {
    method: 'GET',
    pattern: '/service/v1/users',
    auth: 'service',
    async handle({ query, base }, { store }) {
      const ids = readIds(query).map(Number).filter(Number.isSafeInteger)
      const body = await store.readTogether(async (db): Promise<WireServiceUsers> => {
        const { last: at } = await findLogPosition(db)
        const users = await listUsersById(db, ids)
        const memberships = await listMembershipsOf(db, ids)
        const byUser = Map.groupBy(await listFlowMembershipsOf(db, ids), ({ user_id }) => user_id)
        return {
          at,
          users: users.map((user) => {
            const organizations = memberships.get(user.id) ?? []
            const flows = byUser.get(user.id) ?? []
            const flowIds = (isIt: (membership: (typeof flows)[number]) => boolean) =>
              flows.filter(isIt).map(({ flow_id }) => flow_id)
            return {
              ...encodeUser(user, base),
              disabled: user.disabled === 1,
              organizations: organizations.map(({ id }) => id),
              administers: organizations.filter(({ admin }) => admin).map(({ id }) => id),
              joined: flowIds(({ disabled }) => disabled === 0),
              open: flowIds(({ disabled, open }) => disabled === 0 && open === 1),
              left: flowIds(({ disabled }) => disabled !== 0),
            }
          }),
        }
      })
      return { status: 200, body }
    },
  },
  {
    method: 'GET',
    pattern: '/service/v1/organizations',
    auth: 'service',
    async handle({ query, base }, { store }) {
      const ids = readIds(query).map(Number).filter(Number.isSafeInteger)
      const body = await store.readTogether(async (db): Promise<WireServiceOrganizations> => {
        const { last: at } = await findLogPosition(db)
        const organizations = await findOrganizations(db, ids)
        return { at, organizations: organizations.map((each) => encodeOrganization(each, base)) }
      })
      return { status: 200, body }
    },
  },
  {
    method: 'GET',
    pattern: '/service/v1/flows',
    auth: 'service',
    async handle({ query, base }, { store }) {
      const body = await store.readTogether(async (db): Promise<WireServiceFlows> => {
        const { last: at } = await findLogPosition(db)
        const flows = await listFlowsById(db, readIds(query))
        const ids = new Set(flows.map(({ organization_id }) => organization_id))
        const organizations = new Map((await findOrganizations(db, [...ids])).map((each) => [each.id, each]))
        return {
          at,
          flows: flows.flatMap((flow) => {
            const organization = organizations.get(flow.organization_id)
            return organization === undefined ? [] : encodeFlowItself(flow, organization, base)
          }),
        }
      })
      return { status: 200, body }
    },
  },
]

const maxClaims = 1000
const maxCredentials = 100
const maxIds = 500

/** @throws 400 for anything else than a list of texts */
function decodeCredentials(value: unknown): string[] {
  if (!Array.isArray(value) || value.length > maxCredentials)
    throw invalid({ credentials: [`must be a list of at most ${maxCredentials}`] })
  if (!value.every((each) => typeof each === 'string'))
    throw invalid({ credentials: ['must be values of Authorization'] })
  return value
}

/** @throws 400 for anything else than a list of claims */
function decodeClaims(value: unknown): WireAuditClaim[] {
  if (!Array.isArray(value) || value.length > maxClaims)
    throw invalid({ claims: [`must be a list of at most ${maxClaims}`] })
  if (!value.every(isClaim)) throw invalid({ claims: ['must have a grant, a user, flowsHash and at each'] })
  return value
}

function isClaim(value: unknown): value is WireAuditClaim {
  return (
    isRecord(value) &&
    typeof value['grant'] === 'string' &&
    Number.isSafeInteger(value['user']) &&
    typeof value['flowsHash'] === 'string' &&
    Number.isSafeInteger(value['at'])
  )
}

/** The ids of a query. @throws 400 when they are too many */
function readIds(query: URLSearchParams): string[] {
  const ids = (query.get('ids') ?? '').split(',').filter((id) => id !== '')
  if (ids.length > maxIds) throw invalid({ ids: [`are too many (maximum is ${maxIds})`] })
  return ids
}

/** The number after which a stream begins. @throws HttpError 400 or 410 */
function beginningOf({ headers, query }: Request, { first, last }: LogPosition): number {
  const lastEventId = headers['last-event-id']
  if (lastEventId !== undefined) {
    const after = readCount(String(lastEventId))
    if (after === undefined)
      throw new HttpError(400, { message: 'Last-Event-ID is not an id of this stream' })
    if (after > last || after < first - 1)
      throw new HttpError(410, {
        message: `Last-Event-ID ${after} is not in the log, which has ${first} to ${last}`,
      })
    return after
  }
  const back = query.get('back')
  if (back === null) return last
  const count = readCount(back)
  if (count === undefined) throw invalid({ back: ['must be a number of events'] })
  return Math.max(last - count, first - 1, 0)
}

/**
 * Compares an event that the gateway has received with the one that has its number now.
 *
 * @throws HttpError 410 when they differ
 */
async function checkKnownEvent({ headers }: Request, reader: Database): Promise<void> {
  const [, number, storedAt] = /^(\d{1,15}) (\d{1,15})$/.exec(String(headers['flowdock-known-event'])) ?? []
  if (number === undefined) return
  const [event] = await listEventsAfter(reader, Number(number) - 1, 1)
  if (event?.seq !== Number(number) || event.created_at === Number(storedAt)) return
  throw new HttpError(410, { message: `Event ${number} is another one: the log has lost commits` })
}

function readCount(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
