import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { aliceHeaders, startThingsApp, type ThingsApp } from '../support/things-app.ts'

let app: ThingsApp
/** The ids of the flows `/alice/0`, `/alice/1` … */
const flowIds: string[] = []
const globalId = (type: string, key: string) => Buffer.from(`${type}:${key}`).toString('base64url')

beforeAll(async () => {
  app = await startThingsApp()
  for (let index = 0; index < 5; index += 1) {
    const { id } = await app.direct('POST', '/flow', {
      path: `/alice/${index}`,
      description: `number ${index}`,
    })
    flowIds.push(id)
    for (let value = 0; value < 4; value += 1)
      await app.direct('POST', `/drop/${id}`, { elems: { value, name: `drop ${value}` } })
  }
})
beforeEach(() => void app.takeCalls())
afterAll(() => app.close())

test('a flow is found by its path, its id and its global id', async () => {
  const query = `query ($by: ThingsFlowBy!) { thingsFlow(by: $by) { id databaseId path description capacity filter createdAt creator { name } } }`
  for (const by of [
    { path: '/alice/1' },
    { databaseId: flowIds[1] },
    { id: globalId('ThingsFlow', flowIds[1] ?? '') },
  ]) {
    const { data, errors } = await app.asAlice(query, { by })
    expect(errors).toBeUndefined()
    expect(data.thingsFlow).toEqual({
      ...{ id: globalId('ThingsFlow', flowIds[1] ?? ''), databaseId: flowIds[1], path: '/alice/1' },
      ...{ description: 'number 1', capacity: 1000, filter: null, creator: { name: 'alice' } },
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    })
  }
})

test('a flow that does not exist is null', async () => {
  const query = `{ a: thingsFlow(by: { path: "/alice/none" }) { id } b: thingsFlow(by: { databaseId: "ff551ac39bd4c6c0000000000" }) { id } }`
  expect(await app.asAlice(query)).toEqual({ data: { a: null, b: null } })
})

