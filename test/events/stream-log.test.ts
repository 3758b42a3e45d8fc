import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StreamLog } from '../../src/events/stream-log.ts'

const entry = (event: number, isSignal: boolean, bytes: number) => ({
  ...{ event, isSignal, bytes, audiences: [], change: undefined },
})

test('the log in memory is the end of all that came, within its limits', () => {
  const push = fc.record({ isSignal: fc.boolean(), bytes: fc.nat({ max: 40 }) })
  fc.assert(
    fc.property(fc.array(push, { maxLength: 300 }), fc.nat({ max: 1000 }), (pushes, begin) => {
      const log = new StreamLog<number>({ maxEvents: 20, maxBytes: 300 })
      log.restart(begin)
      const all: { seq: number; number: number; isSignal: boolean; bytes: number }[] = []
      let end = begin
      for (const [index, { isSignal, bytes }] of pushes.entries()) {
        if (!isSignal) end += 1
        const pushed = log.push(entry(index, isSignal, bytes))
        all.push({ seq: index + 1, number: end, isSignal, bytes })
        expect(pushed).toMatchObject({
          seq: index + 1,
          number: end,
          offset: isSignal ? undefined : String(end),
        })
      }
      const kept = log.since(log.beginSeq) ?? []
      expect(kept.map(({ event }) => event)).toEqual(all.slice(log.beginSeq).map(({ seq }) => seq - 1))
      expect(log.size).toBe(kept.length)
      expect(log.size).toBeLessThanOrEqual(20)
      expect(log.bytes).toBe(kept.reduce((sum, { bytes }) => sum + bytes, 0))
      if (log.size > 1) expect(log.bytes).toBeLessThanOrEqual(300)
      expect(log.end).toBe(end)
      expect(log.begin).toBe(all[log.beginSeq - 1]?.number ?? begin)
      for (let number = log.begin; number <= log.end; number += 1) {
        const seq = log.seqOf(number)
        expect(log.numberAt(seq)).toBe(number)
        const after = log.since(seq)?.filter(({ isSignal }) => !isSignal) ?? []
        expect(after.map((each) => each.number)).toEqual(
          Array.from({ length: log.end - number }, (_, index) => number + index + 1),
        )
      }
      expect(log.offsetAt(log.seq)).toBe(String(log.end))
      expect(log.next(log.seq)).toBeUndefined()
      if (log.beginSeq > 0) expect(log.since(log.beginSeq - 1)).toBeUndefined()
    }),
  )
})

test('events in memory are amended', () => {
  const log = new StreamLog<number>({ maxEvents: 20, maxBytes: 300 })
  for (let index = 0; index < 30; index += 1) log.push(entry(index, false, 1))
  log.amend((event) => (event === 25 ? -1 : event))
  expect(log.since(24)?.map(({ event }) => event)).toEqual([24, -1, 26, 27, 28, 29])
})

test('a log that begins again has nothing of the last one', () => {
  const log = new StreamLog<number>({ maxEvents: 20, maxBytes: 300 })
  for (let index = 0; index < 5; index += 1) log.push(entry(index, false, 1))
  log.restart(70)
  expect(log).toMatchObject({ begin: 70, end: 70, seq: 5, beginSeq: 5, size: 0, bytes: 0 })
  expect(log.push(entry(9, false, 1))).toMatchObject({ seq: 6, number: 71 })
})
