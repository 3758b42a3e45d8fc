import {
  type DocumentNode,
  type FieldNode,
  type GraphQLError,
  type GraphQLSchema,
  Kind,
  Lexer,
  Source,
  TokenKind,
} from 'graphql'
import { GatewayError } from '../errors.ts'
import { foldDocument } from './document-walk.ts'
import { countFieldPairs } from './field-pairs.ts'
import { type FieldTraits, traitsOf } from './field-traits.ts'

/** What one document may ask for; `docs/limits.md` explains each. */
export interface Limits {
  readonly maxDocumentBytes: number
  readonly maxTokens: number
  readonly maxDepth: number
  readonly maxIntrospectionDepth: number
  readonly maxAliases: number
  readonly maxRootFields: number
  readonly maxDirectives: number
  /** Comparisons of fields with the same response name that validation may have to make. */
  readonly maxFieldPairs: number
  /** Fields that may be resolved; a list counts with its requested size. */
  readonly maxCost: number
  /** Calls to the upstream that a query or mutation may cause, as predicted. */
  readonly maxCalls: number
  /** The same for each event of a subscription. */
  readonly maxEventCalls: number
  /** Calls that all open subscriptions of one principal may cause for one event, without calls that they share. */
  readonly maxSubscriptionCalls: number
  /** The milliseconds after which a query, a mutation or the execution of one event makes no more calls to the upstream. */
  readonly maxOperationMs: number
}

export const defaultLimits: Limits = {
  maxDocumentBytes: 32 * 1024,
  maxTokens: 2000,
  maxDepth: 12,
  maxIntrospectionDepth: 15,
  maxAliases: 30,
  maxRootFields: 20,
  maxDirectives: 50,
  // 140 selections of one field make 9,730 pairs. Validation takes about 0.3 µs for a pair of scalars, 1.5 µs for objects.
  maxFieldPairs: 10_000,
  maxCost: 50_000,
  maxCalls: 1000,
  // Other users decide how many events there are.
  maxEventCalls: 100,
  maxSubscriptionCalls: 1000,
  maxOperationMs: 20_000,
}

/** The sum of a selection, fragments included. */
interface Measure {
  readonly depth: number
  readonly introspectionDepth: number
  readonly aliases: number
  readonly directives: number
  readonly fields: number
  readonly cost: number
}

const nothing: Measure = { depth: 0, introspectionDepth: 0, aliases: 0, directives: 0, fields: 0, cost: 0 }
/** Most lists that are requested without a size are shorter than the page that they may fill. */
const usualListSize = 30
/** The longest page. */
const fullPage = 100

export interface DocumentMeasure {
  /** Fields that may be resolved, each list counted with the size that its arguments request. */
  readonly cost: number
  /** Whether the cost is the same for all values of the variables. */
  readonly isFixed: boolean
  /** Whether the result can change without an event. */
  readonly isVolatile: boolean
}

/**
 * Measures a document, which need not be valid.
 *
 * @param variables the values of sizes; a size without a value counts as a full page
 * @throws GatewayError `LIMIT_EXCEEDED` naming the first limit that is exceeded
 */
export function measureDocument(
  schema: GraphQLSchema,
  document: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
  limits: Limits,
): DocumentMeasure {
  let isFixed = true
  let isVolatile = false
  const valueOfVariable = (name: string) => {
    isFixed = false
    return variables[name] ?? null
  }
  const measure = foldDocument<Measure>(schema, document, {
    empty: nothing,
    field(node, inside, definition) {
      const introspects = node.name.value.startsWith('__')
      const traits = traitsOf(definition)
      isVolatile ||= traits.isVolatile ?? false
      return {
        depth: introspects ? 0 : inside.depth + 1,
        introspectionDepth: introspects
          ? Math.max(inside.depth, inside.introspectionDepth) + 1
          : inside.introspectionDepth,
        aliases: inside.aliases + (node.alias === undefined ? 0 : 1),
        directives: inside.directives + (node.directives?.length ?? 0),
        fields: 1,
        cost: 1 + (introspects ? 0 : inside.cost * listSize(node, traits, valueOfVariable, usualListSize)),
      }
    },
    fragment: (node, inside) => ({
      ...inside,
      directives: inside.directives + (node.directives?.length ?? 0),
    }),
    sum: (parts) => parts.reduce(add, nothing),
  })

  let costliest = 0
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const { depth, introspectionDepth, aliases, directives, fields, cost } = measure(definition)
    expectAtMost(limits.maxDepth, depth, 'levels of fields')
    expectAtMost(limits.maxIntrospectionDepth, introspectionDepth, 'levels of introspection')
    expectAtMost(limits.maxAliases, aliases, 'aliases')
    expectAtMost(limits.maxDirectives, directives, 'directives')
    expectAtMost(limits.maxRootFields, fields, 'root fields')
    expectAtMost(limits.maxCost, cost, 'fields to resolve')
    costliest = Math.max(costliest, cost)
  }
  return { cost: costliest, isFixed, isVolatile }
}

