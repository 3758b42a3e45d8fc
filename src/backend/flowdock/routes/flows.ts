import type { WireAccessMode, WireFlow } from '../../../wire/flowdock.ts'
import { boundedText } from '../../bounds.ts'
import { accessDenied, HttpError, invalid, notFound } from '../../http/errors.ts'
import type { Params } from '../../http/params.ts'
import type { Database } from '../../store/db.ts'
import {
  type FlowRow,
  findFlowAccess,
  findViewedFlow,
  isJoined,
  listFlows,
  listFlowUsers,
} from '../../store/flows.ts'
import { findOrganization, findOrganizationMember, findOrganizations } from '../../store/organizations.ts'
import { findUser } from '../../store/users.ts'
import { encodeFlow, encodeFlowUser } from '../encode.ts'
import { createFlow, editFlow, rotatePushToken, setFlowOpen } from '../operations/flows.ts'
import { blockMember, joinFlow } from '../operations/members.ts'
import type { Backend, Route, UserRequest } from '../route.ts'
import {
  checkAdministers,
  checkVisible,
  checkWritable,
  findFlowByName,
  idSegment,
  joinedFlow,
  segment,
  visibleFlow,
} from './access.ts'

const accessModes: readonly WireAccessMode[] = ['invitation', 'link', 'organization']

