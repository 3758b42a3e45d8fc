/** A filter as it was parsed. The source of its grammar is the filter language of flowthings.io. */
export type Filter =
  /** The empty text: every subject matches. */
  | { readonly kind: 'all' }
  /** Two or more clauses; none of them is of the same kind. `joinClauses` makes it. */
  | { readonly kind: 'and' | 'or'; readonly clauses: readonly Filter[] }
  | { readonly kind: 'not'; readonly clause: Filter }
  | {
      readonly kind: 'compare'
      readonly member: Member
      readonly comparison: Comparison
      readonly operand: Operand
    }
  /** `member % divisor == remainder`. The divisor is not 0. */
  | {
      readonly kind: 'remainder'
      readonly member: Member
      readonly divisor: number
      readonly comparison: Equality
      readonly remainder: number
    }
  /** `member =~ /pattern/`: the pattern is found somewhere in the text of the member. */
  | { readonly kind: 'regex'; readonly member: Member; readonly regex: Regex }
  /** `MATCHES /pattern/`: the pattern is found in some text of the subject. */
  | { readonly kind: 'matches'; readonly regex: Regex }
  /** The member is one of the operands. */
  | { readonly kind: 'in'; readonly member: Member; readonly operands: readonly Operand[] }
  /** The member is a list that has all of the operands. */
  | { readonly kind: 'contains'; readonly member: Member; readonly operands: readonly Operand[] }
  | {
      readonly kind: 'within'
      readonly member: Member
      readonly distance: number
      readonly unit: Unit
      readonly center: Point
    }
  | { readonly kind: 'exists'; readonly member: Member }
  /** Some element has this data type. */
  | { readonly kind: 'has'; readonly type: string }
  /** Milliseconds since the date in a member. */
  | {
      readonly kind: 'age'
      readonly member: Member
      readonly comparison: Comparison
      readonly milliseconds: number
    }

/** The names of a dotted member, outermost first: `elems.a.b` is `['elems', 'a', 'b']`. */
export type Member = readonly string[]

export type Equality = '==' | '!='
export type Comparison = Equality | '<' | '<=' | '>' | '>='

/** What a member is compared with. Texts are well-formed and have no NUL, as those that are stored. */
export type Scalar = string | number | boolean | null
export type Operand = { readonly value: Scalar } | { readonly member: Member }

/** A regular expression in the syntax of RE2. Flags are in alphabetical order. */
export interface Regex {
  readonly source: string
  readonly flags: string
}

export const units = ['KM', 'MILES', 'METERS', 'FEET'] as const
export type Unit = (typeof units)[number]

/** Degrees. */
export interface Point {
  readonly lat: number
  readonly lon: number
}

/** The member that `AGE` reads when it names none. */
export const creationDate: Member = ['creationDate']

/** One filter of several: flat, so that chains of `&&` have one level. */
export function joinClauses(kind: 'and' | 'or', clauses: readonly Filter[]): Filter {
  const flat = clauses.flatMap((clause) => (clause.kind === kind ? clause.clauses : [clause]))
  const [only] = flat
  if (only === undefined) return { kind: 'all' }
  return flat.length === 1 ? only : { kind, clauses: flat }
}
