import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { call } from '../support/backend.ts'

let app: TestApp
let flowId: string

beforeAll(async () => {
  app = await startTestApp()
  flowId = (await app.graphql('Ada', '{ flow(by: { path: "example/main" }) { id } }')).data.flow.id
})
beforeEach(() => {
  app.calls.length = 0
})
afterAll(() => app.close())

const failure =
  '__typename ... on UserError { code message path } ... on ValidationFailed { fields { field message } }'
const sendMutation = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
  ... on SendMessagePayload { sentMessage { id databaseId uuid tags author { name } externalUserName thread { id title } ... on ChatMessage { content } } } ${failure} } }`

async function send(input: object, nick: 'Ada' | 'Ben' | 'Cleo' = 'Ada') {
  const { data, errors } = await app.graphql(nick, sendMutation, { input })
  expect(errors).toBeUndefined()
  return data.sendMessage
}

async function contentOf(id: string): Promise<string | undefined> {
  const { data } = await app.graphql(
    'Ada',
    'query ($id: ID!) { node(id: $id) { ... on ChatMessage { content } } }',
    { id },
  )
  return data.node?.content
}

async function storedMessages(): Promise<number> {
  return (await app.backend.as('Ada')('GET', '/flows/example/main/messages?limit=100')).json.length
}

describe('sendMessage', () => {
  test('to a flow answers the stored message, in one call when the flow is named by its path', async () => {
    const { sentMessage } = await send({
      flow: { path: 'example/main' },
      content: 'Hi @Ben #hello',
      tags: ['extra'],
    })
    expect(sentMessage).toMatchObject({
      content: 'Hi @Ben #hello',
      tags: ['extra', 'hello', ':user:2', ':unread:2'],
      author: { name: 'Ada Byron' },
      thread: { title: 'Hi @Ben #hello' },
    })
    expect(app.calls.filter(({ method }) => method === 'POST')).toHaveLength(1)
    expect(await contentOf(sentMessage.id)).toBe('Hi @Ben #hello')
  })

  test('to a thread answers in it', async () => {
    const { sentMessage } = await send({ flow: { id: flowId }, content: 'question' })
    const reply = await send({ threadId: sentMessage.thread.id, content: 'answer' }, 'Ben')
    expect(reply.sentMessage).toMatchObject({
      thread: { id: sentMessage.thread.id, title: 'question' },
      author: { name: 'Ben Okri' },
    })
  })

  test('with the same uuid is one message, however often it is sent', async () => {
    const before = await storedMessages()
    const input = { flow: { id: flowId }, content: 'once', uuid: 'click' }
    const all = await Promise.all(Array.from({ length: 50 }, () => send(input)))
    expect(new Set(all.map(({ sentMessage }) => sentMessage.id)).size).toBe(1)
    expect(await storedMessages()).toBe(Math.min(100, before + 1))
  })

  test('under another name shows who sent it, in flows and in private', async () => {
    const { data } = await app.graphql('Ada', '{ viewer { id } }')
    for (const target of [{ flow: { id: flowId } }, { userId: data.viewer.id }]) {
      const { sentMessage } = await send({ ...target, content: 'beep', externalUserName: 'Cleo' }, 'Ben')
      expect(sentMessage).toMatchObject({ author: { name: 'Ben Okri' }, externalUserName: 'Cleo' })
    }
    const plain = await send({ flow: { id: flowId }, content: 'beep' }, 'Ben')
    expect(plain.sentMessage).toMatchObject({ author: { name: 'Ben Okri' }, externalUserName: null })
  })

  test('under the name of a program that pushes is by that name', async () => {
    const flow = await app.graphql('Ada', '{ flow(by: { path: "example/main" }) { pushToken } }')
    const url = `${app.backend.url}/v1/messages/chat/${flow.data.flow.pushToken}`
    await call(url, 'POST', {}, { content: 'pushed', external_user_name: 'robot' })
    const { data } = await app.graphql(
      'Ada',
      `{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes {
        author { __typename name } externalUserName } } } }`,
    )
    expect(data.flow.messages.nodes).toEqual([
      { author: { __typename: 'ExternalAuthor', name: 'robot' }, externalUserName: 'robot' },
    ])
  })

  test.each([
    [
      'blank content',
      { content: '  ' },
      {
        __typename: 'ValidationFailed',
        code: 'BAD_USER_INPUT',
        path: ['input', 'content'],
        fields: [{ field: 'content', message: "can't be blank" }],
      },
    ],
    [
      '8,097 characters',
      { content: 'x'.repeat(8097) },
      {
        __typename: 'ValidationFailed',
        fields: [{ field: 'content', message: 'is too long: 8097 characters, at most 8096 are stored' }],
      },
    ],
    [
      'what only the upstream knows to be wrong',
      { content: 'x', externalUserName: 'a b' },
      {
        __typename: 'ValidationFailed',
        fields: [{ field: 'external_user_name', message: 'should not contain whitespace' }],
      },
    ],
    [
      'a flow that is not there',
      { content: 'x', flow: { path: 'example/nothing' } },
      { __typename: 'NotFound', code: 'NOT_FOUND', path: ['input', 'flow'] },
    ],
    [
      'no target',
      { content: 'x', flow: null },
      {
        __typename: 'ValidationFailed',
        message: 'Expected exactly one of input.flow, input.threadId and input.userId',
        path: ['input'],
      },
    ],
    [
      'the id of something else',
      { content: 'x', flow: { id: Buffer.from('User:1').toString('base64url') } },
      { __typename: 'ValidationFailed', path: ['input', 'flow', 'id'] },
    ],
  ])('%s is a typed failure and stores nothing', async (_, input, expected) => {
    const before = await storedMessages()
    expect(await send({ flow: { path: 'example/main' }, ...input })).toMatchObject(expected)
    expect(await storedMessages()).toBe(before)
  })

  test('to a flow one has not joined is forbidden', async () => {
    expect(await send({ flow: { path: 'example/support' }, content: 'x' }, 'Ben')).toMatchObject({
      __typename: 'Forbidden',
      code: 'FORBIDDEN',
      message: 'Cannot post to "example/support": access denied',
    })
  })
})

describe('comment', () => {
  const mutation = `mutation ($input: CommentInput!) { comment(input: $input) {
    ... on CommentPayload { clientMutationId sentMessage { id event thread { id } ... on Comment { content title parent { id } } } } ${failure} } }`
  const comment = async (input: object) => (await app.graphql('Ben', mutation, { input })).data.comment

  test('comments on a message, once for one uuid', async () => {
    const { sentMessage } = await send({ flow: { id: flowId }, content: 'question' })
    const input = {
      messageId: sentMessage.id,
      content: 'an answer',
      uuid: 'comment-1',
      clientMutationId: 'x',
    }
    const first = await comment(input)
    expect(first).toEqual({
      __typename: 'CommentPayload',
      clientMutationId: 'x',
      sentMessage: {
        id: expect.any(String),
        event: 'comment',
        thread: { id: sentMessage.thread.id },
        content: 'an answer',
        title: 'question',
        parent: { id: sentMessage.id },
      },
    })
    expect((await comment(input)).sentMessage.id).toBe(first.sentMessage.id)
  })

  test('is refused on a comment, and on a private message', async () => {
    const { sentMessage } = await send({ flow: { id: flowId }, content: 'question' })
    const { sentMessage: answer } = await comment({ messageId: sentMessage.id, content: 'an answer' })
    expect(await comment({ messageId: answer.id, content: 'x' })).toMatchObject({
      __typename: 'ValidationFailed',
      path: ['input', 'messageId'],
    })
    const { data } = await app.graphql('Ada', '{ viewer { id } }')
    const privately = await send({ userId: data.viewer.id, content: 'x' }, 'Ben')
    expect(await comment({ messageId: privately.sentMessage.id, content: 'x' })).toMatchObject({
      __typename: 'ValidationFailed',
      message: 'Cannot comment on a private message: send a message to the user instead',
      path: ['input', 'messageId'],
    })
  })
})

test('setStatus sets the status of the viewer in a flow', async () => {
  const { data } = await app.graphql(
    'Ben',
    `mutation { setStatus(input: { flow: { path: "example/main" }, content: "lunch" }) {
      ... on SetStatusPayload { sentMessage { text ... on StatusMessage { content } } } ${failure} } }`,
  )
  expect(data.setStatus).toEqual({
    __typename: 'SetStatusPayload',
    sentMessage: { text: 'lunch', content: 'lunch' },
  })
  const flow = await app.graphql(
    'Ada',
    '{ flow(by: { path: "example/main" }) { users { nodes { status user { nick } } } } }',
  )
  expect(flow.data.flow.users.nodes).toContainEqual({ status: 'lunch', user: { nick: 'Ben' } })
})

describe('editMessage', () => {
  const edit = `mutation ($input: EditMessageInput!) { editMessage(input: $input) {
    ... on EditMessagePayload { editedMessage { id tags editedAt ... on ChatMessage { content } } } ${failure} } }`

  test('answers the message as it is now', async () => {
    const { sentMessage } = await send({ flow: { id: flowId }, content: 'old #a' })
    const { data } = await app.graphql('Ada', edit, {
      input: { messageId: sentMessage.id, content: 'new #b' },
    })
    expect(data.editMessage.editedMessage).toMatchObject({
      id: sentMessage.id,
      content: 'new #b',
      tags: ['b'],
      editedAt: expect.any(String),
    })
  })

  test('another user’s message is forbidden, an unknown one is not found, and nothing changes', async () => {
    const { sentMessage } = await send({ flow: { id: flowId }, content: 'mine' })
    const foreign = await app.graphql('Ben', edit, { input: { messageId: sentMessage.id, content: 'yours' } })
    expect(foreign.data.editMessage).toMatchObject({ __typename: 'Forbidden' })
    expect(await contentOf(sentMessage.id)).toBe('mine')
    const key = Buffer.from(sentMessage.id, 'base64url').toString().replace(/\d+$/, '999999')
    const missing = await app.graphql('Ada', edit, {
      input: { messageId: Buffer.from(key).toString('base64url'), content: 'x' },
    })
    expect(missing.data.editMessage).toMatchObject({ __typename: 'NotFound' })
    const blank = await app.graphql('Ada', edit, { input: { messageId: sentMessage.id, content: '' } })
    expect(blank.data.editMessage).toMatchObject({ __typename: 'ValidationFailed' })
  })
})

describe('deleteMessage', () => {
  const remove = `mutation ($id: ID!) { deleteMessage(input: { messageId: $id }) {
    ... on DeleteMessagePayload { deletedMessageId remainingMessage { ... on ChatMessage { content } } } ${failure} } }`

  test('leaves a chat message blank, and removes what an integration posted', async () => {
    const { sentMessage } = await send({ flow: { id: flowId }, content: 'x' })
    const { data } = await app.graphql('Ada', remove, { id: sentMessage.id })
    expect(data.deleteMessage).toEqual({
      __typename: 'DeleteMessagePayload',
      deletedMessageId: sentMessage.id,
      remainingMessage: { content: '' },
    })
    const inbox = await app.graphql(
      'Ben',
      '{ flow(by: { path: "example/engineering" }) { messages(last: 1) { nodes { id } } } }',
    )
    const gone = await app.graphql('Ben', remove, { id: inbox.data.flow.messages.nodes[0].id })
    expect(gone.data.deleteMessage.remainingMessage).toBeNull()
  })

  test('another user’s message is forbidden', async () => {
    const { sentMessage } = await send({ flow: { id: flowId }, content: 'mine' })
    expect((await app.graphql('Ben', remove, { id: sentMessage.id })).data.deleteMessage).toMatchObject({
      __typename: 'Forbidden',
    })
    expect(await contentOf(sentMessage.id)).toBe('mine')
  })
})

describe('tags', () => {
  test('are set, added and removed by anybody', async () => {
    const { sentMessage } = await send({ flow: { id: flowId }, content: 'tag me' })
    const change = async (mutation: string, tags: string[]) => {
      const { data } = await app.graphql(
        'Ben',
        `mutation ($input: ${mutation[0]?.toUpperCase()}${mutation.slice(1)}Input!) { ${mutation}(input: $input) { ... on SetTagsPayload { taggedMessage { tags } } ${failure} } }`,
        { input: { messageId: sentMessage.id, tags } },
      )
      return data[mutation].taggedMessage?.tags ?? data[mutation]
    }
    expect(await change('setTags', ['b', 'a'])).toEqual(['b', 'a'])
    expect(await change('addTags', ['#c', 'a', '@Cleo'])).toEqual(['b', 'a', 'c', ':user:3', ':unread:3'])
    expect(await change('removeTags', ['#A', 'nothing'])).toEqual(['b', 'c', ':user:3', ':unread:3'])
    expect(await change('setTags', ['@nobody'])).toMatchObject({
      __typename: 'ValidationFailed',
      fields: [{ field: 'tags' }],
    })
  })
})

test('changes in one document happen in order', async () => {
  const contents = Array.from({ length: 10 }, (_, index) => `step ${index}`)
  const mutation = contents.map(
    (content, index) =>
      `m${index}: sendMessage(input: { flow: { path: "example/main" }, content: "${content}" }) { __typename }`,
  )
  await app.graphql('Ada', `mutation { ${mutation.join(' ')} }`)
  const { data } = await app.graphql(
    'Ada',
    '{ flow(by: { path: "example/main" }) { messages(last: 10) { nodes { ... on ChatMessage { content } } } } }',
  )
  expect(data.flow.messages.nodes.map((node: { content: string }) => node.content)).toEqual(contents)
})
