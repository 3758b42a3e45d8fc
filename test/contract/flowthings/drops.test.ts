import { afterAll, beforeAll, describe, expect } from 'vitest'
import { type Fact, makeWorld, type Request, testFacts, unknownFlow, type World } from './facts.ts'

/* Drops: their elements, finds, keys and limits. */

let world: World & { close(): Promise<void> }
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

const send =
  (body: unknown, more: Partial<Request> = {}) =>
  ({ flow }: World): Request => ({ method: 'POST', path: `/drop/${flow.id}`, body, ...more })
/** A find among the three drops of the world. */
const find =
  (query: string, more: Partial<Request> = {}) =>
  ({ flow }: World): Request => ({ path: `/drop/${flow.id}?hints=0&${query}`, ...more })
const where = (filter: string) => find(`filter=${encodeURIComponent(filter)}`)
const temps =
  (expected: readonly unknown[]): NonNullable<Fact['check']> =>
  (_, { body }) =>
    expect(body.map((drop: { elems: { temp: number } }) => drop.elems.temp)).toEqual(expected)

const shapes: Fact[] = [
  {
    ref: '5.2',
    fact: 'a drop has its id, flow, path, date, version and elements, which are typed on v0.1',
    check: ({ drops: [drop], flow }) =>
      expect(drop).toEqual({
        ...{ id: expect.stringMatching(/^d/), flowId: flow.id, path: '/alice/sensors' },
        ...{ creationDate: expect.any(Number), version: 0 },
        elems: {
          temp: { type: 'integer', value: 20 },
          room: { type: 'string', value: 'attic' },
          ok: { type: 'boolean', value: true },
        },
      }),
  },
  {
    ref: '5.2',
    fact: 'fractions are float',
    check: ({ drops }) => expect(drops[1].elems.temp).toEqual({ type: 'float', value: 21.5 }),
  },
  {
    ref: '5.2',
    fact: 'lists have typed items',
    check: ({ drops }) =>
      expect(drops[1].elems.tags).toEqual({
        type: 'list',
        value: [
          { type: 'string', value: 'a' },
          { type: 'string', value: 'b' },
        ],
      }),
  },
  {
    ref: '5.2',
    fact: 'maps have typed members',
    check: ({ drops }) =>
      expect(drops[2].elems.where).toEqual({ type: 'map', value: { floor: { type: 'integer', value: 2 } } }),
  },
  {
    ref: '2.1',
    fact: 'a drop is read by its flow and id',
    request: ({ flow, drops }) => ({ path: `/drop/${flow.id}/${drops[0].id}` }),
    is: ({ drops }) => drops[0],
  },
  {
    ref: '5.2',
    fact: 'elements are plain on v4.0',
    request: ({ flow, drops }) => ({ version: 'v4.0', path: `/drop/${flow.id}/${drops[0].id}` }),
    body: () => ({ elems: { temp: 20, room: 'attic', ok: true } }),
  },
  ...['0', 'false', 'False'].map(
    (hints): Fact => ({
      ref: '5.2',
      fact: `elements are plain with hints=${hints}`,
      request: ({ flow, drops }) => ({ path: `/drop/${flow.id}/${drops[2].id}?hints=${hints}` }),
      body: () => ({ elems: { where: { floor: 2 } } }),
    }),
  ),
  ...['1', 'true', 'True'].map(
    (hints): Fact => ({
      ref: '5.2',
      fact: `elements are typed on v4.0 with hints=${hints}`,
      request: ({ flow, drops }) => ({
        version: 'v4.0',
        path: `/drop/${flow.id}/${drops[0].id}?hints=${hints}`,
      }),
      body: () => ({ elems: { temp: { type: 'integer', value: 20 } } }),
    }),
  ),
  {
    ref: '1.4',
    fact: 'an unknown drop is 404',
    request: ({ flow }) => ({ path: `/drop/${flow.id}/d00000000000000000000000a` }),
    status: 404,
  },
  {
    ref: '1.4',
    fact: 'a drop of an unknown flow is 404',
    request: ({ drops }) => ({ path: `/drop/${unknownFlow}/${drops[0].id}` }),
    status: 404,
  },
  {
    ref: '16.20',
    fact: 'an id that is none is 400',
    request: ({ flow }) => ({ path: `/drop/${flow.id}/nonsense` }),
    status: 400,
  },
  {
    ref: '2.1',
    fact: 'several drops are read by their ids',
    request: ({ flow, drops }) => ({
      method: 'MGET',
      path: `/drop/${flow.id}`,
      body: [drops[0].id, 'd00000000000000000000000a'],
    }),
    is: ({ drops }) => ({ [drops[0].id]: drops[0] }),
  },
]

