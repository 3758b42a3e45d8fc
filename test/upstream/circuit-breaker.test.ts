import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createCircuitBreaker } from '../../src/upstream/circuit-breaker.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { createRetry } from '../../src/upstream/retry.ts'
import { createRandom } from '../support/query-generator.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

function connect(base: string, { seed = 1, connections = 4, deadlineMs = 1000 } = {}) {
  const random = createRandom(seed)
  const direct = createHttp({ deadlineMs, maxBytes: 10_000, connections })
  const retry = createRetry(direct, { deadlineMs, random })
  const http = createCircuitBreaker(retry, { probe: direct, random })
  onTestFinished(() => http.close())
  const request = (method: 'GET' | 'POST', signal?: AbortSignal) =>
    http.request({ method, url: new URL(`${base}/user`), headers: {}, signal })
  const read = (path: string) =>
    http.request({ method: 'GET', url: new URL(base + path), headers: {}, signal: undefined })
  return { http, retry, request, read }
}

const failed = { code: 'UPSTREAM_UNAVAILABLE', retryable: true }

test('a read that fails is repeated, and its operation does not notice', async () => {
  const upstream = await startScriptedUpstream((_, response, number) => {
    if (number === 0) response.socket?.destroy()
    else answerJson(response, number === 1 ? 503 : 200, { id: 1 })
  })
  const { request } = connect(upstream.url)
  expect(await request('GET')).toMatchObject({ status: 200, body: { id: 1 } })
  expect(upstream.requests).toHaveLength(3)
})

test('what may have changed something is never made again', async () => {
  const upstream = await startScriptedUpstream((_, response) => answerJson(response, 503, {}))
  const { request } = connect(upstream.url)
  await expect(request('POST')).rejects.toMatchObject(failed)
  expect(upstream.requests).toHaveLength(1)
})

test.each([400, 401, 404, 429])('a response is final: %i is not requested again', async (status) => {
  const upstream = await startScriptedUpstream((_, response) => answerJson(response, status, {}))
  const { request } = connect(upstream.url)
  await request('GET').catch(() => undefined)
  expect(upstream.requests).toHaveLength(1)
})

test('an outage is not made worse, and is reported at once; the first call that succeeds ends it', async () => {
  let isDown = true
  const upstream = await startScriptedUpstream((_, response) => answerJson(response, isDown ? 500 : 200, {}))
  const { http, request, read } = connect(upstream.url)
  for (let count = 0; count < 200; count += 1)
    await expect(read(`/flows/${count}`)).rejects.toMatchObject(failed)
  // Ten repetitions are saved up and four are earned, and twenty operations are enough.
  expect(upstream.requests.length).toBeLessThanOrEqual(34)
  expect(http.state()).toMatchObject({ openBreakers: [upstream.url] })
  const error = await request('POST').catch((reason: { retryAfterMs: number }) => reason)
  expect(error).toMatchObject({ ...failed, retryAfterMs: expect.any(Number) })

  isDown = false
  const deadline = Date.now() + 5000
  while (Date.now() < deadline && (await request('GET').catch(() => undefined)) === undefined)
    await new Promise((resolve) => setTimeout(resolve, 20))
  expect(http.state().openBreakers).toEqual([])
  expect(await request('GET')).toMatchObject({ status: 200 })
})

test('a page that keeps failing is left alone, and its operations count once each', async () => {
  const upstream = await startScriptedUpstream((_, response) => answerJson(response, 500, {}))
  const { http, read } = connect(upstream.url)
  for (let count = 0; count < 100; count += 1) await expect(read('/bad?page=2')).rejects.toMatchObject(failed)
  expect(upstream.requests.length).toBeGreaterThanOrEqual(20)
  expect(upstream.requests.length).toBeLessThanOrEqual(34)
  expect(http.state().openBreakers).toEqual([`${upstream.url}/bad`])
})

