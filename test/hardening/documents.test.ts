import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Result, socketClient } from '../support/app.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'
import { heapInUse } from '../support/memory.ts'
import { countSteps } from '../support/steps.ts'

/* Documents that ask for more than their length lets on, each beside one that is as much as is allowed. */

let fortress: Fortress
beforeAll(async () => {
  fortress = await startFortress()
})
afterAll(() => fortress.close())

/** Messages of the thread of the first message, and so on: as deep as it says. */
function nest(levels: number): string {
  const pair = 'thread { messages { nodes { ... on ChatMessage { '
  return `{ flow(by: { path: "example/main" }) { messages(first: 1) { nodes { ... on ChatMessage { ${pair.repeat(levels)} id ${'} } } } '.repeat(levels)} } } } } }`
}
const aliases = (count: number, field: string) =>
  `{ viewer { ${Array.from({ length: count }, (_, index) => `a${index}: ${field}`).join(' ')} } }`
/** Each fragment spreads the next one twice. */
const chain = (length: number) =>
  `{ viewer { ...F0 } } ${Array.from({ length }, (_, index) =>
    index === length - 1
      ? `fragment F${index} on User { id }`
      : `fragment F${index} on User { ...F${index + 1} ... on User { ...F${index + 1} } }`,
  ).join(' ')}`
/** The same through lists, so that each level is asked for again and again. */
const listChain = (length: number) =>
  `{ viewer { id } flows { nodes { ...F0 } } } ${Array.from({ length }, (_, index) =>
    index === length - 1
      ? `fragment F${index} on Flow { id }`
      : `fragment F${index} on Flow { a: users { nodes { id } } b: messages { nodes { id } } ...F${index + 1} c: threads { nodes { id } } }`,
  ).join(' ')}`

type Row = readonly [name: string, document: string, code: string]

