import {
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { sharingOf } from '../graphql/field-traits.ts'

/** The analysis of a subscription's document. */
export interface Analysis {
  /** Whether no selected field depends on the viewer, except by recorded questions. */
  readonly isShared: boolean
  /** Whether a selected field asks such questions. */
  readonly asksViewer: boolean
  /** The values of the variables in the selection, without those that only choose the events. */
  variables(values: Readonly<Record<string, unknown>>): string
  /** The document as text. */
  readonly source: string
}

export function analyze(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): Analysis {
  const names = new Set<string>()
  let isShared = true
  let asksViewer = false
  let isRoot = false
  const types = new TypeInfo(schema)
  visit(
    document,
    visitWithTypeInfo(types, {
      OperationDefinition: (node) => (node === operation ? undefined : false),
      VariableDefinition: () => false,
      Field: {
        enter(node) {
          const parent = types.getParentType()
          isRoot = parent === schema.getSubscriptionType()
          if (isRoot || node.name.value.startsWith('__')) return
          const field = types.getFieldDef()
          const sharing = field == null ? 'self' : sharingOf(field)
          if (sharing === 'self') isShared = false
          if (sharing === 'viewer') asksViewer = true
        },
      },
      Argument: () => (isRoot ? false : undefined),
      Variable: (node) => void names.add(node.name.value),
    }),
  )
  const sorted = [...names].sort()
  return {
    isShared,
    asksViewer,
    variables: (values) => JSON.stringify(sorted.map((name) => values[name])),
    source: document.loc?.source.body ?? String(document.definitions.length),
  }
}
