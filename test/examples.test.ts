import { readdir, readFile } from 'node:fs/promises'
import type { ResultOf, VariablesOf } from 'gql.tada'
import { getOperationAST, parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import { createClient, graphql } from '../examples/typed-client/client.ts'
import { describeFlows, send } from '../examples/typed-client/unread.ts'
import { eventually, liveMembers, startTestApp, type TestApp } from './support/app.ts'

const folder = new URL('../examples/', import.meta.url)
const names = (await readdir(folder)).filter((name) => name.endsWith('.graphql')).sort()

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
