import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { post, startTestApp, type TestApp } from '../support/app.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

/* The Integration chapter of the Python wrapper's manual, in GraphQL. */

let app: TestApp
let flowToken: string

beforeAll(async () => {
  app = await startTestApp({ backend: { privateActionTargets: true } })
  const { data } = await app.graphql(
    'Ada',
    `mutation { createSource(input: { flow: { path: "example/main" }, name: "ExternalService" }) {
      ... on CreateSourcePayload { flowToken } } }`,
  )
  flowToken = data.createSource.flowToken
})
afterAll(() => app.close())

const presented = `__typename ... on PresentPayload { presentedMessage {
  __typename id databaseId tags uuid author { name avatarUrl }
  ... on Activity { title body } ... on Discussion { title body }
  thread { id title body externalUrl status { color value } fields { label value } activityCount externalCommentCount
    actions { __typename ... on ViewAction { name url } ... on UpdateAction { name target { httpMethod } } } source { name } }
} } ... on UserError { code message path } ... on ValidationFailed { fields { field message } }`

async function present(input: object) {
  const query = `mutation ($input: PresentInput!) { present(input: $input) { ${presented} } }`
  // No other credential goes along: the token says who posts.
  const { data, errors } = await post(app.url, { query, variables: { input: { flowToken, ...input } } })
  expect(errors).toBeUndefined()
  return data.present
}
const author = { name: 'Marty', avatarUrl: 'https://example.com/m.png' }
const uri = 'https://external.service/item/ITEM-01'
const item = {
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
    { update: { name: 'Assign to me', target: { urlTemplate: `${uri}?assign=me` } } },
  ],
}

describe('an integration presents', () => {
  test('an activity of an item, and is answered what it made', async () => {
    const { presentedMessage } = await present({
      author,
      title: 'created item',
      externalThreadId: 'ITEM-01',
      thread: item,
    })
    expect(presentedMessage).toMatchObject({
      __typename: 'Activity',
      title: 'created item',
      body: null,
      author,
      thread: {
        title: 'Item 01',
        externalUrl: uri,
        status: { color: 'GREEN', value: 'TODO' },
        fields: item.fields,
        actions: [
          { __typename: 'ViewAction', name: 'Diff' },
          { __typename: 'UpdateAction', name: 'Assign to me', target: { httpMethod: 'POST' } },
        ],
        source: { name: 'ExternalService' },
      },
    })
  })

  test('a discussion in the same thread, whose state stays', async () => {
    const { presentedMessage } = await present({
      author,
      title: 'commented',
      body: '<p>Looks fine</p>',
      externalThreadId: 'ITEM-01',
      tags: ['#review', 'todo'],
    })
    expect(presentedMessage).toMatchObject({
      __typename: 'Discussion',
      body: '<p>Looks fine</p>',
      tags: ['review', 'todo'],
      thread: { title: 'Item 01', activityCount: 1, externalCommentCount: 1, status: { value: 'TODO' } },
    })
  })

  test('the same uuid once', async () => {
    const input = { author, title: 'once', externalThreadId: 'ITEM-01', uuid: 'only-once' }
    const first = await present(input)
    expect((await present(input)).presentedMessage.id).toBe(first.presentedMessage.id)
  })

  test('and users tag, answer and delete the presented message', async () => {
    const { presentedMessage } = await present({ author, title: 'for all', externalThreadId: 'ITEM-01' })
    const { data } = await app.graphql(
      'Ben',
      `mutation ($id: ID!, $thread: ID!) {
        setTags(input: { messageId: $id, tags: ["seen"] }) { ... on SetTagsPayload { taggedMessage { tags } } }
        sendMessage(input: { threadId: $thread, content: "a reply" }) { ... on SendMessagePayload { sentMessage { thread { id } } } }
        deleteMessage(input: { messageId: $id }) { ... on DeleteMessagePayload { remainingMessage { id } } } }`,
      { id: presentedMessage.id, thread: presentedMessage.thread.id },
    )
    expect(data).toEqual({
      setTags: { taggedMessage: { tags: ['seen'] } },
      sendMessage: { sentMessage: { thread: { id: presentedMessage.thread.id } } },
      deleteMessage: { remainingMessage: null },
    })
  })

  test.each<[string, object, object]>([
    ['a token that is none', { flowToken: 'f'.repeat(32), externalThreadId: 'x' }, { code: 'NOT_FOUND' }],
    ['a new thread without a title', { externalThreadId: 'new' }, { fields: [{ field: 'thread' }] }],
    ['neither thread', {}, { message: 'Expected either input.externalThreadId or input.threadId' }],
    ['a blank title', { externalThreadId: 'ITEM-01', title: ' ' }, { path: ['input', 'title'] }],
  ])('but not with %s', async (_, input, failure) => {
    expect(await present({ author, title: 't', ...input })).toMatchObject(failure)
  })

  test('a color that is none is refused before anything is sent', async () => {
    const query = `mutation { present(input: { flowToken: "x", title: "t", author: { name: "M" }, externalThreadId: "i",
      thread: { status: { color: PINK, value: "x" } } }) { __typename } }`
    expect((await post(app.url, { query })).errors?.[0]?.message).toContain('"PINK" does not exist')
  })
})

