import type { DropCondition, DropField, Order, Scalar } from '../../store/things/drop-conditions.ts'
import { compileFilter } from './evaluate.ts'
import { resolveMember } from './subject.ts'
import { type Comparison, creationDate, type Filter, type Member, type Operand } from './syntax-tree.ts'

/** What the database decides of a filter. */
export interface Translation {
  /** Every drop that matches fulfils it. */
  readonly condition: DropCondition
  /** Whether every drop that fulfils it matches. Otherwise the drops that are read are evaluated. */
  readonly isExact: boolean
}

/** What all drops of one flow have in common. */
export interface DropSource {
  readonly flowId: string
  readonly path: string
}

/** SQLite takes expressions of 1,000 levels; a chain of `&&` has one for each clause. */
const maxClauses = 200

/**
 * Translates a filter for the drops of one flow. Comparisons with constants, `IN` and `EXISTS` are exact, and `AGE` of whole
 * milliseconds. Regular expressions, `CONTAINS`, `WITHIN`, `HAS`, remainders and comparisons of two members are left out:
 * an `&&` keeps its other clauses.
 *
 * @param now for `AGE`
 * @returns undefined where nothing can be translated
 */
export function translateFilter(filter: Filter, source: DropSource, now: number): Translation | undefined {
  return countClauses(filter) > maxClauses ? undefined : translate(filter, source, now)
}

/** Predicates, and what holds them. */
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

/** The constants that a predicate compares with; undefined where it compares with members. */
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

/** The column has whole numbers, and the databases compare it with those only. */
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

/** Where a member of drops is stored; undefined for what flows have, and for what no text or number has. */
function fieldOf(member: Member): DropField | undefined {
  const path = resolveMember(member, 'drop')
  const [name = ''] = path
  if (name === 'flowId' || name === 'path') return undefined
  if (!Object.hasOwn(columns, name)) return path
  return path.length === 1 ? columns[name] : undefined
}
