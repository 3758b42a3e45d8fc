import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { startApp } from '../../src/app.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { testConfig } from '../support/app.ts'
import { basic } from '../support/backend.ts'

/* While there is no room for an operation, a request that arrives in one piece is refused by its head. */

/** A gateway whose one permit is held until `release`. */
async function startFull(settings: Record<string, string> = {}) {
  const waiting: (() => void)[] = []
  const upstream = createServer((request, response) => {
    waiting.push(() =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":1,"nick":"Ada"}'),
    )
    request.resume()
  })
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  onTestFinished(() => {
    upstream.closeAllConnections()
    upstream.close()
  })
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  const gateway = await startApp(testConfig(url, { MAX_CONCURRENT_REQUESTS: '1', ...settings }), {
    log: createLogger('silent'),
  })
  onTestFinished(gateway.close)
  const holder = open(gateway.url)
  holder.send(post(holder.host, { authorization: basic('holder') }))
  await expect.poll(() => waiting.length).toBe(1)
  return {
    gateway,
    open: () => open(gateway.url),
    /** Lets the operation that holds the permit end, and those after it. */
    async release() {
      for (const answer of waiting.splice(0)) answer()
      waiting.push = (answer) => {
        answer()
        return 0
      }
      await holder.response(1)
    },
  }
}

interface Received {
  readonly head: string
  readonly status: number
  readonly body: string
}

function open(url: string) {
  const { hostname, port, host } = new URL(url)
  const socket = connect(Number(port), hostname).setNoDelay(true)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  const read = (): Received[] => {
    const list: Received[] = []
    for (let at = 0; ; ) {
      const end = text.indexOf('\r\n\r\n', at)
      if (end === -1) return list
      const head = text.slice(at, end)
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
      if (text.length < end + 4 + length) return list
      list.push({ head, status: Number(head.slice(9, 12)), body: text.slice(end + 4, end + 4 + length) })
      at = end + 4 + length
    }
  }
  return {
    socket,
    host,
    send: (bytes: string) => void socket.write(bytes),
    /** The responses so far. */
    read,
    /** The response with this number, from 1. */
    async response(number: number): Promise<Received> {
      await expect.poll(() => read().length).toBeGreaterThanOrEqual(number)
      return read()[number - 1] as Received
    },
  }
}

const query = JSON.stringify({ query: '{ viewer { nick } }' })

