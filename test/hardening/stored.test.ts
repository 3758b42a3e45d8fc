import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { eventually, liveMembers, startTestApp, type TestApp } from '../support/app.ts'

/* What one person stores must not end what others read and hear. */

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const failure = '... on UserError { code message } ... on ValidationFailed { fields { field message } }'

async function send(content: string): Promise<string> {
  const query = `mutation ($content: String!) { sendMessage(input: { flow: { path: "example/main" }, content: $content }) { ... on SendMessagePayload { sentMessage { id } } } }`
  const { data } = await app.graphql('Ben', query, { content })
  return data.sendMessage.sentMessage.id
}

async function changeTags(name: 'addTags' | 'setTags' | 'removeTags', messageId: string, tags: string[]) {
  const query = `mutation ($messageId: ID!, $tags: [String!]!) { ${name}(input: { messageId: $messageId, tags: $tags }) { __typename ${failure} } }`
  const { data, errors } = await app.graphql('Ben', query, { messageId, tags })
  expect(errors).toBeUndefined()
  return data[name]
}

const names = (from: number, count: number) => Array.from({ length: count }, (_, index) => `t${from + index}`)

test('tags that are added one by one end at their bound; subscribers receive all events before and after', async () => {
  const heard = await app.subscribe(
    'Ada',
    'subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) { __typename ... on MessageAdded { message { ... on ChatMessage { content } } } } }',
  )
  onTestFinished(heard.close)
  const next = async () => {
    for (;;) {
      const result = await heard.next()
      if (result?.data == null) throw new Error(`The subscription ended: ${JSON.stringify(result)}`)
      const content = result.data.messageAdded.message?.content
      if (content !== undefined) return content as string
    }
  }
  await eventually(() => liveMembers(app) === 1)
  const id = await send('a message with tags')
  expect(await next()).toBe('a message with tags')
  for (let from = 0; from < 100; from += 20)
    expect((await changeTags('addTags', id, names(from, 20))).__typename).toMatch(/Payload$/)
  const refused = await changeTags('addTags', id, ['one-too-many'])
  expect(refused).toMatchObject({
    __typename: 'ValidationFailed',
    fields: [{ field: 'tags', message: 'has 101 tags, at most 100 are stored' }],
  })
  expect(await changeTags('setTags', id, ['x'.repeat(1_000)])).toMatchObject({
    fields: [
      { field: 'tags', message: 'has a tag that is too long: 1000 characters, at most 128 are stored' },
    ],
  })
  expect((await changeTags('removeTags', id, names(0, 50))).__typename).toMatch(/Payload$/)
  expect((await changeTags('setTags', id, ['one'])).__typename).toMatch(/Payload$/)
  await send('still there')
  expect(await next()).toBe('still there')
})

test('an e-mail address is not changed by the person; the nick is', async () => {
  const update = (input: object) =>
    app.graphql(
      'Ben',
      `mutation ($input: UpdateViewerInput!) { updateViewer(input: $input) { __typename ${failure} ... on UpdateViewerPayload { viewer { nick email } } } }`,
      { input },
    )
  expect((await update({ email: 'ceo@acme.example' })).data.updateViewer).toMatchObject({ code: 'FORBIDDEN' })
  expect((await update({ nick: 'Benny' })).data.updateViewer.viewer).toEqual({
    nick: 'Benny',
    email: 'ben@example.com',
  })
})
