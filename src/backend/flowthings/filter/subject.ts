import { isRecord } from '../../../json-values.ts'
import { creationDate, type Member } from './syntax-tree.ts'

/**
 * What a filter is evaluated against: the members of a resource as its JSON has them, without those that are absent.
 * Of a drop, `elems` has plain values, and `elementTypes` the types that their JSON does not say.
 */
export interface Subject {
  readonly [member: string]: unknown
  readonly elems?: Readonly<Record<string, unknown>>
  readonly elementTypes?: Readonly<Record<string, string>>
}

/** How bare names are resolved: `'drop'` reads what is no member of a drop among its elements. */
export type SubjectKind = 'drop' | 'resource'

/** [flowthings] drop object overview: every other bare name means an element. */
const dropMembers: ReadonlySet<string> = new Set([
  ...['id', 'flowId', 'path', 'creationDate', 'lastEditDate', 'version', 'elems', 'location', 'fhash'],
  'parentDropId',
])

/** The path of a member in a subject. */
export function resolveMember(member: Member, kind: SubjectKind): readonly string[] {
  return kind === 'resource' || dropMembers.has(member[0] ?? '') ? member : ['elems', ...member]
}

/** The path of the date that `AGE` reads without a member. */
export const creationPath: readonly string[] = creationDate

export type Getter = (subject: Subject) => unknown

/** A function that reads a path: `undefined` when it is missing. Lists have no members. */
export function createGetter(path: readonly string[]): Getter {
  const [first = '', second, ...rest] = path
  // What every object inherits is no member.
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
