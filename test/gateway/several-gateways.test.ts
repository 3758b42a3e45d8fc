import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import { openAdministration } from '../../src/backend/admin/administration.ts'
import { eventually, post, testConfig } from '../support/app.ts'
import { basic, type Nick, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

/* Two gateways of one upstream, behind a balancer that sends each request to any of them. */

const key = 'the-key-of-both-of-these-gateways'
let backend: TestBackend
let here: App
let there: App

beforeAll(async () => {
  backend = await startTestBackend()
  here = await startApp(testConfig(backend.url, { TICKET_KEY: key }))
  there = await startApp(testConfig(backend.url, { TICKET_KEY: key }))
})
afterAll(async () => {
  await here.close()
  await there.close()
  await backend.close()
})

const graphql = async (app: App, nick: Nick, query: string, variables = {}) => {
  const { data, errors } = await post(app.url, { query, variables }, await backend.token(nick))
  expect(errors).toBeUndefined()
  return data
}

async function createUpload(app: App, nick: Nick, path = 'example/main'): Promise<string> {
  const { createUpload: outcome } = await graphql(
    app,
    nick,
    `mutation ($path: String!) { createUpload(input: { flow: { path: $path }, name: "a.txt", contentType: "text/plain" }) {
      ... on CreateUploadPayload { url } } }`,
    { path },
  )
  return outcome.url
}

async function newestFile(app: App, nick: Nick, path = 'example/main'): Promise<string> {
  const { flow } = await graphql(
    app,
    nick,
    `query ($path: String!) { flow(by: { path: $path }) { messages(last: 1) { nodes { ... on FileMessage { file { url } } } } } }`,
    { path },
  )
  return flow.messages.nodes[0].file.url
}

const put = async (app: App, url: string, body: string) => {
  const response = await fetch(app.url + url, { method: 'PUT', body })
  return { status: response.status, json: await response.json() }
}

async function makeFlow(name: string): Promise<string> {
  await backend.as('Ada')('POST', '/flows/example', { name })
  const path = `/flows/example/${name.toLowerCase()}`
  expect((await backend.as('Ada')('POST', `${path}/users`, { id: 2 })).status).toBe(200)
  return `example/${name.toLowerCase()}`
}

describe('the URL of a file', () => {
  test('that one gateway made is served by another, and is the same text at both', async () => {
    const { status } = await put(here, await createUpload(here, 'Ada'), 'hello')
    expect(status).toBe(201)
    const url = await newestFile(here, 'Ben')
    expect(await newestFile(there, 'Ben')).toBe(url)
    for (const app of [here, there]) expect(await (await fetch(app.url + url)).text()).toBe('hello')
  })

  test('ends at every gateway as soon as its user is blocked', async () => {
    const path = await makeFlow('Blocking')
    await put(here, await createUpload(here, 'Ada', path), 'secret')
    const url = await newestFile(here, 'Ben', path)
    expect((await fetch(there.url + url)).status).toBe(200)
    await backend.as('Ada')('PUT', `/flows/${path}/users/2`, { disabled: true })
    for (const app of [here, there]) expect((await fetch(app.url + url)).status).toBe(404)
  })

  test('ends at every gateway as soon as the token is removed that it was made with', async () => {
    await put(here, await createUpload(here, 'Ada'), 'hello')
    const administration = await openAdministration(backend.location)
    onTestFinished(() => administration.close())
    const added = await administration.addToken('ben@example.com')
    const id = (await administration.listTokens('ben@example.com')).at(-1)?.['id']
    const query =
      '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { ... on FileMessage { file { url } } } } } }'
    const { data } = await post(here.url, { query }, String(added['token']))
    const { url } = data.flow.messages.nodes[0].file
    expect((await fetch(there.url + url)).status).toBe(200)
    await administration.removeToken('ben@example.com', String(id))
    for (const app of [here, there]) expect((await fetch(app.url + url)).status).toBe(401)
  })

  test('is none at a gateway with another key, nor after a bit was changed', async () => {
    await put(here, await createUpload(here, 'Ada'), 'hello')
    const url = await newestFile(here, 'Ada')
    const other = await startApp(testConfig(backend.url, { TICKET_KEY: key.toUpperCase() }))
    onTestFinished(other.close)
    const alone = await startApp(testConfig(backend.url))
    onTestFinished(alone.close)
    for (const app of [other, alone]) expect((await fetch(app.url + url)).status).toBe(404)
    const changed = url.replace(/^(\/files\/.{50})(.)/, (_, before: string, letter: string) => {
      return before + (letter === 'A' ? 'B' : 'A')
    })
    expect((await fetch(there.url + changed)).status).toBe(404)
  })
})

describe('the URL of an upload', () => {
  test('that one gateway made takes a file at another', async () => {
    const { status, json } = await put(there, await createUpload(here, 'Ada'), 'across')
    expect(status).toBe(201)
    expect(json.data.messageId).toEqual(expect.any(String))
    expect(await (await fetch(here.url + (await newestFile(here, 'Ada')))).text()).toBe('across')
  })

  test('makes one message, however often and at whichever gateways it is used', async () => {
    const files = async () =>
      (await backend.as('Ada')('GET', '/flows/example/main/messages?event=file&limit=100')).json.length
    const before = await files()
    const url = await createUpload(here, 'Ada')
    const sent = await Promise.all([put(here, url, 'once'), put(there, url, 'once'), put(there, url, 'once')])
    const ids = new Set(sent.map(({ json }) => json.data.messageId))
    expect(sent.map(({ status }) => status)).toEqual([201, 201, 201])
    expect(ids.size).toBe(1)
    expect(await files()).toBe(before + 1)
  })

  test('is refused at every gateway once its user was blocked', async () => {
    const path = await makeFlow('Uploading')
    const url = await createUpload(here, 'Ben', path)
    await backend.as('Ada')('PUT', `/flows/${path}/users/2`, { disabled: true })
    for (const app of [here, there]) expect((await put(app, url, 'late')).status).toBe(403)
  })
})

test('a stream ticket of one gateway opens an event stream at another', async () => {
  const { createStreamTicket } = await graphql(
    here,
    'Ada',
    'mutation { createStreamTicket(input: {}) { ... on CreateStreamTicketPayload { url } } }',
  )
  const query = `subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) {
    ... on MessageAdded { message { ... on ChatMessage { content } } } } }`
  const url = `${there.url}${createStreamTicket.url}&${new URLSearchParams({ query })}`
  const stream = await openRawStream(url, { accept: 'text/event-stream' })
  onTestFinished(stream.close)
  await eventually(() => there.state().live.groups.length === 1)
  await backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content: 'by ticket' })
  await stream.until(/data: .*by ticket/)
  expect((await fetch(url, { headers: { accept: 'text/event-stream' } })).status).toBe(401)
})

