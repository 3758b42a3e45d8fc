import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { aliceHeaders, startThingsApp, type ThingsApp } from '../support/things-app.ts'

let app: ThingsApp
let flowId: string

const drops = [
  { room: 'hall', temp: 18, at: { type: 'date', value: Date.UTC(2015, 2, 28, 21) } },
  { room: 'hall', temp: 20, at: { type: 'date', value: Date.UTC(2015, 2, 28, 21, 30) } },
  { room: 'kitchen', temp: 31, at: { type: 'date', value: Date.UTC(2015, 2, 29, 21) } },
  { room: 'kitchen', name: 'no temperature', at: { type: 'date', value: Date.UTC(2015, 3, 1) } },
]

beforeAll(async () => {
  app = await startThingsApp()
  const { id } = await app.direct('POST', '/flow', { path: '/alice/rooms' })
  flowId = id
  for (const elems of drops) await app.direct('POST', `/drop/${id}`, { elems })
  await app.direct('POST', '/flow', { path: '/alice/copies' })
})
beforeEach(() => void app.takeCalls())
afterAll(() => app.close())

const element = '{ name json value { __typename ... on NumberElement { number } } }'
const query = `query ($input: DropAggregationInput!, $first: Int! = 100) {
  thingsFlow(by: { path: "/alice/rooms" }) { aggregate(input: $input) { rowCount rows(first: $first) { keys ${element} values ${element} json } } } }`
const average = { function: 'AVERAGE', of: { member: 'elems.temp' } }

async function aggregate(input: object) {
  const { data, errors } = await app.asAlice(query, { input })
  expect(errors).toBeUndefined()
  return data.thingsFlow.aggregate
}

test('drops are counted and averaged by the value of a member, in one call', async () => {
  const input = {
    outputs: [{ function: 'COUNT' }, average],
    groupBy: [{ member: 'room' }],
    sorts: [{ output: average, order: 'DESCENDING' }],
  }
  const { data, errors, extensions } = await app.asAlice(query, { input }, aliceHeaders, { cost: true })
  expect(errors).toBeUndefined()
  expect(data.thingsFlow.aggregate).toMatchObject({
    rowCount: 2,
    rows: [
      {
        keys: [{ name: 'room', json: 'kitchen', value: { __typename: 'TextElement' } }],
        values: [
          { name: '$count', value: { number: 2 } },
          { name: '$avg:elems.temp', value: { __typename: 'NumberElement', number: 31 } },
        ],
      },
      { json: { id: { room: 'hall' }, $count: 2, '$avg:elems.temp': 19 } },
    ],
  })
  expect(extensions?.['cost']).toMatchObject({ predicted: 2, actual: 2 })
  expect(app.takeCalls()).toEqual(['GET /flow', 'POST /drop/ID/aggregate'])
})

test('the smallest, the greatest, the sum and the values of a filter are one row', async () => {
  const of = { member: 'temp' }
  const functions = ['SUM', 'MIN', 'MAX', 'ALL', 'UNIQUE']
  const { rows } = await aggregate({
    outputs: functions.map((name) => ({ function: name, of })),
    filter: { compare: { member: 'room', comparison: 'EQUAL', value: 'hall' } },
  })
  expect(rows).toMatchObject([
    { json: { '$sum:temp': 38, '$min:temp': 18, '$max:temp': 20, '$all:temp': [18, 20], id: {} } },
  ])
  expect(rows[0].values[4]).toMatchObject({ name: '$unique:temp', value: { __typename: 'ListElement' } })
})

test('no matching drop is no row', async () => {
  const filter = { exists: 'nothing' }
  expect(await aggregate({ outputs: [{ function: 'COUNT' }], filter })).toEqual({ rowCount: 0, rows: [] })
})

