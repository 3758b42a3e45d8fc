import { imageSize } from 'image-size'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { type Fact, facts, makeWorld, type Request, testFacts, type World } from './facts.ts'

/*
 * Requests exactly as public clients of Flowdock send them. `ref` names the client or the page of the documentation.
 */

let world: World & { close(): Promise<void> }

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

const form = { 'content-type': 'application/x-www-form-urlencoded' }
const waits = { 'x-flowdock-wait-for-message': 'true' }
const main = '/flows/example/main'
type As = Request['as']
const post = (path: string, body: unknown, headers: Record<string, string> = {}, as: As = 'nobody') => ({
  as,
  method: 'POST',
  path,
  body,
  headers,
})
const get = (path: string, headers: Record<string, string> = {}, as: As = 'Ada') => ({ as, path, headers })
const newest = async ({ call }: World, query = '') =>
  (await call({ path: `${facts}/messages?limit=1${query}` })).json[0]
const check = (list: Fact[]) => testFacts(() => world, list)

describe('flow tokens', () => {
  check([
    {
      ref: 'drone-flowdock',
      fact: 'a chat message opens a thread of its own',
      request: ({ source }) =>
        post(`/messages?flow_token=${source.flow_token}`, { event: 'message', content: 'built' }, waits),
      status: 201,
      json: () => ({
        event: 'message',
        content: 'built',
        user: '0',
        thread: { title: 'built', internal_comments: 1 },
      }),
    },
    {
      ref: 'rundeck-flowdock',
      fact: 'a chat message in JSON without a wait is 202',
      request: ({ source }) =>
        post('/messages', { flow_token: source.flow_token, event: 'message', content: 'ran' }),
      status: 202,
      json: () => ({}),
      check: async (world) => expect(await newest(world)).toMatchObject({ content: 'ran', user: '0' }),
    },
    {
      ref: 'messages.md',
      fact: 'a file may be sent, too',
      request: ({ source }) =>
        post(
          '/messages',
          {
            flow_token: source.flow_token,
            event: 'file',
            content: { data: 'aGk=', content_type: 'text/plain', file_name: 'log.txt' },
          },
          waits,
        ),
      status: 201,
      json: () => ({ event: 'file', user: '0', content: { file_name: 'log.txt', file_size: 2 } }),
    },
    ...['activity', 'discussion'].map(
      (event): Fact => ({
        ref: 'messages.md',
        fact: `${event} without a thread stays 400`,
        request: ({ source }) =>
          post('/messages', {
            ...{ flow_token: source.flow_token, event, title: 't', body: 'b', author: { name: 'M' } },
            thread: { title: 'T' },
          }),
        status: 400,
        json: () => ({ errors: { external_thread_id: ["can't be blank"] } }),
      }),
    ),
    {
      ref: 'gem flowdock',
      fact: 'the chat push takes the flow token of a source',
      request: ({ source }) =>
        post(`/v1/messages/chat/${source.flow_token}`, { content: 'pushed', external_user_name: 'CI' }),
      status: 200,
      json: () => ({}),
      check: async (world) =>
        expect(await newest(world)).toMatchObject({
          content: 'pushed',
          user: '0',
          external_user_name: 'CI',
          thread: { source: { name: 'Lunch' } },
        }),
    },
    {
      ref: 'jenkins-flowdock-plugin',
      fact: 'and so does the inbox push, as a form',
      request: ({ source }) =>
        post(
          `/v1/messages/team_inbox/${source.flow_token}`,
          'source=Jenkins&project=&link=&from_address=ci%40flowdock.com&subject=Build+ok&content=done&tags=a,b',
          form,
        ),
      status: 200,
      check: async (world) =>
        expect(await newest(world, '&event=mail')).toMatchObject({
          tags: [':source:Jenkins', 'a', 'b'],
          content: { subject: 'Build ok' },
        }),
    },
    {
      ref: 'messages.md',
      fact: 'an unknown token of a push URL is 404',
      request: () => post('/v1/messages/chat/00000000', { content: 'x', external_user_name: 'CI' }),
      status: 404,
      json: () => ({ message: 'not found' }),
    },
    {
      ref: 'messages.md',
      fact: 'a blank flow_token leaves the message to the user',
      request: () =>
        post(`/messages?flow_token=&flow=example/main`, { event: 'message', content: 'x' }, {}, 'Ada'),
      status: 201,
      json: () => ({ user: '1' }),
    },
    {
      ref: 'flowdock-example-integration',
      fact: '/activities takes the token as such, and its own key as thread_id',
      request: ({ source }) =>
        post(
          '/activities',
          {
            token: source.flow_token,
            event: 'activity',
            title: 'voted',
            body: '',
            excerpt: '',
            author: { name: 'Marty', email: 'm@example.com', avatar: 'https://example.com/m.png' },
            thread_id: 'example:poll:7',
            thread: { title: 'Poll', status: { value: 'open' }, external_url: 'https://example.com/7' },
          },
          waits,
        ),
      status: 201,
      json: () => ({
        event: 'activity',
        title: 'voted',
        thread: { title: 'Poll', status: { color: 'grey', value: 'open' }, activities: 1 },
      }),
    },
    {
      ref: 'flowdock-example-integration',
      fact: 'the same key is the same thread, also by its name of today',
      request: ({ source }) =>
        post(
          '/messages',
          {
            ...{ flow_token: source.flow_token, event: 'activity', title: 'again', author: { name: 'M' } },
            external_thread_id: 'example:poll:7',
          },
          waits,
        ),
      status: 201,
      json: () => ({ thread: { title: 'Poll', activities: 2 } }),
    },
    {
      ref: 'flowdock-example-integration',
      fact: 'sources may be called integrations',
      request: () => post(`${facts}/integrations`, { name: 'Polls' }, {}, 'Ada'),
      status: 201,
      json: () => ({ name: 'Polls', flow_token: expect.stringMatching(/^[0-9a-f]{32}$/) }),
    },
  ])
})

