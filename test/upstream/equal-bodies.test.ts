import { expect, onTestFinished, test } from 'vitest'
import { UpstreamError } from '../../src/errors.ts'
import { type Decode, EqualBodies, type EqualBodiesOptions } from '../../src/upstream/equal-bodies.ts'

/** Reads texts as http.ts does. */
function start(options: EqualBodiesOptions = {}) {
  const state = { now: 0 }
  const bodies = new EqualBodies({ now: () => state.now, ...options })
  onTestFinished(() => bodies.close())
  const read = (text: string, url = 'a'): { json: unknown; isKnown: boolean } => {
    const bytes = Buffer.from(text)
    const chunks = [bytes.subarray(0, 5), bytes.subarray(5, 9), bytes.subarray(9)]
    const known = bodies.find(url, chunks, bytes.length)
    if (known !== undefined) return { json: known, isKnown: true }
    const json: unknown = JSON.parse(text)
    bodies.keep(url, chunks, bytes.length, json)
    return { json, isKnown: false }
  }
  return { bodies, state, read, areKnown: (...texts: string[]) => texts.map((text) => read(text).isKnown) }
}

const text = (id: number) => JSON.stringify([{ id, name: 'Ada' }])

test('a body that a URL had before is found from the third read on, however it is cut into chunks', () => {
  const { bodies, read } = start()
  const reads = [1, 2, 3, 4].map(() => read(text(1)))
  expect(reads.map(({ isKnown }) => isKnown)).toEqual([false, false, true, true])
  expect(reads[3]?.json).toBe(reads[1]?.json)
  expect(bodies.find('a', [Buffer.from(text(1))], text(1).length)).toBe(reads[1]?.json)
})

test('a body with another byte anywhere, more bytes or fewer is another body', () => {
  const { bodies, read } = start()
  read(text(1))
  read(text(1))
  const known = Buffer.from(text(1))
  for (let at = 0; at < known.length; at += 1) {
    const other = Buffer.from(known)
    other[at] = (other[at] ?? 0) ^ 1
    expect(bodies.find('a', [other], other.length)).toBeUndefined()
    expect(bodies.find('a', [known.subarray(0, at)], at)).toBeUndefined()
  }
  expect(bodies.find('a', [known, Buffer.from(' ')], known.length + 1)).toBeUndefined()
  expect(bodies.find('b', [known], known.length)).toBeUndefined()
})

test('a body that came as text is found by the same text, and not by bytes', () => {
  const { bodies } = start()
  const [body, other] = [text(1), text(2)]
  const json: unknown = JSON.parse(body)
  bodies.keep('a', body, body.length, {})
  bodies.keep('a', body, body.length, json)
  expect(bodies.find('a', text(1), body.length)).toBe(json)
  expect(bodies.find('a', other, other.length)).toBeUndefined()
  expect(bodies.find('a', [Buffer.from(body)], body.length)).toBeUndefined()
})

test('a URL has two known bodies, and the one that was not found for longest makes room', () => {
  const { areKnown } = start()
  areKnown(text(0), text(1), text(2))
  expect(areKnown(text(1), text(2), text(1))).toEqual([true, true, true])
  expect(areKnown(text(3))).toEqual([false])
  expect(areKnown(text(3), text(1), text(2))).toEqual([true, true, false])
})

test('where each reader gets another body, one in 64 is kept', () => {
  const kept: number[] = []
  const { read } = start({ onShared: (json) => kept.push((json as { id: number }[])[0]?.id ?? 0) })
  for (let id = 1000; id < 1500; id += 1) expect(read(text(id)).isKnown).toBe(false)
  expect(kept.length).toBeLessThan(16)
  expect(kept.slice(-2)).toEqual([(kept.at(-1) ?? 0) - 65, kept.at(-1)])
})

test('the least recently read URLs are forgotten when all bodies together are too long', () => {
  const { bodies, read } = start({ maxBytes: 1500 })
  const long = JSON.stringify(['x'.repeat(300)])
  for (const url of ['a', 'a', 'b', 'b', 'a', 'c', 'c']) read(long, url)
  expect(['a', 'b', 'c'].filter((url) => bodies.find(url, [Buffer.from(long)], long.length))).toEqual([
    'a',
    'c',
  ])
})

test('URLs count with their characters, also those of which no body is kept', () => {
  const { bodies, read } = start({ maxBytes: 10_000 })
  for (let id = 0; id < 100; id += 1) read(text(id), `${id} ${'x'.repeat(2000)}`)
  expect(bodies.urls).toBeGreaterThan(1)
  expect(bodies.urls).toBeLessThan(5)
})

