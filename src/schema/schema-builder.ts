import {
  GraphQLBoolean,
  GraphQLEnumType,
  type GraphQLEnumValueConfigMap,
  type GraphQLFieldConfig,
  GraphQLFloat,
  GraphQLID,
  type GraphQLInputFieldConfig,
  GraphQLInputObjectType,
  GraphQLInt,
  GraphQLInterfaceType,
  GraphQLList,
  type GraphQLNamedType,
  GraphQLNonNull,
  type GraphQLNullableType,
  GraphQLObjectType,
  GraphQLScalarType,
  type GraphQLScalarTypeConfig,
  GraphQLSchema,
  GraphQLString,
  type GraphQLType,
  type GraphQLTypeResolver,
  GraphQLUnionType,
  isInputType,
  isInterfaceType,
  isObjectType,
  isOutputType,
} from 'graphql'
import { connectionFields, edgeFields, pageInfoFields } from './connections.ts'
import { declaredTraits, type TypeTraits } from './field-traits.ts'
import {
  type Field,
  type FieldBuilder,
  type Fields,
  fieldBuilder,
  type Input,
  type Inputs,
  inputFieldBuilder,
  type Resolver,
  type TypeParam,
} from './fields.ts'

type TypeResolver = GraphQLTypeResolver<unknown, unknown>
type FieldConfigs = Record<string, GraphQLFieldConfig<unknown, unknown>>

export interface ObjectOptions extends TypeTraits {
  readonly name?: string
  readonly description?: string
  readonly interfaces?: readonly TypeParam[]
  readonly fields?: (t: FieldBuilder) => Fields
}

export interface InterfaceOptions extends ObjectOptions {
  readonly resolveType: TypeResolver
}

export interface ConnectionOptions {
  readonly name: string
  /** Fields besides those of all connections. */
  readonly fields?: (t: FieldBuilder) => Fields
}

/**
 * Collects the types that the schema files declare, and makes the schema of them. A type may be named before it is declared.
 * `builder.ts` gives it the types of Pothos. Pothos itself took three tenths of a start: bench/README.md.
 */