describe('values that count as missing', () => {
  const blank = { thread_id: '', uuid: '', external_user_name: '', external_thread_id: ' ', message: '' }
  check([
    {
      ref: 'wrapper',
      fact: 'blank texts of a message in JSON',
      request: () =>
        post(
          `${facts}/messages`,
          { event: 'message', content: 'x', thread: '', ...blank, tags: [null] },
          {},
          'Ada',
        ),
      status: 201,
      json: () => ({ user: '1', tags: [], uuid: expect.stringMatching(/./) }),
      check: (_, answer) => expect(answer?.json).not.toHaveProperty('external_user_name'),
    },
    {
      ref: 'go-flowdock',
      fact: 'blank texts and "null" in the query of a message',
      request: () =>
        post(
          `${facts}/messages?event=message&content=null&thread_id=null&uuid=null&tags=null&external_user_name=&message=null`,
          undefined,
          {},
          'Ada',
        ),
      status: 201,
      json: () => ({ content: 'null', user: '1', tags: [] }),
    },
    {
      ref: 'messages.md',
      fact: 'a file called "null", whose bytes are "null" in Base64',
      request: () =>
        post(
          `${facts}/messages`,
          { event: 'file', content: { data: 'null', content_type: 'text/plain', file_name: 'null' } },
          {},
          'Ada',
        ),
      status: 201,
      json: () => ({ content: { file_name: 'null', file_size: 3 } }),
    },
    {
      ref: 'messages.md',
      fact: '"null" for what bounds a list',
      request: () =>
        get(`${facts}/messages?since_id=null&until_id=&limit=null&event=null&tags=&sort=null&search=&skip=`),
      status: 200,
      check: (_, answer) => expect(answer?.json.length).toBeGreaterThan(10),
    },
    {
      ref: 'threads.md',
      fact: 'and a list of threads',
      request: () => get(`${facts}/threads?since=null&until=&application=null&limit=&empty=`),
      status: 200,
    },
    {
      ref: 'push.md',
      fact: 'blank options of the inbox push',
      request: ({ flow }) =>
        post(
          `/v1/messages/team_inbox/${flow.api_token}`,
          'source=CI&from_address=a%40b&subject=s&content=c&project=&link=&reply_to=null&from_name=&tags=&format=',
          form,
        ),
      status: 200,
      check: async (world) =>
        expect((await newest(world, '&event=mail')).content).toEqual({
          ...{
            subject: 's',
            replyTo: [],
            to: [],
            contentType: 'text/html',
            from: [{ name: '', address: 'a@b' }],
          },
          ...{ cc: [], bcc: [], content: 'c', sender: 'a@b', source: 'CI' },
        }),
    },
    {
      ref: 'messages.md',
      fact: 'a blank thread_id does not move an edited message',
      request: ({ chat }) => ({
        method: 'PUT',
        path: `${facts}/messages/${chat.id}`,
        body: { content: 'Howdy @Ben, see http://x.example/ #hello', thread_id: '' },
      }),
      status: 200,
      check: async ({ call, chat }) =>
        expect((await call({ path: `${facts}/messages/${chat.id}` })).json.thread_id).toBe(chat.thread_id),
    },
    {
      ref: 'flows.md',
      fact: 'a blank name does not rename a flow',
      request: () => ({ method: 'PUT', path: facts, body: { name: '', open: '', access_mode: null } }),
      status: 200,
      json: () => ({ name: 'Facts' }),
    },
    {
      ref: 'sources.md',
      fact: 'a blank error message does clear it',
      request: ({ source }) => ({
        method: 'PUT',
        path: '/sources',
        body: { flow_token: source.flow_token, error_message: '', configuration_url: 'null' },
      }),
      status: 200,
    },
    {
      ref: 'messages.md',
      fact: 'content that is blank stays an error',
      request: () => post(`${facts}/messages`, { event: 'message', content: ' ' }, {}, 'Ada'),
      status: 400,
      json: () => ({ errors: { content: ["can't be blank"] } }),
    },
  ])
})

