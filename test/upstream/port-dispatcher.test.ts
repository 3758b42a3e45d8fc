import { MessageChannel } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { EqualBodies } from '../../src/upstream/equal-bodies.ts'
import { createHttp, type Http, type HttpOptions, type HttpRequest } from '../../src/upstream/http.ts'
import { createRetry } from '../../src/upstream/retry.ts'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openScriptedPort, type ScriptedPort } from '../support/port.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

/* Calls to a backend in another thread of the process go over a message port, and nobody can tell them from calls over HTTP. */

const httpOptions = { deadlineMs: 10_000, maxBytes: 16 * 1024 * 1024, connections: 8 }

describe('the backend answers over a message port what it answers over HTTP', () => {
  let backend: TestBackend
  let overHttp: Http
  let overPort: Http
  let token: string
  beforeAll(async () => {
    const { port1: port, port2: gatewayPort } = new MessageChannel()
    backend = await startTestBackend({ gatewayPort, traffic: { strangerRequestsPerMinute: 1000 } })
    overHttp = createHttp(httpOptions)
    overPort = createHttp({ ...httpOptions, ownBackend: { origin: backend.url, port } })
    token = await backend.token('Ada')
  })
  afterAll(async () => {
    await overPort.close()
    await overHttp.close()
    await backend.close()
  })

  /** What is different for each connection, and for each call. */
  const own = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding'])

  async function ask(
    http: Http,
    method: HttpRequest['method'],
    path: string,
    more: Partial<HttpRequest> = {},
  ) {
    const headers = { authorization: basic(token), ...more.headers }
    const url = new URL(backend.url + path)
    const answer = await http.request({ method, url, signal: undefined, ...more, headers })
    return {
      ...answer,
      headers: Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !own.has(name))),
    }
  }

  async function askBoth(method: HttpRequest['method'], path: string, more?: Partial<HttpRequest>) {
    const expected = await ask(overHttp, method, path, more)
    const answer = await ask(overPort, method, path, more)
    expect(answer).toEqual(expected)
    return answer
  }

  const main = '/flows/example/main'

  test.each<[number, HttpRequest['method'], string, Partial<HttpRequest>?]>([
    [200, 'GET', '/user'],
    [200, 'GET', `${main}/messages?limit=3&sort=desc`],
    [200, 'GET', `${main}/threads?limit=1`],
    [200, 'GET', `${main}?users=0`],
    [400, 'POST', `${main}/messages`, { body: { event: 'message' } }],
    [400, 'PUT', '/users/1', { body: { nick: 'a b' } }],
    [401, 'GET', '/user', { headers: { authorization: 'Bearer wrong' } }],
    [403, 'GET', '/user', { headers: { 'flowdock-act-as': '1' } }],
    [404, 'GET', '/flows/example/nowhere'],
    [404, 'GET', '/service/v1/head'],
    [405, 'DELETE', '/search'],
    [413, 'POST', '/messages', { body: 'x'.repeat(20_000), headers: { authorization: '' } }],
  ])('%i to %s %s', async (status, method, path, more) => {
    expect(await askBoth(method, path, more)).toMatchObject({ status })
  })

  test('with a long target, and 431 for one that is too long', async () => {
    const search = (length: number) => askBoth('GET', `/search?search=${'a'.repeat(length)}`)
    expect(await search(20_000)).toMatchObject({ status: 200 })
    expect(await search(40_000)).toMatchObject({ status: 431 })
  })

  test('with the headers of a page, and 304 for one that is unchanged', async () => {
    const { headers } = await askBoth('GET', `${main}/messages?limit=3`)
    const version = String(headers['flowdock-page'])
    expect(headers).toMatchObject({ 'flowdock-user': '1', 'content-length': expect.stringMatching(/^\d+$/) })
    const unchanged = await askBoth('GET', `${main}/messages?limit=3`, {
      headers: { 'flowdock-page': version },
    })
    expect(unchanged).toMatchObject({ status: 304, body: undefined, headers: { 'flowdock-page': version } })
  })

  test('with the next page of threads', async () => {
    const { headers } = await askBoth('GET', `${main}/threads?limit=1`)
    expect(headers['link']).toMatch(/^<http.*>; rel="next"$/)
  })

  test.each([
    ['other alphabets', 'žluťoučký 日本語 عربى'],
    ['emoji', '👩‍👩‍👧 🚀'],
    ['half of a character', 'a\ud83dz'],
    ['line breaks and quotes', 'one\r\ntwo\u2028"three"\\'],
  ])('with %s', async (_, content) => {
    const url = new URL(`${backend.url}${main}/messages`)
    const headers = { authorization: basic(token) }
    const body = { event: 'message', content }
    const sent = await overPort.request({ method: 'POST', url, headers, body, signal: undefined })
    expect(sent).toMatchObject({ status: 201, body: { content: content.toWellFormed() } })
    const { body: page } = await askBoth('GET', `${main}/messages?limit=1`)
    expect(page).toMatchObject([{ content: content.toWellFormed() }])
  })

  test('with a file of five mebibytes in the body', async () => {
    const data = Buffer.alloc(5 * 1024 * 1024, 7).toString('base64')
    const content = { data, content_type: 'text/plain', file_name: 'a.txt' }
    const headers = { authorization: basic(token) }
    const url = new URL(`${backend.url}${main}/messages`)
    const request = {
      method: 'POST' as const,
      url,
      headers,
      body: { event: 'file', content },
      signal: undefined,
    }
    expect(await overPort.request(request)).toMatchObject({ status: 201 })
    const { body } = await askBoth('GET', `${main}/messages?limit=1`)
    expect(body).toMatchObject([{ event: 'file', content: { file_size: 5 * 1024 * 1024 } }])
  })

  test('with 429 and a pause once a client has sent too much', async () => {
    const { port1: port, port2: gatewayPort } = new MessageChannel()
    const strict = await startTestBackend({ gatewayPort, traffic: { requestsPerMinute: 1 } })
    const http = createHttp({ ...httpOptions, ownBackend: { origin: strict.url, port } })
    onTestFinished(async () => {
      await http.close()
      await strict.close()
    })
    const headers = { authorization: basic(await strict.token('Ada')) }
    const read = () =>
      http.request({ method: 'GET', url: new URL(`${strict.url}/user`), headers, signal: undefined })
    await read()
    await expect(read()).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) })
  })

  test('also a picture, and a file, which only HTTP carries', async () => {
    const { status, headers } = await askBoth('GET', `/avatars/${'0'.repeat(32)}/`)
    expect([status, headers['content-type']]).toEqual([200, 'image/png'])
    const { body: page } = await ask(overPort, 'GET', `${main}/messages?event=file&limit=1`)
    const [{ content }] = page as [{ content: { path: string } }]
    const { headers: found } = await ask(overPort, 'GET', content.path)
    const stored = new URL(String(found['location']))
    expect(await askBoth('GET', stored.pathname + stored.search)).toMatchObject({ status: 200 })
  })

  test('while both are used, 10,000 calls at once get an answer each', async () => {
    const ids = Array.from({ length: 10_000 }, (_, index) => index)
    const bodies = await Promise.all(
      ids.map(async (id) => (await ask(overPort, 'GET', `/flows/example/nowhere${id}`)).status),
    )
    expect(new Set(bodies)).toEqual(new Set([404]))
  })
})