test('parts of dates are keys in UTC, with the larger parts, and rows are sorted by them', async () => {
  const day = { time: { part: 'DAY', member: 'elems.at' } }
  const month = { time: { part: 'MONTH', member: 'elems.at' } }
  const { rows } = await aggregate({
    outputs: [{ function: 'COUNT' }],
    groupBy: [day],
    sorts: [{ groupBy: month, order: 'DESCENDING' }, { groupBy: day }],
  })
  expect(rows.map(({ keys }: { keys: { json: number }[] }) => keys.map(({ json }) => json))).toEqual([
    [2015, 4, 1],
    [2015, 3, 28],
    [2015, 3, 29],
  ])
})

test('a rule is a value of each drop: 1 where it matches, and 0 elsewhere', async () => {
  const rules = [
    { name: 'hot', filter: { compare: { member: 'temp', comparison: 'GREATER', value: 30 } } },
    { name: 'near', filter: { within: { distance: 1, latitude: 47, longitude: 8 } } },
  ]
  const { rows } = await aggregate({
    outputs: [
      { function: 'SUM', of: { rule: 'hot' } },
      { function: 'MIN', of: { distanceTo: 'near' } },
    ],
    rules,
  })
  expect(rows).toMatchObject([{ json: { '$sum:hot': 1, '$min:distance:near': null } }])
  const grouped = await aggregate({ outputs: [{ function: 'COUNT' }], groupBy: [{ rule: 'hot' }], rules })
  expect(grouped.rows).toMatchObject([{ json: { id: { hot: 0 }, $count: 3 } }, { json: { id: { hot: 1 } } }])
})

test('what cannot be aggregated is refused with its path, before a call is made', async () => {
  const count = { function: 'COUNT' }
  const refused: [object, string][] = [
    [{ outputs: [] }, 'input.outputs'],
    [{ outputs: [{ function: 'SUM' }] }, 'input.outputs.0.of'],
    [{ outputs: [{ ...count, of: { member: 'a' } }] }, 'input.outputs.0.of'],
    [{ outputs: [{ function: 'SUM', of: { member: 'a b' } }] }, 'input.outputs.0.of.member'],
    [{ outputs: [{ function: 'SUM', of: { rule: 'hot' } }] }, 'input.outputs.0.of.rule'],
    [{ outputs: [count], groupBy: [{ member: '$year' }] }, 'input.groupBy.0.member'],
    [{ outputs: [count], sorts: [{ output: average }] }, 'input.sorts.0'],
    [{ outputs: [count], sorts: [{ order: 'ASCENDING' }] }, 'input.sorts.0 to be either output or groupBy'],
    [{ outputs: [count], rules: [{ name: 'a:b', filter: { exists: 'a' } }] }, 'input.rules.0.name'],
    [{ outputs: [count], filter: { exists: 'NOT' } }, 'input.filter.exists'],
    [{ outputs: Array.from({ length: 21 }, () => count) }, 'input.outputs'],
  ]
  for (const [input, path] of refused) {
    const { data, errors } = await app.asAlice(query, { input })
    expect(data.thingsFlow).toEqual({ aggregate: null })
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' })
    expect(errors?.[0]?.message).toContain(path)
  }
  expect(new Set(app.takeCalls())).toEqual(new Set(['GET /flow']))
  const { errors } = await app.asAlice(query, { input: { outputs: [count] }, first: 0 })
  expect(errors?.[0]?.message).toBe('Expected first to be 1 to 1000, got 0')
})

test('a rule cannot take the place of a member unnoticed', async () => {
  const rules = [{ name: 'temp', filter: { exists: 'room' } }]
  const of = { member: 'temp' }
  const { errors } = await app.asAlice(query, { input: { outputs: [{ function: 'SUM', of }], rules } })
  expect(errors?.[0]?.message).toContain('"elems.temp" names an element')
})

