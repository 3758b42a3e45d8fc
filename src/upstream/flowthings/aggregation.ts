import { ValidationError } from '../../errors.ts'
import { isRecord } from '../../json-values.ts'
import { decodeElements } from './decode-elements.ts'
import { checkMember, filterText, type ThingsFilter } from './filter-text.ts'
import type { AggregationRow } from './model.ts'

export type AggregateFunction = 'count' | 'sum' | 'avg' | 'min' | 'max' | 'unique' | 'all'

/** The parts of a date, largest first. */
const dateParts = ['year', 'month', 'day', 'hour', 'minute', 'second'] as const
export type DatePart = (typeof dateParts)[number]

type Maybe<T> = T | null | undefined

/** A value of a drop. Exactly one member is given. */
export interface AggregatedValue {
  readonly member?: Maybe<string>
  /** The name of a rule: 1 for a drop that matches it, 0 for others. */
  readonly rule?: Maybe<string>
  /** The name of a rule that is one `within`: the distance to its point. */
  readonly distanceTo?: Maybe<string>
}

export interface AggregationOutput {
  readonly function: AggregateFunction
  /** Absent for `count`. */
  readonly of?: Maybe<AggregatedValue>
}

/** What rows are grouped by. Exactly one member is given. */
export interface AggregationKey extends AggregatedValue {
  readonly time?: Maybe<{ readonly part: DatePart; readonly member?: Maybe<string> }>
}

/** Exactly one of `output` and `groupBy` is given. */
export interface AggregationSort {
  readonly output?: Maybe<AggregationOutput>
  readonly groupBy?: Maybe<AggregationKey>
  readonly order: 'asc' | 'desc'
}

export interface Aggregation {
  readonly outputs: readonly AggregationOutput[]
  readonly groupBy?: Maybe<readonly AggregationKey[]>
  readonly filter?: Maybe<ThingsFilter>
  readonly rules?: Maybe<readonly { readonly name: string; readonly filter: ThingsFilter }[]>
  readonly sorts?: Maybe<readonly AggregationSort[]>
}

/** The body of `POST /drop/FLOW/aggregate`. [flowthings] drop aggregate */
export interface AggregationBody {
  readonly output: readonly string[]
  readonly groupBy?: readonly string[]
  readonly filter?: string
  readonly rules?: Readonly<Record<string, string>>
  readonly sorts?: readonly string[]
}

/** The most outputs, keys, rules and sorts. */
const maxEntries = 20
const ruleName = /^[A-Za-z_][A-Za-z0-9_]{0,39}$/

type Path = readonly string[]

/**
 * Writes an aggregation in the words of the upstream. Parts of dates and rules share their names with members there, so a member
 * that could be read as one of them is refused.
 *
 * @param path the path of the input
 * @throws ValidationError for what the upstream would refuse or misread
 */
export function aggregationBody(aggregation: Aggregation, path: Path): AggregationBody {
  const { outputs, filter } = aggregation
  const groupBy = aggregation.groupBy ?? []
  const sorts = aggregation.sorts ?? []
  if (outputs.length === 0) throw invalid([...path, 'outputs'], 'at least one output')
  for (const [name, list] of Object.entries({ outputs, groupBy, sorts, rules: aggregation.rules ?? [] }))
    if (list.length > maxEntries) throw invalid([...path, name], `a list of at most ${maxEntries}`)
  const rules = ruleTexts(aggregation.rules ?? [], [...path, 'rules'])
  const output = outputs.map((each, index) => outputText(each, rules, [...path, 'outputs', String(index)]))
  const keys = groupBy.map((each, index) => keyText(each, rules, [...path, 'groupBy', String(index)]))
  const columns = new Set([...output, ...keys.flatMap(({ names }) => names)])
  const order = sorts.map((sort, index) => {
    const at = [...path, 'sorts', String(index)]
    if ((sort.output == null) === (sort.groupBy == null)) throw invalid(at, 'either output or groupBy')
    const name =
      sort.output == null
        ? keyText(sort.groupBy ?? {}, rules, [...at, 'groupBy']).text
        : outputText(sort.output, rules, [...at, 'output'])
    if (!columns.has(name)) throw invalid(at, `one of outputs or groupBy; "${name}" is none of them`)
    return `${name}:${sort.order}`
  })
  return {
    output: [...new Set(output)],
    ...(keys.length === 0 ? {} : { groupBy: [...new Set(keys.map(({ text }) => text))] }),
    ...(filter == null ? {} : { filter: filterText(filter, [...path, 'filter']) }),
    ...(rules.size === 0 ? {} : { rules: Object.fromEntries(rules) }),
    ...(order.length === 0 ? {} : { sorts: order }),
  }
}

