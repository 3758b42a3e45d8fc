import { buildSchema, execute, parse } from 'graphql'
import { expect, test } from 'vitest'
import { createIntrospections, introspectionKey } from '../../src/graphql/introspection.ts'

const schema = buildSchema('type Query { x: Int }')
const keyOf = (text: string, operationName?: string) => introspectionKey(parse(text), operationName)

test('operations that read only the schema have a key, for any name and form', () => {
  const key = keyOf('{ __schema { queryType { name } } }')
  expect(key).toBeDefined()
  expect(keyOf('query   Other {\n __schema { queryType { name } } } # comment')).toBe(key)
  expect(keyOf('{ __schema { types { name } } }')).not.toBe(key)
  expect(keyOf('query A { __typename __type(name: "Query") { name } } query B { x }', 'A')).toBeDefined()
  expect(
    keyOf('{ ...F ... { __typename } } fragment F on Query { __schema { types { name } } }'),
  ).toBeDefined()
})

test.each([
  ['a field of the API beside it', '{ __schema { types { name } } x }'],
  ['a field of the API in a fragment', '{ __schema { types { name } } ...F } fragment F on Query { x }'],
  ['a field of the API in a fragment without a type', '{ __schema { types { name } } ... { x } }'],
  ['a fragment that there is not', '{ __schema { types { name } } ...F }'],
  ['a mutation', 'mutation { __typename }'],
  ['a subscription', 'subscription { __typename }'],
])('an operation with %s has none', (_, text) => {
  expect(keyOf(text)).toBeUndefined()
})

test('sixty introspections at once are executed once, and have the same text', async () => {
  const introspections = createIntrospections()
  let executions = 0
  const run = (text: string, variables: Record<string, unknown> = {}) => {
    const document = parse(text)
    return introspections.find(introspectionKey(document, undefined) ?? '', variables, () => {
      executions += 1
      return execute({ schema, document, variableValues: variables })
    })
  }
  const text = 'query A($name: String!) { __type(name: $name) { name } }'
  const results = Array.from({ length: 60 }, () => run(text, { name: 'Query' }))
  expect(executions).toBe(1)
  const texts = await Promise.all(results.map(async (result) => introspections.bodyOf(await result)?.text()))
  expect(new Set(texts)).toEqual(new Set(['{"data":{"__type":{"name":"Query"}}}']))
  run(text.replace('A', 'B'), { name: 'Query' })
  expect(executions).toBe(1)
  expect(await run(text, { name: 'Int' })).toEqual({ data: { __type: { name: 'Int' } } })
  expect(executions).toBe(2)
  // Errors name lines and columns of one document.
  for (let index = 0; index < 2; index += 1) expect(await run(text)).toHaveProperty('errors')
  expect(executions).toBe(4)
})

test('the latest sixteen results are cached', () => {
  const introspections = createIntrospections()
  const executed: number[] = []
  const run = (index: number) =>
    void introspections.find(`key ${index}`, {}, () => {
      executed.push(index)
      return { data: { index } }
    })
  for (let index = 0; index <= 16; index += 1) run(index)
  run(16)
  run(1)
  expect(executed).toHaveLength(17)
  run(0)
  expect(executed.at(-1)).toBe(0)
})
