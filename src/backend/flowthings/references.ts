import { isRecord } from '../../json-values.ts'
import { listAccountsByIdentity } from '../store/things/accounts.ts'
import { listFlowsById } from '../store/things/flows.ts'
import { listObjectsById } from '../store/things/objects.ts'
import type { Access } from './access.ts'
import { isId } from './ids.ts'
import { type Json, present } from './present.ts'

/** Members with ids of other resources. */
const named = [
  'creatorId',
  'lastEditorId',
  'flowId',
  'issuedTo',
  'issuedBy',
  'memberIds',
  'groupIds',
  'tokenId',
  'reportFlowId',
]
const maxReferences = 1000

/** Summaries, without secrets, of the resources that results refer to and that the principal may read. By id. */
export async function describeReferences(
  access: Access,
  results: readonly unknown[],
): Promise<Record<string, Json>> {
  const ids = new Set<string>()
  for (const result of results) if (isRecord(result)) collect(result, ids)
  const all = [...ids].slice(0, maxReferences)
  const of = (letter: string) => all.filter((id) => id.startsWith(letter))
  const { db, principal } = access
  const references: Record<string, Json> = {}
  for (const { identity_id: id, name } of await listAccountsByIdentity(db, of('i')))
    references[id] = { id, name }
  for (const flow of await listFlowsById(db, of('f')))
    if ((await access.rightsAt(flow.account_id, flow.path_key)).read)
      references[flow.id] = { id: flow.id, path: flow.path }
  if (principal.token === undefined)
    for (const row of await listObjectsById(db, [...of('g'), ...of('k')])) {
      if (row.account_id !== principal.account.id) continue
      const { displayName, description } = JSON.parse(row.object_json) as Json
      references[row.id] = present({ id: row.id, displayName, description })
    }
  return references
}

function collect(result: Json, ids: Set<string>): void {
  for (const name of named) {
    const value = result[name]
    for (const id of Array.isArray(value) ? value : [value]) if (isId(id)) ids.add(id)
  }
}