describe('lists in forms', () => {
  const thread = (token: string, fields: string) =>
    `flow_token=${token}&event=activity&title=t&author[name]=M&external_thread_id=indexed&thread[title]=T&${fields}`
  const json = () => ({
    thread: {
      fields: [
        { label: 'a', value: '1' },
        { label: 'b', value: '2' },
      ],
    },
  })
  check([
    ...['tags[]=a&tags[]=b', 'tags[0]=a&tags[1]=b', 'tags[1]=b&tags[0]=a', 'tags=a,b'].map(
      (tags): Fact => ({
        ref: 'general-information.md',
        fact: `${tags} are two tags`,
        request: () => post(`${facts}/messages`, `event=message&content=x&${tags}`, form, 'Ada'),
        status: 201,
        json: () => ({ tags: ['a', 'b'] }),
      }),
    ),
    {
      ref: 'general-information.md',
      fact: 'so they are in a query',
      request: () => get(`${facts}/messages?tags[0]=a&tags[1]=b&limit=1`),
      status: 200,
      json: () => [{ tags: ['a', 'b'] }],
    },
    {
      ref: 'go-querystring',
      fact: 'numbered objects are a list, too',
      request: ({ source }) =>
        post(
          '/messages',
          thread(
            source.flow_token,
            'thread[fields][0][label]=a&thread[fields][0][value]=1&thread[fields][1][label]=b&thread[fields][1][value]=2',
          ),
          { ...form, ...waits },
        ),
      status: 201,
      json,
    },
    {
      ref: 'general-information.md',
      fact: 'keys that are no numbers make no list',
      request: () => post(`${facts}/messages`, 'event=message&content=x&tags[a]=b', form, 'Ada'),
      status: 400,
      json: () => ({ errors: { tags: ['must be a list of strings'] } }),
    },
  ])
})

