import { afterAll, beforeAll, describe, expect } from 'vitest'
import { type Fact, facts, makeWorld, testFacts, type World } from './facts.ts'

let world: World & { close(): Promise<void> }

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

const json = 'application/json; charset=utf-8'
const base64 = (text: string) => Buffer.from(text).toString('base64')
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const say = (more: object = {}) => ({ event: 'message', content: 'said', ...more })
const post =
  (path: string, body?: unknown, as: 'Ada' | 'Ben' | 'Cleo' | 'nobody' = 'Ada') =>
  () => ({
    as,
    method: 'POST',
    path,
    body,
  })
const get =
  (path: string, as: 'Ada' | 'Ben' | 'Cleo' | 'nobody' = 'Ada') =>
  () => ({ as, path })
/** A state of a thread with all members that can be removed. */
const threadState = {
  ...{ body: 'b', external_url: 'https://example.com/1', status: { color: 'red', value: 'on' } },
  fields: [{ label: 'l', value: 'v' }],
  actions: [{ '@type': 'ViewAction', name: 'Diff', url: 'https://example.com/2' }],
}
const noThreadState = { body: null, external_url: null, fields: null, status: null, actions: null }
const problem = (name: string, text: string) => () => ({
  message: 'Validation error',
  errors: { [name]: [expect.stringContaining(text)] },
})