const refused: readonly Row[] = [
  ['fields 20 deep', nest(5), 'LIMIT_EXCEEDED'],
  ['fields 200 deep', nest(50), 'LIMIT_EXCEEDED'],
  ['fields 2,000 deep', nest(450), 'LIMIT_EXCEEDED'],
  ['31 aliases', aliases(31, 'nick'), 'LIMIT_EXCEEDED'],
  ['31 aliases of __typename', aliases(31, '__typename'), 'LIMIT_EXCEEDED'],
  ['600 aliases', aliases(600, 'nick'), 'LIMIT_EXCEEDED'],
  ['600 aliases of __typename', aliases(600, '__typename'), 'LIMIT_EXCEEDED'],
  ['21 fields of the operation', `{ ${'__typename '.repeat(21)} }`, 'LIMIT_EXCEEDED'],
  ['5,000 times the same field', `{ viewer { ${'nick '.repeat(5000)} } }`, 'LIMIT_EXCEEDED'],
  ['51 directives', `{ viewer { nick ${'@include(if: true) '.repeat(51)} } }`, 'LIMIT_EXCEEDED'],
  ['600 directives nobody knows', `{ viewer { nick ${'@x '.repeat(600)} } }`, 'LIMIT_EXCEEDED'],
  ['directives nobody knows', `{ viewer { nick ${'@x '.repeat(10)} } }`, 'GRAPHQL_VALIDATION_FAILED'],
  ['@defer', '{ ... @defer { viewer { nick } } }', 'GRAPHQL_VALIDATION_FAILED'],
  ['fragments that double 20 times', chain(20), 'LIMIT_EXCEEDED'],
  ['fragments that double 60 times', chain(60), 'LIMIT_EXCEEDED'],
  ['a fragment in itself', '{ viewer { ...F } } fragment F on User { ...F }', 'GRAPHQL_VALIDATION_FAILED'],
  [
    'a fragment in itself by way of two',
    '{ viewer { ...A } } fragment A on User { ...B } fragment B on User { ...C } fragment C on User { ...A }',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['300 times the same field', `{ viewer { ${'nick '.repeat(300)} } }`, 'LIMIT_EXCEEDED'],
  [
    '300 times the same object',
    `{ flow(by: { path: "example/main" }) { ${'organization { id name } '.repeat(300)} } }`,
    'LIMIT_EXCEEDED',
  ],
  [
    'repetitions of repetitions',
    `{ flow(by: { path: "example/main" }) { ${`organization { ${'name '.repeat(15)} } `.repeat(15)} } }`,
    'LIMIT_EXCEEDED',
  ],
  [
    'many lines and many mistakes',
    `${'\n'.repeat(5000)}{ viewer { ${Array.from({ length: 300 }, (_, i) => `n${i}`).join(' ')} } }`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['overlapping fragments', `{ viewer { ${'... on User { nick } '.repeat(500)} } }`, 'LIMIT_EXCEEDED'],
  [
    'overlapping fragments with a name',
    `{ viewer { ${Array.from({ length: 400 }, (_, i) => `...F${i}`).join(' ')} } } ${Array.from({ length: 400 }, (_, i) => `fragment F${i} on User { nick }`).join(' ')}`,
    'LIMIT_EXCEEDED',
  ],
  [
    'a list of lists of lists',
    'query ($n: Int = 100) { flows(first: 100) { nodes { messages(first: $n) { nodes { ... on ChatMessage { thread { messages(first: 100) { nodes { id } } } } } } } } }',
    'LIMIT_EXCEEDED',
  ],
  ['a list of lists by fragments', listChain(28), 'LIMIT_EXCEEDED'],
  ['2,001 tokens', `{ viewer { ${'nick '.repeat(1996)} } }`, 'LIMIT_EXCEEDED'],
  [
    'lists nested 5,000 deep',
    `{ nodes(ids: ${'['.repeat(5000)}${']'.repeat(5000)}) { id } }`,
    'LIMIT_EXCEEDED',
  ],
  [
    'objects nested 600 deep',
    `{ flow(by: ${'{ path: '.repeat(600)}"x"${'}'.repeat(600)}) { id } }`,
    'LIMIT_EXCEEDED',
  ],
  [
    'lists nested 500 deep',
    `{ nodes(ids: ${'['.repeat(500)}${']'.repeat(500)}) { id } }`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'a thousand variables',
    `query (${Array.from({ length: 1000 }, (_, i) => `$a${i}: Int`).join(' ')}) { __typename }`,
    'LIMIT_EXCEEDED',
  ],
  [
    'variables of a type that is none, again and again',
    `query (${'$a: a '.repeat(300)}) { __typename }`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'a thousand operations',
    Array.from({ length: 1000 }, (_, i) => `query Q${i} { __typename }`).join(' '),
    'LIMIT_EXCEEDED',
  ],
  [
    'the whole schema',
    '{ __schema { types { name fields { name type { name ofType { name } } } } } }',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'the schema round and round',
    `{ __schema { types { ${'fields { type { '.repeat(9)} name ${'} } '.repeat(9)} } } }`,
    'LIMIT_EXCEEDED',
  ],
  ['a type', '{ __type(name: "Flow") { name } }', 'GRAPHQL_VALIDATION_FAILED'],
  [
    'the schema in a fragment',
    '{ ...F } fragment F on Query { __schema { types { name } } }',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'a list of 99,999,999',
    '{ flow(by: { path: "example/main" }) { messages(first: 99999999) { nodes { id } } } }',
    'LIMIT_EXCEEDED',
  ],
  [
    'a list of 101',
    '{ flow(by: { path: "example/main" }) { messages(first: 101) { nodes { id } } } }',
    'BAD_USER_INPUT',
  ],
  [
    'a list of -1',
    '{ flow(by: { path: "example/main" }) { messages(first: -1) { nodes { id } } } }',
    'BAD_USER_INPUT',
  ],
  [
    'a list of 2^53',
    '{ flow(by: { path: "example/main" }) { messages(first: 9007199254740992) { nodes { id } } } }',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['a hundred and one ids', `{ nodes(ids: [${'"x", '.repeat(101)}]) { id } }`, 'BAD_USER_INPUT'],
  [
    'a hundred mutations',
    `mutation { ${Array.from({ length: 100 }, (_, i) => `a${i}: sendMessage(input: { flow: { path: "a/b" }, content: "x" }) { __typename }`).join(' ')} }`,
    'LIMIT_EXCEEDED',
  ],
  [
    '21 mutations',
    `mutation { ${Array.from({ length: 21 }, (_, i) => `a${i}: sendMessage(input: { flow: { path: "a/b" }, content: "x" }) { __typename }`).join(' ')} }`,
    'LIMIT_EXCEEDED',
  ],
  ['more than 32 KiB', `{ viewer { nick } } # ${'x'.repeat(32 * 1024)}`, 'LIMIT_EXCEEDED'],
]

const allowed: readonly (readonly [string, string])[] = [
  [
    'fields 12 deep',
    '{ flow(by: { path: "example/main" }) { messages(first: 1) { nodes { ... on ChatMessage { thread { messages(first: 1) { nodes { ... on ChatMessage { thread { messages(first: 1) { nodes { ... on ChatMessage { thread { id } } } } } } } } } } } } } }',
  ],
  ['30 aliases', aliases(30, 'nick')],
  ['30 aliases of __typename', aliases(30, '__typename')],
  ['20 fields of the operation', `{ ${'__typename '.repeat(20)} }`],
  ['140 times the same field', `{ viewer { ${'nick '.repeat(140)} } }`],
  [
    '90 times the same field in a fragment that is spread ten times',
    `{ viewer { ${'...F '.repeat(10)} } } fragment F on User { ${'nick '.repeat(90)} }`,
  ],
  [
    'a fragment of 30 fields in 50 operations',
    `${Array.from({ length: 50 }, (_, i) => `query Q${i} { viewer { ...F } }`).join(' ')} fragment F on User { ${Array.from({ length: 30 }, (_, i) => `a${i}: nick`).join(' ')} } query operations { viewer { ...F } }`,
  ],
  ['50 directives', `{ viewer { ${'nick @include(if: true) '.repeat(50)} } }`],
  ['fragments that double 10 times', chain(10)],
  ['overlapping fragments', `{ viewer { ${'... on User { nick } '.repeat(100)} } }`],
  ['a comment of 30 KiB', `{ viewer { nick } } # ${'x'.repeat(30 * 1024)}`],
  ['a text of many lines', `{ search(text: """${'\n'.repeat(10_000)}release""") { nodes { __typename } } }`],
  ['a hundred operations', Array.from({ length: 100 }, (_, i) => `query Q${i} { __typename }`).join(' ')],
  ['a list of 100', '{ flow(by: { path: "example/main" }) { messages(first: 100) { nodes { id } } } }'],
  ['a hundred ids', `{ nodes(ids: [${'"VXNlcjox", '.repeat(100)}]) { id } }`],
  ['__typename of everything', '{ __typename viewer { __typename } }'],
]

const transports: [string, (document: string, operationName?: string) => Promise<Result>][] = [
  ['POST', (query, operationName) => fortress.post({ query, operationName })],
  [
    'POST that the framework answers',
    (query, operationName) => fortress.post({ query, operationName }, { accept: 'application/json;q=1' }),
  ],
  ['SSE', (query, operationName) => fortress.post({ query, operationName }, { accept: 'text/event-stream' })],
  [
    'WebSocket',
    async (query, operationName) => {
      const client = socketClient(fortress.url, fortress.token)
      const results = client.iterate({ query, ...(operationName === undefined ? {} : { operationName }) })
      try {
        return (await results.next()).value as Result
      } catch (errors) {
        // The protocol's `error` message: it was refused before it ran.
        return { errors: errors as NonNullable<Result['errors']> }
      } finally {
        await client.dispose()
      }
    },
  ],
]

describe.each(transports)('over %s', (_transport, execute) => {
  test.each(refused)('%s is refused, and other clients do not wait', async (_, document, code) => {
    const { errors, data } = await fortress.beside(() => execute(document))
    expect(errors?.length).toBeGreaterThan(0)
    expect(errors?.length).toBeLessThanOrEqual(5)
    if (code !== 'BAD_USER_INPUT') expect(data).toBeUndefined()
    for (const { message, extensions } of errors ?? []) {
      expect([code, 'GRAPHQL_VALIDATION_FAILED']).toContain(extensions?.['code'])
      expect(message.length).toBeLessThanOrEqual(301)
    }
  })

  test.each(allowed)('%s is answered', async (name, document) => {
    const { errors, data } = await fortress.beside(() =>
      execute(document, name.endsWith('operations') ? 'Q1' : undefined),
    )
    expect(errors).toBeUndefined()
    expect(data).toBeDefined()
  })
})

/** The most steps of a document of 8 KB; on one core of 2025 they are a few milliseconds. */
const maxSteps = 300_000
const small = [...refused, ...allowed].filter(([, document]) => document.length <= 8192)
test.each(small.map(([name, document]) => [name, document]))(
  '%s is not much work, also for a client that sends it as a new text each time',
  async (_, document) => {
    const steps = await countSteps(() => fortress.post({ query: `${document} # new` }))
    expect(steps).toBeGreaterThan(1000)
    expect(steps).toBeLessThan(maxSteps)
  },
)

test('work that grows with the square of a text is more steps than that', async () => {
  const compareAll = async (words: readonly string[]) =>
    words.filter((word) => words.every((each) => each <= word))
  const words = Array.from({ length: 1000 }, () => 'nick')
  expect(await countSteps(() => compareAll(words))).toBeGreaterThan(maxSteps)
})

test('a refused list makes no call to the upstream', async () => {
  fortress.app.calls.length = 0
  for (const [, document, code] of refused)
    if (code === 'LIMIT_EXCEEDED') await fortress.post({ query: document })
  expect(fortress.app.calls).toEqual([])
})

test('ten thousand different documents leave used ones in the cache, and memory as it was', async () => {
  const flood = async (from: number, count: number) => {
    for (let at = from; at < from + count; at += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          fortress.post({ query: `query Q${at + index} { __typename }` }),
        ),
      )
  }
  await flood(0, 2000)
  const before = heapInUse()
  await flood(2000, 8000)
  expect(heapInUse() - before).toBeLessThan(32 * 1024 * 1024)
  expect((await fortress.post({ query: '{ viewer { nick } }' })).data).toEqual({ viewer: { nick: 'Ada' } })
})

test('ten thousand documents that are registered by their hash push out each other, and no memory is lost', async () => {
  const register = async (from: number, count: number) => {
    for (let at = from; at < from + count; at += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => {
          const query = `query R${at + index} { __typename } # ${'x'.repeat(1000)}`
          const sha256Hash = createHash('sha256').update(query).digest('hex')
          return fortress.post({ query, extensions: { persistedQuery: { version: 1, sha256Hash } } })
        }),
      )
  }
  await register(0, 2000)
  const before = heapInUse()
  await register(2000, 8000)
  expect(heapInUse() - before).toBeLessThan(32 * 1024 * 1024)
  const last = `query R9999 { __typename } # ${'x'.repeat(1000)}`
  const byHash = (query: string) =>
    fortress.post({
      extensions: {
        persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') },
      },
    })
  expect((await byHash(last)).data).toEqual({ __typename: 'Query' })
  expect((await byHash(last.replace('R9999', 'R0'))).errors).toMatchObject([
    { extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } },
  ])
})