test('files are read from a backend whose public URL cannot be reached from the gateway', async () => {
  const SERVICE_TOKEN = 'a-service-token-of-forty-characters-....'
  const published = await startTestBackend({
    serviceTokens: [SERVICE_TOKEN],
    publicUrl: 'https://api.team.invalid',
  })
  onTestFinished(published.close)
  const gateway = await startApp(testConfig(published.url, { SERVICE_TOKEN }))
  onTestFinished(gateway.close)
  const content = { data: btoa('from inside'), file_name: 'a.txt', content_type: 'text/plain' }
  await published.as('Ada')('POST', '/flows/example/main/messages', { event: 'file', content })
  const query =
    '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { ... on FileMessage { file { url } } } } } }'
  const { data } = await post(gateway.url, { query }, await published.token('Ada'))
  const response = await fetch(gateway.url + data.flow.messages.nodes[0].file.url)
  expect([response.status, await response.text()]).toEqual([200, 'from inside'])
})

test('a backend counts nothing that gateways with its service token count, and sees the IP addresses of their clients', async () => {
  const SERVICE_TOKEN = 'a-service-token-of-forty-characters-....'
  const limited = await startTestBackend({
    serviceTokens: [SERVICE_TOKEN],
    traffic: { requestsPerMinute: 20, strangerRequestsPerMinute: 20 },
  })
  onTestFinished(limited.close)
  const gateway = await startApp(testConfig(limited.url, { SERVICE_TOKEN, TRUSTED_PROXIES: '1' }))
  onTestFinished(gateway.close)
  const stranger = await startApp(testConfig(limited.url))
  onTestFinished(stranger.close)
  const ask = async (app: App, authorization: string, address: string) => {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization, 'x-forwarded-for': address },
      body: JSON.stringify({ query: '{ viewer { nick } }' }),
    })
    const { errors } = await response.json()
    return errors?.[0].extensions.code
  }
  const ada = basic(await limited.token('Ada'))
  for (let count = 0; count < 30; count += 1) expect(await ask(gateway, ada, '192.0.2.1')).toBeUndefined()
  const refused: unknown[] = []
  for (let count = 0; count < 30; count += 1) refused.push(await ask(stranger, ada, '192.0.2.1'))
  expect(refused).toContain('RATE_LIMITED')

  // Guessed passwords count for the client that guesses, not for its gateway.
  const guess = (address: string) => ask(gateway, `Basic ${btoa('ben@example.com:wrong')}`, address)
  const outcomes: unknown[] = []
  for (let count = 0; count < 40 && !outcomes.includes('RATE_LIMITED'); count += 1)
    outcomes.push(await guess('192.0.2.2'))
  expect(outcomes.at(-1)).toBe('RATE_LIMITED')
  expect(await guess('192.0.2.3')).toBe('UNAUTHENTICATED')
})

test('gateways with SERVICE_TOKEN and no TICKET_KEY seal tickets with keys made from the token', async () => {
  const SERVICE_TOKEN = 'a-service-token-of-forty-characters-....'
  const [one, two] = await Promise.all([
    startApp(testConfig(backend.url, { SERVICE_TOKEN })),
    startApp(testConfig(backend.url, { SERVICE_TOKEN: `${'new-'.repeat(8)},${SERVICE_TOKEN}` })),
  ])
  onTestFinished(one.close)
  onTestFinished(two.close)
  expect((await put(two, await createUpload(one, 'Ada'), 'derived')).status).toBe(201)
})