describe('comments, mails and names', () => {
  const upload = () => {
    const body = [
      ...['--x', 'Content-Disposition: form-data; name="event"', '', 'file'],
      ...['--x', 'Content-Disposition: form-data; name="content"; filename="shot.txt"'],
      ...['Content-Type: text/plain', '', 'hi', '--x--', ''],
    ]
    return body.join('\r\n')
  }
  check([
    {
      ref: 'files.md',
      fact: 'a file posted where comments are is a file in that thread',
      request: ({ chat }) =>
        post(
          `${facts}/messages/${chat.id}/comments`,
          upload(),
          { 'content-type': 'multipart/form-data; boundary=x' },
          'Ada',
        ),
      status: 201,
      json: ({ chat }) => ({
        event: 'file',
        tags: [':file'],
        thread_id: chat.thread_id,
        content: { file_name: 'shot.txt', file_size: 2 },
      }),
    },
    {
      ref: 'files.md',
      fact: 'and in JSON at /comments',
      request: ({ chat, flow }) =>
        post(
          '/comments',
          {
            ...{ flow: flow.id, message: chat.id, event: 'file' },
            content: { data: 'aGk=', file_name: 'a.txt', content_type: 'text/plain' },
          },
          {},
          'Ada',
        ),
      status: 201,
      json: ({ chat }) => ({ event: 'file', thread_id: chat.thread_id }),
    },
    {
      ref: 'hubot-flowdock',
      fact: 'anything else there stays a comment',
      request: ({ chat }) =>
        post(`${facts}/messages/${chat.id}/comments`, { event: 'message', content: 'x' }, {}, 'Ada'),
      status: 201,
      json: ({ chat }) => ({
        event: 'comment',
        tags: [`influx:${chat.id}`],
        content: { title: chat.content, text: 'x' },
      }),
    },
    {
      ref: 'api-docs 2012',
      fact: 'a user may post a mail',
      request: () =>
        post(
          `${main}/messages`,
          {
            event: 'mail',
            subject: 'Hi',
            from_address: 'ada@example.com',
            source: 'Desk',
            content: '<p>x</p>',
          },
          {},
          'Ada',
        ),
      status: 201,
      json: () => ({
        event: 'mail',
        app: 'influx',
        tags: [':source:Desk'],
        content: { subject: 'Hi', from: [{ address: 'ada@example.com' }] },
        thread: { title: 'Hi' },
      }),
    },
    {
      ref: 'messages.md',
      fact: 'external_user_name makes the message of a user anonymous',
      request: () =>
        post(`${facts}/messages`, { event: 'message', content: 'x', external_user_name: 'Robot' }, {}, 'Ada'),
      status: 201,
      json: () => ({ user: '0', external_user_name: 'Robot' }),
    },
  ])
})