describe('transport', () => {
  testFacts(
    () => world,
    [
      { ref: '§1.1', fact: 'a path may begin with /v1', request: get('/v1/user'), status: 200 },
      { ref: '§1.1', fact: 'or with /v2', request: get('/v2/user'), status: 200 },
      { ref: '§1.1', fact: 'a suffix .json is accepted', request: get('/flows.json'), status: 200 },
      { ref: '§1.1', fact: 'and a slash at the end', request: get('/flows/'), status: 200 },
      { ref: '§1.1', fact: 'also for users', request: get('/users/'), status: 200 },
      { ref: '§1.1', fact: 'also for organizations', request: get('/organizations/'), status: 200 },
      {
        ref: '§1.1',
        fact: 'a doubled slash is accepted for downloads',
        request: ({ file }) => ({ path: `/${file.content.path}` }),
        status: 302,
      },
      {
        ref: '§1.1',
        fact: 'the url of a resource leads to it',
        request: ({ flow }) => ({ path: new URL(flow.url).pathname }),
        status: 200,
        json: ({ flow }) => ({ id: flow.id }),
      },
      {
        ref: '§1.2',
        fact: 'PATCH does what PUT does',
        request: ({ chat }) => ({
          method: 'PATCH',
          path: `${facts}/messages/${chat.id}`,
          body: { tags: chat.tags },
        }),
        status: 200,
        json: () => ({}),
      },
      {
        ref: '§1.2',
        fact: 'OPTIONS needs no credential',
        request: () => ({ as: 'nobody', method: 'OPTIONS', path: facts }),
        status: 204,
      },
      {
        ref: '§1.3',
        fact: 'form bodies nest in the Rails style',
        request: ({ source }) => ({
          as: 'nobody',
          method: 'POST',
          path: '/messages',
          headers: { ...form, 'x-flowdock-wait-for-message': '1' },
          body: `flow_token=${source.flow_token}&event=activity&title=t&author[name]=M&external_thread_id=nest&thread[title]=T&thread[fields][][label]=a&thread[fields][][value]=1&thread[fields][][label]=b&thread[fields][][value]=2`,
        }),
        status: 201,
        json: () => ({
          author: { name: 'M' },
          thread: {
            title: 'T',
            fields: [
              { label: 'a', value: '1' },
              { label: 'b', value: '2' },
            ],
          },
        }),
      },
      {
        ref: '§1.3',
        fact: 'parameters may stand in the query of a POST without a body',
        request: post(`${facts}/messages?event=message&content=from+the+query&tags=a,b`),
        status: 201,
        json: () => ({ content: 'from the query', tags: ['a', 'b'] }),
      },
      {
        ref: '§1.3',
        fact: 'parameters of a GET may stand in a JSON body, lists included',
        request: ({ chat }) => ({
          path: `${facts}/messages`,
          body: { tags: ['hello', ':url'], until_id: chat.id + 99 },
        }),
        status: 200,
        json: ({ chat }) => [{ id: chat.id }],
      },
      {
        ref: '§1.3',
        fact: 'a GET with the body {} is like one without',
        request: () => ({ path: '/flows', body: {} }),
        status: 200,
      },
      {
        ref: '§1.3',
        fact: 'JSON without a Content-Type is read',
        request: () => ({
          method: 'POST',
          path: `${facts}/messages`,
          headers: { 'content-type': '' },
          body: say(),
        }),
        status: 201,
      },
      {
        ref: '§1.3',
        fact: 'null stands for what is not given',
        request: post(
          `${facts}/messages`,
          say({ tags: null, thread_id: null, uuid: null, external_user_name: null }),
        ),
        status: 201,
        json: () => ({ tags: [] }),
      },
      {
        ref: '§1.3',
        fact: 'a body that is no JSON is 400',
        request: () => ({ method: 'POST', path: `${facts}/messages`, body: '{"event":' }),
        status: 400,
      },
      {
        ref: '§1.4',
        fact: 'JSON says so',
        request: get('/flows'),
        status: 200,
        headers: { 'content-type': json },
      },
      {
        ref: '§1.4',
        fact: 'also an answer without a body',
        request: ({ discussion }) => ({ method: 'DELETE', path: `${facts}/messages/${discussion.id}` }),
        status: 204,
        headers: { 'content-type': json },
        text: '',
      },
      {
        ref: '§1.4',
        fact: 'Flowdock-User is who asks',
        request: get('/flows', 'Ben'),
        headers: { 'flowdock-user': '2' },
      },
      {
        ref: '§2.1',
        fact: 'also on 404',
        request: get('/users/0'),
        status: 404,
        headers: { 'flowdock-user': '1' },
      },
      {
        ref: '§2.1',
        fact: 'also on 403',
        request: get('/flows/example/engineering/messages', 'Cleo'),
        status: 403,
        headers: { 'flowdock-user': '3' },
      },
      {
        ref: '§1.4',
        fact: 'not with a flow token',
        request: ({ source }) => ({ as: 'nobody', path: `/sources?flow_token=${source.flow_token}` }),
        status: 200,
        headers: { 'flowdock-user': null },
      },
      { ref: '§1.4', fact: 'Status repeats the status', request: get('/flows'), headers: { status: '200' } },
      {
        ref: '§1.5',
        fact: 'CORS repeats the origin',
        request: () => ({ path: '/flows', headers: { origin: 'https://app.example' } }),
        headers: {
          'access-control-allow-origin': 'https://app.example',
          'access-control-allow-methods': 'POST, PUT, PATCH, DELETE, GET, OPTIONS',
          'access-control-expose-headers': /Flowdock-User/,
        },
      },
      {
        ref: '§1.5',
        fact: 'a preflight allows the headers clients send',
        request: () => ({
          as: 'nobody',
          method: 'OPTIONS',
          path: '/flows',
          headers: { origin: 'https://app.example' },
        }),
        status: 204,
        headers: { 'access-control-allow-headers': /Authorization.*X-Requested-With/ },
      },
      {
        ref: '§1.5',
        fact: 'nothing of it without an origin',
        request: get('/flows'),
        headers: { 'access-control-allow-origin': null },
      },
      {
        ref: '§1.6',
        fact: 'nobody is 401 in plain text',
        request: get('/flows', 'nobody'),
        status: 401,
        text: 'HTTP Basic: Access denied.\n',
      },
      {
        ref: '§1.6',
        fact: 'it is a challenge, for clients that send no password before one',
        request: get('/flows', 'nobody'),
        status: 401,
        headers: { 'www-authenticate': /^Basic realm="/ },
      },
      {
        ref: '§1.6',
        fact: 'so it is for a stream',
        request: get('/stream/flows?user=1', 'nobody'),
        status: 401,
        headers: { 'www-authenticate': /^Basic realm="/ },
      },
      {
        ref: '§1.6',
        fact: 'a wrong token, too',
        request: () => ({
          as: 'nobody',
          path: '/flows',
          headers: { authorization: `Basic ${base64('wrong:')}` },
        }),
        status: 401,
      },
      {
        ref: '§1.6',
        fact: '404 is exactly this',
        request: get(`${facts}/messages/999999`),
        status: 404,
        text: '{"message":"not found"}',
      },
      {
        ref: '§1.6',
        fact: '403 says so',
        request: get('/flows/example/engineering/messages', 'Cleo'),
        status: 403,
        json: () => ({ message: 'Access denied' }),
      },
      {
        ref: '§1.6',
        fact: 'validation is 400 with a map of lists',
        request: post(`${facts}/messages`, { event: 'message' }),
        status: 400,
        json: problem('content', "can't be blank"),
      },
      {
        ref: '§1.6',
        fact: 'two problems are both told',
        request: ({ flow }) =>
          post(`/v1/messages/chat/${flow.api_token}`, { external_user_name: 'a b' }, 'nobody')(),
        status: 400,
        json: () => ({
          errors: { content: ["can't be blank"], external_user_name: ['should not contain whitespace'] },
        }),
      },
      {
        ref: '§1.6',
        fact: 'so are those of a message of a user',
        request: post(`${facts}/messages`, say({ content: ' ', external_user_name: 'a b', uuid: 'ä' })),
        status: 400,
        json: () => ({
          errors: {
            content: ["can't be blank"],
            uuid: [expect.any(String)],
            external_user_name: ['should not contain whitespace'],
          },
        }),
      },
      {
        ref: '§1.6',
        fact: 'and of an activity and its thread',
        request: ({ source }) =>
          post(
            '/messages',
            {
              ...{ flow_token: source.flow_token, event: 'discussion', external_thread_id: 'wrong' },
              thread: { title: 'T', status: { color: 'pink', value: 'v' } },
            },
            'nobody',
          )(),
        status: 400,
        json: () => ({
          errors: {
            title: ["can't be blank"],
            body: ["can't be blank"],
            author: ["name can't be blank"],
            thread: [expect.stringContaining('color')],
          },
        }),
      },
      {
        ref: '§1.6',
        fact: 'and of a mail, each once',
        request: post(`${facts}/messages`, {
          ...{ event: 'mail', source: 's', from_address: 'a@example.com', subject: 's', content: 'c' },
          ...{ tags: ['x'.repeat(200)], uuid: 'ä' },
        }),
        status: 400,
        json: () => ({ errors: { tags: [expect.any(String)], uuid: [expect.any(String)] } }),
      },
      { ref: '§1.6', fact: 'a path that is none is 404', request: get('/nothing/here'), status: 404 },
    ],
  )
})

describe('credentials', () => {
  const withHeader =
    (make: (token: string) => string): NonNullable<Fact['check']> =>
    async (there) => {
      const token = await there.backend.token('Ben')
      const answer = await there.call({
        as: 'nobody',
        path: '/user',
        headers: { authorization: make(token) },
      })
      expect(answer.json?.id).toBe(2)
    }
  testFacts(
    () => world,
    [
      {
        ref: '§2.1',
        fact: 'a token as Basic user name, without a password',
        check: withHeader((token) => `Basic ${base64(`${token}:`)}`),
      },
      {
        ref: '§2.1',
        fact: 'the password "undefined" of the vendor’s client',
        check: withHeader((token) => `Basic ${base64(`${token}:undefined`)}`),
      },
      {
        ref: '§2.1',
        fact: 'a dummy password',
        check: withHeader((token) => `Basic ${base64(`${token}:X`)}`),
      },
      { ref: '§2.1', fact: 'Basic without a colon', check: withHeader((token) => `Basic ${base64(token)}`) },
      { ref: '§2.1', fact: 'a token as Bearer', check: withHeader((token) => `Bearer ${token}`) },
      {
        ref: '§2.1',
        fact: 'access_token in the query',
        check: async (there) => {
          const token = await there.backend.token('Ben')
          expect((await there.call({ as: 'nobody', path: `/user?access_token=${token}` })).json.id).toBe(2)
        },
      },
      {
        ref: '§2.1',
        fact: 'a flow token is no user’s',
        request: ({ source }) => ({
          as: 'nobody',
          path: '/flows',
          headers: { authorization: `Basic ${base64(source.flow_token)}` },
        }),
        status: 401,
      },
      {
        ref: '§2.1',
        fact: 'a flow token in the query posts JSON',
        request: ({ source }) => ({
          as: 'nobody',
          method: 'POST',
          path: `/messages?flow_token=${source.flow_token}`,
          body: { event: 'message', content: 'x', external_thread_id: 'q' },
        }),
        status: 202,
      },
      {
        ref: '§1.6',
        fact: 'a wrong flow token is 404',
        request: post('/messages', { flow_token: 'f'.repeat(32), event: 'message', content: 'x' }, 'nobody'),
        status: 404,
      },
    ],
  )
})

describe('organizations and users', () => {
  testFacts(
    () => world,
    [
      {
        ref: '§3',
        fact: 'GET /organizations lists mine',
        request: get('/organizations'),
        status: 200,
        json: () => [{ parameterized_name: 'example' }],
      },
      {
        ref: '§3',
        fact: 'one is found by id',
        request: get('/organizations/find?id=1'),
        status: 200,
        json: () => ({ parameterized_name: 'example' }),
      },
      { ref: '§3', fact: 'one I am not in is 404', request: get('/organizations/other'), status: 404 },
      {
        ref: '§4',
        fact: 'admins rename it and get the object',
        request: () => ({ method: 'PUT', path: '/organizations/example', body: { name: 'Example' } }),
        status: 200,
        json: () => ({ name: 'Example', id: 1 }),
      },
      {
        ref: '§4',
        fact: 'others do not',
        request: () => ({ as: 'Ben', method: 'PUT', path: '/organizations/example', body: { name: 'Mine' } }),
        status: 403,
      },
      {
        ref: '§4',
        fact: 'audits say when each was here last',
        request: get('/organizations/example/audits/users/'),
        status: 200,
        json: () => [{ email: 'ada@example.com', accessed_at: expect.stringMatching(/Z$/) }, {}, {}],
      },
      {
        ref: '§5.2',
        fact: 'admins see everybody',
        request: get('/users'),
        json: () => [{ id: 1 }, { id: 2 }, { id: 3 }],
      },
      {
        ref: '§5.2',
        fact: 'others whom they share a flow with',
        request: get('/users', 'Ben'),
        json: () => [{ id: 1 }, { id: 2 }, { id: 3 }],
      },
      {
        ref: '§5.2',
        fact: 'a user by id',
        request: get('/users/2'),
        status: 200,
        json: () => ({ nick: 'Ben' }),
      },
      {
        ref: '§17',
        fact: '/user/:id is the same',
        request: get('/user/2'),
        status: 200,
        json: () => ({ nick: 'Ben' }),
      },
      { ref: '§5.2', fact: 'a stranger is 404', request: get('/users/999'), status: 404 },
      {
        ref: '§5.2',
        fact: 'one changes one’s own nick and gets {}',
        request: () => ({ as: 'Cleo', method: 'PUT', path: '/users/3', body: { nick: 'Cleo' } }),
        status: 200,
        text: '{}',
      },
      {
        ref: '§5.2',
        fact: 'not another’s',
        request: () => ({ as: 'Cleo', method: 'PUT', path: '/users/2', body: { nick: 'x' } }),
        status: 403,
      },
      {
        ref: '§5.2',
        fact: 'the users of a flow',
        request: get(`${facts}/users`),
        status: 200,
        json: () => [
          { id: 1, in_flow: true },
          { id: 2, disabled: false },
        ],
      },
      {
        ref: '§5.2',
        fact: 'not for somebody without access',
        request: get(`${facts}/users`, 'Cleo'),
        status: 403,
      },
      {
        ref: '§5.2',
        fact: 'only people of the organization are added',
        request: post(`${facts}/users`, { id: 999 }),
        status: 400,
      },
      {
        ref: '§5.2',
        fact: 'others than admins block no admin',
        request: () => ({ as: 'Ben', method: 'PUT', path: `${facts}/users/1`, body: { disabled: true } }),
        status: 403,
      },
      {
        ref: '§5.2',
        fact: 'others than admins remove nobody',
        request: () => ({ as: 'Ben', method: 'DELETE', path: '/organizations/example/users/3' }),
        status: 403,
      },
    ],
  )
})

describe('flows', () => {
  testFacts(
    () => world,
    [
      {
        ref: '§6.2',
        fact: 'GET /flows is what I joined',
        request: get('/flows', 'Cleo'),
        json: () => [{ parameterized_name: 'main', joined: true }, { parameterized_name: 'support' }],
      },
      {
        ref: '§6.2',
        fact: 'without users',
        request: get('/flows'),
        check: (_, answer) => expect(answer?.json[0]).not.toHaveProperty('users'),
      },
      {
        ref: '§6.2',
        fact: 'with users=1 with users',
        request: get('/flows?users=1'),
        check: (_, answer) => expect(answer?.json[0].users[0].in_flow).toBe(true),
      },
      {
        ref: '§6.2',
        fact: '/flows/all has those I could join',
        request: get('/flows/all', 'Cleo'),
        check: (_, answer) =>
          expect(
            answer?.json.map((flow: { parameterized_name: string; joined: boolean }) => [
              flow.parameterized_name,
              flow.joined,
            ]),
          ).toContainEqual(['engineering', false]),
      },
      {
        ref: '§6.2',
        fact: 'but none by link',
        request: get('/flows/all', 'Cleo'),
        check: (_, answer) => expect(answer?.text).not.toContain('"facts"'),
      },
      {
        ref: '§6.2',
        fact: 'one flow comes with users',
        request: get(facts),
        json: () => ({ users: [{ id: 1 }, { id: 2 }] }),
      },
      {
        ref: '§6.2',
        fact: 'found by id, too',
        request: ({ flow }) => ({ path: `/flows/find?id=${flow.id}` }),
        json: () => ({ name: 'Facts', users: [{}, {}] }),
      },
      {
        ref: '§6.2',
        fact: 'the flows of an organization',
        request: get('/flows/example'),
        status: 200,
        check: (_, answer) => expect(answer?.json.length).toBeGreaterThan(3),
      },
      {
        ref: '§6.2',
        fact: 'a new one is 201 with users',
        request: post('/flows/example', { name: 'Brand new' }),
        status: 201,
        json: () => ({ parameterized_name: 'brand-new', users: [{ id: 1 }] }),
      },
      {
        ref: '§6.1',
        fact: 'a name has at most 100 characters',
        request: post('/flows/example', { name: 'x'.repeat(101) }),
        status: 400,
        json: problem('name', 'too long'),
      },
      {
        ref: '§6.1',
        fact: 'renaming leaves slug, id and address',
        request: () => ({ method: 'PUT', path: '/flows/example/brand-new', body: { name: 'Renamed' } }),
        status: 200,
        json: () => ({ name: 'Renamed', parameterized_name: 'brand-new' }),
      },
      {
        ref: '§6.2',
        fact: 'an update answers without users',
        request: () => ({ method: 'PUT', path: facts, body: { open: true } }),
        status: 200,
        check: (_, answer) => expect(answer?.json).not.toHaveProperty('users'),
      },
      {
        ref: '§6.2',
        fact: 'open joins',
        request: () => ({
          as: 'Cleo',
          method: 'PUT',
          path: '/flows/example/engineering',
          body: { open: true },
        }),
        status: 200,
        json: () => ({ joined: true, open: true }),
      },
      {
        ref: '§6.2',
        fact: 'some fields are for admins',
        request: () => ({ as: 'Ben', method: 'PUT', path: facts, body: { name: 'Mine' } }),
        status: 403,
      },
      {
        ref: '§6.1',
        fact: 'the access mode is one of three',
        request: () => ({ method: 'PUT', path: facts, body: { access_mode: 'open' } }),
        status: 400,
      },
      {
        ref: '§6.2',
        fact: 'archived: hidden',
        request: () => ({ method: 'PUT', path: '/flows/example/brand-new', body: { disabled: true } }),
        status: 200,
        check: async (there) =>
          expect((await there.call({ path: '/flows' })).text).not.toContain('brand-new'),
      },
      {
        ref: '§6.2',
        fact: 'archived: no posting',
        request: post('/flows/example/brand-new/messages', say()),
        status: 403,
      },
      {
        ref: '§6.2',
        fact: 'archived: no joining',
        request: () => ({ as: 'Ben', method: 'PUT', path: '/flows/example/brand-new', body: { open: true } }),
        status: 403,
      },
      {
        ref: '§6.2',
        fact: 'the join link',
        request: get(`${facts}/join_url`),
        status: 200,
        json: () => ({ join_url: expect.stringContaining('/invitations/') }),
      },
      { ref: '§6.2', fact: 'is made anew by POST', request: post(`${facts}/join_url`), status: 201 },
      {
        ref: '§6.2',
        fact: 'and taken away by DELETE',
        request: () => ({ method: 'DELETE', path: `${facts}/join_url` }),
        status: 200,
        text: '{}',
      },
      {
        ref: '§6.2',
        fact: 'then there is none',
        request: get(`${facts}/join_url`),
        text: '{"join_url":null}',
      },
    ],
  )
})

describe('sending', () => {
  const tooLong = 'x'.repeat(8097)
  testFacts(
    () => world,
    [
      {
        ref: '§7.4',
        fact: 'a user’s message is 201 with the whole of it',
        request: post(`${facts}/messages`, say({ content: 'Howdy' })),
        status: 201,
        json: () => ({
          id: expect.any(Number),
          uuid: expect.any(String),
          thread: { title: 'Howdy' },
          thread_id: expect.any(String),
        }),
      },
      ...[`${facts}/messages`, '/messages'].map((path) => ({
        ref: '§1.4',
        fact: `a message that POST ${path} waited for says where to comment on it`,
        request: () => ({
          method: 'POST',
          path,
          headers: { 'X-flowdock-wait-for-message': 'true' },
          body: say({ flow: 'example/facts' }),
        }),
        status: 201,
        headers: {
          link: /^<http:\/\/[^/]+\/flows\/example\/facts\/messages\/\d+\/comments>; rel="comments"$/,
        },
      })),
      {
        ref: '§1.4',
        fact: 'not a comment, which has none',
        request: ({ chat }) => ({
          method: 'POST',
          path: `${facts}/messages/${chat.id}/comments`,
          headers: { 'X-flowdock-wait-for-message': 'true' },
          body: { content: 'waited' },
        }),
        status: 201,
        headers: { link: null },
      },
      {
        ref: '§7.4',
        fact: 'POST /messages names the flow by id',
        request: ({ flow }) => post('/messages', say({ flow: flow.id }))(),
        status: 201,
      },
      {
        ref: '§7.4',
        fact: 'or by its path',
        request: post('/messages', say({ flow: 'example/facts' })),
        status: 201,
      },
      {
        ref: '§7.4',
        fact: 'without a flow it is 400',
        request: post('/messages', say()),
        status: 400,
        json: problem('flow', 'blank'),
      },
      {
        ref: '§7.4',
        fact: 'the event is required',
        request: post(`${facts}/messages`, { content: 'x' }),
        status: 400,
        json: problem('event', 'blank'),
      },
      {
        ref: '§20',
        fact: 'an unknown event is 400',
        request: post(`${facts}/messages`, say({ event: 'shout' })),
        status: 400,
        json: problem('event', 'must be one of'),
      },
      {
        ref: '§20',
        fact: 'unknown parameters are ignored',
        request: post(`${facts}/messages`, say({ sparkle: true })),
        status: 201,
      },
      {
        ref: '§7.4',
        fact: '8096 characters are fine',
        request: post(`${facts}/messages`, say({ content: 'x'.repeat(8096) })),
        status: 201,
      },
      {
        ref: '§7.4',
        fact: 'one more is not',
        request: post(`${facts}/messages`, say({ content: tooLong })),
        status: 400,
        json: problem('content', 'too long'),
      },
      {
        ref: '§7.4',
        fact: 'blanks alone are not',
        request: post(`${facts}/messages`, say({ content: '  ' })),
        status: 400,
      },
      {
        ref: '§7.4',
        fact: 'a uuid is echoed',
        request: post(`${facts}/messages`, say({ uuid: '4W_LQEybVaX-gJmi' })),
        status: 201,
        json: () => ({ uuid: '4W_LQEybVaX-gJmi' }),
      },
      {
        ref: '§7.4',
        fact: 'and twice the same is one message',
        check: async (there) => {
          const sent = { method: 'POST', path: `${facts}/messages`, body: say({ uuid: 'twice' }) }
          const [first, second] = [await there.call(sent), await there.call(sent)]
          expect([second.status, second.json]).toEqual([201, first.json])
        },
      },
      {
        ref: '§7.4',
        fact: 'external_user_name makes it anonymous',
        request: post(`${facts}/messages`, say({ external_user_name: 'Robot' })),
        status: 201,
        json: () => ({ external_user_name: 'Robot', user: '0' }),
      },
      {
        ref: '§7.4',
        fact: 'without whitespace',
        request: post(`${facts}/messages`, say({ external_user_name: 'a b' })),
        status: 400,
        json: problem('external_user_name', 'whitespace'),
      },
      {
        ref: '§7.3.1',
        fact: 'a status is kept with its sender',
        request: () => ({ path: `${facts}/users` }),
        json: () => [{ status: 'Having lunch' }, {}],
      },
      {
        ref: '§7.3.1',
        fact: 'a line is a legacy message',
        request: post(`${facts}/messages`, say({ event: 'line' })),
        status: 201,
        json: () => ({ event: 'line', app: 'chat' }),
      },
      {
        ref: '§7.4',
        fact: 'a thread takes messages',
        request: ({ chat }) => post(`${facts}/threads/${chat.thread_id}/messages`, say())(),
        status: 201,
        json: ({ chat }) => ({ thread_id: chat.thread_id }),
      },
      {
        ref: '§7.4',
        fact: 'thread_id does the same',
        request: ({ chat }) => post(`${facts}/messages`, say({ thread_id: chat.thread_id }))(),
        status: 201,
        json: ({ chat }) => ({ thread_id: chat.thread_id }),
      },
      {
        ref: '§7.4',
        fact: 'a thread of another flow is none',
        request: ({ chat }) => post('/flows/example/main/messages', say({ thread_id: chat.thread_id }))(),
        status: 400,
      },
      {
        ref: '§7.4',
        fact: 'POST /comments names its parent',
        request: ({ flow, chat }) => post('/comments', { flow: flow.id, message: chat.id, content: 'c' })(),
        status: 201,
        json: () => ({ event: 'comment', content: { text: 'c' } }),
      },
      {
        ref: '§1.6',
        fact: 'a comment on a message that is not there is 404, as any other path of it is',
        request: post(`${facts}/messages/999999/comments`, { content: 'c' }),
        status: 404,
        text: '{"message":"not found"}',
      },
      {
        ref: '§1.6',
        fact: 'where a parameter names that message, the error names the parameter',
        request: post('/comments', { flow: 'example/facts', message: 999999, content: 'c' }),
        status: 400,
        json: problem('message', 'not a message'),
      },
      {
        ref: '§7.4',
        fact: 'a comment on a comment is 400',
        request: ({ comment }) =>
          post(`${facts}/messages/${comment.id}/comments`, { event: 'comment', content: 'c' })(),
        status: 400,
        json: problem('message', 'must not be a comment'),
      },
      {
        ref: '§7.4',
        fact: 'a comment without a parent is 400',
        request: ({ flow }) => post('/comments', { flow: flow.id, content: 'c' })(),
        status: 400,
      },
      {
        ref: '§7.4',
        fact: 'nobody posts who is not in the flow',
        request: post(`${facts}/messages`, say(), 'Cleo'),
        status: 403,
      },
      {
        ref: '§7.3.3',
        fact: 'users send no activities',
        request: post(`${facts}/messages`, { event: 'activity', title: 't' }),
        status: 400,
      },
    ],
  )
})

describe('editing, deleting and reacting', () => {
  const edit =
    (
      body: object,
      as: 'Ada' | 'Ben' = 'Ada',
      which: 'chat' | 'file' | 'activity' = 'chat',
    ): NonNullable<Fact['request']> =>
    (there) => ({ as, method: 'PUT', path: `${facts}/messages/${there[which].id}`, body })
  testFacts(
    () => world,
    [
      {
        ref: '§7.6',
        fact: 'an edit answers {}',
        request: edit({ content: 'Howdy @Ben, see http://x.example/ #hello' }),
        status: 200,
        text: '{}',
      },
      {
        ref: '§7.6',
        fact: 'nobody edits another’s words',
        request: edit({ content: 'x' }, 'Ben'),
        status: 403,
      },
      {
        ref: '§7.6',
        fact: 'nobody edits a file’s words',
        request: edit({ content: 'x' }, 'Ada', 'file'),
        status: 403,
      },
      {
        ref: '§7.6',
        fact: 'but everybody tags',
        request: edit({ tags: ['b', 'a', 'b', '#A', ':url'] }, 'Ben'),
        status: 200,
      },
      {
        ref: '§7.6',
        fact: 'tags are replaced as they are given, each once, in whatever case',
        request: ({ chat }) => ({ path: `${facts}/messages/${chat.id}` }),
        json: () => ({ tags: ['b', 'a', ':url'] }),
      },
      {
        ref: '§7.6',
        fact: 'both at once need authorship',
        request: edit({ content: 'x', tags: [] }, 'Ben'),
        status: 403,
      },
      { ref: '§7.6', fact: 'neither is 400', request: edit({}), status: 400 },
      {
        ref: '§20',
        fact: 'edited is a time then',
        request: ({ chat }) => ({ path: `${facts}/messages/${chat.id}` }),
        json: () => ({ edited: expect.any(Number) }),
      },
      {
        ref: '§7.9',
        fact: 'a reaction',
        request: ({ chat }) =>
          post(`${facts}/messages/${chat.id}/emoji_reaction`, { type: 'add', emoji: 'thumbsup' })(),
        status: 200,
      },
      {
        ref: '§7.1',
        fact: 'is who did it, as text',
        request: ({ chat }) => ({ path: `${facts}/messages/${chat.id}` }),
        json: () => ({ emojiReactions: { thumbsup: ['1'] } }),
      },
      {
        ref: '§7.7',
        fact: 'nobody deletes another’s chat',
        request: ({ chat }) => ({ as: 'Ben', method: 'DELETE', path: `${facts}/messages/${chat.id}` }),
        status: 403,
      },
      {
        ref: '§7.7',
        fact: 'one’s own answers {}',
        request: ({ comment }) => ({ method: 'DELETE', path: `${facts}/messages/${comment.id}` }),
        status: 200,
        text: '{}',
      },
      {
        ref: '§7.7',
        fact: 'and stays, emptied',
        request: ({ comment }) => ({ path: `${facts}/messages/${comment.id}` }),
        json: () => ({ content: { text: '' } }),
      },
      {
        ref: '§7.7',
        fact: 'anybody deletes an inbox message',
        request: ({ activity }) => ({
          as: 'Ben',
          method: 'DELETE',
          path: `${facts}/messages/${activity.id}`,
        }),
        status: 204,
        text: '',
      },
      {
        ref: '§7.7',
        fact: 'which is gone',
        request: ({ activity }) => ({ path: `${facts}/messages/${activity.id}` }),
        status: 404,
      },
      {
        ref: '§7.7',
        fact: 'its thread stays',
        request: ({ activity }) => ({ path: `${facts}/threads/${activity.thread_id}` }),
        status: 200,
      },
      {
        ref: '§7.7',
        fact: 'one’s own file goes',
        request: ({ privateFile }) => ({ method: 'DELETE', path: `/private/2/messages/${privateFile.id}` }),
        status: 204,
      },
      {
        ref: '§7.7',
        fact: 'a status does not',
        request: ({ status }) => ({ method: 'DELETE', path: `${facts}/messages/${status.id}` }),
        status: 403,
      },
    ],
  )
})

describe('threads and private conversations', () => {
  testFacts(
    () => world,
    [
      {
        ref: '§8.2',
        fact: 'the last updated comes first',
        request: get(`${facts}/threads?limit=100`),
        check: (_, answer) => {
          const times = answer?.json.map(({ updated_at }: { updated_at: string }) => updated_at)
          expect(times).toEqual(times.toSorted().reverse())
        },
      },
      {
        ref: '§8.2',
        fact: 'limit',
        request: get(`${facts}/threads?limit=1`),
        check: (_, answer) => expect(answer?.json).toHaveLength(1),
      },
      {
        ref: '§8.2',
        fact: 'a next page is linked',
        request: get(`${facts}/threads?limit=1`),
        headers: { link: /^<.*\/threads\?until=\d{4}-.*%3A.*Z&.*>; rel="next"$/ },
      },
      { ref: '§8.2', fact: 'since', request: get(`${facts}/threads?since=2999-01-01T00:00:00Z`), text: '[]' },
      { ref: '§8.2', fact: 'until', request: get(`${facts}/threads?until=2001-01-01T00:00:00Z`), text: '[]' },
      {
        ref: '§8.2',
        fact: 'application=chat',
        request: get(`${facts}/threads?application=chat&limit=100`),
        check: (_, answer) => {
          expect(answer?.json.length).toBeGreaterThan(0)
          expect(answer?.text).not.toContain('"source"')
        },
      },
      {
        ref: '§8.2',
        fact: 'application=inbox',
        request: get(`${facts}/threads?application=inbox&empty=1`),
        check: (_, answer) => {
          expect(answer?.json.length).toBeGreaterThan(0)
          for (const thread of answer?.json ?? []) expect(thread.source.name).toBe('Lunch')
        },
      },
      {
        ref: '§8.2',
        fact: 'empty=1 has those without messages',
        request: get(`${facts}/threads?empty=1&limit=100`),
        check: (there, answer) => expect(answer?.text).toContain(there.activity.thread_id),
      },
      { ref: '§8.2', fact: 'one that is not there', request: get(`${facts}/threads/nothing`), status: 404 },
      {
        ref: '§8.2',
        fact: 'its messages',
        request: ({ chat }) => ({ path: `${facts}/threads/${chat.thread_id}/messages?limit=2&sort=asc` }),
        json: ({ chat }) => [{ id: chat.id }, {}],
      },
      {
        ref: '§8.1',
        fact: 'another color is 400 and lists the ten',
        request: ({ source }) =>
          post(
            '/messages',
            {
              flow_token: source.flow_token,
              event: 'activity',
              title: 't',
              author: { name: 'M' },
              external_thread_id: 'c',
              thread: { title: 'T', status: { color: 'pink', value: 'x' } },
            },
            'nobody',
          )(),
        status: 400,
        json: problem('thread', 'red, green, yellow, cyan, orange, grey, black, lime, purple, blue'),
      },
      {
        ref: '§9',
        fact: 'a conversation begins when it is asked for',
        request: get('/private/3'),
        status: 200,
        json: () => ({ id: 3, open: false }),
      },
      {
        ref: '§9',
        fact: 'it opens',
        request: () => ({ method: 'PUT', path: '/private/3', body: { open: true } }),
        status: 200,
        json: () => ({ open: true }),
      },
      {
        ref: '§9',
        fact: 'a message opens the other’s',
        request: post('/private/3/messages', say()),
        status: 201,
        check: async (there) =>
          expect((await there.call({ as: 'Cleo', path: '/private/1' })).json.open).toBe(true),
      },
      { ref: '§9', fact: 'mine are listed', request: get('/private'), json: () => [{ id: 2 }, { id: 3 }] },
      {
        ref: '§9',
        fact: 'the recipient’s unread mark comes first',
        request: post('/private/2/messages', say({ content: 'see http://x.example/', tags: ['ref'] })),
        json: () => ({ tags: [':unread:2', 'ref', ':url'] }),
      },
      { ref: '§9', fact: 'there is none with oneself', request: get('/private/1'), status: 404 },
      {
        ref: '§9',
        fact: 'a file has a path of its own',
        request: ({ privateMessage }) => ({
          path: `/private/2/messages?event=file&since_id=${privateMessage.id - 1}`,
        }),
        check: (there) =>
          expect(there.privateFile.content.path).toMatch(/^\/private\/1\/2\/files\/[0-9a-f]{32}\/shot\.png$/),
      },
      {
        ref: '§9',
        fact: 'nobody else reads it',
        request: ({ privateFile }) => ({ as: 'Cleo', path: privateFile.content.path }),
        status: 404,
      },
    ],
  )
})

describe('sources, invitations, files and push', () => {
  const mail = {
    source: 'Mailer',
    from_address: 'm@example.com',
    subject: 'A subject',
    content: '<p>Hello</p>',
  }
  testFacts(
    () => world,
    [
      {
        ref: '§10.2',
        fact: 'mine are listed',
        request: get('/sources'),
        status: 200,
        check: (_, answer) => expect(answer?.text).toContain('"Lunch"'),
      },
      {
        ref: '§10.2',
        fact: 'a flow token shows its own',
        request: ({ source }) => ({ as: 'nobody', path: `/sources?flow_token=${source.flow_token}` }),
        json: () => [{ name: 'Lunch' }],
      },
      {
        ref: '§10.2',
        fact: 'a flow’s are listed',
        request: get(`${facts}/sources`),
        json: () => [{ name: 'Lunch' }],
      },
      {
        ref: '§10.2',
        fact: 'a configuration address is linked',
        request: ({ source }) => ({
          as: 'nobody',
          method: 'PUT',
          path: `/sources?flow_token=${source.flow_token}`,
          body: { configuration_url: 'https://example.com/c' },
        }),
        status: 200,
        json: () => ({ _links: { configure: { href: 'https://example.com/c' } } }),
      },
      {
        ref: '§10.3',
        fact: 'a post is 202 and {}',
        request: ({ source }) =>
          post(
            '/messages',
            {
              flow_token: source.flow_token,
              event: 'activity',
              title: 't',
              author: { name: 'M' },
              external_thread_id: '1234567',
            },
            'nobody',
          )(),
        status: 202,
        text: '{}',
      },
      {
        ref: '§7.4',
        fact: 'with the header, 201 and the message',
        request: ({ source }) => ({
          as: 'nobody',
          method: 'POST',
          path: '/messages',
          headers: { 'X-flowdock-wait-for-message': 'true' },
          body: {
            flow_token: source.flow_token,
            event: 'activity',
            title: 't',
            author: { name: 'M' },
            external_thread_id: '1234567',
          },
        }),
        headers: { link: /\/flows\/example\/facts\/messages\/\d+\/comments>; rel="comments"$/ },
        status: 201,
        json: ({ activity }) => ({
          thread_id: activity.thread_id,
          thread: { title: 'Polish the flux capacitor' },
        }),
      },
      ...(
        [
          ['a thread has what a post says', { title: 'T', ...threadState }, threadState],
          ['what a later post leaves out stays', { title: 'T' }, threadState],
          ['so it does where all are null', { title: null, ...noThreadState }, threadState],
          [
            'what is null beside others is removed',
            { title: 'T', ...noThreadState },
            { title: 'T', body: '', external_url: null, fields: [], status: null, actions: [] },
          ],
        ] as const
      ).map(([fact, thread, expected]) => ({
        ref: '§8.1',
        fact,
        request: ({ source }: World) => ({
          as: 'nobody' as const,
          method: 'POST',
          path: '/messages',
          headers: { 'X-flowdock-wait-for-message': 'true' },
          body: {
            ...{ flow_token: source.flow_token, event: 'activity', title: 't', author: { name: 'M' } },
            ...{ external_thread_id: 'null-state', thread },
          },
        }),
        status: 201,
        json: () => ({ thread: expected }),
      })),
      {
        ref: '§7.4',
        fact: 'a thread id of its own is required',
        request: ({ source }) =>
          post(
            '/messages',
            { flow_token: source.flow_token, event: 'activity', title: 't', author: { name: 'M' } },
            'nobody',
          )(),
        status: 400,
        json: problem('external_thread_id', 'blank'),
      },
      {
        ref: '§10.3',
        fact: 'a new thread needs a title',
        request: ({ source }) =>
          post(
            '/messages',
            {
              flow_token: source.flow_token,
              event: 'activity',
              title: 't',
              author: { name: 'M' },
              external_thread_id: 'new',
            },
            'nobody',
          )(),
        status: 400,
        json: problem('thread', 'title'),
      },
      {
        ref: '§10.3',
        fact: 'an author needs a name',
        request: ({ source }) =>
          post(
            '/messages',
            { flow_token: source.flow_token, event: 'activity', title: 't', external_thread_id: '1234567' },
            'nobody',
          )(),
        status: 400,
        json: problem('author', 'name'),
      },
      {
        ref: '§10.3',
        fact: 'a discussion needs a body',
        request: ({ source }) =>
          post(
            '/messages',
            {
              flow_token: source.flow_token,
              event: 'discussion',
              title: 't',
              author: { name: 'M' },
              external_thread_id: '1234567',
            },
            'nobody',
          )(),
        status: 400,
        json: problem('body', 'blank'),
      },
      {
        ref: '§10.3',
        fact: 'plain messages are from nobody',
        request: ({ source }) =>
          post(
            '/messages?wait=1',
            { flow_token: source.flow_token, event: 'message', content: 'x', external_thread_id: '1234567' },
            'nobody',
          )(),
        status: 201,
        json: () => ({ event: 'message', user: '0' }),
      },
      {
        ref: '§10.2',
        fact: 'a removed one is 204',
        request: ({ source }) => ({ method: 'DELETE', path: `${facts}/sources/${source.id}` }),
        status: 204,
      },
      {
        ref: '§1.6',
        fact: 'and 410 for whoever posts on',
        request: ({ source }) =>
          post('/messages', { flow_token: source.flow_token, event: 'message', content: 'x' }, 'nobody')(),
        status: 410,
      },
      {
        ref: '§11',
        fact: 'pending ones are listed',
        request: get(`${facts}/invitations`),
        json: () => [{ email: 'p@example.com', state: 'pending' }],
      },
      {
        ref: '§11',
        fact: 'the same address again is the same',
        request: post(`${facts}/invitations`, { email: 'p@example.com' }),
        status: 201,
        json: ({ invitation }) => ({ id: invitation.id }),
      },
      {
        ref: '§11',
        fact: 'lists are imported, names and all',
        request: post(`${facts}/invitations/import`, {
          list: '"Cleo" <cleo@example.com>, bad@, q@example.com\nr@example.com',
        }),
        status: 200,
        json: () => ({
          invitations: [{ email: 'q@example.com' }, { email: 'r@example.com' }],
          added_users: [{ id: 3, in_flow: true }],
          erroneous_emails: [{ 'bad@': 'Invalid email' }],
        }),
      },
      {
        ref: '§11',
        fact: 'a name in quotes may have commas',
        request: post(`${facts}/invitations/import`, {
          list: '"Doe, Jane" <s@example.com>,t@example.com\n"no end, u@example.com',
        }),
        status: 200,
        json: () => ({
          invitations: [{ email: 's@example.com' }, { email: 't@example.com' }, { email: 'u@example.com' }],
          erroneous_emails: [{ '"no end': 'Invalid email' }],
        }),
      },
      {
        ref: '§11',
        fact: 'one is shown',
        request: ({ invitation }) => ({ path: `${facts}/invitations/${invitation.id}` }),
        status: 200,
      },
      {
        ref: '§11',
        fact: 'and cancelled',
        request: ({ invitation }) => ({ method: 'DELETE', path: `${facts}/invitations/${invitation.id}` }),
        status: 204,
      },
      {
        ref: '§12.3',
        fact: 'a download is one 302 without a body',
        request: ({ file }) => ({ path: file.content.path }),
        status: 302,
        headers: { location: /\/storage\//, 'content-length': '0', 'flowdock-user': '1' },
      },
      {
        ref: '§12.3',
        fact: 'to an address that needs no credential',
        request: ({ file }) => ({ path: file.content.path }),
        check: async (_, answer) =>
          expect((await fetch(answer?.headers.get('location') ?? '')).headers.get('content-type')).toBe(
            'image/png',
          ),
      },
      {
        ref: '§12.1',
        fact: 'Base64 may have line breaks',
        request: post(`${facts}/messages`, {
          event: 'file',
          content: { data: 'aGVs\nbG8=', content_type: 'text/plain', file_name: 'a.txt' },
        }),
        status: 201,
        json: () => ({ content: { file_size: 5 } }),
      },
      {
        ref: '§12.1',
        fact: 'a thread takes files',
        request: ({ chat }) =>
          post(`${facts}/threads/${chat.thread_id}/messages`, {
            event: 'file',
            content: { data: 'aGk=', file_name: 'b.txt' },
          })(),
        status: 201,
        json: ({ chat }) => ({ thread_id: chat.thread_id, tags: [':file'] }),
      },
      {
        ref: '§13',
        fact: 'chat push is 200 and {}',
        request: ({ flow }) =>
          post(
            `/v1/messages/chat/${flow.api_token}`,
            { content: 'pushed #x', external_user_name: 'Robot', tags: 'a,b' },
            'nobody',
          )(),
        status: 200,
        text: '{}',
      },
      {
        ref: '§13',
        fact: 'and a message under that name',
        request: get(`${facts}/messages?event=message&limit=1`),
        json: () => [{ content: 'pushed #x', external_user_name: 'Robot', user: '0', tags: ['a', 'b', 'x'] }],
      },
      {
        ref: '§13',
        fact: 'without /v1, too',
        request: ({ flow }) =>
          post(`/messages/chat/${flow.api_token}`, { content: 'x', external_user_name: 'R' }, 'nobody')(),
        status: 200,
      },
      {
        ref: '§13',
        fact: 'a wrong token is 404',
        request: post('/v1/messages/chat/wrong', { content: 'x', external_user_name: 'R' }, 'nobody'),
        status: 404,
      },
      {
        ref: '§13',
        fact: 'inbox push',
        request: ({ flow }) =>
          post(`/v1/messages/team_inbox/${flow.api_token}`, { ...mail, project: 'Gate' }, 'nobody')(),
        status: 200,
        text: '{}',
      },
      {
        ref: '§13',
        fact: 'becomes a mail of its source',
        request: get(`${facts}/messages?event=mail&limit=1`),
        json: () => [
          {
            event: 'mail',
            app: 'influx',
            content: { subject: 'A subject', project: 'Gate' },
            tags: [':source:Mailer'],
          },
        ],
      },
      {
        ref: '§13',
        fact: 'the oldest name of it',
        request: ({ flow }) => post(`/v1/messages/influx/${flow.api_token}`, mail, 'nobody')(),
        status: 200,
      },
      {
        ref: '§13',
        fact: 'all four are required',
        request: ({ flow }) => post(`/v1/messages/team_inbox/${flow.api_token}`, {}, 'nobody')(),
        status: 400,
        json: () => ({
          errors: {
            source: ["can't be blank"],
            from_address: ["can't be blank"],
            subject: ["can't be blank"],
            content: ["can't be blank"],
          },
        }),
      },
      {
        ref: '§13',
        fact: 'a source is letters and digits',
        request: ({ flow }) =>
          post(`/v1/messages/team_inbox/${flow.api_token}`, { ...mail, source: 'a/b' }, 'nobody')(),
        status: 400,
      },
    ],
  )
})
