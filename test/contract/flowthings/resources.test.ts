import { afterAll, beforeAll, describe, expect } from 'vitest'
import { type Fact, makeWorld, testFacts, unknownFlow, type World } from './facts.ts'

/* Groups, identities, tokens, shares, devices and tasks: their members, and what they let others do. */

let world: World & { close(): Promise<void> }
beforeAll(async () => {
  world = await makeWorld()
  for (const path of ['/alice/a', '/alice/a/b', '/alice/ab', '/alice/c'])
    world.kept[path] = (await world.alice('POST', '/flow', { path })).body
})
afterAll(() => world.close())

const create = (kind: string, body: unknown) => () => ({ method: 'POST', path: `/${kind}`, body })
const at = ({ kept }: World, path: string): string => kept[path].id

const identities: Fact[] = [
  {
    ref: '2.1',
    fact: 'the first identity is that of the account',
    request: () => ({ path: '/identity' }),
    body: ({ aliceId }) => [{ id: aliceId, name: 'alice' }],
  },
  {
    ref: '2.1',
    fact: 'an identity is read',
    request: ({ aliceId }) => ({ path: `/identity/${aliceId}` }),
    body: () => ({ name: 'alice', groupIds: [], shares: {} }),
  },
  {
    ref: '5.4',
    fact: 'the master token is not shown',
    request: ({ aliceId }) => ({ path: `/identity/${aliceId}` }),
    check: ({ alice }, { text }) => expect(text).not.toContain(alice.token),
  },
  {
    ref: '2.1',
    fact: 'its members are changed',
    request: ({ aliceId }) => ({
      method: 'PUT',
      path: `/identity/${aliceId}`,
      body: { firstName: 'Alice', email: 'a@example.com' },
    }),
    body: () => ({ firstName: 'Alice', email: 'a@example.com', name: 'alice' }),
  },
  {
    ref: '2.1',
    fact: 'a whole one may be sent back',
    request: ({ aliceId }) => ({
      method: 'PUT',
      path: `/identity/${aliceId}`,
      body: { id: aliceId, name: 'alice', groupIds: ['g'], shares: {} },
    }),
    body: () => ({ name: 'alice', groupIds: [] }),
  },
  {
    ref: '16.19',
    fact: 'its name is that of the account, for ever',
    request: ({ aliceId }) => ({ method: 'PUT', path: `/identity/${aliceId}`, body: { name: 'eve' } }),
    status: 400,
  },
  {
    ref: '16.19',
    fact: 'clients create no identities',
    request: create('identity', { name: 'eve' }),
    status: 403,
  },
  {
    ref: '16.19',
    fact: 'nor do they delete them',
    request: ({ aliceId }) => ({ method: 'DELETE', path: `/identity/${aliceId}` }),
    status: 400,
  },
  {
    ref: '5.4',
    fact: 'the identity of another account is 404',
    request: ({ bobId }) => ({ path: `/identity/${bobId}` }),
    status: 404,
  },
]

const groups: Fact[] = [
  {
    ref: '5.4',
    fact: 'a group has members',
    request: ({ bobId }) => ({
      method: 'POST',
      path: '/group',
      body: { displayName: 'Friends', memberIds: [bobId] },
    }),
    status: 201,
    body: ({ bobId }) => ({ displayName: 'Friends', memberIds: [bobId], id: expect.stringMatching(/^g/) }),
    check: (there, { body }) => {
      there.kept['group'] = body
    },
  },
  {
    ref: '5.4',
    fact: 'the list of members is required',
    request: create('group', { displayName: 'X' }),
    status: 400,
  },
  { ref: '5.4', fact: 'members are identities', request: create('group', { memberIds: ['x'] }), status: 400 },
  {
    ref: '5.4',
    fact: 'members are there',
    request: create('group', { memberIds: ['i00000000000000000000000a'] }),
    status: 400,
  },
  {
    ref: '5.4',
    fact: 'an identity knows its groups',
    request: ({ bobId }) => ({ as: 'bob', path: `/identity/${bobId}` }),
    body: ({ kept }) => ({ groupIds: [kept['group'].id] }),
  },
  {
    ref: '5.4',
    fact: 'a group of another account is 404',
    request: ({ kept }) => ({ as: 'bob', path: `/group/${kept['group'].id}` }),
    status: 404,
  },
  {
    ref: '3.1',
    fact: 'refs describes members',
    request: ({ kept }) => ({ path: `/group/${kept['group'].id}?refs=1` }),
    check: ({ bobId }, { head }) => expect(head.references[bobId]).toEqual({ id: bobId, name: 'bob' }),
  },
  {
    ref: '2.1',
    fact: 'a group is changed',
    request: ({ kept }) => ({
      method: 'PUT',
      path: `/group/${kept['group'].id}`,
      body: { description: 'D' },
    }),
    body: ({ bobId }) => ({ description: 'D', memberIds: [bobId] }),
  },
]

