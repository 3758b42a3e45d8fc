import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually, liveMembers, startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

/*
 * The manual of the Python wrapper, told again in GraphQL: chapter by chapter, the same steps and the same results.
 */

let app: TestApp
let flowToken: string
/** Global ids, by what they are of. */
const ids: Record<string, string> = {}

beforeAll(async () => {
  app = await startTestApp()
  const { data } = await app.graphql(
    'Ada',
    '{ organizations { nodes { id users { nodes { user { id nick } } } } } }',
  )
  const [organization] = data.organizations.nodes
  for (const { user } of organization.users.nodes) ids[user.nick] = user.id
  await run(
    `mutation { createFlow(input: { organizationId: "${organization.id}", name: "Apua flow" }) { __typename } }`,
  )
  const created = await run(
    'mutation { createSource(input: { flow: { path: "example/apua-flow" }, name: "ExternalService" }) { ... on CreateSourcePayload { flowToken } } }',
  )
  flowToken = created.createSource.flowToken
})
afterAll(() => app.close())

/** Executes an operation as Ada, who reads the manual. */
async function run(query: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await app.graphql('Ada', query, variables)
  expect(errors).toBeUndefined()
  return data
}

type Input = Record<string, unknown>
const flow = { flow: { path: 'example/apua-flow' } }

async function send(to: Input, content: string, tags: string[] = []) {
  const { sendMessage } = await run(
    'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { ... on SendMessagePayload { sentMessage { id thread { id } } } } }',
    { input: { ...to, content, tags } },
  )
  return sendMessage.sentMessage as { id: string; thread: { id: string } | null }
}

async function show(id: string) {
  const { node } = await run(
    `query ($id: ID!) { node(id: $id) { ... on Message { tags author { name } thread { id } }
      ... on ChatMessage { content } ... on FileMessage { file { name url } } ... on Discussion { body title } } }`,
    { id },
  )
  return node
}

async function edit(id: string, content: string, tags?: string[]) {
  const { editMessage } = await run(
    'mutation ($input: EditMessageInput!) { editMessage(input: $input) { __typename } }',
    { input: { messageId: id, content, ...(tags === undefined ? {} : { tags }) } },
  )
  expect(editMessage.__typename).toBe('EditMessagePayload')
}

async function changeTags(mutation: 'setTags' | 'addTags' | 'removeTags', id: string, tags: string[]) {
  const data = await run(
    `mutation ($input: ${mutation[0]?.toUpperCase()}${mutation.slice(1)}Input!) { ${mutation}(input: $input) { ... on SetTagsPayload { taggedMessage { tags } } } }`,
    { input: { messageId: id, tags } },
  )
  return data[mutation].taggedMessage.tags
}

async function remove(id: string) {
  const { deleteMessage } = await run(
    'mutation ($input: DeleteMessageInput!) { deleteMessage(input: $input) { __typename ... on DeleteMessagePayload { remainingMessage { ... on ChatMessage { content } } } } }',
    { input: { messageId: id } },
  )
  expect(deleteMessage.__typename).toBe('DeleteMessagePayload')
  return deleteMessage.remainingMessage
}

async function upload(to: Input, name: string, bytes: string) {
  const body = new FormData()
  const query =
    'mutation ($input: UploadFileInput!) { uploadFile(input: $input) { ... on UploadFilePayload { uploadedMessage { id } } } }'
  body.append('operations', JSON.stringify({ query, variables: { input: { ...to, file: null } } }))
  body.append('map', '{"0":["variables.input.file"]}')
  body.append('0', new File([bytes], name, { type: 'text/plain' }))
  const headers = { authorization: basic(await app.backend.token('Ada')), 'graphql-require-preflight': '1' }
  const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers, body })
  return (await response.json()).data.uploadFile.uploadedMessage.id as string
}

/** The messages of the flow under some conditions, as `verify` of the manual prints them. */
async function list(args: string, of: (message: { id: string; content?: string }) => string | undefined) {
  const { flow: found } = await run(
    `{ flow(by: { path: "example/apua-flow" }) { messages(${args}) { nodes { id ... on ChatMessage { content } } } } }`,
  )
  return found.messages.nodes.flatMap((message: { id: string }) => of(message) ?? []).join(' ')
}
const firstCharacter = ({ content }: { content?: string }) => content?.[0]

test('Authentication and Channel: the uid of a person is found by their name', async () => {
  const { organization } = await run(
    '{ organization(by: { slug: "example" }) { users { nodes { user { id name } } } } }',
  )
  const found = organization.users.nodes.find(
    ({ user }: { user: { name: string } }) => user.name === 'Ben Okri',
  )
  expect(found.user.id).toBe(ids['Ben'])
})

