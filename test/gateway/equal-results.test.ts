import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import { type Administration, openAdministration } from '../../src/backend/admin/administration.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { eventually, testConfig } from '../support/app.ts'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'
import { serviceToken } from '../support/service-token.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

/* One gateway returns the result of a query again to others whose reads are equal, the other executes each query. */

let backend: TestBackend
let administration: Administration
let sharing: App
let executing: App
let found = 0
let tokens: string[]

beforeAll(async () => {
  backend = await startTestBackend({ serviceTokens: [serviceToken] })
  administration = await openAdministration(backend.location)
  const config = testConfig(backend.url, { SERVICE_TOKEN: serviceToken })
  const log = createLogger('silent')
  const onFound = () => {
    found += 1
  }
  sharing = await startApp(config, { log, equalResults: { onFound } })
  executing = await startApp(config, { log, equalResults: { maxCharacters: 1 } })
  tokens = [await backend.token('Ada'), await backend.token('Ben'), await backend.token('Cleo')]
})
beforeEach(() => {
  found = 0
})
afterAll(async () => {
  await sharing.close()
  await executing.close()
  await administration.close()
  await backend.close()
})

async function ask(app: App, token: string, query: string): Promise<string> {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: basic(token) },
    body: JSON.stringify({ query }),
  })
  return response.text()
}

/** Asks both gateways. */
async function compare(token: string, query: string): Promise<string> {
  const response = await ask(sharing, token, query)
  expect(response).toBe(await ask(executing, token, query))
  return response
}

/** Everybody asks until a result is returned again. */
async function share(query: string): Promise<void> {
  await eventually(async () => {
    found = 0
    for (const token of tokens) await compare(token, query)
    return found === tokens.length
  })
}

const nested = (path: string, fields = '') =>
  `{ flow(by: { path: "${path}" }) { name messages(last: 30) { nodes { id author { name ... on User { nick } } thread { title } ... on ChatMessage { content } ${fields} } } } }`

test('a query of several people with equal reads is executed once, and a change is in the next response', async () => {
  const query = nested('example/main', 'flow { name } reactions { emoji users { nodes { nick } } }')
  const ada = backend.as('Ada')
  const changes: [change: () => Promise<unknown>, shown: string][] = [
    [
      () => ada('POST', '/flows/example/main/messages', { event: 'message', content: 'a new one' }),
      'a new one',
    ],
    [() => backend.as('Ben')('PUT', '/users/2', { nick: 'Benjamin' }), 'Benjamin'],
    [() => ada('PUT', '/flows/example/main', { name: 'Renamed' }), 'Renamed'],
  ]
  for (const [change, shown] of changes) {
    await share(query)
    await change()
    for (const token of tokens) expect(await compare(token, query)).toContain(shown)
  }
  await backend.as('Ben')('PUT', '/users/2', { nick: 'Ben' })
  await ada('PUT', '/flows/example/main', { name: 'Main' })
})

test('nobody gets a result who may not read what it was made of', async () => {
  const ada = backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Few' })
  for (const id of [2, 3]) await ada('POST', '/flows/example/few/users', { id })
  await ada('POST', '/flows/example/few/messages', { event: 'message', content: 'for few' })
  const query = nested('example/few')
  await share(query)
  await ada('PUT', '/flows/example/few/users/3', { disabled: true })
  const [first = '', , cleo = ''] = tokens
  expect(await compare(cleo, query)).not.toContain('for few')
  expect(await compare(first, query)).toContain('for few')
  const extra = String((await administration.addToken('ben@example.com'))['token'])
  await eventually(async () => {
    found = 0
    await ask(sharing, extra, query)
    return found === 1
  })
  for (const { id, ...listed } of await administration.listTokens('ben@example.com'))
    if (listed !== undefined) await administration.removeToken('ben@example.com', String(id))
  expect(await ask(sharing, extra, query)).toContain('UNAUTHENTICATED')
  tokens[1] = String((await administration.addToken('ben@example.com'))['token'])
})

