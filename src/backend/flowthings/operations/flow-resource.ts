import { listFlowsById } from '../../store/things/flows.ts'
import type { Access } from '../access.ts'
import type { FindParams } from '../find-params.ts'
import { encodeFlow } from '../flow-model.ts'
import { checkId } from '../ids.ts'
import type { Json } from '../present.ts'
import { findResources, type NumberedResource, requiredText } from './find-resources.ts'
import { changeFlow, createFlow, readFlows, removeFlow } from './flows.ts'
import type { Resource } from './resource.ts'

export const flowResource: Resource = {
  async read(access, id) {
    return encodeFlow(await access.requireFlow(id, 'read'))
  },
  async readMany(access, ids) {
    const rows = await listFlowsById(
      access.db,
      ids.map((id) => checkId(id, 'flow')),
    )
    const seen = new Map<string, Json>()
    for (const row of rows)
      if ((await access.rightsAt(row.account_id, row.path_key)).read) seen.set(row.id, encodeFlow(row))
    return seen
  },
  find: (access, params) => findResources(access, candidates(access, params), params),
  create: async (writing, body) => encodeFlow(await createFlow(writing, body)),
  change: async (writing, id, changes) => encodeFlow(await changeFlow(writing, id, changes)),
  remove: removeFlow,
}

/** The flows that can match: one if the filter requires a path, else all flows that the principal may read. */
async function* candidates(access: Access, { filter }: FindParams): AsyncGenerator<NumberedResource> {
  const path = requiredText(filter, 'path')
  if (path === undefined) {
    for await (const row of readFlows(access)) yield { seq: row.no, json: encodeFlow(row) }
    return
  }
  const row = await access.findFlowAt(path)
  if (row !== undefined && (await access.rightsAt(row.account_id, row.path_key)).read)
    yield { seq: row.no, json: encodeFlow(row) }
}
