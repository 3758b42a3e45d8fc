import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
  const ada = app.backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Busy' })
  for (const id of [2, 3]) await ada('POST', '/flows/example/busy/users', { id })
  for (let index = 0; index < 120; index += 1) {
    const nick = (['Ada', 'Ben', 'Cleo'] as const)[index % 3] ?? 'Ada'
    await app.backend.as(nick)('POST', '/flows/example/busy/messages', {
      event: 'message',
      content: `message ${index}`,
    })
  }
})
beforeEach(() => {
  app.calls.length = 0
})
afterAll(() => app.close())

describe('few calls reach the upstream', () => {
  test('a flow with 100 messages, their authors and threads costs two', async () => {
    const result = await app.graphql(
      'Ada',
      `{ flow(by: { path: "example/busy" }) { name messages(last: 100) { nodes {
          author { name } thread { title internalCommentCount } ... on ChatMessage { content }
      } } } }`,
    )
    expect(result.errors).toBeUndefined()
    const { nodes } = result.data.flow.messages
    expect(nodes).toHaveLength(100)
    expect(nodes[99]).toMatchObject({
      content: 'message 119',
      author: { name: 'Cleo Marsh' },
      thread: { title: 'message 119' },
    })
    expect(new Set(nodes.map((node: { author: { name: string } }) => node.author.name)).size).toBe(3)
    expect(app.calls.map(({ url }) => new URL(url).pathname).sort()).toEqual([
      '/flows/example/busy',
      '/flows/example/busy/messages',
    ])
  })

  test('whether there are more than 100 costs one more call, and only when it is selected', async () => {
    const result = await app.graphql(
      'Ada',
      '{ flow(by: { path: "example/busy" }) { messages(last: 100) { nodes { author { name } } pageInfo { hasPreviousPage } } } }',
    )
    expect(result.data.flow.messages.pageInfo.hasPreviousPage).toBe(true)
    expect(app.calls).toHaveLength(3)
  })

  test('authors and members of several flows cost one list each, not one read each', async () => {
    const result = await app.graphql(
      'Ada',
      '{ flows { nodes { path messages(last: 10) { nodes { author { name } } } users { nodes { user { nick } } } } } }',
    )
    expect(result.errors).toBeUndefined()
    const flows = result.data.flows.nodes.length
    expect(app.calls).toHaveLength(1 + flows + 1 + 1)
    expect(app.calls.filter(({ url }) => new URL(url).pathname === '/users')).toHaveLength(1)
  })

  test('an object that is requested twice is read once', async () => {
    await app.graphql('Ada', '{ a: viewer { nick } b: viewer { name } }')
    expect(app.calls).toHaveLength(1)
  })
})

