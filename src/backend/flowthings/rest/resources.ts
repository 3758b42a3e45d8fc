import type { Outcome } from '../envelope.ts'
import { type Presentation, parseFindParams } from '../find-params.ts'
import { requireSame } from '../operations/drop-requests.ts'
import type { Resource } from '../operations/resource.ts'
import { type Json, project } from '../present.ts'
import type { Things } from '../things.ts'
import { checkMember } from './check-member.ts'
import { projectAll, projectMap, readChanges, readIds } from './drops.ts'
import { methodNotAllowed } from './method-not-allowed.ts'
import type { RestRequest } from './request.ts'

/** Serves `/KIND`, `/KIND/ID` and `/KIND/ID/MEMBER`. */
export async function serveResource(
  things: Things,
  resource: Resource,
  request: RestRequest,
  shown: Presentation,
): Promise<Outcome> {
  const [, id, member] = request.path
  return id === undefined
    ? serveAll(things, resource, request, shown)
    : serveOne(things, resource, request, shown, { id, member })
}

async function serveAll(
  things: Things,
  resource: Resource,
  { method, principal, style, body, query }: RestRequest,
  { only }: Presentation,
): Promise<Outcome> {
  const access = () => things.access(principal, style)
  switch (method) {
    case 'GET':
      return { status: 200, body: projectAll(await resource.find(access(), parseFindParams(query)), only) }
    case 'MGET':
      return { status: 200, body: projectMap(await resource.readMany(access(), readIds(body)), only) }
    case 'POST': {
      const created = await things.write(principal, style, (writing) => resource.create(writing, body))
      return { status: 201, body: project(created, only) }
    }
    case 'MPUT': {
      const changes = readChanges(body)
      const changed = await things.write(principal, style, async (writing) => {
        const all = new Map<string, Json>()
        for (const [id, change] of changes) {
          requireSame(id, change)
          all.set(id, await resource.change(writing, id, change))
        }
        return all
      })
      return { status: 200, body: projectMap(changed, only) }
    }
    default:
      throw methodNotAllowed('GET, MGET, POST, MPUT')
  }
}

async function serveOne(
  things: Things,
  resource: Resource,
  { method, principal, style, body }: RestRequest,
  { only }: Presentation,
  { id, member }: { readonly id: string; readonly member: string | undefined },
): Promise<Outcome> {
  checkMember(method, member, body)
  switch (method) {
    case 'GET':
      return { status: 200, body: project(await resource.read(things.access(principal, style), id), only) }
    case 'PUT': {
      const changes = member === undefined ? body : { [member]: body }
      const changed = await things.write(principal, style, async (writing) => {
        requireSame(id, changes)
        return resource.change(writing, id, changes)
      })
      return { status: 200, body: project(changed, only) }
    }
    case 'DELETE':
      await things.write(principal, style, (writing) => resource.remove(writing, id))
      return { status: 200, body: {} }
    default:
      throw methodNotAllowed('GET, PUT, DELETE')
  }
}
