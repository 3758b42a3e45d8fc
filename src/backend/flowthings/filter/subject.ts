import { isRecord } from '../../../json-values.ts'
import { creationDate, type Member } from './syntax-tree.ts'

/**
 * A resource that a filter is evaluated for: its members as in its JSON, without missing ones. For a drop, `elems` has plain
 * values, and `elementTypes` the types that do not follow from the JSON of the values.
 */
export interface Subject {
  readonly [member: string]: unknown
  readonly elems?: Readonly<Record<string, unknown>>
  readonly elementTypes?: Readonly<Record<string, string>>
}

/** How names without a path are resolved: with `'drop'`, names that are not members of a drop are those of its elements. */
export type SubjectKind = 'drop' | 'resource'

/** The members of drops. All other names without a path are those of elements. [flowthings] drop object overview */
const dropMembers: ReadonlySet<string> = new Set([
  ...['id', 'flowId', 'path', 'creationDate', 'lastEditDate', 'version', 'elems', 'location', 'fhash'],
  'parentDropId',
])

/** The path of a member in a subject. */
export function resolveMember(member: Member, kind: SubjectKind): readonly string[] {
  return kind === 'resource' || dropMembers.has(member[0] ?? '') ? member : ['elems', ...member]
}

/** The path of the date for `AGE` without a member. */
export const creationPath: readonly string[] = creationDate

export type Getter = (subject: Subject) => unknown

/** Returns a function that reads a path; `undefined` if it is missing. Lists have no members. */
export function createGetter(path: readonly string[]): Getter {
  const [first = '', second, ...rest] = path
  // Inherited properties, such as `toString`, are not members.
  if (path.some((name) => name in Object.prototype)) return (subject) => readOwn(subject, path)
  if (second === undefined) return (subject) => subject[first]
  if (rest.length === 0)
    return (subject) => {
      const outer = subject[first] as Record<string, unknown> | undefined
      return isRecord(outer) ? outer[second] : undefined
    }
  return (subject) => {
    let value: unknown = subject
    for (const name of path) {
      if (!isRecord(value)) return undefined
      value = value[name]
    }
    return value
  }
}

function readOwn(subject: Subject, path: readonly string[]): unknown {
  let value: unknown = subject
  for (const name of path) {
    if (!isRecord(value) || !Object.hasOwn(value, name)) return undefined
    value = value[name]
  }
  return value
}
