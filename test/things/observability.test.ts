import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient } from 'graphql-ws'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { openSubscription } from '../support/app.ts'
import { aliceHeaders, demoToken, startThingsApp } from '../support/things-app.ts'

test('metrics count calls to flowthings by route and status, and the sockets to it', async () => {
  const app = await startThingsApp()
  onTestFinished(app.close)
  await app.direct('POST', '/flow', { path: '/alice/metered' })
  const query = '{ thingsFlow(by: { path: "/alice/metered" }) { drops(first: 1) { nodes { id } } } }'
  expect((await app.asAlice(query)).errors).toBeUndefined()
  await app.asAlice(query, {}, { ...aliceHeaders, 'X-Auth-Token': 'x'.repeat(32) })
  const client = createClient({
    ...{ url: `${app.url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket },
    ...{ retryAttempts: 0, connectionParams: aliceHeaders },
  })
  const live = openSubscription(
    client,
    'subscription { dropAdded(input: { flows: [{ path: "/alice/metered" }] }) { cursor } }',
  )
  onTestFinished(() => live.close())
  const next = live.next().catch(() => undefined)
  const metrics = async () => (await fetch(`${app.url}/metrics`)).text()
  await expect.poll(metrics).toContain('\nflowdock_gateway_upstream_drop_sockets 1\n')
  const text = await metrics()
  for (const line of [
    'upstream_calls_total{method="GET",route="/flowthings/drop/:id",status="200"} 1',
    'upstream_calls_total{method="GET",route="/flowthings/flow",status="403"} 1',
    'upstream_calls_total{method="POST",route="/flowthings/session",status="201"} 1',
  ])
    expect(text).toContain(`\nflowdock_gateway_${line}\n`)
  await live.close()
  await next
  await expect.poll(metrics).toContain('\nflowdock_gateway_upstream_drop_sockets 0\n')
})

test('a trace has a span for each call to flowthings, which the upstream can continue', async () => {
  // biome-ignore lint/suspicious/noExplicitAny: OTLP in JSON
  const spans: any[] = []
  const collector = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString())
    for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  }).listen(0, '127.0.0.1')
  await once(collector, 'listening')
  onTestFinished(() => void collector.close())
  const { port } = collector.address() as AddressInfo
  const seen: unknown[] = []
  const things = createServer((request, response) => {
    seen.push([request.url?.split('?')[0], request.headers['traceparent']])
    const flow = { id: 'f55d8ac39bd4c6c0000000001', path: '/alice/traced', capacity: 10, creationDate: 1 }
    const head = { status: 200, ok: true, messages: [], errors: [], references: {} }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ head, body: [flow] }))
  }).listen(0, '127.0.0.1')
  await once(things, 'listening')
  onTestFinished(() => void things.close())
  const app = await startThingsApp({
    settings: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      FLOWTHINGS_API_URL: `http://127.0.0.1:${(things.address() as AddressInfo).port}`,
    },
  })
  const traceId = 'c'.repeat(32)
  const { data, errors } = await app.asAlice(
    'query Traced { thingsFlow(by: { path: "/alice/traced" }) { path } }',
    {},
    { ...aliceHeaders, traceparent: `00-${traceId}-${'b'.repeat(16)}-01` },
  )
  expect(errors).toBeUndefined()
  expect(data).toEqual({ thingsFlow: { path: '/alice/traced' } })
  await app.close()
  const [call, field, operation] = spans
  expect(call).toMatchObject({ name: 'GET /flowthings/flow', traceId, parentSpanId: field.spanId })
  expect(field).toMatchObject({ name: 'Query.thingsFlow', traceId, parentSpanId: operation.spanId })
  expect(operation).toMatchObject({ name: 'query Traced', traceId })
  expect(seen).toEqual([['/v0.1/alice/flow', `00-${traceId}-${call.spanId}-01`]])
  expect(JSON.stringify(spans)).not.toContain(demoToken)
})
