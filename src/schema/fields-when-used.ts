import { InputObjectRef, InterfaceRef, ObjectRef, type SchemaTypes } from '@pothos/core'
import { GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema } from 'graphql'

/**
 * Makes the schema of a builder. Its types make their fields when an operation first uses them: Pothos and graphql-js read the fields
 * of each type to find types that only a field makes, which takes a third of a start. Neither has a setting for it, so some of their
 * methods are replaced while the schema is made. The schema is not validated.
 *
 * @param makers the types whose fields make other types, such as connections. Their fields are read at once
 */
export function makeFieldsWhenUsed<Types extends SchemaTypes>(
  builder: PothosSchemaTypes.SchemaBuilder<Types>,
  makers: readonly string[],
): GraphQLSchema {
  const postponed = new Map<string, () => void>()
  const undo = [
    ...[ObjectRef, InterfaceRef, InputObjectRef].map(({ prototype }) =>
      postponeFields(prototype, makers, postponed),
    ),
    ...[GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType].map(({ prototype }) =>
      hideFields(prototype),
    ),
  ]
  readPostponedFields(builder, postponed)
  try {
    return new GraphQLSchema({ ...builder.toSchema({ sortSchema: false }).toConfig(), assumeValid: true })
  } finally {
    for (const restore of undo) restore()
  }
}

/** Postpones the functions that return the fields of a type of Pothos. Returns what undoes it. */
function postponeFields<Callback>(
  prototype: { readonly name: string; onField(callback: Callback): void },
  makers: readonly string[],
  postponed: Map<string, () => void>,
): () => void {
  const { onField } = prototype
  prototype.onField = function (callback) {
    if (makers.includes(this.name)) onField.call(this, callback)
    else postponed.set(this.name, () => onField.call(this, callback))
  }
  return () => {
    prototype.onField = onField
  }
}

/** Calls what is postponed for a type when its fields are read. */
function readPostponedFields<Types extends SchemaTypes>(
  { configStore }: PothosSchemaTypes.SchemaBuilder<Types>,
  postponed: Map<string, () => void>,
): void {
  const { getFields } = configStore
  configStore.getFields = (name, kind) => {
    const types = configStore.typeConfigs.size
    postponed.get(name)?.()
    postponed.delete(name)
    if (configStore.typeConfigs.size > types)
      throw new Error(`The fields of ${name} make types, so makeFieldsWhenUsed must be told of ${name}`)
    return getFields.call(configStore, name, kind) as never
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