test.each([
  ['another page', ['/bad'], '/good'],
  ['another page of the same list', ['/list?until=1'], '/list?until=2'],
  ['another page, beside many that fail', Array.from({ length: 40 }, (_, index) => `/bad/${index}`), '/good'],
])('all reads of %s succeed beside one that fails always, and so do writes', async (_, bad, good) => {
  const upstream = await startScriptedUpstream(({ url = '' }, response) =>
    answerJson(response, bad.includes(url) ? 500 : 200, {}),
  )
  const { http, read, request } = connect(upstream.url)
  for (let count = 0; count < 120; count += 1) {
    const [failing, reading] = await Promise.allSettled([read(bad[count % bad.length] as string), read(good)])
    expect([failing.status, reading.status]).toEqual(['rejected', 'fulfilled'])
  }
  expect(await request('POST')).toMatchObject({ status: 200 })
  expect(http.state().openBreakers).not.toContain(upstream.url)
})

test('where one call in five fails, few operations notice, and the upstream gets a quarter more calls at most', async () => {
  const random = createRandom(7)
  const upstream = await startScriptedUpstream((_, response) =>
    answerJson(response, random() < 0.2 ? 503 : 200, {}),
  )
  const { request } = connect(upstream.url)
  let failures = 0
  // As many at a time as leaves the budget its course.
  for (let count = 0; count < 50; count += 1)
    await Promise.all(Array.from({ length: 8 }, () => request('GET').catch(() => (failures += 1))))
  expect(failures).toBeLessThanOrEqual(20)
  expect(upstream.requests.length).toBeLessThanOrEqual(400 * 1.25)
})

test('writes that fail, as on a full disk, do not keep reads from being made', async () => {
  const upstream = await startScriptedUpstream(({ method }, response) =>
    answerJson(response, method === 'GET' ? 200 : 507, {}),
  )
  const { http, request } = connect(upstream.url)
  for (let count = 0; count < 40; count += 1) await expect(request('POST')).rejects.toMatchObject(failed)
  expect(await request('GET')).toMatchObject({ status: 200 })
  expect(http.state().openBreakers).toEqual([])
})

test('who leaves while a repetition waits ends it', async () => {
  const leaving = new AbortController()
  const upstream = await startScriptedUpstream((_, response) => {
    answerJson(response, 503, {})
    setImmediate(() => leaving.abort(new Error('left')))
  })
  const { request } = connect(upstream.url, { seed: 3 })
  await expect(request('GET', leaving.signal)).rejects.toThrow('left')
  expect(upstream.requests.length).toBeLessThanOrEqual(2)
})

test('an upstream that closes connections just as they are used again: no read fails, and no write is made twice', async () => {
  const idleMs = 4
  const received = new Map<string, number>()
  let closed = 0
  const server = createServer((socket) => {
    let timer: NodeJS.Timeout | undefined
    socket.on('error', () => undefined)
    socket.on('close', () => clearTimeout(timer))
    socket.on('data', (bytes) => {
      clearTimeout(timer)
      const name = /^\w+ \S+/.exec(bytes.toString('latin1'))?.[0] ?? ''
      received.set(name, (received.get(name) ?? 0) + 1)
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}')
      timer = setTimeout(() => {
        closed += 1
        socket.destroy()
      }, idleMs)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { http, retry } = connect(base, { seed: 3, connections: 32, deadlineMs: 10_000 })
  const random = createRandom(5)
  const failures: string[] = []
  const unknown: string[] = []
  const caller = async (index: number) => {
    for (let count = 0; count < 320; count += 1) {
      await new Promise((resolve) => setTimeout(resolve, idleMs - 2 + random() * 4))
      const method = count % 4 === 0 ? 'POST' : 'GET'
      await http
        .request({ method, url: new URL(`${base}/${index}/${count}`), headers: {}, signal: undefined })
        .catch((error: { code: string }) => (method === 'GET' ? failures : unknown).push(error.code))
    }
  }
  await Promise.all(Array.from({ length: 32 }, (_, index) => caller(index)))
  expect(failures).toEqual([])
  expect([...received].filter(([name, times]) => name.startsWith('POST') && times > 1)).toEqual([])
  // Whoever wrote is told that it is not known what became of it.
  expect(new Set(unknown)).toEqual(new Set(['UPSTREAM_UNAVAILABLE']))
  expect(closed).toBeGreaterThan(100)
  expect(retry.retries).toBe(0)
  expect(http.state().refusals).toBe(0)
})
