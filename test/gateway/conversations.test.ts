import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import type { Nick } from '../support/backend.ts'

let app: TestApp
const ids = {} as Record<Nick, string>

beforeAll(async () => {
  app = await startTestApp()
  for (const nick of ['Ada', 'Ben', 'Cleo'] as const)
    ids[nick] = (await app.graphql(nick, '{ viewer { id } }')).data.viewer.id
})
afterAll(() => app.close())

const message = `__typename id databaseId tags author { name } flow { path } thread { id } viewerCanEdit
  conversation { id user { nick } } ... on ChatMessage { content }`
const failure = '... on UserError { code message path }'

async function send(from: Nick, to: Nick, content: string) {
  const query = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
    ... on SendMessagePayload { sentMessage { ${message} } } ${failure} } }`
  const { data, errors } = await app.graphql(from, query, { input: { userId: ids[to], content } })
  expect(errors).toBeUndefined()
  return data.sendMessage.sentMessage ?? data.sendMessage
}

async function list(nick: Nick, other: Nick, args = 'last: 50') {
  const query = `query ($user: ID!) { privateConversation(userId: $user) { id isOpen user { nick }
    messages(${args}) { nodes { ${message} } pageInfo { hasPreviousPage startCursor } } } }`
  const { data, errors } = await app.graphql(nick, query, { user: ids[other] })
  expect(errors).toBeUndefined()
  return data.privateConversation
}

describe('a private message', () => {
  test('is sent to a user, is in the conversation of both, and in no flow', async () => {
    const sent = await send('Ada', 'Ben', 'between us #secret')
    expect(sent).toMatchObject({
      __typename: 'ChatMessage',
      content: 'between us #secret',
      tags: [':unread:2', 'secret'],
      author: { name: 'Ada Byron' },
      flow: null,
      thread: null,
      viewerCanEdit: true,
      conversation: { user: { nick: 'Ben' } },
    })
    const theirs = await list('Ben', 'Ada')
    expect(theirs).toMatchObject({ isOpen: true, user: { nick: 'Ada' } })
    expect(theirs.messages.nodes).toMatchObject([{ content: 'between us #secret', viewerCanEdit: false }])
  })

  test('is edited, tagged, answered with an emoji and deleted like any other', async () => {
    const { id } = await send('Ada', 'Ben', 'first words')
    const { data } = await app.graphql(
      'Ada',
      `mutation ($id: ID!) {
        editMessage(input: { messageId: $id, content: "better words" }) { ... on EditMessagePayload { editedMessage { ... on ChatMessage { content } } } }
        setTags(input: { messageId: $id, tags: ["kept"] }) { ... on SetTagsPayload { taggedMessage { tags } } }
        addReaction(input: { messageId: $id, emoji: "tada" }) { ... on ReactionPayload { reactedMessage { reactions { emoji } } } }
        deleteMessage(input: { messageId: $id }) { ... on DeleteMessagePayload { remainingMessage { ... on ChatMessage { content } } } } }`,
      { id },
    )
    expect(data).toEqual({
      editMessage: { editedMessage: { content: 'better words' } },
      setTags: { taggedMessage: { tags: ['kept'] } },
      addReaction: { reactedMessage: { reactions: [{ emoji: 'tada' }] } },
      deleteMessage: { remainingMessage: { content: '' } },
    })
  })

  test('is read again by its id, by the two alone', async () => {
    const { id } = await send('Ada', 'Ben', 'for two')
    const read = async (nick: Nick) =>
      (
        await app.graphql(nick, 'query ($id: ID!) { node(id: $id) { ... on ChatMessage { content } } }', {
          id,
        })
      ).data
    expect(await read('Ada')).toEqual({ node: { content: 'for two' } })
    // The id says "with Ben": for Cleo that is her own conversation with him, which has no such message.
    expect(await read('Cleo')).toEqual({ node: null })
    expect((await list('Cleo', 'Ben')).messages.nodes).toEqual([])
  })

  test('pages like those of a flow', async () => {
    for (const content of ['p1', 'p2', 'p3']) await send('Cleo', 'Ada', content)
    const newest = await list('Cleo', 'Ada', 'last: 2')
    const contents = ({ messages }: typeof newest) =>
      messages.nodes.map(({ content }: { content: string }) => content)
    expect(contents(newest)).toEqual(['p2', 'p3'])
    expect(newest.messages.pageInfo.hasPreviousPage).toBe(true)
    const before = newest.messages.pageInfo.startCursor
    expect(contents(await list('Cleo', 'Ada', `last: 2, before: "${before}"`))).toEqual(['p1'])
  })
})

describe('a private conversation', () => {
  const change = async (name: 'openPrivateConversation' | 'closePrivateConversation', userId: string) => {
    const query = `mutation ($input: ${name[0]?.toUpperCase()}${name.slice(1)}Input!) { ${name}(input: $input) { __typename
      ... on PrivateConversationPayload { conversation { isOpen } } ${failure} } }`
    return (await app.graphql('Ada', query, { input: { userId } })).data[name]
  }

  test('is opened and closed, listed, and read by its id', async () => {
    expect((await change('openPrivateConversation', ids.Cleo)).conversation.isOpen).toBe(true)
    expect((await change('closePrivateConversation', ids.Cleo)).conversation.isOpen).toBe(false)
    const { data } = await app.graphql(
      'Ada',
      '{ privateConversations { nodes { id databaseId user { nick databaseId } } } }',
    )
    expect(data.privateConversations.nodes.map(({ user }: { user: { nick: string } }) => user.nick)).toEqual([
      'Ben',
      'Cleo',
    ])
    for (const { databaseId, user } of data.privateConversations.nodes)
      expect(databaseId).toBe(user.databaseId)
    const { id } = data.privateConversations.nodes[0]
    const query = 'query ($id: ID!) { node(id: $id) { ... on PrivateConversation { user { nick } } } }'
    expect((await app.graphql('Ada', query, { id })).data.node).toEqual({ user: { nick: 'Ben' } })
  })

  test('is not to be had with oneself, or with a stranger', async () => {
    const stranger = Buffer.from('User:999').toString('base64url')
    for (const id of [ids.Ada, stranger])
      expect(await change('openPrivateConversation', id)).toMatchObject({ __typename: 'NotFound' })
    expect(await send('Ada', 'Ada', 'to myself')).toMatchObject({ code: 'NOT_FOUND' })
  })

  test('is read with its messages and their authors in three calls, however many they are', async () => {
    app.calls.length = 0
    await list('Ada', 'Ben')
    expect(app.calls.map(({ url }) => new URL(url, 'http://x').pathname).sort()).toEqual([
      '/private/2',
      '/private/2/messages',
      '/users',
    ])
  })
})

test('a message has exactly one target', async () => {
  const query = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) { ${failure} } }`
  const both = { userId: ids.Ben, flow: { path: 'example/main' }, content: 'x' }
  for (const input of [{ content: 'x' }, both])
    expect((await app.graphql('Ada', query, { input })).data.sendMessage).toEqual({
      code: 'BAD_USER_INPUT',
      message: 'Expected exactly one of input.flow, input.threadId and input.userId',
      path: ['input'],
    })
})
