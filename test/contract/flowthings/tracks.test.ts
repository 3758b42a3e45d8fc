import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Json } from '../../support/things.ts'
import { type Fact, makeWorld, testFacts, type World } from './facts.ts'

/* Tracks, aggregation and statistics: what is computed of drops. */

let world: World & { close(): Promise<void> }
beforeAll(async () => {
  world = await makeWorld()
  const { alice } = world
  for (const name of ['in', 'out', 'also', 'loop-a', 'loop-b', 'hot', 'script'])
    world.kept[name] = (await alice('POST', '/flow', { path: `/alice/${name}` })).body
})
afterAll(() => world.close())

const track =
  (body: unknown, version = 'v0.1') =>
  () => ({ method: 'POST', path: '/track', body, version })
const add = (there: World, name: string, drop: object, version = 'v4.0') =>
  there.alice('POST', `/drop/${there.kept[name].id}`, drop, version)
/** The elements of the drops of a flow, oldest first. */
async function elementsOf(there: World, name: string): Promise<Json[]> {
  const { body } = await there.alice('GET', `/drop/${there.kept[name].id}?order=asc`, undefined, 'v4.0')
  return body.map(({ elems }: { elems: Json }) => elems)
}
const empty = (there: World, name: string) => there.alice('DELETE', `/drop/${there.kept[name].id}`)
async function addTrack(there: World, body: object, version = 'v4.0'): Promise<Json> {
  const { status, body: made, text } = await there.alice('POST', '/track', body, version)
  expect(status, text).toBe(201)
  return made
}
const removeTrack = (there: World, { id }: { id: string }) => there.alice('DELETE', `/track/${id}`)

const members: Fact[] = [
  {
    ref: '5.3',
    fact: 'a track has its source, destination and filter',
    request: track({ source: '/alice/in', destination: '/alice/out', filter: 'n > 1', description: 'D' }),
    status: 201,
    body: ({ aliceId }) => ({
      source: '/alice/in',
      destination: '/alice/out',
      filter: 'n > 1',
      description: 'D',
      creatorId: aliceId,
    }),
    check: async (there, { body }) => {
      expect(body.id).toMatch(/^t[0-9a-f]{24}$/)
      expect(Object.keys(body)).not.toContain('style')
      there.kept['track'] = body
    },
  },
  {
    ref: '5.3',
    fact: 'a track is read',
    request: ({ kept }) => ({ path: `/track/${kept['track'].id}` }),
    is: ({ kept }) => kept['track'],
  },
  {
    ref: '5.3',
    fact: 'tracks are found by their source',
    request: () => ({ path: `/track?filter=${encodeURIComponent("source == '/alice/in'")}` }),
    is: ({ kept }) => [kept['track']],
  },
  {
    ref: '5.3',
    fact: 'several destinations are echoed as a list',
    request: track({ source: '/alice/script', destination: ['/alice/out', '/alice/also'], disabled: true }),
    status: 201,
    body: () => ({ destination: ['/alice/out', '/alice/also'], disabled: true }),
  },
  { ref: '5.3', fact: 'a source is required', request: track({ destination: '/alice/out' }), status: 400 },
  { ref: '5.3', fact: 'so is a destination', request: track({ source: '/alice/in' }), status: 400 },
  {
    ref: '5.3',
    fact: 'metadata may stand in its place',
    request: track({ source: '/alice/script', metadata: { x: 1 } }),
    status: 201,
    body: () => ({ metadata: { x: 1 } }),
  },
  {
    ref: '5.3',
    fact: 'the source must be there',
    request: track({ source: '/alice/none', destination: '/alice/out' }),
    status: 400,
  },
  {
    ref: '5.3',
    fact: 'so must the destination',
    request: track({ source: '/alice/in', destination: '/alice/none' }),
    status: 400,
  },
  {
    ref: '5.3',
    fact: 'a flow of another account cannot be the destination',
    request: track({ source: '/alice/in', destination: '/bob/none' }),
    status: 400,
  },
  {
    ref: '5.3',
    fact: 'a filter that cannot be read is refused',
    request: track({ source: '/alice/in', destination: '/alice/out', filter: 'n >' }),
    status: 400,
  },
  {
    ref: '5.3',
    fact: 'disabled is true or false',
    request: track({ source: '/alice/in', destination: '/alice/out', disabled: 'yes' }),
    status: 400,
  },
  {
    ref: '2.1',
    fact: 'a track is changed',
    request: ({ kept }) => ({
      method: 'PUT',
      path: `/track/${kept['track'].id}`,
      body: { description: 'E' },
    }),
    body: () => ({ description: 'E', filter: 'n > 1', lastEditDate: expect.any(Number) }),
  },
  {
    ref: '2.1',
    fact: 'several are read by their ids',
    request: ({ kept }) => ({
      method: 'MGET',
      path: '/track',
      body: [kept['track'].id, 't00000000000000000000000a'],
    }),
    check: ({ kept }, { body }) => expect(Object.keys(body)).toEqual([kept['track'].id]),
  },
]