describe('queries', () => {
  test('who am I', async () => {
    expect((await app.graphql('Ben', '{ viewer { databaseId nick name email } }')).data.viewer).toEqual({
      databaseId: 2,
      nick: 'Ben',
      name: 'Ben Okri',
      email: 'ben@example.com',
    })
  })

  test('my flows, and those I could join', async () => {
    const { data } = await app.graphql(
      'Ben',
      '{ mine: flows { nodes { slug } } all: flows(scope: ALL) { nodes { slug viewerIsMember access } } }',
    )
    expect(data.mine.nodes.map((flow: { slug: string }) => flow.slug)).not.toContain('support')
    expect(data.all.nodes).toContainEqual({ slug: 'support', viewerIsMember: false, access: 'ORGANIZATION' })
  })

  test('a flow by each of its names', async () => {
    const { data } = await app.graphql(
      'Ada',
      '{ flow(by: { path: "example/main" }) { id databaseId url webUrl } }',
    )
    for (const by of [
      { id: data.flow.id },
      { databaseId: data.flow.databaseId },
      { url: data.flow.url },
      { url: data.flow.webUrl },
    ]) {
      const again = await app.graphql('Ada', 'query ($by: FlowBy!) { flow(by: $by) { id } }', { by })
      expect(again.data.flow.id).toBe(data.flow.id)
    }
  })

  test('null for a flow that is not there or not for me', async () => {
    const { data, errors } = await app.graphql(
      'Ben',
      '{ a: flow(by: { path: "example/nothing" }) { id } b: flow(by: { path: "nowhere/main" }) { id } c: flow(by: { path: "../users" }) { id } }',
    )
    expect([data, errors]).toEqual([{ a: null, b: null, c: null }, undefined])
  })

  test('the organization and its users', async () => {
    const { data } = await app.graphql(
      'Ada',
      '{ organization(by: { slug: "example" }) { name userCount users(first: 2) { nodes { user { nick } isAdmin } pageInfo { hasNextPage endCursor } } } }',
    )
    expect(data.organization).toMatchObject({
      userCount: 3,
      users: {
        nodes: [
          { user: { nick: 'Ada' }, isAdmin: true },
          { user: { nick: 'Ben' }, isAdmin: false },
        ],
        pageInfo: { hasNextPage: true },
      },
    })
    const rest = await app.graphql(
      'Ada',
      'query ($after: String) { organization(by: { slug: "example" }) { users(after: $after) { nodes { user { nick } } pageInfo { hasNextPage hasPreviousPage } } } }',
      { after: data.organization.users.pageInfo.endCursor },
    )
    expect(rest.data.organization.users).toEqual({
      nodes: [{ user: { nick: 'Cleo' } }],
      pageInfo: { hasNextPage: false, hasPreviousPage: true },
    })
  })

  test('every kind of message, by its own type', async () => {
    const { data, errors } = await app.graphql(
      'Ada',
      `{ flow(by: { path: "example/engineering" }) { messages { nodes { __typename event tags
          author { __typename name }
          ... on FileMessage { file { name contentType byteSize path } }
          ... on Activity { title thread { title status { color value } fields { label value } source { name application { name } flow { path } } } }
          ... on Discussion { title body }
      } } } }`,
    )
    expect(errors).toBeUndefined()
    const kinds = data.flow.messages.nodes.map((node: { __typename: string }) => node.__typename)
    expect(kinds).toEqual([
      ...['ChatMessage', 'ChatMessage', 'FileMessage', 'Activity', 'Activity', 'Activity', 'Discussion'],
    ])
    expect(data.flow.messages.nodes[3]).toMatchObject({
      title: 'added this source',
      thread: { title: 'Tickets' },
    })
    expect(data.flow.messages.nodes[5]).toMatchObject({
      author: { __typename: 'ExternalAuthor', name: 'Ben Okri' },
      title: 'closed ticket',
      thread: {
        title: 'Polish the flux capacitor',
        status: { color: 'GREEN', value: 'done' },
        source: { name: 'Tickets', flow: { path: 'example/engineering' } },
      },
    })
    expect(data.flow.messages.nodes[2].file).toMatchObject({
      name: 'architecture.svg',
      contentType: 'image/svg+xml',
    })
  })

  test('anything again by its global id', async () => {
    const { data } = await app.graphql(
      'Ada',
      '{ viewer { id } flow(by: { path: "example/engineering" }) { id organization { id } sources { nodes { id } } threads(first: 1) { nodes { id } } messages(last: 1) { nodes { id } } } }',
    )
    const ids = [
      data.viewer,
      data.flow,
      data.flow.organization,
      data.flow.sources.nodes[0],
      data.flow.threads.nodes[0],
      data.flow.messages.nodes[0],
    ].map(({ id }) => id)
    const again = await app.graphql('Ada', 'query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', {
      ids,
    })
    expect(again.data.nodes.map((node: { __typename: string }) => node.__typename)).toEqual([
      'User',
      'Flow',
      'Organization',
      'Source',
      'Thread',
      'Discussion',
    ])
    expect(again.data.nodes.map((node: { id: string }) => node.id)).toEqual(ids)
    const hidden = await app.graphql('Cleo', 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', {
      ids: ids.slice(3),
    })
    expect(hidden.data.nodes).toEqual([null, null, null])
  })
})

