/** A parsed filter. The grammar is that of the filter language of flowthings.io. */
export type Filter =
  /** The empty filter, which every subject matches. */
  | { readonly kind: 'all' }
  /** Two or more clauses, none of which has the same kind. Created by `joinClauses`. */
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
  /** `member =~ /pattern/`: the text of the member has a match. */
  | { readonly kind: 'regex'; readonly member: Member; readonly regex: Regex }
  /** `MATCHES /pattern/`: some text of the subject has a match. */
  | { readonly kind: 'matches'; readonly regex: Regex }
  /** The member is equal to one of the operands. */
  | { readonly kind: 'in'; readonly member: Member; readonly operands: readonly Operand[] }
  /** The member is a list that contains all operands. */
  | { readonly kind: 'contains'; readonly member: Member; readonly operands: readonly Operand[] }
  | {
      readonly kind: 'within'
      readonly member: Member
      readonly distance: number
      readonly unit: Unit
      readonly center: Point
    }
  | { readonly kind: 'exists'; readonly member: Member }
  /** At least one element has this data type. */
  | { readonly kind: 'has'; readonly type: string }
  /** Compares the milliseconds since the date in a member. */
  | {
      readonly kind: 'age'
      readonly member: Member
      readonly comparison: Comparison
      readonly milliseconds: number
    }

/** The path of a member: `elems.a.b` is `['elems', 'a', 'b']`. */
export type Member = readonly string[]

export type Equality = '==' | '!='
export type Comparison = Equality | '<' | '<=' | '>' | '>='

/** A constant. Texts are well-formed and contain no NUL, like stored texts. */
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

/** The member for `AGE` without a member. */
export const creationDate: Member = ['creationDate']

/** Joins clauses to one filter. Nested clauses of the same kind are flattened, so that a chain of `&&` has one level. */
export function joinClauses(kind: 'and' | 'or', clauses: readonly Filter[]): Filter {
  const flat = clauses.flatMap((clause) => (clause.kind === kind ? clause.clauses : [clause]))
  const [only] = flat
  if (only === undefined) return { kind: 'all' }
  return flat.length === 1 ? only : { kind, clauses: flat }
}
