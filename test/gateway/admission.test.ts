import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { startApp } from '../../src/app.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createAdaptiveConcurrency } from '../../src/traffic/adaptive-concurrency.ts'
import { clientAddress } from '../../src/traffic/client-address.ts'
import {
  executeOverSocket,
  openSubscription,
  post,
  type Result,
  socketClient,
  startTestApp,
  testConfig,
} from '../support/app.ts'
import { basic } from '../support/backend.ts'

const start = async (settings: Record<string, string>) => {
  const app = await startTestApp({ settings })
  onTestFinished(app.close)
  return app
}
const viewer = { query: '{ viewer { nick } }' }
const ask = (url: string, headers: Record<string, string>, body: object = viewer) =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
const codeOf = async (response: Response) => (await response.json()).errors?.[0]?.extensions?.code

describe('requests of a minute', () => {
  test('are counted for each principal on all transports; past the limit 429 says when to retry', async () => {
    const app = await start({ REQUESTS_PER_MINUTE: '3' })
    const token = await app.backend.token('Ada')
    const authorization = basic(token)
    for (let index = 0; index < 2; index += 1)
      expect((await ask(app.url, { authorization })).status).toBe(200)
    expect((await executeOverSocket(app.url, token, viewer.query)).errors).toBeUndefined()
    app.calls.length = 0
    const refused = await ask(app.url, { authorization })
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await codeOf(refused)).toBe('RATE_LIMITED')
    expect((await ask(app.url, { authorization, accept: 'text/event-stream' })).status).toBe(429)
    expect(
      (await fetch(`${app.url}/graphql?query={__typename}`, { headers: { authorization } })).status,
    ).toBe(429)
    expect((await executeOverSocket(app.url, token, viewer.query)).errors).toMatchObject([
      { extensions: { code: 'RATE_LIMITED', retryable: true } },
    ])
    expect(app.calls).toEqual([])
    expect((await ask(app.url, { authorization: basic(await app.backend.token('Ben')) })).status).toBe(200)
  })

  test('are counted for each IP address, with any credential; health checks are not', async () => {
    const app = await start({ REQUESTS_PER_MINUTE_PER_IP: '5' })
    for (let index = 0; index < 5; index += 1)
      await (await ask(app.url, { authorization: basic(String(index)) })).text()
    expect((await ask(app.url, { authorization: basic('6') })).status).toBe(429)
    expect((await fetch(`${app.url}/schema.graphql`)).status).toBe(429)
    expect((await fetch(`${app.url}/health/live`)).status).toBe(200)
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    const [error] = await once(socket, 'error')
    expect(String(error)).toContain('429')
  })
})

test('what begins again because of another token is counted, too', async () => {
  const app = await start({ REQUESTS_PER_MINUTE_PER_IP: '20' })
  const authorization = basic(await app.backend.token('Ada'))
  const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  await once(socket, 'open')
  const closed = once(socket, 'close')
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }))
  const payload = { query: 'subscription { flowEvents(input: {}) { cursor } }' }
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }))
  await expect.poll(() => app.state().live.operations).toBe(1)
  const asking = setInterval(
    () => socket.send(JSON.stringify({ type: 'ping', payload: { authorization } })),
    20,
  )
  const [code] = await closed
  clearInterval(asking)
  expect(code).toBe(1013)
})

test('new documents of an address have a time; known ones are executed all the same', async () => {
  const app = await startTestApp({
    settings: { REQUESTS_PER_MINUTE_PER_IP: '30000' },
    documentMsPerMinute: 1,
  })
  onTestFinished(app.close)
  const token = await app.backend.token('Ada')
  const known = '{ __typename }'
  expect((await post(app.url, { query: known })).errors).toBeUndefined()
  // One more is read if the first took less than there is, and takes the rest.
  const fresh = (name: string) => `query ${name} { viewer { ${'nick '.repeat(130)} } }`
  for (const name of ['A', 'B', 'C']) await post(app.url, { query: fresh(name) }, token)
  const overSse = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { accept: 'text/event-stream', 'content-type': 'application/json', authorization: basic(token) },
    body: JSON.stringify({ query: fresh('D') }),
  })
  for (const result of [
    await post(app.url, { query: fresh('E') }, token),
    JSON.parse(/^data: (.+)$/m.exec(await overSse.text())?.[1] ?? '') as Result,
    await executeOverSocket(app.url, token, fresh('F')),
  ])
    expect(result.errors).toMatchObject([
      {
        message: expect.stringContaining('milliseconds of work for new documents from your address'),
        extensions: { code: 'RATE_LIMITED', retryable: true, retryAfterMs: expect.any(Number) },
      },
    ])
  expect((await post(app.url, { query: known })).errors).toBeUndefined()
})

