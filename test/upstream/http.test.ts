import type { ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { buildUrl } from '../../src/upstream/build-url.ts'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createFlowdock } from '../../src/upstream/flowdock/index.ts'
import { createHttp, type HttpOptions, type UpstreamCall } from '../../src/upstream/http.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

function connect(base: string, options: Partial<HttpOptions> = {}, signal?: AbortSignal) {
  const calls: UpstreamCall[] = []
  const http = createHttp({
    deadlineMs: 500,
    maxBytes: 10_000,
    connections: 4,
    onCall: (call) => calls.push(call),
    ...options,
  })
  onTestFinished(() => http.close())
  return {
    flowdock: createFlowdock({ http, base, credential: parseAuthorization('Bearer secret-token'), signal }),
    calls,
    http,
  }
}

describe('what the upstream does becomes an error with a stable code', () => {
  test.each([
    [
      400,
      { message: 'Validation error', errors: { content: ["can't be blank"] } },
      { code: 'BAD_USER_INPUT', fields: [{ field: 'content', message: "can't be blank" }] },
    ],
    [401, 'HTTP Basic: Access denied.', { code: 'UNAUTHENTICATED' }],
    [403, { message: 'Access denied' }, { code: 'FORBIDDEN' }],
    [404, { message: 'not found' }, { code: 'NOT_FOUND' }],
    [409, {}, { code: 'CONFLICT' }],
    [500, '<html>stack trace with /var/secrets</html>', { code: 'UPSTREAM_UNAVAILABLE', retryable: true }],
    [302, '', { code: 'UPSTREAM_INVALID' }],
  ])('%i', async (status, body, error) => {
    const upstream = await startScriptedUpstream((_, response) => answerJson(response, status, body))
    const failure: Error = await connect(upstream.url)
      .flowdock.users.viewer()
      .then(
        () => expect.unreachable(),
        (reason: Error) => reason,
      )
    expect(failure).toMatchObject(error)
    expect(failure.message).not.toMatch(/secret|html|Access denied\./)
  })

  test.each([
    ['7', 7000],
    [new Date(Date.now() + 60_000).toUTCString(), expect.closeTo(60_000, -4)],
    ['1e9', undefined],
    ['-5', 0],
    ['99999999', 300_000],
  ])('429 with Retry-After: %s', async (header, retryAfterMs) => {
    const upstream = await startScriptedUpstream((_, response) => {
      response.writeHead(429, { 'retry-after': header })
      response.end()
    })
    await expect(connect(upstream.url).flowdock.users.viewer()).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      retryAfterMs,
    })
  })

  test('no answer in time', async () => {
    const upstream = await startScriptedUpstream(() => undefined)
    await expect(connect(upstream.url).flowdock.users.viewer()).rejects.toMatchObject({
      code: 'UPSTREAM_TIMEOUT',
    })
  })

  test('a body that drips for ever', async () => {
    const upstream = await startScriptedUpstream((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const drip = setInterval(() => response.write(' '), 50)
      response.on('close', () => clearInterval(drip))
    })
    await expect(connect(upstream.url).flowdock.users.viewer()).rejects.toMatchObject({
      code: 'UPSTREAM_TIMEOUT',
    })
  })

  test('no response', async () => {
    await expect(connect('http://127.0.0.1:9').flowdock.users.viewer()).rejects.toMatchObject({
      code: 'UPSTREAM_UNAVAILABLE',
    })
  })

  test.each([
    ['more than is read', JSON.stringify({ nick: 'x'.repeat(20_000) })],
    ['broken JSON', '{"id":'],
    ['JSON of another shape', '[1,2]'],
    ['a field of another type', '{"id":"1","nick":"a"}'],
  ])('%s', async (_, body) => {
    const upstream = await startScriptedUpstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(body)
    })
    await expect(connect(upstream.url).flowdock.users.viewer()).rejects.toMatchObject({
      code: 'UPSTREAM_INVALID',
    })
  })
})