test('a known body is decoded once, and with another decoder again', () => {
  const { bodies, read } = start()
  let decoded = 0
  const decode = (json: unknown) => ({ json, number: ++decoded })
  const other = (json: unknown) => ({ json, number: -1 })
  read(text(1))
  const [first, second] = [read(text(1)).json, read(text(1)).json]
  const onUnreadable = () => expect.unreachable()
  expect(bodies.decode(first, decode, onUnreadable)).toBe(bodies.decode(second, decode, onUnreadable))
  expect(decoded).toBe(1)
  expect(bodies.decode(second, other, onUnreadable)).toEqual({ json: first, number: -1 })
  const unknown = JSON.parse(text(1))
  expect(bodies.decode(unknown, decode, onUnreadable)).not.toBe(bodies.decode(unknown, decode, onUnreadable))
})

test('each reader hears of items that could not be decoded', () => {
  const { bodies, read } = start()
  const heard: UpstreamError[] = []
  const decode = (_: unknown, onUnreadable: (error: UpstreamError) => void) => {
    onUnreadable(new UpstreamError('UPSTREAM_INVALID', 'A list is incomplete'))
    return []
  }
  for (let reader = 0; reader < 4; reader += 1)
    bodies.decode(read(text(1)).json, decode, (error) => heard.push(error))
  expect(heard).toHaveLength(4)
})

/** A body with an own number in one of twenty items. */
const own = (number: number, changed = 1) =>
  JSON.stringify(
    Array.from({ length: 20 }, (_, id) => ({ id, text: 'x'.repeat(80), own: id < changed ? number : 0 })),
  )

test('a body that differs from a known one in few items shares the others with it', () => {
  const { bodies, read } = start()
  read(own(0))
  const known = read(own(0)).json as object[]
  for (let number = 1; number < 9; number += 1) {
    const { json = [] } = bodies.assemble('a', Buffer.from(own(number))) ?? {}
    expect(json).toEqual(JSON.parse(own(number)))
    expect(Object.values(json).map((each, index) => each === known[index])).toEqual(
      known.map((_, index) => index > 0),
    )
  }
  expect(bodies.assemble('b', Buffer.from(own(1)))).toBeUndefined()
})

test('a body that was assembled is found when it comes again, and its parts serve the next one', () => {
  const { bodies, read } = start()
  read(own(0))
  read(own(0))
  const json = bodies.assemble('a', Buffer.from(own(1, 2)))?.json as object[]
  const [bytes] = [Buffer.from(own(1, 2))]
  expect(bodies.find('a', [bytes], bytes.length)).toBe(json)
  const next = bodies.assemble('a', Buffer.from(own(2, 1).replace('"own":0', '"own":1')))?.json as object[]
  expect(next.filter((each, index) => each === json[index])).toHaveLength(19)
})

test('an item that several bodies have in common is decoded once, and by itself', () => {
  const { bodies, read } = start()
  const decoded: unknown[] = []
  const alone = (item: unknown) => {
    decoded.push(item)
    return { item }
  }
  const decode: Decode<unknown[]> = (json, _, decodePart) =>
    (json as unknown[]).map((item) => decodePart(item, alone) ?? { item, isOther: true })
  const all = (json: unknown) => bodies.decode(json, decode, () => expect.unreachable())
  read(own(0))
  const known = read(own(0)).json
  expect(all(known).every((each) => Object.hasOwn(each as object, 'isOther'))).toBe(true)
  bodies.assemble('a', Buffer.from(own(1)))
  for (let number = 2; number < 9; number += 1) {
    const { json } = bodies.assemble('a', Buffer.from(own(number))) ?? {}
    const own0 = (json as object[])[0]
    expect(all(json)[0]).toEqual({ item: own0, ...(decoded.includes(own0) ? {} : { isOther: true }) })
  }
  // The known bodies have nineteen items in common, and those that were kept one of their own each.
  expect(new Set(decoded).size).toBe(decoded.length)
  expect(decoded.length).toBeLessThan(19 + 5)
})

test('where bodies have few items in common, most are not compared item by item', () => {
  const { bodies, read } = start()
  read(own(0))
  read(own(0))
  const assembles = (...numbers: number[]) =>
    numbers.map((number) => bodies.assemble('a', Buffer.from(own(number))) !== undefined)
  expect(assembles(1)).toEqual([true])
  for (let number = 1; number < 300; number += 1)
    expect(bodies.assemble('a', Buffer.from(own(number, 20)))).toBeUndefined()
  const outcomes = assembles(...Array.from({ length: 130 }, (_, index) => index))
  expect(outcomes.indexOf(true)).toBeGreaterThan(5)
  expect(outcomes.indexOf(true)).toBeLessThan(65)
  expect(outcomes.lastIndexOf(false)).toBe(outcomes.indexOf(true) - 1)
})
