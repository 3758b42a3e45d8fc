import SchemaBuilder from '@pothos/core'
import {
  getNamedType,
  graphqlSync,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  printSchema,
} from 'graphql'
import { expect, test, vi } from 'vitest'
import { makeFieldsWhenUsed } from '../src/schema/fields-when-used.ts'
import { schema } from '../src/schema/index.ts'

/** A builder of a query with an object, whose fields `fields` makes. */
function builderOf(fields: () => void) {
  const builder = new SchemaBuilder<{ Objects: { Flow: { name: string } } }>({})
  builder.queryType({
    fields: (t) => ({ flow: t.field({ type: 'Flow', resolve: () => ({ name: 'Main' }) }) }),
  })
  builder.objectType('Flow', {
    fields(t) {
      fields.call(builder)
      return { name: t.exposeString('name') }
    },
  })
  return builder
}

test('a type makes its fields when they are first used', () => {
  const made = vi.fn()
  const builder = builderOf(made)
  const lazy = makeFieldsWhenUsed(builder, ['Query'])
  expect(made).not.toHaveBeenCalled()
  expect(graphqlSync({ schema: lazy, source: '{ flow { name } }' })).toEqual({
    data: { flow: { name: 'Main' } },
  })
  expect(printSchema(lazy)).toBe(printSchema(builder.toSchema({ sortSchema: false })))
  expect(made).toHaveBeenCalledOnce()
})

test('fields that make a type must be read at once', () => {
  const makesType = () => {
    const builder = builderOf(() => builder.enumType('Mood', { values: ['GOOD'] }))
    return builder
  }
  expect(makeFieldsWhenUsed(makesType(), ['Flow']).getType('Mood')).toBeDefined()
  const lazy = makeFieldsWhenUsed(makesType(), [])
  expect(() => printSchema(lazy)).toThrow('The fields of Flow make types')
})

test('other schemas make their fields as before', () => {
  const broken = new SchemaBuilder({})
  broken.queryType({ fields: (t) => ({ flow: t.field({ type: 'Flow' as 'String', resolve: () => '' }) }) })
  expect(() => makeFieldsWhenUsed(broken, ['Query'])).toThrow('Flow')
  const made = vi.fn()
  builderOf(made).toSchema()
  expect(made).toHaveBeenCalledOnce()
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
