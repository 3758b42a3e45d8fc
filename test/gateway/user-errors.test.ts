import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const encode = (key: string) => Buffer.from(key).toString('base64url')
const nowhere = { path: 'example/nothing' }
const main = { path: 'example/main' }

/** The failure of a mutation: its type, code and path. */
async function failureOf(mutation: string, input: object, nick: 'Ada' | 'Ben' = 'Ada') {
  const type = `${mutation[0]?.toUpperCase()}${mutation.slice(1)}Input`
  const { data, errors } = await app.graphql(
    nick,
    `mutation ($input: ${type}!) { ${mutation}(input: $input) { __typename ... on UserError { code path } } }`,
    { input },
  )
  expect(errors).toBeUndefined()
  return data[mutation]
}

const notFound = (...path: string[]) => ({
  __typename: 'NotFound',
  code: 'NOT_FOUND',
  path: ['input', ...path],
})
const invalid = (...path: string[]) => ({
  __typename: 'ValidationFailed',
  code: 'BAD_USER_INPUT',
  path: ['input', ...path],
})

test.each([
  ['sendMessage', { flow: nowhere, content: 'x' }],
  ['setStatus', { flow: nowhere, content: 'x' }],
  ['setTyping', { flow: nowhere }],
  ['createThread', { flow: nowhere, title: 'x' }],
  ['updateFlow', { flow: nowhere, name: 'x' }],
  ['archiveFlow', { flow: nowhere }],
  ['joinFlow', { flow: nowhere }],
  ['leaveFlow', { flow: nowhere }],
  ['addFlowMember', { flow: nowhere, userId: encode('User:2') }],
  ['blockFlowMember', { flow: nowhere, userId: encode('User:2') }],
  ['rotatePushToken', { flow: nowhere }],
  ['markRead', { flow: nowhere }],
  ['invite', { flow: nowhere, email: 'x@example.com' }],
  ['importInvitations', { flow: nowhere, list: 'x@example.com' }],
  ['createSource', { flow: nowhere, name: 'x' }],
])('%s blames a missing flow by its path in the input', async (mutation, input) => {
  expect(await failureOf(mutation, input)).toEqual(notFound('flow'))
  expect(await failureOf(mutation, { ...input, flow: { databaseId: 'nothing' } })).toEqual(notFound('flow'))
  expect(await failureOf(mutation, { ...input, flow: { id: 'nonsense' } })).toEqual(invalid('flow', 'id'))
  expect(await failureOf(mutation, { ...input, flow: { url: 'nonsense' } })).toEqual(invalid('flow', 'url'))
})

test.each([
  ['addFlowMember', { flow: main, userId: encode('User:999') }, invalid('userId')],
  ['blockFlowMember', { flow: main, userId: encode('User:999') }, notFound('userId')],
  [
    'removeOrganizationMember',
    { organizationId: encode('Organization:999'), userId: encode('User:2') },
    notFound('organizationId'),
  ],
  ['updateOrganization', { organizationId: encode('User:1'), name: 'x' }, invalid('organizationId')],
  ['createFlow', { organizationId: encode('Organization:999'), name: 'x' }, notFound('organizationId')],
  ['deleteSource', { sourceId: encode('Source:example/main:999') }, notFound('sourceId')],
  ['updateSource', { sourceId: encode('Source:example/main:999'), errorMessage: 'x' }, notFound('sourceId')],
  ['reportSourceProblem', { flowToken: '0'.repeat(32), errorMessage: 'x' }, notFound('flowToken')],
  [
    'present',
    { flowToken: '0'.repeat(32), title: 'x', author: { name: 'x' }, externalThreadId: '1' },
    notFound('flowToken'),
  ],
  ['openPrivateConversation', { userId: encode('User:999') }, notFound('userId')],
  ['sendMessage', { userId: encode('User:999'), content: 'x' }, notFound('userId')],
  ['sendMessage', { threadId: 'nonsense', content: 'x' }, invalid('threadId')],
  ['sendMessage', { threadId: encode('Thread:x'), content: 'x' }, invalid('threadId')],
  ['sendMessage', { flow: main, content: 'x', externalUserName: 'a b' }, invalid('externalUserName')],
  ['invite', { flow: main, email: 'nonsense' }, invalid('email')],
  ['updateViewer', { nick: 'a b' }, invalid('nick')],
  ['runThreadAction', { threadId: encode('Thread:nothing:x'), name: 'x' }, notFound('threadId')],
])('%s blames the input that names nothing or is not acceptable', async (mutation, input, expected) => {
  expect(await failureOf(mutation, input)).toEqual(expected)
})

test('messages and threads of a flow are blamed, too', async () => {
  const { data } = await app.graphql(
    'Ada',
    '{ flow(by: { path: "example/main" }) { id messages(last: 1, filter: { kinds: [CHAT] }) { nodes { id } } } }',
  )
  const messageId = data.flow.messages.nodes[0].id
  const flowKey = Buffer.from(data.flow.id, 'base64url').toString().slice('Flow:'.length)
  const goneId = encode(`Message:${flowKey}:999999`)
  const goneThread = encode(`Thread:${flowKey}:nothing`)
  for (const [mutation, input] of [
    ['editMessage', { content: 'x' }],
    ['deleteMessage', {}],
    ['setTags', { tags: [] }],
    ['addTags', { tags: ['x'] }],
    ['removeTags', { tags: ['x'] }],
    ['addReaction', { emoji: 'tada' }],
    ['removeReaction', { emoji: 'tada' }],
    ['moveMessageToThread', {}],
  ] as const)
    expect([mutation, await failureOf(mutation, { ...input, messageId: goneId })]).toEqual([
      mutation,
      notFound('messageId'),
    ])
  expect(await failureOf('comment', { messageId: goneId, content: 'x' })).toEqual(notFound('messageId'))
  expect(await failureOf('moveMessageToThread', { messageId, threadId: goneThread })).toEqual(
    invalid('threadId'),
  )
  expect(await failureOf('sendMessage', { threadId: goneThread, content: 'x' })).toMatchObject({
    path: ['input', 'threadId'],
  })
  expect(await failureOf('editMessage', { messageId, content: 'x' }, 'Ben')).toEqual({
    __typename: 'Forbidden',
    code: 'FORBIDDEN',
    path: ['input', 'messageId'],
  })
})

test('a failure that no input caused has no path', async () => {
  expect(await failureOf('sendMessage', { content: 'x' })).toEqual({ ...invalid(), path: ['input'] })
  await app.backend.close()
  expect(await failureOf('sendMessage', { flow: main, content: 'x' })).toEqual({
    __typename: 'UpstreamUnavailable',
    code: 'UPSTREAM_UNAVAILABLE',
    path: null,
  })
})