test('a token that may not read drops cannot aggregate them', async () => {
  const { tokenString } = await app.direct('POST', '/token', {
    paths: { '/alice/rooms': { dropWrite: true } },
  })
  const headers = { ...aliceHeaders, 'X-Auth-Token': tokenString }
  const { data, errors } = await app.asAlice(query, { input: { outputs: [{ function: 'COUNT' }] } }, headers)
  expect(data.thingsFlow).toEqual({ aggregate: null })
  expect(errors?.[0]?.extensions).toMatchObject({ code: 'FORBIDDEN' })
})

const statistics = `query ($id: ID!, $input: ThingsFlowStatisticsInput!) {
  node(id: $id) { ... on ThingsFlow { statistics(input: $input) { total buckets { from to count } } } } }`
const globalId = (type: string, id: string) => Buffer.from(`${type}:${id}`).toString('base64url')
const count = (input: object) =>
  app.asAlice(statistics, { id: globalId('ThingsFlow', flowId), input: { kind: 'DROPS_ADDED', ...input } })

test('the drops of a day are counted by hours of UTC', async () => {
  const now = new Date()
  const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth() + 1, now.getUTCDate()]
  const { data, errors } = await count({ year, month })
  expect(errors).toBeUndefined()
  const { total, buckets } = data.node.statistics
  expect(total).toBe(4)
  expect(buckets[day - 1]).toEqual({
    from: new Date(Date.UTC(year, month - 1, day)).toISOString(),
    to: new Date(Date.UTC(year, month - 1, day + 1)).toISOString(),
    count: 4,
  })
  expect(app.takeCalls()).toEqual([
    'MGET /flow',
    'GET /statistics/flowDropAdded/ID/'.concat(`${year}/${month}`),
  ])
  const hours = await count({ year, month, day })
  expect(hours.data.node.statistics.buckets).toHaveLength(24)
  const days = await count({ year: 2016, bucket: 'DAY' })
  expect(days.data.node.statistics).toMatchObject({ total: 0 })
  expect(days.data.node.statistics.buckets).toHaveLength(366)
  expect(days.data.node.statistics.buckets[365].to).toBe('2017-01-01T00:00:00.000Z')
})

test('a period that does not exist, or has too many parts, is refused with its path', async () => {
  for (const [input, name] of [
    [{ year: 1969 }, 'year'],
    // Its end has no text in RFC 3339.
    [{ year: 9999 }, 'year'],
    [{ year: 2015, month: 13 }, 'month'],
    [{ year: 2015, day: 1 }, 'month'],
    [{ year: 2015, month: 2, day: 29 }, 'day'],
    [{ year: 2015, month: 2, bucket: 'YEAR' }, 'bucket'],
    [{ year: 2015, bucket: 'HOUR' }, 'bucket'],
  ] as const) {
    const { data, errors } = await count(input)
    expect(data.node).toEqual({ statistics: null })
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' })
    expect(errors?.[0]?.message).toContain(`input.${name}`)
  }
  expect(new Set(app.takeCalls())).toEqual(new Set(['MGET /flow']))
})

test('tracks and identities have statistics of their own', async () => {
  await app.direct('POST', '/track', {
    source: '/alice/rooms',
    destination: '/alice/copies',
    filter: 'temp > 0',
  })
  for (const temp of [1, -1]) await app.direct('POST', `/drop/${flowId}`, { elems: { temp } })
  const { data, errors } = await app.asAlice(
    `query ($year: Int!) {
      tracks { nodes { hits: statistics(input: { kind: HITS, year: $year }) { total } passes: statistics(input: { kind: PASSES, year: $year }) { total } } }
      thingsIdentity { statistics(input: { kind: DROPS_CREATED, year: $year }) { total buckets { count } } } }`,
    { year: new Date().getUTCFullYear() },
  )
  expect(errors).toBeUndefined()
  expect(data.tracks.nodes).toEqual([{ hits: { total: 2 }, passes: { total: 1 } }])
  expect(data.thingsIdentity.statistics.total).toBeGreaterThanOrEqual(6)
  expect(data.thingsIdentity.statistics.buckets).toHaveLength(12)
})
