import { buildSchema, parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { validationRules } from '../../src/graphql/subscription-rules.ts'
import { executeOverSocket, startTestApp, type TestApp } from '../support/app.ts'

describe('a subscription is valid', () => {
  const schema = buildSchema('type Query { a: Int } type Subscription { a: Int b: Int }')
  const problems = (document: string) =>
    validate(schema, parse(document), validationRules).map(({ message }) => message)
  const several = ['Anonymous Subscription must select only one top level field.']

  test.each<[string, string[]]>([
    ['subscription { a }', []],
    ['subscription { a a }', []],
    ['subscription ($x: Boolean!) { a @skip(if: $x) }', []],
    ['subscription ($x: Boolean!) { ...F @include(if: $x) } fragment F on Subscription { a }', []],
    ['subscription { ...F ...F } fragment F on Subscription { a }', []],
    ['subscription { a b }', several],
    ['subscription { a c: a }', several],
    ['subscription { a ... on Subscription { b } }', several],
    ['subscription ($x: Boolean!) { a @skip(if: $x) b @include(if: $x) }', several],
    ['subscription S { __typename }', ['Subscription "S" must not select an introspection top level field.']],
  ])('%s: %j', (document, expected) => {
    expect(problems(document)).toEqual(expected)
  })

  test('though its fragments name each other, which another rule reports', () => {
    expect(problems('subscription { ...F } fragment F on Subscription { a ...F }')).toEqual([
      'Cannot spread fragment "F" within itself.',
    ])
  })
})

describe('a subscription with @skip or @include at its field', () => {
  let app: TestApp
  let token: string
  beforeAll(async () => {
    app = await startTestApp()
    token = await app.backend.token('Ada')
  })
  afterAll(() => app.close())
  const query =
    'subscription S($x: Boolean! = true) { flowEvents(input: { includeStatus: true }) @skip(if: $x) { __typename } }'
  const run = (document: string, variables: Record<string, unknown>) =>
    executeOverSocket(app.url, token, document, variables)

  test('runs when the variable leaves the field', async () => {
    const subscription = await app.subscribe('Ada', query, { x: false })
    expect(await subscription.next()).toEqual({ data: { flowEvents: { __typename: 'StreamStatus' } } })
    await subscription.close()
  })

  test.each<[string, Record<string, unknown>]>([
    [query, { x: true }],
    [query, {}],
    ['subscription { flowEvents(input: {}) @include(if: false) { __typename } }', {}],
  ])('is refused when nothing is left: %s %j', async (document, variables) => {
    expect((await run(document, variables)).errors).toMatchObject([
      { message: expect.stringContaining('@skip'), extensions: { code: 'BAD_USER_INPUT' } },
    ])
  })

  test('is refused for a variable that is missing', async () => {
    const document = query.replace(' = true', '')
    expect((await run(document, {})).errors).toMatchObject([
      { message: expect.stringContaining('$x'), extensions: { code: 'BAD_USER_INPUT' } },
    ])
  })
})
