import { expect, test } from 'vitest'
import { createSingleFlight } from '../../src/upstream/flowdock/single-flight.ts'
import type { HttpAnswer } from '../../src/upstream/http.ts'

function scripted() {
  const calls: { signal: AbortSignal; answer: (body: string) => void }[] = []
  const make = (signal: AbortSignal) =>
    new Promise<HttpAnswer>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason))
      calls.push({ signal, answer: (body) => resolve({ status: 200, headers: {}, body }) })
    })
  return { calls, make }
}

test('concurrent equal reads share one call; a later read is another call', async () => {
  const { calls, make } = scripted()
  const reads = createSingleFlight()
  const ask = () => reads.read('ada', '/flows', undefined, make)
  const both = [ask(), ask()]
  calls[0]?.answer('flows')
  expect((await Promise.all(both)).map(({ body }) => body)).toEqual(['flows', 'flows'])
  const later = ask()
  calls[1]?.answer('later')
  expect((await later).body).toBe('later')
  expect(calls).toHaveLength(2)
})

test('reads are not shared with another principal, or with reads from before a change', async () => {
  const { calls, make } = scripted()
  const reads = createSingleFlight()
  const ada = reads.read('ada', '/flows', undefined, make)
  const ben = reads.read('ben', '/flows', undefined, make)
  reads.changed('ada')
  const again = reads.read('ada', '/flows', undefined, make)
  const joined = reads.read('ben', '/flows', undefined, make)
  expect(calls).toHaveLength(3)
  for (const [index, { answer }] of calls.entries()) answer(String(index))
  expect((await Promise.all([ada, ben, again, joined])).map(({ body }) => body)).toEqual(['0', '1', '2', '1'])
})

test('who leaves takes nothing from those who wait; the call ends with the last of them', async () => {
  const { calls, make } = scripted()
  const reads = createSingleFlight()
  const [first, second] = [new AbortController(), new AbortController()]
  const left = reads.read('ada', '/flows', first.signal, make)
  const waiting = reads.read('ada', '/flows', second.signal, make)
  first.abort(new Error('gone'))
  await expect(left).rejects.toThrow('gone')
  expect(calls[0]?.signal.aborted).toBe(false)
  second.abort(new Error('gone, too'))
  await expect(waiting).rejects.toThrow('gone, too')
  expect(calls[0]?.signal.aborted).toBe(true)
  const leaving = new AbortController()
  const both = [1, 2].map(() => reads.read('ada', '/users', leaving.signal, make))
  leaving.abort(new Error('gone at once'))
  await expect(Promise.all(both)).rejects.toThrow('gone at once')
  expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, true])
  const anew = reads.read('ada', '/flows', undefined, make)
  calls[2]?.answer('anew')
  expect((await anew).body).toBe('anew')
})
