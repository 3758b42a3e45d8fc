import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getOperationAST,
  isInterfaceType,
  isObjectType,
  Kind,
  type SelectionSetNode,
} from 'graphql'
import type { CallEstimate, CallEstimates } from '../call-estimate.ts'
import { listSizeOf } from './document-limits.ts'

/** What an operation will ask of the upstream at most. */
export interface CallPrediction {
  readonly calls: number
  /** How many of them each field is for, such as `Flow.messages`; what fields share is named by itself. */
  readonly fields: Readonly<Record<string, number>>
  /** The calls that are made for each operation, even where several are executed together; the rest they share. */
  readonly unshared: number
}

export interface PredictionRequest {
  readonly schema: GraphQLSchema
  readonly estimates: CallEstimates
  readonly document: DocumentNode
  readonly operationName: string | null | undefined
  readonly variables: Readonly<Record<string, unknown>>
}

/** Of one object: calls by field, what is asked once however many objects there are, and what is asked together. */
interface Shape {
  readonly each: ReadonlyMap<string, number>
  readonly once: ReadonlySet<string>
  readonly batches: ReadonlyMap<string, number>
}

const nothing: Shape = { each: new Map(), once: new Set(), batches: new Map() }
/** The longest page. */
const fullPage = 100

/**
 * Adds up what the fields of an operation take. Every selection is looked at once, and a fragment wherever it is spread by
 * the same figures, so the work is linear in the length of the document.
 *
 * @returns `isFixed`: whether it is so whatever the variables are
 */
export function predictCalls({ schema, estimates, document, operationName, variables }: PredictionRequest): {
  readonly prediction: CallPrediction
  readonly isFixed: boolean
} {
  let isFixed = true
  const valueOfVariable = (name: string) => {
    isFixed = false
    return variables[name] ?? null
  }
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  const known = new Map<string, Shape>()

  function ofFragment(name: string): Shape {
    const shape = known.get(name)
    if (shape !== undefined) return shape
    known.set(name, nothing)
    const fragment = fragments.get(name)
    const type = fragment && schema.getType(fragment.typeCondition.name.value)
    const made = fragment && type ? ofSelections(fragment.selectionSet, type) : nothing
    known.set(name, made)
    return made
  }

  function ofSelections({ selections }: SelectionSetNode, type: GraphQLNamedType): Shape {
    const shapes = selections.map((selection) => {
      if (selection.kind === Kind.FIELD) return ofField(selection, type)
      if (selection.kind === Kind.FRAGMENT_SPREAD) return ofFragment(selection.name.value)
      const condition = selection.typeCondition?.name.value
      const inner = condition === undefined ? type : schema.getType(condition)
      return inner ? ofSelections(selection.selectionSet, inner) : nothing
    })
    return add(shapes)
  }

  function ofField(field: FieldNode, type: GraphQLNamedType): Shape {
    if (!isObjectType(type) && !isInterfaceType(type)) return nothing
    const name = field.name.value
    const found = type.getFields()[name]
    if (found === undefined) return nothing
    const owner = [type, ...type.getInterfaces()].find((each) => `${each.name}.${name}` in estimates)
    const key = `${owner?.name ?? type.name}.${name}`
    const estimate = estimates[key] ?? estimates[`${type.name}.*`]
    const size = listSizeOf(field, valueOfVariable)
    const own = estimate === undefined ? nothing : toShape(key, estimate, field, size)
    if (field.selectionSet === undefined) return own
    return add([own, times(ofSelections(field.selectionSet, getNamedType(found.type)), size)])
  }

  function toShape(key: string, estimate: CallEstimate, field: FieldNode, size: number): Shape {
    const { each = 0, eachItem = 0, withArgument, isPage = false, once = [], batch } = estimate
    const base = withArgument !== undefined && isGiven(field, withArgument.name) ? withArgument.each : each
    const more = isPage && size >= fullPage && asksForMore(field.selectionSet) ? 1 : 0
    const calls = base + more + eachItem * size
    return {
      each: calls === 0 ? nothing.each : new Map([[key, calls]]),
      once: new Set(once),
      batches: batch === undefined ? nothing.batches : new Map([[batch, 1]]),
    }
  }

  function isGiven(field: FieldNode, name: string): boolean {
    const value = field.arguments?.find((argument) => argument.name.value === name)?.value
    if (value?.kind === Kind.VARIABLE) return valueOfVariable(value.name.value) !== null
    return value !== undefined && value.kind !== Kind.NULL
  }

  /** Whether a connection is asked whether it goes on; a fragment may. */
  function asksForMore(selectionSet: SelectionSetNode | undefined): boolean {
    return (selectionSet?.selections ?? []).some(
      (selection) => selection.kind !== Kind.FIELD || selection.name.value === 'pageInfo',
    )
  }

  const operation = getOperationAST(document, operationName)
  const root = operation && schema.getRootType(operation.operation)
  const shape = operation && root ? ofSelections(operation.selectionSet, root) : nothing
  return { prediction: sum(shape), isFixed }
}

function sum({ each, once, batches }: Shape): CallPrediction {
  const fields: Record<string, number> = Object.fromEntries(each)
  for (const name of once) fields[name] = 1
  for (const [name, count] of batches) fields[name] = count > 1 ? count + 1 : count
  const calls = Object.values(fields).reduce((total, count) => total + count, 0)
  // Of a batch of one, such as the flow of an event, all operations ask for the same.
  const shared = once.size + [...batches.values()].filter((count) => count === 1).length
  return { calls, fields, unshared: calls - shared }
}

function add(shapes: readonly Shape[]): Shape {
  const some = shapes.filter((shape) => shape !== nothing)
  if (some.length <= 1) return some[0] ?? nothing
  return {
    each: merge(some.map(({ each }) => each)),
    once: new Set(some.flatMap(({ once }) => [...once])),
    batches: merge(some.map(({ batches }) => batches)),
  }
}

function times(shape: Shape, factor: number): Shape {
  if (factor === 1 || shape === nothing) return shape
  const { each, once, batches } = shape
  const scale = (counts: ReadonlyMap<string, number>) =>
    new Map([...counts].map(([name, count]) => [name, count * factor]))
  return { each: scale(each), once, batches: scale(batches) }
}

function merge(maps: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const merged = new Map<string, number>()
  for (const map of maps) for (const [name, count] of map) merged.set(name, (merged.get(name) ?? 0) + count)
  return merged
}