describe('paging', () => {
  const page = '{ nodes { databaseId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }'

  async function walk(
    args: (cursor: string | null) => string,
    next: 'end' | 'start',
    container = 'messages',
  ): Promise<number[][]> {
    const pages: number[][] = []
    let cursor: string | null = null
    for (let more = true; more; ) {
      const { data, errors } = await app.graphql(
        'Ada',
        `{ flow(by: { path: "example/busy" }) { ${container}(${args(cursor)}) ${page} } }`,
      )
      expect(errors).toBeUndefined()
      const { nodes, pageInfo } = data.flow[container]
      pages.push(nodes.map((node: { databaseId: number }) => node.databaseId))
      cursor = next === 'end' ? pageInfo.endCursor : pageInfo.startCursor
      more = next === 'end' ? pageInfo.hasNextPage : pageInfo.hasPreviousPage
    }
    return pages
  }

  test('forward and backward walk the same messages, each once', async () => {
    const forward = await walk((cursor) => `first: 50${cursor === null ? '' : `, after: "${cursor}"`}`, 'end')
    const backward = await walk(
      (cursor) => `last: 50${cursor === null ? '' : `, before: "${cursor}"`}`,
      'start',
    )
    const all = forward.flat()
    expect(
      forward
        .map((ids) => ids.length)
        .slice(0, -1)
        .every((length) => length === 50),
    ).toBe(true)
    expect(all).toEqual([...new Set(all)].sort((a, b) => a - b))
    expect(backward.toReversed().flat()).toEqual(all)
    expect(all.length).toBeGreaterThanOrEqual(120)
  })

  test('a page between two cursors has the items between them', async () => {
    const { data } = await app.graphql(
      'Ada',
      '{ flow(by: { path: "example/busy" }) { messages(last: 5) { edges { cursor node { databaseId } } } } }',
    )
    const [first, , , , last] = data.flow.messages.edges
    const between = await app.graphql(
      'Ada',
      `{ flow(by: { path: "example/busy" }) { messages(first: 10, after: "${first.cursor}", before: "${last.cursor}") ${page} } }`,
    )
    expect(between.data.flow.messages.nodes).toHaveLength(3)
  })

  test('threads walk forward, the newest first, also when many share a time', async () => {
    const pages = await walk(
      (cursor) => `first: 40${cursor === null ? '' : `, after: "${cursor}"`}`,
      'end',
      'threads',
    )
    const all = pages.flat()
    expect(new Set(all).size).toBe(all.length)
    expect(all).toHaveLength(120)
    const { data } = await app.graphql(
      'Ada',
      `{ flow(by: { path: "example/busy" }) { threads(first: 5) { edges { cursor node { databaseId } } } } }`,
    )
    const [, second, , , fifth] = data.flow.threads.edges
    const before = await app.graphql(
      'Ada',
      `{ flow(by: { path: "example/busy" }) { threads(last: 2, before: "${fifth.cursor}") { nodes { databaseId } pageInfo { hasPreviousPage } } } }`,
    )
    expect(before.data.flow.threads.nodes.map((node: { databaseId: string }) => node.databaseId)).toEqual(
      data.flow.threads.edges
        .slice(2, 4)
        .map((edge: { node: { databaseId: string } }) => edge.node.databaseId),
    )
    expect(before.data.flow.threads.pageInfo.hasPreviousPage).toBe(true)
    expect(second.cursor).not.toBe(fifth.cursor)
  })

  test('a thread’s messages page like a flow’s', async () => {
    const { data } = await app.graphql(
      'Ada',
      '{ flow(by: { path: "example/main" }) { threads(first: 10) { nodes { title messages(first: 2) { nodes { ... on ChatMessage { content } } pageInfo { hasNextPage } } } } } }',
    )
    const welcome = data.flow.threads.nodes.find((thread: { title: string }) =>
      thread.title.startsWith('Welcome'),
    )
    expect(welcome.messages.pageInfo.hasNextPage).toBe(true)
    expect(welcome.messages.nodes).toHaveLength(2)
  })

  test.each([
    ['first: 0', 'Expected first to be 1 to 100, got 0'],
    ['last: 101', 'Expected last to be 1 to 100, got 101'],
    ['first: 1, last: 1', 'Expected either first or last, got both'],
    [
      'after: "nonsense"',
      'Expected after to be a cursor of a list of messages, as in pageInfo.endCursor; got "nonsense"',
    ],
    [
      `before: "${Buffer.from('thread:5:x').toString('base64url')}"`,
      expect.stringContaining('Expected before to be a cursor of a list of messages'),
    ],
  ])('%s is refused with what was expected', async (args, message) => {
    const { data, errors } = await app.graphql(
      'Ada',
      `{ flow(by: { path: "example/busy" }) { name messages(${args}) { nodes { id } } } }`,
    )
    expect(data.flow).toEqual({ name: 'Busy', messages: null })
    expect(errors).toMatchObject([
      { message, path: ['flow', 'messages'], extensions: { code: 'BAD_USER_INPUT' } },
    ])
  })
})

