import { beforeEach, describe, expect, test } from 'vitest'
import { RecentLog } from '../../src/events/recent-log.ts'

let log: RecentLog<string>

beforeEach(() => {
  log = new RecentLog({ maxEvents: 3, maxBytes: 100 })
})

const fill = (count: number, bytes = 1) => {
  for (let index = 1; index <= count; index += 1) log.push(`event ${index}`, `at ${index}`, bytes)
}
const events = (seq: number, limit?: number) => log.since(seq, limit)?.map(({ event }) => event)

describe('the log of recent events', () => {
  test('has the events after an entry, as many as are asked for', () => {
    fill(3)
    expect(events(0)).toEqual(['event 1', 'event 2', 'event 3'])
    expect(events(1, 1)).toEqual(['event 2'])
    expect(events(3)).toEqual([])
  })

  test('drops the oldest past the number of events, and says that they are missing', () => {
    fill(5)
    expect([log.seq, log.beginSeq, log.begin, log.offset]).toEqual([5, 2, 'at 2', 'at 5'])
    expect(events(1)).toBeUndefined()
    expect(events(2)).toEqual(['event 3', 'event 4', 'event 5'])
  })

  test('drops the oldest past the size, and has the newest event however long it is', () => {
    fill(3, 60)
    expect(events(2)).toEqual(['event 3'])
    log.push('long', 'at 4', 1000)
    expect([log.beginSeq, events(3)]).toEqual([3, ['long']])
  })

  test('finds the entry at an offset while it is in memory, and the offset right before the first one', () => {
    log.beginAt('start')
    expect(log.seqOf('start')).toBe(0)
    fill(5)
    expect(['start', 'at 1', 'at 2', 'at 3', 'at 5'].map((offset) => log.seqOf(offset))).toEqual([
      ...[undefined, undefined],
      ...[2, 3, 5],
    ])
  })

  test('begins at the given offset, unless it already has events', () => {
    log.beginAt('start')
    expect([log.begin, log.offset]).toEqual(['start', 'start'])
    fill(1)
    log.beginAt('later')
    expect([log.begin, log.offset]).toEqual(['start', 'at 1'])
  })

  test('gives an event without an offset that of the last one before it', () => {
    log.beginAt('start')
    log.push('typing', undefined, 1)
    log.push('one', 'at 1', 1)
    log.push('typing', undefined, 1)
    expect([1, 2, 3].map((seq) => log.offsetAt(seq))).toEqual(['start', 'at 1', 'at 1'])
    expect(log.offset).toBe('at 1')
  })

  test('finds the last entry up to an offset that it does not have', () => {
    fill(3)
    const isAfter = (one: string, other: string) => one > other
    expect(log.seqUpTo('at 2x', isAfter)).toBe(2)
    expect(log.seqUpTo('at 0', isAfter)).toBe(0)
    expect(log.seqUpTo('at 9', isAfter)).toBe(3)
  })

  test('replaces events that are amended, and keeps their numbers', () => {
    fill(2)
    log.amend((event) => (event === 'event 1' ? 'removed' : event))
    expect(log.since(0)).toMatchObject([
      { seq: 1, event: 'removed' },
      { seq: 2, event: 'event 2' },
    ])
  })

  test('is right after many more events than it has', () => {
    fill(1000)
    expect([log.beginSeq, events(997)]).toEqual([997, ['event 998', 'event 999', 'event 1000']])
    expect([log.seqOf('at 997'), log.seqOf('at 996'), log.offsetAt(999)]).toEqual([997, undefined, 'at 999'])
  })
})
