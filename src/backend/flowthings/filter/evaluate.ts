import { isRecord } from '../../../json-values.ts'
import { typeOfElement } from '../values.ts'
import { compareValues, compareWith, isScalar } from './compare.ts'
import { distanceMeters, metersOf, toPoint } from './distance.ts'
import { compileRegex } from './regex.ts'
import { createGetter, resolveMember, type Subject, type SubjectKind } from './subject.ts'
import type { Equality, Filter, Member, Operand, Regex, Scalar } from './syntax-tree.ts'

/** Whether a subject matches. @param now the present time in milliseconds, for `AGE` */
export type Evaluator = (subject: Subject, now: number) => boolean

/**
 * Compiles a filter to a function. For a missing member, `!=` is true, and all other comparisons are false.
 *
 * @param kind determines the meaning of names without a path
 */
export function compileFilter(filter: Filter, kind: SubjectKind): Evaluator {
  const get = (member: Member) => createGetter(resolveMember(member, kind))
  switch (filter.kind) {
    case 'all':
      return () => true
    case 'and':
      return every(filter.clauses.map((clause) => compileFilter(clause, kind)))
    case 'or':
      return some(filter.clauses.map((clause) => compileFilter(clause, kind)))
    case 'not': {
      const matches = compileFilter(filter.clause, kind)
      return (subject, now) => !matches(subject, now)
    }
    case 'compare': {
      const left = get(filter.member)
      const { comparison, operand } = filter
      if ('member' in operand) {
        const right = get(operand.member)
        return (subject) => compareValues(comparison, left(subject), right(subject))
      }
      const test = compareWith(comparison, operand.value)
      return (subject) => test(left(subject))
    }
    case 'remainder': {
      const left = get(filter.member)
      const test = remainderTest(filter)
      return (subject) => test(left(subject))
    }
    case 'regex': {
      const left = get(filter.member)
      const isFound = compileRegex(filter.regex)
      return (subject) => {
        const value = left(subject)
        return typeof value === 'string' && isFound(value)
      }
    }
    case 'matches':
      return matchesAnywhere(filter.regex, kind)
    case 'in':
      return isOneOf(get(filter.member), filter.operands, get)
    case 'contains':
      return containsAll(get(filter.member), filter.operands, get)
    case 'within': {
      const left = get(filter.member)
      const meters = filter.distance * metersOf[filter.unit]
      return (subject) => {
        const point = toPoint(left(subject))
        return point !== undefined && distanceMeters(point, filter.center) <= meters
      }
    }
    case 'exists': {
      const left = get(filter.member)
      return (subject) => left(subject) !== undefined
    }
    case 'has':
      return kind === 'drop' ? hasType(filter.type) : () => false
    case 'age': {
      const left = get(filter.member)
      const test = compareWith(filter.comparison, filter.milliseconds)
      return (subject, now) => {
        const date = left(subject)
        return typeof date === 'number' && test(now - date)
      }
    }
  }
}

function every(clauses: readonly Evaluator[]): Evaluator {
  const [first, second] = clauses
  if (clauses.length === 2 && first !== undefined && second !== undefined)
    return (subject, now) => first(subject, now) && second(subject, now)
  return (subject, now) => {
    for (const clause of clauses) if (!clause(subject, now)) return false
    return true
  }
}

function some(clauses: readonly Evaluator[]): Evaluator {
  const [first, second] = clauses
  if (clauses.length === 2 && first !== undefined && second !== undefined)
    return (subject, now) => first(subject, now) || second(subject, now)
  return (subject, now) => {
    for (const clause of clauses) if (clause(subject, now)) return true
    return false
  }
}

interface Remainder {
  readonly divisor: number
  readonly comparison: Equality
  readonly remainder: number
}

/** The remainder has the sign of the dividend, as in Java. */
function remainderTest({ divisor, comparison, remainder }: Remainder): (value: unknown) => boolean {
  return comparison === '=='
    ? (value) => typeof value === 'number' && value % divisor === remainder
    : (value) => !(typeof value === 'number' && value % divisor === remainder)
}

/** Whether any text matches, among the elements of a drop or the members of another resource. */
function matchesAnywhere(regex: Regex, kind: SubjectKind): Evaluator {
  const isFound = compileRegex(regex)
  return (subject) => {
    const texts = kind === 'drop' ? subject.elems : subject
    for (const name in texts) {
      const value = texts[name]
      if (typeof value === 'string' && isFound(value)) return true
    }
    return false
  }
}

type Get = (member: Member) => (subject: Subject) => unknown

function isOneOf(left: (subject: Subject) => unknown, operands: readonly Operand[], get: Get): Evaluator {
  const constants = new Set<unknown>(
    operands.flatMap((operand) => ('value' in operand ? [operand.value] : [])),
  )
  const others = operands.flatMap((operand) => ('member' in operand ? [get(operand.member)] : []))
  if (others.length === 0) return (subject) => constants.has(left(subject))
  return (subject) => {
    const value = left(subject)
    return constants.has(value) || others.some((other) => compareValues('==', value, other(subject)))
  }
}

function containsAll(left: (subject: Subject) => unknown, operands: readonly Operand[], get: Get): Evaluator {
  const wanted = operands.map((operand) => {
    if ('member' in operand) return get(operand.member)
    const constant: Scalar = operand.value
    return () => constant
  })
  return (subject) => {
    const items = left(subject)
    if (!Array.isArray(items)) return false
    // A set makes the search linear for long lists. For few operands, creating it would take longer than the search.
    const known = wanted.length < 4 ? undefined : new Set<unknown>(items)
    return wanted.every((want) => {
      const value = want(subject)
      return isScalar(value) && (known?.has(value) ?? items.includes(value))
    })
  }
}

/** Whether an element has the type. Values inside elements are not checked. */
function hasType(type: string): Evaluator {
  return ({ elems, elementTypes }) => {
    if (!isRecord(elems)) return false
    for (const name in elems) if (typeOfElement(name, elems[name], elementTypes) === type) return true
    return false
  }
}
