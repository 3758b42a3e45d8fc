import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import type { Nick } from '../support/backend.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

/* Everything that is changed besides messages: profiles, organizations, flows and who is in them, sources, threads. */

let app: TestApp
const ids: Record<string, string> = {}

beforeAll(async () => {
  app = await startTestApp()
  const { data } = await app.graphql(
    'Ada',
    `{ viewer { id } organizations { nodes { id users { nodes { user { id nick } } } } } flow(by: { path: "example/main" }) {
      id messages(last: 1) { nodes { id } } } }`,
  )
  ids['organization'] = data.organizations.nodes[0].id
  for (const { user } of data.organizations.nodes[0].users.nodes) ids[user.nick] = user.id
  ids['message'] = data.flow.messages.nodes[0].id
})
afterAll(() => app.close())

const failure = '... on UserError { code message path } ... on ValidationFailed { fields { field message } }'

/** Runs a mutation as that person; `asked` is what is wanted of its payload. */
async function change(name: string, type: string, input: object, asked: string, nick: Nick = 'Ada') {
  const query = `mutation ($input: ${type}!) { ${name}(input: $input) { __typename ${asked} ${failure} } }`
  const { data, errors } = await app.graphql(nick, query, { input })
  expect(errors).toBeUndefined()
  return data[name]
}
const main = { path: 'example/main' }

describe('users and organizations', () => {
  test('you change your own profile', async () => {
    const asked = '... on UpdateViewerPayload { viewer { nick email } }'
    expect(await change('updateViewer', 'UpdateViewerInput', { nick: 'Benny' }, asked, 'Ben')).toMatchObject({
      viewer: { nick: 'Benny', email: 'ben@example.com' },
    })
    expect(await change('updateViewer', 'UpdateViewerInput', { nick: 'a b' }, asked, 'Ben')).toMatchObject({
      __typename: 'ValidationFailed',
      fields: [{ field: 'nick' }],
    })
    await change('updateViewer', 'UpdateViewerInput', { nick: 'Ben' }, asked, 'Ben')
  })

  test('administrators rename an organization, others do not', async () => {
    const asked = '... on UpdateOrganizationPayload { organization { name slug viewerIsAdmin } }'
    const input = { organizationId: ids['organization'], name: 'Example Inc' }
    expect(await change('updateOrganization', 'UpdateOrganizationInput', input, asked)).toMatchObject({
      organization: { name: 'Example Inc', slug: 'example', viewerIsAdmin: true },
    })
    expect(await change('updateOrganization', 'UpdateOrganizationInput', input, asked, 'Ben')).toMatchObject({
      __typename: 'Forbidden',
    })
    const blank = { ...input, name: ' ' }
    expect(await change('updateOrganization', 'UpdateOrganizationInput', blank, asked)).toMatchObject({
      __typename: 'ValidationFailed',
      path: ['input', 'name'],
    })
  })

  test('administrators remove users, whose messages stay', async () => {
    const backend = app.backend.as('Ada')
    await backend('POST', '/flows/example', { name: 'Removal' })
    const asked = '... on RemoveOrganizationMemberPayload { removedUserId }'
    const input = { organizationId: ids['organization'], userId: ids['Cleo'] }
    const type = 'RemoveOrganizationMemberInput'
    expect(await change('removeOrganizationMember', type, input, asked, 'Ben')).toMatchObject({
      code: 'FORBIDDEN',
    })
    const wrong = { ...input, userId: ids['message'] }
    expect(await change('removeOrganizationMember', type, wrong, asked)).toMatchObject({
      code: 'BAD_USER_INPUT',
    })
  })
})