/** @throws GatewayError `LIMIT_EXCEEDED` for a document whose validation would take too long */
export function checkFieldPairs(document: DocumentNode, { maxFieldPairs }: Limits): void {
  if (countFieldPairs(document, maxFieldPairs) > maxFieldPairs)
    throw new GatewayError(
      'LIMIT_EXCEEDED',
      `The document repeats fields so often that more than ${maxFieldPairs} pairs of them have to be compared; select each field once`,
    )
}

/** @throws GatewayError `LIMIT_EXCEEDED` for a document that is too long to be parsed */
export function checkDocumentSize(document: string, { maxDocumentBytes }: Limits): void {
  const bytes = Buffer.byteLength(document)
  expectAtMost(maxDocumentBytes, bytes, 'bytes')
}

/** Whether the parser failed at the first token past the limit, which its error does not tell by a code. */
export function isTokenLimitError(error: GraphQLError, document: string, { maxTokens }: Limits): boolean {
  const lexer = new Lexer(new Source(document))
  try {
    for (let tokens = 0; tokens <= maxTokens; tokens += 1)
      if (lexer.advance().kind === TokenKind.EOF) return false
  } catch {
    return false
  }
  return error.positions?.[0] === lexer.token.start
}

function add(a: Measure, b: Measure): Measure {
  return {
    depth: Math.max(a.depth, b.depth),
    introspectionDepth: Math.max(a.introspectionDepth, b.introspectionDepth),
    aliases: a.aliases + b.aliases,
    directives: a.directives + b.directives,
    fields: a.fields + b.fields,
    cost: a.cost + b.cost,
  }
}

/**
 * The most items that a field can return; 1 for a field that is no list.
 *
 * @param usual what to count for a page whose size the arguments do not say, if that is less
 */
export function listSize(
  field: FieldNode,
  { listSize: size = 1 }: FieldTraits,
  valueOfVariable: (variable: string) => unknown,
  usual = fullPage,
): number {
  if (typeof size === 'object') {
    const items = argumentValue(field, size.argument, valueOfVariable)
    return Array.isArray(items) ? items.length : fullPage
  }
  const sizes = ['first', 'last']
    .map((name) => argumentValue(field, name, valueOfVariable))
    .filter((value) => value !== undefined)
  if (sizes.length === 0) return Math.min(size, usual)
  return Math.max(...sizes.map((value) => (typeof value === 'number' ? Math.max(value, 1) : fullPage)))
}

function argumentValue(
  field: FieldNode,
  name: string,
  valueOfVariable: (variable: string) => unknown,
): unknown {
  const value = field.arguments?.find((argument) => argument.name.value === name)?.value
  switch (value?.kind) {
    case undefined:
    case Kind.NULL:
      return undefined
    case Kind.INT:
      return Number(value.value)
    case Kind.LIST:
      return value.values
    case Kind.VARIABLE:
      return valueOfVariable(value.name.value)
    default:
      return null
  }
}

function expectAtMost(limit: number, got: number, what: string): void {
  if (got > limit)
    throw new GatewayError('LIMIT_EXCEEDED', `The document has ${got} ${what}; at most ${limit} are allowed`)
}
