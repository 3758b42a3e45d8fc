import type { DropCondition, DropField, Order, Scalar } from '../../store/things/drop-conditions.ts'
import { compileFilter } from './evaluate.ts'
import { resolveMember } from './subject.ts'
import { type Comparison, creationDate, type Filter, type Member, type Operand } from './syntax-tree.ts'

/** A filter, or a part of it, as a condition for the database. */
export interface Translation {
  /** Every drop that matches the filter fulfills the condition. */
  readonly condition: DropCondition
  /** Whether every drop that fulfills the condition matches the filter. If not, the filter is evaluated for each drop read. */
  readonly isExact: boolean
}

/** The values that are equal for all drops of a flow. */
export interface DropSource {
  readonly flowId: string
  readonly path: string
}

/** SQLite limits expressions to 1,000 levels, and each clause of `&&` adds a level. */
const maxClauses = 200

/**
 * Translates a filter for the drops of one flow to a condition. Comparisons with constants, `IN`, `EXISTS` and `AGE` in whole
 * milliseconds are translated exactly. Other predicates are not translated, such as regular expressions and comparisons of two
 * members; they are left out of an `&&`.
 *
 * @param now the present time, for `AGE`
 * @returns undefined when no part can be translated
 */
export function translateFilter(filter: Filter, source: DropSource, now: number): Translation | undefined {
  return countClauses(filter) > maxClauses ? undefined : translate(filter, source, now)
}

/** The number of predicates and operators in a filter. */
function countClauses(filter: Filter): number {
  if (filter.kind === 'not') return 1 + countClauses(filter.clause)
  if (filter.kind !== 'and' && filter.kind !== 'or') return 1
  return filter.clauses.reduce((sum, clause) => sum + countClauses(clause), 1)
}

function translate(filter: Filter, source: DropSource, now: number): Translation | undefined {
  const translateClause = (each: Filter) => translate(each, source, now)
  switch (filter.kind) {
    case 'all':
      return exact({ kind: 'constant', value: true })
    case 'and': {
      const known = filter.clauses.map(translateClause).filter((each) => each !== undefined)
      if (known.length === 0) return undefined
      return {
        condition: join('and', known),
        isExact: known.length === filter.clauses.length && known.every(({ isExact }) => isExact),
      }
    }
    case 'or': {
      const known = filter.clauses.map(translateClause)
      if (!known.every((each) => each !== undefined)) return undefined
      return { condition: join('or', known), isExact: known.every(({ isExact }) => isExact) }
    }
    case 'not': {
      const inner = translateClause(filter.clause)
      return inner?.isExact === true ? exact({ kind: 'not', condition: inner.condition }) : undefined
    }
    case 'age':
      return translateAge(filter, now)
    case 'compare':
    case 'in':
    case 'exists':
    case 'regex':
      return isOfSource(filter)
        ? exact({ kind: 'constant', value: compileFilter(filter, 'drop')({ ...source }, now) })
        : translatePredicate(filter)
    default:
      return undefined
  }
}

function exact(condition: DropCondition): Translation {
  return { condition, isExact: true }
}

function join(kind: 'and' | 'or', known: readonly Translation[]): DropCondition {
  return { kind, conditions: known.map(({ condition }) => condition) }
}

type Predicate = Extract<Filter, { kind: 'compare' | 'in' | 'exists' | 'regex' }>

/** Whether a predicate has the same result for all drops of a flow. */
function isOfSource(filter: Predicate): boolean {
  const [name] = filter.member
  return (
    filter.member.length === 1 && (name === 'flowId' || name === 'path') && constantsOf(filter) !== undefined
  )
}

/** The constants in a predicate; undefined if it compares with other members. */
function constantsOf(filter: Predicate): readonly Scalar[] | undefined {
  const operands: readonly Operand[] =
    filter.kind === 'in' ? filter.operands : filter.kind === 'compare' ? [filter.operand] : []
  return operands.every((operand) => 'value' in operand) ? operands.map(({ value }) => value) : undefined
}

