import { readdir, readFile } from 'node:fs/promises'
import type { ResultOf, VariablesOf } from 'gql.tada'
import { getOperationAST, parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, expectTypeOf, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { createClient, graphql } from '../examples/typed-client/client.ts'
import { describeFlows, send } from '../examples/typed-client/unread.ts'
import { createLiveClient } from '../src/client/index.ts'
import { eventually, liveMembers, type Result, startTestApp, type TestApp } from './support/app.ts'
import { basic } from './support/backend.ts'

const folder = new URL('../examples/', import.meta.url)
const names = (await readdir(folder)).filter((name) => name.endsWith('.graphql')).sort()
const thingsFolder = new URL('flowthings/', folder)
const thingsNames = (await readdir(thingsFolder)).sort()

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

/** How many calls to the upstream each takes: more is news. */
const calls: Readonly<Record<string, number>> = {
  '01-first-query.graphql': 6,
  '03-send-message.graphql': 1,
  '04-threads.graphql': 7,
  '05-search.graphql': 4,
  '06-private-message.graphql': 2,
  '07-integration.graphql': 1,
  '08-upload.graphql': 1,
  '09-people.graphql': 3,
  '10-dashboard.graphql': 6,
  '11-address.graphql': 1,
  '12-new-thread.graphql': 4,
}

test.each(names)('%s runs unchanged on the demo organization', async (name) => {
  const document = await readFile(new URL(name, folder), 'utf8')
  if (getOperationAST(parse(document))?.operation === 'subscription') {
    const subscription = await app.subscribe('Ada', document)
    const next = subscription.next()
    await eventually(() => liveMembers(app) === 1)
    await app.backend.as('Ben')('POST', '/flows/example/main/messages', {
      event: 'message',
      content: 'for the example',
    })
    expect(JSON.stringify(await next)).toContain('for the example')
    await subscription.close()
    return
  }
  app.calls.length = 0
  const { data, errors } = await app.graphql('Ada', document)
  expect(errors).toBeUndefined()
  // An example that finds nothing shows nothing.
  expect(JSON.stringify(data)).not.toContain('"nodes":[]')
  expect(JSON.stringify(data).length).toBeGreaterThan(50)
  const made = app.calls.map(({ method, url }) => `${method} ${url.slice(app.backend.url.length)}`)
  expect(made.length, made.join('\n')).toBe(calls[name])
})

test('the first query shows something to read of every message', async () => {
  const { data } = await app.graphql('Ada', await readFile(new URL('01-first-query.graphql', folder), 'utf8'))
  const messages = (data.flows.nodes as { messages: { nodes: Record<string, unknown>[] } }[]).flatMap(
    (flow) => flow.messages.nodes,
  )
  expect(messages.length).toBeGreaterThan(5)
  for (const { content, title, file } of messages) expect(content ?? title ?? file).toBeTruthy()
})

describe('the examples of flowthings', () => {
  const calls: Readonly<Record<string, number>> = {
    '1-latest-drops.graphql': 3,
    '2-filtered-drops.graphql': 2,
    '3-averages.graphql': 2,
    '5-add-drop.graphql': 1,
    '6-rule.graphql': 4,
  }
  const demoToken = 'Demo'.repeat(8)
  const headers = { 'X-Auth-Account': 'demo', 'X-Auth-Token': demoToken }
  const read = (name: string) => readFile(new URL(name, thingsFolder), 'utf8')
  let things: TestApp

  beforeAll(async () => {
    const demo = { port: 0, demoAccount: 'demo', demoToken }
    things = await startTestApp({ backend: { demoHistory: true, things: demo } })
  })
  afterAll(() => things.close())

  const execute = async (query: string) => {
    const response = await fetch(`${things.url}/graphql`, {
      method: 'POST',
      headers: {
        ...{ 'content-type': 'application/json', authorization: basic(await things.backend.token('Ada')) },
        ...headers,
      },
      body: JSON.stringify({ query }),
    })
    return (await response.json()) as Result
  }

  test.each(thingsNames)('%s runs unchanged on the demo account', async (name) => {
    const document = await read(name)
    if (getOperationAST(parse(document))?.operation === 'subscription') {
      const client = createLiveClient({
        ...{ url: `${things.url}/graphql`, token: '', webSocketImpl: WebSocket },
        connectionParams: headers,
      })
      onTestFinished(() => client.close())
      const live = client.listen<{ __typename: string; drop: { path: string } }>({ query: document })
      const first = live.next()
      let isLive = false
      void first.then(() => {
        isLive = true
      })
      // Drops that are added before the subscription is open are not delivered.
      await eventually(async () => {
        if (!isLive) await execute(await read('5-add-drop.graphql'))
        return isLive
      })
      expect((await first).value).toMatchObject({
        __typename: 'DropAdded',
        drop: { path: '/demo/greenhouse/temperature', json: { celsius: 33.5 } },
      })
      await live.return()
      return
    }
    things.calls.length = 0
    const { data, errors } = await execute(document)
    expect(errors).toBeUndefined()
    expect(JSON.stringify(data)).not.toMatch(/"(nodes|rows)":\[\]|"code":/)
    expect(JSON.stringify(data)).toContain('celsius')
    expect(things.calls.length).toBe(calls[name])
  })
})

describe('the typed client', () => {
  test('says what is new and answers', async () => {
    const client = createClient(app.url, await app.backend.token('Ada'))
    expect(await describeFlows(client)).toContainEqual(
      expect.stringMatching(/^example\/support \(\d+\): Ada Byron: /),
    )
    expect(await send(client, 'example/main', 'typed #typed')).toEqual(['typed'])
    await expect(send(client, 'example/main', ' ')).rejects.toThrow(
      "BAD_USER_INPUT: The content can't be blank",
    )
  })

  test('knows the type of every field, and which there are', () => {
    const viewer = graphql('query { viewer { nick email } }')
    expectTypeOf<ResultOf<typeof viewer>>().toEqualTypeOf<{
      viewer: { nick: string; email: string | null }
    }>()
    const named = graphql('query ($path: String!) { flow(by: { path: $path }) { name } }')
    expectTypeOf<VariablesOf<typeof named>>().toEqualTypeOf<{ path: string }>()
    expectTypeOf<ResultOf<typeof named>>().toEqualTypeOf<{ flow: { name: string } | null }>()
  })
})
