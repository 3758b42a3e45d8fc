import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { basic, call } from '../support/backend.ts'

/*
 * Half of a character beyond U+FFFF, as a text cut in the middle of an emoji has it. JSON can write it, UTF-8 cannot: it is
 * refused or replaced by U+FFFD, never a failure of ours.
 */

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const half = '\ud83d'
const main = '/flows/example/main'
const file = { data: btoa('x'), content_type: 'text/plain', file_name: `a${half}.txt` }

describe('half of a character in the REST API', () => {
  test.each<[string, string, object]>([
    ['POST', `${main}/messages`, { event: 'message', content: `x${half}` }],
    ['POST', `${main}/messages`, { event: 'message', content: `#x${half} @${half} http://${half}.com` }],
    ['POST', `${main}/messages`, { event: 'message', content: 'x', tags: [`t${half}`, `@${half}`] }],
    ['POST', `${main}/messages`, { event: 'message', content: 'x', external_user_name: `n${half}` }],
    ['POST', `${main}/messages`, { event: 'message', content: 'x', uuid: `u${half}` }],
    ['POST', `${main}/messages`, { event: 'message', content: 'x', thread_id: `t${half}` }],
    ['POST', `${main}/messages`, { event: `e${half}`, content: 'x' }],
    ['POST', `${main}/messages`, { event: 'status', content: `x${half}` }],
    ['POST', `${main}/messages`, { event: 'file', content: file }],
    ['POST', '/messages', { flow: `example/${half}`, event: 'message', content: 'x' }],
    ['POST', '/messages', { flow_token: half, event: 'message', content: 'x' }],
    ['POST', `${main}/messages/1/emoji_reaction`, { emoji: `e${half}` }],
    ['PUT', `${main}/messages/1`, { content: `x${half}` }],
    ['PUT', `${main}/messages/1`, { tags: [half] }],
    ['GET', `${main}/messages`, { search: half }],
    ['GET', `${main}/messages`, { tags: [half] }],
    ['GET', `${main}/messages`, { event: half }],
    ['GET', `${main}/threads`, { application: half, since: half }],
    ['GET', '/search', { search: `x${half}`, tags: half }],
    ['POST', `${main}/threads`, { title: `t${half}`, fields: [{ label: half, value: half }] }],
    ['POST', '/flows/example', { name: `Half ${half}` }],
    ['PUT', main, { description: half }],
    ['GET', '/flows/find', { id: half }],
    ['POST', `${main}/sources`, { name: half, external_url: `https://x.example/${half}` }],
    ['POST', `${main}/invitations`, { email: `x${half}@example.com`, message: half }],
    ['PUT', '/users/1', { nick: half }],
    ['PUT', '/organizations/example', { name: half }],
    ['POST', '/private/2/messages', { event: 'message', content: half }],
    ['POST', '/oauth/applications', { name: half, redirect_uri: `https://x.example/${half}` }],
    [
      'POST',
      '/oauth/token',
      { grant_type: 'authorization_code', code: half, client_id: half, client_secret: half },
    ],
  ])('%s %s %j', async (method, path, body) => {
    const token = await app.backend.token('Ada')
    const answer =
      method === 'GET'
        ? await call(`${app.backend.url}${path}?${new URLSearchParams(toQuery(body))}`, 'GET', {
            authorization: basic(token),
          })
        : await app.backend.as('Ada')(method, path, body)
    expect(answer.status).toBeLessThan(500)
    expect(answer.text).not.toMatch(/\\ud83d(?!\\ud)/i)
    // What was stored can be read, and listed.
    const listed = await app.backend.as('Ada')('GET', `${main}/messages?limit=5`)
    expect(listed.status).toBe(200)
    expect(listed.text).not.toMatch(/\\ud83d(?!\\ud)/i)
    for (const each of ['/flows', `${main}/threads`, '/users', `${main}/sources`, '/organizations'])
      expect((await app.backend.as('Ada')('GET', each)).status).toBe(200)
  })

  test.each(['%ED%A0%BD', '%F0%9F', encodeURIComponent('\ufffd')])('in a path as %s', async (segment) => {
    const ada = app.backend.as('Ada')
    for (const path of [
      `/flows/example/${segment}`,
      `/flows/${segment}/main`,
      `/users/${segment}`,
      `${main}/threads/${segment}`,
    ])
      expect((await ada('GET', path)).status).toBe(404)
  })
})

/** [spec] URL: a query has U+FFFD in place of it already, which is sent as it is here. */
function toQuery(body: object): Record<string, string> {
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, String(value)]))
}

describe('half of a character in GraphQL', () => {
  const by = { path: `example/${half}` }
  test.each<[string, string, Record<string, unknown>]>([
    ['the path of a flow', 'query ($by: FlowBy!) { flow(by: $by) { id } }', { by }],
    ['the id of a flow', 'query ($by: FlowBy!) { flow(by: $by) { id } }', { by: { databaseId: half } }],
    [
      'a URL',
      'query ($by: FlowBy!) { flow(by: $by) { id } }',
      { by: { url: `https://x.example/flows/a/${half}` } },
    ],
    ['a node', 'query ($id: ID!) { node(id: $id) { id } }', { id: half }],
    [
      'the id of a thread',
      'query ($id: ID!) { flow(by: { path: "example/main" }) { thread(databaseId: $id) { id } } }',
      { id: half },
    ],
    ['a search', 'query ($text: String) { search(text: $text) { nodes { id } } }', { text: half }],
    [
      'a filter',
      'query ($f: MessageFilter) { flow(by: { path: "example/main" }) { messages(filter: $f) { nodes { id } } } }',
      { f: { tags: [half], tagMode: 'ANY' } },
    ],
    [
      'a message',
      `mutation ($c: String!) { sendMessage(input: { flow: { path: "example/main" }, content: $c }) {
        ... on SendMessagePayload { message { id } } } }`,
      { c: `x${half}` },
    ],
    [
      'the name of a file',
      `mutation ($n: String!) { createUpload(input: { flow: { path: "example/main" }, fileName: $n, contentType: "text/plain" }) {
        __typename } }`,
      { n: `a${half}.txt` },
    ],
    [
      'a resource',
      'query ($u: String!) { resource(url: $u) { __typename } }',
      { u: `https://x.example/flows/${half}/x` },
    ],
  ])('as %s', async (_, query, variables) => {
    const { errors = [] } = await app.graphql('Ada', query, variables)
    for (const { extensions } of errors) expect(extensions?.['code']).not.toBe('INTERNAL_SERVER_ERROR')
  })
})

test('a name is cut at 255 characters without splitting one', async () => {
  for (const length of [254, 255, 256]) {
    const content = { ...file, file_name: `${'a'.repeat(length)}😀😀.txt` }
    const { json } = await app.backend.as('Ada')('POST', `${main}/messages`, { event: 'file', content })
    expect(json.content.file_name.isWellFormed()).toBe(true)
    expect(json.content.file_name).not.toContain('\ufffd')
    expect(json.content.file_name).toMatch(/^a+(😀)*\.txt$/)
    expect(json.content.file_name.length).toBeLessThanOrEqual(255)
  }
})

test('a name without an extension, or with one that is too long to be one, is cut at its end', async () => {
  for (const file_name of ['a'.repeat(300), `${'a'.repeat(200)}.${'b'.repeat(100)}`, `.${'a'.repeat(300)}`]) {
    const content = { ...file, file_name }
    const { json } = await app.backend.as('Ada')('POST', `${main}/messages`, { event: 'file', content })
    expect(json.content.file_name).toBe(file_name.slice(0, 255))
  }
})
