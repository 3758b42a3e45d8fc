import {
  type ASTVisitor,
  type DocumentNode,
  type FieldNode,
  GraphQLError,
  GraphQLIncludeDirective,
  type GraphQLSchema,
  GraphQLSkipDirective,
  getDirectiveValues,
  getVariableValues,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  SingleFieldSubscriptionsRule,
  specifiedRules,
  type ValidationContext,
} from 'graphql'
import { ValidationError } from '../errors.ts'
import { fragmentsOf } from './document-walk.ts'

/**
 * The rules of the specification, with another one for the single field of a subscription: that of graphql-js evaluates
 * `@skip` and `@include` while it knows no variables, and throws for each that has one.
 */
export const validationRules = specifiedRules.map((rule) =>
  rule === SingleFieldSubscriptionsRule ? singleFieldSubscriptions : rule,
)

/** [spec] GraphQL, 5.2.4.1: a subscription has one root field, which is no introspection field. */
function singleFieldSubscriptions(context: ValidationContext): ASTVisitor {
  return {
    OperationDefinition(node) {
      if (node.operation !== 'subscription') return
      const name = node.name === undefined ? 'Anonymous Subscription' : `Subscription "${node.name.value}"`
      const fields = rootFields(context.getDocument(), node.selectionSet, () => true)
      const [first] = fields
      const others = fields.filter((field) => responseName(field) !== (first && responseName(first)))
      if (others.length > 0)
        context.reportError(
          new GraphQLError(`${name} must select only one top level field.`, { nodes: others }),
        )
      const introspection = fields.filter((field) => field.name.value.startsWith('__'))
      if (introspection.length > 0)
        context.reportError(
          new GraphQLError(`${name} must not select an introspection top level field.`, {
            nodes: introspection,
          }),
        )
    },
  }
}

/** @throws ValidationError for a subscription whose `@skip` and `@include` leave no field to listen to */
export function expectRootField(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): void {
  const { coerced } = getVariableValues(schema, operation.variableDefinitions ?? [], variables)
  // Execution reports variables that are missing or of another type.
  if (coerced === undefined) return
  const isIncluded = (node: SelectionNode) =>
    getDirectiveValues(GraphQLSkipDirective, node, coerced)?.['if'] !== true &&
    getDirectiveValues(GraphQLIncludeDirective, node, coerced)?.['if'] !== false
  if (rootFields(document, operation.selectionSet, isIncluded).length === 0)
    throw new ValidationError('Expected @skip and @include to leave a field of the subscription')
}

function responseName({ alias, name }: FieldNode): string {
  return alias?.value ?? name.value
}

/** The fields of a selection and of its fragments, each of which counts once. */
function rootFields(
  document: DocumentNode,
  selectionSet: SelectionSetNode,
  isIncluded: (node: SelectionNode) => boolean,
): FieldNode[] {
  const fragments = fragmentsOf(document)
  const fields: FieldNode[] = []
  const visit = ({ selections }: SelectionSetNode): void => {
    for (const selection of selections) {
      if (!isIncluded(selection)) continue
      if (selection.kind === Kind.FIELD) fields.push(selection)
      else if (selection.kind === Kind.INLINE_FRAGMENT) visit(selection.selectionSet)
      else {
        const fragment = fragments.get(selection.name.value)
        fragments.delete(selection.name.value)
        if (fragment !== undefined) visit(fragment.selectionSet)
      }
    }
  }
  visit(selectionSet)
  return fields
}
