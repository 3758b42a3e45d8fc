import { typeNames } from '../values.ts'
import { FilterError } from './filter-error.ts'
import { parseOperand, parseOperands, parsePlace } from './parse-operands.ts'
import { compileRegex, RegexError } from './regex.ts'
import {
  type Comparison,
  creationDate,
  type Equality,
  type Filter,
  joinClauses,
  type Member,
  type Regex,
} from './syntax-tree.ts'
import { createTokenReader, type TokenReader } from './token-reader.ts'
import { tokenize } from './tokens.ts'

/** The most levels of parentheses and `NOT`, and the most clauses. */
const maxDepth = 200
const maxClauses = 1000

const comparisons: ReadonlySet<string> = new Set<Comparison>(['==', '!=', '<', '<=', '>', '>='])
const equalities: ReadonlySet<string> = new Set<Equality>(['==', '!='])

interface Parsing {
  readonly tokens: TokenReader
  depth: number
  clauses: number
}

/**
 * Parses a filter. `NOT` has the highest precedence, then `&&`, then `||`. Keywords are in upper case. `AND` and `OR` are
 * accepted for `&&` and `||`.
 *
 * @param text with an empty text, every subject matches
 * @throws FilterError
 */
export function parseFilter(text: string): Filter {
  const tokens = createTokenReader(tokenize(text))
  if (tokens.isAtEnd()) return { kind: 'all' }
  const filter = parseEither({ tokens, depth: 0, clauses: 0 })
  if (!tokens.isAtEnd()) throw tokens.expected('&&, || or the end')
  return filter
}

function parseEither(parsing: Parsing): Filter {
  const clauses = [parseBoth(parsing)]
  while (parsing.tokens.take('||') || parsing.tokens.take('OR')) clauses.push(parseBoth(parsing))
  return joinClauses('or', clauses)
}

function parseBoth(parsing: Parsing): Filter {
  const clauses = [parseClause(parsing)]
  while (parsing.tokens.take('&&') || parsing.tokens.take('AND')) clauses.push(parseClause(parsing))
  return joinClauses('and', clauses)
}

function parseClause(parsing: Parsing): Filter {
  const { tokens } = parsing
  const { at } = tokens.next
  if (tokens.take('NOT')) return { kind: 'not', clause: nested(parsing, at, parseClause) }
  if (tokens.take('(')) {
    const filter = nested(parsing, at, parseEither)
    tokens.expect(')', '&&, || or )')
    return filter
  }
  parsing.clauses += 1
  if (parsing.clauses > maxClauses) throw new FilterError(at, `it has more than ${maxClauses} clauses`)
  return parsePredicate(tokens)
}

function nested(parsing: Parsing, at: number, parse: (parsing: Parsing) => Filter): Filter {
  parsing.depth += 1
  if (parsing.depth > maxDepth) throw new FilterError(at, `it is nested deeper than ${maxDepth} levels`)
  const filter = parse(parsing)
  parsing.depth -= 1
  return filter
}

function parsePredicate(tokens: TokenReader): Filter {
  if (tokens.take('EXISTS')) return { kind: 'exists', member: tokens.takeMember() }
  if (tokens.take('HAS')) return { kind: 'has', type: takeType(tokens) }
  if (tokens.take('MATCHES')) return { kind: 'matches', regex: takeRegex(tokens) }
  if (tokens.take('AGE')) return parseAge(tokens)
  const member = tokens.takeMember('a member, NOT, EXISTS, HAS, MATCHES, AGE or (')
  if (tokens.take('IN')) return { kind: 'in', member, operands: parseOperands(tokens) }
  if (tokens.take('CONTAINS')) return { kind: 'contains', member, operands: parseOperands(tokens) }
  if (tokens.take('WITHIN')) return { kind: 'within', member, ...parsePlace(tokens) }
  if (tokens.take('=~')) return { kind: 'regex', member, regex: takeRegex(tokens) }
  if (tokens.take('%')) return parseRemainder(tokens, member)
  const comparison = takeComparison(
    tokens,
    'a comparison (==, !=, <, <=, >, >=), =~, %, IN, CONTAINS or WITHIN',
  )
  return { kind: 'compare', member, comparison, operand: parseOperand(tokens) }
}

function takeType(tokens: TokenReader): string {
  const { kind, text } = tokens.next
  if (kind !== 'word' || !typeNames.has(text))
    throw tokens.expected(`a data type (${[...typeNames].join(', ')})`)
  tokens.advance()
  return text
}

/** `AGE > 1000`, `AGE('lastEditDate') > 1000` */
function parseAge(tokens: TokenReader): Filter {
  let member = creationDate
  if (tokens.take('(')) {
    member = tokens.takeQuotedMember()
    tokens.expect(')')
  }
  const comparison = takeComparison(tokens, 'a comparison (==, !=, <, <=, >, >=)')
  return { kind: 'age', member, comparison, milliseconds: tokens.takeNumber('a number of milliseconds') }
}

function parseRemainder(tokens: TokenReader, member: Member): Filter {
  const { at } = tokens.next
  const divisor = tokens.takeNumber()
  if (divisor === 0) throw new FilterError(at, 'nothing can be divided by 0')
  const { text } = tokens.next
  if (!equalities.has(text)) throw tokens.expected('== or !=')
  tokens.advance()
  return { kind: 'remainder', member, divisor, comparison: text as Equality, remainder: tokens.takeNumber() }
}

function takeComparison(tokens: TokenReader, expected: string): Comparison {
  const { kind, text } = tokens.next
  if (kind !== 'symbol' || !comparisons.has(text)) throw tokens.expected(expected)
  tokens.advance()
  return text as Comparison
}

function takeRegex(tokens: TokenReader): Regex {
  const token = tokens.next
  if (token.kind !== 'regex') throw tokens.expected('a regular expression, such as /a|b/')
  tokens.advance()
  const regex = { source: token.source, flags: token.flags }
  try {
    compileRegex(regex)
  } catch (error) {
    if (error instanceof RegexError) throw new FilterError(token.at, error.message)
    throw error
  }
  return regex
}
