import {
  type GraphQLNamedType,
  GraphQLObjectType,
  GraphQLSchema,
  graphql,
  isObjectType,
  printSchema,
} from 'graphql'
import { expect, test } from 'vitest'
import { schema } from '../src/schema/index.ts'
import { createSchemaBuilder } from '../src/schema/schema-builder.ts'

/** A builder with what every schema needs. */
function createBuilder() {
  const builder = createSchemaBuilder()
  for (const type of [builder.mutationType, builder.subscriptionType])
    type({ fields: (t) => ({ nothing: t.string({}) }) })
  return builder
}

function fieldsOf(type: GraphQLNamedType | undefined) {
  if (!isObjectType(type)) throw new Error(`${type} is no object type`)
  return type.getFields()
}

test('the fields of a type are made when they are first read, so that a start makes few', async () => {
  const builder = createBuilder()
  const made: string[] = []
  builder.queryType({
    fields: (t) => {
      made.push('Query')
      return { rarely: t.field({ type: 'Rare', resolve: () => ({ name: 'a' }) }), often: t.string({}) }
    },
  })
  builder.objectType('Rare', {
    fields: (t) => {
      made.push('Rare')
      return { name: t.exposeString('name', {}) }
    },
  })
  const built = builder.toSchema()
  expect(made).toEqual([])
  await graphql({ schema: built, source: '{ often }', rootValue: { often: 'b' } })
  expect(made).toEqual(['Query'])
  expect(await graphql({ schema: built, source: '{ rarely { name } }' })).toEqual({
    data: { rarely: { name: 'a' } },
  })
  expect(made).toEqual(['Query', 'Rare'])
})

test('the schema has every type that its fields name', () => {
  const found = new GraphQLSchema({
    ...{ query: schema.getQueryType(), mutation: schema.getMutationType() },
    subscription: schema.getSubscriptionType(),
  })
  const known = new Set(Object.keys(schema.getTypeMap()))
  expect(Object.keys(found.getTypeMap()).filter((name) => !known.has(name))).toEqual([])
  expect(known.size).toBeGreaterThan(400)
})

test('a type has the fields of its interfaces, and its own in their place', async () => {
  const builder = createBuilder()
  builder.interfaceType('Named', {
    resolveType: () => 'Person',
    fields: (t) => ({ id: t.id({ resolve: () => 1 }), name: t.exposeString('fullName', {}) }),
  })
  builder.objectType('Person', { interfaces: ['Named'], fields: (t) => ({ id: t.exposeID('key', {}) }) })
  builder.queryFields((t) => ({
    all: t.field({ type: ['Named'], resolve: () => [{ key: 'ada', fullName: 'Ada Byron' }] }),
  }))
  builder.queryType({})
  const { data } = await graphql({ schema: builder.toSchema(), source: '{ all { id name } }' })
  expect(data).toEqual({ all: [{ id: 'ada', name: 'Ada Byron' }] })
})

test('fields are not null, and inputs are, unless they say otherwise', () => {
  const builder = createBuilder()
  builder.queryType({
    fields: (t) => ({
      names: t.stringList({ args: { of: t.arg.idList({}), first: t.arg.int({ required: true }) } }),
      some: t.field({ type: ['String'], nullable: { list: false, items: true } }),
      none: t.string({ nullable: true }),
    }),
  })
  const text = printSchema(builder.toSchema())
  expect(text).toContain('names(of: [ID!], first: Int!): [String!]!')
  expect(text).toContain('some: [String]!')
  expect(text).toContain('none: String\n')
})

test('a mistake in a declaration names the type', () => {
  const builder = createBuilder()
  builder.queryType({
    fields: (t) => ({ missing: t.field({ type: 'Missing' }) }),
  })
  builder.objectType('Lost', {
    fields: (t) => ({
      page: t.connection({}, builder.connectionObject({ type: 'Query', name: 'Late' }, { name: 'LateEdge' })),
    }),
  })
  expect(() => builder.objectType('Lost', {})).toThrow('The type "Lost" is declared twice')
  const built = builder.toSchema()
  expect(() => fieldsOf(built.getType('Query'))).toThrow('The type "Missing" is not declared')
  expect(() => fieldsOf(built.getType('Lost'))).toThrow(
    'The type "LateEdge" is declared by a field, not by a file',
  )
  expect(built.getType('Mutation')).toBeInstanceOf(GraphQLObjectType)
})