const finds: Fact[] = [
  { ref: '3', fact: 'the newest come first', request: find(''), check: temps([25, 21.5, 20]) },
  { ref: '3', fact: 'order=asc turns that', request: find('order=asc'), check: temps([20, 21.5, 25]) },
  { ref: '3', fact: 'order has no case', request: find('order=ASC'), check: temps([20, 21.5, 25]) },
  { ref: '3', fact: 'limit', request: find('limit=1'), check: temps([25]) },
  { ref: '3', fact: 'start', request: find('start=1&limit=1'), check: temps([21.5]) },
  { ref: '3', fact: 'skip', request: find('skip=2'), check: temps([20]) },
  { ref: '3', fact: 'start past the end', request: find('start=3'), is: () => [] },
  { ref: '3', fact: 'no limit', request: find('limit=2147483647'), check: temps([25, 21.5, 20]) },
  {
    ref: '3',
    fact: 'sort by an element',
    request: find('sort=elems.room&order=asc'),
    check: temps([20, 25, 21.5]),
  },
  {
    ref: '3',
    fact: 'sort by its bare name',
    request: find('sort=temp&order=asc'),
    check: temps([20, 21.5, 25]),
  },
  {
    ref: '3',
    fact: 'sort with start and limit',
    request: find('sort=temp&order=desc&start=1&limit=1'),
    check: temps([21.5]),
  },
  {
    ref: '3',
    fact: 'only',
    request: find('only=elems.temp&limit=1'),
    check: ({ drops }, { body }) => expect(body).toEqual([{ id: drops[2].id, elems: { temp: 25 } }]),
  },
  {
    ref: '3',
    fact: 'refs describes the flow',
    request: find('refs=1'),
    check: ({ flow }, { head }) =>
      expect(head.references[flow.id]).toEqual({ id: flow.id, path: '/alice/sensors' }),
  },
  {
    ref: '2.1',
    fact: 'drops are found by the path of the flow',
    request: () => ({ path: '/drop?path=/alice/sensors&limit=1&hints=0' }),
    check: temps([25]),
  },
  { ref: '2.1', fact: 'neither id nor path is 400', request: () => ({ path: '/drop' }), status: 400 },
  {
    ref: '2.1',
    fact: 'a path without a flow is 400',
    request: () => ({ path: '/drop?path=/alice/none' }),
    status: 400,
  },
  {
    ref: '1.4',
    fact: 'an unknown flow is 404',
    request: () => ({ path: `/drop/${unknownFlow}` }),
    status: 404,
  },
  {
    ref: '2.1',
    fact: 'several flows are searched together',
    request: ({ flow }) => ({
      version: 'v4.0',
      method: 'MGET',
      path: '/drop',
      body: [{ flowId: flow.id, params: { limit: 2, filter: 'EXISTS elems.temp' } }, { flowId: unknownFlow }],
    }),
    check: ({ flow }, { body }) => {
      expect(Object.keys(body)).toEqual([flow.id])
      expect(body[flow.id].map(({ elems }: { elems: { temp: number } }) => elems.temp)).toEqual([25, 21.5])
    },
  },
  {
    ref: '2.1',
    fact: 'a search without parameters finds 20',
    request: ({ flow }) => ({ method: 'MGET', path: '/drop', body: [{ flowId: flow.id }] }),
    check: ({ flow }, { body }) => expect(body[flow.id]).toHaveLength(3),
  },
  {
    ref: '2.1',
    fact: 'a search that is no list is 400',
    request: () => ({ method: 'MGET', path: '/drop', body: {} }),
    status: 400,
  },
]