const copies: Fact[] = [
  {
    ref: '5.3',
    fact: 'a drop that passes the filter is copied, and names its parent',
    async check(there) {
      await add(there, 'in', { elems: { n: 1 } })
      const { body: drop } = await add(there, 'in', {
        elems: { n: 2, at: { type: 'date', value: 5 } },
        location: { lat: 1, lon: 2 },
      })
      const { body } = await there.alice('GET', `/drop/${there.kept['out'].id}`)
      expect(body).toMatchObject([
        {
          elems: { n: { type: 'integer', value: 2 }, at: { type: 'date', value: 5 } },
          location: { lat: 1, lon: 2 },
          parentDropId: { flowId: there.kept['in'].id, dropId: drop.id },
          path: '/alice/out',
        },
      ])
      expect(await elementsOf(there, 'in')).toHaveLength(2)
    },
  },
  {
    ref: '5.3',
    fact: 'a drop that the flow refuses goes through no track',
    async check(there) {
      await there.alice('PUT', `/flow/${there.kept['in'].id}`, { filter: 'n < 100' })
      expect((await add(there, 'in', { elems: { n: 200 } })).status).toBe(400)
      expect(await elementsOf(there, 'out')).toHaveLength(1)
    },
  },
  {
    ref: '5.3',
    fact: 'a track that is disabled does nothing',
    async check(there) {
      await there.alice('PUT', `/track/${there.kept['track'].id}`, { disabled: true })
      await add(there, 'in', { elems: { n: 3 } })
      expect(await elementsOf(there, 'out')).toHaveLength(1)
      await removeTrack(there, there.kept['track'])
    },
  },
  {
    ref: '5.3',
    fact: 'several destinations get a copy each, and a destination that refuses it hinders no other',
    async check(there) {
      await Promise.all([empty(there, 'out'), empty(there, 'also')])
      await there.alice('PUT', `/flow/${there.kept['out'].id}`, { filter: 'n > 10' })
      const made = await addTrack(there, { source: '/alice/in', destination: ['/alice/out', '/alice/also'] })
      expect((await add(there, 'in', { elems: { n: 4 } })).status).toBe(201)
      expect([await elementsOf(there, 'out'), await elementsOf(there, 'also')]).toEqual([[], [{ n: 4 }]])
      expect((await there.alice('GET', `/track/${made.id}`)).body.lastError).toMatch(
        /filter of the flow "\/alice\/out"/,
      )
      await there.alice('PUT', `/flow/${there.kept['out'].id}`, { filter: '' })
      await add(there, 'in', { elems: { n: 5 } })
      expect(await elementsOf(there, 'out')).toEqual([{ n: 5 }])
      await removeTrack(there, made)
    },
  },
  {
    ref: '5.3',
    fact: 'tracks follow each other',
    async check(there) {
      await Promise.all([empty(there, 'out'), empty(there, 'also')])
      const made = [
        await addTrack(there, { source: '/alice/in', destination: '/alice/out' }),
        await addTrack(there, { source: '/alice/out', destination: '/alice/also' }),
      ]
      await add(there, 'in', { elems: { n: 6 } })
      expect(await elementsOf(there, 'also')).toEqual([{ n: 6 }])
      for (const each of made) await removeTrack(there, each)
    },
  },
  {
    ref: '5.3',
    fact: 'tracks that form a circle end',
    async check(there) {
      const made = [
        await addTrack(there, { source: '/alice/loop-a', destination: '/alice/loop-b' }),
        await addTrack(there, { source: '/alice/loop-b', destination: '/alice/loop-a' }),
      ]
      expect((await add(there, 'loop-a', { elems: { n: 1 } })).status).toBe(201)
      const count = (await elementsOf(there, 'loop-a')).length + (await elementsOf(there, 'loop-b')).length
      expect(count).toBe(11)
      const errors = await Promise.all(
        made.map(async ({ id }) => (await there.alice('GET', `/track/${id}`)).body.lastError),
      )
      expect(errors.join()).toMatch(/circle/)
      for (const each of made) await removeTrack(there, each)
    },
  },
  {
    ref: '5.3',
    fact: 'a flow without capacity passes drops on',
    async check(there) {
      await empty(there, 'out')
      const { body: flow } = await there.alice('POST', '/flow', { path: '/alice/passing', capacity: 0 })
      const made = await addTrack(there, { source: '/alice/passing', destination: '/alice/out' })
      await there.alice('POST', `/drop/${flow.id}`, { elems: { n: 7 } }, 'v4.0')
      expect(await elementsOf(there, 'out')).toEqual([{ n: 7 }])
      await removeTrack(there, made)
    },
  },
]