describe.each<[string, () => Input]>([
  ['a flow', () => flow],
  ['a private channel', () => ({ userId: ids['Ben'] })],
])('in %s', (_, to) => {
  test('Send, Edit, and Delete a Message', async () => {
    const { id } = await send(to(), 'a message')
    expect((await show(id)).content).toBe('a message')
    await edit(id, 'an edit message')
    expect((await show(id)).content).toBe('an edit message')
    expect(await remove(id)).toEqual({ content: '' })
    expect((await show(id)).content).toBe('')
  })

  test('Upload and Download a File', async () => {
    const id = await upload(to(), 'README.rst', 'Flowdock API Wrapper\n')
    const { file } = await show(id)
    expect(file.name).toBe('README.rst')
    expect(await (await fetch(app.url + file.url)).text()).toBe('Flowdock API Wrapper\n')
    expect(await remove(id)).toBeNull()
    expect(await show(id)).toBeNull()
  })
})

test('Reply Message onto a Thread', async () => {
  const { thread } = await send(flow, 'Thread start')
  const reply = await send({ threadId: thread?.id }, 'A message replied')
  expect(reply.thread).toEqual(thread)
  const { node } = await run(
    'query ($id: ID!) { node(id: $id) { ... on Thread { messages(last: 1) { nodes { id } } } } }',
    {
      id: thread?.id,
    },
  )
  expect(node.messages.nodes).toEqual([{ id: reply.id }])
})

test('Tag a Message: explicit tags first, then those of the text, duplicates dropped, the order kept', async () => {
  const { id } = await send(flow, '@team, ref here: http://docs.python.org', ['ref'])
  const tags = async () => (await show(id)).tags
  expect(await tags()).toEqual(['ref', ':user:team', ':url'])
  expect(await changeTags('setTags', id, ['ref', ':user:team', 'important', ':url'])).toEqual([
    ...['ref', ':user:team', 'important', ':url'],
  ])
  await edit(id, '@team, read ref here: http://docs.python.org', ['ref', ':user:team', ':url'])
  expect(await show(id)).toMatchObject({
    content: '@team, read ref here: http://docs.python.org',
    tags: ['ref', ':user:team', ':url'],
  })
  expect(await changeTags('addTags', id, ['ref', 'python'])).toEqual(['ref', ':user:team', ':url', 'python'])
  expect(await changeTags('removeTags', id, ['python'])).toEqual(['ref', ':user:team', ':url'])
  expect(await tags()).toEqual(['ref', ':user:team', ':url'])
})

test('Tag a Message, in a private channel: whom it is for has not read it', async () => {
  const { id } = await send({ userId: ids['Ben'] }, 'ref here: http://docs.python.org', ['ref'])
  expect((await show(id)).tags).toEqual([':unread:2', 'ref', ':url'])
  const more = [':unread:2', 'ref', 'resources', ':url']
  expect(await changeTags('setTags', id, more)).toEqual(more)
})

