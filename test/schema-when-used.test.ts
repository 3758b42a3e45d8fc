import {
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  getNamedType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
} from 'graphql'
import { expect, test } from 'vitest'
import { makeFieldsWhenUsed } from '../src/schema/fields-when-used.ts'
import { schema } from '../src/schema/index.ts'

test('a type makes its fields when they are first used', () => {
  let made = 0
  const query = new GraphQLObjectType({
    name: 'Query',
    fields() {
      made += 1
      return { name: { type: GraphQLString } }
    },
  })
  const lazy = makeFieldsWhenUsed(() => new GraphQLSchema({ query, types: [query, GraphQLString] }))
  expect(made).toBe(0)
  expect(Object.keys(lazy.getQueryType()?.getFields() ?? {})).toEqual(['name'])
  expect(Object.keys(query.getFields())).toEqual(['name'])
  expect(made).toBe(1)
})

test('fields are made at once again after a schema that cannot be made', () => {
  const fail = () => {
    throw new Error('no types')
  }
  expect(() => makeFieldsWhenUsed(fail)).toThrow('no types')
  const query = new GraphQLObjectType({ name: 'Query', fields: { name: { type: GraphQLString } } })
  expect(Object.keys(query.getFields())).toEqual(['name'])
})

test('a start makes no fields of the types of objects', () => {
  // A property of graphql-js that has the function until it was called.
  expect(typeof Reflect.get(schema.getType('Flow') ?? {}, '_fields')).toBe('function')
})

test('the schema has every type that a field or an argument names', () => {
  const named = Object.values(schema.getTypeMap()).flatMap((type) => {
    if (isInputObjectType(type))
      return Object.values(type.getFields()).map((field) => getNamedType(field.type))
    if (!isObjectType(type) && !isInterfaceType(type)) return []
    return Object.values(type.getFields()).flatMap((field) => [
      getNamedType(field.type),
      ...field.args.map((argument) => getNamedType(argument.type)),
    ])
  })
  expect(named.length).toBeGreaterThan(500)
  expect(named.filter((type) => schema.getType(type.name) !== type)).toEqual([])
})
