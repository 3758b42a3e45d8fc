import { parseIsoTime } from '../../../iso-time.ts'
import { accessDenied, invalid, notFound } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import type { Database } from '../../store/db.ts'
import {
  type AccessedFlow,
  type FlowAccess,
  type FlowItself,
  type FlowRow,
  findAccessedFlow,
  findFlowAccess,
  findViewedFlow,
  isJoined,
} from '../../store/flows.ts'
import type { Backend, Request, UserRequest } from '../route.ts'

/**
 * The flow that a path names, if the user may see it.
 *
 * @throws 404 when the flow does not exist or the user is not in its organization, 403 when users need an invitation and this
 *   user has none
 */
export async function visibleFlow(request: UserRequest, backend: Backend): Promise<FlowRow> {
  const flow = await findViewedFlow(backend.store.reader, request.user.id, {
    organization: segment(request, 'organization'),
    slug: segment(request, 'flow'),
  })
  return checkVisible(flow)
}

/**
 * The flow that a parameter names: by id, or as "organization/flow" or "organization:flow". Ids of before 2013 have one of
 * these forms, so an id goes first.
 */
export async function findFlowByName(
  db: Database,
  userId: number,
  name: string,
): Promise<FlowRow | undefined> {
  const flow = await findViewedFlow(db, userId, { id: name })
  const [, organization, slug] = /^([\w-]+)[/:]([\w-]+)$/.exec(name) ?? []
  if (flow !== undefined || organization === undefined || slug === undefined) return flow
  return findViewedFlow(db, userId, { organization, slug })
}

export function checkVisible<T extends FlowAccess>(flow: T | undefined): T {
  if (flow === undefined || (flow.organization_admin === null && flow.blocked === null)) throw notFound()
  if (!isJoined(flow) && (flow.access_mode !== 'organization' || flow.blocked === 1)) throw accessDenied()
  return flow
}

export type FlowNames = Pick<FlowItself, 'organization_slug' | 'slug'>

/** The path of a flow in URLs, such as `example/main`. */
export function pathOf({ organization_slug, slug }: FlowNames): string {
  return `${organization_slug}/${slug}`
}

/** The flow that a path names, if the user is a member. @throws 404 or 403 */
export async function joinedFlow(request: UserRequest, backend: Backend): Promise<AccessedFlow> {
  const flow = await findAccessedFlow(backend.store.reader, request.user.id, {
    organization: segment(request, 'organization'),
    slug: segment(request, 'flow'),
  })
  const visible = checkVisible(flow)
  if (!isJoined(visible)) throw accessDenied()
  return visible
}

/**
 * Checks membership again in the transaction that writes, because it may have ended since the request arrived.
 *
 * @throws 404 or 403; 403 for an archived flow
 */
export async function checkWritable(db: Database, userId: number, flowId: string): Promise<void> {
  const flow = checkVisible(await findFlowAccess(db, userId, flowId))
  if (!isJoined(flow) || flow.disabled === 1) throw accessDenied()
}

/**
 * The same for changes that only an administrator of the organization may make.
 *
 * @throws 404 or 403
 */
export async function checkAdministers(db: Database, userId: number, flowId: string): Promise<void> {
  const flow = checkVisible(await findFlowAccess(db, userId, flowId))
  if (flow.organization_admin !== 1) throw accessDenied()
}

/** A segment of the path that the pattern of the route names. */
export function segment(request: Pick<Request, 'path'>, name: string): string {
  const value = request.path[name]
  if (value === undefined) throw new Error(`Route has no segment "${name}"`)
  return value
}

/** A segment as a number. @throws 404 for any other text */
export function idSegment(request: Request, name: string): number {
  const value = segment(request, name)
  if (!/^\d{1,15}$/.test(value)) throw notFound()
  return Number(value)
}

/**
 * A parameter that is an ISO 8601 time, in milliseconds. It is in UTC when it has no offset. Undefined when it is not given.
 *
 * @throws 400 for anything else
 */
export function isoTime(params: Params, name: string): number | undefined {
  const text = params.string(name)
  if (text === undefined || text === '') return undefined
  const ms = parseIsoTime(text)
  if (ms === undefined) throw invalid({ [name]: ['must be an ISO 8601 time'] })
  return ms
}