describe('the response to an upload is bounded as any other', () => {
  const upload = async (respond: (response: ServerResponse) => void, deadlineMs = 5000) => {
    const upstream = await startScriptedUpstream((request, response) => {
      request.resume().on('end', () => respond(response))
    })
    const { http, calls } = connect(upstream.url, { deadlineMs })
    async function* bytes() {
      for (let count = 0; count < 10; count += 1) yield Buffer.alloc(10_000)
    }
    const answer = await http
      .upload(new URL('/messages', upstream.url), {}, bytes(), undefined)
      .catch((error) => error)
    return { answer, calls }
  }

  test.each([
    ['at once', (response: ServerResponse) => response.writeHead(201).end('x'.repeat(20_000))],
    [
      'without an end',
      (response: ServerResponse) => {
        response.writeHead(201)
        const more = () => {
          while (!response.destroyed && response.write('x'.repeat(4000)));
        }
        response.on('drain', more)
        more()
      },
    ],
  ])('in bytes, %s', async (_, respond) => {
    const { answer } = await upload(respond)
    expect(answer).toMatchObject({ code: 'UPSTREAM_INVALID', retryable: false })
  })

  test('in time, from when the upstream begins to respond', async () => {
    const { answer } = await upload((response) => {
      response.writeHead(201)
      const drip = setInterval(() => response.write(' '), 50)
      response.on('close', () => clearInterval(drip))
    }, 300)
    expect(answer).toMatchObject({ code: 'UPSTREAM_TIMEOUT' })
  })

  test('and one that is as long as it may be is read', async () => {
    const { answer, calls } = await upload((response) => {
      response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify('x'.repeat(9900)))
    })
    expect(answer).toMatchObject({ status: 201, body: 'x'.repeat(9900) })
    expect(calls).toMatchObject([{ method: 'POST', status: 201 }])
  })
})

test('a client that leaves ends the call', async () => {
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  const leaving = new AbortController()
  const upstream = await startScriptedUpstream((request) => {
    request.on('close', close)
    leaving.abort()
  })
  const { flowdock } = connect(upstream.url, { deadlineMs: 10_000 }, leaving.signal)
  await expect(flowdock.users.viewer()).rejects.toMatchObject({ name: 'AbortError' })
  await closed
})

test('streams take no connection away from calls', async () => {
  const upstream = await startScriptedUpstream((request, response) => {
    if (request.url === '/stream') {
      response.writeHead(200)
      response.write('\n')
    } else answerJson(response, 200, { id: 1, nick: 'Ada' })
  })
  const { flowdock, http } = connect(upstream.url, { connections: 1 })
  const ending = new AbortController()
  const streams = await Promise.all(
    Array.from({ length: 20 }, () => http.openStream(new URL('/stream', upstream.url), {}, ending.signal)),
  )
  expect(streams.every(({ status }) => status === 200)).toBe(true)
  expect(await flowdock.users.viewer()).toMatchObject({ nick: 'Ada' })
  for (const { chunks } of streams)
    (async () => {
      for await (const _ of chunks);
    })().catch(() => undefined)
  ending.abort()
})

describe('whatever a name holds, it is one segment of the address', () => {
  test.each([
    'a/b',
    'a?x=1',
    'a#x',
    'a;b',
    'a b',
    '%2e%2e',
    '..%2f',
    'a\\b',
    'a\u0000',
    '／',
    'x'.repeat(10_000),
  ])('%j', (name) => {
    const url = buildUrl('http://api.example', ['flows', 'acme', name], {})
    expect(url.pathname.split('/')).toEqual(['', 'flows', 'acme', encodeURIComponent(name)])
    expect(url.search + url.hash).toBe('')
  })

  test.each(['..', '.', ''])('%j names nothing', (name) => {
    expect(() => buildUrl('http://api.example', ['flows', name, 'users'], {})).toThrow(
      /There is nothing called/,
    )
  })
})