describe('URLs of integrations before 2014', () => {
  const push = {
    ref: 'refs/heads/master',
    before: 'a1',
    after: 'b2',
    repository: { name: 'oulu', url: 'https://github.com/flowdock/oulu', owner: { name: 'flowdock' } },
    pusher: { name: 'tsilen' },
    compare: 'https://github.com/flowdock/oulu/compare/a1...b2',
    commits: [
      {
        id: 'b2',
        message: 'Support ISON',
        author: { name: 'T' },
        url: 'javascript:alert(1)',
        added: ['a.rb'],
      },
    ],
  }
  const jira = {
    ...{ event_type: 'comment', event_type_id: '6', issue_key: 'TEST-5', issue_summary: "Otto's new bug" },
    ...{
      issue_url: 'http://localhost:2990/jira/browse/TEST-5',
      comment_body: 'Working on it',
      user_name: 'V',
    },
    issue_changelog: JSON.stringify([{ field: 'Status', old_value: 'Open', new_value: 'Closed' }]),
  }
  check([
    {
      ref: 'github-services',
      fact: 'a GitHub webhook is a vcs event',
      request: ({ flow }) => post(`/v1/github/${flow.api_token}`, push, { 'x-github-event': 'push' }),
      status: 200,
      check: async (world) => {
        const message = await newest(world, '&event=vcs')
        expect(message).toMatchObject({
          event: 'vcs',
          app: 'influx',
          user: '0',
          tags: ['github:push', 'project:flowdock/oulu'],
          content: { event: 'push', repository: push.repository, compare: push.compare },
          thread: { title: 'oulu' },
        })
        // What clients would show as a link is one.
        expect(message.content.commits[0]).toEqual({
          ...{ id: 'b2', message: 'Support ISON', author: { name: 'T' }, added: ['a.rb'] },
        })
        expect((await world.call({ path: `${facts}/messages?search=ISON` })).json).toMatchObject([
          { id: message.id },
        ])
      },
    },
    {
      ref: '§7.3.3',
      fact: 'its tags are the event and the project, whose owner may have a login',
      request: ({ flow }) =>
        post(
          `/v1/github/${flow.api_token}`,
          { repository: { name: 'oulu', owner: { login: 'flowdock' } } },
          { 'x-github-event': 'issue_comment' },
        ),
      status: 200,
      check: async (world) =>
        expect((await newest(world, '&event=vcs')).tags).toEqual([
          'github:issue_comment',
          'project:flowdock/oulu',
        ]),
    },
    {
      ref: 'github-services',
      fact: 'its ping is accepted and makes no message',
      request: ({ flow }) => post(`/v1/github/${flow.api_token}`, { zen: 'x' }, { 'x-github-event': 'ping' }),
      status: 200,
      json: () => ({}),
    },
    {
      ref: 'flowdock-git-hook',
      fact: 'the git hook posts a form, with tags behind the token',
      request: ({ source }) =>
        post(
          `/v1/git/${source.flow_token}+git+deploy`,
          new URLSearchParams({ payload: JSON.stringify(push) }).toString(),
          form,
        ),
      status: 200,
      check: async (world) =>
        expect(await newest(world, '&event=vcs')).toMatchObject({ tags: ['git', 'deploy'], user: '0' }),
    },
    {
      ref: 'github-services 2011',
      fact: 'the token may be a parameter',
      request: ({ flow }) =>
        post(
          '/v1/git',
          new URLSearchParams({ token: flow.api_token, payload: JSON.stringify(push) }).toString(),
          form,
        ),
      status: 200,
    },
    {
      ref: 'github-services',
      fact: 'a large push leaves the names of files out',
      request: ({ flow }) => {
        const added = Array.from({ length: 2000 }, (_, index) => `some/folder/file-${index}.txt`)
        const commits = Array.from({ length: 30 }, (_, index) => ({
          id: `c${index}`,
          message: `m${index}`,
          added,
        }))
        return post(`/v1/github/${flow.api_token}`, { ...push, commits }, { 'x-github-event': 'push' })
      },
      status: 200,
      check: async (world) => {
        const { content } = await newest(world, '&event=vcs')
        expect(content.commits).toHaveLength(20)
        expect(content.commits[19]).toEqual({ id: 'c29', message: 'm29' })
      },
    },
    {
      ref: 'flowdock-git-hook',
      fact: 'a payload that is no JSON is 400',
      request: ({ flow }) => post(`/v1/git/${flow.api_token}`, 'payload=x', form),
      status: 400,
      json: () => ({ errors: { payload: ['must be a JSON object'] } }),
    },
    {
      ref: 'flowdock-jira-plugin',
      fact: 'JIRA posts a form',
      request: ({ flow }) => post(`/v1/jira/${flow.api_token}`, new URLSearchParams(jira).toString(), form),
      status: 200,
      check: async (world) =>
        expect(await newest(world, '&event=jira')).toMatchObject({
          content: { ...jira, issue_changelog: [{ field: 'Status', new_value: 'Closed' }] },
          thread: { title: "TEST-5: Otto's new bug" },
        }),
    },
    {
      ref: 'flowdock-confluence-plugin',
      fact: 'Confluence posts JSON below /jari, and its action is the event',
      request: ({ flow }) =>
        post(`/jari/confluence/messages/?tokens=${flow.api_token}`, {
          ...{ action: 'update', page_title: 'Home', page_url: 'http://localhost:1990/Home' },
          ...{ space_name: 'Demo', user_name: 'admin', content_summary: 'home of the Demo' },
        }),
      status: 200,
      check: async (world) => {
        const { content, thread } = await newest(world, '&event=confluence')
        expect(thread.title).toBe('Home')
        expect(content).toEqual({
          ...{ event: 'update', page_title: 'Home', page_url: 'http://localhost:1990/Home' },
          ...{ space_name: 'Demo', user_name: 'admin', content_summary: 'home of the Demo' },
        })
      },
    },
    ...['/v1/zendesk/TOKEN', '/v1/svn/TOKEN', '/jari/zendesk/messages/?tokens=TOKEN'].map(
      (path): Fact => ({
        ref: 'oulu',
        fact: `${path} is 404 and says what to do`,
        request: ({ flow }) => post(path.replace('TOKEN', flow.api_token), { id: 1 }),
        status: 404,
        json: () => ({ message: expect.stringContaining('/v1/messages/team_inbox/') }),
      }),
    ),
    {
      ref: 'flowdock-jira-plugin',
      fact: 'an unknown token is 404',
      request: () => post('/v1/jira/00000000', jira),
      status: 404,
      json: () => ({ message: 'not found' }),
    },
  ])
})