describe('a call over a message port', () => {
  const origin = 'http://127.0.0.1:9'

  function connect(scripted: ScriptedPort, options: Partial<HttpOptions> = {}) {
    const http = createHttp({ ...httpOptions, ownBackend: { origin, port: scripted.port }, ...options })
    onTestFinished(() => http.close())
    return http
  }

  const get = (http: Http, path: string, more: Partial<HttpRequest> = {}) =>
    http.request({ method: 'GET', url: new URL(origin + path), headers: {}, signal: undefined, ...more })

  test('brings the host, the headers and the body', async () => {
    const scripted = openScriptedPort((request, { answer }) => answer(request, { a: 1 }, 201))
    const headers = { Authorization: 'Bearer x', 'x-request-id': '7' }
    const answer = await get(connect(scripted), '/a?b=%20', { method: 'POST', headers, body: { c: 'é' } })
    expect(answer).toMatchObject({ status: 201, body: { a: 1 } })
    expect(scripted.requests).toMatchObject([
      {
        method: 'POST',
        target: '/a?b=%20',
        headers: {
          host: '127.0.0.1:9',
          authorization: 'Bearer x',
          'x-request-id': '7',
          'content-type': 'application/json',
        },
        body: '{"c":"é"}',
      },
    ])
  })

  test.each([
    ['a line break', 'a\nhost:evil'],
    ['a character that is no byte', '日'],
  ])('is not made with %s in a header', async (_, value) => {
    const scripted = openScriptedPort((request, { answer }) => answer(request, 1))
    const http = connect(scripted, { connections: 1 })
    const before = get(http, '/before')
    const refused = get(http, '/', { headers: { accept: value } })
    const after = get(http, '/after')
    await before
    await expect(refused).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
    await after
    expect(scripted.requests.map(({ target }) => target)).toEqual(['/before', '/after'])
  })

  test('ends when its client leaves, and gives its place to the next', async () => {
    const leaving = new AbortController()
    const scripted = openScriptedPort((request, { answer }) => {
      if (request.target === '/next') answer(request, 'next')
      else leaving.abort()
    })
    const http = connect(scripted, { connections: 1 })
    const left = get(http, '/left', { signal: leaving.signal })
    const next = get(http, '/next')
    await expect(left).rejects.toMatchObject({ name: 'AbortError' })
    expect(await next).toMatchObject({ body: 'next' })
    expect(scripted.aborted).toEqual([scripted.requests[0]?.id])
  })

  test('that its client leaves before its turn is not made', async () => {
    const leaving = new AbortController()
    const scripted = openScriptedPort((request, { answer }) => {
      leaving.abort()
      answer(request, 'first')
    })
    const http = connect(scripted, { connections: 1 })
    const first = get(http, '/first')
    await expect(get(http, '/second', { signal: leaving.signal })).rejects.toMatchObject({
      name: 'AbortError',
    })
    await first
    await get(http, '/third')
    expect(scripted.requests.map(({ target }) => target)).toEqual(['/first', '/third'])
    expect(scripted.aborted).toEqual([])
  })

  test('ends after its time, and a late answer is nobody’s', async () => {
    const late = Promise.withResolvers<void>()
    const scripted = openScriptedPort((request, { answer }) => {
      if (request.target === '/next') answer(request, 'next')
      else late.promise.then(() => answer(request, 'late'))
    })
    const http = connect(scripted, { connections: 1, deadlineMs: 200 })
    await expect(get(http, '/slow')).rejects.toMatchObject({ code: 'UPSTREAM_TIMEOUT' })
    late.resolve()
    expect(await get(http, '/next')).toMatchObject({ body: 'next' })
  })

  test.each([
    ['bytes', 'x'.repeat(998), 'x'.repeat(999)],
    ['characters of three bytes', '日'.repeat(332), '日'.repeat(333)],
  ])('has an answer of so many %s at most', async (_, longest, tooLong) => {
    const scripted = openScriptedPort((request, { answer }) =>
      answer(request, request.target === '/longest' ? longest : tooLong),
    )
    const http = connect(scripted, { maxBytes: 1000 })
    expect(await get(http, '/longest')).toMatchObject({ body: longest })
    await expect(get(http, '/longer')).rejects.toMatchObject({ code: 'UPSTREAM_INVALID', retryable: false })
  })

  test('whose answer is no JSON brings text, as over HTTP', async () => {
    const scripted = openScriptedPort((request, { answer }) =>
      answer(request, 'text', 404, { 'content-type': 'text/plain' }),
    )
    expect(await get(connect(scripted), '/')).toMatchObject({ status: 404, body: '"text"' })
  })

  test('waits until fewer than so many are in progress, in the order of their calls', async () => {
    const { promise: open, resolve } = Promise.withResolvers<void>()
    let running = 0
    let most = 0
    const scripted = openScriptedPort(async (request, { answer }) => {
      running += 1
      most = Math.max(most, running)
      if (running === 8) resolve()
      await open
      running -= 1
      answer(request, request.target)
    })
    const http = connect(scripted)
    const paths = Array.from({ length: 100 }, (_, index) => `/${index}`)
    const answers = await Promise.all(paths.map(async (path) => (await get(http, path)).body))
    expect(answers).toEqual(paths)
    expect(scripted.requests.map(({ target }) => target)).toEqual(paths)
    expect(most).toBe(8)
  })

  test('leaves turns of the event loop to others, however many answers arrive at once', async () => {
    const scripted = openScriptedPort()
    const http = connect(scripted, { connections: 500 })
    let turn = 0
    let isOver = false
    const count = () => {
      turn += 1
      if (!isOver) setImmediate(count)
    }
    const perTurn = new Map<number, number>()
    const calls = Array.from({ length: 500 }, async (_, index) => {
      await get(http, `/${index}`)
      perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1)
    })
    await expect.poll(() => scripted.requests.length).toBe(500)
    count()
    for (const request of scripted.requests) scripted.answer(request, 1)
    await Promise.all(calls)
    isOver = true
    expect(Math.max(...perTurn.values())).toBeLessThanOrEqual(32)
  })

  test('whose answer waits to be parsed is not parsed, when one with the same bytes was parsed meanwhile', async () => {
    const scripted = openScriptedPort()
    const http = connect(scripted)
    const shared: unknown[] = []
    const equalBodies = new EqualBodies({ onShared: (value) => shared.push(value) })
    onTestFinished(() => equalBodies.close())
    const read = (path: string) => get(http, path, { equalBodies })
    const answerAll = () => {
      for (const request of scripted.requests.splice(0))
        scripted.answer(request, request.target === '/long' ? 'x'.repeat(200_000) : { id: 1 })
    }
    const first = read('/flow')
    await vi.waitFor(() => expect(scripted.requests.length).toBe(1))
    answerAll()
    await first
    const reads = ['/long', ...Array.from({ length: 7 }, () => '/flow')].map(read)
    await vi.waitFor(() => expect(scripted.requests.length).toBe(8))
    answerAll()
    const [, ...answers] = await Promise.all(reads)
    expect(shared).toEqual([{ id: 1 }])
    for (const { body } of answers) expect(body).toBe(shared[0])
  })

  test('that only HTTP can carry is made over HTTP', async () => {
    const upstream = await startScriptedUpstream((_, response) => answerJson(response, 200, 'over HTTP'))
    const scripted = openScriptedPort((request, { decline }) => decline(request))
    const http = connect(scripted, { ownBackend: { origin: upstream.url, port: scripted.port } })
    const url = new URL(`${upstream.url}/picture`)
    expect(await http.request({ method: 'GET', url, headers: {}, signal: undefined })).toMatchObject({
      body: 'over HTTP',
    })
    expect(scripted.requests.length).toBe(1)
  })

  test('to another server is made over HTTP', async () => {
    const upstream = await startScriptedUpstream((_, response) => answerJson(response, 200, 'other'))
    const scripted = openScriptedPort()
    const url = new URL(upstream.url)
    const answer = await connect(scripted).request({ method: 'GET', url, headers: {}, signal: undefined })
    expect(answer).toMatchObject({ body: 'other' })
    expect(scripted.requests).toEqual([])
  })

  describe('while the thread ends', () => {
    test('fails, as on a connection that closes', async () => {
      const scripted = openScriptedPort((_, { close }) => close())
      const http = connect(scripted, { connections: 1 })
      await expect(get(http, '/read')).rejects.toMatchObject({
        code: 'UPSTREAM_UNAVAILABLE',
        retryable: true,
        cause: { code: 'UND_ERR_SOCKET' },
      })
    })

    test('is repeated over what there is then if it is a read, and never if it is a write', async () => {
      const upstream = await startScriptedUpstream((_, response) => answerJson(response, 200, 'again'))
      const first = openScriptedPort((_, { close }) => close())
      const second = openScriptedPort((request, { answer }) => answer(request, 'again, over a port'))
      const present: { port: ScriptedPort['port'] | undefined } = first
      const backend = {
        origin: upstream.url,
        get port() {
          return present.port
        },
      }
      const http = createRetry(connect(first, { ownBackend: backend }), {
        deadlineMs: 10_000,
        random: () => 0,
      })
      const ask = (method: 'GET' | 'POST', path: string) =>
        http.request({ method, url: new URL(upstream.url + path), headers: {}, signal: undefined })
      first.port.on('close', () => {
        present.port = undefined
      })
      expect(await ask('GET', '/1')).toMatchObject({ body: 'again' })
      present.port = second.port
      expect(await ask('GET', '/2')).toMatchObject({ body: 'again, over a port' })
      const third = openScriptedPort((_, { close }) => close())
      present.port = third.port
      await expect(ask('POST', '/3')).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
      expect(third.requests.map(({ target }) => target)).toEqual(['/3'])
      expect(upstream.requests.map(({ url }) => url)).toEqual(['/1'])
    })

    test('ends with its answer if that was sent, however many were', async () => {
      const scripted = openScriptedPort()
      const http = connect(scripted, { connections: 200 })
      const calls = Array.from({ length: 200 }, (_, index) => get(http, `/${index}`))
      await expect.poll(() => scripted.requests.length).toBe(200)
      for (const request of scripted.requests) scripted.answer(request, request.target)
      scripted.close()
      const bodies = (await Promise.all(calls)).map(({ body }) => body)
      expect(bodies).toEqual(scripted.requests.map(({ target }) => target))
    })

    test('goes to HTTP from then on, until there is another thread', async () => {
      const upstream = await startScriptedUpstream((_, response) => answerJson(response, 200, 'over HTTP'))
      const scripted = openScriptedPort((_, { close }) => close())
      const http = connect(scripted, { ownBackend: { origin: upstream.url, port: scripted.port } })
      const ask = () =>
        http.request({ method: 'POST', url: new URL(upstream.url), headers: {}, signal: undefined })
      await expect(ask()).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
      expect(await ask()).toMatchObject({ body: 'over HTTP' })
      expect(await ask()).toMatchObject({ body: 'over HTTP' })
    })

    test('goes to HTTP if it was not made yet', async () => {
      const upstream = await startScriptedUpstream((_, response) => answerJson(response, 200, 'over HTTP'))
      const scripted = openScriptedPort((_, { close }) => close())
      const http = connect(scripted, {
        connections: 1,
        ownBackend: { origin: upstream.url, port: scripted.port },
      })
      const ask = (path: string) =>
        http.request({ method: 'POST', url: new URL(upstream.url + path), headers: {}, signal: undefined })
      const made = ask('/made')
      const queued = ask('/queued')
      await expect(made).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
      expect(await queued).toMatchObject({ body: 'over HTTP' })
    })
  })

  test('fails once the gateway is closed', async () => {
    const scripted = openScriptedPort()
    const http = connect(scripted, { connections: 1 })
    const calls = [get(http, '/running'), get(http, '/queued')]
    await http.close()
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
    await expect(get(http, '/later')).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
  })
})

describe('a backend that stops', () => {
  test('answers what it has begun over a message port, and begins nothing more', async () => {
    const { port1: port, port2: gatewayPort } = new MessageChannel()
    const backend = await startTestBackend({ gatewayPort })
    const http = createHttp({ ...httpOptions, ownBackend: { origin: backend.url, port } })
    onTestFinished(() => http.close())
    const headers = { authorization: basic(await backend.token('Ada')) }
    const url = new URL(`${backend.url}/flows/example/main/messages`)
    const send = (content: string) =>
      http.request({ method: 'POST', url, headers, body: { event: 'message', content }, signal: undefined })
    const release = Promise.withResolvers<void>()
    const held = backend.store.write(() => release.promise)
    const begun = send('begun')
    // The request before it has an answer, so that it has begun.
    await http.request({ method: 'GET', url, headers, signal: undefined })
    const closing = backend.close()
    const late = send('late')
    await expect(late).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
    release.resolve()
    expect(await begun).toMatchObject({ status: 201 })
    await held
    await closing
  })
})
