import { RE2JS, RE2JSException } from 're2js'
import type { Regex } from './syntax-tree.ts'

/** The longest expression, and the most instructions of its compiled program. Their number limits the time for each character. */
export const maxRegexCharacters = 1000
const maxProgramSize = 400
/** The longest text that is searched. The slowest accepted expression takes about half a second for it. */
export const maxSearchedCharacters = 32_768

/** Flags without an effect on whether a match exists: `g` repeats the search, and the engine always works like `u`. */
const flagBits: Readonly<Record<string, number>> = {
  g: 0,
  i: RE2JS.CASE_INSENSITIVE,
  m: RE2JS.MULTILINE,
  s: RE2JS.DOTALL,
  u: 0,
}

/**
 * Returns a function that searches a text for a match, in linear time. The engine is RE2, which has no backreferences and no
 * lookahead. A text longer than `maxSearchedCharacters` never matches.
 *
 * @throws RegexError when the expression is too long, is not valid in RE2, or has an unknown flag
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

/** An invalid regular expression. */
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