function translatePredicate(filter: Predicate): Translation | undefined {
  const field = fieldOf(filter.member)
  const constants = constantsOf(filter)
  if (field === undefined || constants === undefined || filter.kind === 'regex') return undefined
  if (filter.kind === 'exists') return exact({ kind: 'exists', field })
  if (filter.kind === 'in') return exact({ kind: 'equal', field, values: constants })
  return exact(compareField(field, filter.comparison, constants[0] ?? null))
}

function compareField(field: DropField, comparison: Comparison, value: Scalar): DropCondition {
  if (comparison === '!=') return { kind: 'not', condition: compareField(field, '==', value) }
  if (comparison === '==') return { kind: 'equal', field, values: [value] }
  if (field === 'created_at' && typeof value === 'number') return compareCreated(comparison, value)
  if (typeof value !== 'number' && typeof value !== 'string') return { kind: 'constant', value: false }
  return { kind: 'order', field, order: comparison, value }
}

/** Rounds the value, because the column and the comparison have whole numbers. */
function compareCreated(order: Order, value: number): DropCondition {
  const whole = order === '<' || order === '>=' ? Math.ceil(value) : Math.floor(value)
  const most = Number.MAX_SAFE_INTEGER
  return { kind: 'order', field: 'created_at', order, value: Math.max(-most, Math.min(most, whole)) }
}

const opposites: Readonly<Record<Comparison, Comparison>> = {
  ...{ '==': '==', '!=': '!=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' },
}

function translateAge(
  { member, comparison, milliseconds }: Extract<Filter, { kind: 'age' }>,
  now: number,
): Translation | undefined {
  if (member.length !== 1 || member[0] !== creationDate[0]) return undefined
  const date = now - milliseconds
  if (!Number.isSafeInteger(milliseconds) || !Number.isSafeInteger(date)) return undefined
  return exact(compareField('created_at', opposites[comparison], date))
}

const columns: Readonly<Record<string, DropField>> = { id: 'id', fhash: 'fhash', creationDate: 'created_at' }

/** The column or JSON path of a member; undefined for a member that drops have from their flow, or that cannot exist. */
function fieldOf(member: Member): DropField | undefined {
  const path = resolveMember(member, 'drop')
  const [name = ''] = path
  if (name === 'flowId' || name === 'path') return undefined
  if (!Object.hasOwn(columns, name)) return path
  return path.length === 1 ? columns[name] : undefined
}

/** Times of creation in milliseconds, both included. It is empty where `from` is after `to`. */
export interface CreatedRange {
  readonly from: number
  readonly to: number
}

const anyTime: CreatedRange = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY }
const noTime: CreatedRange = { from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY }

/** When drops were created that fulfil a condition. */
export function createdRange(condition: DropCondition): CreatedRange {
  switch (condition.kind) {
    case 'constant':
      return condition.value ? anyTime : noTime
    case 'and':
      return condition.conditions
        .map(createdRange)
        .reduce(
          (left, right) => ({ from: Math.max(left.from, right.from), to: Math.min(left.to, right.to) }),
          anyTime,
        )
    case 'or':
      return condition.conditions
        .map(createdRange)
        .reduce(
          (left, right) => ({ from: Math.min(left.from, right.from), to: Math.max(left.to, right.to) }),
          noTime,
        )
    case 'equal': {
      if (condition.field !== 'created_at') return condition.values.length === 0 ? noTime : anyTime
      const times = condition.values.filter((value) => typeof value === 'number')
      return times.reduce(
        ({ from, to }, time) => ({ from: Math.min(from, time), to: Math.max(to, time) }),
        noTime,
      )
    }
    case 'order':
      return condition.field === 'created_at' ? rangeOf(condition.order, condition.value) : anyTime
    case 'not':
    case 'exists':
      return anyTime
  }
}

function rangeOf(order: Order, value: string | number): CreatedRange {
  if (typeof value !== 'number') return noTime
  if (order === '<' || order === '<=') return { ...anyTime, to: order === '<' ? value - 1 : value }
  return { ...anyTime, from: order === '>' ? value + 1 : value }
}
