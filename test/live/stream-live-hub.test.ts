import { expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { eventually, liveMembers, openSubscription, socketClient, testConfig } from '../support/app.ts'
import { type Nick, startTestBackend } from '../support/backend.ts'
import { serviceToken } from '../support/service-token.ts'

const query = `subscription ($flows: [FlowBy!], $isPrivate: Boolean!) { flowEvents(input: { flows: $flows, includePrivate: $isPrivate, includeStatus: true }) {
  __typename cursor ... on StreamStatus { state } ... on MessageAdded { message { ... on ChatMessage { content } } } } }`

async function start({ backendTokens = [serviceToken], token = serviceToken } = {}) {
  const backend = await startTestBackend({ serviceTokens: backendTokens })
  onTestFinished(backend.close)
  const calls: string[] = []
  const app = await startApp(testConfig(backend.url, { SERVICE_TOKEN: token }), {
    log: createLogger('silent'),
    onUpstreamCall: ({ url }) => calls.push(new URL(url).pathname),
  })
  onTestFinished(app.close)
  async function listen(nick: Nick, variables: object = {}) {
    const client = socketClient(app.url, await backend.token(nick))
    const subscription = openSubscription(client, query, { isPrivate: false, ...variables })
    onTestFinished(subscription.close)
    return {
      async next() {
        const result = await subscription.next()
        return result?.errors?.[0]?.extensions ?? result?.data?.flowEvents
      },
    }
  }
  return {
    ...{ app, backend, calls, listen },
    say: (content: string, flow = 'main') =>
      backend.as('Ada')('POST', `/flows/example/${flow}/messages`, { event: 'message', content }),
  }
}

test('one stream serves all principals, each of whom is proved once', async () => {
  const { app, calls, listen, say } = await start()
  const readers = await Promise.all((['Ada', 'Ben', 'Cleo', 'Ada'] as const).map((nick) => listen(nick)))
  for (const reader of readers) expect(await reader.next()).toMatchObject({ state: 'LIVE' })
  await eventually(() => liveMembers(app) === 4)
  await say('to all')
  for (const reader of readers) expect(await reader.next()).toMatchObject({ message: { content: 'to all' } })
  expect(app.openStreams).toBe(1)
  expect(calls.filter((path) => path === '/service/v1/stream')).toHaveLength(1)
  expect(calls.filter((path) => path === '/service/v1/entitlement')).toHaveLength(3)
  expect(calls.filter((path) => path.startsWith('/stream'))).toEqual([])
})

test('a subscription that says how its stream is says first after which event it is live', async () => {
  const { listen, say } = await start()
  await say('before')
  const reader = await listen('Ben')
  const { __typename, state, cursor } = await reader.next()
  expect({ __typename, state }).toEqual({ __typename: 'StreamStatus', state: 'LIVE' })
  await say('after')
  const event = await reader.next()
  expect(event.message.content).toBe('after')
  expect(Number(event.cursor.split('~')[0])).toBe(Number(cursor) + 1)
})

test('a user who joins a flow receives later events, and a user who is blocked none after the event that says so', async () => {
  const { app, backend, listen, say } = await start()
  const reader = await listen('Ben', { isPrivate: true })
  await reader.next()
  await eventually(() => liveMembers(app) === 1)
  const ada = backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'New' })
  await say('before Ben is in it', 'new')
  await ada('POST', '/flows/example/new/users', { id: 2 })
  await say('while Ben is in it', 'new')
  await ada('PUT', '/flows/example/new/users/2', { disabled: true })
  await say('after Ben was in it', 'new')
  await say('elsewhere')
  const received: string[] = []
  for (let event = await reader.next(); received.at(-1) !== 'elsewhere'; event = await reader.next()) {
    received.push(event.message?.content ?? event.__typename)
    if (received.at(-1) === 'elsewhere') break
  }
  // Joining is an action message, too.
  expect(received.filter((each) => !['MemberJoined', 'MessageAdded'].includes(each))).toEqual([
    ...['FlowAdded', 'while Ben is in it', 'MemberBlocked', 'FlowRemoved', 'elsewhere'],
  ])
})

test('an upstream without the service interface serves a stream for each principal', async () => {
  const { app, calls, listen, say } = await start({ backendTokens: [] })
  const readers = await Promise.all((['Ada', 'Ben'] as const).map((nick) => listen(nick)))
  for (const reader of readers) expect(await reader.next()).toMatchObject({ state: 'LIVE' })
  await eventually(() => liveMembers(app) === 2)
  await say('to both')
  for (const reader of readers) expect(await reader.next()).toMatchObject({ message: { content: 'to both' } })
  expect(app.openStreams).toBe(2)
  expect(calls.filter((path) => path === '/service/v1/stream')).toHaveLength(1)
})

test('a subscription that cannot begin within ten seconds closes its socket with 1013, and its client comes back', async () => {
  const { app, backend } = await start({ token: 'x'.repeat(32) })
  const client = socketClient(app.url, await backend.token('Ada'))
  const closed = Promise.withResolvers<unknown>()
  client.on('closed', closed.resolve)
  const subscription = openSubscription(client, query, { isPrivate: false })
  await expect(subscription.next()).rejects.toMatchObject({ code: 1013 })
  expect(await closed.promise).toMatchObject({ code: 1013, reason: 'OVERLOADED: try again later' })
  expect(app.openStreams).toBe(0)
})
