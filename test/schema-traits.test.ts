import {
  type GraphQLField,
  getNamedType,
  getNullableType,
  isCompositeType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isObjectType,
} from 'graphql'
import { expect, test } from 'vitest'
import { sharingOf, traitsOf } from '../src/graphql/field-traits.ts'
import { schema } from '../src/schema/index.ts'

const fields = Object.values(schema.getTypeMap()).flatMap((type) =>
  (isObjectType(type) || isInterfaceType(type)) && !isIntrospectionType(type)
    ? Object.values(type.getFields()).map((field) => ({ name: `${type.name}.${field.name}`, field }))
    : [],
)
const named = (selects: (field: GraphQLField<unknown, unknown>) => boolean) =>
  fields.flatMap(({ name, field }) => (selects(field) ? [name] : [])).sort()

test('every field that returns a list of objects or a connection has a list size', () => {
  const isList = ({ type }: GraphQLField<unknown, unknown>) =>
    isListType(getNullableType(type))
      ? isCompositeType(getNamedType(type))
      : getNamedType(type).name.endsWith('Connection')
  // The field with the connection has the size of its page.
  const ofPage = /Connection\.(nodes|edges)$/
  const lists = fields.filter(({ name, field }) => isList(field) && !ofPage.test(name))
  expect(lists.length).toBeGreaterThan(30)
  expect(lists.filter(({ field }) => traitsOf(field).listSize === undefined)).toEqual([])
})

test('a field that says nothing of its sharing is executed for each viewer', () => {
  expect(sharingOf({ extensions: {} })).toBe('self')
  const own = ['File.url', 'Thumbnail.url', 'Flow.isOpen', 'Flow.unreadMentions', 'Flow.pushToken']
  expect(named((field) => sharingOf(field) === 'self')).toEqual(
    expect.arrayContaining([...own, 'Message.conversation', 'ChatMessage.conversation', 'Thread.actions']),
  )
})

test('a field that depends on the viewer only by questions to `context.viewer` says so', () => {
  const viewer = named((field) => sharingOf(field) === 'viewer')
  expect(viewer).toContain('ChatMessage.viewerCanEdit')
  expect(new Set(viewer.map((name) => name.split('.')[1]))).toEqual(
    new Set(['viewerCanDelete', 'viewerCanEdit', 'viewerIsAdmin']),
  )
})

test('a mutation makes four calls unless it says otherwise, and a field without traits none', () => {
  const mutations = Object.entries(schema.getMutationType()?.getFields() ?? {})
  const others = mutations.filter(([, field]) => JSON.stringify(traitsOf(field).calls) !== '{"each":4}')
  expect(others.map(([name, field]) => [name, traitsOf(field).calls])).toEqual([
    ['createDropRule', { each: 4, once: ['capabilities'] }],
    ['createTagRule', { each: 4, once: ['capabilities'] }],
  ])
  expect(mutations.length).toBeGreaterThan(others.length)
  expect(traitsOf({ extensions: {} })).toEqual({})
})
