import { GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema } from 'graphql'

/**
 * Makes a schema whose types make their fields when an operation first uses them. Pothos and graphql-js read the fields of each type
 * to find types that only a field names. The builder knows all types without them, and reading them takes a quarter of a start.
 *
 * @param make returns a schema whose types are all named in its configuration. The schema is not validated
 */
export function makeFieldsWhenUsed(make: () => GraphQLSchema): GraphQLSchema {
  const restore = [GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType].map(({ prototype }) =>
    hideFields(prototype),
  )
  try {
    return new GraphQLSchema({ ...make().toConfig(), assumeValid: true })
  } finally {
    for (const undo of restore) undo()
  }
}

/** Makes types appear without fields, except those of introspection. Returns what undoes it. */
function hideFields(prototype: { readonly name: string; getFields(): object }): () => void {
  const { getFields } = prototype
  prototype.getFields = function () {
    return this.name.startsWith('__') ? getFields.call(this) : {}
  }
  return () => {
    prototype.getFields = getFields
  }
}