describe('flows', () => {
  const flow = '... on FlowPayload { flow { path name description access isOpen viewerIsMember } }'
  const members = '... on FlowMembersPayload { flow { users { nodes { isBlocked user { nick } } } } }'

  test('are made, changed, archived and brought back', async () => {
    const made = await change(
      'createFlow',
      'CreateFlowInput',
      { organizationId: ids['organization'], name: 'Life of a flow', description: 'to try' },
      flow,
    )
    expect(made.flow).toMatchObject({
      path: 'example/life-of-a-flow',
      description: 'to try',
      viewerIsMember: true,
    })
    const by = { path: 'example/life-of-a-flow' }
    const changed = { flow: by, name: 'Renamed', access: 'LINK', isOpen: false }
    expect((await change('updateFlow', 'UpdateFlowInput', changed, flow)).flow).toMatchObject({
      path: 'example/life-of-a-flow',
      name: 'Renamed',
      access: 'LINK',
      isOpen: false,
      description: 'to try',
    })
    const paths = async () =>
      (await app.graphql('Ada', '{ flows { nodes { path } } }')).data.flows.nodes.map(
        ({ path }: { path: string }) => path,
      )
    const archived = await change(
      'archiveFlow',
      'ArchiveFlowInput',
      { flow: by },
      '... on FlowPayload { flow { disabled } }',
    )
    expect(archived.flow).toEqual({ disabled: true })
    expect(await paths()).not.toContain(by.path)
    await change('archiveFlow', 'ArchiveFlowInput', { flow: by, archived: false }, flow)
    expect(await paths()).toContain(by.path)
    const read = await app.graphql('Ada', `{ flow(by: { path: "${by.path}" }) { disabled } }`)
    expect(read.data.flow).toEqual({ disabled: false })
    expect(
      await change('updateFlow', 'UpdateFlowInput', { flow: main, name: 'x' }, flow, 'Ben'),
    ).toMatchObject({
      __typename: 'Forbidden',
    })
  })

  test('are joined and left, and users are added, blocked and unblocked', async () => {
    const by = { path: 'example/engineering' }
    expect((await change('joinFlow', 'JoinFlowInput', { flow: by }, flow, 'Cleo')).flow.viewerIsMember).toBe(
      true,
    )
    expect(await change('leaveFlow', 'LeaveFlowInput', { flow: by }, members, 'Cleo')).toEqual({
      __typename: 'FlowMembersPayload',
      flow: null,
    })
    const cleo = { flow: by, userId: ids['Cleo'] }
    const nicks = ({
      flow,
    }: {
      flow: { users: { nodes: { isBlocked: boolean; user: { nick: string } }[] } }
    }) => flow.users.nodes.filter(({ isBlocked }) => !isBlocked).map(({ user }) => user.nick)
    const added = await change('addFlowMember', 'AddFlowMemberInput', cleo, members)
    expect(nicks(added)).toEqual(['Ada', 'Ben', 'Cleo'])
    expect(nicks(await change('blockFlowMember', 'BlockFlowMemberInput', cleo, members))).toEqual([
      'Ada',
      'Ben',
    ])
    const again = { ...cleo, blocked: false }
    expect(nicks(await change('blockFlowMember', 'BlockFlowMemberInput', again, members))).toContain('Cleo')
    expect(
      await change('joinFlow', 'JoinFlowInput', { flow: { path: 'example/nothing' } }, flow),
    ).toMatchObject({
      __typename: 'NotFound',
    })
  })

  test('get a new push token from administrators, who alone see it', async () => {
    const read = async (nick: Nick) =>
      (await app.graphql(nick, '{ flow(by: { path: "example/main" }) { pushToken } }')).data.flow.pushToken
    const before = await read('Ada')
    expect(before).toMatch(/^[0-9a-f]{32}$/)
    expect(await read('Ben')).toBeNull()
    const asked = '... on RotatePushTokenPayload { flow { pushToken } }'
    const input = { flow: main }
    expect(await change('rotatePushToken', 'RotatePushTokenInput', input, asked, 'Ben')).toMatchObject({
      __typename: 'Forbidden',
    })
    const { flow } = await change('rotatePushToken', 'RotatePushTokenInput', input, asked)
    expect(flow.pushToken).toMatch(/^[0-9a-f]{32}$/)
    expect(flow.pushToken).not.toBe(before)
    expect(await read('Ada')).toBe(flow.pushToken)
  })

  test('are marked read', async () => {
    await app.backend.as('Ada')('POST', '/flows/example/main/messages', {
      event: 'message',
      content: '@Ben 1',
    })
    const asked = '... on MarkReadPayload { readCount flow { unreadMentions } }'
    const before = await change('markRead', 'MarkReadInput', { flow: main }, asked, 'Ben')
    expect(before.readCount).toBeGreaterThan(0)
    expect(before.flow.unreadMentions).toBe(0)
    expect((await change('markRead', 'MarkReadInput', { flow: main }, asked, 'Ben')).readCount).toBe(0)
  })
})