describe('credentials', () => {
  test.each([
    'Bearer a\r\nX-Evil: 1',
    'Bearer \u0000',
    'Bearer é',
    `Bearer ${'x'.repeat(5000)}`,
    'Digest x',
    'Basic',
    42,
    {},
  ])('that cannot be sent are refused: %j', (header) => {
    expect(() => parseAuthorization(header)).toThrow(/Expected Authorization/)
  })

  test('are never shown', () => {
    const credential = parseAuthorization('Bearer secret-token')
    expect(`${credential?.authorization} ${JSON.stringify(credential)}`).not.toContain('secret-token')
    expect(parseAuthorization('Bearer secret-token')?.principal).toBe(credential?.principal)
    expect(parseAuthorization('Bearer other')?.principal).not.toBe(credential?.principal)
  })
})

test('responses that arrive together are not parsed together: other work runs in between', async () => {
  const body = { text: 'x'.repeat(60_000) }
  const waiting: ServerResponse[] = []
  const upstream = await startScriptedUpstream((_, response) => {
    if (waiting.push(response) === 40) for (const each of waiting) answerJson(each, 200, body)
  })
  const { http } = connect(upstream.url, { maxBytes: 100_000, connections: 40, deadlineMs: 5000 })
  let turn = 0
  let isOver = false
  const count = () => {
    turn += 1
    if (!isOver) setImmediate(count)
  }
  count()
  const perTurn = new Map<number, number>()
  await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const url = new URL(`${upstream.url}/${index}`)
      const answer = await http.request({ method: 'GET', url, headers: {}, signal: undefined })
      expect(answer.body).toEqual(body)
      perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1)
    }),
  )
  isOver = true
  expect(Math.max(...perTurn.values())).toBeLessThanOrEqual(6)
})

test.each([
  ['breaks off in the middle of a head', (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nContent-')],
  ['says something else than HTTP', (socket: Socket) => socket.write('* OK IMAP4rev1\r\n')],
  ['closes the connection at once', (socket: Socket) => socket.destroy()],
  ['says nothing', () => undefined],
])('an upstream that %s is asked once for a read', async (_, answer) => {
  let calls = 0
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => {
      calls += 1
      answer(socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { http } = connect('', { deadlineMs: 1500 })
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/user`)
  const failure = http.request({ method: 'GET', url, headers: {}, signal: undefined })
  await expect(failure).rejects.toMatchObject({ retryable: true })
  expect(calls).toBe(1)
})

describe('an idle connection that is closed just as it is used again', () => {
  async function start() {
    const heard: string[] = []
    const server = createServer((socket) => {
      let isUsed = false
      socket.on('error', () => undefined)
      socket.on('data', (bytes) => {
        heard.push(/^\w+ \S+/.exec(bytes.toString('latin1'))?.[0] ?? '')
        if (isUsed) return socket.destroy()
        isUsed = true
        socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}')
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { http, calls } = connect('', { connections: 1 })
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const request = (method: 'GET' | 'POST', path: string) =>
      http.request({ method, url: new URL(base + path), headers: {}, signal: undefined })
    return { http, base, request, heard, calls }
  }

  test('is no matter to a read', async () => {
    const { request, heard, calls } = await start()
    await request('GET', '/1')
    expect(await request('GET', '/2')).toMatchObject({ status: 200, body: {} })
    expect(heard).toEqual(['GET /1', 'GET /2', 'GET /2'])
    expect(calls.map(({ status }) => status)).toEqual([200, 200])
  })

  test('nor to a file', async () => {
    const { http, base, heard } = await start()
    const download = async (path: string) => {
      const { chunks } = await http.openDownload(new URL(base + path), {}, new AbortController().signal)
      let text = ''
      for await (const chunk of chunks) text += Buffer.from(chunk).toString()
      return text
    }
    await download('/1')
    // The connection is free again.
    await new Promise(setImmediate)
    expect(await download('/2')).toBe('{}')
    expect(heard).toEqual(['GET /1', 'GET /2', 'GET /2'])
  })

  test('leaves a write unknown: it is not made again', async () => {
    const { request, heard } = await start()
    await request('GET', '/1')
    await expect(request('POST', '/2')).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
    expect(heard).toEqual(['GET /1', 'POST /2'])
  })
})
