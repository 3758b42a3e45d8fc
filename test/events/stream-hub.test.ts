import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Audience, Topic } from '../../src/events/audience.ts'
import { type Principal, StreamHub } from '../../src/events/stream-hub.ts'
import { Receivers } from '../support/receivers.ts'

const audiences = fc.array(fc.constantFrom<Audience[]>('f:a', 'f:b', 'f:c', 'u:1', 'u:2'), {
  minLength: 1,
  maxLength: 30,
})

/** A hub that is live after `history`, of which the last `inMemory` events are in memory. */
function startHub(history: readonly Audience[], inMemory: number) {
  const proofs: Principal[] = []
  const delivered: number[] = []
  const receivers = new Receivers()
  const hub: StreamHub<string> = new StreamHub({
    limits: { maxEvents: Math.max(inMemory, 1), maxBytes: 1_000_000 },
    effects: {
      ...{
        connect() {},
        disconnect() {},
        foreign() {},
        say() {},
        drain() {},
        replay() {},
        end() {},
        drop() {},
      },
      join: (reader, _, its) => receivers.set(reader, its),
      move: (reader, its) => receivers.set(reader, its),
      gap: () => expect.unreachable(),
      part: () => hub.log.seq,
      prove: (principal) => proofs.push(principal),
      deliver({ number, audiences: of }) {
        if (receivers.of(of).length > 0) delivered.push(number)
      },
    },
  })
  const push = (of: Audience) =>
    hub.frame(hub.log.end + 1, { event: '', bytes: 1, audiences: [of], change: undefined })
  return {
    ...{ hub, delivered, push },
    open(topic: Topic, after: number) {
      const reader = hub.subscribe('principal', topic, after, 0)
      if (hub.logId === undefined) {
        hub.opened({ log: 'log', at: 0, first: 1 })
        for (const each of history) push(each)
        hub.head(history.length)
      }
      for (const principal of proofs.splice(0))
        hub.proved(principal, {
          ...{ log: 'log', at: hub.log.end, user: 1, grant: 'grant', flows: ['a', 'b'] },
          ...{ receivesFlows: true, isPrivate: true, expiresAt: undefined },
        })
      return reader
    },
  }
}

test('who resumes after any event receives the rest of the log that is theirs, each once and in order', () => {
  const topic = fc.constantFrom<Topic[]>(
    { flows: 'all', isPrivate: true },
    { flows: 'all', isPrivate: false },
    { flows: ['b'], isPrivate: true },
  )
  fc.assert(
    fc.property(audiences, audiences, topic, fc.nat({ max: 40 }), (history, later, asked, inMemory) => {
      const all = [...history, ...later]
      const isTheirs = (of: Audience) =>
        of === 'u:1'
          ? asked.isPrivate
          : (of === 'f:b' || of === 'f:a') && (asked.flows === 'all' || asked.flows.includes(of.slice(2)))
      for (let after = 0; after <= history.length; after += 1) {
        const { hub, open, delivered, push } = startHub(history, inMemory)
        const reader = open(asked, after)
        const received: number[] = []
        // The upstream sends what is older than the memory.
        if (reader.state === 'replaying') {
          const until = hub.log.begin
          for (let number = after + 1; number <= until; number += 1)
            if (isTheirs(all[number - 1] as Audience)) received.push(number)
          hub.replayed(reader, until)
        }
        for (let entry = hub.next(reader); entry !== undefined; entry = hub.next(reader))
          received.push(entry.number)
        expect(reader.state).toBe('live')
        for (const each of later) push(each)
        const expected = all.flatMap((of, index) => (index >= after && isTheirs(of) ? [index + 1] : []))
        expect([...received, ...delivered]).toEqual(expected)
      }
    }),
  )
})

test('principals that come and go leave nothing', () => {
  const { hub, open } = startHub(['f:a'], 10)
  const stays = open({ flows: 'all', isPrivate: true }, 0)
  for (let index = 0; index < 1000; index += 1) {
    const reader = hub.subscribe(`borrower ${index}`, { flows: 'all', isPrivate: true }, undefined, index)
    hub.leave(reader, index)
  }
  expect(hub.principalCount).toBe(1001)
  hub.tick(100_000)
  expect(hub.principalCount).toBe(1)
  expect(hub.readerCount).toBe(1)
  expect(stays.state).toBe('draining')
})