describe('reading', () => {
  const stream = (path: string, id: string) => ({
    path,
    headers: { 'last-event-id': id, accept: 'text/event-stream' },
  })
  check([
    {
      ref: 'eventsource of Go',
      fact: 'an empty Last-Event-ID is none',
      request: () => stream('/stream/flows?filter=example/facts&until=now', ''),
      status: 200,
      check: (_, answer) => expect(answer?.text).not.toContain('"event":"message"'),
    },
    {
      ref: 'streaming.md',
      fact: 'one that is no id stays 400',
      request: () => stream('/stream/flows?filter=example/facts&until=now', 'x'),
      status: 400,
    },
    ...[facts, '/flows', '/user', '/organizations', '/stream/flows?filter=example/facts'].map(
      (path): Fact => ({
        ref: 'RFC 9110, 9.3.2',
        fact: `HEAD ${path} is answered like GET`,
        request: () => ({ method: 'HEAD', path }),
        status: 200,
        text: '',
        headers: { 'flowdock-user': '1' },
      }),
    ),
    {
      ref: 'RFC 9110, 9.3.2',
      fact: 'HEAD tells the length',
      request: () => ({ method: 'HEAD', path: '/user' }),
      status: 200,
      headers: { 'content-length': /^[1-9]\d*$/ },
    },
    {
      ref: 'organizations.md',
      fact: 'an organization has its users and its subscription',
      request: () => get('/organizations'),
      status: 200,
      json: () => [
        {
          parameterized_name: 'example',
          subscription: { trial: false },
          users: [
            { id: 1, name: 'Ada Byron', email: 'ada@example.com', admin: true },
            { id: 2, name: 'Ben Okri', email: 'ben@example.com', admin: false },
            { id: 3, name: 'Cleo Marsh', email: 'cleo@example.com', admin: false },
          ],
        },
      ],
    },
    {
      ref: 'organizations.md',
      fact: 'also by its id, and after a change',
      request: () => ({ method: 'PUT', path: '/organizations/example', body: { name: 'Example' } }),
      status: 200,
      check: async ({ call }, answer) => {
        const { json: found } = await call({ path: '/organizations/find?id=1' })
        expect(answer?.json).toEqual(found)
        expect(found.users).toHaveLength(3)
        expect((await call({ path: facts })).json.organization).not.toHaveProperty('users')
      },
    },
    {
      ref: 'flows.md',
      fact: 'a flow is found by its path, too',
      request: () => get('/flows/find?id=example:facts'),
      status: 200,
      json: ({ flow }) => ({ id: flow.id }),
    },
    {
      ref: 'oulu',
      fact: 'a file is below /rest, as in the web app',
      request: ({ file }) => get(`/rest${file.content.path}`),
      status: 302,
    },
    {
      ref: 'messages.md',
      fact: 'a file has the path of its flow, by one redirect to storage that knows its name',
      request: ({ file }) => get(`${facts}/files/${file.content.path.split('/')[3]}/shot.png`),
      status: 302,
      check: async ({ call }, answer) => {
        const { pathname, search } = new URL(answer?.headers.get('location') ?? '')
        for (const method of ['GET', 'HEAD']) {
          const stored = await call({ as: 'nobody', method, path: pathname + search })
          expect(stored.status).toBe(200)
          expect(stored.headers.get('x-amz-meta-name')).toBe('shot.png')
          expect(stored.text === '').toBe(method === 'HEAD')
        }
      },
    },
    {
      ref: 'messages.md',
      fact: 'but not the path of another flow',
      request: ({ file }) => get(`${main}/files/${file.content.path.split('/')[3]}/shot.png`),
      status: 404,
    },
    ...['web_url', 'join_url'].map(
      (name): Fact => ({
        ref: 'flows.md',
        fact: `${name} of a flow leads a person to a page`,
        request: ({ flow }) => get(new URL(flow[name]).pathname, { accept: 'text/html,*/*;q=0.8' }, 'nobody'),
        status: 200,
        headers: { 'content-type': /^text\/html/, 'content-security-policy': /default-src 'none'/ },
      }),
    ),
  ])
})

