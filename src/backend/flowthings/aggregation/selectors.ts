import { distanceMeters, metersOf, toPoint } from '../filter/distance.ts'
import { compileFilter } from '../filter/evaluate.ts'
import { parseMember } from '../filter/member.ts'
import { createGetter, resolveMember, type Subject } from '../filter/subject.ts'
import { creationDate, type Filter } from '../filter/syntax-tree.ts'
import { AggregationError } from './aggregation-error.ts'
import { type DatePart, dateParts, readDatePart } from './date-parts.ts'

/** Named filters, whose value is 1 for a drop that matches, else 0. */
export type Rules = ReadonlyMap<string, Filter>

/** What a name of a request reads of a drop; `undefined` where it has no such member. */
export type Field = (subject: Subject, now: number) => unknown

/** What rows are grouped by. */
export interface GroupKey {
  /** The selector as it was written. */
  readonly name: string
  readonly read: Field
}

export const functions = ['sum', 'avg', 'min', 'max', 'unique', 'all'] as const
export type AggregateFunction = (typeof functions)[number]

/** A column of a row. */
export type Output =
  | { readonly name: string; readonly kind: 'count' }
  | { readonly name: string; readonly kind: 'key' }
  | { readonly name: string; readonly kind: AggregateFunction; readonly read: Field }

const selector = /^\$([a-z]+)(?::(.+))?$/s

/**
 * The keys that a selector of `groupBy` makes. A part of a date brings the coarser ones along, so that an hour is one of a
 * certain day.
 *
 * @throws AggregationError
 */
export function parseGroupKeys(name: string, rules: Rules): GroupKey[] {
  const { part, argument } = splitSelector(name)
  if (part === undefined) return [{ name, read: parseField(name, rules) }]
  if (!isDatePart(part))
    throw new AggregationError(`Cannot group by "${name}": expected a member, a rule, or a part of a date`)
  const read =
    argument === undefined ? parseField(creationDate.join('.'), rules) : parseField(argument, rules)
  const suffix = argument === undefined ? '' : `:${argument}`
  return dateParts.slice(0, dateParts.indexOf(part) + 1).map((each) => ({
    name: `$${each}${suffix}`,
    read: (subject, now) => readDatePart(each, read(subject, now)),
  }))
}

/** @param keys the names of what is grouped by, which can be columns, too @throws AggregationError */
export function parseOutput(name: string, rules: Rules, keys: ReadonlySet<string>): Output {
  if (name === '$count') return { name, kind: 'count' }
  if (keys.has(name)) return { name, kind: 'key' }
  const { part, argument } = splitSelector(name)
  const kind = functions.find((each) => each === part)
  if (kind === undefined || argument === undefined)
    throw new AggregationError(
      `Unknown output "${name}": expected $count, a selector of groupBy, or one of $${functions.join(', $')} with a member, such as $avg:temperature`,
    )
  return { name, kind, read: parseField(argument, rules) }
}

/** A member of a drop, a rule, or the distance of a drop from the place of a rule. */
function parseField(name: string, rules: Rules): Field {
  const rule = rules.get(name)
  if (rule !== undefined) {
    const matches = compileFilter(rule, 'drop')
    return (subject, now) => (matches(subject, now) ? 1 : 0)
  }
  if (name.startsWith('distance:')) return distanceField(name, rules)
  const member = parseMember(name)
  if (member === undefined)
    throw new AggregationError(`Expected "${name}" to be the name of a member or a rule`)
  return createGetter(resolveMember(member, 'drop'))
}

/** [octave] "Aggregate Event", Distance. It is in the unit of the rule. */
function distanceField(name: string, rules: Rules): Field {
  const rule = rules.get(name.slice('distance:'.length))
  if (rule?.kind !== 'within')
    throw new AggregationError(`Expected "${name}" to name a rule that is one WITHIN`)
  const get = createGetter(resolveMember(rule.member, 'drop'))
  return (subject) => {
    const point = toPoint(get(subject))
    return point === undefined ? undefined : distanceMeters(point, rule.center) / metersOf[rule.unit]
  }
}

function splitSelector(name: string): { part: string | undefined; argument: string | undefined } {
  const match = selector.exec(name)
  return { part: match?.[1], argument: match?.[2] }
}

function isDatePart(part: string): part is DatePart {
  return (dateParts as readonly string[]).includes(part)
}
