import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient as createSseClient } from 'graphql-sse'
import { createClient as createSocketClient } from 'graphql-ws'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { type App, startApp } from '../../src/app.ts'
import { liveMembers, testConfig } from '../support/app.ts'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'
import { type Balancer, startBalancer } from '../support/balancer.ts'
import { openRawStream } from '../support/stream.ts'

/* Two gateways behind a balancer that sends each request to the next of them, whatever client it is of. */

const TICKET_KEY = 'the-key-of-both-of-these-gateways'
const query = `subscription { messageAdded(input: { flows: [{ path: "example/main" }] }) {
  ... on MessageAdded { message { ... on ChatMessage { content } } } } }`

interface Pair {
  readonly backend: TestBackend
  readonly balancer: Balancer
  readonly gateways: readonly [App, App]
  readonly authorization: string
  say(content: string): Promise<unknown>
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function start(settings: (url: string) => Record<string, string>): Promise<Pair> {
  const backend = await startTestBackend()
  const startGateway = async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const own = { PORT: String(port), TRUSTED_PROXIES: '1', ALLOWED_HOSTS: '*', ...settings(url) }
    return startApp(testConfig(backend.url, own))
  }
  const gateways = [await startGateway(), await startGateway()] as const
  const balancer = await startBalancer(gateways.map(({ url }) => url))
  onTestFinished(async () => {
    for (const gateway of gateways) await gateway.close()
    await backend.close()
  })
  return {
    backend,
    balancer,
    gateways,
    authorization: basic(await backend.token('Ada')),
    say: (content) =>
      backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content }),
  }
}

const connected = (url: string) => ({ TICKET_KEY, INTERNAL_URL: url })
const members = ({ gateways }: Pair) => gateways.reduce((sum, gateway) => sum + liveMembers(gateway), 0)
const sseClient = ({ balancer, authorization }: Pair) =>
  createSseClient({
    ...{ url: `${balancer.url}/graphql`, singleConnection: true, headers: { authorization } },
    fetchFn: fetch,
  })
const added = (content: string) => ({ data: { messageAdded: { message: { content } } } })

test('the stock client of graphql-sse runs many operations over a single connection', async () => {
  const pair = await start(connected)
  const client = sseClient(pair)
  const live = client.iterate({ query })
  const next = live.next()
  await expect.poll(() => members(pair)).toBe(1)
  for (let count = 0; count < 10; count += 1) {
    const results = client.iterate({ query: '{ viewer { nick } }' })
    expect((await results.next()).value).toEqual({ data: { viewer: { nick: 'Ada' } } })
    expect((await results.next()).done).toBe(true)
  }
  await pair.say('over one connection')
  expect((await next).value).toEqual(added('over one connection'))
  // Requests of the stream reached both gateways, and one of them has it.
  expect(new Set(pair.balancer.routed).size).toBe(2)
  expect(pair.gateways.filter((gateway) => liveMembers(gateway) === 1)).toHaveLength(1)
  await live.return?.(undefined)
  await expect.poll(() => members(pair)).toBe(0)
  client.dispose()
  await expect
    .poll(() => pair.gateways.every((gateway) => gateway.state().streamingResponses === 0))
    .toBe(true)
})

test('when the gateway of the connection ends, the client begins again at another', async () => {
  const pair = await start(connected)
  const client = sseClient(pair)
  const received: unknown[] = []
  const unsubscribe = client.subscribe(
    { query },
    { next: (result) => received.push(result), error: () => undefined, complete: () => undefined },
  )
  await expect.poll(() => members(pair)).toBe(1)
  const owner = pair.gateways.find((gateway) => liveMembers(gateway) === 1) as App
  const other = pair.gateways.find((gateway) => gateway !== owner) as App
  pair.balancer.setTargets([other.url])
  await owner.close()
  await expect.poll(() => liveMembers(other)).toBe(1)
  await pair.say('at the other')
  await expect.poll(() => received).toContainEqual(added('at the other'))
  unsubscribe()
  client.dispose()
})

test('a stream that neither has is named as missing, and a request is forwarded once at most', async () => {
  const pair = await start(connected)
  const [one, two] = pair.gateways
  const token = await (await fetch(`${one.url}/graphql`, { method: 'PUT' })).text()
  const ask = async (gateway: App, headers: Record<string, string>) => {
    const response = await fetch(`${gateway.url}/graphql`, {
      method: 'DELETE',
      headers: { 'x-graphql-event-stream-token': token, ...headers },
    })
    return [response.status, (await response.json()).errors[0].message]
  }
  const noOperation = [404, 'There is no operation of this id on the stream']
  const noStream = [
    404,
    'The token names no event stream: PUT reserves one. A credential belongs in the header Authorization',
  ]
  expect(await ask(one, {})).toEqual(noOperation)
  expect(await ask(two, {})).toEqual(noOperation)
  expect(await ask(two, { 'x-gateway-hop': '1' })).toEqual(noStream)
  expect(await ask(two, { 'x-graphql-event-stream-token': `${token.slice(0, -1)}x` })).toEqual(noStream)
  await one.close()
  expect(await ask(two, {})).toEqual([
    404,
    'The gateway of this stream does not respond: PUT reserves another stream',
  ])
})

