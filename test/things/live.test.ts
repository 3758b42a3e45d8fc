import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { eventually, openSubscription, type Subscription } from '../support/app.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { aliceHeaders, startThingsApp, type ThingsApp } from '../support/things-app.ts'

let app: ThingsApp
let flows = 0

beforeAll(async () => {
  app = await startThingsApp()
})
afterAll(() => app.close())

const query = `subscription ($input: DropAddedInput!) { dropAdded(input: $input) { __typename cursor
  ... on DropAdded { drop { id: databaseId path json version thingsFlow { path } } } ... on DropGap { reason thingsFlow { path } } } }`

async function makeFlow(members: object = {}): Promise<{ id: string; path: string }> {
  flows += 1
  return app.direct('POST', '/flow', { path: `/alice/live-${flows}`, ...members })
}
const write = (flow: { id: string }, value: unknown, more: object = {}) =>
  app.direct('POST', `/drop/${flow.id}`, { elems: { value }, ...more })

function subscribe(input: object, headers: Record<string, string> = aliceHeaders, url = app.url) {
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: headers,
  })
  const subscription = openSubscription(client, query, { input })
  onTestFinished(() => subscription.close())
  return subscription
}

/** Subscribes, and writes to the flow until the first drop is delivered: the subscription is live then. */
async function goLive(flow: { id: string }, input: object, gateway = app): Promise<Subscription> {
  const subscription = subscribe(input, aliceHeaders, gateway.url)
  const first = subscription.next()
  let isLive = false
  void first.then(() => {
    isLive = true
  })
  await eventually(async () => {
    if (!isLive) await write(flow, 'probe')
    return isLive
  })
  const received = await first
  expect(received?.errors).toBeUndefined()
  // Further probes may have arrived.
  const marker = await write(flow, 'marker')
  for (;;) {
    const next = (await subscription.next())?.data.dropAdded
    if (next.drop.id === marker.id) return subscription
  }
}
const event = async (subscription: Subscription) => {
  const result = await subscription.next()
  expect(result?.errors).toBeUndefined()
  return result?.data.dropAdded
}

test('drops are delivered as they arrive, in order, over one upstream socket for all subscriptions', async () => {
  const flow = await makeFlow()
  const by = { flows: [{ path: flow.path }] }
  const [a, b] = [await goLive(flow, by), await goLive(flow, by)]
  expect(app.dropSockets).toBe(1)
  // What made the second one live was delivered to the first, too.
  const marker = await write(flow, 'both')
  for (let next = await event(a); next.drop.id !== marker.id; ) next = await event(a)
  expect((await event(b)).drop.id).toBe(marker.id)
  for (let value = 0; value < 20; value += 1) await write(flow, value)
  for (const subscription of [a, b])
    for (let value = 0; value < 20; value += 1)
      expect(await event(subscription)).toMatchObject({
        __typename: 'DropAdded',
        drop: { path: flow.path, json: { value }, thingsFlow: { path: flow.path } },
      })
  await Promise.all([a.close(), b.close()])
  await eventually(() => app.dropSockets === 0)
})

test('a subscription continues after a cursor without loss and repeat', async () => {
  const flow = await makeFlow()
  const input = { flows: [{ databaseId: flow.id }] }
  const subscription = await goLive(flow, input)
  await write(flow, 1)
  const { cursor } = await event(subscription)
  await subscription.close()
  for (const value of [2, 3, 4]) await write(flow, value)
  await write(flow, 'a', { fhash: 'key' })
  const replaced = await write(flow, 'b', { fhash: 'key' })
  const resumed = subscribe({ ...input, after: cursor })
  const events = [await event(resumed), await event(resumed), await event(resumed), await event(resumed)]
  expect(events.map(({ drop }) => drop.json.value)).toEqual([2, 3, 4, 'b'])
  expect(events[3].drop).toMatchObject({ id: replaced.id, version: 1 })
  await write(flow, 5)
  expect((await event(resumed)).drop.json.value).toBe(5)
})

test('a flow that was full, and one that stores nothing, tell a gap', async () => {
  const [full, unstored] = [await makeFlow({ capacity: 3 }), await makeFlow({ capacity: 0 })]
  const input = { flows: [{ path: full.path }, { path: unstored.path }] }
  const subscription = await goLive(full, input)
  await write(full, 0)
  const { cursor } = await event(subscription)
  await subscription.close()
  for (const value of [1, 2, 3, 4, 5]) await write(full, value)
  const resumed = subscribe({ ...input, after: cursor })
  expect(await event(resumed)).toMatchObject({ reason: 'NOT_STORED', thingsFlow: { path: unstored.path } })
  expect(await event(resumed)).toMatchObject({ reason: 'EVICTED', thingsFlow: { path: full.path } })
  for (const value of [3, 4, 5]) expect((await event(resumed)).drop.json.value).toBe(value)
  await write(unstored, 'passing')
  expect((await event(resumed)).drop.json.value).toBe('passing')
})

test('a filter selects drops, live and after a cursor', async () => {
  const flow = await makeFlow()
  const filter = { compare: { member: 'elems.value', comparison: 'AT_LEAST', value: 10 } }
  const all = await goLive(flow, { flows: [{ path: flow.path }] })
  await write(flow, 0)
  const { cursor } = await event(all)
  for (const value of [5, 11, 7, 12]) await write(flow, value)
  const filtered = subscribe({ flows: [{ path: flow.path }], filter, after: cursor })
  expect((await event(filtered)).drop.json.value).toBe(11)
  expect((await event(filtered)).drop.json.value).toBe(12)
  for (const value of [1, 13, 2, 14]) await write(flow, value)
  expect((await event(filtered)).drop.json.value).toBe(13)
  expect((await event(filtered)).drop.json.value).toBe(14)
})

