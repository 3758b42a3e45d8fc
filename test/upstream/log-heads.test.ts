import type { ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { LogHeads } from '../../src/upstream/flowdock/log-heads.ts'
import { createHttp } from '../../src/upstream/http.ts'
import { eventually } from '../support/app.ts'
import { answerJson, startScriptedUpstream } from '../support/upstream.ts'

async function start() {
  const waiting: ServerResponse[] = []
  const upstream = await startScriptedUpstream((_, response) => waiting.push(response))
  const http = createHttp({ deadlineMs: 2000, maxBytes: 1_000_000, connections: 4 })
  onTestFinished(() => http.close())
  const heads = new LogHeads({ http, restUrl: upstream.url, token: new Secret('token') })
  const answer = async (status: number, body: object) => {
    await eventually(() => waiting.length > 0)
    answerJson(waiting.shift() as ServerResponse, status, body)
  }
  return { heads, upstream, answer }
}

test('who asks while a call is under way gets the answer of the next one, which is one for all of them', async () => {
  const { heads, upstream, answer } = await start()
  const first = heads.latest()
  const others = [heads.latest(), heads.latest()]
  await answer(200, { log: 'log', at: 1 })
  expect(await first).toEqual({ log: 'log', at: 1 })
  await answer(200, { log: 'log', at: 2 })
  expect(await Promise.all(others)).toEqual([
    { log: 'log', at: 2 },
    { log: 'log', at: 2 },
  ])
  expect(upstream.requests).toHaveLength(2)
  expect(upstream.requests[0]?.headers.authorization).toBe('Bearer token')
})

test('a failure is undefined, and the next one asks again', async () => {
  const { heads, answer } = await start()
  const failed = heads.latest()
  await answer(503, {})
  expect(await failed).toBeUndefined()
  const next = heads.latest()
  await answer(200, { log: 'log', at: 3 })
  expect(await next).toEqual({ log: 'log', at: 3 })
})

test('a backend that does not have the call is not asked again for a while', async () => {
  const { heads, upstream, answer } = await start()
  const missing = heads.latest()
  await answer(404, {})
  expect(await missing).toBeUndefined()
  expect(await heads.latest()).toBeUndefined()
  expect(upstream.requests).toHaveLength(1)
})
