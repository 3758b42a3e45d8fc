import { readFilter } from '../../find-params.ts'
import { mergeMembers } from '../../flow-model.ts'
import { pathKey } from '../../paths.ts'
import { rightsOf } from '../../permissions.ts'
import type { Json } from '../../present.ts'
import { badRequest } from '../../things-error.ts'
import { destinationsOf, trackSubject } from '../../track-model.ts'
import type { ObjectType } from '../object-type.ts'

const maxScriptCharacters = 32 * 1024
const maxDestinations = 20
/** Members that the server sets. */
const readOnly = ['lastError', 'lastErrorDate', 'style']

/** What becomes of the drops of a flow: copies in other flows, or what a function makes of them. [flowthings] track object overview */
export const trackType: ObjectType = {
  kind: 'track',
  allows: { create: true, change: true, remove: true },
  hidden: ['style'],
  async parse(writing, { given, before }) {
    const editable = Object.fromEntries(Object.entries(given).filter(([name]) => !readOnly.includes(name)))
    const members = mergeMembers(before ?? { style: writing.style }, editable)
    const { source, filter, js, disabled = false } = members
    const flow = await writing.requireFlowAt(source, 'dropRead')
    for (const path of parseDestinations(members)) await writing.requireFlowAt(path, 'dropWrite')
    readFilter(filter)
    if (js !== undefined && (typeof js !== 'string' || js.length > maxScriptCharacters))
      throw badRequest(
        `Expected "js" to be the text of a function, of at most ${maxScriptCharacters} characters`,
      )
    if (typeof disabled !== 'boolean') throw badRequest('Expected "disabled" to be true or false')
    return { members, subject: trackSubject(flow) }
  },
  isSeenByToken: ({ principal }, _, { source }) =>
    principal.token !== undefined && rightsOf(principal.token.permissions, pathKey(String(source))).read,
}

/** @throws ThingsError 400 */
function parseDestinations({ destination, js, metadata }: Json): readonly string[] {
  // A function may name the flows itself, and an editor stores tracks that are not complete.
  if (destination === undefined && (js !== undefined || metadata !== undefined)) return []
  const isList = Array.isArray(destination) && destination.every((path) => typeof path === 'string')
  if (typeof destination !== 'string' && !isList)
    throw badRequest('Expected "destination" to be the path of a flow, or a list of them')
  const paths = destinationsOf({ destination })
  if (paths.length > maxDestinations)
    throw badRequest(`Expected "destination" to have at most ${maxDestinations} paths`)
  return paths
}
