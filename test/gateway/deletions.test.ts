import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { eventually, liveMembers, type Subscription, startTestApp, type TestApp } from '../support/app.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const query = `subscription ($after: String) { flowEvents(input: { flows: [{ path: "example/main" }], after: $after }) {
  __typename cursor
  ... on MessageAdded { message { databaseId tags thread { title } attachments { name }
    ... on ChatMessage { content } ... on Comment { content title } } }
  ... on MessageEdited { content } ... on MessageDeleted { messageId } } }`

const messages = '/flows/example/main/messages'
const ben = (method: string, path: string, body?: object) => app.backend.as('Ben')(method, path, body)
const say = async (content: string, more: object = {}) =>
  (await ben('POST', messages, { event: 'message', content, ...more })).json

/** Reads until a message says `content`. */
async function readTo(subscription: Subscription, content: string) {
  // biome-ignore lint/suspicious/noExplicitAny: events of every shape
  const events: any[] = []
  while (events.at(-1)?.message?.content !== content) {
    const result = await subscription.next()
    expect(result?.errors).toBeUndefined()
    events.push(result?.data.flowEvents)
  }
  return events
}

test('a subscription that resumes from the gateway’s memory receives deletions, not the deleted text', async () => {
  const first = await app.subscribe('Ada', query)
  onTestFinished(first.close)
  await eventually(() => liveMembers(app) > 0)
  await say('the beginning')
  const after = (await readTo(first, 'the beginning')).at(-1).cursor

  const { id, thread_id: threadId } = await say('a secret #alpha')
  await ben('PUT', `${messages}/${id}`, { content: 'more secret #beta' })
  await ben('POST', `${messages}/${id}/comments`, { content: 'a remark' })
  await say('a reply', { thread_id: threadId })
  const content = { data: btoa('x'), content_type: 'text/plain', file_name: 'secret.txt' }
  const sent = (await ben('POST', messages, { event: 'file', content })).json
  await ben('DELETE', `${messages}/${id}`)
  await ben('DELETE', `${messages}/${sent.id}`)
  await say('the end')
  const live = await readTo(first, 'the end')
  expect(JSON.stringify(live)).toContain('more secret')

  app.calls.length = 0
  const second = await app.subscribe('Ada', query, { after })
  onTestFinished(second.close)
  const resumed = await readTo(second, 'the end')
  // What is resumed came from memory, not from the upstream.
  expect(app.calls.filter(({ kind }) => kind === 'stream')).toEqual([])
  expect(JSON.stringify(resumed)).not.toMatch(/secret|alpha|beta/)
  expect(resumed.map(({ cursor }) => cursor)).toEqual(live.map(({ cursor }) => cursor))
  expect(resumed.map(({ message }) => message?.content)).toEqual(
    expect.arrayContaining(['', 'a remark', 'a reply', 'the end']),
  )
  expect(resumed.filter(({ __typename }) => __typename === 'MessageDeleted').length).toBeGreaterThanOrEqual(2)
})