describe('List Messages', () => {
  test('the result is in ascending order', async () => {
    await send(flow, 'a keyword here')
    expect(await list('last: 1, filter: { text: "keyword" }', ({ content }) => content)).toBe(
      'a keyword here',
    )
  })

  test('keywords, or tags in a mode', async () => {
    await send(flow, '1. a clue')
    await send(flow, '2. clues', ['A'])
    await send(flow, '3. more clues', ['A', 'B'])
    expect(await list('filter: { text: "clue" }', firstCharacter)).toBe('1')
    expect(await list('filter: { tags: ["A", "B"] }', firstCharacter)).toBe('3')
    expect(await list('filter: { tags: ["A", "B"], tagMode: ANY }', firstCharacter)).toBe('2 3')
  })

  test('keywords united with tags: then skip the newest, then limit', async () => {
    // Within one flow all of a filter must hold; `search` unites, as the service did.
    const search = async (args: string) => {
      const { search: found } = await run(
        `{ search(text: "clue", tags: ["A", "B"], tagMode: ANY${args}) { nodes { ... on ChatMessage { content } } pageInfo { startCursor } } }`,
      )
      return { ...found, contents: found.nodes.map(firstCharacter).join(' ') }
    }
    expect((await search('')).contents).toBe('1 2 3')
    const newest = await search(', last: 1')
    expect(newest.contents).toBe('3')
    const { startCursor } = newest.pageInfo
    expect((await search(`, before: "${startCursor}"`)).contents).toBe('1 2')
    expect((await search(`, last: 1, before: "${startCursor}"`)).contents).toBe('2')
  })

  test('kinds, between two messages, from either end', async () => {
    const names = new Map<string, string>()
    const messages: string[] = []
    for (const name of ['1', '2', '3', '4', '5']) {
      const id = name === '4' ? (await send(flow, 'file_path')).id : await upload(flow, 'a.txt', 'x')
      names.set(id, name)
      messages.push(id)
    }
    const numbers = ({ id }: { id: string }) => names.get(id)
    const since = `sinceMessageId: "${messages[0]}"`
    const until = `untilMessageId: "${messages[4]}"`
    expect(await list(`filter: { ${since} }`, numbers)).toBe('2 3 4 5')
    expect(await list(`filter: { ${since}, ${until} }`, numbers)).toBe('2 3 4')
    expect(await list(`filter: { kinds: [FILE], ${since} }`, numbers)).toBe('2 3 5')
    expect(await list(`last: 1, filter: { kinds: [FILE], ${since} }`, numbers)).toBe('5')
    expect(await list(`first: 1, filter: { kinds: [FILE], ${since} }`, numbers)).toBe('2')
  })

  test('files, links and mentions, both ways', async () => {
    const file = await upload(flow, 'b.txt', 'x')
    const { id: link } = await send(flow, 'see http://example.com, @team')
    const last = async (filter: string) => list(`last: 1, filter: { ${filter} }`, ({ id }) => id)
    expect(await last('tags: [":file"]')).toBe(file)
    expect(await last('kinds: [FILE]')).toBe(file)
    expect(await last('hasFile: true')).toBe(file)
    expect(await last('tags: [":url"]')).toBe(link)
    expect(await last('hasLink: true')).toBe(link)
    expect(await last('tags: ["@team"]')).toBe(link)
    const { flow: found } = await run(
      `{ flow(by: { path: "example/apua-flow" }) { files(last: 1) { nodes { message { id } file { name } } }
        links(last: 1) { nodes { urls message { id } } } } }`,
    )
    expect(found.files.nodes).toEqual([{ message: { id: file }, file: { name: 'b.txt' } }])
    expect(found.links.nodes).toEqual([{ urls: ['http://example.com'], message: { id: link } }])
  })
})

test('List Threads: the newest update first, between two times', async () => {
  const { thread } = await send(flow, 'the newest thread')
  const titles = async (args: string) => {
    const { flow: found } = await run(
      `{ flow(by: { path: "example/apua-flow" }) { threads(${args}) { nodes { id messages(last: 1) { nodes { id } } } } } }`,
    )
    return found.threads.nodes
  }
  const [newest] = await titles('first: 1')
  expect(newest.id).toBe(thread?.id)
  expect(newest.messages.nodes).toHaveLength(1)
  const year = new Date().getUTCFullYear()
  expect(
    await titles(`since: "${year - 1}-01-01T00:00:00Z", until: "${year + 1}-01-01T00:00:00Z"`),
  ).not.toEqual([])
  expect(await titles(`since: "${year - 3}-01-01T00:00:00Z", until: "${year - 2}-01-01T00:00:00Z"`)).toEqual(
    [],
  )
})