const scripts: Fact[] = [
  {
    ref: '5.3',
    fact: 'a function makes a drop for the destination, of typed elements on v0.1',
    async check(there) {
      await empty(there, 'out')
      const js = 'function (input) { input.elems.n = input.elems.n.value * 2; return input }'
      const made = await addTrack(there, { source: '/alice/script', destination: '/alice/out', js }, 'v0.1')
      await add(there, 'script', { elems: { n: 21 } })
      await expect.poll(() => elementsOf(there, 'out')).toEqual([{ n: 42 }])
      await removeTrack(there, made)
    },
  },
  {
    ref: '5.3',
    fact: 'and of plain elements on v4.0',
    async check(there) {
      await empty(there, 'out')
      const js = 'function (a) { a.elems.b = a.elems.n + 1; return a }'
      const made = await addTrack(there, { source: '/alice/script', destination: '/alice/out', js })
      await add(there, 'script', { elems: { n: 1 } })
      await expect.poll(() => elementsOf(there, 'out')).toEqual([{ n: 1, b: 2 }])
      await removeTrack(there, made)
    },
  },
  {
    ref: '5.3',
    fact: 'it may name the flows itself, and return nothing',
    async check(there) {
      await Promise.all([empty(there, 'out'), empty(there, 'also')])
      const js = `function (drop) {
        if (drop.elems.n < 2) return null
        return { '/alice/out': [{ elems: { a: 1 } }, { elems: { a: 2 } }], '/alice/also': [{ elems: { b: 1 } }] }
      }`
      const made = await addTrack(there, { source: '/alice/script', js })
      await add(there, 'script', { elems: { n: 1 } })
      await add(there, 'script', { elems: { n: 2 } })
      await expect.poll(() => elementsOf(there, 'also')).toEqual([{ b: 1 }])
      expect(await elementsOf(there, 'out')).toEqual([{ a: 1 }, { a: 2 }])
      await removeTrack(there, made)
    },
  },
  {
    ref: '5.3',
    fact: 'it reads drops by the path of a flow, and by fhash',
    async check(there) {
      await empty(there, 'out')
      await add(there, 'hot', { elems: { total: 10 }, fhash: 'day' })
      const js = `function (drop) {
        var found = Flow.Drop.find('/alice/hot', { limit: 1 })[0]
        var day = Flow.Drop.findFHash('/alice/hot', 'day')
        return { elems: { sum: drop.elems.n + found.elems.total + day.elems.total } }
      }`
      const made = await addTrack(there, { source: '/alice/script', destination: '/alice/out', js })
      await add(there, 'script', { elems: { n: 1 } })
      await expect.poll(() => elementsOf(there, 'out')).toEqual([{ sum: 21 }])
      await removeTrack(there, made)
    },
  },
  {
    ref: '5.3',
    fact: 'it reads nothing of another account, and says so in the track',
    async check(there) {
      await there.bob('POST', '/flow', { path: '/bob/secret' })
      const js = "function () { return { elems: { x: Flow.Drop.find('/bob/secret').length } } }"
      const made = await addTrack(there, { source: '/alice/script', destination: '/alice/out', js })
      await add(there, 'script', { elems: { n: 1 } })
      await expect
        .poll(async () => (await there.alice('GET', `/track/${made.id}`)).body.lastError)
        .toMatch(/no flow at the path "\/bob\/secret"/)
      await removeTrack(there, made)
    },
  },
  {
    ref: '5.3',
    fact: 'one that does not end is ended, and others go on',
    async check(there) {
      await empty(there, 'out')
      const endless = await addTrack(there, {
        source: '/alice/script',
        destination: '/alice/also',
        js: 'function () { for (;;) {} }',
      })
      const good = await addTrack(there, {
        source: '/alice/script',
        destination: '/alice/out',
        js: 'function (d) { return d }',
      })
      await add(there, 'script', { elems: { n: 8 } })
      await expect.poll(() => elementsOf(there, 'out')).toEqual([{ n: 8 }])
      await expect
        .poll(async () => (await there.alice('GET', `/track/${endless.id}`)).body.lastError)
        .toMatch(/200 ms/)
      for (const each of [endless, good]) await removeTrack(there, each)
    },
  },
  {
    ref: '2.1',
    fact: 'a function is tried without writing',
    request: () => ({
      method: 'POST',
      path: '/track/simulate',
      body: { drop: { elems: { n: 1 } }, js: 'function (d) { log("hello"); d.elems.n += 1; return d }' },
    }),
    is: () => ({ drops: [{ elems: { n: 2 } }], log: ['hello'], errors: [] }),
  },
  {
    ref: '2.1',
    fact: 'its failure is in the result',
    request: () => ({
      method: 'POST',
      path: '/track/simulate',
      body: { drop: { elems: {} }, js: 'function () { throw new Error("no") }' },
    }),
    is: () => ({ drops: [], log: [], errors: ['no'] }),
  },
  {
    ref: '2.1',
    fact: 'so is that of its text',
    request: () => ({
      method: 'POST',
      path: '/track/simulate',
      body: { drop: { elems: {} }, js: 'function (' },
    }),
    check: (_, { body }) => expect(body.errors).toHaveLength(1),
  },
  {
    ref: '5.3',
    fact: 'no object of the server is in reach',
    request: () => ({
      method: 'POST',
      path: '/track/simulate',
      body: {
        drop: { elems: {} },
        js: "function () { return { elems: { seen: log.constructor('return typeof process + typeof require')() } } }",
      },
    }),
    body: () => ({ drops: [{ elems: { seen: 'undefinedundefined' } }] }),
  },
  {
    ref: '2.1',
    fact: 'simulation needs a drop and a function',
    request: () => ({ method: 'POST', path: '/track/simulate', body: {} }),
    status: 400,
  },
]

