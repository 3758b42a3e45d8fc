import { expect, onTestFinished, test } from 'vitest'
import { createTickets } from '../../src/tickets.ts'
import type { Credential } from '../../src/upstream/flowdock/credentials.ts'
import { parseAuthorization } from '../../src/upstream/flowdock/credentials.ts'
import { createProofs } from '../../src/upstream/flowdock/proofs.ts'
import { createFileUploads } from '../../src/upstream/flowdock/uploads.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

async function start(status: () => number) {
  let time = 0
  const now = () => time
  const upstream = await startScriptedUpstream((request, response) => {
    request.resume()
    if (request.url === '/user') answerJson(response, status(), { id: 1, nick: 'Ada' })
    else answerJson(response, 400, {})
  })
  const http = createHttp({ deadlineMs: 1000, maxBytes: 10_000, connections: 2 })
  onTestFinished(() => http.close())
  const prove = createProofs({ http, restUrl: upstream.url }, now)
  const pass = (ms: number) => {
    time += ms
  }
  return { http, upstream, prove, pass, now }
}
const credential = (authorization: string) => parseAuthorization(authorization) as Credential

test('a credential is checked once in ten seconds while it is valid', async () => {
  const { prove, upstream, pass } = await start(() => 200)
  for (let count = 0; count < 3; count += 1) await prove(credential('Bearer x'))
  expect(upstream.requests.map(({ url }) => url)).toEqual(['/user'])
  await prove(credential('Bearer y'))
  pass(10_000)
  await prove(credential('Bearer x'))
  expect(upstream.requests).toHaveLength(3)
})

test.each([
  [401, 'UNAUTHENTICATED'],
  [500, 'UPSTREAM_UNAVAILABLE'],
  [302, 'UPSTREAM_INVALID'],
  [429, 'RATE_LIMITED'],
])('an upstream that answers %i has not confirmed it, and is asked again', async (status, code) => {
  const { prove, upstream } = await start(() => status)
  for (let count = 1; count <= 2; count += 1) {
    await expect(prove(credential('Bearer x'))).rejects.toMatchObject({ code })
    expect(upstream.requests).toHaveLength(count)
  }
})

test('the call is counted where it is made, and not made where it may not be', async () => {
  const { prove, upstream } = await start(() => 200)
  const refuse = () => {
    throw new Error('no more calls')
  }
  await expect(prove(credential('Bearer x'), refuse)).rejects.toThrow('no more calls')
  expect(upstream.requests).toEqual([])
  let calls = 0
  const count = () => {
    calls += 1
  }
  await prove(credential('Bearer x'), count)
  await prove(credential('Bearer x'), count)
  expect([calls, upstream.requests.length]).toEqual([1, 1])
})

test('that of an application that may not see its user is valid, too', async () => {
  const { prove } = await start(() => 403)
  await expect(prove(credential('Bearer x'))).resolves.toBeUndefined()
})

test('nothing of an upload is read when its credential has become invalid', async () => {
  let status = 200
  const { http, upstream, prove, pass, now } = await start(() => status)
  const uploads = createFileUploads(
    { http, restUrl: upstream.url, tickets: createTickets(['k'.repeat(32)], now), prove },
    now,
  )
  const upload = {
    channel: 'example/main',
    threadId: undefined,
    name: 'a.txt',
    contentType: 'text/plain',
    tags: [],
    uuid: 'x',
  }
  const { path } = await uploads.address(credential('Bearer x'), upload)
  status = 401
  pass(10_000)
  let read = 0
  async function* bytes() {
    read += 1
    yield Buffer.from('text')
  }
  const id = path.slice('/uploads/'.length)
  const signal = new AbortController().signal
  await expect(uploads.send(id, bytes(), signal)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
  expect(read).toBe(0)
  expect(upstream.requests.map(({ url }) => url)).toEqual(['/user', '/user'])
})
