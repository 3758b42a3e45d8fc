import { isRecord } from '../../../json-values.ts'
import type { Outcome } from '../envelope.ts'
import { type Presentation, parseFindParams } from '../find-params.ts'
import { aggregateDrops } from '../operations/aggregate.ts'
import {
  createDrop,
  findDropsOf,
  findDropsOfMany,
  readDrop,
  readDrops,
  requireFlowOf,
  updateDrop,
} from '../operations/drop-requests.ts'
import { emptyFlow, removeDrop } from '../operations/drops.ts'
import { type Json, project } from '../present.ts'
import type { Things } from '../things.ts'
import { badRequest } from '../things-error.ts'
import { checkMember } from './check-member.ts'
import { methodNotAllowed } from './method-not-allowed.ts'
import type { RestRequest } from './request.ts'

/** Serves `/drop`, `/drop/FLOW` and `/drop/FLOW/DROP`. */
export async function serveDrops(
  things: Things,
  request: RestRequest,
  shown: Presentation,
): Promise<Outcome> {
  const [, flowId, dropId, member] = request.path
  if (flowId === undefined) return serveAll(things, request, shown)
  if (dropId === 'aggregate') return serveAggregate(things, request, flowId)
  if (dropId === undefined) return serveFlow(things, request, shown, flowId)
  return serveDrop(things, request, shown, { flowId, dropId, member })
}

async function serveAggregate(
  things: Things,
  { method, principal, style, body }: RestRequest,
  flowId: string,
): Promise<Outcome> {
  if (method !== 'POST') throw methodNotAllowed('POST')
  return { status: 200, body: await aggregateDrops(things.access(principal, style), { flowId }, body) }
}

async function serveAll(
  things: Things,
  request: RestRequest,
  { style, only }: Presentation,
): Promise<Outcome> {
  const { method, principal, body, query } = request
  const access = () => things.access(principal, request.style)
  switch (method) {
    case 'GET': {
      const { path } = query
      if (path === undefined) throw badRequest('Expected "path" to say which flow')
      const found = await findDropsOf(access(), { path }, parseFindParams(query), style)
      return { status: 200, body: found.map((drop) => project(drop, only)) }
    }
    case 'MGET': {
      const found = await findDropsOfMany(access(), body, style)
      return {
        status: 200,
        body: Object.fromEntries([...found].map(([id, drops]) => [id, projectAll(drops, only)])),
      }
    }
    case 'POST': {
      const drop = await things.write(principal, request.style, (writing) =>
        createDrop(writing, {}, body, style),
      )
      return { status: 201, body: project(drop, only) }
    }
    default:
      throw methodNotAllowed('GET, MGET, POST')
  }
}

async function serveFlow(
  things: Things,
  request: RestRequest,
  { style, only }: Presentation,
  flowId: string,
): Promise<Outcome> {
  const { method, principal, body, query } = request
  const access = () => things.access(principal, request.style)
  switch (method) {
    case 'GET': {
      const found = await findDropsOf(access(), { flowId }, parseFindParams(query), style)
      return { status: 200, body: projectAll(found, only) }
    }
    case 'MGET': {
      const found = await readDrops(access(), { flowId }, readIds(body), style)
      return { status: 200, body: projectMap(found, only) }
    }
    case 'POST': {
      const drop = await things.write(principal, request.style, (writing) =>
        createDrop(writing, { flowId }, body, style),
      )
      return { status: 201, body: project(drop, only) }
    }
    case 'MPUT': {
      const changes = readChanges(body)
      const changed = await things.write(principal, request.style, async (writing) => {
        const drops = new Map<string, Json>()
        for (const [id, change] of changes)
          drops.set(id, await updateDrop(writing, { flowId }, id, change, style))
        return drops
      })
      return { status: 200, body: projectMap(changed, only) }
    }
    case 'DELETE':
      await things.write(principal, request.style, async (writing) =>
        emptyFlow(writing, await requireFlowOf(writing, { flowId }, 'dropWrite')),
      )
      return { status: 200, body: {} }
    default:
      throw methodNotAllowed('GET, MGET, POST, MPUT, DELETE')
  }
}

async function serveDrop(
  things: Things,
  request: RestRequest,
  { style, only }: Presentation,
  {
    flowId,
    dropId,
    member,
  }: { readonly flowId: string; readonly dropId: string; readonly member: string | undefined },
): Promise<Outcome> {
  const { method, principal, body } = request
  checkMember(method, member, body)
  switch (method) {
    case 'GET': {
      const drop = await readDrop(things.access(principal, request.style), { flowId }, dropId, style)
      return { status: 200, body: project(drop, only) }
    }
    case 'PUT': {
      const changes = member === undefined ? body : { [member]: body }
      const drop = await things.write(principal, request.style, (writing) =>
        updateDrop(writing, { flowId }, dropId, changes, style),
      )
      return { status: 200, body: project(drop, only) }
    }
    case 'DELETE':
      await things.write(principal, request.style, async (writing) =>
        removeDrop(writing, await requireFlowOf(writing, { flowId }, 'dropWrite'), dropId),
      )
      return { status: 200, body: {} }
    default:
      throw methodNotAllowed('GET, PUT, DELETE')
  }
}

const maxIds = 1000

/** The list of ids of a bulk read. @throws ThingsError 400 */
export function readIds(body: unknown): readonly unknown[] {
  if (!Array.isArray(body) || body.length > maxIds)
    throw badRequest(`Expected a list of at most ${maxIds} ids`)
  return body
}

/** The changes of a bulk update, by id. @throws ThingsError 400 */
export function readChanges(body: unknown): readonly [id: string, change: unknown][] {
  const changes = isRecord(body) ? Object.entries(body) : undefined
  if (changes === undefined || changes.length > maxIds)
    throw badRequest(`Expected an object with the changes of at most ${maxIds} resources by their ids`)
  return changes
}

export function projectAll(resources: readonly Json[], only: Presentation['only']): Json[] {
  return resources.map((resource) => project(resource, only))
}

export function projectMap(resources: ReadonlyMap<string, Json>, only: Presentation['only']): Json {
  return Object.fromEntries([...resources].map(([id, resource]) => [id, project(resource, only)]))
}
