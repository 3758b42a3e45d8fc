import type { Member } from './syntax-tree.ts'

const dottedNames = /^[\p{L}_$:][\p{L}\p{M}\p{N}_$:-]*(?:\.[\p{L}\p{M}\p{N}_$:-]+)*$/u

/** A dotted member such as `elems.temperature`; `undefined` when the text is none. */
export function parseMember(text: string): Member | undefined {
  return dottedNames.test(text) ? text.split('.') : undefined
}
