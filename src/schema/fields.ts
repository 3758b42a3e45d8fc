import type { GraphQLFieldResolver, GraphQLNamedType } from 'graphql'
import type { FieldTraits } from '../graphql/field-traits.ts'

/* Fields as the schema files declare them: plain objects, from which `schema-builder.ts` makes fields of graphql-js. */

/** A type, or its name; in an array, a list of it. */
export type TypeParam = string | GraphQLNamedType | readonly [TypeParam]

export type Resolver = GraphQLFieldResolver<unknown, unknown>

/** For a list: whether it, and whether its items. */
type OfList = boolean | { readonly list: boolean; readonly items: boolean }

export interface FieldOptions extends FieldTraits {
  readonly description?: string
  readonly deprecationReason?: string
  /** False unless given, also for the items of a list. */
  readonly nullable?: OfList
  readonly args?: Inputs
  readonly resolve?: Resolver
  readonly subscribe?: Resolver
}

export interface Field extends FieldOptions {
  readonly type: TypeParam
  /** The property that is the value, in place of `resolve`. */
  readonly property?: string
}

export type Fields = Readonly<Record<string, Field>>

export interface InputOptions {
  readonly description?: string
  readonly deprecationReason?: string
  /** False unless given; true for the items of a list. */
  readonly required?: OfList
  readonly defaultValue?: unknown
}

export interface Input extends InputOptions {
  readonly type: TypeParam
}

export type Inputs = Readonly<Record<string, Input>>

export const inputFieldBuilder = {
  field: (options: Input) => options,
  string: inputOf('String'),
  int: inputOf('Int'),
  float: inputOf('Float'),
  boolean: inputOf('Boolean'),
  id: inputOf('ID'),
  stringList: inputOf(['String']),
  idList: inputOf(['ID']),
}

const connectionArgs: Inputs = {
  before: { type: 'String', description: 'Read only items before this cursor.' },
  after: { type: 'String', description: 'Read only items after this cursor.' },
  first: {
    type: 'Int',
    description:
      'The number of items to read from the start of the list, 1 to 100. Not together with `last`.',
  },
  last: {
    type: 'Int',
    description: 'The number of items to read from the end of the list, 1 to 100. Not together with `first`.',
  },
}

export const fieldBuilder = {
  arg: Object.assign((options: Input) => options, inputFieldBuilder),
  field: (options: Field) => options,
  string: fieldOf('String'),
  int: fieldOf('Int'),
  float: fieldOf('Float'),
  boolean: fieldOf('Boolean'),
  id: fieldOf('ID'),
  stringList: fieldOf(['String']),
  exposeString: propertyOf('String'),
  exposeInt: propertyOf('Int'),
  exposeFloat: propertyOf('Float'),
  exposeBoolean: propertyOf('Boolean'),
  exposeID: propertyOf('ID'),
  exposeStringList: propertyOf(['String']),
  /** A list in pages. */
  connection: (options: FieldOptions, type: GraphQLNamedType): Field => ({
    ...options,
    type,
    args: { ...options.args, ...connectionArgs },
  }),
}

function inputOf(type: TypeParam) {
  return (options: InputOptions): Input => ({ ...options, type })
}

function fieldOf(type: TypeParam) {
  return (options: FieldOptions): Field => ({ ...options, type })
}

function propertyOf(type: TypeParam) {
  return (property: string, options: FieldOptions): Field => ({ ...options, type, property })
}

export type FieldBuilder = typeof fieldBuilder
