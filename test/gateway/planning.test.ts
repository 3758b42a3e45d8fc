import type { ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createFlowdock } from '../../src/upstream/flowdock/index.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { startTestApp } from '../support/app.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

const organization = { id: 1, parameterized_name: 'acme', name: 'Acme' }
const ada = { id: 1, nick: 'Ada', name: 'Ada Byron', email: 'ada@example.com' }
const flow = { id: 'f', name: 'F', parameterized_name: 'f', organization, joined: true, users: [ada] }
const message = { event: 'message', flow: 'f', id: 1, sent: 1, user: '1', tags: [], content: 'hello' }

/** An upstream that answers for the flow only when its messages were asked for as well, and the other way round. */
async function start(hasFlow = true) {
  const waiting: ServerResponse[] = []
  const upstream = await startScriptedUpstream((_, response) => {
    waiting.push(response)
    if (waiting.length < 2) return
    for (const each of waiting.splice(0)) {
      const isList = each.req.url?.includes('/messages') === true
      if (hasFlow) answerJson(each, 200, isList ? [message] : flow)
      else answerJson(each, 404, { message: 'not found' })
    }
  })
  const app = await startTestApp({ upstreamUrl: upstream.url })
  onTestFinished(app.close)
  return { app, upstream }
}

const answer = { data: { flow: { name: 'F', messages: { nodes: [{ author: { name: 'Ada Byron' } }] } } } }

test.each([
  ['', '{ flow(by: { path: "acme/f" }) { name messages(last: 10) { nodes { author { name } } } } }', {}],
  [
    'with variables',
    'query ($by: FlowBy!, $n: Int) { flow(by: $by) { name messages(first: $n) { nodes { author { name } } } } }',
    { by: { path: 'acme/f' }, n: 100 },
  ],
  [
    'in fragments',
    '{ flow(by: { path: "acme/f" }) { ...F } } fragment F on Flow { name ... on Flow { messages { nodes { author { name } } } } }',
    {},
  ],
])('a flow and its messages are asked for together, in two calls %s', async (_, query, variables) => {
  const { app, upstream } = await start()
  // Interpreted, and then compiled.
  for (let count = 1; count <= 3; count += 1) {
    expect(await app.graphql('Ada', query, variables)).toEqual(answer)
    expect(upstream.requests).toHaveLength(count * 2)
  }
})

test('a flow that is not there has no messages, and that is no error', async () => {
  const { app } = await start(false)
  const query = '{ flow(by: { path: "acme/f" }) { messages { nodes { id } } } }'
  expect(await app.graphql('Ada', query)).toEqual({ data: { flow: null } })
})

test('lists that may be skipped, or begin after a cursor, are not requested before the flow is read', async () => {
  const upstream = await startScriptedUpstream(({ url }, response) =>
    answerJson(response, 200, url?.includes('/messages') ? [message] : flow),
  )
  const app = await startTestApp({ upstreamUrl: upstream.url })
  onTestFinished(app.close)
  await app.graphql(
    'Ada',
    'query ($wanted: Boolean!) { flow(by: { path: "acme/f" }) { name messages @include(if: $wanted) { nodes { id } } } }',
    { wanted: false },
  )
  expect(upstream.requests).toHaveLength(1)
  const { errors } = await app.graphql(
    'Ada',
    '{ flow(by: { path: "acme/f" }) { messages(first: 1, after: "nonsense") { nodes { id } } } }',
  )
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
  expect(upstream.requests).toHaveLength(2)
  const tooMany = await app.graphql(
    'Ada',
    '{ flow(by: { path: "acme/f" }) { messages(first: 101) { nodes { id } } } }',
  )
  expect(tooMany.errors).toMatchObject([
    { path: ['flow', 'messages'], extensions: { code: 'BAD_USER_INPUT' } },
  ])
  expect(upstream.requests).toHaveLength(3)
})

const twoFlows =
  '{ f: flow(by: { path: "acme/f" }) { messages { nodes { author { name } } } } g: flow(by: { path: "acme/g" }) { messages { nodes { author { name } } } } }'

test('several flows, their messages and the authors are asked for together', async () => {
  const waiting: ServerResponse[] = []
  const upstream = await startScriptedUpstream((_, response) => {
    waiting.push(response)
    if (waiting.length < 4) return
    for (const each of waiting.splice(0)) {
      const url = each.req.url ?? ''
      if (url.includes('/messages')) answerJson(each, 200, [message])
      else if (url === '/users') answerJson(each, 200, [ada])
      else answerJson(each, 200, [flow, { ...flow, id: 'g', parameterized_name: 'g' }].map(withoutUsers))
    }
  })
  const app = await startTestApp({ upstreamUrl: upstream.url })
  onTestFinished(app.close)
  const messages = { nodes: [{ author: { name: 'Ada Byron' } }] }
  for (let count = 1; count <= 3; count += 1) {
    expect(await app.graphql('Ada', twoFlows)).toEqual({ data: { f: { messages }, g: { messages } } })
    expect(upstream.requests).toHaveLength(count * 4)
  }
})

test('authors are read once for all messages, also when that fails, and only where they are selected', async () => {
  const upstream = await startScriptedUpstream(({ url = '' }, response) => {
    if (url.includes('/messages')) answerJson(response, 200, [message])
    else if (url === '/users') answerJson(response, 403, { message: 'Access denied' })
    else answerJson(response, 200, [flow, { ...flow, id: 'g', parameterized_name: 'g' }].map(withoutUsers))
  })
  const app = await startTestApp({ upstreamUrl: upstream.url })
  onTestFinished(app.close)
  const { errors } = await app.graphql('Ada', twoFlows)
  expect(errors?.map(({ path, extensions }) => [path?.[0], extensions?.['code']]).sort()).toEqual([
    ['f', 'FORBIDDEN'],
    ['g', 'FORBIDDEN'],
  ])
  expect(upstream.requests.map(({ url }) => url).filter((url) => url === '/users')).toHaveLength(1)
  await app.graphql('Ada', twoFlows.replaceAll('author { name }', 'id'))
  expect(upstream.requests.map(({ url }) => url).filter((url) => url === '/users')).toHaveLength(1)
})

test('an operation that changes something reads users again', async () => {
  let nick = 'Ada'
  const upstream = await startScriptedUpstream(({ url = '', method }, response) => {
    if (method === 'PUT') nick = 'Augusta'
    const user = { ...ada, nick, name: nick }
    answerJson(response, 200, url === '/users' ? [user] : user)
  })
  const http = createHttp({ deadlineMs: 1000, maxBytes: 10_000, connections: 2 })
  onTestFinished(() => http.close())
  const credential = parseAuthorization('Bearer token')
  const { load, users } = createFlowdock({ http, base: upstream.url, credential, signal: undefined })
  const read = await Promise.all([load.user(1), load.user(1), load.user(2)])
  expect([...read, await load.user(1)].map((user) => user?.name)).toEqual(['Ada', 'Ada', undefined, 'Ada'])
  expect(upstream.requests).toHaveLength(1)
  await users.update(1, { nick: 'Augusta' })
  expect(await load.user(1)).toMatchObject({ name: 'Augusta' })
})

function withoutUsers({ users: _, ...rest }: typeof flow) {
  return rest
}
