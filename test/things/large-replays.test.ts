import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { openSubscription } from '../support/app.ts'
import { aliceHeaders, startThingsApp, type ThingsApp } from '../support/things-app.ts'

let app: ThingsApp

beforeAll(async () => {
  app = await startThingsApp()
})
afterAll(() => app.close())

function subscribe(input: object) {
  const client = createClient({
    url: `${app.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: aliceHeaders,
  })
  const query = `subscription ($input: DropAddedInput!) {
    dropAdded(input: $input) { __typename ... on DropAdded { drop { path element(path: "n") { json } } } } }`
  const subscription = openSubscription(client, query, { input })
  onTestFinished(() => subscription.close())
  return subscription
}

/** A cursor before all drops. */
const beginning = Buffer.from('drop:0~').toString('base64url')

async function makeFlow(path: string, count: number, more: object = {}): Promise<void> {
  const { id } = await app.direct('POST', '/flow', { path })
  for (let n = 0; n < count; n += 1) await app.direct('POST', `/drop/${id}`, { elems: { n, ...more } })
}

async function receive(input: object, count: number): Promise<unknown[]> {
  const subscription = subscribe(input)
  const received = []
  for (let n = 0; n < count; n += 1) {
    const result = await subscription.next()
    expect(result?.errors).toBeUndefined()
    received.push(result?.data.dropAdded.drop)
  }
  return received
}
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

test('a resumed subscription receives drops that are longer together than a response of the upstream', async () => {
  const path = '/alice/large'
  await makeFlow(path, 90, { text: 'x'.repeat(220_000) })
  const received = await receive({ flows: [{ path }], after: beginning }, 90)
  expect(received).toEqual(numbers(90).map((n) => ({ path, element: { json: n } })))
})

test('a long filter selects more drops than their ids fit beside it', async () => {
  const path = '/alice/filtered'
  await makeFlow(path, 200)
  const texts = numbers(120).map((n) => `${'x'.repeat(90)}${n}`)
  const filter = { or: [{ in: { member: 'text', values: texts } }, { exists: 'n' }] }
  const received = await receive({ flows: [{ path }], filter, after: beginning }, 200)
  expect(received).toEqual(numbers(200).map((n) => ({ path, element: { json: n } })))
})

test('a filter that leaves no room for ids of drops is refused when the subscription begins', async () => {
  const path = '/alice/refused'
  await makeFlow(path, 0)
  const filter = { in: { member: 'text', values: ['x'.repeat(15_500)] } }
  const [error] = (await subscribe({ flows: [{ path }], filter }).next())?.errors ?? []
  expect(error).toMatchObject({
    message: 'Expected input.filter to have at most 15000 characters as a text',
    extensions: { code: 'BAD_USER_INPUT' },
  })
})

test('a subscription names 150 flows by long paths', async () => {
  const paths = numbers(150).map((n) => `/alice/${String(n).padStart(70, 'p')}`)
  for (const path of paths) await app.direct('POST', '/flow', { path })
  await app.direct('POST', '/drop', { path: paths[149], elems: { n: 149 } })
  const input = { flows: paths.map((path) => ({ path })), after: beginning }
  expect(await receive(input, 1)).toEqual([{ path: paths[149], element: { json: 149 } }])
})