describe('invitations', () => {
  const invited = '... on InvitePayload { invitation { id email state flow { path } } }'
  test('are made, listed, imported and taken back', async () => {
    const input = { flow: main, email: 'new@example.com' }
    const { invitation } = await change('invite', 'InviteInput', input, invited)
    expect(invitation).toMatchObject({ email: 'new@example.com', state: 'PENDING', flow: main })
    const asked = `... on ImportInvitationsPayload { invitations { email } addedUsers { user { nick } } refusedAddresses }`
    const list = 'Ada <ada@example.com>, second@example.com\nnonsense'
    expect(
      await change('importInvitations', 'ImportInvitationsInput', { flow: main, list }, asked),
    ).toMatchObject({
      invitations: [{ email: 'second@example.com' }],
      addedUsers: [{ user: { nick: 'Ada' } }],
      refusedAddresses: ['nonsense'],
    })
    const pending = async () =>
      (await app.graphql('Ada', '{ flow(by: { path: "example/main" }) { invitations { nodes { email } } } }'))
        .data.flow.invitations.nodes
    expect(await pending()).toHaveLength(2)
    const cancelled = '... on CancelInvitationPayload { cancelledInvitationId }'
    const cancel = { invitationId: invitation.id }
    expect(await change('cancelInvitation', 'CancelInvitationInput', cancel, cancelled)).toMatchObject({
      cancelledInvitationId: invitation.id,
    })
    expect(await pending()).toEqual([{ email: 'second@example.com' }])
    expect(await change('cancelInvitation', 'CancelInvitationInput', cancel, cancelled)).toMatchObject({
      code: 'NOT_FOUND',
    })
    expect(await change('invite', 'InviteInput', { flow: main, email: 'x' }, invited)).toMatchObject({
      code: 'BAD_USER_INPUT',
      fields: [{ field: 'email' }],
    })
  })
})

