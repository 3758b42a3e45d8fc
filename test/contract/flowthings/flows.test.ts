import { afterAll, beforeAll, describe, expect } from 'vitest'
import { type Fact, makeWorld, testFacts, type World } from './facts.ts'

/* Flows: their paths, members and finds. */

let world: World & { close(): Promise<void> }
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

const create = (body: unknown) => () => ({ method: 'POST', path: '/flow', body })

const creation: Fact[] = [
  {
    ref: '5.1',
    fact: 'a flow has its path, a capacity of 1000, and who created it when',
    request: create({ path: '/alice/plain' }),
    status: 201,
    is: ({ aliceId }) => ({
      ...{ id: expect.stringMatching(/^f/), path: '/alice/plain', capacity: 1000 },
      ...{ creationDate: expect.any(Number), creatorId: aliceId },
    }),
  },
  { ref: '5.1', fact: 'a path is required', request: create({}), status: 400, error: /path/ },
  {
    ref: '4',
    fact: 'a path without a slash at its beginning is refused',
    request: create({ path: 'alice/a' }),
    status: 400,
  },
  { ref: '4', fact: 'an empty path is refused', request: create({ path: '' }), status: 400 },
  { ref: '4', fact: 'a path that is no text is refused', request: create({ path: 7 }), status: 400 },
  {
    ref: '4',
    fact: 'a path with the account alone is refused',
    request: create({ path: '/alice' }),
    status: 400,
  },
  { ref: '4', fact: 'so it is with slashes after it', request: create({ path: '/alice//' }), status: 400 },
  {
    ref: '4',
    fact: 'a path of 128 characters is taken',
    request: create({ path: `/alice/${'a'.repeat(121)}` }),
    status: 201,
  },
  {
    ref: '4',
    fact: 'a longer one is refused',
    request: create({ path: `/alice/${'a'.repeat(122)}` }),
    status: 400,
  },
  {
    ref: '4',
    fact: 'capitals and slashes at the end are kept',
    request: create({ path: '/alice/AB12/' }),
    status: 201,
    body: () => ({ path: '/alice/AB12/' }),
  },
  {
    ref: '4',
    fact: 'a doubled slash is kept',
    request: create({ path: '/alice/AB12//send' }),
    status: 201,
    body: () => ({ path: '/alice/AB12//send' }),
  },
  {
    ref: '4',
    fact: 'a colon begins a segment of the system',
    request: create({ path: '/alice/:inbox' }),
    status: 201,
  },
  { ref: '4', fact: 'control characters are refused', request: create({ path: '/alice/a\nb' }), status: 400 },
  {
    ref: '16.13',
    fact: 'a path that is taken is 400',
    request: create({ path: '/alice/sensors' }),
    status: 400,
    error: /already/,
  },
  {
    ref: '16.13',
    fact: 'so it is with a slash at its end',
    request: create({ path: '/alice/sensors/' }),
    status: 400,
  },
  {
    ref: '4',
    fact: 'another case is another path',
    request: create({ path: '/alice/Sensors' }),
    status: 201,
  },
  {
    ref: 'manual',
    fact: 'a path need not begin with an account',
    request: create({ path: '/path/to/flow' }),
    status: 201,
  },
  {
    ref: '4',
    fact: 'a path of another account is refused',
    request: create({ path: '/bob/a' }),
    status: 403,
  },
  { ref: '4', fact: 'whatever its case', request: create({ path: '/BOB/a' }), status: 403 },
  {
    ref: '5.1',
    fact: 'a display name is echoed',
    request: create({ path: '/alice/named', displayName: 'Foo' }),
    status: 201,
    body: () => ({ displayName: 'Foo' }),
  },
  {
    ref: '5.1',
    fact: 'so are a description and members that nobody knows',
    request: create({ path: '/alice/more', description: 'D', public: false, x: { y: [1] } }),
    status: 201,
    body: () => ({ description: 'D', public: false, x: { y: [1] } }),
  },
  {
    ref: '5.1',
    fact: 'a capacity is kept',
    request: create({ path: '/alice/c1', capacity: 5 }),
    status: 201,
    body: () => ({ capacity: 5 }),
  },
  {
    ref: '5.1',
    fact: 'a capacity of 0 is kept',
    request: create({ path: '/alice/c2', capacity: 0 }),
    status: 201,
    body: () => ({ capacity: 0 }),
  },
  {
    ref: '5.1',
    fact: 'a capacity in a text is a number',
    request: create({ path: '/alice/c3', capacity: '50' }),
    status: 201,
    body: () => ({ capacity: 50 }),
  },
  {
    ref: '5.1',
    fact: 'the largest capacity is 100,000',
    request: create({ path: '/alice/c4', capacity: 100_000 }),
    status: 201,
  },
  ...[100_001, -1, 1.5, 'many', null, true].flatMap((capacity, index): Fact[] =>
    capacity === null
      ? [
          {
            ref: '5.1',
            fact: 'a capacity of null is the default',
            request: create({ path: '/alice/cn', capacity }),
            status: 201,
            body: () => ({ capacity: 1000 }),
          },
        ]
      : [
          {
            ref: '5.1',
            fact: `a capacity of ${capacity} is refused`,
            request: create({ path: `/alice/cx${index}`, capacity }),
            status: 400,
            error: /capacity/,
          },
        ],
  ),
  {
    ref: '5.1',
    fact: 'a filter is kept',
    request: create({ path: '/alice/f1', filter: 'EXISTS service_available' }),
    status: 201,
    body: () => ({ filter: 'EXISTS service_available' }),
  },
  {
    ref: '5.1',
    fact: 'an empty filter is echoed',
    request: create({ path: '/alice/f2', filter: '' }),
    status: 201,
    body: () => ({ filter: '' }),
  },
  {
    ref: '5.1',
    fact: 'a filter that cannot be read is refused',
    request: create({ path: '/alice/f3', filter: 'a ==' }),
    status: 400,
    error: /filter/,
  },
  {
    ref: '5.1',
    fact: 'so is one that is no text',
    request: create({ path: '/alice/f4', filter: 7 }),
    status: 400,
  },
  {
    ref: '4',
    fact: 'an id that is sent is not taken',
    request: create({ path: '/alice/id', id: 'f000000000000000000000000' }),
    status: 201,
    check: (_, { body }) => expect(body.id).not.toBe('f000000000000000000000000'),
  },
  {
    ref: '5',
    fact: 'absent members are left out',
    request: create({ path: '/alice/absent', description: null }),
    status: 201,
    check: (_, { body }) => expect(Object.keys(body)).not.toContain('description'),
  },
  {
    ref: '5',
    fact: 'a member named like one of objects is only a member',
    request: create('{"path": "/alice/proto", "__proto__": {"x": 1}, "constructor": 2}'),
    status: 201,
    check: (_, { text }) => expect(text).toContain('"__proto__":{"x":1}'),
  },
  {
    ref: '5',
    fact: 'members past 64 KiB are refused',
    request: create({ path: '/alice/large', x: 'a'.repeat(70_000) }),
    status: 400,
  },
  {
    ref: '5',
    fact: 'half a character is stored as a replacement',
    request: create('{"path": "/alice/half", "displayName": "\\ud83d\\u0000"}'),
    status: 201,
    body: () => ({ displayName: '\uFFFD\uFFFD' }),
  },
]