describe('connections that stay open', () => {
  const query = 'subscription { flowEvents(input: {}) { cursor } }'

  test('are counted for each principal over sockets and SSE together, until they close', async () => {
    const app = await start({ MAX_CONNECTIONS_PER_PRINCIPAL: '2' })
    const authorization = basic(await app.backend.token('Ada'))
    const token = await app.backend.token('Ada')
    const live = await ask(app.url, { authorization, accept: 'text/event-stream' }, { query })
    expect(live.status).toBe(200)
    const client = socketClient(app.url, token)
    const subscription = openSubscription(client, query)
    void subscription.next()
    await expect.poll(() => app.state().live.operations).toBe(2)
    const refused = await ask(app.url, { authorization, accept: 'text/event-stream' }, { query })
    expect(refused.status).toBe(429)
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }))
    const [code, reason] = await once(socket, 'close')
    expect([code, String(reason)]).toEqual([1013, 'You have 2 open connections, which is all you may have'])
    await subscription.close()
    await live.body?.cancel()
    await expect.poll(() => app.state().live.operations).toBe(0)
    const again = await ask(app.url, { authorization, accept: 'text/event-stream' }, { query })
    expect(again.status).toBe(200)
    await again.body?.cancel()
  })

  test('are counted for each IP address; an open subscription holds no permit', async () => {
    const app = await start({ MAX_CONNECTIONS_PER_IP: '1', MAX_CONCURRENT_REQUESTS: '1' })
    const token = await app.backend.token('Ada')
    const subscription = openSubscription(socketClient(app.url, token), query)
    void subscription.next()
    await expect.poll(() => app.state().live.operations).toBe(1)
    expect((await ask(app.url, { authorization: basic(token) })).status).toBe(200)
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    expect(String((await once(socket, 'error'))[0])).toContain('429')
    const stream = await fetch(`${app.url}/graphql`, { method: 'PUT' })
    expect(stream.status).toBe(429)
    await subscription.close()
  })
})

