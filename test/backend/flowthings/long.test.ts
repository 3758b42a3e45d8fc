import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Long, parseWithLongs } from '../../../src/backend/flowthings/long.ts'
import { type Json, startThings, type TestThings } from '../../support/things.ts'
import { openSocket } from '../../support/things-socket.ts'

/* The type `long` has 64 bits: more than a number of JavaScript. */

let things: TestThings
beforeAll(async () => {
  things = await startThings()
})
afterAll(() => things.close())

const long = '4611686018427387905'
const least = '-9223372036854775808'
const add = (flow: Json, elems: string) => things.alice('POST', `/drop/${flow.id}`, `{"elems":${elems}}`)
const makeFlow = async (path: string): Promise<Json> => (await things.alice('POST', '/flow', { path })).body

test('whole numbers of 64 bits are parsed and written with all digits', () => {
  const text = `{"a":${long},"b":[${least},9223372036854775807],"c":12,"d":9007199254740993}`
  expect(JSON.stringify(parseWithLongs(text))).toBe(text)
  expect((parseWithLongs(text) as { a: unknown }).a).toBeInstanceOf(Long)
})

test('others are what JSON.parse makes of them', () => {
  const text = `{"a":9007199254740991,"b":9223372036854775808,"c":1234567890123456.75,"d":1e20,"e":"${long}","f":1.0}`
  expect(parseWithLongs(text)).toEqual(JSON.parse(text))
})

test('a long element is stored, found, shown and pushed with all digits, typed and plain', async () => {
  const flow = await makeFlow('/alice/longs')
  const socket = await openSocket(things.thingsUrl, things.alice)
  onTestFinished(() => socket.socket.terminate())
  const texts: string[] = []
  socket.socket.on('message', (data) => texts.push(String(data)))
  await socket.ask({ object: 'drop', type: 'subscribe', flowId: flow.id })
  const elems = `{"n":${long},"typed":{"type":"long","value":${least}},"list":[1,${long}],"map":{"deep":${long}}}`
  const created = await add(flow, elems)
  expect(created.status, created.text).toBe(201)
  const typed = [
    `"n":{"type":"long","value":${long}}`,
    `"typed":{"type":"long","value":${least}}`,
    `"list":{"type":"list","value":[{"type":"integer","value":1},{"type":"long","value":${long}}]}`,
    `"map":{"type":"map","value":{"deep":{"type":"long","value":${long}}}}`,
  ]
  const { id } = created.body
  const read = await things.alice('GET', `/drop/${flow.id}/${id}`)
  const changed = await things.alice('PUT', `/drop/${flow.id}/${id}`, { fhash: 'kept' })
  await socket.until(1)
  for (const part of typed)
    for (const text of [created.text, read.text, changed.text, texts.join()]) expect(text).toContain(part)
  const plain = await things.alice('GET', `/drop/${flow.id}`, undefined, 'v4.0')
  expect(plain.text).toContain(
    `"elems":{"n":${long},"typed":${least},"list":[1,${long}],"map":{"deep":${long}}}`,
  )
})

test('filters and aggregations compare long elements as doubles', async () => {
  const flow = await makeFlow('/alice/compared')
  await add(flow, `{"n":${long},"list":[${long}]}`)
  await add(flow, '{"n":2}')
  const find = async (filter: string): Promise<number> =>
    (await things.alice('GET', `/drop/${flow.id}?filter=${encodeURIComponent(filter)}`)).body.length
  expect(await find(`elems.n == ${long}`)).toBe(1)
  expect(await find(`elems.n IN [2,${long}]`)).toBe(2)
  expect(await find(`elems.n != ${long}`)).toBe(1)
  expect(await find('elems.n > 4611686018427380000')).toBe(1)
  expect(await find(`elems.list CONTAINS [${long}]`)).toBe(1)
  expect(await find('HAS long')).toBe(1)
  expect(await find(`elems.n == ${long} && AGE < 3600000 && elems.n % 2 == 0`)).toBe(1)
  const rows = await things.alice('POST', `/drop/${flow.id}/aggregate`, { output: ['$max:n', '$count'] })
  expect(rows.body).toEqual([{ id: {}, '$max:n': Number(long), $count: 2 }])
  const sorted = await things.alice('GET', `/drop/${flow.id}?sort=elems.n&order=asc&hints=0`)
  expect(sorted.body.map(({ elems }: Json) => elems.n)).toEqual([2, Number(long)])
})

test('a track copies all digits', async () => {
  const [source, target] = [await makeFlow('/alice/from'), await makeFlow('/alice/to')]
  await things.alice('POST', '/track', { source: source.path, destination: target.path })
  await add(source, `{"n":${long}}`)
  expect((await things.alice('GET', `/drop/${target.id}`)).text).toContain(`{"type":"long","value":${long}}`)
})

test('a long number is not taken where another value is expected', async () => {
  const refused = await things.alice('POST', '/flow', `{"path":"/alice/full","capacity":${long}}`)
  expect([refused.status, refused.head.errors[0]]).toEqual([400, expect.stringMatching(/capacity/)])
  const flow = await makeFlow('/alice/typed')
  expect((await add(flow, `{"n":{"type":"map","value":${long}}}`)).status).toBe(400)
  expect((await add(flow, `{"n":{"type":"string","value":${long}}}`)).status).toBe(400)
})

test('a long may be text, so that clients which write numbers as doubles can send all digits', async () => {
  const flow = await makeFlow('/alice/texts')
  const created = await add(
    flow,
    `{"n":{"type":"long","value":"${long}"},"small":{"type":"long","value":"-7"}}`,
  )
  expect(created.text).toContain(
    `"elems":{"n":{"type":"long","value":${long}},"small":{"type":"long","value":-7}}`,
  )
})

test('what has more than 64 bits is a float, and no long', async () => {
  const flow = await makeFlow('/alice/longer')
  const created = await add(flow, '{"a":9223372036854775808,"b":1e300,"c":-9223372036854775808}')
  expect(created.body.elems).toEqual({
    a: { type: 'float', value: 2 ** 63 },
    b: { type: 'float', value: 1e300 },
    c: { type: 'long', value: -(2 ** 63) },
  })
  for (const value of ['9223372036854775808', '"9223372036854775808"', '1e300', '1.5', '"1.5"', '"x"', '""'])
    expect((await add(flow, `{"n":{"type":"long","value":${value}}}`)).head.errors[0]).toBe(
      'Expected the element "n" of type long to be a whole number of 64 bits, or its digits as text',
    )
})