const reading: Fact[] = [
  {
    ref: '2.1',
    fact: 'a flow is read by its id',
    request: ({ flow }) => ({ path: `/flow/${flow.id}` }),
    is: ({ flow }) => flow,
  },
  {
    ref: '2.1',
    fact: 'several are read by their ids',
    request: ({ flow }) => ({ method: 'MGET', path: '/flow', body: [flow.id] }),
    is: ({ flow }) => ({ [flow.id]: flow }),
  },
  {
    ref: '2.2',
    fact: 'an empty list of ids has an empty result',
    request: () => ({ method: 'MGET', path: '/flow', body: [] }),
    is: () => ({}),
  },
  {
    ref: '2.1',
    fact: 'ids that are no list are refused',
    request: ({ flow }) => ({ method: 'MGET', path: '/flow', body: { id: flow.id } }),
    status: 400,
  },
  {
    ref: 'manual',
    fact: 'a flow is found by its display name',
    request: () => ({ path: `/flow?filter=${encodeURIComponent("displayName == 'Sensors'")}` }),
    is: ({ flow }) => [flow],
  },
  {
    ref: 'manual',
    fact: 'a flow is found by its path',
    request: () => ({ path: `/flow?filter=${encodeURIComponent("path == '/alice/sensors'")}` }),
    is: ({ flow }) => [flow],
  },
  {
    ref: 'manual',
    fact: 'a path that nothing has finds nothing',
    request: () => ({ path: `/flow?filter=${encodeURIComponent("path == '/alice/none'")}` }),
    is: () => [],
  },
  {
    ref: 'manual',
    fact: 'a flow is found by an expression',
    request: () => ({ path: `/flow?filter=${encodeURIComponent('path =~ /^\\/ALICE\\/sensors$/i')}` }),
    check: (_, { body }) => expect(body.length).toBe(2),
  },
  {
    ref: '2.2',
    fact: 'two filters are joined',
    request: () => ({
      path: `/flow?filter=${encodeURIComponent("(displayName == 'Sensors') && (path =~ /^\\/alice/i)")}`,
    }),
    is: ({ flow }) => [flow],
  },
  {
    ref: '2.2',
    fact: 'a filter in form encoding is read',
    request: () => ({
      path: '/flow?filter=%28displayName+%3D%3D+%27Sensors%27%29+%26%26+%28path+%3D~+%2F%5E%5C%2Falice%2Fi%29',
    }),
    is: ({ flow }) => [flow],
  },
  {
    ref: '3',
    fact: 'an empty filter finds all',
    request: () => ({ path: '/flow?filter=' }),
    check: (_, { body }) => expect(body).toHaveLength(20),
  },
  {
    ref: '3',
    fact: 'a find has 20 results',
    request: () => ({ path: '/flow' }),
    check: (_, { body }) => expect(body).toHaveLength(20),
  },
  {
    ref: '3',
    fact: 'the newest come first',
    request: () => ({ path: '/flow?limit=100' }),
    check: ({ flow }, { body }) => expect(body.at(-1).id).toBe(flow.id),
  },
  {
    ref: '3',
    fact: 'order=asc turns that',
    request: () => ({ path: '/flow?order=asc&limit=1' }),
    is: ({ flow }) => [flow],
  },
  {
    ref: '3',
    fact: 'start leaves the first out',
    request: () => ({ path: '/flow?order=asc&limit=1&start=1' }),
    body: () => [{ path: '/alice/plain' }],
  },
  {
    ref: '3',
    fact: 'skip does the same',
    request: () => ({ path: '/flow?order=asc&limit=1&skip=1' }),
    body: () => [{ path: '/alice/plain' }],
  },
  {
    ref: '3',
    fact: 'the largest limit is taken',
    request: () => ({ path: '/flow?limit=2147483647' }),
    check: (_, { body }) => expect(body.length).toBeGreaterThan(20),
  },
  { ref: '3', fact: 'a limit of 0 has no results', request: () => ({ path: '/flow?limit=0' }), is: () => [] },
  {
    ref: '16.18',
    fact: 'a limit that is no number is refused',
    request: () => ({ path: '/flow?limit=x' }),
    status: 400,
    error: /limit/,
  },
  { ref: '16.18', fact: 'so is a negative start', request: () => ({ path: '/flow?start=-1' }), status: 400 },
  {
    ref: '3',
    fact: 'an order of its own kind is refused',
    request: () => ({ path: '/flow?order=geo' }),
    status: 400,
  },
  {
    ref: '3',
    fact: 'flows sort by a member',
    request: () => ({ path: '/flow?sort=capacity&order=desc&limit=1' }),
    body: () => [{ capacity: 100_000 }],
  },
  {
    ref: '3',
    fact: 'what has no such member comes last',
    request: () => ({ path: '/flow?sort=displayName&order=asc&limit=2' }),
    body: () => [{ displayName: 'Foo' }, { displayName: 'Sensors' }],
  },
  {
    ref: '3',
    fact: 'only picks members, and the id stays',
    request: ({ flow }) => ({ path: `/flow/${flow.id}?only=path,capacity` }),
    is: ({ flow }) => ({ id: flow.id, path: flow.path, capacity: 1000 }),
  },
  {
    ref: '3',
    fact: 'it does so in finds',
    request: () => ({ path: '/flow?order=asc&limit=1&only=path' }),
    is: ({ flow }) => [{ id: flow.id, path: flow.path }],
  },
  {
    ref: '6.2',
    fact: 'a filter that cannot be read is 400 with the place',
    request: () => ({ path: `/flow?filter=${encodeURIComponent('a == ')}` }),
    status: 400,
    error: /character \d+/,
  },
  {
    ref: '3.1',
    fact: 'refs describes what results name',
    request: ({ flow }) => ({ path: `/flow/${flow.id}?refs=1` }),
    check: ({ aliceId }, { head }) =>
      expect(head.references).toEqual({ [aliceId]: { id: aliceId, name: 'alice' } }),
  },
  {
    ref: '3.1',
    fact: 'it does so for finds',
    request: () => ({ path: '/flow?refs=1&limit=10' }),
    check: ({ aliceId }, { head }) => expect(head.references[aliceId].name).toBe('alice'),
  },
  {
    ref: '3.1',
    fact: 'refs=0 describes nothing',
    request: () => ({ path: '/flow?refs=0' }),
    check: (_, { head }) => expect(head.references).toEqual({}),
  },
]

