import { expect, test } from 'vitest'
import { createBulkhead } from '../../src/upstream/bulkhead.ts'
import type { Http, HttpAnswer, HttpRequest } from '../../src/upstream/http.ts'

/** Calls that a test answers, by the principals they are of. */
function setUp(options: { callsEach: number; callsInAll?: number; waitMs?: number; overdue?: () => Error }) {
  const running: { principal: string; answer: () => void }[] = []
  const http = {
    request: ({ principal = '' }: HttpRequest) =>
      new Promise<HttpAnswer>((resolve) =>
        running.push({ principal, answer: () => resolve({ status: 200, headers: {}, body: undefined }) }),
      ),
  } as Partial<Http> as Http
  const fair = createBulkhead(http, { waitMs: 60_000, ...options })
  const call = (principal: string, signal?: AbortSignal) =>
    fair.request({ method: 'GET', url: new URL('http://x'), headers: {}, principal, signal })
  const principals = () => running.map(({ principal }) => principal).join('')
  const turn = () => new Promise(setImmediate)
  return { running, call, principals, turn }
}

test('each principal has a limit of concurrent calls, and so have all together', async () => {
  const { call, principals } = setUp({ callsEach: 2, callsInAll: 3 })
  for (const principal of ['a', 'a', 'a', 'b', 'b', 'c']) void call(principal)
  expect(principals()).toBe('aab')
})

test('principals take turns', async () => {
  const { call, running, principals, turn } = setUp({ callsEach: 2, callsInAll: 2 })
  for (const principal of ['a', 'a', 'a', 'a', 'a', 'b', 'b', 'c']) void call(principal)
  for (let index = 0; index < 6; index += 1) {
    running[index]?.answer()
    await turn()
  }
  expect(principals()).toBe('aaabcaba')
})

test('a call that waits longer than it may fails with the error that says so, and takes no turn', async () => {
  const { call, running, principals, turn } = setUp({
    callsEach: 1,
    waitMs: 1,
    overdue: () => new Error('Overdue'),
  })
  void call('a')
  await expect(call('a')).rejects.toThrow('Overdue')
  const left = new AbortController()
  const leaving = call('a', left.signal)
  left.abort(new Error('Left'))
  await expect(leaving).rejects.toThrow('Left')
  running[0]?.answer()
  await turn()
  void call('a')
  expect(principals()).toBe('aa')
})
