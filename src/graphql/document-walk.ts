import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type FragmentSpreadNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  type InlineFragmentNode,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql'

/** How to add up the fields of a document. */
export interface Fold<T> {
  /** The sum of no fields. */
  readonly empty: T
  /**
   * @param inside the sum of the fields that are selected of it
   * @param owner the type that declares the field: an interface of the type it is selected on, or that type
   * @param definition undefined for fields of introspection, and for fields that the schema does not have
   */
  field(node: FieldNode, inside: T, definition: GraphQLField<unknown, unknown> | undefined, owner: string): T
  /** @param inside the sum of the fields of the fragment */
  fragment?(node: FragmentSpreadNode | InlineFragmentNode, inside: T): T
  sum(parts: readonly T[]): T
}

/**
 * Adds up the fields of operations. Every selection set is visited once and the sum of a fragment is used wherever it is
 * spread, so the work is linear in the length of the document however the fragments nest. Documents need not be valid.
 */
export function foldDocument<T>(
  schema: GraphQLSchema,
  document: DocumentNode,
  fold: Fold<T>,
): (operation: OperationDefinitionNode) => T {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  const sums = new Map<string, T>()

  function ofFragment(name: string): T {
    const known = sums.get(name)
    if (known !== undefined) return known
    // Validation refuses a fragment that spreads itself; here it must only come to an end.
    sums.set(name, fold.empty)
    const fragment = fragments.get(name)
    const sum =
      fragment === undefined
        ? fold.empty
        : ofSelections(fragment.selectionSet, schema.getType(fragment.typeCondition.name.value))
    sums.set(name, sum)
    return sum
  }

  function ofSelections({ selections }: SelectionSetNode, type: GraphQLNamedType | undefined): T {
    return fold.sum(
      selections.map((selection) => {
        if (selection.kind === Kind.FIELD) return ofField(selection, type)
        const condition =
          selection.kind === Kind.INLINE_FRAGMENT ? selection.typeCondition?.name.value : undefined
        const inside =
          selection.kind === Kind.FRAGMENT_SPREAD
            ? ofFragment(selection.name.value)
            : ofSelections(selection.selectionSet, condition === undefined ? type : schema.getType(condition))
        return fold.fragment?.(selection, inside) ?? inside
      }),
    )
  }

  function ofField(node: FieldNode, type: GraphQLNamedType | undefined): T {
    const hasFields = isObjectType(type) || isInterfaceType(type)
    const definition = hasFields ? type.getFields()[node.name.value] : undefined
    const inside =
      node.selectionSet === undefined
        ? fold.empty
        : ofSelections(node.selectionSet, definition && getNamedType(definition.type))
    const declaring = hasFields
      ? type.getInterfaces().find((each) => node.name.value in each.getFields())
      : undefined
    return fold.field(node, inside, definition, declaring?.name ?? type?.name ?? '')
  }

  return (operation) =>
    ofSelections(operation.selectionSet, schema.getRootType(operation.operation) ?? undefined)
}