test('concurrent operations are limited: others are refused at once, keep their connection, and succeed when there is room', async () => {
  const waiting: (() => void)[] = []
  const slow = createServer((request, response) => {
    waiting.push(() =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":1,"nick":"Ada"}'),
    )
    request.resume()
  })
  slow.listen(0, '127.0.0.1')
  await once(slow, 'listening')
  onTestFinished(() => void slow.close())
  const upstream = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`
  const gateway = await startApp(testConfig(upstream, { MAX_CONCURRENT_REQUESTS: '2' }), {
    log: createLogger('silent'),
  })
  onTestFinished(gateway.close)
  const inside = ['a', 'b'].map((token) => ask(gateway.url, { authorization: basic(token) }))
  await expect.poll(() => waiting.length).toBe(2)
  for (let index = 0; index < 3; index += 1) {
    const refused = await ask(gateway.url, { authorization: basic('c') })
    expect([refused.status, refused.headers.get('retry-after'), refused.headers.get('connection')]).toEqual([
      503,
      '1',
      'keep-alive',
    ])
    expect(await codeOf(refused)).toBe('OVERLOADED')
  }
  expect(gateway.state().load).toMatchObject({ inFlight: 2, refusals: 3 })
  // An operation of a socket waits for its turn.
  const overSocket = executeOverSocket(gateway.url, 'c', viewer.query)
  await expect.poll(() => gateway.state().load.waitingInTurn).toBe(1)
  for (const answer of waiting.splice(0)) answer()
  for (const each of inside) expect((await each).status).toBe(200)
  await expect.poll(() => waiting.length).toBe(1)
  for (const answer of waiting.splice(0)) answer()
  expect((await overSocket).data).toEqual({ viewer: { nick: 'Ada' } })
  await expect.poll(() => gateway.state().load.inFlight).toBe(0)
  const next = ask(gateway.url, { authorization: basic('c') })
  await expect.poll(() => waiting.length).toBe(1)
  waiting[0]?.()
  expect((await next).status).toBe(200)
})

test('of many concurrent operations some begin; the others follow while the process has idle time, and none is refused', async () => {
  const load = createAdaptiveConcurrency({ most: 1000 })
  onTestFinished(load.close)
  const places = Array.from({ length: 1000 }, () => load.enter())
  expect(places.filter((place) => place === true).length).toBeLessThanOrEqual(64)
  expect(load.enter()).toBe(false)
  expect(new Set(await Promise.all(places))).toEqual(new Set([true]))
  expect(load.state()).toMatchObject({ inFlight: 1000, waiting: 0, limit: 1000 })
})

test('a socket whose operation waits for its turn in vain is closed with 1013, which clients come back from', async () => {
  const waiting: (() => void)[] = []
  const slow = createServer((request, response) => {
    waiting.push(() => response.writeHead(500).end())
    request.resume()
  })
  slow.listen(0, '127.0.0.1')
  await once(slow, 'listening')
  onTestFinished(() => void slow.close())
  const upstream = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`
  const gateway = await startApp(testConfig(upstream, { MAX_CONCURRENT_REQUESTS: '1' }), {
    log: createLogger('silent'),
  })
  onTestFinished(gateway.close)
  const inside = ask(gateway.url, { authorization: basic('a') })
  await expect.poll(() => waiting.length).toBe(1)
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  await once(socket, 'open')
  const types: string[] = []
  socket.on('message', (data) => types.push(JSON.parse(String(data)).type))
  socket.send(JSON.stringify({ type: 'connection_init', payload: { Authorization: basic('b') } }))
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: viewer }))
  const [code, reason] = await once(socket, 'close')
  expect([code, String(reason)]).toEqual([1013, 'OVERLOADED: try again later'])
  expect(types).toEqual(['connection_ack'])
  for (const answer of waiting.splice(0)) answer()
  await inside
})

test('operations of sockets get in after all others, in the order they came', async () => {
  const load = createAdaptiveConcurrency({ most: 1, isSteady: true })
  onTestFinished(load.close)
  expect(load.enterInTurn()).toBe(true)
  const order: string[] = []
  const turns = ['first', 'second'].map(async (name) => {
    expect(await load.enterInTurn()).toBe(true)
    order.push(name)
    load.leave()
  })
  expect(load.state()).toMatchObject({ inFlight: 1, waiting: 0, waitingInTurn: 2 })
  load.leave()
  await Promise.all(turns)
  expect(order).toEqual(['first', 'second'])
  expect(load.state()).toMatchObject({ inFlight: 0, waitingInTurn: 0, refusals: 0 })
})

describe('a process that is busy all the time', () => {
  async function makeBusy() {
    const load = createAdaptiveConcurrency({ most: 1000 })
    onTestFinished(load.close)
    let isBusy = true
    const burning = (async () => {
      while (isBusy) {
        const end = performance.now() + 60
        while (performance.now() < end);
        await new Promise(setImmediate)
      }
    })()
    await expect.poll(() => load.state().limit).toBe(8)
    return {
      load,
      async rest() {
        isBusy = false
        await burning
      },
    }
  }

  test('does few things at once; some wait for their turn, and the rest is turned away', async () => {
    const { load, rest } = await makeBusy()
    for (let index = 0; index < 8; index += 1) expect(load.enter()).toBe(true)
    const waiting = Array.from({ length: 128 }, () => load.enter())
    for (const each of waiting) expect(each).toBeInstanceOf(Promise)
    expect(load.enter()).toBe(false)
    expect(load.enterNow()).toBe(false)
    load.leave()
    load.leave()
    expect(await Promise.all(waiting.slice(0, 2))).toEqual([true, true])
    // Nobody gives back a place in time.
    expect(new Set(await Promise.all(waiting.slice(2)))).toEqual(new Set([false]))
    expect(load.state()).toMatchObject({ inFlight: 8, waiting: 0, refusals: 128 })
    // More come than fit, however many wait: then few do.
    const few = Array.from({ length: 8 }, () => load.enter())
    for (const each of few) expect(each).toBeInstanceOf(Promise)
    expect(load.enter()).toBe(false)
    await Promise.all(few)
    await rest()
    await expect.poll(() => load.state().limit).toBe(1000)
    expect(load.enter()).toBe(true)
  })
})

