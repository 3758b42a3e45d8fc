import { isRecord } from '../../json-values.ts'
import type { Member } from './filter/syntax-tree.ts'

/** A resource as JSON. */
export type Json = Readonly<Record<string, unknown>>

/** The requested members of a resource, and its id. */
export function project(resource: Json, only: readonly Member[] | undefined): Json {
  if (only === undefined) return resource
  let result: Json = Object.hasOwn(resource, 'id') ? { id: resource['id'] } : {}
  for (const member of only) result = copyMember(resource, result, member)
  return result
}

function copyMember(from: Json, to: Json, [name = '', ...rest]: Member): Json {
  if (!Object.hasOwn(from, name)) return to
  const value = from[name]
  if (rest.length === 0) return { ...to, [name]: value }
  if (!isRecord(value)) return to
  const inner = Object.hasOwn(to, name) && isRecord(to[name]) ? to[name] : {}
  return { ...to, [name]: copyMember(value, inner, rest) }
}

/** Removes members that are null or undefined, because clients check whether a member exists. */
export function present(members: Json): Json {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined && value !== null),
  )
}
