import { createClient } from 'graphql-sse'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { liveMembers, startTestApp, type TestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'

/* The stock client of [graphql-sse] PROTOCOL.md, with the retries that it has unless told otherwise. */

let app: TestApp
let authorization: string
let requests = 0

beforeAll(async () => {
  app = await startTestApp()
  authorization = basic(await app.backend.token('Ada'))
})
afterAll(() => app.close())

const query = `subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) {
  ... on MessageAdded { message { ... on ChatMessage { content } } } } }`

describe.each([
  ['distinct connections', false],
  ['a single connection', true],
])('the stock client of graphql-sse, with %s', (_, singleConnection) => {
  const connect = () => {
    requests = 0
    return createClient({
      ...{ url: `${app.url}/graphql`, singleConnection, headers: { authorization } },
      fetchFn: (input: RequestInfo, init: RequestInit) => {
        requests += 1
        return fetch(input, init)
      },
    })
  }

  test('has a query answered', async () => {
    const client = connect()
    const results = client.iterate({ query: '{ viewer { nick } }' })
    expect((await results.next()).value).toEqual({ data: { viewer: { nick: 'Ada' } } })
    expect((await results.next()).done).toBe(true)
    client.dispose()
  })

  test('has a subscription delivered', async () => {
    const client = connect()
    const results = client.iterate({ query })
    const next = results.next()
    await expect.poll(() => liveMembers(app)).toBe(1)
    await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content: 'hi' })
    expect((await next).value).toEqual({ data: { messageAdded: { message: { content: 'hi' } } } })
    await results.return?.(undefined)
    client.dispose()
    await expect.poll(() => liveMembers(app)).toBe(0)
  })

  test('has the cursor of the beginning delivered first, and resumes after it', async () => {
    const client = connect()
    const begun = client.iterate({ query, extensions: { position: true } })
    const { value } = (await begun.next()) as { value: { extensions?: { cursor?: string } } }
    const cursor = value.extensions?.cursor
    expect(value).toEqual({ data: null, extensions: { cursor: expect.stringMatching(/./) } })
    await begun.return?.(undefined)
    await expect.poll(() => liveMembers(app)).toBe(0)
    const content = `missed with ${singleConnection}`
    await app.backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })
    const resumed = client.iterate({ query, extensions: { position: true, lastEventId: cursor } })
    expect((await resumed.next()).value).toEqual({ data: { messageAdded: { message: { content } } } })
    await resumed.return?.(undefined)
    client.dispose()
  })
})

test.each([
  ['an unknown field', { query: 'subscription { nothing }' }, 'Cannot query field "nothing"'],
  ['a syntax error', { query: 'subscription {' }, 'Syntax Error'],
  ['an unknown operation', { query, operationName: 'Other' }, 'operationName'],
  ['an unknown flow', { query: query.replace('example/main', 'no/where') }, 'input.flows.0'],
])('the stock client shows why %s is refused, and does not ask again', async (_, operation, message) => {
  requests = 0
  const client = createClient({
    ...{ url: `${app.url}/graphql`, headers: { authorization } },
    fetchFn: (input: RequestInfo, init: RequestInit) => {
      requests += 1
      return fetch(input, init)
    },
  })
  const results = client.iterate(operation)
  expect((await results.next()).value).toMatchObject({
    errors: [{ message: expect.stringContaining(message) }],
  })
  expect((await results.next()).done).toBe(true)
  expect(requests).toBe(1)
  client.dispose()
})
