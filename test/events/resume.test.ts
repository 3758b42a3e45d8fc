import fc from 'fast-check'
import { expect, test } from 'vitest'
import { resume } from '../../src/events/resume.ts'
import { Subscriber } from '../../src/events/subscriber.ts'

interface Event {
  readonly name: string
  /** Undefined for what is kept nowhere. */
  readonly place: string | undefined
}

const limits = { maxEvents: 1000, maxBytes: 1_000_000 }

/**
 * A log that both a replay and live events come from, each delayed as it pleases: `steps` says who delivers next, or
 * that something new happens.
 */
async function play(
  history: number,
  after: number,
  steps: readonly ('happen' | 'replay' | 'live' | 'signal')[],
) {
  const log: Event[] = Array.from({ length: history }, (_, index) => ({
    name: `h${index}`,
    place: String(index),
  }))
  const live = new Subscriber<Event>(limits, () => undefined)
  const waitingLive: Event[] = []
  let replays = 0
  let replay: { subscriber: Subscriber<Event>; next: number } | undefined
  const results: Event[] = []
  const reading = (async () => {
    const options = {
      live,
      after: String(after),
      placeOf: ({ place }: Event) => place,
      isGap: () => false,
      replay: (from: string) => {
        replays += 1
        const subscriber = new Subscriber<Event>(limits, () => undefined)
        replay = { subscriber, next: Number(from) + 1 }
        return subscriber
      },
    }
    for await (const event of resume(options)) results.push(event)
  })()
  const settle = () => new Promise(setImmediate)
  const deliverReplay = () => {
    const event = replay && log[replay.next]
    if (replay === undefined || event === undefined) return false
    replay.next += 1
    replay.subscriber.push(event, 1)
    return true
  }
  const happen = () => {
    const event = { name: `e${log.length}`, place: String(log.length) }
    log.push(event)
    waitingLive.push(event)
  }

  await settle()
  for (const step of steps) {
    if (step === 'happen') happen()
    if (step === 'signal') waitingLive.push({ name: 'signal', place: undefined })
    if (step === 'replay') deliverReplay()
    const next = step === 'live' ? waitingLive.shift() : undefined
    if (next !== undefined) live.push(next, 1)
    await settle()
  }
  // At last everything arrives, whoever is asked for it.
  happen()
  for (let turn = 0; turn < 3 * (log.length + 10); turn += 1) {
    const next = waitingLive.shift()
    if (next !== undefined) live.push(next, 1)
    deliverReplay()
    await settle()
  }
  await live.return()
  await settle()
  replay?.subscriber.fail(new Error('over'))
  await reading.catch(() => undefined)
  return { log, results: results.filter(({ place }) => place !== undefined), replays }
}

test('whoever is ahead, each event comes once and in order, with none left out', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 12 }),
      fc.nat(),
      fc.array(fc.constantFrom('happen', 'replay', 'live', 'signal'), { maxLength: 40 }),
      async (history, seed, steps) => {
        const after = (seed % (history + 1)) - 1
        const { log, results } = await play(history, after, steps)
        expect(results.map(({ name }) => name)).toEqual(log.slice(after + 1).map(({ name }) => name))
      },
    ),
    { numRuns: 300 },
  )
}, 60_000)

test('a replay its reader cannot keep up with begins again where the reader is', async () => {
  const log = Array.from({ length: 500 }, (_, index) => ({ name: `e${index}`, place: String(index) }))
  const live = new Subscriber<Event>(limits, () => undefined)
  let replays = 0
  const events = resume<Event>({
    live,
    after: '-1',
    placeOf: ({ place }) => place,
    isGap: () => false,
    replay(from) {
      replays += 1
      const subscriber = new Subscriber<Event>({ ...limits, maxEvents: 50 }, () => undefined)
      // Faster than anybody reads: all there is at once.
      setImmediate(() => {
        for (const event of log.slice(Number(from) + 1, Number(from) + 100)) subscriber.push(event, 1)
        setImmediate(() => subscriber.push({ name: 'signal', place: undefined }, 1))
      })
      return subscriber
    },
  })
  const names: string[] = []
  for await (const { name, place } of events) {
    if (place !== undefined) names.push(name)
    if (names.length === 60) break
  }
  expect(names).toEqual(log.slice(0, 60).map(({ name }) => name))
  expect(replays).toBeGreaterThan(1)
})

test('what ends the live events ends both, and leaving closes both', async () => {
  const closed: string[] = []
  const live = new Subscriber<Event>(limits, () => closed.push('live'))
  const make = () => new Subscriber<Event>(limits, () => closed.push('replay'))
  const failing = resume<Event>({
    live,
    after: '0',
    placeOf: ({ place }) => place,
    isGap: () => false,
    replay: make,
  })
  const next = failing.next()
  live.fail(new Error('the credential is gone'))
  await expect(next).rejects.toThrow('the credential is gone')
  expect(closed.sort()).toEqual(['live', 'replay'])

  const other = new Subscriber<Event>(limits, () => closed.push('other'))
  const replaying = make()
  const left = resume<Event>({
    live: other,
    after: '0',
    placeOf: ({ place }) => place,
    isGap: () => false,
    replay: () => replaying,
  })
  replaying.push({ name: 'one', place: '1' }, 1)
  expect((await left.next()).value).toMatchObject({ name: 'one' })
  await left.return?.()
  expect(closed).toContain('other')
})

test('whoever leaves while nothing happens is gone at once', async () => {
  for (const isAhead of [true, false]) {
    const closed: string[] = []
    const live = new Subscriber<Event>(limits, () => closed.push('live'))
    const replaying = new Subscriber<Event>(limits, () => closed.push('replay'))
    const events = resume<Event>({
      live,
      after: '0',
      placeOf: ({ place }) => place,
      isGap: () => false,
      replay: () => replaying,
    })
    if (isAhead) live.push({ name: 'later', place: '9' }, 1)
    const waiting = events.next()
    await new Promise(setImmediate)
    await events.return?.()
    expect((await waiting).done).toBe(true)
    expect(closed.sort()).toEqual(['live', 'replay'])
  }
})

test.each([
  ['nothing has happened yet', 0],
  ['the next has happened', 1],
])('behind a gap come the live events, each once, also where %s', async (_, ahead) => {
  const live = new Subscriber<Event>(limits, () => undefined)
  const replaying = new Subscriber<Event>(limits, () => undefined)
  const events = resume<Event>({
    live,
    after: '0',
    placeOf: ({ place }) => place,
    isGap: ({ name }) => name === 'gap',
    replay: () => replaying,
  })
  const happen = (place: number) => live.push({ name: `e${place}`, place: String(place) }, 1)
  if (ahead === 1) happen(7)
  replaying.push({ name: 'e1', place: '1' }, 1)
  const names = [(await events.next()).value?.name]
  replaying.push({ name: 'gap', place: undefined }, 1)
  names.push((await events.next()).value?.name)
  // The live events are behind the replay: this one was told.
  if (ahead === 0) for (const place of [1, 7]) happen(place)
  happen(8)
  live.push({ name: 'signal', place: undefined }, 1)
  for (let turn = 0; turn < 3; turn += 1) names.push((await events.next()).value?.name)
  expect(names).toEqual(['e1', 'gap', 'e7', 'e8', 'signal'])
  await events.return?.()
})