test('an upstream that does not say what it made answers with null, honestly', async () => {
  const upstream = await startScriptedUpstream((_, response) => answerJson(response, 202, {}))
  const other = await startTestApp({ upstreamUrl: upstream.url })
  onTestFinished(other.close)
  const query = `mutation { present(input: { flowToken: "t", title: "x", author: { name: "M" }, externalThreadId: "i" }) {
    ... on PresentPayload { presentedMessage { id } } } }`
  expect((await post(other.url, { query })).data).toEqual({ present: { presentedMessage: null } })
  expect(upstream.requests[0]?.headers).not.toHaveProperty('authorization')
  expect(upstream.requests[0]?.headers['x-flowdock-wait-for-message']).toBe('true')
})

test('a click on an action reaches the integration, signed for who clicked', async () => {
  const clicks: string[] = []
  const service = createServer(async (request, response) => {
    for await (const _ of request);
    clicks.push(
      `${request.method} ${request.url} ${request.headers['flowdock-token'] === undefined ? '' : 'signed'}`,
    )
    response.end()
  })
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => void (await new Promise((resolve) => service.close(resolve))))
  const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/assign`
  // Only a registered application has a secret to sign with.
  const { data } = await app.graphql(
    'Ada',
    '{ flow(by: { path: "example/main" }) { sources { nodes { databaseId application { databaseId } } } } }',
  )
  const applicationId = data.flow.sources.nodes.at(-1).application.databaseId
  await app.backend.store.write((db) =>
    db.updateTable('applications').set({ client_secret: 'secret' }).where('id', '=', applicationId).execute(),
  )
  const actions = [{ update: { name: 'Assign', target: { urlTemplate: url } } }]
  const { presentedMessage } = await present({
    ...{ author, title: 'to click', externalThreadId: 'CLICK' },
    thread: { title: 'Clickable', actions },
  })
  const run = (name: string) =>
    app.graphql(
      'Ben',
      `mutation ($input: RunThreadActionInput!) { runThreadAction(input: $input) {
        ... on ThreadPayload { thread { title } } ... on UserError { code message } } }`,
      { input: { threadId: presentedMessage.thread.id, name } },
    )
  expect((await run('Assign')).data.runThreadAction).toEqual({ thread: { title: 'Clickable' } })
  expect(clicks).toEqual(['POST /assign signed'])
  expect((await run('Nothing')).data.runThreadAction).toMatchObject({ code: 'NOT_FOUND' })
})

describe('search', () => {
  test('finds in every flow one has joined, merged by time, and nowhere else', async () => {
    for (const flow of ['main', 'engineering', 'support'])
      await app.backend.as('Ada')('POST', `/flows/example/${flow}/messages`, {
        event: 'message',
        content: `needle in ${flow}`,
        tags: ['found'],
      })
    const search = async (nick: 'Ada' | 'Ben', args: string) =>
      await app.graphql(
        nick,
        `{ search(${args}) { isExhaustive nodes { flow { slug } ... on ChatMessage { content } } } }`,
      )
    const flows = ({ data }: Awaited<ReturnType<typeof search>>) =>
      data.search.nodes.map(({ flow }: { flow: { slug: string } }) => flow.slug)
    expect(flows(await search('Ada', 'text: "NEEDLE"'))).toEqual(['main', 'engineering', 'support'])
    expect(flows(await search('Ben', 'tags: ["found"]'))).toEqual(['main', 'engineering'])
    expect(flows(await search('Ada', 'text: "needle", last: 1'))).toEqual(['support'])
    expect((await search('Ada', 'text: "needle"')).data.search.isExhaustive).toBe(true)
    expect((await search('Ada', 'last: 5')).errors?.[0]?.message).toBe('Expected text or tags to search for')
  })

  test('searches flow by flow where the upstream cannot, and says when it left some out', async () => {
    const names = Array.from({ length: 25 }, (_, index) => `flow-${index}`)
    const organization = { id: 1, parameterized_name: 'acme', name: 'Acme' }
    const upstream = await startScriptedUpstream((request, response) => {
      const { pathname } = new URL(request.url ?? '', 'http://x')
      if (pathname === '/capabilities') return answerJson(response, 404, { message: 'not found' })
      if (pathname === '/flows')
        return answerJson(
          response,
          200,
          names.map((name, index) => ({
            id: name,
            name,
            parameterized_name: name,
            organization,
            last_message_at: new Date(index).toISOString(),
          })),
        )
      const [, name] = /^\/flows\/acme\/([^/]+)\/messages$/.exec(pathname) ?? []
      const sent = Number(name?.slice('flow-'.length))
      return answerJson(response, 200, [
        { id: 1, flow: name, event: 'message', content: name, sent, user: '1', tags: [] },
      ])
    })
    const other = await startTestApp({ upstreamUrl: upstream.url })
    onTestFinished(other.close)
    const { data } = await other.graphql(
      'Ada',
      '{ search(text: "x", last: 3) { isExhaustive nodes { ... on ChatMessage { content } } } }',
    )
    expect(data.search).toEqual({
      isExhaustive: false,
      nodes: [{ content: 'flow-22' }, { content: 'flow-23' }, { content: 'flow-24' }],
    })
    expect(upstream.requests.filter(({ url }) => url.includes('/messages'))).toHaveLength(20)
  })
})