function ruleTexts(rules: NonNullable<Aggregation['rules']>, path: Path): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  for (const [index, { name, filter }] of rules.entries()) {
    const at = [...path, String(index)]
    if (!ruleName.test(name))
      throw invalid([...at, 'name'], 'a name of letters, digits and underscores, 40 at most')
    if (texts.has(name)) throw invalid([...at, 'name'], `another name: "${name}" is there twice`)
    texts.set(name, filterText(filter, [...at, 'filter']))
  }
  return texts
}

function outputText(output: AggregationOutput, rules: ReadonlyMap<string, string>, path: Path): string {
  if (output.function === 'count') {
    if (output.of == null) return '$count'
    throw invalid([...path, 'of'], 'absent: COUNT counts drops')
  }
  if (output.of == null) throw invalid([...path, 'of'], 'the value to compute with')
  return `$${output.function}:${valueText(output.of, rules, [...path, 'of'])}`
}

/** The text of a key, and the names of the columns that it makes: a part of a date makes the larger parts, too. */
function keyText(
  { time, ...value }: AggregationKey,
  rules: ReadonlyMap<string, string>,
  path: Path,
): { readonly text: string; readonly names: readonly string[] } {
  if (time == null) {
    const text = valueText(value, rules, path)
    return { text, names: [text] }
  }
  const of = time.member == null ? '' : `:${memberText(time.member, rules, [...path, 'time', 'member'])}`
  const parts = dateParts.slice(0, dateParts.indexOf(time.part) + 1)
  return { text: `$${time.part}${of}`, names: parts.map((part) => `$${part}${of}`) }
}

function valueText(
  { member, rule, distanceTo }: AggregatedValue,
  rules: ReadonlyMap<string, string>,
  path: Path,
): string {
  if (member != null) return memberText(member, rules, [...path, 'member'])
  const [name, part] = rule == null ? [distanceTo, 'distanceTo'] : [rule, 'rule']
  if (name == null) throw invalid(path, 'a member or a rule')
  if (!rules.has(name))
    throw invalid([...path, part], `the name of one of the rules; got "${name.slice(0, 40)}"`)
  return rule == null ? `distance:${name}` : name
}

function memberText(member: string, rules: ReadonlyMap<string, string>, path: Path): string {
  checkMember(member, path)
  if (member.startsWith('$') || member.startsWith('distance:') || rules.has(member))
    throw invalid(
      path,
      `another name: aggregations read "${member}" otherwise; "elems.${member}" names an element`,
    )
  return member
}

/**
 * Decodes a row. Its values have no types of flowthings, so they are inferred. [flowthings] drop aggregate
 *
 * @param row the object of the upstream: `id` has the keys, and the other members are the outputs
 */
export function decodeRow({ id, ...values }: Readonly<Record<string, unknown>>): AggregationRow {
  return {
    keys: decodeElements(isRecord(id) ? id : {}, false),
    values: decodeElements(values, false),
    json: { ...values, id: isRecord(id) ? id : {} },
  }
}

function invalid(path: Path, expected: string): ValidationError {
  return new ValidationError(`Expected ${path.join('.')} to be ${expected}`, [], { inputPath: path })
}