/** [flowdock] flows.md, users.md */
export const flowRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/flows',
    auth: 'user',
    handle: (request, backend) => listAnswer(request, backend, 'joined'),
  },
  {
    method: 'GET',
    pattern: '/flows/all',
    auth: 'user',
    handle: (request, backend) => listAnswer(request, backend, 'all'),
  },
  {
    method: 'GET',
    pattern: '/flows/find',
    auth: 'user',
    async handle(request, backend) {
      const id = request.params.string('id')
      if (id === undefined) throw invalid({ id: ["can't be blank"] })
      const flow = checkVisible(await findFlowByName(backend.store.reader, request.user.id, id))
      return showAnswer(request, backend, flow)
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization',
    auth: 'user',
    async handle(request, backend) {
      const organization = await findOrganization(backend.store.reader, {
        slug: segment(request, 'organization'),
      })
      if (organization === undefined) throw notFound()
      if (
        (await findOrganizationMember(backend.store.reader, organization.id, request.user.id)) === undefined
      )
        throw notFound()
      return listAnswer(request, backend, 'all', organization.id)
    },
  },
  {
    method: 'POST',
    pattern: '/flows/:organization',
    auth: 'user',
    async handle(request, backend) {
      const name = flowName(request.params)
      if (name === undefined) throw invalid({ name: ["can't be blank"] })
      const flow = await backend.log.write(async (change) => {
        const { db } = change
        const organization = await findOrganization(db, { slug: segment(request, 'organization') })
        if (organization === undefined) throw notFound()
        if ((await findOrganizationMember(db, organization.id, request.user.id)) === undefined)
          throw notFound()
        const { id } = await createFlow(change, organization.id, { name }, [request.user])
        return (await findViewedFlow(db, request.user.id, { id })) as FlowRow
      })
      return { status: 201, body: await encodeOne(backend.store.reader, flow, request, true) }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow',
    auth: 'user',
    async handle(request, backend) {
      return showAnswer(request, backend, await visibleFlow(request, backend))
    },
  },
  {
    method: 'PUT',
    pattern: '/flows/:organization/:flow',
    auth: 'user',
    handle: updateAnswer,
  },
  {
    // An extension: the service could not replace a push token.
    method: 'POST',
    pattern: '/flows/:organization/:flow/api_token',
    auth: 'user',
    async handle(request, backend) {
      if (request.scopes !== undefined)
        throw new HttpError(403, {
          message: 'Access denied: the api_token of a flow is for a credential of your own',
        })
      const flow = await joinedFlow(request, backend)
      const token = await backend.log.write(async ({ db }) => {
        await checkAdministers(db, request.user.id, flow.id)
        return rotatePushToken(db, flow.id)
      })
      return { status: 201, body: { api_token: token } }
    },
  },
  {
    method: 'GET',
    pattern: '/flows/:organization/:flow/users',
    auth: 'user',
    async handle(request, backend) {
      const flow = await visibleFlow(request, backend)
      const users = await listFlowUsers(backend.store.reader, [flow.id])
      return { status: 200, body: users.map((user) => encodeFlowUser(user, request.base)) }
    },
  },
  {
    method: 'POST',
    pattern: '/flows/:organization/:flow/users',
    auth: 'user',
    async handle(request, backend) {
      const id = request.params.integer('id')
      if (id === undefined) throw invalid({ id: ["can't be blank"] })
      const flow = await joinedFlow(request, backend)
      await backend.log.write(async (change) => {
        await checkWritable(change.db, request.user.id, flow.id)
        const user = await findUser(change.db, id)
        const member = await findOrganizationMember(change.db, flow.organization_id, id)
        if (user === undefined || member === undefined)
          throw invalid({ id: ['is not a member of the organization'] })
        const theirs = await findFlowAccess(change.db, id, flow.id)
        if (theirs !== undefined && isJoined(theirs)) return
        await joinFlow(change, flow, user, request.user)
      })
      return { status: 200, body: {} }
    },
  },
  {
    method: 'PUT',
    pattern: '/flows/:organization/:flow/users/:id',
    auth: 'user',
    async handle(request, backend) {
      const id = idSegment(request, 'id')
      const disabled = request.params.boolean('disabled')
      if (disabled === undefined) throw invalid({ disabled: ["can't be blank"] })
      const { id: flowId } = await joinedFlow(request, backend)
      await backend.log.write(async (change) => {
        const flow = checkVisible(await findViewedFlow(change.db, request.user.id, { id: flowId }))
        if (!isJoined(flow)) throw accessDenied()
        const user = await findUser(change.db, id)
        const theirs = await findFlowAccess(change.db, id, flow.id)
        if (user === undefined || theirs === undefined || theirs.blocked === null) throw notFound()
        // [flowdock] users.md: administrators may block anyone, others only users who are no administrators
        if (flow.organization_admin !== 1 && theirs.organization_admin === 1 && id !== request.user.id)
          throw accessDenied()
        if (isJoined(theirs) !== disabled) return
        await (disabled ? blockMember : joinFlow)(change, flow, user, request.user)
      })
      return { status: 200, body: {} }
    },
  },
]

/** An extension: without its users on demand, as in lists. */
async function showAnswer(request: UserRequest, { store }: Backend, flow: FlowRow) {
  const withUsers = request.params.boolean('users') !== false
  return { status: 200, body: await encodeOne(store.reader, flow, request, withUsers) }
}

async function updateAnswer(request: UserRequest, backend: Backend) {
  const { params, user } = request
  const name = flowName(params)
  const open = params.boolean('open')
  const disabled = params.boolean('disabled')
  const description = boundedText(params, 'description', 'description')
  const mode = params.string('access_mode')
  const accessMode = accessModes.find((known) => known === mode)
  if (mode !== accessMode) throw invalid({ access_mode: [`must be one of ${accessModes.join(', ')}`] })
  const changes = {
    ...(name === undefined ? {} : { name }),
    ...(accessMode === undefined ? {} : { accessMode }),
    ...(description === undefined ? {} : { description }),
    ...(disabled === undefined ? {} : { archived: disabled }),
  }
  const flow = await visibleFlow(request, backend)

  const updated = await backend.log.write(async (change) => {
    const { db } = change
    if (Object.keys(changes).length > 0) await checkAdministers(db, user.id, flow.id)
    const before = checkVisible(await findViewedFlow(db, user.id, { id: flow.id }))
    await editFlow(change, before, changes)
    if (open === true && !isJoined(before)) {
      if (before.disabled === 1) throw accessDenied()
      await joinFlow(change, before, user, user)
    } else if (open !== undefined && isJoined(before)) {
      await setFlowOpen(change, flow.id, user.id, open)
    }
    return (await findViewedFlow(db, user.id, { id: flow.id })) as FlowRow
  })
  return { status: 200, body: await encodeOne(backend.store.reader, updated, request, false) }
}

async function listAnswer(
  { user, params, base, scopes }: UserRequest,
  { store }: Backend,
  scope: 'joined' | 'all',
  organizationId?: number,
) {
  const flows = await listFlows(store.reader, user.id, scope, organizationId)
  const organizations = await findOrganizations(store.reader, [
    ...new Set(flows.map(({ organization_id }) => organization_id)),
  ])
  const byId = new Map(organizations.map((organization) => [organization.id, organization]))
  const withUsers = params.boolean('users') === true
  const users = withUsers
    ? await listFlowUsers(
        store.reader,
        flows.map(({ id }) => id),
      )
    : []
  const byFlow = Map.groupBy(users, ({ flow_id }) => flow_id)
  const body = flows.flatMap((flow): WireFlow[] => {
    const organization = byId.get(flow.organization_id)
    if (organization === undefined) return []
    return [encodeFlow(flow, organization, base, scopes, withUsers ? (byFlow.get(flow.id) ?? []) : undefined)]
  })
  return { status: 200, body }
}

async function encodeOne(
  db: Database,
  flow: FlowRow,
  { base, scopes }: UserRequest,
  withUsers: boolean,
): Promise<WireFlow> {
  const organization = await findOrganization(db, { id: flow.organization_id })
  if (organization === undefined) throw notFound()
  const users = withUsers ? await listFlowUsers(db, [flow.id]) : undefined
  return encodeFlow(flow, organization, base, scopes, users)
}

function flowName(params: Params): string | undefined {
  return boundedText(params, 'name', 'name')?.trim()
}
