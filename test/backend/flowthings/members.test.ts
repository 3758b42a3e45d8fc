import { expect, onTestFinished, test } from 'vitest'
import { startThings } from '../../support/things.ts'

async function start() {
  const things = await startThings()
  onTestFinished(things.close)
  const { alice } = things
  const flow = (await alice('POST', '/flow', { path: '/alice/a', description: 'kept' })).body
  const drop = (await alice('POST', `/drop/${flow.id}`, { elems: { a: 1 }, note: 'kept' })).body
  return { alice, flow: `/flow/${flow.id}`, drop: `/drop/${flow.id}/${drop.id}` }
}

test('a member alone is only replaced: other methods, and no value, change nothing', async () => {
  const { alice, flow, drop } = await start()
  const before = [(await alice('GET', flow)).body, (await alice('GET', drop)).body]
  for (const path of [`${flow}/description`, `${drop}/elems`, `${drop}/note`]) {
    expect((await alice('DELETE', path)).status, path).toBe(405)
    expect((await alice('GET', path)).status, path).toBe(405)
    expect((await alice('PUT', path)).status, path).toBe(400)
  }
  expect([(await alice('GET', flow)).body, (await alice('GET', drop)).body]).toEqual(before)
  expect((await alice('PUT', `${drop}/elems`, { a: 2 })).status).toBe(200)
})

test('a number that no double holds is refused, not stored as null', async () => {
  const { alice, flow, drop } = await start()
  const url = (path: string) => alice('GET', path).then(({ body }) => body)
  const before = [await url(flow), await url(drop)]
  // JavaScript cannot write such a number itself.
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }
  const huge = rawJSON('1e400')
  for (const a of [huge, rawJSON('-1e400'), { type: 'float', value: huge }, { deep: [huge] }])
    expect((await alice('PUT', drop, { elems: { a } })).status).toBe(400)
  expect((await alice('PUT', flow, { description: huge })).status).toBe(400)
  expect([await url(flow), await url(drop)]).toEqual(before)
})

test('a path with control characters or half a surrogate pair is refused', async () => {
  const { alice } = await start()
  for (const path of ['/alice/z\u0000z', '/alice/\ud800'])
    expect((await alice('POST', '/flow', { path })).status, JSON.stringify(path)).toBe(400)
})
