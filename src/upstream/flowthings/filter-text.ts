import { ValidationError } from '../../errors.ts'

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>='

/** A filter in parts, of which exactly one is given. */
export interface ThingsFilter {
  readonly and?: readonly ThingsFilter[] | null | undefined
  readonly or?: readonly ThingsFilter[] | null | undefined
  readonly not?: ThingsFilter | null | undefined
  readonly compare?:
    | {
        readonly member: string
        readonly comparison: Comparison
        /** Text, number, boolean or null; in its place another member. */
        readonly value?: NonNullable<unknown> | null | undefined
        readonly otherMember?: string | null | undefined
      }
    | null
    | undefined
  readonly remainder?:
    | {
        readonly member: string
        readonly divisor: number
        readonly comparison: Comparison
        readonly remainder: number
      }
    | null
    | undefined
  readonly matches?:
    | {
        readonly member?: string | null | undefined
        readonly pattern: string
        readonly ignoreCase?: boolean | null | undefined
      }
    | null
    | undefined
  readonly in?: { readonly member: string; readonly values: readonly unknown[] } | null | undefined
  readonly contains?: { readonly member: string; readonly values: readonly unknown[] } | null | undefined
  readonly within?:
    | {
        readonly member: string
        readonly distance: number
        readonly unit: string
        readonly latitude: number
        readonly longitude: number
      }
    | null
    | undefined
  readonly exists?: string | null | undefined
  readonly hasType?: string | null | undefined
  readonly age?:
    | {
        readonly member?: string | null | undefined
        readonly comparison: Comparison
        readonly milliseconds: number
      }
    | null
    | undefined
}

const maxDepth = 20
const memberPattern = /^[\p{L}_$:][\p{L}\p{M}\p{N}_$:-]*(?:\.[\p{L}\p{M}\p{N}_$:-]+)*$/u
const reserved = /^(AGE|EXISTS|HAS|MATCHES|NOT|IN|CONTAINS|WITHIN|true|false|null)$/

/**
 * The text of a filter in the filter language. Each part has parentheses of its own, `NOT` inside and outside of them, because
 * the documentation does not say what `NOT` binds. [flowthings] filter language
 *
 * @param path the path of the input
 * @throws ValidationError for a member, value or pattern that no text can have
 */
export function filterText(filter: ThingsFilter, path: readonly string[], depth = 0): string {
  if (depth > maxDepth) throw invalid(path, `a filter of at most ${maxDepth} levels`)
  const { and, or, not, compare, remainder, matches, within, exists, hasType, age } = filter
  const join = (filters: readonly ThingsFilter[], name: string, operator: string) => {
    if (filters.length === 0) throw invalid([...path, name], 'at least one filter')
    const texts = filters.map((each, index) => filterText(each, [...path, name, String(index)], depth + 1))
    return `(${texts.join(` ${operator} `)})`
  }
  const member = (name: string, part: string) => checkMember(name, [...path, part, 'member'])
  if (and != null) return join(and, 'and', '&&')
  if (or != null) return join(or, 'or', '||')
  if (not != null) return `(NOT (${filterText(not, [...path, 'not'], depth + 1)}))`
  if (compare != null) {
    if ((compare.otherMember != null) === (compare.value !== undefined))
      throw invalid([...path, 'compare'], 'either value or otherMember')
    const operand =
      compare.otherMember == null
        ? scalar(compare.value ?? null, [...path, 'compare', 'value'])
        : checkMember(compare.otherMember, [...path, 'compare', 'otherMember'])
    return `(${member(compare.member, 'compare')} ${compare.comparison} ${operand})`
  }
  if (remainder != null) {
    const { divisor, comparison } = remainder
    if (comparison !== '==' && comparison !== '!=')
      throw invalid([...path, 'remainder', 'comparison'], 'EQUAL or NOT_EQUAL')
    return `(${member(remainder.member, 'remainder')} % ${divisor} ${comparison} ${remainder.remainder})`
  }
  if (matches != null) {
    const regex = regexText(matches.pattern, matches.ignoreCase === true, [...path, 'matches', 'pattern'])
    return matches.member == null
      ? `(MATCHES ${regex})`
      : `(${member(matches.member, 'matches')} =~ ${regex})`
  }
  for (const [name, operator] of [
    ['in', 'IN'],
    ['contains', 'CONTAINS'],
  ] as const) {
    const list = filter[name]
    if (list == null) continue
    const values = list.values.map((value, index) => scalar(value, [...path, name, 'values', String(index)]))
    return `(${member(list.member, name)} ${operator} [${values.join(',')}])`
  }
  if (within != null) {
    const { distance, unit, latitude, longitude } = within
    return `(${member(within.member, 'within')} WITHIN ${distance} ${unit} OF [${latitude},${longitude}])`
  }
  if (exists != null) return `(EXISTS ${checkMember(exists, [...path, 'exists'])})`
  if (hasType != null) {
    if (!/^[A-Za-z]{1,40}$/.test(hasType)) throw invalid([...path, 'hasType'], 'the name of a data type')
    return `(HAS ${hasType})`
  }
  if (age != null) {
    const of = age.member == null ? '' : `('${member(age.member, 'age')}')`
    return `(AGE${of} ${age.comparison} ${age.milliseconds})`
  }
  throw invalid(path, 'a filter')
}

/** @throws ValidationError for what is no dotted name */
export function checkMember(name: string, path: readonly string[]): string {
  if (!memberPattern.test(name) || name.length > 200)
    throw invalid(path, 'the name of a member, such as "elems.temperature"')
  if (reserved.test(name))
    throw invalid(path, `another name: "${name}" is a word of filters; "elems.${name}" names an element`)
  return name
}

function scalar(value: unknown, path: readonly string[]): string {
  const isScalar =
    value === null ||
    typeof value === 'boolean' ||
    typeof value === 'string' ||
    (typeof value === 'number' && Number.isFinite(value))
  if (!isScalar) throw invalid(path, 'a text, a number, a boolean or null')
  return JSON.stringify(value)
}

function regexText(pattern: string, ignoreCase: boolean, path: readonly string[]): string {
  if (pattern === '') throw invalid(path, 'a regular expression')
  let backslashes = 0
  while (pattern[pattern.length - 1 - backslashes] === '\\') backslashes += 1
  if (backslashes % 2 === 1) throw invalid(path, 'a regular expression that does not end within an escape')
  // A slash behind a backslash never ends a regular expression: an empty group stands between them.
  const end = backslashes === 0 ? '' : '(?:)'
  return `/${pattern.replaceAll('/', '\\/')}${end}/${ignoreCase ? 'i' : ''}`
}

function invalid(path: readonly string[], expected: string): ValidationError {
  return new ValidationError(`Expected ${path.join('.')} to be ${expected}`, [], { inputPath: path })
}
