import { isExact, isRecord, mayHaveLongNumbers, parseNumbers } from '../json-values.ts'

/** Replaces variables that have a number which a double cannot represent: its digits, or its size. */
export class InexactNumber {
  readonly digits: string

  constructor(digits: string) {
    this.digits = digits
  }
}

/**
 * Parses the JSON of a request. Its variables become an `InexactNumber` if they have one, so that no digits are lost in silence.
 *
 * @param path the names of the members that lead to the variables
 * @throws SyntaxError
 */
export function parseRequestJson(json: string, path: readonly string[]): unknown {
  const value: unknown = JSON.parse(json)
  if (!mayHaveLongNumbers(json)) return value
  let marked = parseNumbers(json, (number, source) => (isExact(source) ? number : new InexactNumber(source)))
  for (const name of path) marked = isRecord(marked) ? marked[name] : undefined
  const inexact = findInexact(marked)
  return inexact === undefined ? value : withMember(value, path, inexact)
}

function findInexact(value: unknown): InexactNumber | undefined {
  if (value instanceof InexactNumber) return value
  if (typeof value !== 'object' || value === null) return undefined
  for (const member of Object.values(value)) {
    const found = findInexact(member)
    if (found !== undefined) return found
  }
  return undefined
}

function withMember(value: unknown, [name, ...path]: readonly string[], member: unknown): unknown {
  if (name === undefined) return member
  const members = isRecord(value) ? value : {}
  return { ...members, [name]: withMember(members[name], path, member) }
}