const filters: Fact[] = (
  [
    ['6.1', 'elems.temp > 20', [25, 21.5]],
    ['6.1', 'elems.temp<=21.5', [21.5, 20]],
    ['6.4', 'temp == 20', [20]],
    ['6.1', "elems.room == 'attic'", [25, 20]],
    ['6.1', 'elems.room=="cellar"', [21.5]],
    ['6.1', 'room =~ /^ATT/i', [25, 20]],
    ['6.1', 'temp IN [20,25]', [25, 20]],
    ['6.1', "tags CONTAINS ['a','b']", [21.5]],
    ['6.4', "tags CONTAINS ['a','c']", []],
    ['6.1', 'EXISTS tags', [21.5]],
    ['6.1', 'HAS float', [21.5]],
    ['6.1', 'MATCHES /cell/', [21.5]],
    ['6.1', 'NOT temp == 20', [25, 21.5]],
    ['6.3', '(NOT (temp == 20 || temp == 25))', [21.5]],
    ['6.1', 'AGE > 0', undefined],
    ['6.1', 'AGE > 10000000', []],
    ['6.4', 'where.floor == 2', [25]],
    ['6.4', 'temp % 5 == 0', [25, 20]],
    ['6.4', 'ok != true', [25, 21.5]],
    ['6.3', 'temp == 20 || temp == 25 && ok == true', [20]],
    ['6.4', "temp == '20'", []],
    ['6.1', 'creationDate > 0', [25, 21.5, 20]],
    ['6.1', "path == '/alice/sensors'", [25, 21.5, 20]],
    ['6.2', '', [25, 21.5, 20]],
  ] as const
).map(([ref, filter, expected]) => ({
  ref,
  fact: filter === '' ? 'no filter' : filter,
  request: where(filter),
  ...(expected === undefined ? {} : { check: temps(expected) }),
}))

const refused: Fact[] = [
  'temp >',
  'temp = 1',
  "room == 'a",
  'temp IN 1',
  'AGE == x',
  'location WITHIN 5 MILES OF [ZIP=12345]',
  'room =~ /(/',
].map((filter) => ({ ref: '6.2', fact: `${filter} is 400`, request: where(filter), status: 400, error: /./ }))