test('nodes answers null for a malformed id, an error with its path, and the other nodes', async () => {
  const { data: known } = await app.graphql(
    'Ada',
    '{ viewer { id } flow(by: { path: "example/main" }) { id } }',
  )
  const ids = [known.viewer.id, 'nonsense', Buffer.from('Password:1').toString('base64url'), known.flow.id]
  const { data, errors } = await app.graphql(
    'Ada',
    'query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on User { nick } ... on Flow { name } } }',
    { ids },
  )
  expect(data.nodes).toEqual([
    { __typename: 'User', nick: 'Ada' },
    null,
    null,
    { __typename: 'Flow', name: 'Main' },
  ])
  expect(errors).toMatchObject([
    {
      message: 'Expected a global id, the id of an object of this API; got "nonsense"',
      path: ['nodes', 1],
      extensions: { code: 'BAD_USER_INPUT' },
    },
    { path: ['nodes', 2], extensions: { code: 'BAD_USER_INPUT' } },
  ])
})

test('presence of many users takes one call beside the capabilities, and is never cached', async () => {
  const query = `{ flow(by: { path: "example/main" }) { users { nodes { user { nick presence } } } } }`
  const say = (state: string) =>
    app.graphql('Ben', `mutation { setPresence(input: { presence: ${state} }) { __typename } }`)
  const presenceOfBen = async () =>
    (await app.graphql('Ada', query)).data.flow.users.nodes.find(
      ({ user }: { user: { nick: string } }) => user.nick === 'Ben',
    ).user.presence
  await say('IDLE')
  app.calls.length = 0
  expect(await presenceOfBen()).toBe('IDLE')
  expect(app.calls.map(({ url }) => new URL(url).pathname).sort()).toEqual([
    '/capabilities',
    '/flows/example/main',
    '/users/presence',
  ])
  await say('OFFLINE')
  expect(await presenceOfBen()).toBe('OFFLINE')
})

describe('bad input', () => {
  test.each([
    [
      '{ node(id: "nonsense") { id } }',
      'Expected a global id, the id of an object of this API; got "nonsense"',
    ],
    [
      `{ node(id: "${Buffer.from('Message:x').toString('base64url')}") { id } }`,
      'Expected a global id of this API',
    ],
    [
      `{ node(id: "${Buffer.from('Password:1').toString('base64url')}") { id } }`,
      'Expected the id of an object of this API, got that of a "Password"',
    ],
    ['{ flow(by: { path: "main" }) { id } }', 'Expected by.path to be "organization/flow", got "main"'],
    [
      '{ flow(by: { url: "http://x/y" }) { id } }',
      expect.stringContaining('Expected by.url to be the URL of a flow'),
    ],
    [
      `{ flow(by: { id: "${Buffer.from('User:1').toString('base64url')}" }) { id } }`,
      'Expected by.id to be the id of a Flow, got that of a User',
    ],
  ])('%s', async (query, message) => {
    const { errors } = await app.graphql('Ada', query)
    expect(errors).toMatchObject([{ message, extensions: { code: 'BAD_USER_INPUT' } }])
    expect(app.calls).toEqual([])
  })
})