test.each([
  ['10.0.0.1', undefined, 0, '10.0.0.1'],
  ['::ffff:10.0.0.1', undefined, 0, '10.0.0.1'],
  ['10.0.0.1', '6.6.6.6', 0, '10.0.0.1'],
  ['10.0.0.1', '6.6.6.6, 1.2.3.4', 1, '1.2.3.4'],
  ['10.0.0.1', '6.6.6.6, 1.2.3.4, 10.0.0.2', 2, '1.2.3.4'],
  ['10.0.0.1', '1.2.3.4', 2, '1.2.3.4'],
  ['10.0.0.1', undefined, 1, '10.0.0.1'],
  ['2001:db8:1:2:3:4:5:6', undefined, 0, '2001:db8:1:2'],
  ['2001:db8::6', undefined, 0, '2001:db8:0:0'],
  ['::1', undefined, 0, '0:0:0:0'],
])(
  'a request from %s for %j behind %i proxies counts for %s',
  (remoteAddress, forwarded, proxies, expected) => {
    const request = { socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }
    expect(clientAddress(request as unknown as Parameters<typeof clientAddress>[0], proxies)).toBe(expected)
  },
)

type TestApp = Awaited<ReturnType<typeof start>>

/** Makes clients send a query of Ada, and read nothing of its response yet. It is longer than what two machines keep for each other. */
async function askWithoutReading(app: TestApp, clients: number) {
  const token = await app.backend.token('Ada')
  for (let count = 0; count < 100; count += 1)
    await app.backend.as('Ada')('POST', '/flows/example/main/messages', {
      event: 'message',
      content: 'x'.repeat(8000),
    })
  const messages = 'messages(last: 100) { nodes { ... on ChatMessage { content } } }'
  const aliases = Array.from({ length: 14 }, (_, index) => `m${index}: ${messages}`)
  const body = JSON.stringify({ query: `{ flow(by: { path: "example/main" }) { ${aliases.join(' ')} } }` })
  const { hostname, port } = new URL(app.url)
  return Array.from({ length: clients }, () => {
    const socket = connect(Number(port), hostname).pause()
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined)
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: ${basic(token)}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
    const closed = once(socket, 'close')
    /** Reads to the end, or until the connection is cut. @returns the number of bytes */
    const readAll = async () => {
      let length = 0
      socket.on('data', (chunk) => {
        length += chunk.length
        if (String(chunk).endsWith('}}}')) socket.end()
      })
      socket.resume()
      await closed
      return length
    }
    return { readAll }
  })
}

test('a response that is not read releases its permit, and counts as a connection of its principal', async () => {
  const app = await start({ MAX_CONCURRENT_REQUESTS: '3', MAX_CONNECTIONS_PER_PRINCIPAL: '2' })
  const token = await app.backend.token('Ada')
  const readers = await askWithoutReading(app, 3)
  await expect.poll(() => app.state().tcpConnections).toBe(3)
  // Two of the three may be connections of Ada; the third one is cut.
  await expect.poll(() => app.state().tcpConnections).toBe(2)
  await expect.poll(() => app.state().load.inFlight).toBe(0)
  expect((await ask(app.url, { authorization: basic(token) })).status).toBe(200)
  const lengths = await Promise.all(readers.map(({ readAll }) => readAll()))
  const [shortest = 0, ...whole] = lengths.sort((a, b) => a - b)
  expect(whole[0]).toBe(whole[1])
  expect(shortest).toBeLessThan(whole[0] ?? 0)
})

test('a response that is read slowly is whole when it takes less than a minute', async () => {
  // Connections are looked after at an interval.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const app = await start({ MAX_CONCURRENT_REQUESTS: '3' })
  const [reader] = await askWithoutReading(app, 1)
  await expect.poll(() => app.state().load.inFlight).toBe(1)
  // The permit is back, so the response is waiting for its reader.
  await expect.poll(() => app.state().load.inFlight).toBe(0)
  vi.advanceTimersByTime(60_000)
  expect(await reader?.readAll()).toBeGreaterThan(14 * 100 * 8000)
})