test('without INTERNAL_URL a stream is known at its gateway alone', async () => {
  const pair = await start(() => ({ TICKET_KEY }))
  const [one, two] = pair.gateways
  const token = await (await fetch(`${one.url}/graphql`, { method: 'PUT' })).text()
  expect(token).toMatch(/^[\w-]{32}$/)
  const response = await fetch(`${two.url}/graphql?token=${token}`, {
    headers: { accept: 'text/event-stream' },
  })
  expect(response.status).toBe(404)
})

test('a document that another gateway registered is asked for once more, with its text, and then known', async () => {
  const pair = await start(connected)
  const document = '{ viewer { nick name } }'
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(document))
  const sha256Hash = Buffer.from(hash).toString('hex')
  const extensions = { persistedQuery: { version: 1, sha256Hash } }
  const ask = async (gateway: App, body: object) => {
    const response = await fetch(`${gateway.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: pair.authorization },
      body: JSON.stringify(body),
    })
    return (await response.json()) as { data?: unknown; errors?: { extensions: { code: string } }[] }
  }
  const [one, two] = pair.gateways
  expect((await ask(one, { query: document, extensions })).data).toBeDefined()
  expect((await ask(one, { extensions })).data).toBeDefined()
  expect((await ask(two, { extensions })).errors?.[0]?.extensions.code).toBe('PERSISTED_QUERY_NOT_FOUND')
  expect((await ask(two, { query: document, extensions })).data).toBeDefined()
  expect((await ask(two, { extensions })).data).toBeDefined()
})

test('sockets and event streams stay at the gateway that they came to', async () => {
  const pair = await start(connected)
  const sockets = Array.from({ length: 4 }, () =>
    createSocketClient({
      url: `${pair.balancer.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: pair.authorization },
    }),
  )
  const results = sockets.map((socket) => socket.iterate({ query }))
  const next = results.map((result) => result.next())
  const url = `${pair.balancer.url}/graphql?${new URLSearchParams({ query })}`
  const streams = await Promise.all(
    Array.from({ length: 4 }, () =>
      openRawStream(url, { accept: 'text/event-stream', authorization: pair.authorization }),
    ),
  )
  await expect.poll(() => pair.gateways.map(liveMembers)).toEqual([4, 4])
  await pair.say('to all')
  for (const result of next) expect((await result).value).toEqual(added('to all'))
  for (const stream of streams) {
    await stream.until(/data: .*to all/)
    stream.close()
  }
  for (const socket of sockets) await socket.dispose()
})

test('a change without an event is in the next response of the other gateway when the request names it', async () => {
  const pair = await start((url) => ({ ...connected(url), RESPONSE_CACHE_SECONDS: '60' }))
  const [one, two] = pair.gateways
  const ask = async (gateway: App, document: string, extensions = {}) => {
    const response = await fetch(`${gateway.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: pair.authorization },
      body: JSON.stringify({ query: document, extensions }),
    })
    return response.json()
  }
  const cached = (gateway: App) => gateway.state().responseCache?.hits ?? 0
  const read = '{ organizations { nodes { id name } } }'
  // Until its stream is open, the other gateway caches nothing.
  await expect.poll(async () => ((await ask(two, read)) as object) && cached(two)).toBeGreaterThan(0)
  const { id } = (await ask(two, read)).data.organizations.nodes[0]
  const rename = (name: string) =>
    ask(
      one,
      `mutation { updateOrganization(input: { organizationId: "${id}", name: "${name}" }) { __typename } }`,
      { changeId: true },
    )
  const { data, extensions } = await rename('Renamed')
  expect(data.updateOrganization.__typename).toBe('UpdateOrganizationPayload')
  expect(extensions).toEqual({ changeId: expect.stringMatching(/^[\w-]{16}$/) })
  const name = async (more = {}) => (await ask(two, read, more)).data.organizations.nodes[0].name
  expect(await name(extensions)).toBe('Renamed')
  const before = cached(two)
  await expect
    .poll(async () => ((await name(extensions)) === 'Renamed' ? cached(two) : 0))
    .toBeGreaterThan(before)
  expect(await ask(two, read, { changeId: null })).toMatchObject({ data: { organizations: {} } })
  expect((await ask(two, read, { changeId: 'no id' })).errors[0].extensions.code).toBe('BAD_USER_INPUT')
})