test('flows by id are one call, and so are the newest drops of all of them', async () => {
  const ids = flowIds.map((id) => globalId('ThingsFlow', id))
  const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ThingsFlow { path latestDrop { json } } } }`
  const { data, errors } = await app.asAlice(query, { ids })
  expect(errors).toBeUndefined()
  expect(data.nodes.map((flow: { latestDrop: { json: object } }) => flow.latestDrop.json)).toEqual(
    flowIds.map(() => ({ value: 3, name: 'drop 3' })),
  )
  expect(app.takeCalls()).toEqual(['MGET /flow', 'MGET /drop'])
})

test('a list of flows with the drops of each is two calls', async () => {
  const query = `{ thingsFlows(first: 5) { nodes { path drops(first: 2) { nodes { element(path: "value") { ... on NumberElement { number } } thingsFlow { path } } } } } }`
  const { data, errors, extensions } = await app.asAlice(query, {}, aliceHeaders, { cost: true })
  expect(errors).toBeUndefined()
  expect(extensions?.['cost']).toMatchObject({ predicted: 3, actual: 2 })
  expect(data.thingsFlows.nodes).toHaveLength(5)
  expect(data.thingsFlows.nodes[0].drops.nodes).toEqual([
    { element: { number: 3 }, thingsFlow: { path: '/alice/4' } },
    { element: { number: 2 }, thingsFlow: { path: '/alice/4' } },
  ])
  expect(app.takeCalls()).toEqual(['GET /flow', 'MGET /drop'])
})

test('pages of drops neither repeat nor lose drops while others arrive', async () => {
  const { id } = await app.direct('POST', '/flow', { path: '/alice/pages' })
  const write = (value: number) => app.direct('POST', `/drop/${id}`, { elems: { value } })
  for (let value = 0; value < 10; value += 1) await write(value)
  const query = `query ($after: String, $before: String, $first: Int, $last: Int) {
    thingsFlow(by: { path: "/alice/pages" }) { drops(first: $first, last: $last, after: $after, before: $before) {
      nodes { json } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`
  const read = async (variables: object) => {
    const { data, errors } = await app.asAlice(query, variables)
    expect(errors).toBeUndefined()
    const { nodes, pageInfo } = data.thingsFlow.drops
    return { values: nodes.map(({ json }: { json: { value: number } }) => json.value), pageInfo }
  }
  const seen: number[] = []
  let page = await read({ first: 3 })
  for (let next = 100; ; next += 1) {
    seen.push(...page.values)
    await write(next)
    if (!page.pageInfo.hasNextPage) break
    page = await read({ first: 3, after: page.pageInfo.endCursor })
  }
  expect(seen).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
  const oldest = await read({ last: 4 })
  expect(oldest).toMatchObject({ values: [3, 2, 1, 0], pageInfo: { hasPreviousPage: true } })
  const newer = await read({ last: 2, before: oldest.pageInfo.startCursor })
  expect(newer).toMatchObject({ values: [5, 4], pageInfo: { hasNextPage: true } })
})

test('elements have their types, also in maps and lists', async () => {
  const { id } = await app.direct('POST', '/flow', { path: '/alice/types' })
  const parent = await app.direct('POST', `/drop/${id}`, { elems: {} })
  await app.direct('POST', `/drop/${id}`, {
    location: { lat: 47, lon: 8.5, specifiers: { city: 'Zurich' } },
    elems: {
      at: { type: 'date', value: 1427578873318 },
      far: { type: 'length', value: { magnitude: 3, unit: 'meters' } },
      mail: { type: 'email', value: 'a@example.com' },
      nested: { deep: { list: [1, 'two', true] } },
      ref: { type: 'dropRef', value: { flowId: id, dropId: parent.id } },
    },
  })
  const value = `__typename type json ... on TextElement { text } ... on NumberElement { number } ... on BooleanElement { boolean }
    ... on TimeElement { time } ... on QuantityElement { magnitude unit } ... on DropReferenceElement { drop { version } }`
  const { data, errors } = await app.asAlice(`{ thingsFlow(by: { path: "/alice/types" }) { latestDrop {
    location { latitude longitude specifiers }
    elements(names: ["mail", "at", "far", "ref"]) { name value { ${value} } }
    element(path: "nested.deep.list") { ... on ListElement { items { ${value} } } }
    json } } }`)
  expect(errors).toBeUndefined()
  const drop = data.thingsFlow.latestDrop
  expect(drop.location).toEqual({ latitude: 47, longitude: 8.5, specifiers: { city: 'Zurich' } })
  expect(drop.elements).toMatchObject([
    { name: 'mail', value: { __typename: 'TextElement', type: 'email', text: 'a@example.com' } },
    { name: 'at', value: { __typename: 'TimeElement', time: '2015-03-28T21:41:13.318Z' } },
    { name: 'far', value: { magnitude: 3, unit: 'meters' } },
    { name: 'ref', value: { drop: { version: 0 } } },
  ])
  expect(drop.element.items).toMatchObject([{ number: 1 }, { text: 'two' }, { boolean: true }])
  expect(drop.json.nested).toEqual({ deep: { list: [1, 'two', true] } })
})

test('a date that RFC 3339 has no text for is a number', async () => {
  const { id } = await app.direct('POST', '/flow', { path: '/alice/dates' })
  const [first, last] = [Date.parse('0000-01-01T00:00:00Z'), Date.parse('9999-12-31T23:59:59.999Z')]
  for (const at of [first - 1, first, last, last + 1, 8.64e15 + 1])
    await app.direct('POST', `/drop/${id}`, { elems: { at: { type: 'date', value: at } } })
  const { data, errors } = await app.asAlice(`{
    thingsFlow(by: { path: "/alice/dates" }) { drops(last: 5) { nodes { element(path: "at") {
      ... on TimeElement { time } ... on NumberElement { number } } } } } }`)
  expect(errors).toBeUndefined()
  expect(data.thingsFlow.drops.nodes.map(({ element }: { element: object }) => element)).toEqual(
    [
      { number: first - 1 },
      { time: '0000-01-01T00:00:00.000Z' },
      { time: '9999-12-31T23:59:59.999Z' },
      { number: last + 1 },
      { number: 8.64e15 + 1 },
    ].reverse(),
  )
})

test('plain numbers have the types that the server gives them', async () => {
  const { id } = await app.direct('POST', '/flow', { path: '/alice/numbers' })
  await app.direct('POST', `/drop/${id}`, { elems: { a: 2 ** 31 - 1, b: 2 ** 31, c: 2 ** 63, d: 0.5 } })
  const outputs = ['a', 'b', 'c', 'd'].map((member) => ({ function: 'MAX', of: { member } }))
  const { data } = await app.asAlice(
    `query ($input: DropAggregationInput!) { thingsFlow(by: { path: "/alice/numbers" }) {
      latestDrop { elements { value { type } } } aggregate(input: $input) { rows { values { value { type } } } } } }`,
    { input: { outputs } },
  )
  const types = (values: { value: { type: string } }[]) => values.map(({ value }) => value.type)
  expect(types(data.thingsFlow.latestDrop.elements)).toEqual(['integer', 'long', 'float', 'float'])
  expect(types(data.thingsFlow.aggregate.rows[0].values)).toEqual(['integer', 'long', 'float', 'float'])
})

test('typed filters select drops', async () => {
  const matching = async (filter: object) => {
    const query = `query ($filter: ThingsFilter) { thingsFlow(by: { path: "/alice/0" }) { drops(filter: $filter) { nodes { json } } } }`
    const { data, errors } = await app.asAlice(query, { filter })
    expect(errors).toBeUndefined()
    return data.thingsFlow.drops.nodes.map(({ json }: { json: { value: number } }) => json.value)
  }
  const above = { compare: { member: 'elems.value', comparison: 'GREATER', value: 1 } }
  expect(await matching(above)).toEqual([3, 2])
  expect(await matching({ not: above })).toEqual([1, 0])
  expect(await matching({ and: [above, { matches: { member: 'name', pattern: '2$' } }] })).toEqual([2])
  expect(await matching({ or: [{ in: { member: 'value', values: [0] } }, above] })).toEqual([3, 2, 0])
  expect(await matching({ exists: 'other' })).toEqual([])
  expect(await matching({ hasType: 'string' })).toHaveLength(4)
  expect(await matching({ age: { comparison: 'GREATER', milliseconds: 3600000 } })).toEqual([])
  expect(await matching({ remainder: { member: 'value', divisor: 2, remainder: 1 } })).toEqual([3, 1])
})

test('a filter of drops may be longer than a URL, and one of flows that is longer is refused', async () => {
  const text = 'ö'.repeat(5000)
  const filter = {
    or: [{ compare: { member: 'name', comparison: 'EQUAL', value: text } }, { exists: 'name' }],
  }
  const { data, errors } = await app.asAlice(
    `query ($filter: ThingsFilter!) {
      thingsFlow(by: { path: "/alice/0" }) { drops(first: 1, filter: $filter) { nodes { json } } }
      thingsFlows(first: 1, filter: $filter) { nodes { path } } }`,
    { filter },
  )
  expect(data.thingsFlow.drops.nodes).toEqual([{ json: { value: 3, name: 'drop 3' } }])
  expect(errors).toMatchObject([
    {
      path: ['thingsFlows'],
      message: 'Cannot list flows: the filter is too long for a URL of the upstream',
      extensions: { code: 'BAD_USER_INPUT' },
    },
  ])
})

test('a name that is no member, and what could change the filter, is refused with the path of the input', async () => {
  const query = `query ($filter: ThingsFilter) { thingsFlow(by: { path: "/alice/0" }) { drops(filter: $filter) { nodes { id } } } }`
  for (const filter of [
    { exists: 'a) || (b == 1' },
    { exists: 'NOT' },
    { matches: { pattern: 'a\\' } },
    { compare: { member: 'a', comparison: 'EQUAL', value: [1] } },
    { and: [] },
  ]) {
    const { errors } = await app.asAlice(query, { filter })
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' })
  }
  const hostile = {
    compare: { member: 'name', comparison: 'EQUAL', value: '" || EXISTS value || name == "' },
  }
  const { data } = await app.asAlice(query, { filter: hostile })
  expect(data.thingsFlow.drops.nodes).toEqual([])
})

test('without an account, and with a wrong one, the errors say so', async () => {
  const query = '{ thingsFlows { nodes { id } } }'
  const none = await app.asAlice(query, {}, {})
  expect(none.data).toEqual({ thingsFlows: null })
  expect(none.errors?.[0]?.extensions).toMatchObject({ code: 'UNAUTHENTICATED' })
  const half = await app.asAlice(query, {}, { 'X-Auth-Token': 'x' })
  expect(half.errors?.[0]?.extensions).toMatchObject({ code: 'UNAUTHENTICATED' })
  const wrong = await app.asAlice(query, {}, { 'X-Auth-Account': 'alice', 'X-Auth-Token': 'x'.repeat(32) })
  expect(wrong.errors?.[0]?.extensions).toMatchObject({ code: 'FORBIDDEN' })
})

test('the account of the request is read as an identity', async () => {
  const { data, errors } = await app.asAlice('{ thingsIdentity { id name } }')
  expect(errors).toBeUndefined()
  expect(data.thingsIdentity.name).toBe('alice')
  const again = await app.asAlice('query ($id: ID!) { node(id: $id) { ... on ThingsIdentity { name } } }', {
    id: data.thingsIdentity.id,
  })
  expect(again.data.node).toEqual({ name: 'alice' })
})