test('the lost upstream socket is opened again, and what was missed is delivered once', async () => {
  const server = new URL(app.backend.things?.url ?? '')
  const proxy = await startFaultProxy(server.href, () => 0)
  const other = await startThingsApp({
    settings: { FLOWTHINGS_API_URL: server.href.replace(/\/$/, ''), FLOWTHINGS_WS_URL: proxy.url },
  })
  onTestFinished(async () => {
    await other.close()
    await proxy.close()
  })
  const flow = await makeFlow()
  const subscription = await goLive(flow, { flows: [{ path: flow.path }] }, other)
  while (proxy.cut());
  for (let value = 0; value < 5; value += 1) await write(flow, value)
  for (let value = 0; value < 5; value += 1) expect((await event(subscription)).drop.json.value).toBe(value)
  await write(flow, 'after')
  expect((await event(subscription)).drop.json.value).toBe('after')
})

test('over SSE each event has its cursor as id, and Last-Event-ID resumes', async () => {
  const flow = await makeFlow()
  const subscription = await goLive(flow, { flows: [{ path: flow.path }] })
  await write(flow, 1)
  const { cursor } = await event(subscription)
  for (const value of [2, 3]) await write(flow, value)
  const leaving = new AbortController()
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      ...aliceHeaders,
      ...{ accept: 'text/event-stream', 'content-type': 'application/json', 'last-event-id': cursor },
    },
    body: JSON.stringify({ query, variables: { input: { flows: [{ path: flow.path }] } } }),
    signal: leaving.signal,
  })
  let text = ''
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  while ((text.match(/^event: next$/gm) ?? []).length < 2) text += (await reader?.read())?.value ?? ''
  leaving.abort()
  expect(text.match(/"value":\d/g)).toEqual(['"value":2', '"value":3'])
  expect(text.match(/^id: .+$/gm)).toHaveLength(2)
})

test('what cannot be subscribed to is refused', async () => {
  const flow = await makeFlow()
  const refusal = async (input: object, headers?: Record<string, string>) => {
    const subscription = subscribe(input, headers)
    try {
      return (await subscription.next())?.errors?.[0]?.extensions['code']
    } catch (errors) {
      return (errors as { extensions: { code: string } }[])[0]?.extensions.code
    }
  }
  expect(await refusal({ flows: [{ path: '/alice/none' }] })).toBe('NOT_FOUND')
  expect(await refusal({ flows: [] })).toBe('BAD_USER_INPUT')
  expect(await refusal({ flows: [{ path: flow.path }], after: 'x' })).toBe('BAD_USER_INPUT')
  expect(await refusal({ flows: [{ path: flow.path }], filter: { exists: 'a b' } })).toBe('BAD_USER_INPUT')
  expect(await refusal({ flows: [{ path: flow.path }] }, {})).toBe('UNAUTHENTICATED')
  const wrong = { 'X-Auth-Account': 'alice', 'X-Auth-Token': 'x'.repeat(32) }
  expect(await refusal({ flows: [{ path: flow.path }] }, wrong)).toBe('FORBIDDEN')
})

test('a filter that the upstream cannot read is refused when the subscription begins', async () => {
  const flow = await makeFlow()
  const filter = { matches: { member: 'value', pattern: '(?=ahead)' } }
  const refused = await subscribe({ flows: [{ path: flow.path }], filter })
    .next()
    .catch((errors: unknown) => ({ errors }))
  expect(refused).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] })
})

test('a flow that is deleted ends its subscriptions, and no others', async () => {
  const [flow, other] = [await makeFlow(), await makeFlow()]
  const ended = await goLive(flow, { flows: [{ path: flow.path }, { path: other.path }] })
  const goesOn = await goLive(other, { flows: [{ path: other.path }] })
  const { data } = await app.asAlice(
    'mutation ($input: DeleteThingsFlowInput!) { deleteThingsFlow(input: $input) { __typename } }',
    { input: { flowId: Buffer.from(`ThingsFlow:${flow.id}`).toString('base64url') } },
  )
  expect(data.deleteThingsFlow).toEqual({ __typename: 'DeleteThingsFlowPayload' })
  for (;;) {
    const result = await ended.next()
    if (result?.errors === undefined) continue
    expect(result.errors[0]).toMatchObject({ extensions: { code: 'NOT_FOUND' } })
    expect(result.errors[0]?.message).toContain('deleted')
    break
  }
  await write(other, 'still here')
  expect((await event(goesOn)).drop.json.value).toBe('still here')
})

test('a token that is deleted ends its subscriptions', async () => {
  const flow = await makeFlow()
  const token = await app.direct('POST', '/token', { paths: { [flow.path]: { dropRead: true } } })
  const headers = { 'X-Auth-Account': 'alice', 'X-Auth-Token': token.tokenString }
  const subscription = subscribe({ flows: [{ databaseId: flow.id }] }, headers)
  const first = subscription.next()
  let isLive = false
  void first.then(() => {
    isLive = true
  })
  await eventually(async () => {
    if (!isLive) await write(flow, 'probe')
    return isLive
  })
  await app.direct('DELETE', `/token/${token.id}`)
  for (;;) {
    const result = await subscription.next()
    if (result?.errors === undefined) continue
    expect(result.errors[0]?.extensions['code']).toBe('FORBIDDEN')
    break
  }
})