const changing: Fact[] = [
  {
    ref: '9',
    fact: 'members that are given replace, and the others stay',
    request: ({ flow }) => ({ method: 'PUT', path: `/flow/${flow.id}`, body: { displayName: 'Foo' } }),
    check: ({ flow, aliceId }, { body }) =>
      expect(body).toEqual({
        ...flow,
        displayName: 'Foo',
        lastEditDate: expect.any(Number),
        lastEditorId: aliceId,
      }),
  },
  {
    ref: '9',
    fact: 'a whole resource may be sent back',
    request: ({ flow }) => ({
      method: 'PUT',
      path: `/flow/${flow.id}`,
      body: { ...flow, displayName: 'Sensors' },
    }),
    body: ({ flow }) => flow,
  },
  {
    ref: '9',
    fact: 'the creation does not change',
    request: ({ flow }) => ({
      method: 'PUT',
      path: `/flow/${flow.id}`,
      body: { creationDate: 1, creatorId: 'i0' },
    }),
    body: ({ flow }) => ({ creationDate: flow.creationDate, creatorId: flow.creatorId }),
  },
  {
    ref: '9',
    fact: 'the id of another one is refused',
    request: ({ flow, kept }) => ({
      method: 'PUT',
      path: `/flow/${flow.id}`,
      body: { id: kept['other'] ?? 'f000000000000000000000000' },
    }),
    status: 400,
  },
  {
    ref: '9',
    fact: 'null removes a member',
    request: ({ flow }) => ({ method: 'PUT', path: `/flow/${flow.id}`, body: { description: null } }),
    check: (_, { body }) => expect(Object.keys(body)).not.toContain('description'),
  },
  {
    ref: '2.1',
    fact: 'one member is changed by its name',
    request: ({ flow }) => ({ method: 'PUT', path: `/flow/${flow.id}/description`, body: '"Text"' }),
    body: () => ({ description: 'Text', displayName: 'Sensors' }),
  },
  {
    ref: '2.1',
    fact: 'several flows are changed together',
    request: ({ flow }) => ({ method: 'MPUT', path: '/flow', body: { [flow.id]: { id: flow.id, x: 1 } } }),
    body: ({ flow }) => ({ [flow.id]: { x: 1 } }),
  },
  {
    ref: '2.1',
    fact: 'none of them is changed if one cannot be',
    request: ({ flow }) => ({
      method: 'MPUT',
      path: '/flow',
      body: { [flow.id]: { x: 2 }, ff551ac39bd4c6c0000000000: { x: 2 } },
    }),
    status: 404,
    check: async ({ alice, flow }) => expect((await alice('GET', `/flow/${flow.id}`)).body.x).toBe(1),
  },
  {
    ref: '5.1',
    fact: 'an empty filter clears one',
    request: ({ flow }) => ({ method: 'PUT', path: `/flow/${flow.id}`, body: { filter: '' } }),
    body: () => ({ filter: '' }),
  },
  {
    ref: '9',
    fact: 'a path that is taken is refused',
    request: ({ flow }) => ({ method: 'PUT', path: `/flow/${flow.id}`, body: { path: '/alice/plain' } }),
    status: 400,
  },
  {
    ref: '9',
    fact: 'a change of an unknown flow is 404',
    request: () => ({ method: 'PUT', path: '/flow/ff551ac39bd4c6c0000000000', body: {} }),
    status: 404,
  },
  {
    ref: '9',
    fact: 'a change without a body is 400',
    request: ({ flow }) => ({ method: 'PUT', path: `/flow/${flow.id}` }),
    status: 400,
  },
  {
    ref: '9',
    fact: 'a flow moves with its drops',
    request: ({ flow }) => ({ method: 'PUT', path: `/flow/${flow.id}`, body: { path: '/alice/moved' } }),
    check: async ({ alice, flow }) => {
      expect((await alice('GET', `/drop/${flow.id}`)).body.map(({ path }: { path: string }) => path)).toEqual(
        Array(3).fill('/alice/moved'),
      )
      expect((await alice('PUT', `/flow/${flow.id}`, { path: '/alice/sensors' })).status).toBe(200)
    },
  },
  {
    ref: '2.1',
    fact: 'a deletion has an empty object',
    request: ({ flow }) => ({ method: 'DELETE', path: `/flow/${flow.id}` }),
    is: () => ({}),
  },
  {
    ref: '2.1',
    fact: 'after it the flow is not there',
    request: ({ flow }) => ({ path: `/flow/${flow.id}` }),
    status: 404,
  },
  {
    ref: '2.1',
    fact: 'nor are its drops',
    request: ({ flow }) => ({ path: `/drop/${flow.id}` }),
    status: 404,
  },
  {
    ref: '2.1',
    fact: 'it cannot be deleted again',
    request: ({ flow }) => ({ method: 'DELETE', path: `/flow/${flow.id}` }),
    status: 404,
  },
  { ref: '16.13', fact: 'its path is free', request: create({ path: '/alice/sensors' }), status: 201 },
]

describe('flows are created', () => testFacts(() => world, creation))
describe('flows are read', () => testFacts(() => world, reading))
describe('flows are changed', () => testFacts(() => world, changing))
