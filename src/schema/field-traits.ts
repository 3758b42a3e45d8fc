import type { FieldNullability, InputFieldMap, SchemaTypes, TypeParam } from '@pothos/core'
import type { FieldTraits } from '../graphql/field-traits.ts'

export interface TypeTraits {
  /**
   * The class of fields that depend only on the object: exposed properties, and resolvers without the context. All other fields
   * are `self` unless they declare a class.
   */
  readonly sharing?: 'same'
}

/** The traits of a field, for its `extensions`. */
export function declaredTraits(
  { calls, isVolatile, listSize, sharing }: FieldTraits,
  ofType: TypeTraits,
  resolve: ((...args: never[]) => unknown) | undefined,
): FieldTraits {
  const takesContext = resolve !== undefined && resolve.length > 2
  return {
    ...(calls === undefined ? {} : { calls }),
    ...(isVolatile === undefined ? {} : { isVolatile }),
    ...(listSize === undefined ? {} : { listSize }),
    sharing: sharing ?? (takesContext ? undefined : ofType.sharing) ?? 'self',
  }
}

declare global {
  namespace PothosSchemaTypes {
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
