import { RE2JS, RE2JSException } from 're2js'
import type { Regex } from './syntax-tree.ts'

/** The longest expression, and the most instructions that the engine executes for a character of a text, at worst. */
export const maxRegexCharacters = 1000
const maxProgramSize = 400
/** The longest text that is searched: the worst expression takes about half a second for it. */
export const maxSearchedCharacters = 32_768

/** `g` says how often to search, `u` how letters are folded: neither changes what is found. */
const flagBits: Readonly<Record<string, number>> = {
  g: 0,
  i: RE2JS.CASE_INSENSITIVE,
  m: RE2JS.MULTILINE,
  s: RE2JS.DOTALL,
  u: 0,
}

/**
 * A function that says whether a text has a match somewhere. It takes time in proportion to the text: the engine is
 * RE2's, which has no backreferences and no lookahead. A text of more than `maxSearchedCharacters` has no match.
 *
 * @throws RegexError when the expression is too long, is no expression of RE2, or has an unknown flag
 */
export function compileRegex({ source, flags }: Regex): (text: string) => boolean {
  if (source.length > maxRegexCharacters)
    throw new RegexError(`the regular expression has more than ${maxRegexCharacters} characters`)
  let bits = 0
  for (const flag of flags) {
    const bit = flagBits[flag]
    if (bit === undefined)
      throw new RegexError(`the regular expression has the flag "${flag}"; the flags are g, i, m, s and u`)
    bits |= bit
  }
  const program = compile(source, bits)
  if (program.programSize() > maxProgramSize)
    throw new RegexError('the regular expression repeats too much; use smaller numbers in braces')
  return (text) => text.length <= maxSearchedCharacters && program.test(text)
}

/** An expression that is refused. */
export class RegexError extends Error {
  override readonly name = 'RegexError'
}

function compile(source: string, bits: number): RE2JS {
  try {
    return RE2JS.compile(source, bits)
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    const detail = error.message.replace(/^error parsing regexp: /, '')
    throw new RegexError(
      `the regular expression is refused: ${detail}. The syntax is that of RE2, which has no backreferences and no lookahead`,
    )
  }
}