const aggregate =
  (body: unknown) =>
  ({ flow }: World) => ({ method: 'POST', path: `/drop/${flow.id}/aggregate`, body })
const rows = (
  output: string[],
  expected: unknown,
  more: object = {},
): Pick<Fact, 'ref' | 'request' | 'is'> => ({
  ref: '7',
  request: aggregate({ output, ...more }),
  is: () => expected,
})

const aggregations: Fact[] = [
  { fact: '$count', ...rows(['$count'], [{ id: {}, $count: 3 }]) },
  { fact: '$sum', ...rows(['$sum:temp'], [{ id: {}, '$sum:temp': 66.5 }]) },
  { fact: '$avg', ...rows(['$avg:temp'], [{ id: {}, '$avg:temp': 66.5 / 3 }]) },
  {
    fact: '$min and $max',
    ...rows(['$min:temp', '$max:temp'], [{ id: {}, '$min:temp': 20, '$max:temp': 25 }]),
  },
  { fact: 'the member with elems', ...rows(['$max:elems.temp'], [{ id: {}, '$max:elems.temp': 25 }]) },
  { fact: '$unique', ...rows(['$unique:room'], [{ id: {}, '$unique:room': ['attic', 'cellar'] }]) },
  { fact: '$all', ...rows(['$all:room'], [{ id: {}, '$all:room': ['attic', 'cellar', 'attic'] }]) },
  { fact: 'a filter', ...rows(['$count'], [{ id: {}, $count: 2 }], { filter: "room == 'attic'" }) },
  { fact: 'a filter that nothing matches', ...rows(['$count'], [], { filter: 'temp > 100' }) },
  {
    fact: 'an element to group by',
    ...rows(
      ['$count'],
      [
        { id: { room: 'attic' }, $count: 2 },
        { id: { room: 'cellar' }, $count: 1 },
      ],
      { groupBy: ['room'] },
    ),
  },
  {
    fact: 'a rule: the share of drops that match',
    ...rows(['$avg:hot', '$sum:hot'], [{ id: {}, '$avg:hot': 1 / 3, '$sum:hot': 1 }], {
      rules: { hot: 'temp > 24' },
    }),
  },
  {
    fact: 'a rule to group by',
    ...rows(
      ['$count'],
      [
        { id: { hot: 0 }, $count: 2 },
        { id: { hot: 1 }, $count: 1 },
      ],
      { rules: { hot: 'temp > 24' }, groupBy: ['hot'] },
    ),
  },
  {
    fact: 'sorts',
    ...rows(
      ['$avg:temp'],
      [
        { id: { room: 'attic' }, '$avg:temp': 22.5 },
        { id: { room: 'cellar' }, '$avg:temp': 21.5 },
      ],
      { groupBy: ['room'], sorts: ['$avg:temp:desc'] },
    ),
  },
  {
    fact: 'members that are not wanted may be empty',
    ...rows(['$count'], [{ id: {}, $count: 3 }], { groupBy: [], filter: '', rules: {}, sorts: [] }),
  },
  {
    ref: '7',
    fact: 'a part of the date brings the coarser ones',
    request: aggregate({ output: ['$count'], groupBy: ['$month'] }),
    check: ({ flow }, { body }) => {
      const date = new Date(flow.creationDate)
      expect(body).toEqual([
        { id: { $year: date.getUTCFullYear(), $month: date.getUTCMonth() + 1 }, $count: 3 },
      ])
    },
  },
  {
    ref: '7',
    fact: 'output is required',
    request: aggregate({ groupBy: ['room'] }),
    status: 400,
    error: /output/,
  },
  {
    ref: '16.18',
    fact: 'an unknown selector is refused',
    request: aggregate({ output: ['$nonsense:x'] }),
    status: 400,
  },
  {
    ref: '7',
    fact: 'a filter that cannot be read is refused',
    request: aggregate({ output: ['$count'], filter: 'x >' }),
    status: 400,
  },
  {
    ref: '7',
    fact: 'an unknown flow is 404',
    request: () => ({
      method: 'POST',
      path: '/drop/ff551ac39bd4c6c0000000000/aggregate',
      body: { output: ['$count'] },
    }),
    status: 404,
  },
  {
    ref: '7',
    fact: 'it is a POST',
    request: ({ flow }) => ({ path: `/drop/${flow.id}/aggregate` }),
    status: 405,
  },
]

