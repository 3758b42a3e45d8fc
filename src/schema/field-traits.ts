import SchemaBuilder, {
  BasePlugin,
  type FieldNullability,
  type InputFieldMap,
  type PothosOutputFieldConfig,
  type SchemaTypes,
  type TypeParam,
} from '@pothos/core'
import { defaultFieldResolver } from 'graphql'
import type { FieldTraits } from '../graphql/field-traits.ts'

/** A mutation makes its change in one call and looks up at most three objects. */
const mutationCalls = { each: 4 }

interface TypeTraits {
  /**
   * The class of fields that depend only on the object: exposed properties, and resolvers without the context. All other fields
   * are `self` unless they declare a class.
   */
  readonly sharing?: 'same'
}

/** Copies the traits in the options of fields and types to `extensions.traits` of each field. */
export class FieldTraitsPlugin<T extends SchemaTypes> extends BasePlugin<T> {
  override onOutputFieldConfig(config: PothosOutputFieldConfig<T>): PothosOutputFieldConfig<T> {
    const { calls, isVolatile, listSize, sharing } = config.pothosOptions as FieldTraits
    const traits: FieldTraits = {
      ...(calls !== undefined ? { calls } : config.kind === 'Mutation' ? { calls: mutationCalls } : {}),
      ...(isVolatile === undefined ? {} : { isVolatile }),
      ...(listSize === undefined ? {} : { listSize }),
      sharing: sharing ?? this.#sharingOfType(config) ?? 'self',
    }
    return { ...config, extensions: { ...config.extensions, traits } }
  }

  #sharingOfType({ declaringType, parentType, resolve }: PothosOutputFieldConfig<T>): 'same' | undefined {
    // For a property with the name of the field, Pothos uses graphql-js' default resolver, which takes the context.
    const takesContext = resolve !== undefined && resolve !== defaultFieldResolver && resolve.length > 2
    const { pothosOptions } = this.builder.configStore.getTypeConfig(declaringType ?? parentType)
    return takesContext ? undefined : (pothosOptions as TypeTraits).sharing
  }
}

export const fieldTraitsPlugin = 'fieldTraits'

declare global {
  namespace PothosSchemaTypes {
    interface Plugins<Types extends SchemaTypes> {
      [fieldTraitsPlugin]: FieldTraitsPlugin<Types>
    }
    interface FieldOptions<
      Types extends SchemaTypes,
      ParentShape,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveShape,
      ResolveReturnShape,
    > extends FieldTraits {}
    interface ObjectTypeOptions<Types extends SchemaTypes, Shape> extends TypeTraits {}
    interface InterfaceTypeOptions<Types extends SchemaTypes, Shape, Interfaces, ResolveType>
      extends TypeTraits {}
  }
}

SchemaBuilder.registerPlugin(fieldTraitsPlugin, FieldTraitsPlugin)
