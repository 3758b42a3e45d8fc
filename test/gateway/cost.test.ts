import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { schema } from '../../src/schema/index.ts'
import { executeOverSocket, post, startTestApp, type TestApp } from '../support/app.ts'
import { createRandom, generateQuery } from '../support/query-generator.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

let app: TestApp
let token: string
beforeAll(async () => {
  app = await startTestApp()
  token = await app.backend.token('Ada')
})
afterAll(() => app.close())

const ask = (query: string, extensions: object, variables?: object) =>
  post(app.url, { query, extensions, ...(variables === undefined ? {} : { variables }) }, token)
const costOf = async (query: string, variables?: object) =>
  (await ask(query, { cost: true }, variables)).extensions?.['cost']

const pages = `query ($n: Int = 100) { flows(first: $n) { nodes { messages(last: 1) { nodes { author { name } } } } } }`

describe('what an operation costs', () => {
  test('is in the response: as predicted, the actual cost, and the shared reads', async () => {
    expect(await costOf('{ viewer { nick } }')).toEqual({ fields: 2, predicted: 1, actual: 1, saved: 0 })
    expect(await costOf('{ __typename }')).toMatchObject({ predicted: 0, actual: 0 })
    const many = await Promise.all(Array.from({ length: 20 }, () => costOf('{ viewer { nick } }')))
    expect(many.reduce((sum, { actual, saved }) => sum + actual + saved, 0)).toBe(20)
    expect(many.some(({ saved }) => saved === 1)).toBe(true)
  })

  test('follows the sizes in variables', async () => {
    expect(await costOf(pages, { n: 1 })).toMatchObject({ predicted: 3, actual: 2 })
    expect(await costOf(pages, { n: 7 })).toMatchObject({ predicted: 9 })
    expect(await costOf(pages)).toMatchObject({ predicted: 102 })
    // Authors come with the flow, threads with the messages.
    const nested =
      '{ flow(by: { path: "example/main" }) { messages(last: 100) { nodes { author { name } ... on ChatMessage { thread { title } } } } } }'
    expect(await costOf(nested)).toMatchObject({ predicted: 3, actual: 2 })
  })

  test('can be predicted without executing the operation', async () => {
    app.calls.length = 0
    for (const result of [
      await ask('{ viewer { nick } flows(first: 3) { nodes { messages(last: 2) { nodes { id } } } } }', {
        explain: true,
      }),
      await executeOverSocket(
        app.url,
        token,
        '{ viewer { nick } flows(first: 3) { nodes { messages(last: 2) { nodes { id } } } } }',
        undefined,
        { explain: true },
      ),
    ])
      expect(result).toMatchObject({
        data: null,
        extensions: { explain: { calls: 5, fields: { viewer: 1, 'Query.flows': 1, 'Flow.messages': 3 } } },
      })
    expect(app.calls).toEqual([])
    const change =
      'mutation { sendMessage(input: { flow: { path: "example/main" }, content: "not sent" }) { __typename } }'
    expect((await ask(change, { explain: true })).data).toBeNull()
    expect(app.calls).toEqual([])
  })

  test('of a live query is that of one event, and nothing is listened to', async () => {
    const query =
      'subscription { messageAdded(input: {}) { ... on MessageAdded { message { author { name } viewerCanEdit } } } }'
    expect(await executeOverSocket(app.url, token, query, undefined, { explain: true })).toMatchObject({
      data: null,
      extensions: { explain: { calls: 2, fields: { users: 1, viewer: 1 } } },
    })
    expect(app.state().live.operations).toBe(0)
  })

  test('counts an argument for what it is: a filter that is null is none', async () => {
    const filtered = `query ($filter: MessageFilter) { flow(by: { path: "example/main" }) { messages(last: 5, filter: $filter) { nodes { id } } } }`
    expect(await costOf(filtered)).toMatchObject({ predicted: 2 })
    expect(await costOf(filtered, { filter: { kinds: ['CHAT_MESSAGE'] } })).toMatchObject({ predicted: 11 })
    expect(await costOf(filtered, { filter: null })).toMatchObject({ predicted: 2 })
  })

  test('of rules has the call that asks an upstream without them whether it has them', async () => {
    const query = '{ flow(by: { path: "example/main" }) { dropRules(first: 1) { nodes { id } } } }'
    expect(await costOf(query)).toMatchObject({ predicted: 3, actual: 3 })
  })

  test('is bounded: what may cost more is refused before any call, on every transport', async () => {
    const bounded = await startTestApp({ limits: { maxCalls: 20 } })
    onTestFinished(bounded.close)
    const own = await bounded.backend.token('Ada')
    const query = '{ flows(first: 20) { nodes { messages(last: 2) { nodes { id } } } } }'
    const allowed = '{ flows(first: 19) { nodes { messages(last: 2) { nodes { id } } } } }'
    bounded.calls.length = 0
    for (const result of [
      await post(bounded.url, { query }, own),
      await executeOverSocket(bounded.url, own, query),
    ])
      expect(result.errors).toMatchObject([
        {
          message: expect.stringContaining('20 of them for Flow.messages; at most 20'),
          extensions: { code: 'COST_EXCEEDED' },
        },
      ])
    expect(bounded.calls).toEqual([])
    expect((await post(bounded.url, { query: allowed }, own)).errors).toBeUndefined()
  })
})

