import { storableText } from '../values.ts'
import { FilterError } from './filter-error.ts'

/** The longest filter, in characters. */
export const maxFilterCharacters = 16_384

export type Token =
  /** A keyword, a member, or a unit. */
  | { readonly kind: 'word'; readonly at: number; readonly text: string }
  | { readonly kind: 'number'; readonly at: number; readonly text: string; readonly value: number }
  | { readonly kind: 'string'; readonly at: number; readonly text: string; readonly value: string }
  | {
      readonly kind: 'regex'
      readonly at: number
      readonly text: string
      readonly source: string
      readonly flags: string
    }
  | { readonly kind: 'symbol'; readonly at: number; readonly text: string }
  | { readonly kind: 'end'; readonly at: number; readonly text: '' }

const blanks = /\s+/y
const word = /[\p{L}_$:][\p{L}\p{M}\p{N}_$:-]*(?:\.[\p{L}\p{M}\p{N}_$:-]+)*/uy
const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const symbol = /&&|\|\||==|!=|=~|<=|>=|[<>()[\],%=]/y
const flags = /[A-Za-z]*/y

/** The tokens of a filter; the last one is its end. @throws FilterError */
export function tokenize(text: string): Token[] {
  if (text.length > maxFilterCharacters)
    throw new FilterError(maxFilterCharacters, `it has more than ${maxFilterCharacters} characters`)
  const tokens: Token[] = []
  let at = skip(blanks, text, 0)
  while (at < text.length) {
    const token = tokenAt(text, at)
    tokens.push(token)
    at = skip(blanks, text, at + token.text.length)
  }
  tokens.push({ kind: 'end', at, text: '' })
  return tokens
}

function tokenAt(text: string, at: number): Token {
  const first = text[at] as string
  if (first === "'") return singleQuoted(text, at)
  if (first === '"') return doubleQuoted(text, at)
  if (first === '/') return regex(text, at)
  const numeral = match(number, text, at)
  if (numeral !== undefined) {
    // Converts -0 to 0, because -0 is printed as "0".
    const value = Number(numeral) + 0
    if (!Number.isFinite(value)) throw new FilterError(at, `the number ${numeral} is too large`)
    return { kind: 'number', at, text: numeral, value }
  }
  const name = match(word, text, at)
  if (name !== undefined) return { kind: 'word', at, text: name }
  const sign = match(symbol, text, at)
  if (sign !== undefined) return { kind: 'symbol', at, text: sign }
  const character = String.fromCodePoint(text.codePointAt(at) ?? 0)
  throw new FilterError(at, `there is ${JSON.stringify(character)}, which begins nothing of a filter`)
}

/** The only escape is `\'`. Other backslashes are literal. [flowthings] python-client, filters */
function singleQuoted(text: string, at: number): Token {
  const end = endOf("'", text, at)
  if (end === -1) throw new FilterError(at, "the text has no closing quote (')")
  const value = storableText(text.slice(at + 1, end).replaceAll("\\'", "'"))
  return { kind: 'string', at, text: text.slice(at, end + 1), value }
}

/** A string of JSON. */
function doubleQuoted(text: string, at: number): Token {
  let end = at + 1
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
  if (end >= text.length) throw new FilterError(at, 'the text has no closing quote (")')
  const quoted = text.slice(at, end + 1)
  try {
    return { kind: 'string', at, text: quoted, value: storableText(JSON.parse(quoted) as string) }
  } catch {
    throw new FilterError(at, 'a text in double quotes is a string of JSON, and this is none')
  }
}

/** The only escape is `\/`, for a slash. [flowthings] python-client, filters */
function regex(text: string, at: number): Token {
  const end = endOf('/', text, at)
  if (end === -1) throw new FilterError(at, 'the regular expression has no closing slash')
  const source = storableText(text.slice(at + 1, end).replaceAll('\\/', '/'))
  const letters = match(flags, text, end + 1) ?? ''
  const sorted = [...new Set(letters)].sort().join('')
  return { kind: 'regex', at, text: text.slice(at, end + 1) + letters, source, flags: sorted }
}

/** The index of the next delimiter without a backslash before it; -1 if there is none. */
function endOf(delimiter: string, text: string, at: number): number {
  let end = text.indexOf(delimiter, at + 1)
  while (end !== -1 && text[end - 1] === '\\') end = text.indexOf(delimiter, end + 1)
  return end
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}

function skip(pattern: RegExp, text: string, at: number): number {
  return at + (match(pattern, text, at)?.length ?? 0)
}