const creation: Fact[] = [
  {
    ref: '2.1',
    fact: 'a drop is created in a flow',
    request: send({ elems: { foo: 1 } }),
    status: 201,
    body: () => ({ elems: { foo: { type: 'integer', value: 1 } }, version: 0 }),
  },
  {
    ref: '2.1',
    fact: 'or at a path',
    request: () => ({ method: 'POST', path: '/drop', body: { path: '/alice/sensors', elems: { foo: 2 } } }),
    status: 201,
    body: ({ flow }) => ({ flowId: flow.id }),
  },
  {
    ref: '5.2',
    fact: 'elements may be typed and plain in one drop',
    request: send({ elems: { a: { type: 'integer', value: 1 }, b: 'x' } }),
    status: 201,
    body: () => ({ elems: { a: { type: 'integer', value: 1 }, b: { type: 'string', value: 'x' } } }),
  },
  {
    ref: '5.2',
    fact: 'a type stays',
    request: send({
      elems: { at: { type: 'date', value: 1436140800000 }, mail: { type: 'email', value: 'a@b.c' } },
    }),
    status: 201,
    body: () => ({ elems: { at: { type: 'date', value: 1436140800000 }, mail: { type: 'email' } } }),
  },
  {
    ref: '5.2',
    fact: 'sets drop what is there twice',
    request: send({ elems: { s: { type: 'set', value: ['a', 'b', 'a'] } } }),
    status: 201,
    body: () => ({ elems: { s: { type: 'set', value: [{ value: 'a' }, { value: 'b' }] } } }),
  },
  {
    ref: '5.2',
    fact: 'a value that does not fit its type is refused',
    request: send({ elems: { a: { type: 'integer', value: 'x' } } }),
    status: 400,
  },
  { ref: '5.2', fact: 'elements that are no object are refused', request: send({ elems: [1] }), status: 400 },
  { ref: '5.2', fact: 'a drop that is no object is refused', request: send([{ elems: {} }]), status: 400 },
  {
    ref: '5.2',
    fact: 'a drop may have no elements',
    request: send({ elems: {} }),
    status: 201,
    body: () => ({ elems: {} }),
  },
  {
    ref: '5.2',
    fact: 'a location is kept',
    request: send({ elems: {}, location: { lat: 60.17, lon: 24.94, specifiers: { city: 'Helsinki' } } }),
    status: 201,
    body: () => ({ location: { lat: 60.17, lon: 24.94, specifiers: { city: 'Helsinki' } } }),
  },
  {
    ref: '6.4',
    fact: 'drops are found within a distance',
    request: where('location WITHIN 5 KM OF [60.2,24.9]'),
    check: (_, { body }) => expect(body).toHaveLength(1),
  },
  {
    ref: '6.4',
    fact: 'and not within a smaller one',
    request: where('location WITHIN 1 KM OF [60.2,24.9]'),
    is: () => [],
  },
  {
    ref: '6.4',
    fact: 'dotted members go into the location',
    request: where('location.lat > 60'),
    check: (_, { body }) => expect(body).toHaveLength(1),
  },
  {
    ref: '5.2',
    fact: 'a location without degrees is refused',
    request: send({ elems: {}, location: { lat: 'x' } }),
    status: 400,
  },
  {
    ref: '13',
    fact: 'a version that is sent is not taken',
    request: send({ elems: {}, version: 7 }),
    status: 201,
    body: () => ({ version: 0 }),
  },
  {
    ref: '1.4',
    fact: 'a drop at a path without a flow is 400',
    request: () => ({ method: 'POST', path: '/drop', body: { path: '/alice/none', elems: {} } }),
    status: 400,
  },
  {
    ref: '1.4',
    fact: 'a drop in an unknown flow is 404',
    request: () => ({ method: 'POST', path: `/drop/${unknownFlow}`, body: { elems: {} } }),
    status: 404,
  },
  {
    ref: '1.4',
    fact: 'a drop without flow and path is 400',
    request: () => ({ method: 'POST', path: '/drop', body: { elems: {} } }),
    status: 400,
  },
  {
    ref: '5.2',
    fact: 'a drop past 256 KiB is refused',
    request: send({ elems: { x: 'a'.repeat(270_000) } }),
    status: 400,
    error: /bytes/,
  },
  {
    ref: '5.2',
    fact: 'elements nested past 32 levels are refused',
    request: send(`{"elems": {"x": ${'['.repeat(40)}${']'.repeat(40)}}}`),
    status: 400,
  },
  {
    ref: '5.2',
    fact: 'nesting of any depth is refused, too',
    request: send(`{"elems": {"x": ${'['.repeat(50_000)}${']'.repeat(50_000)}}}`),
    status: 400,
  },
  {
    ref: '5.2',
    fact: 'an element named like a member of objects is only an element',
    request: send('{"elems": {"__proto__": 1, "constructor": 2}}'),
    status: 201,
    check: (_, { text }) => expect(text).toContain('"__proto__":{"type":"integer","value":1}'),
  },
]

const keys: Fact[] = [
  {
    ref: '5.2',
    fact: 'a drop with an fhash is created',
    request: send({ elems: { total: 1 }, fhash: 'day' }),
    status: 201,
    body: () => ({ fhash: 'day', version: 0 }),
    check: (there, { body }) => {
      there.kept['keyed'] = body
    },
  },
  {
    ref: '16.5',
    fact: 'one with the same fhash replaces it, and keeps its id and date',
    request: send({ elems: { total: 2 }, fhash: 'day' }),
    status: 201,
    body: ({ kept }) => ({
      id: kept['keyed'].id,
      creationDate: kept['keyed'].creationDate,
      version: 1,
      elems: { total: { value: 2 } },
      lastEditDate: expect.any(Number),
    }),
  },
  {
    ref: '16.5',
    fact: 'there is one such drop',
    request: where("fhash == 'day'"),
    check: (_, { body }) => expect(body).toMatchObject([{ elems: { total: 2 } }]),
  },
  {
    ref: '16.5',
    fact: 'a second filter counts, too',
    request: where("fhash == 'day' && total == 1"),
    is: () => [],
  },
  {
    ref: '16.5',
    fact: 'fhashes of two flows do not meet',
    async check({ alice }) {
      const { body: other } = await alice('POST', '/flow', { path: '/alice/other' })
      expect((await alice('POST', `/drop/${other.id}`, { elems: {}, fhash: 'day' })).body.version).toBe(0)
    },
  },
  {
    ref: '5.2',
    fact: 'an fhash that is no text is refused',
    request: send({ elems: {}, fhash: 7 }),
    status: 400,
  },
]