describe('sources', () => {
  test('are added with a token that is shown once, say what is wrong, and go', async () => {
    const asked =
      '... on CreateSourcePayload { flowToken source { id name externalUrl creator { nick } flow { path } } }'
    const input = { flow: main, name: 'CI', externalUrl: 'https://ci.example/' }
    const { source, flowToken } = await change('createSource', 'CreateSourceInput', input, asked)
    expect(flowToken).toMatch(/^[0-9a-f]{32}$/)
    expect(source).toMatchObject({
      name: 'CI',
      externalUrl: 'https://ci.example/',
      creator: { nick: 'Ada' },
      flow: main,
    })
    const changed = '... on SourcePayload { source { id name } }'
    const problem = { errorMessage: 'The build server is down' }
    const update = { sourceId: source.id, ...problem }
    expect((await change('updateSource', 'UpdateSourceInput', update, changed)).source.id).toBe(source.id)
    const report = { flowToken, ...problem }
    const type = 'ReportSourceProblemInput'
    expect((await change('reportSourceProblem', type, report, changed)).source.id).toBe(source.id)
    const deleted = '... on DeleteSourcePayload { deletedSourceId }'
    const { id } = source
    expect(await change('deleteSource', 'DeleteSourceInput', { sourceId: id }, deleted, 'Ben')).toMatchObject(
      {
        code: 'FORBIDDEN',
      },
    )
    expect(await change('deleteSource', 'DeleteSourceInput', { sourceId: id }, deleted)).toMatchObject({
      deletedSourceId: id,
    })
    expect(await change('reportSourceProblem', type, report, changed)).toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('threads and reactions', () => {
  const thread = '... on ThreadPayload { thread { id title status { color value } fields { label value } } }'

  test('a thread begins without a message, and a message moves to it and out of it', async () => {
    const input = {
      flow: main,
      title: 'Plans',
      status: { color: 'LIME', value: 'fresh' },
      fields: [{ label: 'When', value: 'soon' }],
    }
    const made = (await change('createThread', 'CreateThreadInput', input, thread)).thread
    expect(made).toMatchObject({ title: 'Plans', status: { color: 'LIME', value: 'fresh' } })
    const moved = '... on MoveMessagePayload { movedMessage { thread { id } } }'
    const there = { messageId: ids['message'], threadId: made.id }
    expect(
      (await change('moveMessageToThread', 'MoveMessageToThreadInput', there, moved)).movedMessage.thread.id,
    ).toBe(made.id)
    const out = { messageId: ids['message'] }
    const alone = (await change('moveMessageToThread', 'MoveMessageToThreadInput', out, moved)).movedMessage
      .thread.id
    expect(alone).not.toBe(made.id)
  })

  test('reactions are added, shown with who did, and taken back', async () => {
    const asked =
      '... on ReactionPayload { reactedMessage { reactions { emoji count users { nodes { nick } } } } }'
    const input = { messageId: ids['message'], emoji: 'tada' }
    await change('addReaction', 'AddReactionInput', input, asked)
    expect(
      (await change('addReaction', 'AddReactionInput', input, asked, 'Ben')).reactedMessage.reactions,
    ).toEqual([{ emoji: 'tada', count: 2, users: { nodes: [{ nick: 'Ada' }, { nick: 'Ben' }] } }])
    expect(
      (await change('removeReaction', 'RemoveReactionInput', input, asked)).reactedMessage.reactions,
    ).toEqual([{ emoji: 'tada', count: 1, users: { nodes: [{ nick: 'Ben' }] } }])
    const bad = { ...input, emoji: 'no emoji' }
    expect(await change('addReaction', 'AddReactionInput', bad, asked)).toMatchObject({
      code: 'BAD_USER_INPUT',
    })
  })

  test('each message says whether the viewer may edit and delete it, without a call for the viewer', async () => {
    app.calls.length = 0
    const { data } = await app.graphql(
      'Ben',
      `{ flow(by: { path: "example/engineering" }) { messages(last: 50) { nodes {
        __typename viewerCanEdit viewerCanDelete author { name } } } } }`,
    )
    for (const message of data.flow.messages.nodes) {
      const mine = message.author?.name === 'Ben Okri'
      const said = ['ChatMessage', 'Comment'].includes(message.__typename)
      const inbox = ['Activity', 'Discussion'].includes(message.__typename)
      expect(message.viewerCanEdit, message.__typename).toBe(mine && said)
      expect(message.viewerCanDelete, message.__typename).toBe(
        inbox || (mine && (said || message.__typename === 'FileMessage')),
      )
    }
    expect(app.calls.filter(({ url }) => url.endsWith('/user'))).toEqual([])
  })
})

test('that you type is said in a flow, a thread and in private', async () => {
  const asked = '... on SetTypingPayload { isDelivered }'
  for (const input of [{ flow: main }, { userId: ids['Ben'] }])
    expect(await change('setTyping', 'SetTypingInput', input, asked)).toMatchObject({ isDelivered: true })
  const closed = { flow: { path: 'example/support' } }
  expect(await change('setTyping', 'SetTypingInput', closed, asked, 'Ben')).toMatchObject({
    code: 'FORBIDDEN',
  })
})

test('whether you are there is said, and holds for a while', async () => {
  const asked = '... on SetPresencePayload { presence lastsMs }'
  expect(await change('setPresence', 'SetPresenceInput', { presence: 'IDLE' }, asked)).toEqual({
    __typename: 'SetPresencePayload',
    presence: 'IDLE',
    lastsMs: 90_000,
  })
  expect(await change('setPresence', 'SetPresenceInput', { presence: 'OFFLINE' }, asked)).toMatchObject({
    lastsMs: 0,
  })
})

test('the extensions of the embedded backend can be read', async () => {
  const { data } = await app.graphql('Ada', '{ capabilities }')
  expect(data.capabilities).toEqual(
    expect.arrayContaining(['CREATE_THREAD', 'MARK_READ', 'MOVE_MESSAGE', 'REMOVE_REACTION', 'SEARCH']),
  )
})

test('an upstream that cannot do it says so before anything is changed', async () => {
  const upstream = await startScriptedUpstream((_, response) =>
    answerJson(response, 404, { message: 'not found' }),
  )
  const other = await startTestApp({ upstreamUrl: upstream.url })
  onTestFinished(other.close)
  const query = `mutation { createThread(input: { flow: { path: "a/b" }, title: "x" }) {
    __typename ... on UserError { code message } } }`
  expect((await other.graphql('Ada', query)).data.createThread).toEqual({
    __typename: 'NotSupported',
    code: 'NOT_SUPPORTED',
    message: 'The upstream cannot make this change: it lacks the capability createThread',
  })
  expect(upstream.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(['GET /capabilities'])
})