export function createSchemaBuilder() {
  const types = new Map<string, GraphQLNamedType>()
  /** What declares fields of each type, with the traits of their type. */
  const declarations = new Map<string, { readonly traits: TypeTraits; fields(t: FieldBuilder): Fields }[]>()
  const interfaceFields = new Map<string, FieldConfigs>()
  let isComplete = false
  for (const scalar of [GraphQLString, GraphQLInt, GraphQLFloat, GraphQLBoolean, GraphQLID]) add(scalar)

  function add<T extends GraphQLNamedType>(type: T): T {
    if (isComplete) throw new Error(`The type "${type.name}" is declared by a field, not by a file`)
    if (types.has(type.name)) throw new Error(`The type "${type.name}" is declared twice`)
    types.set(type.name, type)
    return type
  }

  function find(param: string | GraphQLNamedType): GraphQLNamedType {
    const type = typeof param === 'string' ? types.get(param) : param
    if (type === undefined) throw new Error(`The type "${param}" is not declared`)
    return type
  }

  function findInterface(param: TypeParam): GraphQLInterfaceType {
    const type = isList(param) ? undefined : find(param)
    if (!isInterfaceType(type)) throw new Error(`"${param}" is no interface`)
    return type
  }

  function findObject(param: string | GraphQLNamedType): GraphQLObjectType {
    const type = find(param)
    if (!isObjectType(type)) throw new Error(`"${param}" is no object type`)
    return type
  }

  function declareFields(name: string, fields: (t: FieldBuilder) => Fields, traits: TypeTraits = {}): void {
    const ofType = declarations.get(name)
    if (ofType === undefined) declarations.set(name, [{ fields, traits }])
    else ofType.push({ fields, traits })
  }

  function declareField(name: string, field: string, make: (t: FieldBuilder) => Field): void {
    declareFields(name, (t) => ({ [field]: make(t) }))
  }

  const rootType = (name: string) => (options: ObjectOptions) => objectType(name, options)
  const fieldsOf = (name: string) => (fields: (t: FieldBuilder) => Fields) => declareFields(name, fields)
  const fieldOf = (name: string) => (field: string, make: (t: FieldBuilder) => Field) =>
    declareField(name, field, make)

  /** @param items whether the items of a list may be null */
  function toType(param: TypeParam, nullable: boolean, items: boolean): GraphQLType {
    const type = isList(param) ? new GraphQLList(toType(param[0], items, false)) : find(param)
    return nullable ? type : new GraphQLNonNull(type as GraphQLNullableType)
  }

  function toInput({ required = false, ...input }: Input): GraphQLInputFieldConfig {
    const { list, items } = typeof required === 'object' ? required : { list: required, items: true }
    const type = toType(input.type, !list, !items)
    if (!isInputType(type)) throw new Error(`"${type}" is no type of an input`)
    return { ...input, type }
  }

  function toInputs(inputs: Inputs): Record<string, GraphQLInputFieldConfig> {
    const configs: Record<string, GraphQLInputFieldConfig> = {}
    for (const [name, input] of Object.entries(inputs)) configs[name] = toInput(input)
    return configs
  }

  function toField(name: string, field: Field, ofType: TypeTraits): FieldConfigs[string] {
    const { description, deprecationReason, nullable = false, args = {}, property, subscribe } = field
    const { list, items } = typeof nullable === 'object' ? nullable : { list: nullable, items: false }
    const type = toType(field.type, list, items)
    if (!isOutputType(type)) throw new Error(`The field "${name}" has no type that can be read`)
    // graphql-js reads a property that has the name of the field itself.
    const resolve = property === undefined || property === name ? field.resolve : readProperty(property)
    return {
      ...{ type, description, deprecationReason, args: toInputs(args) },
      ...(resolve && { resolve }),
      ...(subscribe && { subscribe }),
      extensions: { traits: declaredTraits(field, ofType, resolve) },
    }
  }

  function toFields(name: string): FieldConfigs {
    const configs: FieldConfigs = {}
    for (const { fields, traits } of declarations.get(name) ?? [])
      for (const [field, declared] of Object.entries(fields(fieldBuilder)))
        configs[field] = toField(field, declared, traits)
    return configs
  }

  /** The fields of an interface, made once for all types that have it. */
  function fieldsOfInterface(name: string): FieldConfigs {
    const known = interfaceFields.get(name)
    if (known !== undefined) return known
    const configs = toFields(name)
    interfaceFields.set(name, configs)
    return configs
  }

  function withInherited(interfaces: readonly GraphQLInterfaceType[], own: FieldConfigs): FieldConfigs {
    return Object.assign({}, ...interfaces.map(({ name }) => fieldsOfInterface(name)), own)
  }

  function objectType(name: string, options: ObjectOptions): GraphQLObjectType {
    const { description, interfaces = [], fields } = options
    if (fields !== undefined) declareFields(name, fields, options)
    const type: GraphQLObjectType = new GraphQLObjectType({
      name,
      description,
      interfaces: () => interfaces.map(findInterface),
      fields: () => withInherited(type.getInterfaces(), toFields(name)),
    })
    return add(type)
  }

  function interfaceType(name: string, options: InterfaceOptions): GraphQLInterfaceType {
    const { description, interfaces = [], fields, resolveType } = options
    if (fields !== undefined) declareFields(name, fields, options)
    const type: GraphQLInterfaceType = new GraphQLInterfaceType({
      name,
      description,
      resolveType,
      interfaces: () => interfaces.map(findInterface),
      fields: () => withInherited(type.getInterfaces(), fieldsOfInterface(name)),
    })
    return add(type)
  }

  function connectionObject(
    { type, name, fields }: ConnectionOptions & { readonly type: TypeParam },
    edge: { readonly name: string },
  ): GraphQLObjectType {
    const edgeType = objectType(edge.name, {
      description: 'An item and its cursor.',
      fields: () => edgeFields(type),
    })
    return objectType(name, {
      description: 'One page of a list.',
      fields: () => ({ ...connectionFields(type, edgeType), ...fields?.(fieldBuilder) }),
    })
  }

  objectType('PageInfo', {
    description: 'The position of a page in its list.',
    fields: () => pageInfoFields,
  })
  const nodeInterface = interfaceType('Node', {
    description: 'An object that `node` reads by its global id.',
    resolveType: (value) => (value as { readonly __typename: string }).__typename,
    fields: () => ({
      id: {
        type: 'ID',
        description: 'The global id: unique among all objects of this API. Do not parse it.',
        resolve() {
          throw new Error('A node has an id of its own')
        },
      },
    }),
  })

  return {
    objectType,
    objectRef: (name: string) => ({ implement: (options: ObjectOptions) => objectType(name, options) }),
    objectFields: declareFields,
    objectField: declareField,
    ...{ queryType: rootType('Query'), queryFields: fieldsOf('Query'), queryField: fieldOf('Query') },
    ...{ mutationType: rootType('Mutation'), mutationField: fieldOf('Mutation') },
    subscriptionType: rootType('Subscription'),
    subscriptionFields: fieldsOf('Subscription'),
    subscriptionField: fieldOf('Subscription'),
    interfaceType,
    nodeInterfaceRef: () => nodeInterface,
    connectionObject,

    unionType(
      name: string,
      options: {
        readonly description?: string
        readonly types: readonly (string | GraphQLNamedType)[]
        readonly resolveType: TypeResolver
      },
    ): GraphQLUnionType {
      return add(new GraphQLUnionType({ ...options, name, types: () => options.types.map(findObject) }))
    },

    enumType(
      name: string,
      options: { readonly description?: string; readonly values: GraphQLEnumValueConfigMap },
    ): GraphQLEnumType {
      return add(new GraphQLEnumType({ ...options, name }))
    },

    scalarType(
      name: string,
      options: Omit<GraphQLScalarTypeConfig<unknown, unknown>, 'name'>,
    ): GraphQLScalarType {
      return add(new GraphQLScalarType({ ...options, name }))
    },

    inputType(
      name: string,
      options: {
        readonly description?: string
        readonly isOneOf?: boolean
        fields(t: typeof inputFieldBuilder): Inputs
      },
    ): GraphQLInputObjectType {
      const fields = () => toInputs(options.fields(inputFieldBuilder))
      return add(new GraphQLInputObjectType({ ...options, name, fields }))
    },

    /** The schema, which is not checked, because that takes time at every start: a test does it. */
    toSchema(): GraphQLSchema {
      isComplete = true
      const all = [...types.values()]
      return withoutFields(all, () => {
        const [query, mutation, subscription] = ['Query', 'Mutation', 'Subscription'].map(findObject)
        return new GraphQLSchema({ query, mutation, subscription, types: all, assumeValid: true })
      })
    },
  }
}

/**
 * Calls `make` while the types have no fields. The constructor of a schema reads the fields of all types, to find more types, and
 * here it is given all. So the fields of a type are made when an operation uses the type, and a start makes those of few.
 */
function withoutFields<T>(types: readonly GraphQLNamedType[], make: () => T): T {
  const withFields = types.filter((type) => 'getFields' in type)
  for (const type of withFields) type.getFields = () => ({})
  try {
    return make()
  } finally {
    // The method of the class is there again.
    for (const type of withFields) Reflect.deleteProperty(type, 'getFields')
  }
}

function isList(param: TypeParam): param is readonly [TypeParam] {
  return Array.isArray(param)
}

function readProperty(property: string): Resolver {
  return (source) => (source as Record<string, unknown>)[property]
}
