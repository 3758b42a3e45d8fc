import fc from 'fast-check'
import {
  type ConstValueNode,
  Kind,
  parse,
  print,
  TypeInfo,
  type ValueNode,
  valueFromASTUntyped,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { schema } from '../../src/schema/index.ts'
import { post, type Result, startTestApp, type TestApp } from '../support/app.ts'
import {
  createRandom,
  demoLiterals,
  generateQuery,
  type Literals,
  type Random,
} from '../support/query-generator.ts'

const numRuns = Number(process.env['RUNS'] ?? 300)

/** Two gateways of one backend: one executes everything with compiled code, the other nothing. */
let compiled: TestApp
let interpreted: TestApp
let token: string
let values: Literals

beforeAll(async () => {
  compiled = await startTestApp({ interpretations: 0 })
  interpreted = await startTestApp({
    interpretations: Number.POSITIVE_INFINITY,
    upstreamUrl: compiled.backend.url,
  })
  token = await compiled.backend.token('Ada')
  values = await demoLiterals(compiled.backend)
})
afterAll(async () => {
  await interpreted.close()
  await compiled.close()
})

/**
 * Both answer the same. Errors of different fields come in any order; below a field that is null for another error, they
 * may be told or not. Addresses of files have tickets of their own, and what is counted up to now ends a moment later.
 */
async function expectSame(query: string, variables: Record<string, unknown> = {}): Promise<void> {
  const [a, b] = await Promise.all(
    [compiled, interpreted].map(async ({ url }) => post(url, { query, variables }, token)),
  )
  const plain = (value: unknown) =>
    JSON.stringify(value)
      .replaceAll(/\/files\/[\w-]+\//g, '/files/')
      .replaceAll(/(\d\d:\d\d):\d\d\.\d{3}Z/g, '$1Z')
  const hint = `${query}\n${JSON.stringify(variables)}`
  expect(plain({ ...a, errors: undefined }), hint).toBe(plain({ ...b, errors: undefined }))
  const told = (result: Result | undefined) =>
    (result?.errors ?? [])
      .filter(({ path }) => !isBelowNull(result?.data, path))
      .map(plain)
      .sort()
  expect(told(a), hint).toEqual(told(b))
  expect(a?.errors === undefined, hint).toBe(b?.errors === undefined)
}

/** Whether what a path names is inside of something that is null. */
function isBelowNull(data: unknown, path: readonly (string | number)[] | undefined): boolean {
  let value = data
  for (const key of path?.slice(0, -1) ?? []) {
    if (value == null) return true
    value = (value as Record<string | number, unknown>)[key]
  }
  return value == null && path !== undefined
}

/** The same query with values of arguments moved to variables, some of which are left out or null. */
function withVariables(query: string, random: Random): { query: string; variables: Record<string, unknown> } {
  const variables: Record<string, unknown> = {}
  const definitions: string[] = []
  const types = new TypeInfo(schema)
  const hoist = (value: ValueNode) => {
    const type = types.getInputType()
    if (type == null || value.kind === Kind.VARIABLE || random() < 0.4) return undefined
    const name = `v${definitions.length}`
    const usual = types.getDefaultValue()
    const isOptional = !String(type).endsWith('!')
    const isLeftOut = isOptional && random() < 0.15
    if (!isLeftOut) variables[name] = isOptional && random() < 0.15 ? null : valueFromASTUntyped(value)
    definitions.push(`$${name}: ${type}${usual === undefined && random() < 0.2 ? ` = ${print(value)}` : ''}`)
    return { kind: Kind.VARIABLE, name: { kind: Kind.NAME, value: name } } as unknown as ConstValueNode
  }
  const document = visit(
    parse(query),
    visitWithTypeInfo(types, {
      Argument: (node) => {
        const value = hoist(node.value)
        return value === undefined ? undefined : { ...node, value }
      },
      ObjectField: (node) => {
        // The one field of an input that takes one must have a value.
        if (String(types.getParentInputType()) === 'FlowBy') return undefined
        const value = hoist(node.value)
        return value === undefined ? undefined : { ...node, value }
      },
    }),
  )
  const head = definitions.length === 0 ? '' : `query (${definitions.join(', ')}) `
  return { query: head + print(document), variables }
}

test(
  'what is compiled answers what is interpreted, whatever a query asks for',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const query = generateQuery({ schema, values, depth: 5 }, createRandom(seed))
        await expectSame(query)
      }),
      { numRuns },
    )
  },
  numRuns * 200,
)

test(
  'and with variables: given, null, left out, and with a default',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = createRandom(seed)
        const { query, variables } = withVariables(
          generateQuery({ schema, values, depth: 4 }, random),
          random,
        )
        await expectSame(query, variables)
      }),
      { numRuns },
    )
  },
  numRuns * 200,
)

test.each([
  ['two operations', 'query A { viewer { name } } query B { viewer { nick } }', {}],
  [
    'a fragment that is skipped at one place alone',
    `query ($skip: Boolean!) { a: viewer { ...F @skip(if: $skip) } b: viewer { ...F } } fragment F on User { name }`,
    { skip: true },
  ],
  [
    'an input of two ways where one is wanted',
    'query ($by: FlowBy!) { flow(by: $by) { name } }',
    { by: { path: 'example/main', databaseId: 'x' } },
  ],
  ['a variable of another type', 'query ($n: Int) { flows(first: $n) { nodes { name } } }', { n: 'one' }],
  ['introspection', '{ __schema { queryType { name } } __type(name: "Flow") { name } }', {}],
  [
    'fragments that double at every level',
    `{ viewer { ...F0 } } ${Array.from({ length: 12 }, (_, level) =>
      level === 11
        ? 'fragment F11 on User { name }'
        : `fragment F${level} on User { ...F${level + 1} ...F${level + 1} }`,
    ).join(' ')}`,
    {},
  ],
  [
    'errors in lists, on several lines',
    '{\n  nodes(ids: ["nonsense", "more"]) {\r\n id }\r  flow(by: { path: "x" }) { id }\n}',
    {},
  ],
])('the same goes for %s', async (_, query, variables) => {
  await expectSame(query, variables)
})