test('no operation causes more calls than predicted', async () => {
  const rest = async (path: string) => (await app.backend.as('Ada')('GET', path)).json
  const flow = await rest('/flows/example/engineering')
  const [thread] = await rest('/flows/example/engineering/threads')
  const id = (type: string, key: string | number) =>
    JSON.stringify(Buffer.from(`${type}:${key}`).toString('base64url'))
  const values = {
    Int: ['1', '3', '100', '7'],
    Boolean: ['true', 'false'],
    String: ['"release"', '"example/main"', '"https://www.flowdock.com/app/example/main"', '"welcome"'],
    DateTime: ['"2020-01-01T00:00:00.000Z"', '"2030-01-01T00:00:00.000Z"'],
    ID: [
      id('User', 2),
      id('Flow', flow.id),
      id('Organization', 1),
      id('Message', `${flow.id}:3`),
      id('Thread', `${flow.id}:${thread.id}`),
      id('Source', 'example/engineering:1'),
    ],
    FlowBy: ['{ path: "example/main" }', '{ path: "example/engineering" }'],
  }
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const query = generateQuery({ schema, values, depth: 5 }, createRandom(seed))
      const { extensions } = await ask(query, { cost: true })
      const cost = extensions?.['cost']
      if (cost !== undefined)
        expect(cost.actual, `${query}\n${JSON.stringify(cost)}`).toBeLessThanOrEqual(cost.predicted)
    }),
    { numRuns: Number(process.env['RUNS'] ?? 300) },
  )
}, 120_000)

test('the examples cost what they did', async () => {
  const folder = join(import.meta.dirname, '../../examples')
  const costs: Record<string, number> = {}
  for (const name of (await readdir(folder)).filter((each) => each.endsWith('.graphql')).sort()) {
    const document = await readFile(join(folder, name), 'utf8')
    if (!/^(\s*#.*\n)*\s*(query\b(?!.*\$)|\{)/.test(document)) continue
    const { extensions } = await ask(document, { cost: true })
    if (extensions?.['cost'] !== undefined) costs[name] = extensions['cost'].actual
  }
  expect(costs).toMatchInlineSnapshot(`
    {
      "01-first-query.graphql": 6,
      "04-threads.graphql": 7,
      "05-search.graphql": 4,
      "09-people.graphql": 3,
      "10-dashboard.graphql": 6,
    }
  `)
})

test('with an upstream that needs more calls than predicted, no more are made than the limit', async () => {
  const organization = { id: 1, parameterized_name: 'acme', name: 'Acme' }
  const flow = { id: 'f', name: 'F', parameterized_name: 'f', organization, joined: true, users: [] }
  // Its messages do not bring their threads along.
  const messages = Array.from({ length: 20 }, (_, index) => ({
    ...{ event: 'message', flow: 'f', id: index + 1, sent: 1, user: '0', tags: [], content: 'x' },
    thread_id: `thread${index}`,
  }))
  const upstream = await startScriptedUpstream(({ url = '' }, response) =>
    url.includes('/threads/')
      ? answerJson(response, 404, { message: 'not found' })
      : answerJson(response, 200, url.includes('/messages') ? messages : flow),
  )
  const bounded = await startTestApp({ upstreamUrl: upstream.url, limits: { maxCalls: 8 } })
  onTestFinished(bounded.close)
  const { data, errors } = await bounded.graphql(
    'Ada',
    '{ flow(by: { path: "acme/f" }) { messages(last: 20) { nodes { databaseId thread { title } } } } }',
  )
  expect(data.flow.messages.nodes).toHaveLength(20)
  expect(errors).toHaveLength(14)
  expect(new Set(errors?.map(({ extensions }) => extensions['code']))).toEqual(new Set(['COST_EXCEEDED']))
  expect(upstream.requests).toHaveLength(8)
})
