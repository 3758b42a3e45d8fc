import { FilterError } from './filter-error.ts'
import type { Operand, Point, Scalar, Unit } from './syntax-tree.ts'
import type { TokenReader } from './token-reader.ts'
import type { Token } from './tokens.ts'

const words: Readonly<Record<string, Scalar>> = { true: true, false: false, null: null }

/** Parses a value, or the name of a member. */
export function parseOperand(tokens: TokenReader): Operand {
  const token = tokens.next
  if (token.kind === 'number' || token.kind === 'string') {
    tokens.advance()
    return { value: token.value }
  }
  if (token.kind !== 'word') throw tokens.expected('a value, such as 1, "text" or true, or a member')
  tokens.advance()
  if (tokens.take('(')) return { value: typedValue(token.text, token.at, tokens) }
  return Object.hasOwn(words, token.text)
    ? { value: words[token.text] as Scalar }
    : { member: token.text.split('.') }
}

/** `[1,"a",true]` */
export function parseOperands(tokens: TokenReader): Operand[] {
  tokens.expect('[', 'a list, such as [1,2]')
  const operands: Operand[] = []
  if (tokens.take(']')) return operands
  do operands.push(parseOperand(tokens))
  while (tokens.take(','))
  tokens.expect(']', ', or ]')
  return operands
}

type TypedKind = 'number' | 'string' | 'boolean' | 'date'
/** Types whose values can be written like a call. Only the value in parentheses is compared. */
const typedValues: Readonly<Record<string, TypedKind>> = {
  date: 'date',
  integer: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  string: 'string',
  objectid: 'string',
  id: 'string',
  email: 'string',
  uri: 'string',
  url: 'string',
  phone: 'string',
  boolean: 'boolean',
}

/** Parses the rest of `Date(1342404840000)` or `Email('a@example.com')`, after the opening parenthesis. */
function typedValue(name: string, at: number, tokens: TokenReader): Scalar {
  const type = Object.hasOwn(typedValues, name.toLowerCase()) ? typedValues[name.toLowerCase()] : undefined
  if (type === undefined)
    throw new FilterError(
      at,
      `there is no type ${name}; the types are Date, ObjectId, Email, Url and the like`,
    )
  const token = tokens.next
  tokens.advance()
  const value = literal(type, token)
  if (value === undefined) throw new FilterError(token.at, `expected ${examples[type]}`)
  tokens.expect(')')
  return value
}

const examples: Readonly<Record<TypedKind, string>> = {
  number: 'a number',
  string: 'a text in quotes',
  boolean: 'true or false',
  date: 'a date in milliseconds, or one such as "2015-07-06T00:00:00Z"',
}

function literal(type: TypedKind, token: Token): Scalar | undefined {
  if (token.kind === 'number') return type === 'number' || type === 'date' ? token.value : undefined
  if (token.kind === 'string' && type === 'string') return token.value
  if (token.kind === 'string' && type === 'date') {
    const time = Date.parse(token.value)
    return Number.isNaN(time) ? undefined : time
  }
  return type === 'boolean' ? words[token.text] : undefined
}

const unitNames: Readonly<Record<string, Unit>> = {
  KM: 'KM',
  KILOMETER: 'KM',
  KILOMETERS: 'KM',
  MI: 'MILES',
  MILE: 'MILES',
  MILES: 'MILES',
  M: 'METERS',
  METER: 'METERS',
  METERS: 'METERS',
  FT: 'FEET',
  FOOT: 'FEET',
  FEET: 'FEET',
}

/** Parses `5 KM OF [48.1,11.6]`, with latitude and longitude. */
export function parsePlace(tokens: TokenReader): { distance: number; unit: Unit; center: Point } {
  const { at } = tokens.next
  const distance = tokens.takeNumber('a distance, such as 5 KM')
  if (distance < 0) throw new FilterError(at, 'a distance is not negative')
  const name = tokens.next.text.toUpperCase()
  const unit = Object.hasOwn(unitNames, name) ? unitNames[name] : undefined
  if (unit === undefined) throw tokens.expected('a unit (KM, MILES, METERS or FEET)')
  tokens.advance()
  tokens.expect('OF')
  tokens.expect('[')
  if (tokens.next.text === 'ZIP')
    throw new FilterError(
      tokens.next.at,
      'the places of ZIP codes are not known; expected [latitude,longitude]',
    )
  const lat = takeDegrees(tokens, 'latitude', 90)
  tokens.expect(',')
  const lon = takeDegrees(tokens, 'longitude', 180)
  tokens.expect(']')
  return { distance, unit, center: { lat, lon } }
}

function takeDegrees(tokens: TokenReader, name: string, most: number): number {
  const { at } = tokens.next
  const degrees = tokens.takeNumber(`a ${name}`)
  if (Math.abs(degrees) > most) throw new FilterError(at, `expected a ${name} from -${most} to ${most}`)
  return degrees
}
