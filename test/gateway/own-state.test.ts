import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import { openSubscription, post, socketClient, testConfig } from '../support/app.ts'
import { startTestBackend, type TestBackend } from '../support/backend.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

/* What each of two gateways counts and measures for itself, and what is the same at both. */

let backend: TestBackend

beforeAll(async () => {
  backend = await startTestBackend()
})
afterAll(() => backend.close())

async function startTwo(url: string, settings = {}): Promise<[App, App]> {
  const gateways: [App, App] = [
    await startApp(testConfig(url, settings)),
    await startApp(testConfig(url, settings)),
  ]
  for (const gateway of gateways) onTestFinished(gateway.close)
  return gateways
}

const codeOf = async ({ url }: App, query = '{ viewer { nick } }') =>
  (await post(url, { query }, await backend.token('Ada'))).errors?.[0]?.extensions?.['code']

test('each gateway counts limits for itself', async () => {
  const gateways = await startTwo(backend.url, { CALLS_PER_MINUTE: '3' })
  for (const gateway of gateways) {
    for (let call = 0; call < 3; call += 1) expect(await codeOf(gateway)).toBeUndefined()
    expect(await codeOf(gateway)).toBe('RATE_LIMITED')
  }
})

test('each gateway measures the upstream for itself: the breaker of one opens, and the other goes on reading', async () => {
  const upstream = await startScriptedUpstream((_, response) => answerJson(response, 500, {}))
  const [here, there] = await startTwo(upstream.url)
  await expect
    .poll(async () => (await codeOf(here)) && here.state().upstream.openBreakers.length)
    .toBeGreaterThan(0)
  expect(there.state().upstream.openBreakers).toEqual([])
  const before = upstream.requests.length
  await codeOf(there)
  expect(upstream.requests.length).toBeGreaterThan(before)
})

test('each gateway has metrics of its own', async () => {
  const [here, there] = await startTwo(backend.url)
  for (let count = 0; count < 3; count += 1) await codeOf(here, 'query Mine { viewer { nick } }')
  const counted = async ({ url }: App) => {
    const text = await (await fetch(`${url}/metrics`)).text()
    return /^flowdock_gateway_operations_total{.*name="Mine".*} (\d+)$/m.exec(text)?.[1]
  }
  expect([await counted(here), await counted(there)]).toEqual(['3', undefined])
})

test('a cursor of one gateway resumes a subscription at another', async () => {
  const [here, there] = await startTwo(backend.url)
  const token = await backend.token('Ada')
  const query = `subscription ($after: String) {
    flowEvents(input: { flows: [{ path: "example/main" }], after: $after, includeStatus: true }) {
      __typename cursor ... on MessageAdded { message { ... on ChatMessage { content } } } } }`
  const open = (gateway: App, after?: string) =>
    openSubscription(socketClient(gateway.url, token), query, after === undefined ? {} : { after })
  const say = async (content: string) =>
    backend.as('Ben')('POST', '/flows/example/main/messages', { event: 'message', content })
  const first = open(here)
  expect((await first.next())?.data?.flowEvents.__typename).toBe('StreamStatus')
  await say('one')
  let cursor = ''
  while (cursor === '') {
    const event = (await first.next())?.data?.flowEvents
    if (event.message?.content === 'one') cursor = event.cursor
  }
  await first.close()
  await say('two')
  await say('three')
  const second = open(there, cursor)
  const contents: string[] = []
  while (contents.length < 2) {
    const event = (await second.next())?.data?.flowEvents
    expect(['MessageAdded', 'StreamStatus']).toContain(event.__typename)
    if (event.message !== undefined) contents.push(event.message.content)
  }
  expect(contents).toEqual(['two', 'three'])
  await second.close()
})
