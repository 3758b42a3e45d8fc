import { FilterError } from './filter-error.ts'
import { parseMember } from './member.ts'
import type { Member } from './syntax-tree.ts'
import type { Token } from './tokens.ts'

/** Reads the tokens of a filter in order. */
export interface TokenReader {
  readonly next: Token
  isAtEnd(): boolean
  advance(): void
  /** Skips the next token if it is this symbol or keyword. @returns whether it was */
  take(text: string): boolean
  /** Skips a symbol. @throws FilterError when the next token is another one */
  expect(symbol: string, expected?: string): void
  takeMember(expected?: string): Member
  /** A member in quotes. */
  takeQuotedMember(): Member
  takeNumber(expected?: string): number
  /** An error that names the expected token. */
  expected(what: string): FilterError
}

const keywords = new Set([
  'NOT',
  'EXISTS',
  'HAS',
  'MATCHES',
  'AGE',
  'IN',
  'CONTAINS',
  'WITHIN',
  'OF',
  'AND',
  'OR',
])

export function createTokenReader(tokens: readonly Token[]): TokenReader {
  let index = 0
  const next = () => tokens[index] as Token
  const advance = () => {
    index += 1
  }
  const expected = (what: string) => {
    const { at, kind, text } = next()
    const found = kind === 'end' ? 'the filter ends there' : `there is ${shorten(text)}`
    const hint = keywords.has(text.toUpperCase()) && !keywords.has(text) ? '. Keywords are in upper case' : ''
    return new FilterError(at, `expected ${what}, and ${found}${hint}`)
  }
  const isSign = (text: string) => {
    const token = next()
    return (token.kind === 'symbol' || token.kind === 'word') && token.text === text
  }
  return {
    get next() {
      return next()
    },
    isAtEnd: () => next().kind === 'end',
    advance,
    expected,
    take(text) {
      if (!isSign(text)) return false
      advance()
      return true
    },
    expect(symbol, what = symbol) {
      if (!isSign(symbol)) throw expected(what)
      advance()
    },
    takeMember(what = 'a member, such as elems.temperature') {
      const { kind, text } = next()
      if (kind !== 'word') throw expected(what)
      advance()
      return text.split('.')
    },
    takeQuotedMember() {
      const token = next()
      const member = token.kind === 'string' ? parseMember(token.value) : undefined
      if (member === undefined) throw expected("the member of a date in quotes, such as 'lastEditDate'")
      advance()
      return member
    },
    takeNumber(what = 'a number') {
      const token = next()
      if (token.kind !== 'number') throw expected(what)
      advance()
      return token.value
    },
  }
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40).toWellFormed()}…` : text
}