describe('avatars', () => {
  const avatar = async (as: As = 'Ada') => (await world.call({ as, path: '/user' })).json.avatar as string
  const fetchPicture = async (url: string) => {
    const response = await fetch(url)
    return { response, bytes: Buffer.from(await response.arrayBuffer()) }
  }
  const picture = { avatar: { data: '' } }
  check([
    {
      ref: 'FlowdockAPI',
      fact: 'is never null, ends in a slash, and is the same wherever the user is',
      request: () => get('/users'),
      status: 200,
      check: async ({ call, conversation, source }, answer) => {
        const own = await avatar()
        expect(own).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/avatars\/[0-9a-f]{32}\/$/)
        const { json: flow } = await call({ path: facts })
        const { json: members } = await call({ path: '/organizations/example/users' })
        const { json: users } = await call({ path: `${facts}/users` })
        for (const list of [answer?.json, flow.users, members, users, conversation.users, [source.creator]])
          expect(list.find(({ id }: { id: number }) => id === 1).avatar).toBe(own)
        expect(await avatar('Ben')).not.toBe(own)
      },
    },
    {
      ref: 'users.md',
      fact: 'is a picture of the size that a client appends, for everybody and harmless',
      request: () => get('/user'),
      check: async () => {
        for (const [suffix, pixels] of [
          ['', 128],
          ['60', 60],
          ['300x300', 300],
          ['99999', 512],
          ['1', 16],
          ['large.png', 128],
        ] as const) {
          const { response, bytes } = await fetchPicture((await avatar()) + suffix)
          expect(imageSize(bytes)).toMatchObject({ type: 'png', width: pixels, height: pixels })
          expect(response.headers.get('content-type')).toBe('image/png')
          expect(response.headers.get('x-content-type-options')).toBe('nosniff')
          expect(response.headers.get('content-security-policy')).toContain('sandbox')
        }
        expect((await fetch(`${new URL(await avatar()).origin}/avatars/1/`)).status).toBe(404)
      },
    },
    {
      ref: 'an extension',
      fact: 'can be set to a picture, which the flows are told, and removed again',
      request: () => get('/user'),
      check: async ({ call, file }) => {
        const generated = await avatar('Ben')
        const { json: since } = await call({ path: `${facts}/messages?limit=1` })
        const download = await call({ path: file.content.path })
        const png = Buffer.from(await (await fetch(download.headers.get('location') ?? '')).arrayBuffer())
        const set = await call({
          ...{ as: 'Ben', method: 'PUT', path: '/user/avatar' },
          body: { avatar: { data: png.toString('base64') } },
        })
        expect(set).toMatchObject({ status: 200, json: { avatar: expect.not.stringMatching(generated) } })
        expect(await avatar('Ben')).toBe(set.json.avatar)
        expect((await fetchPicture(`${set.json.avatar}120`)).bytes).toEqual(png)
        const { json: edits } = await call({
          path: `${facts}/messages?event=user-edit&since_id=${since[0].id}`,
        })
        expect(edits.at(-1).content.user.avatar).toBe(set.json.avatar)
        expect((await call({ as: 'Ben', method: 'DELETE', path: '/user/avatar' })).status).toBe(204)
        expect(await avatar('Ben')).toBe(generated)
        // The old URL shows nothing of it.
        expect((await fetchPicture(set.json.avatar)).bytes).not.toEqual(png)
      },
    },
    ...(
      [
        ['text', Buffer.from('<svg onload="alert(1)"/>'), 400],
        ['too long', Buffer.alloc(128 * 1024 + 1), 400],
      ] as const
    ).map(
      ([name, bytes, status]): Fact => ({
        ref: 'an extension',
        fact: `a picture that is ${name} is refused`,
        request: () => ({
          ...{ method: 'PUT', path: '/user/avatar' },
          body: { avatar: { ...picture.avatar, data: bytes.toString('base64') } },
        }),
        status,
        json: () => ({ errors: { avatar: [expect.any(String)] } }),
      }),
    ),
  ])
})