const changes: Fact[] = [
  {
    ref: '16.6',
    fact: 'elements are replaced together',
    request: ({ flow, drops }) => ({
      method: 'PUT',
      path: `/drop/${flow.id}/${drops[0].id}`,
      body: { elems: { temp: 19 } },
    }),
    check: ({ drops }, { body }) =>
      expect(body).toEqual({
        ...drops[0],
        elems: { temp: { type: 'integer', value: 19 } },
        version: 1,
        lastEditDate: expect.any(Number),
      }),
  },
  {
    ref: '16.17',
    fact: 'the version counts changes',
    request: ({ flow, drops }) => ({
      method: 'PUT',
      path: `/drop/${flow.id}/${drops[0].id}`,
      body: { location: { lat: 1, lon: 2 } },
    }),
    body: () => ({ version: 2, elems: { temp: { value: 19 } }, location: { lat: 1, lon: 2 } }),
  },
  {
    ref: '9',
    fact: 'a whole drop may be sent back',
    request: ({ flow, drops }) => ({
      method: 'PUT',
      path: `/drop/${flow.id}/${drops[0].id}`,
      body: drops[0],
    }),
    body: ({ drops }) => ({ elems: drops[0].elems }),
  },
  {
    ref: '2.1',
    fact: 'one member is changed by its name',
    request: ({ flow, drops }) => ({
      method: 'PUT',
      path: `/drop/${flow.id}/${drops[0].id}/elems`,
      body: { temp: 18 },
    }),
    body: () => ({ elems: { temp: { value: 18 } } }),
  },
  {
    ref: '2.1',
    fact: 'several drops are changed together',
    request: ({ flow, drops }) => ({
      method: 'MPUT',
      path: `/drop/${flow.id}`,
      body: { [drops[0].id]: { elems: { temp: 1 } }, [drops[1].id]: { elems: { temp: 2 } } },
    }),
    body: ({ drops }) => ({
      [drops[0].id]: { elems: { temp: { value: 1 } } },
      [drops[1].id]: { elems: { temp: { value: 2 } } },
    }),
  },
  {
    ref: '2.1',
    fact: 'none of them is changed if one cannot be',
    request: ({ flow, drops }) => ({
      method: 'MPUT',
      path: `/drop/${flow.id}`,
      body: { [drops[0].id]: { elems: { temp: 9 } }, d00000000000000000000000a: {} },
    }),
    status: 404,
    check: async ({ alice, flow, drops }) =>
      expect((await alice('GET', `/drop/${flow.id}/${drops[0].id}`)).body.elems.temp.value).toBe(1),
  },
  {
    ref: '9',
    fact: 'the id of another drop is refused',
    request: ({ flow, drops }) => ({
      method: 'PUT',
      path: `/drop/${flow.id}/${drops[0].id}`,
      body: { id: drops[1].id },
    }),
    status: 400,
  },
  {
    ref: '16.5',
    fact: 'the fhash of another drop is refused',
    request: ({ flow, drops }) => ({
      method: 'PUT',
      path: `/drop/${flow.id}/${drops[0].id}`,
      body: { fhash: 'day' },
    }),
    status: 400,
  },
  {
    ref: '2.1',
    fact: 'a deletion has an empty object',
    request: ({ flow, drops }) => ({ method: 'DELETE', path: `/drop/${flow.id}/${drops[0].id}` }),
    is: () => ({}),
  },
  {
    ref: '2.1',
    fact: 'after it the drop is not there',
    request: ({ flow, drops }) => ({ path: `/drop/${flow.id}/${drops[0].id}` }),
    status: 404,
  },
  {
    ref: '2.1',
    fact: 'a flow is emptied',
    request: ({ flow }) => ({ method: 'DELETE', path: `/drop/${flow.id}` }),
    is: () => ({}),
  },
  { ref: '2.1', fact: 'after it there are no drops', request: find(''), is: () => [] },
  { ref: '2.1', fact: 'and the flow is there', request: ({ flow }) => ({ path: `/flow/${flow.id}` }) },
]