test('an author whom only some may see is shown to these', async () => {
  const added = { nick: 'Eve', name: 'Eve', email: 'eve@example.com', password: undefined, id: undefined }
  const { id } = await administration.addUser({ ...added, organization: 'example', admin: false })
  const eve = String((await administration.addToken(added.email))['token'])
  const ada = backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Left' })
  for (const member of [2, 3, Number(id)]) await ada('POST', '/flows/example/left/users', { id: member })
  await fetch(`${backend.url}/flows/example/left/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: basic(eve) },
    body: JSON.stringify({ event: 'message', content: 'from Eve' }),
  })
  const query = nested('example/left')
  await share(query)
  expect(await compare(tokens[2] ?? '', query)).toContain('"Eve"')
  await ada('DELETE', `/organizations/example/users/${id}`)
  for (const token of tokens) {
    const response = await compare(token, query)
    expect(response).toContain('from Eve')
    expect(response).not.toContain('"Eve"')
  }
})

test('what depends on the viewer is executed for each, and so is what needs other reads', async () => {
  const queries = [
    nested('example/main', 'viewerCanDelete viewerCanEdit'),
    '{ viewer { name } flow(by: { path: "example/main" }) { messages(last: 3) { nodes { author { name } } } } }',
    '{ flow(by: { path: "example/main" }) { messages(last: 3, filter: { text: "welcome" }) { nodes { author { name } } } } }',
    '{ flow(by: { path: "example/main" }) { name unreadMentions messages(last: 3) { nodes { author { name } } } } }',
    '{ flow(by: { path: "example/main" }) { messages(last: 3) { nodes { thread { messages(last: 3) { nodes { author { name } } } } } } } }',
    '{ viewer { name } }',
  ]
  for (const query of queries)
    for (let times = 0; times < 3; times += 1) for (const token of tokens) await compare(token, query)
  expect(found).toBe(0)
})

test('a cursor that says how far the log has been read is that of the present page', async () => {
  const query =
    '{ flow(by: { path: "example/main" }) { messages(last: 3) { edges { cursor node { author { name } } } } } }'
  await share(query)
  const [token = ''] = tokens
  const before = await compare(token, query)
  await backend.as('Ada')('POST', '/flows/example/engineering/messages', {
    event: 'message',
    content: 'elsewhere',
  })
  expect(await compare(token, query)).not.toBe(before)
})

test('a flow that members have opened and closed is shown to each as it is', async () => {
  const query =
    '{ flow(by: { path: "example/main" }) { isOpen messages(last: 3) { nodes { author { name } } } } }'
  await share(query)
  await backend.as('Cleo')('PUT', '/flows/example/main', { open: false })
  const open = await Promise.all(
    tokens.map(async (token) => JSON.parse(await compare(token, query)).data.flow.isOpen),
  )
  expect(open).toEqual([true, true, false])
  await share(query)
  expect(await compare(tokens[2] ?? '', query)).toContain('"isOpen":false')
})

test('who gets an incomplete list from the upstream is told so, also where the rest is equal', async () => {
  const organization = { id: 1, name: 'Acme', parameterized_name: 'acme' }
  const flow = { id: 'f1', name: 'Main', parameterized_name: 'main', organization, users: [] }
  const message = { id: 1, event: 'message', flow: 'f1', content: 'hello', sent: 1, user: '1' }
  const user = { id: 1, nick: 'Ada' }
  const upstream = await startScriptedUpstream(({ url = '', headers: { authorization } }, response) => {
    const users = authorization === basic('c') ? [user, { id: 2 }] : [user]
    answerJson(response, 200, url.startsWith('/users') ? users : url.includes('/messages') ? [message] : flow)
  })
  const app = await startApp(testConfig(upstream.url), {
    log: createLogger('silent'),
    equalResults: {
      onFound() {
        found += 1
      },
    },
  })
  onTestFinished(app.close)
  const query = '{ flow(by: { path: "acme/main" }) { messages(last: 1) { nodes { author { name } } } } }'
  await eventually(async () => {
    for (const token of ['a', 'b']) await ask(app, token, query)
    return found > 0
  })
  const response = await ask(app, 'c', query)
  expect(response).toContain('"Ada"')
  expect(response).toContain('A list is incomplete')
})
