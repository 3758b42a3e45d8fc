import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { call } from '../support/backend.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const common =
  '__typename tags hashtags text html mentions { group user { nick } } ... on Activity { title } ... on ChatMessage { content }'

async function newest(nick: 'Ada' | 'Ben' = 'Ada') {
  const { data, errors } = await app.graphql(
    nick,
    `{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { ${common} } } } }`,
  )
  expect(errors).toBeUndefined()
  return data.flow.messages.nodes[0]
}

const say = (content: string, tags: string[] = []) =>
  app.backend.as('Ada')('POST', '/flows/example/main/messages', { event: 'message', content, tags })

test('a message has its hashtags, mentions, text and HTML beside its tags', async () => {
  const content = '@Ben <look> #release :rocket: https://a.example/'
  await say(content, ['extra'])
  expect(await newest()).toEqual({
    __typename: 'ChatMessage',
    tags: ['extra', 'release', ':user:2', ':url', ':unread:2'],
    hashtags: ['extra', 'release'],
    mentions: [{ group: null, user: { nick: 'Ben' } }],
    content,
    text: '@Ben <look> #release 🚀 https://a.example/',
    html: '@Ben &#60;look&#62; #release 🚀 <a href="https://a.example/" rel="nofollow noopener noreferrer">https://a.example/</a>',
  })
})

test('groups are mentioned, too', async () => {
  await say('@everyone and @team')
  expect(await newest()).toMatchObject({
    hashtags: [],
    mentions: [
      { group: 'EVERYONE', user: null },
      { group: 'TEAM', user: null },
    ],
  })
})

test('what an integration posts is plain in text and safe in HTML', async () => {
  const source = await app.backend.as('Ada')('POST', '/flows/example/main/sources', { name: 'Bot' })
  const posted = await call(
    `${app.backend.url}/messages`,
    'POST',
    {},
    {
      flow_token: source.json.flow_token,
      event: 'activity',
      author: { name: 'Bot' },
      title: '<a href="https://a.example/1">closed</a> <script>alert(1)</script>#1',
      body: '<p>all <b>done</b></p>',
      external_thread_id: '1',
      thread: { title: 'One' },
    },
  )
  expect(posted.status).toBe(202)
  expect(await newest()).toMatchObject({
    __typename: 'Activity',
    text: 'closed #1\nall done',
    html: '<div><a href="https://a.example/1" rel="nofollow noopener noreferrer">closed</a> #1</div><div><p>all <b>done</b></p></div>',
  })
})

test('mentions, text and HTML of many messages take no call: the flow brings its users', async () => {
  for (let index = 0; index < 10; index += 1) await say(`@Ben @Cleo ${index}`)
  app.calls.length = 0
  const { data } = await app.graphql(
    'Ada',
    `{ flow(by: { path: "example/main" }) { messages(last: 100) { nodes { ${common} } } } }`,
  )
  expect(
    data.flow.messages.nodes.filter(({ mentions }: { mentions: unknown[] }) => mentions.length === 2).length,
  ).toBe(11)
  expect(app.calls.map(({ url }) => new URL(url).pathname).sort()).toEqual([
    '/flows/example/main',
    '/flows/example/main/messages',
  ])
})

test('one document lists messages of all kinds with the fields they share', async () => {
  const { data, errors } = await app.graphql(
    'Ada',
    `{ flow(by: { path: "example/main" }) { messages(last: 100) { nodes {
      ... on Comment { title } ... on Activity { title body } ... on RssMessage { title body } ... on VcsMessage { title action }
      ... on ActionMessage { action } ... on JiraMessage { action body issueStatus } ... on MailMessage { body sourceName }
      ... on ChatMessage { content } } } } }`,
  )
  expect(errors).toBeUndefined()
  expect(data.flow.messages.nodes).toContainEqual({ title: 'added this source', body: null })
})