function post(host: string, headers: Record<string, string> = {}, body = query): string {
  const all = { host, 'content-type': 'application/json', authorization: basic('a'), ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST /graphql HTTP/1.1\r\n${lines.join('')}content-length: ${body.length}\r\n\r\n${body}`
}

const refusal = {
  status: 503,
  body: JSON.stringify({
    errors: [
      {
        message: 'The gateway has more to do than it can; try again in a moment',
        extensions: { code: 'OVERLOADED' },
      },
    ],
  }),
}

test.each<[string, Record<string, string>]>([
  ['of plain JSON', {}],
  ['of the GraphQL type', { accept: 'application/graphql-response+json' }],
  ['of a browser', { origin: 'http://localhost:3000', accept: 'application/json, */*;q=0.1' }],
  ['of a client with an id', { 'x-request-id': 'from-the-client' }],
])('a response %s has the same bytes as when the body comes later', async (_, headers) => {
  const { open } = await startFull()
  const line = open()
  line.send(post(line.host, headers))
  const atOnce = await line.response(1)
  const request = post(line.host, headers)
  const middle = request.length - 10
  line.send(request.slice(0, middle))
  // The first part was read when this other connection has its response.
  const other = open()
  other.send(post(other.host))
  await other.response(1)
  line.send(request.slice(middle))
  const inPieces = await line.response(2)
  expect(atOnce).toMatchObject(refusal)
  expect(atOnce.head).toContain('\r\nRetry-After: 1\r\n')
  expect(atOnce.head).toContain('\r\nConnection: keep-alive\r\n')
  const withoutChanges = ({ head, body }: Received) =>
    (head + body).replace(/Date: .*/, '').replace(/X-Request-Id: [\w-]{8}-\w+\r\n/, '')
  expect(withoutChanges(atOnce)).toBe(withoutChanges(inPieces))
  expect(atOnce.head).toMatch(
    headers['x-request-id'] === undefined
      ? /X-Request-Id: [\w-]{8}-\w+\r\n/
      : /X-Request-Id: from-the-client\r\n/,
  )
  if (headers['origin'] !== undefined)
    expect(atOnce.head).toContain(`Access-Control-Allow-Origin: ${headers['origin']}\r\n`)
})

test('refused requests have ids of their own, and count as refusals and responses', async () => {
  const { gateway, open } = await startFull()
  const line = open()
  line.send(post(line.host).repeat(3))
  const responses = [await line.response(1), await line.response(2), await line.response(3)]
  const ids = responses.map(({ head }) => /X-Request-Id: (\S+)/.exec(head)?.[1])
  expect(new Set(ids).size).toBe(3)
  expect(gateway.state().load).toMatchObject({ inFlight: 1, refusals: 3 })
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
  expect(metrics).toMatch(/^flowdock_gateway_http_responses_total\{status="503"\} 3$/m)
})

test('the connection of a refused request carries further ones, which are served when there is room', async () => {
  const { open, release } = await startFull()
  const line = open()
  // The body is not read as a request.
  line.send(post(line.host, {}, JSON.stringify({ query: post('smuggled.example') })))
  line.send(`GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nHost: ${line.host}\r\n\r\n`)
  expect(await line.response(1)).toMatchObject(refusal)
  expect(await line.response(2)).toMatchObject(refusal)
  await release()
  line.send(post(line.host))
  expect(await line.response(3)).toMatchObject({ status: 200, body: '{"data":{"viewer":{"nick":"Ada"}}}' })
})

test('a client that sends its last request is told so', async () => {
  const { open } = await startFull()
  const line = open()
  line.send(post(line.host, { connection: 'close' }))
  const { head, status } = await line.response(1)
  expect([status, head.includes('\r\nConnection: close')]).toEqual([503, true])
})

test('rate limits count refused requests: those of a principal, and those of an IP address', async () => {
  const ofPrincipal = await startFull({ REQUESTS_PER_MINUTE: '2' })
  const line = ofPrincipal.open()
  line.send(post(line.host).repeat(3) + post(line.host, { authorization: basic('b') }))
  for (const [number, status] of [503, 503, 429, 503].entries())
    expect((await line.response(number + 1)).status).toBe(status)
  // The first of them is the one that holds the permit.
  const ofAddress = await startFull({ REQUESTS_PER_MINUTE_PER_IP: '3' })
  const other = ofAddress.open()
  other.send(post(other.host).repeat(3))
  for (const [number, status] of [503, 503, 429].entries())
    expect((await other.response(number + 1)).status).toBe(status)
})

test('a request that a rate limit refuses counts for no other limit', async () => {
  const { open } = await startFull({ REQUESTS_PER_MINUTE: '1', REQUESTS_PER_MINUTE_PER_IP: '5' })
  const line = open()
  line.send(post(line.host).repeat(3) + post(line.host, { authorization: basic('b') }).repeat(2))
  const statuses = await Promise.all([1, 2, 3, 4, 5].map(async (n) => (await line.response(n)).status))
  expect(statuses).toEqual([503, 429, 429, 503, 429])
})

test.each<[string, number, Record<string, string>, string]>([
  ['of another type', 415, { 'content-type': 'text/plain' }, query],
  ['that is encoded', 415, { 'content-encoding': 'gzip' }, query],
  ['of a page of another origin', 403, { origin: 'http://elsewhere.example' }, query],
  ['of a host that is not valid', 400, { host: 'a b' }, query],
  ['that is too long for one without a credential', 413, { authorization: '' }, ' '.repeat(17_000)],
])('a request %s is rejected for that, also while there is no room', async (_, status, headers, body) => {
  const { gateway, open } = await startFull()
  const line = open()
  line.send(post(line.host, headers, body))
  expect((await line.response(1)).status).toBe(status)
  expect(gateway.state().load.refusals).toBe(0)
})

test('a GET request with an encoded body is rejected for that, also while there is no room', async () => {
  const { open } = await startFull()
  const line = open()
  line.send(
    `GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nHost: ${line.host}\r\nContent-Encoding: gzip\r\n\r\n`,
  )
  expect((await line.response(1)).status).toBe(415)
})

test('the bodies of requests on one connection are never read as requests, in whatever pieces they come', async () => {
  const { gateway } = await startFull()
  const { host } = new URL(gateway.url)
  const body = JSON.stringify({ query: post(host, {}, '{}') })
  const lines = `Host: ${host}\r\nContent-Type: application/json\r\n`
  const chunked = `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  const get = 'GET /graphql?query=%7B__typename%7D HTTP/1.1\r\n'
  const requests: readonly (readonly [status: number, request: string])[] = [
    [503, post(host)],
    [503, post(host, {}, body)],
    [503, post(host, {}, ` ${body}\r\n\r\n`)],
    [503, post(host, {}, body.padEnd(16_384))],
    [503, post(host, {}, body.padEnd(16_385))],
    [503, `\r\n${post(host)}`],
    [503, `POST /graphql HTTP/1.1\r\n${lines}${chunked}`],
    [503, `${get}${lines}\r\n`],
    [503, `${get}${lines}Content-Length: ${body.length}\r\n\r\n${body}`],
    [503, `${get}${lines}${chunked}`],
    [415, post(host, { 'content-type': 'text/plain' }, body)],
    [415, post(host, { 'content-encoding': 'gzip' }, body)],
    [403, post(host, { origin: 'http://elsewhere.example' }, body)],
    [200, `GET /health/live HTTP/1.1\r\n${lines}\r\n`],
  ]
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...requests), { minLength: 1, maxLength: 6 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 }),
      async (list, cuts) => {
        const text = list.map(([, request]) => request).join('') + post(host, { connection: 'close' })
        const places = cuts.map((cut) => Math.floor(cut * text.length)).toSorted((a, b) => a - b)
        const line = open(gateway.url)
        const closed = once(line.socket, 'close')
        for (const [index, place] of [0, ...places].entries()) {
          await new Promise((resolve) => line.socket.write(text.slice(place, places[index]), resolve))
          await new Promise((resolve) => setImmediate(resolve))
        }
        await closed
        const responses = line.read()
        const expected = [...list.map(([status]) => status), 503]
        expect(responses.map(({ status }) => status)).toEqual(expected.slice(0, responses.length))
        // A response to a request whose body has not arrived may be the last one, and says so.
        expect(responses.at(-1)?.head).toContain('\r\nConnection: close')
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 100) },
  )
})
