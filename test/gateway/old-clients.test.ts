import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { insertFlow } from '../../src/backend/store/flows.ts'
import { admitMember } from '../../src/backend/store/rights.ts'
import { eventually, post, startTestApp, type TestApp } from '../support/app.ts'
import { basic, call } from '../support/backend.ts'

/* What old clients send, read and heard over GraphQL. */

/** Flow ids as they were before 2013, by slug. */
const oldIds = { colon: 'acme:old', slash: 'acme/older', bare: 'bare' }

let app: TestApp
let token: string

beforeAll(async () => {
  app = await startTestApp()
  token = await app.backend.token('Ada')
  // Before the gateway is asked, as after an import: no event tells of them.
  await app.backend.log.write(async (change) => {
    for (const [slug, id] of Object.entries(oldIds)) {
      const row = { id, organization_id: 1, slug, name: 'Old', description: '', access_mode: 'invitation' }
      await insertFlow(change.db, row)
      await admitMember(change, id, 1)
    }
  })
})
afterAll(() => app.close())

const ask = async (query: string) => {
  const answer = await post(app.url, { query }, token)
  expect(answer.errors).toBeUndefined()
  return answer.data
}

test('all users have a picture, and can set another, which others see', async () => {
  const avatarOf = async () => (await ask('{ viewer { avatarUrl } }')).viewer.avatarUrl as string
  const generated = await avatarOf()
  expect((await fetch(generated)).headers.get('content-type')).toBe('image/png')
  const picture = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'teal' } })
    .webp()
    .toBuffer()
  const set = async (file: Blob | null) => {
    const query = `mutation ($input: SetAvatarInput!) { setAvatar(input: $input) {
      ... on SetAvatarPayload { viewer { avatarUrl } } ... on UserError { code } ... on ValidationFailed { fields { field message } } } }`
    const variables = { input: { avatar: null } }
    const headers = { authorization: basic(token), 'graphql-require-preflight': '1' }
    if (file === null) return (await post(app.url, { query, variables }, token)).data.setAvatar
    const body = new FormData()
    body.append('operations', JSON.stringify({ query, variables }))
    body.append('map', JSON.stringify({ 0: ['variables.input.avatar'] }))
    body.append('0', file)
    const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers, body })
    return (await response.json()).data.setAvatar
  }

  const { viewer } = await set(new File([new Uint8Array(picture)], 'me.webp', { type: 'image/webp' }))
  expect(viewer.avatarUrl).not.toBe(generated)
  expect(Buffer.from(await (await fetch(`${viewer.avatarUrl}60`)).arrayBuffer())).toEqual(picture)
  const members = await ask(
    '{ flow(by: { path: "example/main" }) { users { nodes { user { nick avatarUrl } } } } }',
  )
  expect(members.flow.users.nodes).toContainEqual({ user: { nick: 'Ada', avatarUrl: viewer.avatarUrl } })
  expect(await set(new File(['no picture'], 'me.png', { type: 'image/png' }))).toMatchObject({
    code: 'BAD_USER_INPUT',
    fields: [{ field: 'avatar', message: 'must be a PNG, JPEG, GIF or WebP image' }],
  })
  expect(await set(null)).toEqual({ viewer: { avatarUrl: generated } })
})

test('what integrations of before 2014 post has its type and its parts', async () => {
  const { json: flow } = await app.backend.as('Ada')('GET', '/flows/example/main')
  const send = async (path: string, body: object, headers: Record<string, string> = {}) =>
    expect((await call(app.backend.url + path, 'POST', headers, body)).status).toBe(200)
  await send(
    `/v1/github/${flow.api_token}`,
    {
      ...{ action: 'opened', repository: { full_name: 'flowdock/oulu' }, sender: { login: 'tsilen' } },
      pull_request: { title: 'ISON', html_url: 'https://github.com/flowdock/oulu/pull/1' },
    },
    { 'x-github-event': 'pull_request' },
  )
  await send(`/v1/jira/${flow.api_token}`, { event_type: 'create', issue_key: 'T-1', issue_summary: 'Bug' })
  await send(`/jari/confluence/messages/?tokens=${flow.api_token}`, { action: 'create', page_title: 'Home' })
  const data = await ask(`{ flow(by: { path: "example/main" }) { messages(last: 3) { nodes { __typename
    ... on VcsMessage { action repositoryName title itemUrl actorName }
    ... on JiraMessage { action issueKey summary }
    ... on ConfluenceMessage { action pageTitle } } } } }`)
  expect(data.flow.messages.nodes).toEqual([
    {
      ...{ __typename: 'VcsMessage', action: 'pull_request', repositoryName: 'flowdock/oulu', title: 'ISON' },
      ...{ itemUrl: 'https://github.com/flowdock/oulu/pull/1', actorName: 'tsilen' },
    },
    { __typename: 'JiraMessage', action: 'create', issueKey: 'T-1', summary: 'Bug' },
    { __typename: 'ConfluenceMessage', action: 'create', pageTitle: 'Home' },
  ])
})

test.each(Object.entries(oldIds))(
  'a flow (%s) with the imported id %s is read and streamed',
  async (slug, id) => {
    const ada = app.backend.as('Ada')
    expect((await ada('GET', `/flows/find?id=${encodeURIComponent(id)}`)).json).toMatchObject({
      id,
      name: 'Old',
    })
    const live = await app.subscribe(
      'Ada',
      `subscription { flowEvents(input: { flows: [{ databaseId: ${JSON.stringify(id)} }] }) {
      ... on MessageAdded { message { ... on ChatMessage { content } flow { databaseId } } } } }`,
    )
    let heard: unknown
    const hearing = live.next().then((result) => {
      heard = result?.data.flowEvents
    })
    // As old scripts do, with the id; again until the gateway's stream is open.
    await eventually(async () => {
      const sent = await ada('POST', '/messages', { flow: id, event: 'message', content: 'hi' })
      expect(sent).toMatchObject({ status: 201, json: { flow: id } })
      return heard !== undefined
    })
    await hearing
    expect(heard).toEqual({ message: { content: 'hi', flow: { databaseId: id } } })
    const found = await ask(
      `{ flow(by: { databaseId: ${JSON.stringify(id)} }) { id path messages(last: 1) { nodes { id } } } }`,
    )
    expect(found.flow).toMatchObject({
      path: `example/${slug}`,
      messages: { nodes: [{ id: expect.any(String) }] },
    })
    expect(
      await ask(`{ node(id: "${found.flow.messages.nodes[0].id}") { ... on ChatMessage { content } } }`),
    ).toEqual({ node: { content: 'hi' } })
    const stream = await fetch(`${app.backend.url}/stream/flows?filter=${encodeURIComponent(id)}&until=now`, {
      headers: { authorization: basic(token), accept: 'text/event-stream' },
    })
    expect(stream.status).toBe(200)
    await stream.text()
    await live.close()
  },
)
