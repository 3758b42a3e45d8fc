import { assertInterfaceType, assertObjectType, buildSchema, parse } from 'graphql'
import { expect, test } from 'vitest'
import { predictCalls } from '../../src/graphql/call-cost.ts'
import type { CallCost } from '../../src/graphql/field-traits.ts'

const schema = buildSchema(`
  type Query { flows(first: Int): [Flow!] viewer: User }
  interface Owned { owner: User }
  type Flow implements Owned { id: ID messages(first: Int, thread: ID): Page owner: User }
  type Page { nodes: [Message!] pageInfo: Boolean }
  type Message { id: ID author: User }
  type User { id: ID nick: String }
`)
const costs: Readonly<Record<string, CallCost>> = {
  'Query.flows': { once: ['list of flows'] },
  'Query.viewer': { once: ['viewer'] },
  'Flow.messages': { each: 1, isPage: true, withArgument: { name: 'thread', each: 2 } },
  'Message.author': { batch: 'users' },
  'Owned.owner': { each: 1 },
  'Flow.owner': { each: 1 },
}
for (const [name, calls] of Object.entries(costs)) {
  const [typeName = '', fieldName = ''] = name.split('.')
  const type = schema.getType(typeName)
  const field = (typeName === 'Owned' ? assertInterfaceType(type) : assertObjectType(type)).getFields()[
    fieldName
  ]
  if (field !== undefined) field.extensions = { traits: { calls } }
}
const predict = (text: string, variables = {}, operationName?: string) =>
  predictCalls({ schema, document: parse(text), operationName, variables })

test('a field of a list takes its calls once for each item', () => {
  const { prediction } = predict('{ flows(first: 20) { messages(first: 10) { nodes { id } } } }')
  expect(prediction).toEqual({
    ...{ calls: 21, unshared: 20 },
    fields: { 'Flow.messages': 20, 'list of flows': 1 },
  })
})

test('a call that is shared counts once, however many fields need it', () => {
  expect(predict('{ a: viewer { id } b: viewer { nick } }').prediction.calls).toBe(1)
})

test('a batch of n takes n calls and one of a list; a batch of one takes one', () => {
  const authors = (first: number) =>
    predict(`{ flows(first: ${first}) { messages(first: 1) { nodes { author { nick } } } } }`).prediction
  expect(authors(5).fields['users']).toBe(6)
  expect(authors(1).fields['users']).toBe(1)
})

test('a full page takes one more call when it says whether another page follows', () => {
  const calls = (selection: string) =>
    predict(`{ flows(first: 1) { messages(first: 100) { ${selection} } } }`).prediction.fields[
      'Flow.messages'
    ]
  expect(calls('nodes { id }')).toBe(1)
  expect(calls('pageInfo')).toBe(2)
})

test('an argument changes what a field takes only when it has a value', () => {
  const text = 'query ($t: ID) { flows(first: 1) { messages(first: 1, thread: $t) { nodes { id } } } }'
  expect(predict(text, { t: '1' }).prediction.fields['Flow.messages']).toBe(2)
  expect(predict(text).prediction.fields['Flow.messages']).toBe(1)
  expect(predict(text)).toMatchObject({ isFixed: false })
})

test('a field that an interface declares takes the calls of the interface', () => {
  expect(predict('{ flows(first: 2) { owner { nick } } }').prediction.fields).toMatchObject({
    'Owned.owner': 2,
  })
})

test('the operation that is named is predicted, and none without a name where there are several', () => {
  const text = 'query A { viewer { id } } query B { flows(first: 1) { id } }'
  expect(predict(text, {}, 'B').prediction.fields).toEqual({ 'list of flows': 1 })
  expect(predict(text).prediction.calls).toBe(0)
})
