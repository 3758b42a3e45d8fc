import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Access } from '../access.ts'
import { compileFilter } from '../filter/evaluate.ts'
import { createGetter, resolveMember } from '../filter/subject.ts'
import type { Filter } from '../filter/syntax-tree.ts'
import type { FindParams } from '../find-params.ts'
import type { Json } from '../present.ts'
import { FirstResults, type SizedResult } from '../sorting.ts'

/** A resource that is not a drop, and its number in the order of creation. */
export interface NumberedResource {
  readonly seq: number
  readonly json: Json
}

/** The number of resources that are evaluated before other requests get a turn of the event loop. */
const turnSize = 500
const maxResponseBytes = 64 * 1024 * 1024

/** The matching resources in the requested order. Resources with equal creation dates are in the order of creation. */
export async function findResources(
  { now }: Access,
  all: AsyncIterable<NumberedResource>,
  { filter, start, limit, sort, descending }: FindParams,
): Promise<Json[]> {
  const matches = compileFilter(filter, 'resource')
  const get = createGetter(resolveMember(sort, 'resource'))
  const results = new FirstResults<SizedResult & NumberedResource>(
    start + limit,
    descending,
    maxResponseBytes,
  )
  let read = 0
  for await (const { seq, json } of all) {
    read += 1
    if (read % turnSize === 0) await nextTurn()
    // The length of each resource is limited, so a limit on their number also limits the length of the response.
    if (matches(json, now)) results.add({ seq, json, value: get(json), bytes: 1 })
  }
  return results.take(start).map(({ json }) => json)
}

/** The text that a member has in every resource that matches the filter; undefined if it may differ. */
export function requiredText(filter: Filter, name: string): string | undefined {
  const clauses = filter.kind === 'and' ? filter.clauses : [filter]
  for (const clause of clauses) {
    if (clause.kind !== 'compare' || clause.comparison !== '==' || clause.member.length !== 1) continue
    if (clause.member[0] !== name || !('value' in clause.operand)) continue
    if (typeof clause.operand.value === 'string') return clause.operand.value
  }
  return undefined
}
