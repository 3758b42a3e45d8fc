import { once } from 'node:events'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { basic } from '../support/backend.ts'
import { aliceHeaders, startThingsApp, type ThingsApp } from '../support/things-app.ts'

/* JavaScript numbers are doubles. A whole number that would lose digits is refused, and not stored with other digits. */

let app: ThingsApp
beforeAll(async () => {
  app = await startThingsApp()
  await app.direct('POST', '/flow', { path: '/alice/exact' })
})
afterAll(() => app.close())

const long = '9007199254740993'
const mutation = `mutation ($elements: JSON!) {
  createDrop(input: { flow: { path: "/alice/exact" }, elements: $elements }) { ... on DropPayload { drop { json } } ... on UserError { message } } }`
const refusal = {
  message: expect.stringContaining(`got ${long}, which would lose digits; send it as text`),
  extensions: { code: 'BAD_USER_INPUT' },
}
const body = (value: string) =>
  `{"query":${JSON.stringify(mutation)},"variables":{"elements":{"deep":[{"n":${value}}]}}}`
const json = { ...aliceHeaders, 'content-type': 'application/json' }
const post = async (text: string | FormData, headers: Record<string, string> = json) =>
  (await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: text })).json()

test('in a document', async () => {
  for (const elements of [`{ n: ${long} }`, `{ deep: [1, { n: ${long} }] }`]) {
    const document = mutation.replace('($elements: JSON!)', '').replace('$elements', elements)
    expect((await app.asAlice(document)).errors).toMatchObject([refusal])
  }
})

test('in the variables of POST, of GET and of a request with files', async () => {
  expect(await post(body(long))).toMatchObject({ errors: [refusal] })
  const url = new URL(`${app.url}/graphql`)
  url.searchParams.set(
    'query',
    'query ($filter: ThingsFilter) { thingsFlows(first: 1, filter: $filter) { nodes { id } } }',
  )
  url.searchParams.set(
    'variables',
    `{"filter":{"compare":{"member":"a","comparison":"EQUAL","value":${long}}}}`,
  )
  expect(await (await fetch(url, { headers: aliceHeaders })).json()).toMatchObject({ errors: [refusal] })
  const filesHeaders = { ...aliceHeaders, authorization: basic(await app.backend.token('Ada')) }
  const form = new FormData()
  form.append('operations', body(long))
  form.append('map', '{}')
  expect(await post(form, { ...filesHeaders, 'apollo-require-preflight': '1' })).toMatchObject({
    errors: [refusal],
  })
})

test('in the variables of an operation on a socket, which stays open', async () => {
  const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  const ask = async (message: string) => {
    socket.send(message)
    return JSON.parse(String((await once(socket, 'message'))[0]))
  }
  await ask(JSON.stringify({ type: 'connection_init', payload: aliceHeaders }))
  expect(await ask(`{"type":"subscribe","id":"a","payload":${body(long)}}`)).toMatchObject({
    ...{ type: 'error', id: 'a' },
    payload: [refusal],
  })
  expect(await ask(`{"type":"subscribe","id":"b","payload":${body('1')}}`)).toMatchObject({
    ...{ type: 'next', id: 'b' },
    payload: { data: { createDrop: { drop: { json: { deep: [{ n: 1 }] } } } } },
  })
})

test('numbers that are too large for a double are refused, too', async () => {
  const tooLarge = [{ message: expect.stringContaining('got 1e400'), extensions: { code: 'BAD_USER_INPUT' } }]
  expect(await post(body('1e400'))).toMatchObject({ errors: tooLarge })
  const document = mutation.replace('($elements: JSON!)', '').replace('$elements', '{ n: 1e400 }')
  expect((await app.asAlice(document)).errors).toMatchObject(tooLarge)
})

test('numbers that keep their digits are not, and neither are those outside of variables', async () => {
  for (const value of ['9007199254740991', '9223372036854775808', '1234567890.12345678', '1e300'])
    expect(await post(body(value))).toMatchObject({
      data: { createDrop: { drop: { json: { deep: [{ n: Number(value) }] } } } },
    })
  const elsewhere = body('1').replace('{', `{"extensions":{"at":${long}},`)
  expect(await post(elsewhere)).toMatchObject({
    data: { createDrop: { drop: { json: { deep: [{ n: 1 }] } } } },
  })
})

test('a long element can be sent as text', async () => {
  const document = mutation
    .replace('($elements: JSON!)', '')
    .replace('$elements', `{ n: { type: "long", value: "${long}" } }`)
  expect((await app.asAlice(document)).errors).toBeUndefined()
  const drops = await app.direct('GET', '/drop?path=/alice/exact&limit=1')
  expect(drops[0].elems.n.type).toBe('long')
})