const tokens: Fact[] = [
  {
    ref: '5.5',
    fact: 'a token has a text of 28 letters and digits',
    request: create('token', { paths: { '/alice/a': { dropRead: true } }, description: 'Reader' }),
    status: 201,
    body: ({ aliceId }) => ({
      paths: { '/alice/a': { dropRead: true } },
      description: 'Reader',
      issuedBy: aliceId,
      tokenString: expect.stringMatching(/^[A-Za-z0-9]{28}$/),
    }),
    check: (there, { body }) => {
      expect(body.id).toMatch(/^k[0-9a-f]{24}$/)
      expect(body).not.toHaveProperty('expiresInMs')
      there.kept['reader'] = body
    },
  },
  {
    ref: '5.5',
    fact: 'its text is there when it is read',
    request: ({ kept }) => ({ path: `/token/${kept['reader'].id}` }),
    is: ({ kept }) => kept['reader'],
  },
  { ref: '5.5', fact: 'paths are required', request: create('token', {}), status: 400 },
  {
    ref: '5.5',
    fact: 'a path has permissions',
    request: create('token', { paths: { '/alice/a': true } }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'a permission is true or false',
    request: create('token', { paths: { '/alice/a': { dropRead: 'yes' } } }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'an unknown permission is refused',
    request: create('token', { paths: { '/alice/a': { fly: true } } }),
    status: 400,
    error: /dropRead/,
  },
  {
    ref: '5.5',
    fact: 'so is a path without a slash',
    request: create('token', { paths: { a: { dropRead: true } } }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'a duration counts down',
    request: create('token', { paths: { '/alice/a': { read: true } }, duration: 60_000 }),
    status: 201,
    check: (_, { body }) => expect(body.expiresInMs).toBeLessThanOrEqual(60_000),
  },
  {
    ref: '5.5',
    fact: 'what is left of a duration cannot be set in its place',
    request: create('token', { paths: { '/alice/a': { read: true } }, expiresInMs: 60_000 }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'what is left of a duration may be sent with it, as a client that copies a token does',
    request: create('token', { paths: { '/alice/a': { read: true } }, duration: 60_000, expiresInMs: 5 }),
    status: 201,
    body: () => ({ duration: 60_000, expiresInMs: 60_000 }),
  },
  {
    ref: '5.5',
    fact: 'a duration that is none is refused',
    request: create('token', { paths: { '/alice/a': { read: true } }, duration: 0 }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'a token is not changed',
    request: ({ kept }) => ({
      method: 'PUT',
      path: `/token/${kept['reader'].id}`,
      body: { description: 'X' },
    }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'with a token drops are read at its path',
    request: (w) => ({ token: w.kept['reader'].tokenString, path: `/drop/${at(w, '/alice/a')}` }),
  },
  {
    ref: '5.5',
    fact: 'and below it',
    request: (w) => ({ token: w.kept['reader'].tokenString, path: `/drop/${at(w, '/alice/a/b')}` }),
  },
  {
    ref: '5.5',
    fact: 'a path that begins alike is another one',
    request: (w) => ({ token: w.kept['reader'].tokenString, path: `/drop/${at(w, '/alice/ab')}` }),
    status: 403,
  },
  {
    ref: '5.5',
    fact: 'so its flow is not seen',
    request: (w) => ({ token: w.kept['reader'].tokenString, path: `/flow/${at(w, '/alice/ab')}` }),
    status: 403,
  },
  {
    ref: '16.10',
    fact: 'in a bulk read it is left out',
    request: (w) => ({
      token: w.kept['reader'].tokenString,
      method: 'MGET',
      path: '/flow',
      body: [at(w, '/alice/a'), at(w, '/alice/ab')],
    }),
    check: (w, { body }) => expect(Object.keys(body)).toEqual([at(w, '/alice/a')]),
  },
  {
    ref: '2.1',
    fact: 'finds have the flows of the token alone',
    request: (w) => ({ token: w.kept['reader'].tokenString, path: '/flow?order=asc' }),
    check: (_, { body }) =>
      expect(body.map(({ path }: { path: string }) => path)).toEqual(['/alice/a', '/alice/a/b']),
  },
  {
    ref: '2.1',
    fact: 'a find by a path that is not the token’s finds nothing',
    request: (w) => ({
      token: w.kept['reader'].tokenString,
      path: `/flow?filter=${encodeURIComponent("path == '/alice/ab'")}`,
    }),
    is: () => [],
  },
  {
    ref: '5.5',
    fact: 'a token that only reads writes no drops',
    request: (w) => ({
      token: w.kept['reader'].tokenString,
      method: 'POST',
      path: `/drop/${at(w, '/alice/a')}`,
      body: { elems: {} },
    }),
    status: 403,
  },
  {
    ref: '5.5',
    fact: 'nor does it empty a flow',
    request: (w) => ({
      token: w.kept['reader'].tokenString,
      method: 'DELETE',
      path: `/drop/${at(w, '/alice/a')}`,
    }),
    status: 403,
  },
  ...(['flow', 'track', 'token', 'share', 'group', 'device', 'mqtt'] as const).map(
    (kind): Fact => ({
      ref: '5.5',
      fact: `a token creates no ${kind}`,
      request: (w) => ({
        token: w.kept['reader'].tokenString,
        method: 'POST',
        path: `/${kind}`,
        body: { path: '/alice/a/new' },
      }),
      status: 403,
    }),
  ),
  {
    ref: '5.5',
    fact: 'nor does it change its flow',
    request: (w) => ({
      token: w.kept['reader'].tokenString,
      method: 'PUT',
      path: `/flow/${at(w, '/alice/a')}`,
      body: { capacity: 1 },
    }),
    status: 403,
  },
  {
    ref: '5.5',
    fact: 'or delete it',
    request: (w) => ({
      token: w.kept['reader'].tokenString,
      method: 'DELETE',
      path: `/flow/${at(w, '/alice/a')}`,
    }),
    status: 403,
  },
  {
    ref: '2.1',
    fact: 'a token sees itself alone',
    request: (w) => ({ token: w.kept['reader'].tokenString, path: '/token' }),
    is: ({ kept }) => [kept['reader']],
  },
  {
    ref: '2.1',
    fact: 'and no groups',
    request: (w) => ({ token: w.kept['reader'].tokenString, path: '/group' }),
    is: () => [],
  },
  {
    ref: '5.5',
    fact: 'a token of another account is that account’s',
    request: (w) => ({ as: 'bob', token: w.kept['reader'].tokenString, path: '/flow' }),
    status: 403,
  },
  {
    ref: '5.5',
    fact: 'a token that only writes sees the flow, and reads no drops',
    async check(w) {
      const { body } = await w.alice('POST', '/token', { paths: { '/alice/c': { dropWrite: true } } })
      const writer = w.things.as('alice', body.tokenString)
      expect((await writer('POST', '/drop', { path: '/alice/c', elems: { n: 1 } })).status).toBe(201)
      expect((await writer('GET', '/flow')).body).toMatchObject([{ path: '/alice/c' }])
      const { body: drop } = await w.alice('POST', `/drop/${at(w, '/alice/c')}`, { elems: { secret: 1 } })
      for (const [method, path, sent] of [
        ['GET', `/drop/${drop.flowId}`],
        ['GET', `/drop/${drop.flowId}/${drop.id}`],
        ['MGET', `/drop/${drop.flowId}`, [drop.id]],
        ['PUT', `/drop/${drop.flowId}/${drop.id}`, { location: { lat: 1, lon: 1 } }],
        ['POST', `/drop/${drop.flowId}/aggregate`, { output: ['$count'] }],
      ] as const)
        expect((await writer(method, path, sent)).status, `${method} ${path}`).toBe(403)
      expect((await writer('MGET', '/drop', [{ flowId: drop.flowId }])).body).toEqual({})
    },
  },
  {
    ref: '5.5',
    fact: 'administer includes the other permissions for drops',
    async check(w) {
      const { body } = await w.alice('POST', '/token', { paths: { '/alice/c': { administer: true } } })
      const token = w.things.as('alice', body.tokenString)
      expect((await token('GET', `/drop/${at(w, '/alice/c')}`)).status).toBe(200)
      expect((await token('POST', `/drop/${at(w, '/alice/c')}`, { elems: {} })).status).toBe(201)
      expect((await token('DELETE', `/flow/${at(w, '/alice/c')}`)).status).toBe(403)
    },
  },
  {
    ref: '5.5',
    fact: 'a path with a slash at its end covers what one without it does',
    async check(w) {
      const { body } = await w.alice('POST', '/token', { paths: { '/alice/a/': { dropRead: true } } })
      const token = w.things.as('alice', body.tokenString)
      expect((await token('GET', `/drop/${at(w, '/alice/a/b')}`)).status).toBe(200)
      expect((await token('GET', `/drop/${at(w, '/alice/ab')}`)).status).toBe(403)
    },
  },
  {
    ref: '5.5',
    fact: 'an expired token is refused like a wrong one',
    async check(w) {
      const { body } = await w.alice('POST', '/token', { paths: { '/alice/a': { read: true } }, duration: 1 })
      const token = w.things.as('alice', body.tokenString)
      await expect.poll(async () => (await token('GET', '/flow')).status).toBe(403)
      expect((await w.alice('GET', `/token/${body.id}`)).status).toBe(404)
    },
  },
  {
    ref: '5.5',
    fact: 'a token is deleted',
    request: ({ kept }) => ({ method: 'DELETE', path: `/token/${kept['reader'].id}` }),
    is: () => ({}),
  },
  {
    ref: '5.5',
    fact: 'a deleted token is refused like a wrong one',
    request: (w) => ({ token: w.kept['reader'].tokenString, path: '/flow' }),
    status: 403,
  },
]

const shares: Fact[] = [
  {
    ref: '16.21',
    fact: 'without a share a flow of another account is 404',
    request: (w) => ({ as: 'bob', path: `/flow/${at(w, '/alice/a')}` }),
    status: 404,
  },
  {
    ref: '16.21',
    fact: 'so are its drops',
    request: (w) => ({ as: 'bob', path: `/drop/${at(w, '/alice/a')}` }),
    status: 404,
  },
  {
    ref: '16.21',
    fact: 'its path is as if nothing were there',
    request: () => ({ as: 'bob', path: '/drop?path=/alice/a' }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'a share is issued to an identity',
    request: (w) => ({
      method: 'POST',
      path: '/share',
      body: { issuedTo: w.bobId, paths: { '/alice/a': { read: true, dropRead: true } } },
    }),
    status: 201,
    body: ({ bobId, aliceId }) => ({ issuedTo: bobId, issuedBy: aliceId, id: expect.stringMatching(/^s/) }),
    check: (there, { body }) => {
      there.kept['share'] = body
    },
  },
  {
    ref: '5.5',
    fact: 'issuedTo is required',
    request: create('share', { paths: { '/alice/a': { read: true } } }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'it is an identity that is there',
    request: create('share', {
      issuedTo: 'i00000000000000000000000a',
      paths: { '/alice/a': { read: true } },
    }),
    status: 400,
  },
  {
    ref: '16.21',
    fact: 'with it the flow is read',
    request: (w) => ({ as: 'bob', path: `/flow/${at(w, '/alice/a')}` }),
    body: () => ({ path: '/alice/a' }),
  },
  {
    ref: '16.21',
    fact: 'its drops are, by its path, too',
    request: () => ({ as: 'bob', path: '/drop?path=/alice/a/b' }),
  },
  {
    ref: '16.21',
    fact: 'it is among the flows',
    request: () => ({ as: 'bob', path: '/flow?order=asc' }),
    check: (_, { body }) =>
      expect(body.map(({ path }: { path: string }) => path)).toEqual(['/alice/a', '/alice/a/b']),
  },
  {
    ref: '16.21',
    fact: 'it is found by its path',
    request: () => ({ as: 'bob', path: `/flow?filter=${encodeURIComponent("path == '/alice/a'")}` }),
    body: () => [{ path: '/alice/a' }],
  },
  {
    ref: '16.21',
    fact: 'a path that begins alike is not shared',
    request: (w) => ({ as: 'bob', path: `/flow/${at(w, '/alice/ab')}` }),
    status: 404,
  },
  {
    ref: '5.5',
    fact: 'what it does not permit is 403',
    request: (w) => ({ as: 'bob', method: 'POST', path: `/drop/${at(w, '/alice/a')}`, body: { elems: {} } }),
    status: 403,
  },
  {
    ref: '5.5',
    fact: 'it is seen by who issued it',
    request: ({ kept }) => ({ path: `/share/${kept['share'].id}` }),
    is: ({ kept }) => kept['share'],
  },
  {
    ref: '5.4',
    fact: 'an identity knows its shares',
    request: ({ bobId }) => ({ as: 'bob', path: `/identity/${bobId}` }),
    check: ({ kept }, { body }) =>
      expect(body.shares[kept['share'].id]).toEqual({ paths: kept['share'].paths }),
  },
  {
    ref: '5.5',
    fact: 'a share is not changed',
    request: ({ kept }) => ({ method: 'PUT', path: `/share/${kept['share'].id}`, body: {} }),
    status: 400,
  },
  {
    ref: '5.5',
    fact: 'a token of the receiver does not have what is shared',
    async check(w) {
      const { body } = await w.bob('POST', '/token', { paths: { '/alice/a': { dropRead: true } } })
      expect((await w.things.as('bob', body.tokenString)('GET', `/drop/${at(w, '/alice/a')}`)).status).toBe(
        404,
      )
    },
  },
  {
    ref: '5.5',
    fact: 'a share is deleted',
    request: ({ kept }) => ({ method: 'DELETE', path: `/share/${kept['share'].id}` }),
    is: () => ({}),
  },
  {
    ref: '5.5',
    fact: 'after it nothing is seen',
    request: (w) => ({ as: 'bob', path: `/flow/${at(w, '/alice/a')}` }),
    status: 404,
  },
  {
    ref: '5.5',
    fact: 'a share to a group is one to its members',
    async check(w) {
      const { body } = await w.alice('POST', '/share', {
        issuedTo: w.kept['group'].id,
        paths: { '/alice/a': { dropWrite: true } },
      })
      const write = () => w.bob('POST', `/drop/${at(w, '/alice/a')}`, { elems: { by: 'bob' } })
      expect((await write()).status).toBe(201)
      expect((await w.bob('GET', `/drop/${at(w, '/alice/a')}`)).status).toBe(403)
      await w.alice('PUT', `/group/${w.kept['group'].id}`, { memberIds: [] })
      expect((await write()).status).toBe(404)
      await w.alice('DELETE', `/share/${body.id}`)
    },
  },
  {
    ref: '5.5',
    fact: 'write lets the receiver create and change flows there, which belong to the account of the path',
    async check(w) {
      const { body: share } = await w.alice('POST', '/share', {
        issuedTo: w.bobId,
        paths: { '/alice/open': { write: true } },
      })
      const { body: flow } = await w.bob('POST', '/flow', { path: '/alice/open/x' })
      expect(flow.creatorId).toBe(w.bobId)
      expect((await w.bob('PUT', `/flow/${flow.id}`, { capacity: 7 })).body.capacity).toBe(7)
      expect((await w.bob('DELETE', `/flow/${flow.id}`)).status).toBe(403)
      expect((await w.bob('PUT', `/flow/${flow.id}`, { path: '/bob/taken' })).status).toBe(400)
      expect((await w.bob('PUT', `/flow/${flow.id}`, { path: '/alice/elsewhere' })).status).toBe(403)
      await w.alice('DELETE', `/share/${share.id}`)
      expect((await w.bob('GET', `/flow/${flow.id}`)).status).toBe(404)
      expect((await w.alice('GET', `/flow/${flow.id}`)).status).toBe(200)
    },
  },
  {
    ref: '5.5',
    fact: 'a track reads what is shared for as long as it is',
    async check(w) {
      const { body: share } = await w.alice('POST', '/share', {
        issuedTo: w.bobId,
        paths: { '/alice/c': { dropRead: true } },
      })
      const { body: mine } = await w.bob('POST', '/flow', { path: '/bob/copy' })
      const { status } = await w.bob('POST', '/track', { source: '/alice/c', destination: '/bob/copy' })
      expect(status).toBe(201)
      const copied = async () => (await w.bob('GET', `/drop/${mine.id}`)).body.length
      await w.alice('POST', `/drop/${at(w, '/alice/c')}`, { elems: { n: 1 } })
      expect(await copied()).toBe(1)
      await w.alice('DELETE', `/share/${share.id}`)
      expect((await w.alice('POST', `/drop/${at(w, '/alice/c')}`, { elems: { n: 2 } })).status).toBe(201)
      expect(await copied()).toBe(1)
    },
  },
]

const devices: Fact[] = [
  {
    ref: '5.6',
    fact: 'a device has a token, flows below its path, and was not seen',
    request: create('device', { path: '/alice/sensor', displayName: 'Sensor' }),
    status: 201,
    body: () => ({
      path: '/alice/sensor',
      displayName: 'Sensor',
      status: 'UNSEEN',
      timeSinceLastSeen: -1,
      reportPeriodicity: 60_000,
      tokenId: expect.stringMatching(/^k/),
      id: expect.stringMatching(/^v/),
    }),
    check: async (w, { body }) => {
      w.kept['device'] = body
      const { body: flows } = await w.alice(
        'GET',
        `/flow?filter=${encodeURIComponent('path =~ /^\\/alice\\/sensor\\//')}`,
      )
      expect(flows.map(({ path }: { path: string }) => path).sort()).toEqual(
        ['command', 'default', 'report'].map((name) => `/alice/sensor/${name}`),
      )
    },
  },
  {
    ref: '5.6',
    fact: 'its token reads and writes drops below its path',
    async check(w) {
      const { body } = await w.alice('GET', `/token/${w.kept['device'].tokenId}`)
      const device = w.things.as('alice', body.tokenString)
      expect((await device('POST', '/drop', { path: '/alice/sensor/default', elems: { n: 1 } })).status).toBe(
        201,
      )
      expect((await device('GET', '/drop?path=/alice/sensor/command')).status).toBe(200)
      expect((await device('GET', '/drop?path=/alice/c')).status).toBe(403)
    },
  },
  {
    ref: '5.6',
    fact: 'after a drop it was seen',
    request: ({ kept }) => ({ path: `/device/${kept['device'].id}` }),
    body: () => ({ status: 'SEEN', lastSeen: expect.any(Number) }),
  },
  { ref: '5.6', fact: 'a path is required', request: create('device', { displayName: 'X' }), status: 400 },
  {
    ref: '5.6',
    fact: 'the path may be that of a flow',
    request: create('device', { path: '/alice/c' }),
    status: 201,
  },
  {
    ref: '5.6',
    fact: 'it is one of the account',
    request: create('device', { path: '/bob/x' }),
    status: 403,
  },
  {
    ref: '5.6',
    fact: 'it does not change',
    request: ({ kept }) => ({
      method: 'PUT',
      path: `/device/${kept['device'].id}`,
      body: { path: '/alice/other' },
    }),
    status: 400,
  },
  {
    ref: '5.6',
    fact: 'other members do',
    request: ({ kept }) => ({
      method: 'PUT',
      path: `/device/${kept['device'].id}`,
      body: { deviceSummary: { os: 'x' } },
    }),
    body: ({ kept }) => ({ deviceSummary: { os: 'x' }, tokenId: kept['device'].tokenId }),
  },
  {
    ref: '5.6',
    fact: 'a device is deleted with its token',
    request: ({ kept }) => ({ method: 'DELETE', path: `/device/${kept['device'].id}` }),
    check: async ({ alice, kept }) =>
      expect((await alice('GET', `/token/${kept['device'].tokenId}`)).status).toBe(404),
  },
]

const tasks: Fact[] = [
  {
    ref: '5.7',
    fact: 'a task has a period of an hour',
    request: create('rss', { destination: '/alice/c', url: 'https://example.com/feed' }),
    status: 201,
    body: () => ({
      periodicity: 3_600_000,
      url: 'https://example.com/feed',
      id: expect.stringMatching(/^r/),
    }),
  },
  {
    ref: '5.7',
    fact: 'the period is a minute or more',
    request: create('rss', { destination: '/alice/c', url: 'https://example.com/feed', periodicity: 59_999 }),
    status: 400,
  },
  {
    ref: '5.7',
    fact: 'a feed has a URL',
    request: create('rss', { destination: '/alice/c', url: 'file:///etc/passwd' }),
    status: 400,
  },
  {
    ref: '5.7',
    fact: 'the destination is there',
    request: create('rss', { destination: '/alice/none', url: 'https://example.com/feed' }),
    status: 400,
  },
  {
    ref: '5.7',
    fact: 'an api-task has a function',
    request: create('api-task', { destination: '/alice/c', js: 'function () {}' }),
    status: 201,
    body: () => ({ js: 'function () {}', id: expect.stringMatching(/^q/) }),
  },
  {
    ref: '5.7',
    fact: 'it is required',
    request: create('api-task', { destination: '/alice/c' }),
    status: 400,
  },
  {
    ref: '5.7',
    fact: 'an mqtt task has a URI and a topic',
    request: create('mqtt', {
      uri: 'tcp://broker.example:1883',
      topic: 'a/#',
      destination: '/alice/c',
      qos: 1,
      version: '3.1.1',
    }),
    status: 201,
    body: () => ({ topic: 'a/#', qos: 1, id: expect.stringMatching(/^m/) }),
    check: (there, { body }) => {
      there.kept['mqtt'] = body
    },
  },
  {
    ref: '5.7',
    fact: 'a topic is required',
    request: create('mqtt', { uri: 'tcp://broker.example', destination: '/alice/c' }),
    status: 400,
  },
  {
    ref: '5.7',
    fact: 'it has a source or a destination',
    request: create('mqtt', { uri: 'tcp://broker.example', topic: 'a' }),
    status: 400,
  },
  {
    ref: '5.7',
    fact: 'and not both',
    request: create('mqtt', {
      uri: 'tcp://broker.example',
      topic: 'a',
      source: '/alice/c',
      destination: '/alice/c',
    }),
    status: 400,
  },
  {
    ref: '5.7',
    fact: 'qos is 0, 1 or 2',
    request: create('mqtt', { uri: 'tcp://broker.example', topic: 'a', source: '/alice/c', qos: 3 }),
    status: 400,
  },
  {
    ref: '5.7',
    fact: 'a task is changed',
    request: ({ kept }) => ({
      method: 'PUT',
      path: `/mqtt/${kept['mqtt'].id}`,
      body: { disabled: true, status: 'OK' },
    }),
    check: (_, { body }) => expect([body.disabled, body.status]).toEqual([true, undefined]),
  },
  {
    ref: '5.7',
    fact: 'the result of a change is checked',
    request: ({ kept }) => ({ method: 'PUT', path: `/mqtt/${kept['mqtt'].id}`, body: { topic: null } }),
    status: 400,
  },
  { ref: '5.7', fact: 'tasks are found', request: () => ({ path: '/mqtt' }), body: () => [{ topic: 'a/#' }] },
  {
    ref: '5.7',
    fact: 'a task of another account is 404',
    request: ({ kept }) => ({ as: 'bob', path: `/mqtt/${kept['mqtt'].id}` }),
    status: 404,
  },
  {
    ref: '5.7',
    fact: 'a task is deleted',
    request: ({ kept }) => ({ method: 'DELETE', path: `/mqtt/${kept['mqtt'].id}` }),
    is: () => ({}),
  },
]

const isolation: Fact[] = [
  ...(['flow', 'track', 'token', 'share', 'device', 'api-task', 'mqtt', 'rss'] as const).map(
    (kind): Fact => ({
      ref: '16.21',
      fact: `another account finds no ${kind} of Alice`,
      request: () => ({ as: 'bob', path: `/${kind}?limit=1000` }),
      check: (_, { text }) =>
        expect(text.replaceAll('/alice/a"', '').replaceAll('/alice/c"', '')).not.toMatch(
          /\/alice\/(sensors|ab|sensor)\b/,
        ),
    }),
  ),
  {
    ref: '16.21',
    fact: 'nor does it read drops of hers in several flows',
    request: ({ flow }) => ({
      as: 'bob',
      method: 'MGET',
      path: '/drop',
      body: [{ flowId: flow.id }, { flowId: unknownFlow }],
    }),
    is: () => ({}),
  },
  {
    ref: '16.21',
    fact: 'nor change them',
    request: ({ flow, drops }) => ({
      as: 'bob',
      method: 'PUT',
      path: `/drop/${flow.id}/${drops[0].id}`,
      body: { elems: {} },
    }),
    status: 404,
  },
  {
    ref: '16.21',
    fact: 'nor delete them',
    request: ({ flow }) => ({ as: 'bob', method: 'DELETE', path: `/drop/${flow.id}` }),
    status: 404,
  },
  {
    ref: '16.21',
    fact: 'nor her flow',
    request: ({ flow }) => ({ as: 'bob', method: 'DELETE', path: `/flow/${flow.id}` }),
    status: 404,
  },
  {
    ref: '16.21',
    fact: 'nor aggregate them',
    request: ({ flow }) => ({
      as: 'bob',
      method: 'POST',
      path: `/drop/${flow.id}/aggregate`,
      body: { output: ['$count'] },
    }),
    status: 404,
  },
  {
    ref: '16.21',
    fact: 'nor count them',
    request: ({ flow }) => ({ as: 'bob', path: `/statistics/flowDropAdded/${flow.id}` }),
    status: 404,
  },
  {
    ref: '3.1',
    fact: 'references have nothing of hers',
    request: () => ({ as: 'bob', path: '/track?refs=1' }),
    check: ({ aliceId }, { text }) => expect(text).not.toContain(aliceId),
  },
]

describe('identities', () => testFacts(() => world, identities))
describe('groups', () => testFacts(() => world, groups))
describe('tokens', () => testFacts(() => world, tokens))
describe('shares', () => testFacts(() => world, shares))
describe('devices', () => testFacts(() => world, devices))
describe('tasks', () => testFacts(() => world, tasks))
describe('isolation', () => testFacts(() => world, isolation))
