import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createEventBound, createStalledEvents } from '../../src/upstream/flowdock/event-bound.ts'

const limits = { maxBytes: 100, maxSkippedBytes: 1000 }
const bytes = (text: string) => new Uint8Array(Buffer.from(text))

/** What a reader gets of a text that comes in pieces of the given lengths, in turn. */
function read(text: string, lengths: readonly number[], bound = createEventBound(limits)): string {
  const whole = bytes(text)
  const passed: Uint8Array[] = []
  let at = 0
  for (let turn = 0; at < whole.length; turn += 1) {
    const length = lengths[turn % lengths.length] as number
    passed.push(...bound.take(whole.slice(at, at + length)))
    at += length
  }
  return Buffer.concat(passed).toString()
}

/** The events of a stream as a browser parses it. [spec] HTML, "Parsing an event stream" */
function parse(text: string): { id: string; data: string }[] {
  const events: { id: string; data: string }[] = []
  let id = ''
  let data: string[] = []
  for (const line of text.split(/\r\n|\r|\n/).slice(0, -1)) {
    if (line === '') {
      if (data.length > 0) events.push({ id, data: data.join('\n') })
      data = []
    } else if (line.startsWith('id:')) id = line.slice(3).replace(/^ /, '')
    else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
  }
  return events
}

const ends = fc.constantFrom('\n', '\r', '\r\n')
const length = fc.oneof(fc.nat(80), fc.integer({ min: 250, max: 700 }))
const anyEvent = fc.record({
  end: ends,
  id: fc.boolean(),
  idLast: fc.boolean(),
  comment: fc.boolean(),
  length,
})

describe('the bound of an event stream', () => {
  test('passes events on as they are, however they are cut, and one that is too long as a broken one with its id', () => {
    fc.assert(
      fc.property(
        fc.array(anyEvent, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 }),
        (kinds, lengths) => {
          const events = kinds.map((kind, index) => {
            const id = kind.id ? `id: ${index + 1}${kind.end}` : ''
            const data = `data: {"x":"${'y'.repeat(kind.length)}"}${kind.end}`
            const comment = kind.comment ? `: hello${kind.end}` : ''
            return comment + (kind.idLast ? data + id : id + data) + kind.end
          })
          const expected = parse(events.join(''))
          const heard = parse(read(events.join(''), lengths))
          expect(heard.map(({ id }) => id)).toEqual(expected.map(({ id }) => id))
          heard.forEach(({ data }, index) => {
            if ((kinds[index]?.length ?? 0) < 100) expect(data).toBe(expected[index]?.data)
            else expect(() => JSON.parse(data)).toThrow(SyntaxError)
          })
        },
      ),
      { numRuns: 500 },
    )
  })

  test('gives chunks back as they are when no event is too long', () => {
    const chunk = bytes('id: 1\ndata: {}\n\n: hello\nid: 2\ndata: ')
    expect(createEventBound(limits).take(chunk)[0]).toBe(chunk)
  })

  test('keeps nothing of what it skips, and gives up what does not end', () => {
    const bound = createEventBound(limits)
    expect(read(`data: ${'x'.repeat(90)}`, [96], bound)).toHaveLength(96)
    expect(read('x'.repeat(900), [30], bound)).toBe('')
    expect(() => read('x'.repeat(30), [30], bound)).toThrow(RangeError)
  })

  test.each([
    ['', undefined],
    [':\n:\n:\n', undefined],
    ['id: 1\ndata: {}\n\n', undefined],
    ['id: 1\ndata: {}\n\n:\n', undefined],
    ['id: 1\n', { bytes: 6, id: '1', isTooLong: false }],
    ['id: 1', { bytes: 5, id: undefined, isTooLong: false }],
    [':\nid: 7\ndata: {"', { bytes: 14, id: '7', isTooLong: false }],
    [`id: 7\nd${'x'.repeat(200)}`, { bytes: 207, id: '7', isTooLong: true }],
    [`id: ${'7'.repeat(300)}\nd`, { bytes: 306, id: undefined, isTooLong: true }],
  ])('knows what is unfinished after %j', (text, unfinished) => {
    const bound = createEventBound(limits)
    read(text, [7], bound)
    expect(bound.unfinished()).toEqual(unfinished)
  })
})

test('an event counts as stalled at the third connection that ends at the same byte of it, or in it when it is too long', () => {
  const stalled = createStalledEvents()
  const event = (bytes: number, isTooLong = false) => ({ bytes, id: undefined, isTooLong })
  expect([20, 20, 21, 21].map((bytes) => stalled.ended('1', event(bytes)))).toEqual([
    false,
    false,
    false,
    false,
  ])
  expect(stalled.ended('2', event(21))).toBe(false)
  expect([stalled.ended('2', event(21)), stalled.ended('2', event(21))]).toEqual([false, true])
  const long = [500, 900, 700].map((bytes) => stalled.ended('2', event(bytes, true)))
  expect(long).toEqual([false, false, true])
})
