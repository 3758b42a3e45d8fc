import { distanceMeters, metersOf, toPoint } from '../filter/distance.ts'
import { compileFilter } from '../filter/evaluate.ts'
import { parseMember } from '../filter/member.ts'
import { createGetter, resolveMember, type Subject } from '../filter/subject.ts'
import { creationDate, type Filter } from '../filter/syntax-tree.ts'
import { AggregationError } from './aggregation-error.ts'
import { type DatePart, dateParts, readDatePart } from './date-parts.ts'

/** Filters by name. The value of a rule is 1 for a drop that matches the filter, and 0 for others. */
export type Rules = ReadonlyMap<string, Filter>

/** Reads the value of a member, a rule or a distance from a drop; `undefined` if the drop does not have it. */
export type Field = (subject: Subject, now: number) => unknown

/** A value that rows are grouped by. */
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

const selector = /^\$([a-z]+)(?::(.*))?$/s

/**
 * The keys for a selector of `groupBy`. A part of a date adds the larger parts. For example, `$hour` groups by year, month, day
 * and hour, so that equal hours of different days are different rows.
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

/** Parses a selector of `output`. @param keys the keys of `groupBy`, which can be selected, too @throws AggregationError */
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

/** Parses the name of a member, of a rule, or `distance:RULE` for the distance between a drop and the center of a rule. */
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

/** The distance in the unit of the rule. [octave] "Aggregate Event", Distance */
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
