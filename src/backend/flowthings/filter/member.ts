import type { Member } from './syntax-tree.ts'

const dottedNames = /^[\p{L}_$:][\p{L}\p{M}\p{N}_$:-]*(?:\.[\p{L}\p{M}\p{N}_$:-]+)*$/u

/** Parses the name of a member, such as `elems.temperature`; `undefined` for other texts. */
export function parseMember(text: string): Member | undefined {
  return dottedNames.test(text) ? text.split('.') : undefined
}
