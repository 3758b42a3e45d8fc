import fc from 'fast-check'
import {
  type Comparison,
  type Filter,
  joinClauses,
  type Member,
  type Operand,
  units,
} from '../../src/backend/flowthings/filter/syntax-tree.ts'
import { parseElements, storableText, typeNames } from '../../src/backend/flowthings/values.ts'

/* Random filters, and names and values that drops and filters share, so that some drops match. */

const names = ['a', 'b', 'c-d', 'x_1', '$y', 'été', 'constructor', '__proto__', 'lat', 'lon']

const anyName = fc.constantFrom(...names)

export const anyText = fc.oneof(
  fc.constantFrom('', 'a', 'b', "it's", '"', '\\', '/', '1', 'true', '\uFB01', '😀', 'ab', 'A', '%', '_'),
  fc.string({ unit: 'binary', maxLength: 8 }).map(storableText),
)

export const anyNumber = fc.oneof(
  fc.constantFrom(0, 1, -1, 2, 7, 1.5, 2 ** 31, 2 ** 53, 2 ** 60, 1e21, 1e-7, 5e-324, Number.MAX_VALUE),
  fc.integer({ min: -10, max: 10 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
)

export const anyScalar = fc.oneof(anyText, anyNumber, fc.boolean(), fc.constant(null))

const anyMember: fc.Arbitrary<Member> = fc.oneof(
  { weight: 5, arbitrary: anyName.map((name) => [name]) },
  { weight: 3, arbitrary: anyName.map((name) => ['elems', name]) },
  { weight: 2, arbitrary: fc.array(anyName, { minLength: 2, maxLength: 4 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...[['path'], ['id'], ['version'], ['creationDate'], ['lastEditDate'], ['fhash'], ['elems']],
      ...[['location'], ['location', 'lat'], ['parentDropId', 'flowId'], ['flowId']],
    ),
  },
)

const anyOperand: fc.Arbitrary<Operand> = fc.oneof(
  { weight: 4, arbitrary: anyScalar.map((value) => ({ value })) },
  { weight: 1, arbitrary: anyMember.map((member) => ({ member })) },
)

const anyOperands = fc.array(anyOperand, { maxLength: 5 })
const anyEquality = fc.constantFrom('==' as const, '!=' as const)
const anyComparison: fc.Arbitrary<Comparison> = fc.constantFrom('==', '!=', '<', '<=', '>', '>=')

const anyRegex = fc.record({
  source: fc.constantFrom('a', '^a', 'b$', 'a|b', '[a-z]+', 'a/b', '\\.', '\\d+', '', '^/a/', '(?i)A'),
  flags: fc.constantFrom('', 'i', 'g', 'im', 'gimsu'),
})

const anyCenter = fc.record({
  lat: fc.double({ min: -90, max: 90, noNaN: true }).map((value) => value + 0),
  lon: fc.double({ min: -180, max: 180, noNaN: true }).map((value) => value + 0),
})

const anyPredicate: fc.Arbitrary<Filter> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('compare' as const),
      member: anyMember,
      comparison: anyComparison,
      operand: anyOperand,
    }),
  },
  fc.record({
    kind: fc.constant('remainder' as const),
    member: anyMember,
    divisor: anyNumber.filter((value) => value !== 0),
    comparison: anyEquality,
    remainder: anyNumber,
  }),
  fc.record({ kind: fc.constant('regex' as const), member: anyMember, regex: anyRegex }),
  fc.record({ kind: fc.constant('matches' as const), regex: anyRegex }),
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('in' as const), member: anyMember, operands: anyOperands }),
  },
  fc.record({ kind: fc.constant('contains' as const), member: anyMember, operands: anyOperands }),
  fc.record({
    kind: fc.constant('within' as const),
    member: anyMember,
    distance: fc.constantFrom(0, 1, 5.5, 1000, 20_000),
    unit: fc.constantFrom(...units),
    center: anyCenter,
  }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('exists' as const), member: anyMember }) },
  fc.record({ kind: fc.constant('has' as const), type: fc.constantFrom(...typeNames) }),
  fc.record({
    kind: fc.constant('age' as const),
    member: anyMember,
    comparison: anyComparison,
    milliseconds: fc.oneof(fc.constantFrom(0, 1000, 999.5), anyNumber),
  }),
)

/** Filters that `parseFilter` can return. */
export const anyFilter: fc.Arbitrary<Filter> = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    anyPredicate,
    tie('filter').map((clause): Filter => ({ kind: 'not', clause })),
    fc
      .tuple(
        fc.constantFrom('and' as const, 'or' as const),
        fc.array(tie('filter'), { minLength: 2, maxLength: 4 }),
      )
      .map(([kind, clauses]) => joinClauses(kind, clauses)),
  ),
})).filter

/** A drop as a row of the store has it. */
export interface DropRow {
  readonly id: string
  readonly fhash: string | null
  readonly created_at: number
  readonly drop: Readonly<Record<string, unknown>> & { readonly elems: Readonly<Record<string, unknown>> }
}

/** The time at which drops and filters are compared. */
export const testNow = 1_436_140_800_000

const anyValue: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    anyScalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(anyName, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value

const anyElements = fc
  .array(fc.tuple(anyName, anyValue), { maxLength: 8 })
  .map((entries) => parseElements(Object.fromEntries(entries)))

const anyPoint = fc.record({ lat: fc.constantFrom(0, 1, 48.5), lon: fc.constantFrom(0, 2, -100) })

export const anyDropRow: fc.Arbitrary<DropRow> = fc
  .record({
    id: fc.integer({ min: 0, max: 2 ** 31 }).map((id) => `d${id.toString(16).padStart(24, '0')}`),
    fhash: fc.option(anyText),
    age: fc.oneof(fc.constantFrom(0, 1000, 999), fc.integer({ min: 0, max: 1e12 })),
    elements: anyElements,
    location: fc.option(anyPoint, { nil: undefined }),
    lastEditDate: fc.option(fc.constant(testNow), { nil: undefined }),
    version: fc.nat(3),
  })
  .map(({ id, fhash, age, elements: { values, types }, location, lastEditDate, version }) => ({
    id,
    fhash,
    created_at: testNow - age,
    drop: JSON.parse(JSON.stringify({ location, lastEditDate, version, elems: values, types })),
  }))
