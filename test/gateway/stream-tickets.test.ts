import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually, liveMembers, post, startTestApp, type TestApp } from '../support/app.ts'
import { openRawStream } from '../support/stream.ts'

let app: TestApp
const lines: string[] = []

beforeAll(async () => {
  app = await startTestApp({
    log: pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) }),
  })
})
afterAll(() => app.close())

const mutation = `mutation { createStreamTicket(input: { clientMutationId: "x" }) { __typename
  ... on CreateStreamTicketPayload { url ticket expiresAt clientMutationId } ... on UserError { code message } } }`
const query = `subscription ($after: String) { flowEvents(input: { flows: [{ path: "example/main" }], after: $after }) {
  ... on MessageAdded { message { ... on ChatMessage { content } } } } }`
const sse = { accept: 'text/event-stream' }
const say = (content: string) =>
  app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })

async function issue(nick: 'Ada' | 'Ben' = 'Ada') {
  const { data } = await app.graphql(nick, mutation)
  return data.createStreamTicket as {
    url: string
    ticket: string
    expiresAt: string
    clientMutationId: string
  }
}

const address = (url: string, document = query, variables: object = {}) =>
  `${app.url}${url}&${new URLSearchParams({ query: document, variables: JSON.stringify(variables) })}`

async function open(url: string) {
  const stream = await openRawStream(url, sse)
  onTestFinished(stream.close)
  return stream
}

describe('a ticket in the URL', () => {
  test('opens a subscription without a header, with the rights of who made it', async () => {
    const made = await issue()
    expect(made).toMatchObject({
      __typename: 'CreateStreamTicketPayload',
      url: `/graphql?ticket=${made.ticket}`,
      ticket: expect.stringMatching(/^[\w-]{44,}$/),
      clientMutationId: 'x',
    })
    const lifetimeMs = Date.parse(made.expiresAt) - Date.now()
    expect(lifetimeMs).toBeGreaterThan(30_000)
    expect(lifetimeMs).toBeLessThanOrEqual(60_000)
    const stream = await open(address(made.url))
    await eventually(() => liveMembers(app) === 1)
    await say('by ticket')
    await stream.until(/event: next\nid: [^\n]+\ndata: .*by ticket/)
  })

  test('works once: a second request, as EventSource repeats it, is 401', async () => {
    const { url } = await issue()
    await open(address(url))
    const again = await fetch(address(url), { headers: { ...sse, 'last-event-id': '5' } })
    expect(again.status).toBe(401)
    expect(await again.json()).toMatchObject({
      errors: [
        { message: expect.stringContaining('createStreamTicket'), extensions: { code: 'UNAUTHENTICATED' } },
      ],
    })
  })

  test('resumes after the last event with another ticket', async () => {
    const first = await open(address((await issue()).url))
    await say('before the cut')
    const [, cursor = ''] =
      /id: ([^\n]+)\ndata: .*cut/.exec(await first.until(/data: .*before the cut/)) ?? []
    first.close()
    await say('meanwhile')
    const second = await open(address((await issue()).url, query, { after: cursor }))
    await second.until(/data: .*meanwhile/)
    expect(second.text).not.toContain('before the cut')
  })

  test.each([
    ['a query', '{ viewer { nick } }', 200, 'A ticket opens a subscription'],
    ['a mutation', 'mutation { __typename }', 405, 'A mutation cannot be sent by GET'],
  ])('opens not %s', async (_, document, status, message) => {
    const { url } = await issue()
    const answer = await fetch(address(url, document), { headers: sse })
    expect(answer.status).toBe(status)
    expect(await answer.text()).toContain(message)
  })

  test('opens nothing but an event stream, and stays unused', async () => {
    const { url } = await issue()
    for (const method of ['POST', 'HEAD', 'PUT']) {
      const answer = await fetch(address(url), { method, headers: sse })
      expect(answer.status).toBe(400)
      if (method !== 'HEAD')
        expect(await answer.text()).toContain('A ticket is for a GET request of an event stream')
    }
    for (const accept of ['application/json', '*/*', 'multipart/mixed;subscriptionSpec="1.0"'])
      expect((await fetch(address(url), { headers: { accept } })).status).toBe(406)
    await open(address(url))
  })

  test('is not for a page of an origin that may not use the gateway', async () => {
    const { url } = await issue()
    const answer = await fetch(address(url), { headers: { ...sse, origin: 'https://evil.example' } })
    expect(answer.status).toBe(403)
  })

  test('is not in the log', async () => {
    const made = await issue()
    const stream = await open(address(made.url))
    await stream.until(/^:/)
    await fetch(address(made.url), { headers: sse })
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.join('')).not.toContain(made.ticket)
  })
})

describe('no ticket is made', () => {
  test.each([
    ['without a credential', undefined],
    ['with one that is not valid', '0'.repeat(32)],
  ])('%s', async (_, token) => {
    const { errors, data } = await post(app.url, { query: mutation }, token)
    expect(data ?? null).toBeNull()
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }])
  })
})

test.each([
  ['requests', { REQUESTS_PER_MINUTE: '3' }],
  ['connections', { MAX_CONNECTIONS_PER_PRINCIPAL: '1' }],
])('a stream that a ticket opens counts among the %s of who made the ticket', async (_, settings) => {
  const limited = await startTestApp({ settings })
  onTestFinished(limited.close)
  const make = async (nick: 'Ada' | 'Ben') => {
    const { data } = await limited.graphql(nick, mutation)
    return `${limited.url}${data.createStreamTicket.url}&${new URLSearchParams({ query })}`
  }
  const [first, second] = [await make('Ada'), await make('Ada')]
  const stream = await open(first)
  await stream.until(/^:/)
  const refused = await fetch(second, { headers: sse })
  expect(refused.status).toBe(429)
  expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] })
  await (await open(await make('Ben'))).until(/^:/)
})
