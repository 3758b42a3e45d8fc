import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLError,
  Kind,
  Lexer,
  type SelectionSetNode,
  Source,
  TokenKind,
} from 'graphql'
import { GatewayError } from '../errors.ts'
import { countFieldPairs } from './field-pairs.ts'

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
  /** Fields that may be resolved, lists counted with the size they are asked for. */
  readonly maxCost: number
  /** Calls to the upstream that a query or mutation may cause, as far as that can be told before. */
  readonly maxCalls: number
  /** The same for each event of a subscription. */
  readonly maxEventCalls: number
  /** What all open subscriptions of one principal may cause for one event, in calls that they do not share. */
  readonly maxSubscriptionCalls: number
  /**
   * How long a query, a mutation or the execution of one event may go on before it makes no more calls to the upstream, in
   * milliseconds.
   */
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
  // 140 repetitions of a field. Validation takes about 0.3 µs for a pair of scalars, 1.5 µs for one of objects.
  maxFieldPairs: 10_000,
  maxCost: 50_000,
  maxCalls: 1000,
  // Events come by themselves, as often as others write.
  maxEventCalls: 100,
  maxSubscriptionCalls: 1000,
  maxOperationMs: 20_000,
}

/** What a selection adds up to, fragments included. */
interface Measure {
  readonly depth: number
  readonly introspectionDepth: number
  readonly aliases: number
  readonly directives: number
  readonly fields: number
  readonly cost: number
}

const nothing: Measure = { depth: 0, introspectionDepth: 0, aliases: 0, directives: 0, fields: 0, cost: 0 }
/** How many items a list is taken to have that is asked for without a size. */
const usualListSize = 30

/** What a document asks for. */
export interface DocumentMeasure {
  /** How many fields may be resolved, lists counted with the size they are asked for. */
  readonly cost: number
  /** Whether that is so whatever the variables are. */
  readonly isFixed: boolean
}

/**
 * Refuses documents that ask for too much. Every selection set is measured once, and a fragment's measure is used
 * wherever it is spread, so the work is linear in the length of the document however the fragments nest.
 *
 * @param variables the values sizes may be given by; a size that is not known counts as the largest
 * @throws GatewayError `LIMIT_EXCEEDED` naming the first limit that is exceeded
 */
export function measureDocument(
  document: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
  limits: Limits,
): DocumentMeasure {
  let isFixed = true
  const valueOfVariable = (name: string) => {
    isFixed = false
    return variables[name] ?? null
  }
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  const measured = new Map<string, Measure>()

  function measureFragment(name: string): Measure {
    const known = measured.get(name)
    if (known !== undefined) return known
    // A fragment that spreads itself is refused by validation; here it must only come to an end.
    measured.set(name, nothing)
    const fragment = fragments.get(name)
    const measure = fragment === undefined ? nothing : measureSelections(fragment.selectionSet)
    measured.set(name, measure)
    return measure
  }

  function measureField(field: FieldNode): Measure {
    const inside = field.selectionSet === undefined ? nothing : measureSelections(field.selectionSet)
    const introspects = field.name.value.startsWith('__')
    return {
      depth: introspects ? 0 : inside.depth + 1,
      introspectionDepth: introspects
        ? Math.max(inside.depth, inside.introspectionDepth) + 1
        : inside.introspectionDepth,
      aliases: inside.aliases + (field.alias === undefined ? 0 : 1),
      directives: inside.directives + (field.directives?.length ?? 0),
      fields: 1,
      cost: 1 + (introspects ? 0 : inside.cost * listSize(field, valueOfVariable)),
    }
  }

  function measureSelections({ selections }: SelectionSetNode): Measure {
    let total = nothing
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) total = add(total, measureField(selection))
      else {
        const inside =
          selection.kind === Kind.FRAGMENT_SPREAD
            ? measureFragment(selection.name.value)
            : measureSelections(selection.selectionSet)
        total = add(total, { ...inside, directives: inside.directives + (selection.directives?.length ?? 0) })
      }
    }
    return total
  }

  let costliest = 0
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const { depth, introspectionDepth, aliases, directives, fields, cost } = measureSelections(
      definition.selectionSet,
    )
    expectAtMost(limits.maxDepth, depth, 'levels of fields')
    expectAtMost(limits.maxIntrospectionDepth, introspectionDepth, 'levels of introspection')
    expectAtMost(limits.maxAliases, aliases, 'aliases')
    expectAtMost(limits.maxDirectives, directives, 'directives')
    expectAtMost(limits.maxRootFields, fields, 'root fields')
    expectAtMost(limits.maxCost, cost, 'fields to resolve')
    costliest = Math.max(costliest, cost)
  }
  return { cost: costliest, isFixed }
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

/** How many items a field may have, told by its arguments. */
function listSize(
  field: FieldNode,
  valueOfVariable: (variable: string) => unknown,
  usual = usualListSize,
): number {
  if (field.name.value === 'nodes' && field.arguments?.some(({ name }) => name.value === 'ids')) {
    const ids = argumentValue(field, 'ids', valueOfVariable)
    return Array.isArray(ids) ? ids.length : 100
  }
  const sizes = ['first', 'last']
    .map((name) => argumentValue(field, name, valueOfVariable))
    .filter((size) => size !== undefined)
  if (sizes.length > 0)
    return Math.max(...sizes.map((size) => (typeof size === 'number' ? Math.max(size, 1) : 100)))
  return pagedFields.has(field.name.value) ? usual : 1
}

/** Lists that are here in full, and answered so. */
const fullByDefault = new Set([
  ...['users', 'flows', 'sources', 'organizations', 'invitations', 'privateConversations', 'groups'],
])

/** Fields that are lists without saying so by their arguments. */
const pagedFields = new Set([
  ...['messages', 'threads', 'users', 'flows', 'sources', 'organizations', 'invitations'],
  ...['privateConversations', 'files', 'links', 'search', 'buckets', 'groups'],
])

/** How many items a field may have at most, where not even its default is guessed. */
export function listSizeOf(field: FieldNode, valueOfVariable: (variable: string) => unknown): number {
  const usual = fullByDefault.has(field.name.value) ? 100 : usualListSize
  return listSize(field, valueOfVariable, usual)
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