describe('resource finds what an address names', () => {
  const asked = `__typename ... on Flow { path } ... on User { nick } ... on Organization { slug } ... on Thread { title }
    ... on ChatMessage { content } ... on Source { name } ... on PrivateConversation { user { nick } }
    ... on Invitation { email } ... on FileMessage { file { name } }`
  const find = async (url: string) =>
    app.graphql('Ada', `query ($url: String!) { resource(url: $url) { ${asked} } }`, { url })
  let thread: string
  let message: number
  let invitation: number
  let joinCode: string
  let file: string

  beforeAll(async () => {
    const { json } = await app.backend.as('Ada')('POST', '/flows/example/main/messages', {
      event: 'message',
      content: 'linked to',
    })
    thread = json.thread_id
    message = json.id
    const ada = app.backend.as('Ada')
    invitation = (await ada('POST', '/flows/example/main/invitations', { email: 'zoe@x.example' })).json.id
    const { json: support } = await ada('GET', '/flows/example/support')
    joinCode = support.join_url.slice(support.join_url.lastIndexOf('/') + 1)
    const sent = await ada('POST', '/flows/example/main/messages', {
      event: 'file',
      content: { data: btoa('x'), content_type: 'text/plain', file_name: 'linked.txt' },
    })
    file = sent.json.content.path
  })

  test.each<[() => string, object]>([
    [() => 'https://api.flowdock.com/flows/example/main', { path: 'example/main' }],
    [() => 'https://www.flowdock.com/app/example/main', { path: 'example/main' }],
    [() => 'https://api.flowdock.com/v1/flows/example/main.json', { path: 'example/main' }],
    [() => `https://www.flowdock.com/app/example/main/threads/${thread}`, { title: 'linked to' }],
    [() => `https://api.flowdock.com/flows/example/main/threads/${thread}`, { title: 'linked to' }],
    [() => `https://www.flowdock.com/app/example/main/messages/${message}`, { content: 'linked to' }],
    [() => `https://api.flowdock.com/flows/example/main/messages/${message}`, { content: 'linked to' }],
    [() => 'https://api.flowdock.com/users/2', { nick: 'Ben' }],
    [() => 'https://api.flowdock.com/organizations/example', { slug: 'example' }],
    [() => 'https://api.flowdock.com/organizations/find?id=1', { slug: 'example' }],
    [() => 'https://www.flowdock.com/app/private/2', { user: { nick: 'Ben' } }],
    [() => 'https://api.flowdock.com/private/2', { user: { nick: 'Ben' } }],
    [() => 'https://api.flowdock.com/private/2/messages', { user: { nick: 'Ben' } }],
    [() => 'https://api.flowdock.com/user', { nick: 'Ada' }],
    [() => 'https://api.flowdock.com/flows/example/main/users/2', { nick: 'Ben' }],
    [() => 'https://example.flowdock.com/flows/main', { path: 'example/main' }],
    [() => 'https://stream.flowdock.com/flows/example/main', { path: 'example/main' }],
    [() => 'https://api.flowdock.com/flows/example/main/messages', { path: 'example/main' }],
    [() => `https://api.flowdock.com/flows/example/main/threads/${thread}/messages`, { title: 'linked to' }],
    [
      () => `https://api.flowdock.com/flows/example/main/messages/${message}/comments`,
      { content: 'linked to' },
    ],
    [
      () => `https://api.flowdock.com/flows/example/main/invitations/${invitation}`,
      { email: 'zoe@x.example' },
    ],
    [() => `https://www.flowdock.com/invitations/${joinCode}`, { path: 'example/support' }],
    [() => `https://www.flowdock.com/rest${file}`, { file: { name: 'linked.txt' } }],
    [() => 'https://api.flowdock.com/flows/example/engineering/sources/1', { name: 'Tickets' }],
  ])('%#', async (url, found) => {
    const { data, errors } = await find(url())
    expect(errors).toBeUndefined()
    expect(data.resource).toMatchObject(found)
  })

  test('a url has at most 2,000 characters', async () => {
    const url = 'https://api.flowdock.com/flows/example/main'
    const longest = await find(url + '/'.repeat(2000 - url.length))
    expect(longest.data.resource).toEqual({ __typename: 'Flow', path: 'example/main' })
    const { errors } = await find(url + '/'.repeat(2001 - url.length))
    expect(errors?.[0]).toMatchObject({
      message: 'Expected url to have at most 2000 characters, got 2001',
      extensions: { code: 'BAD_USER_INPUT' },
    })
  })

  test('null for what is not there, and an error for what is no such address', async () => {
    for (const url of [
      'https://api.flowdock.com/flows/example/nothing',
      'https://api.flowdock.com/users/999',
    ])
      expect((await find(url)).data.resource).toBeNull()
    for (const url of ['https://example.com/', 'nonsense', 'https://api.flowdock.com/flows/%ff/x'])
      expect((await find(url)).errors?.[0]?.extensions?.['code']).toBe('BAD_USER_INPUT')
  })
})