const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0)
const statistics: Fact[] = [
  {
    ref: '8',
    fact: 'the months of the year',
    request: ({ flow }) => ({ path: `/statistics/flowDropAdded/${flow.id}` }),
    check: ({ flow }, { body }) => {
      expect(body).toHaveLength(12)
      expect(body[new Date(flow.creationDate).getUTCMonth()]).toBe(3)
      expect(sum(body)).toBe(3)
    },
  },
  {
    ref: '8',
    fact: 'the days of a month',
    request: ({ flow }) => ({ path: `/statistics/flowDropAdded/${flow.id}/2015/1` }),
    is: () => Array(31).fill(0),
  },
  {
    ref: '8',
    fact: 'the hours of a day',
    request: ({ flow }) => ({ path: `/statistics/flowDropAdded/${flow.id}/2015/1/9` }),
    is: () => Array(24).fill(0),
  },
  {
    ref: '16.8',
    fact: 'level is the size of a part',
    request: ({ flow }) => ({ path: `/statistics/flowDropAdded/${flow.id}/2016?level=DAY` }),
    check: (_, { body }) => expect(body).toHaveLength(366),
  },
  {
    ref: '8',
    fact: 'level has no case',
    request: ({ flow }) => ({ path: `/statistics/flowDropAdded/${flow.id}/2015?level=year` }),
    is: () => [0],
  },
  {
    ref: '8',
    fact: 'tracks that were hit',
    async check(there) {
      const made = await addTrack(there, { source: '/alice/hot', destination: '/alice/out', filter: 'n > 1' })
      for (const n of [1, 2, 3]) await add(there, 'hot', { elems: { n } })
      const count = async (type: string, id: string) =>
        sum((await there.alice('GET', `/statistics/${type}/${id}`)).body)
      expect([
        await count('trackHit', made.id),
        await count('trackPass', made.id),
        await count('flowTracked', there.kept['hot'].id),
      ]).toEqual([3, 2, 2])
    },
  },
  {
    ref: '8',
    fact: 'drops that an identity created',
    request: ({ aliceId }) => ({ path: `/statistics/dropCreatedBy/${aliceId}` }),
    check: (_, { body }) => expect(sum(body)).toBeGreaterThan(5),
  },
  {
    ref: '8',
    fact: 'calls of an identity',
    request: ({ aliceId }) => ({ path: `/statistics/apiCallByIdentity/${aliceId}` }),
    check: (_, { body }) => expect(body).toHaveLength(12),
  },
  {
    ref: '8',
    fact: 'an unknown type is refused',
    request: ({ flow }) => ({ path: `/statistics/nonsense/${flow.id}` }),
    status: 400,
  },
  {
    ref: '8',
    fact: 'a month that is none is refused',
    request: ({ flow }) => ({ path: `/statistics/flowDropAdded/${flow.id}/2015/13` }),
    status: 400,
  },
  {
    ref: '8',
    fact: 'a level that is none is refused',
    request: ({ flow }) => ({ path: `/statistics/flowDropAdded/${flow.id}?level=x` }),
    status: 400,
  },
  {
    ref: '8',
    fact: 'an unknown flow is 404',
    request: () => ({ path: '/statistics/flowDropAdded/ff551ac39bd4c6c0000000000' }),
    status: 404,
  },
  {
    ref: '8',
    fact: 'the identity of another account is 404',
    request: ({ bobId }) => ({ path: `/statistics/dropCreatedBy/${bobId}` }),
    status: 404,
  },
]

describe('members of tracks', () => testFacts(() => world, members))
describe('tracks copy', () => testFacts(() => world, copies))
describe('functions of tracks', () => testFacts(() => world, scripts))
describe('aggregation', () => testFacts(() => world, aggregations))
describe('statistics', () => testFacts(() => world, statistics))