const limits: Fact[] = [
  {
    ref: '5.1',
    fact: 'the oldest drops leave a flow that is full',
    async check({ alice }) {
      const { body: flow } = await alice('POST', '/flow', { path: '/alice/small', capacity: 3 })
      for (let n = 0; n < 5; n += 1) await alice('POST', `/drop/${flow.id}`, { elems: { n } }, 'v4.0')
      const { body } = await alice('GET', `/drop/${flow.id}`, undefined, 'v4.0')
      expect(body.map(({ elems }: { elems: { n: number } }) => elems.n)).toEqual([4, 3, 2])
      await alice('PUT', `/flow/${flow.id}`, { capacity: 1 })
      expect((await alice('GET', `/drop/${flow.id}`, undefined, 'v4.0')).body).toMatchObject([
        { elems: { n: 4 } },
      ])
    },
  },
  {
    ref: '5.1',
    fact: 'deletions make room',
    async check({ alice }) {
      const { body: flow } = await alice('POST', '/flow', { path: '/alice/room', capacity: 2 })
      const add = async (n: number) =>
        (await alice('POST', `/drop/${flow.id}`, { elems: { n } }, 'v4.0')).body
      const [, second] = [await add(0), await add(1)]
      await alice('DELETE', `/drop/${flow.id}/${second.id}`)
      await add(2)
      const { body } = await alice('GET', `/drop/${flow.id}`, undefined, 'v4.0')
      expect(body.map(({ elems }: { elems: { n: number } }) => elems.n)).toEqual([2, 0])
    },
  },
  {
    ref: '5.1',
    fact: 'a flow without capacity stores nothing',
    async check({ alice }) {
      const { body: flow } = await alice('POST', '/flow', { path: '/alice/none-kept', capacity: 0 })
      const { status, body } = await alice('POST', `/drop/${flow.id}`, { elems: { n: 1 }, fhash: 'x' })
      expect([status, body.elems.n.value, body.flowId]).toEqual([201, 1, flow.id])
      expect((await alice('GET', `/drop/${flow.id}`)).body).toEqual([])
    },
  },
  {
    ref: '16.15',
    fact: 'a drop that the filter of the flow refuses is 400, and not stored',
    async check({ alice }) {
      const { body: flow } = await alice('POST', '/flow', { path: '/alice/filtered', filter: 'elems.n > 1' })
      const refusal = await alice('POST', `/drop/${flow.id}`, { elems: { n: 1 } })
      expect([refusal.status, refusal.head.errors[0]]).toEqual([400, expect.stringContaining('elems.n > 1')])
      expect((await alice('POST', `/drop/${flow.id}`, { elems: { n: 2 } })).status).toBe(201)
      expect((await alice('GET', `/drop/${flow.id}`)).body).toHaveLength(1)
      await alice('PUT', `/flow/${flow.id}`, { filter: '' })
      expect((await alice('POST', `/drop/${flow.id}`, { elems: { n: 1 } })).status).toBe(201)
    },
  },
  {
    ref: '10.3',
    fact: 'drops that arrive together are read in the order of their arrival',
    async check({ alice }) {
      const { body: flow } = await alice('POST', '/flow', { path: '/alice/together' })
      const sent = await Promise.all(
        Array.from({ length: 50 }, (_, n) => alice('POST', `/drop/${flow.id}`, { elems: { n } }, 'v4.0')),
      )
      const { body } = await alice('GET', `/drop/${flow.id}?limit=100&order=asc`, undefined, 'v4.0')
      const dates = body.map(({ creationDate }: { creationDate: number }) => creationDate)
      expect(dates).toEqual(dates.toSorted((a: number, b: number) => a - b))
      expect(new Set(body.map(({ id }: { id: string }) => id))).toEqual(
        new Set(sent.map(({ body: drop }) => drop.id)),
      )
    },
  },
]

describe('drops are shown', () => testFacts(() => world, shapes))
describe('drops are found', () => testFacts(() => world, finds))
describe('filters of finds', () => testFacts(() => world, [...filters, ...refused]))
describe('drops are created', () => testFacts(() => world, creation))
describe('fhashes', () => testFacts(() => world, keys))
describe('drops are changed', () => testFacts(() => world, changes))
describe('limits of flows', () => testFacts(() => world, limits))