describe('Integration', () => {
  const itemId = 'ITEM-01'
  const uri = `https://external.service/item/${itemId}`
  const present = async (input: Input) => {
    const data = await run(
      `mutation ($input: PresentInput!) { present(input: $input) { __typename
        ... on PresentPayload { presentedMessage { id __typename ... on Discussion { body } ... on Activity { title }
          thread { id title externalUrl source { name } activityCount externalCommentCount
            body fields { label value } status { color value } actions { __typename ... on ViewAction { name url } ... on UpdateAction { name } } } } }
        ... on UserError { message code } } }`,
      { input: { flowToken, externalThreadId: itemId, author: { name: 'Ray' }, ...input } },
    )
    return data.present
  }

  test('Present an External Service Item', async () => {
    await present({ title: 'created item', thread: { title: 'Item 01' } })
    await present({ title: 'commented', body: 'The comment', thread: { title: 'Item 01' } })
    const { presentedMessage } = await present({ title: 'commented', body: 'More comment' })
    expect(presentedMessage.thread).toMatchObject({
      title: 'Item 01',
      source: { name: 'ExternalService' },
      activityCount: 1,
      externalCommentCount: 2,
    })
  })

  test('Check Presented Items: what was made is in the answer, and found in each way of the manual', async () => {
    const { presentedMessage } = await present({ title: 'commented', body: 'No URI returned' })
    expect(presentedMessage).toMatchObject({ __typename: 'Discussion', body: 'No URI returned' })
    const newest = async (args: string) => list(args, ({ id }) => id)
    expect(await newest('last: 1')).toBe(presentedMessage.id)
    expect(await newest('last: 1, filter: { kinds: [DISCUSSION] }')).toBe(presentedMessage.id)
    expect(await newest('last: 1, filter: { text: "URI" }')).toBe(presentedMessage.id)
    const touched = await present({ title: 'touched item', thread: { title: 'Item 01', externalUrl: uri } })
    const { flow: found } = await run(
      '{ flow(by: { path: "example/apua-flow" }) { threads { nodes { externalUrl messages(last: 1, filter: { kinds: [ACTIVITY] }) { nodes { id } } } } } }',
    )
    const thread = found.threads.nodes.find(({ externalUrl }: { externalUrl: string }) => externalUrl === uri)
    expect(thread.messages.nodes).toEqual([{ id: touched.presentedMessage.id }])
  })

  test('Tag, Reply, and Delete a Presented Item', async () => {
    const { presentedMessage: discussion } = await present({ title: 'commented', body: 'An idea' })
    expect(await changeTags('setTags', discussion.id, ['idea'])).toEqual(['idea'])
    const reply = await send({ threadId: discussion.thread.id }, 'Reply the other idea')
    expect(reply.thread?.id).toBe(discussion.thread.id)
    expect(await remove(discussion.id)).toBeNull()
    expect(await show(discussion.id)).toBeNull()
  })

  test('Construct author and thread: with typed fields, status and actions in place of dictionaries', async () => {
    const thread = {
      title: 'Item 01',
      externalUrl: uri,
      body: '<strong>The detail of the item here....</strong>',
      fields: [
        { label: 'a', value: '1' },
        { label: '<a>b</a>', value: '<a>2</a>' },
      ],
      status: { color: 'GREEN', value: 'TODO' },
      actions: [
        { view: { name: 'Diff', url: 'https://github.com/flowdock/component/pull/42/files' } },
        { update: { name: 'Assign to me', target: { urlTemplate: `${uri}?assign=me`, httpMethod: 'POST' } } },
      ],
    }
    const author = {
      name: 'Ray',
      avatarUrl: 'https://external.service/ray.png',
      email: 'ray@external.service',
    }
    const { presentedMessage } = await present({ title: 'updated item', author, thread })
    expect(presentedMessage.thread).toMatchObject({
      body: thread.body,
      fields: thread.fields,
      status: thread.status,
      actions: [
        { __typename: 'ViewAction', name: 'Diff', url: thread.actions[0]?.view?.url },
        { __typename: 'UpdateAction', name: 'Assign to me' },
      ],
    })
    expect((await show(presentedMessage.id)).author.name).toBe('Ray')
    // A color that is not supported does not even become a request.
    const wrong = await app.graphql(
      'Ada',
      'mutation ($status: ThreadStatusInput!) { createThread(input: { flow: { path: "example/apua-flow" }, title: "x", status: $status }) { __typename } }',
      { status: { color: 'PINK', value: '...' } },
    )
    expect(wrong.errors?.[0]?.message).toContain('Value "PINK" does not exist in "ThreadStatusColor" enum')
  })
})

test.each<[string, string, string]>([
  ['a flow', 'flows: [{ path: "example/apua-flow" }]', 'a flow'],
  ['private channels', 'flows: [{ path: "example/apua-flow" }], includePrivate: true', 'private'],
])('Event Monitor: %s', async (_, input, where) => {
  await eventually(() => liveMembers(app) === 0)
  const live = await app.subscribe(
    'Ada',
    `subscription { flowEvents(input: { ${input} }) { __typename ... on MessageAdded { message { ... on ChatMessage { content } } } } }`,
  )
  onTestFinished(live.close)
  const next = live.next()
  await eventually(() => liveMembers(app) === 1)
  await send(where === 'private' ? { userId: ids['Ben'] } : flow, '1 second later')
  expect((await next)?.data.flowEvents).toMatchObject({
    __typename: 'MessageAdded',
    message: { content: '1 second later' },
  })
})

test('what the wrapper could not: emoji and re-threading', async () => {
  const { id } = await send(flow, 'nice')
  const reacted = await run(
    'mutation ($input: AddReactionInput!) { addReaction(input: $input) { ... on ReactionPayload { reactedMessage { reactions { emoji count users { nodes { nick } } } } } } }',
    { input: { messageId: id, emoji: 'tada' } },
  )
  expect(reacted.addReaction.reactedMessage.reactions).toEqual([
    { emoji: 'tada', count: 1, users: { nodes: [{ nick: 'Ada' }] } },
  ])
  const { thread } = await send(flow, 'where it belongs')
  const moved = await run(
    'mutation ($input: MoveMessageToThreadInput!) { moveMessageToThread(input: $input) { ... on MoveMessagePayload { movedMessage { thread { id } } } } }',
    { input: { messageId: id, threadId: thread?.id } },
  )
  expect(moved.moveMessageToThread.movedMessage.thread).toEqual({ id: thread?.id })
})
