import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { executeOverSocket, post, startTestApp } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { startScriptedUpstream } from '../support/upstream.ts'

const send = (url: string, token: string, query: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: basic(token), ...headers },
    body: JSON.stringify({ query }),
  }).then((response) => response.json())

/** A log whose lines are kept. */
function keepLog(level: string) {
  const lines: Record<string, unknown>[] = []
  const kept = new Writable({
    write(chunk, _, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  return { lines, log: pino({ level, base: null }, kept) }
}

test('a log line of each operation has its principal, name, duration and cost, on all transports', async () => {
  const { lines, log } = keepLog('debug')
  const app = await startTestApp({ log })
  onTestFinished(app.close)
  const token = await app.backend.token('Ada')
  const query = 'query Me { viewer { nick } }'
  await send(app.url, token, query, { 'x-request-id': 'mine' })
  await executeOverSocket(app.url, token, query)
  const operations = lines.filter(({ msg }) => msg === 'An operation')
  expect(operations).toMatchObject([
    { level: 20, kind: 'query', operation: 'Me', requestId: 'mine', upstreamCalls: 1 },
    {
      level: 20,
      kind: 'query',
      operation: 'Me',
      requestId: expect.stringMatching(/^[\w-]{8}-[0-9a-z]+$/),
      upstreamCalls: 1,
    },
  ])
  expect(operations[0]?.['principal']).toMatch(/^[\w-]{8}$/)
  expect(operations[1]?.['principal']).toBe(operations[0]?.['principal'])
  expect(operations[0]?.['durationMs']).toBeGreaterThan(0)
})

test('a failure is logged at the default level, with its codes; a name cannot forge another line', async () => {
  const { lines, log } = keepLog('info')
  const app = await startTestApp({ log })
  onTestFinished(app.close)
  await post(app.url, { query: 'query Ok { __typename }' }, await app.backend.token('Ada'))
  await post(app.url, { query: `query ${'x'.repeat(300)} { viewer { nick } }` }, '0'.repeat(32))
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({ level: 30, msg: 'An operation failed', codes: ['UNAUTHENTICATED'] })
  expect(lines[0]?.['operation']).toHaveLength(100)
})

test('the request id goes on to the upstream', async () => {
  const seen: IncomingHttpHeaders[] = []
  const upstream = createServer((request, response) => {
    seen.push(request.headers)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":1,"nick":"Ada"}')
  }).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  onTestFinished(() => void upstream.close())
  const upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  const app = await startTestApp({ upstreamUrl })
  onTestFinished(app.close)
  await send(app.url, 'x', '{ viewer { nick } }', { 'x-request-id': 'mine-2' })
  expect(seen.map((headers) => headers['x-request-id'])).toEqual(['mine-2'])
  expect(seen[0]).not.toHaveProperty('traceparent')
})

test('metrics count operations by name and code, calls by route, answers by status; names are bounded', async () => {
  const app = await startTestApp()
  onTestFinished(app.close)
  const token = await app.backend.token('Ada')
  await send(app.url, token, 'query Me { viewer { nick } }')
  await send(app.url, '0'.repeat(32), 'query Me { viewer { nick } }')
  await send(app.url, token, '{ flow(by: { path: "example/main" }) { messages(last: 1) { nodes { id } } } }')
  await send(app.url, token, '{ nothing }')
  await send(app.url, token, '{ broken')
  for (let index = 0; index < 150; index += 1) await send(app.url, token, `query Name${index} { __typename }`)
  const metrics = await (await fetch(`${app.url}/metrics`)).text()
  for (const line of [
    'operations_total{kind="query",name="Me",code="OK"} 1',
    'operations_total{kind="query",name="Me",code="UNAUTHENTICATED"} 1',
    'operations_total{kind="query",name="(anonymous)",code="OK"} 1',
    'operations_total{kind="query",name="Name98",code="OK"} 1',
    'operations_total{kind="query",name="(other)",code="OK"} 51',
    'operation_duration_seconds_count{kind="query"} 153',
    'document_refusals_total{code="GRAPHQL_VALIDATION_FAILED"} 1',
    'document_refusals_total{code="GRAPHQL_PARSE_FAILED"} 1',
    'upstream_calls_total{method="GET",route="/user",status="200"} 1',
    'upstream_calls_total{method="GET",route="/user",status="401"} 1',
    'upstream_calls_total{method="GET",route="/flows/:org/:flow/messages",status="200"} 1',
    'in_flight 0',
  ])
    expect(metrics).toContain(`\nflowdock_gateway_${line}\n`)
  expect(metrics).toMatch(/\nflowdock_gateway_http_responses_total\{status="200"\} 15\d\n/)
  for (const name of [
    'nodejs_eventloop_lag_max_seconds',
    'process_resident_memory_bytes',
    'process_open_fds',
  ])
    expect(metrics).toContain(`\n${name} `)
})

test('a trace has a span for the operation, each field that waits and each call, and continues from the client to the upstream', async () => {
  // biome-ignore lint/suspicious/noExplicitAny: OTLP in JSON
  const spans: any[] = []
  const collector = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString())
    for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans)
    expect(request.url).toBe('/v1/traces')
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  }).listen(0, '127.0.0.1')
  await once(collector, 'listening')
  onTestFinished(() => void collector.close())
  const { port } = collector.address() as AddressInfo
  const app = await startTestApp({ settings: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` } })
  const traceId = 'a'.repeat(32)
  const token = await app.backend.token('Ada')
  await send(app.url, token, 'query Me { viewer { nick } }', {
    traceparent: `00-${traceId}-${'b'.repeat(16)}-01`,
  })
  await send(app.url, '0'.repeat(32), '{ viewer { nick } }')
  await send(
    app.url,
    token,
    'query Talk { flow(by: { path: "example/main" }) { messages(last: 5) { nodes { thread { title } author { __typename } } } } }',
  )
  await app.close()
  const [call, field, operation] = spans
  expect(call).toMatchObject({ name: 'GET /user', traceId, parentSpanId: field.spanId })
  expect(field).toMatchObject({ name: 'Query.viewer', traceId, parentSpanId: operation.spanId })
  expect(operation).toMatchObject({ name: 'query Me', traceId, parentSpanId: 'b'.repeat(16) })
  expect(spans.slice(0, 6).map(({ name, status }) => [name, status.code])).toEqual([
    ['GET /user', 0],
    ['Query.viewer', 0],
    ['query Me', 0],
    ['GET /user', 0],
    ['Query.viewer', 0],
    ['query', 2],
  ])
  expect(spans[3].traceId).not.toBe(traceId)
  const names = new Map(spans.map(({ spanId, name }) => [spanId, name]))
  const talk = spans.slice(6).map(({ name, parentSpanId }) => `${name} of ${names.get(parentSpanId)}`)
  expect(talk.sort()).toEqual([
    'Flow.messages of Query.flow',
    // Both calls are made before the fields that need them are reached.
    'GET /flows/:org/:flow of Query.flow',
    'GET /flows/:org/:flow/messages of Query.flow',
    'Query.flow of query Talk',
    'query Talk of undefined',
  ])
  expect(JSON.stringify(spans)).not.toContain(token)
})

test('a client that leaves before its answer is there is no failure of ours', async () => {
  const { lines, log } = keepLog('debug')
  const asked = Promise.withResolvers<void>()
  const upstream = await startScriptedUpstream(() => asked.resolve())
  const app = await startTestApp({ log, upstreamUrl: upstream.url })
  onTestFinished(app.close)
  const gone = new AbortController()
  const leaving = fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: basic('x') },
    body: JSON.stringify({ query: '{ viewer { nick } }' }),
    signal: gone.signal,
  })
  await asked.promise
  gone.abort()
  await expect(leaving).rejects.toThrow()
  await expect
    .poll(() => lines.filter(({ codes }) => codes !== undefined))
    .toMatchObject([{ level: 20, codes: ['CLIENT_LEFT'] }])
  expect(lines.filter(({ level }) => Number(level) >= 30)).toEqual([])
  expect(await (await fetch(`${app.url}/metrics`)).text()).toMatch(/_operations_total\{[^}]*CLIENT_LEFT/)
})

test.each([
  [401, 200],
  [404, 200],
  [429, 200],
  [500, 503],
  [503, 503],
])(
  'an upstream that answers %d, asked whether it can work, makes /health/ready %d; its reads go on',
  async (status, expected) => {
    const upstream = await startScriptedUpstream((request, response) => {
      const isHealth = request.url === '/health/ready'
      response.writeHead(isHealth ? status : 200, { 'content-type': 'application/json' })
      response.end('[]')
    })
    const app = await startTestApp({ upstreamUrl: upstream.url })
    onTestFinished(app.close)
    expect((await fetch(`${app.url}/health/ready`)).status).toBe(expected)
    // Once: it is no failure that is tried again, or counted.
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/health/ready'])
    const { data } = await send(app.url, 'somebody', '{ flows { nodes { id } } }')
    expect(data).toEqual({ flows: { nodes: [] } })
    expect(app.state().upstream).toEqual({ openBreakers: [], retries: 0, refusals: 0 })
  },
)

test('metrics count each result that a subscription was sent, the age of events, and the newest event', async () => {
  const token = 'a-service-token-of-forty-characters-....'
  const app = await startTestApp({
    backend: { serviceTokens: [token] },
    settings: { SERVICE_TOKEN: token },
  })
  onTestFinished(app.close)
  const figure = async (name: string) => {
    const text = await (await fetch(`${app.url}/metrics`)).text()
    return Number(new RegExp(`^flowdock_gateway_${name} (\\S+)$`, 'm').exec(text)?.[1])
  }
  const query = `subscription { flowEvents(input: { flows: [{ path: "example/main" }], includeStatus: true }) {
    __typename ... on MessageAdded { message { ... on ChatMessage { content } } } } }`
  const subscriptions = await Promise.all(['Ada', 'Ben'].map((nick) => app.subscribe(nick as 'Ada', query)))
  for (const subscription of subscriptions)
    expect((await subscription.next())?.data?.flowEvents.__typename).toBe('StreamStatus')
  const [deliveries, ages, position] = [
    await figure('deliveries_total'),
    await figure('event_age_seconds_count'),
    await figure('event_position'),
  ]
  for (let count = 0; count < 5; count += 1)
    await app.backend.as('Cleo')('POST', '/flows/example/main/messages', {
      event: 'message',
      content: `message ${count}`,
    })
  for (const subscription of subscriptions)
    for (let content = ''; content !== 'message 4'; )
      content = (await subscription.next())?.data?.flowEvents.message?.content ?? content
  expect((await figure('deliveries_total')) - deliveries).toBe(10)
  expect((await figure('event_age_seconds_count')) - ages).toBe((await figure('event_position')) - position)
  expect(await figure('event_position')).toBe(app.backend.log.delivered())
  expect(await figure('event_age_seconds_sum')).toBeLessThan(60)
  for (const subscription of subscriptions) await subscription.close()
})
