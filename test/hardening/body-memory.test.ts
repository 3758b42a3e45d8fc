import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { bodyLimits, createBodyMemory } from '../../src/traffic/body-memory.ts'
import { basic } from '../support/backend.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'

/* Bodies that are incomplete, and what a stranger may send. */

let fortress: Fortress
beforeAll(async () => {
  fortress = await startFortress({ settings: { MAX_CONCURRENT_REQUESTS: '20' } })
})
afterAll(() => fortress.close())

interface Line {
  readonly socket: Socket
  readonly text: () => string
  readonly closed: Promise<unknown>
}

/** A request whose body is incomplete. */
function begin(
  body: string | Buffer,
  {
    path = '/graphql',
    method = 'POST',
    length = 1_000_000,
    ...headers
  }: Record<string, string | number> = {},
): Line {
  const { hostname, port, host } = new URL(fortress.url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  const all = { host, 'content-type': 'application/json', 'content-length': length, ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
  socket.write(body)
  return { socket, text: () => text, closed: new Promise((resolve) => socket.on('close', resolve)) }
}
const statusOf = ({ text }: Line) => Number(/^HTTP\/1.1 (\d+)/.exec(text())?.[1] ?? 0)
const answerOf = ({ text }: Line) => JSON.parse(text().slice(text().indexOf('\r\n\r\n') + 4))
const typeOf = ({ text }: Line) => /^content-type: (.*)\r$/im.exec(text())?.[1]
const known = { authorization: 'Bearer x' }
const typed = { accept: 'application/graphql-response+json' }
const typedResponse = 'application/graphql-response+json; charset=utf-8'

test('hundreds of half-sent requests take no permit, and complete requests are not refused', async () => {
  const { bodiesPerAddress } = bodyLimits
  const query = '{"query":"{ viewer { nick } }"}'
  await fortress.beside(async () => {
    const half = Array.from({ length: bodiesPerAddress + 100 }, () => begin('{', { ...typed, length: 100 }))
    await expect.poll(() => half.filter((line) => statusOf(line) === 429).length).toBeGreaterThanOrEqual(100)
    // Those that began first went first.
    expect(half.slice(0, 50).map(statusOf)).toEqual(half.slice(0, 50).map(() => 429))
    expect(typeOf(half[0] as Line)).toBe(typedResponse)
    expect(half[0]?.text()).toMatch(/^retry-after: 1\r$/im)
    expect(answerOf(half[0] as Line).errors[0]).toMatchObject({
      message: expect.stringContaining('incomplete requests from your address'),
      extensions: { code: 'RATE_LIMITED' },
    })
    expect(fortress.app.state().load.refusals).toBe(0)
    expect(fortress.app.state().load.inFlight).toBeLessThanOrEqual(1)
    const whole = begin(query.slice(0, 5), { length: query.length, authorization: basic(fortress.token) })
    await once(whole.socket, 'connect')
    whole.socket.write(query.slice(5))
    await expect.poll(whole.text).toContain('{"data":{"viewer":{"nick":"Ada"}}}')
    for (const { socket } of half) socket.destroy()
  })
})

describe('a body that does not arrive in time', () => {
  test.each([
    ['without a credential', {}, 10_000],
    ['with one', known, 60_000],
  ])('is refused %s', async (_, headers, ms) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const line = begin('{', { ...headers, ...typed, length: 100, expect: '100-continue' })
    await once(line.socket, 'data')
    // The body is known to be incomplete from the next turn of the event loop on.
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    vi.advanceTimersByTime(ms - 1)
    await new Promise(setImmediate)
    expect(line.text()).not.toContain('408')
    vi.advanceTimersByTime(1)
    await line.closed
    expect(line.text()).toContain('HTTP/1.1 408 Request Timeout')
    expect(typeOf(line)).toBe(typedResponse)
    expect(line.text()).toContain(`"message":"The body did not arrive within ${ms / 1000} seconds"`)
  })
})

describe('without a credential a request may have 16 KiB', () => {
  const padded = (length: number) => {
    const body = '{"query":"{__typename}","extensions":{"x":""}}'
    return body.replace('""', `"${'x'.repeat(length - body.length)}"`)
  }
  const chunked = (text: string) =>
    new ReadableStream({
      start(controller) {
        for (let at = 0; at < text.length; at += 1000)
          controller.enqueue(Buffer.from(text.slice(at, at + 1000)))
        controller.close()
      },
    })
  const post = (body: string | ReadableStream, headers: Record<string, string> = {}) =>
    fetch(`${fortress.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
      duplex: 'half',
    } as RequestInit)

  test.each([
    ['POST', {}],
    ['a malformed credential', { authorization: 'Digest x' }],
    ['SSE', { accept: 'text/event-stream' }],
    ['multipart', { accept: 'multipart/mixed;subscriptionSpec=1.0' }],
  ])('over %s', async (_, headers: Record<string, string>) => {
    for (const make of [padded, (length: number) => chunked(padded(length))]) {
      expect((await post(make(16 * 1024), headers)).status).toBe(200)
      const refused = await post(make(16 * 1024 + 1), headers)
      expect(refused.status).toBe(413)
      expect((await refused.json()).errors[0]).toMatchObject({
        message: expect.stringMatching(/16384 bytes.*send Authorization/),
        extensions: { code: 'LIMIT_EXCEEDED' },
      })
      expect((await post(make(16 * 1024 + 1), { ...headers, ...known })).status).toBe(200)
    }
  })

  test('on a stream of many operations', async () => {
    const stream = await (await fetch(`${fortress.url}/graphql`, { method: 'PUT' })).text()
    const response = await fetch(`${fortress.url}/graphql?token=${stream}`, {
      headers: { accept: 'text/event-stream' },
    })
    // Without the response, fetch() may end the stream: it cancels the body of a response that was collected.
    onTestFinished(() => response.body?.cancel())
    const headers = { 'x-graphql-event-stream-token': stream }
    const operation = (length: number) =>
      JSON.stringify({
        query: '{ __typename }',
        extensions: { operationId: String(length), x: 'x'.repeat(length) },
      })
    expect((await post(operation(16_000), headers)).status).toBe(202)
    expect((await post(operation(17_000), headers)).status).toBe(413)
    expect((await post(operation(17_001), { ...headers, ...known })).status).toBe(202)
  })

  test('on such a stream, where no files come: a body is bounded whatever it says that it is', async () => {
    const stream = await (await fetch(`${fortress.url}/graphql`, { method: 'PUT' })).text()
    const response = await fetch(`${fortress.url}/graphql?token=${stream}`, {
      headers: { accept: 'text/event-stream' },
    })
    // Without the response, fetch() may end the stream: it cancels the body of a response that was collected.
    onTestFinished(() => response.body?.cancel())
    const line = begin('{', {
      ...{ ...known, 'x-graphql-event-stream-token': stream, 'x-requested-with': 'x' },
      'content-type': 'multipart/form-data; boundary=x',
    })
    await expect.poll(() => statusOf(line)).toBe(415)
    expect(line.text()).toContain('Expected Content-Type to be application/json in UTF-8')
  })

  test('is refused by its length, before any of it is there', async () => {
    const line = begin('', { ...typed, length: 16 * 1024 + 1 })
    await expect.poll(() => statusOf(line)).toBe(413)
    expect(typeOf(line)).toBe(typedResponse)
  })
})

describe('files are not read before the credential is known to be valid', () => {
  const form = { 'content-type': 'multipart/form-data; boundary=b', 'x-requested-with': 'x' }
  const operations = JSON.stringify({
    query: `mutation ($file: Upload!) { uploadFile(input: { flow: { path: "example/main" }, file: $file }) { __typename } }`,
    variables: { file: null },
  })
  const field = (name: string, value: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const start = `${field('operations', operations)}${field('map', '{"0":["variables.file"]}')}--b\r\nContent-Disposition: form-data; name="0"; filename="a.txt"\r\n\r\n`
  const end = 'text\r\n--b--\r\n'

  test.each([
    ['without one', {}, 0],
    ['with one that is malformed', { authorization: 'Basic %' }, 0],
    ['with one that nobody has', { authorization: 'Bearer 0123456789abcdef' }, 1],
  ])('%s', async (_, headers, calls) => {
    fortress.app.calls.length = 0
    const line = begin(start, { ...form, ...headers, ...typed })
    await expect.poll(() => statusOf(line)).toBe(401)
    expect(typeOf(line)).toBe(typedResponse)
    expect(answerOf(line).errors[0].extensions.code).toBe('UNAUTHENTICATED')
    expect(fortress.app.calls.map(({ url }) => new URL(url).pathname)).toEqual(
      Array.from({ length: calls }, () => '/user'),
    )
  })

  test('with a valid one they are read, and the upstream confirms it once in a while', async () => {
    const headers = { ...form, authorization: basic(fortress.token) }
    fortress.app.calls.length = 0
    for (let count = 0; count < 2; count += 1) {
      const line = begin(start, { ...headers, length: start.length + end.length })
      await expect.poll(() => fortress.app.calls.map(({ url }) => new URL(url).pathname)).toContain('/user')
      expect(statusOf(line)).toBe(0)
      line.socket.write(end)
      await expect.poll(line.text).toContain('"__typename":"UploadFilePayload"')
    }
    expect(fortress.app.calls.filter(({ url }) => new URL(url).pathname === '/user')).toHaveLength(1)
  })

  test('nor is a URL for one given', async () => {
    const query = `mutation { createUpload(input: { flow: { path: "example/main" }, name: "a.txt", contentType: "text/plain" }) {
      ... on CreateUploadPayload { url } ... on UserError { code } } }`
    expect((await fortress.post({ query })).data.createUpload.url).toMatch(/^\/uploads\//)
    const invented = await fortress.post({ query }, { authorization: 'Bearer 0123456789abcdef' })
    expect(JSON.stringify(invented)).toMatch(/"code":"UNAUTHENTICATED"/)
  })
})

describe('bytes that are held of incomplete bodies are bounded', () => {
  test('for each IP address and in all, in memory and on the disk', () => {
    const bodies = createBodyMemory({
      memory: { total: 100, perAddress: 60 },
      disk: { total: 1000, perAddress: 600 },
      filesInMemory: { total: 100, perAddress: 60 },
      bodiesPerAddress: 2,
    })
    const [mine, others] = [bodies.holdFiles('a'), bodies.holdFiles('b')]
    expect([mine.takeIfFree(60), mine.takeIfFree(1), others.takeIfFree(41)]).toEqual([true, false, false])
    mine.release()
    expect(others.takeIfFree(41)).toBe(true)
    for (const [make, unit] of [
      [bodies.hold, 10],
      [bodies.spool, 100],
    ] as const) {
      const [first, second, other] = [make('a'), make('a'), make('b')]
      first.take(3 * unit)
      second.take(3 * unit)
      expect(() => second.take(1)).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }))
      other.take(4 * unit)
      expect(() => other.take(1)).toThrow(expect.objectContaining({ code: 'OVERLOADED', retryAfterMs: 1000 }))
      first.release()
      first.release()
      second.take(3 * unit)
      second.release()
      other.release()
      make('c').take(6 * unit)
    }
  })

  test('and so are bodies of an address: the one that began first goes first', () => {
    const bodies = createBodyMemory({
      ...{ memory: { total: 100, perAddress: 60 }, disk: { total: 1, perAddress: 1 } },
      filesInMemory: { total: 1, perAddress: 1 },
      bodiesPerAddress: 2,
    })
    const gone: string[] = []
    const begin = (address: string, name: string) => bodies.begin(address, () => gone.push(name))
    begin('a', 'a1').release()
    const second = begin('a', 'a2')
    begin('a', 'a3')
    begin('b', 'b1')
    expect(gone).toEqual([])
    begin('a', 'a4')
    expect(gone).toEqual(['a2'])
    second.release()
    begin('a', 'a5')
    expect(gone).toEqual(['a2', 'a3'])
  })

  test('and are given back by requests that are refused in the middle of their bodies', async () => {
    const { hostname, port, host } = new URL(fortress.url)
    const size = 40_000
    const head = `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nAuthorization: Bearer x\r\n`
    const chunk = `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`
    const refused = async () => {
      const socket = connect(Number(port), hostname)
      onTestFinished(() => void socket.destroy())
      socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}no size\r\n`)
      const [start] = await once(socket, 'data')
      expect(String(start)).toMatch(/^HTTP\/1.1 400 /)
      socket.destroy()
    }
    for (let held = 0; held <= bodyLimits.memory.perAddress; held += size) await refused()
    const body = `{"query":"{ __typename }"${' '.repeat(2 * size)}}`
    const whole = begin(body.slice(0, -1), { ...known, length: body.length })
    await once(whole.socket, 'connect')
    whole.socket.write(body.slice(-1))
    await expect.poll(() => statusOf(whole)).toBe(200)
  })

  test('of requests and of messages on sockets together', async () => {
    const { perAddress } = bodyLimits.memory
    const size = 900_000
    const fitting = Math.floor(perAddress / size)
    await fortress.beside(async () => {
      const lines = Array.from({ length: fitting + 3 }, () => begin('x'.repeat(size), known))
      await expect.poll(() => lines.filter((line) => statusOf(line) === 429).length).toBeGreaterThanOrEqual(3)
      const socket = new WebSocket(`${fortress.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
        headers: known,
      })
      const closed = once(socket, 'close')
      await once(socket, 'open')
      // A message that never ends.
      const more = setInterval(() => socket.send(' '.repeat(50_000), { fin: false }), 5)
      onTestFinished(() => clearInterval(more))
      const [code] = await closed
      clearInterval(more)
      expect([1009, 1013]).toContain(code)
      for (const { socket: each } of lines) each.destroy()
    })
    const again = begin('x'.repeat(size), known)
    await once(again.socket, 'connect')
    again.socket.end('x'.repeat(1_000_000 - size))
    await expect.poll(() => statusOf(again)).toBe(400)
  })
})
