import {
  type DocumentNode,
  type FieldNode,
  type GraphQLSchema,
  getOperationAST,
  Kind,
  type SelectionSetNode,
} from 'graphql'
import { listSize } from './document-limits.ts'
import { foldDocument } from './document-walk.ts'
import { type CallCost, traitsOf } from './field-traits.ts'

/** The calls to the upstream that an operation makes at most. */
export interface CallPrediction {
  readonly calls: number
  /** The calls of each field, such as `Flow.messages`, and of each name that fields share calls by. */
  readonly fields: Readonly<Record<string, number>>
  /** Calls that each operation makes for itself when several are executed together; they share the others. */
  readonly unshared: number
}

export interface PredictionRequest {
  readonly schema: GraphQLSchema
  readonly document: DocumentNode
  readonly operationName: string | null | undefined
  readonly variables: Readonly<Record<string, unknown>>
}

/** The calls for one object: by field, made once for any number of objects, in bulk, and batched. */
interface Shape {
  readonly each: ReadonlyMap<string, number>
  /** One for each selection of a field. */
  readonly bulk: ReadonlyMap<string, number>
  readonly once: ReadonlySet<string>
  readonly batches: ReadonlyMap<string, number>
}

const nothing: Shape = { each: new Map(), bulk: new Map(), once: new Set(), batches: new Map() }
/** The longest page. */
const fullPage = 100

/**
 * Adds up the calls that the fields of an operation make.
 *
 * @returns `isFixed`: whether the prediction is the same for all values of the variables
 */
export function predictCalls({ schema, document, operationName, variables }: PredictionRequest): {
  readonly prediction: CallPrediction
  readonly isFixed: boolean
} {
  let isFixed = true
  const valueOfVariable = (name: string) => {
    isFixed = false
    return variables[name] ?? null
  }
  const shapeOf = foldDocument<Shape>(schema, document, {
    empty: nothing,
    field(node, inside, definition, owner) {
      const traits = traitsOf(definition)
      const size = listSize(node, traits, valueOfVariable)
      const own = traits.calls === undefined ? nothing : toShape(owner, traits.calls, node, size)
      return add([own, times(inside, size)])
    },
    sum: add,
  })

  function toShape(owner: string, cost: CallCost, field: FieldNode, size: number): Shape {
    const { each = 0, eachItem = 0, withArgument, isPage = false, isBulk = false, once = [], batch } = cost
    const base = withArgument !== undefined && isGiven(field, withArgument.name) ? withArgument.each : each
    const more = isPage && size >= fullPage && asksForMore(field.selectionSet) ? 1 : 0
    const calls = base + more + eachItem * size
    return {
      each: calls === 0 ? nothing.each : new Map([[`${owner}.${field.name.value}`, calls]]),
      bulk: isBulk ? new Map([[`${owner}.${field.name.value}`, 1]]) : nothing.bulk,
      once: new Set(once),
      batches: batch === undefined ? nothing.batches : new Map([[batch, 1]]),
    }
  }

  function isGiven(field: FieldNode, name: string): boolean {
    const value = field.arguments?.find((argument) => argument.name.value === name)?.value
    if (value?.kind === Kind.VARIABLE) return valueOfVariable(value.name.value) !== null
    return value !== undefined && value.kind !== Kind.NULL
  }

  const operation = getOperationAST(document, operationName)
  return { prediction: operation ? sum(shapeOf(operation)) : sum(nothing), isFixed }
}

/** Whether a selection of a connection has `pageInfo`; a fragment may have it. */
function asksForMore(selectionSet: SelectionSetNode | undefined): boolean {
  return (selectionSet?.selections ?? []).some(
    (selection) => selection.kind !== Kind.FIELD || selection.name.value === 'pageInfo',
  )
}

function sum({ each, bulk, once, batches }: Shape): CallPrediction {
  const fields: Record<string, number> = Object.fromEntries(merge([each, bulk]))
  for (const name of once) fields[name] = 1
  for (const [name, count] of batches) fields[name] = count > 1 ? count + 1 : count
  const calls = Object.values(fields).reduce((total, count) => total + count, 0)
  // A batch of one key, such as the flow of an event, is the same key for all operations.
  const shared = once.size + [...batches.values()].filter((count) => count === 1).length
  return { calls, fields, unshared: calls - shared }
}

function add(shapes: readonly Shape[]): Shape {
  const some = shapes.filter((shape) => shape !== nothing)
  if (some.length <= 1) return some[0] ?? nothing
  return {
    each: merge(some.map(({ each }) => each)),
    bulk: merge(some.map(({ bulk }) => bulk)),
    once: new Set(some.flatMap(({ once }) => [...once])),
    batches: merge(some.map(({ batches }) => batches)),
  }
}

function times(shape: Shape, factor: number): Shape {
  if (factor === 1 || shape === nothing) return shape
  const { each, bulk, once, batches } = shape
  const scale = (counts: ReadonlyMap<string, number>) =>
    new Map([...counts].map(([name, count]) => [name, count * factor]))
  return { each: scale(each), bulk, once, batches: scale(batches) }
}

function merge(maps: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const merged = new Map<string, number>()
  for (const map of maps) for (const [name, count] of map) merged.set(name, (merged.get(name) ?? 0) + count)
  return merged
}
