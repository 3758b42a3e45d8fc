import { describe, expect, test } from 'vitest'
import { createHub, type Sink } from '../../src/events/hub.ts'
import { Subscriber } from '../../src/events/subscriber.ts'

const limits = { maxEvents: 3, maxBytes: 100 }

/** A hub whose sources the test plays. */
function startHub() {
  const sources: { topic: string; sink: Sink<string>; closed: boolean }[] = []
  const hub = createHub<string, string>({
    keyOf: (topic) => topic,
    limits,
    open(topic, sink) {
      const source = { topic, sink, closed: false }
      sources.push(source)
      return {
        close() {
          source.closed = true
        },
      }
    },
  })
  const subscribe = (topic: string, signal = new AbortController().signal) => hub.subscribe(topic, signal)
  const source = (index: number) => {
    const found = sources[index]
    if (found === undefined) throw new Error(`No source ${index} was opened`)
    return found
  }
  return { hub, subscribe, sources, source }
}

describe('a hub', () => {
  test('opens one source for all who listen to the same topic, and closes it with the last of them', async () => {
    const { hub, subscribe, sources, source } = startHub()
    const both = [subscribe('a'), subscribe('a')]
    source(0).sink.open()
    const [first, second] = await Promise.all(both)
    source(0).sink.event('hello', 5)
    expect(await first?.next()).toEqual({ done: false, value: 'hello' })
    expect(await second?.next()).toEqual({ done: false, value: 'hello' })
    await first?.return()
    expect(source(0).closed).toBe(false)
    await second?.return()
    expect(source(0).closed).toBe(true)
    expect([sources.length, hub.size]).toEqual([1, 0])
  })

  test('opens another source for another topic, and a new one for who comes after the last left', async () => {
    const { subscribe, sources, source } = startHub()
    const a = subscribe('a')
    const b = subscribe('b')
    source(0).sink.open()
    source(1).sink.open()
    await (await a).return()
    const again = subscribe('a')
    source(2).sink.open()
    await again
    source(0).sink.event('from the closed one', 1)
    source(2).sink.event('from the new one', 1)
    expect((await (await again).next()).value).toBe('from the new one')
    expect(sources.map(({ topic }) => topic)).toEqual(['a', 'b', 'a'])
    await (await b).return()
  })

  test('tells everybody why a source ended, also those who still wait for it to open', async () => {
    const { hub, subscribe, source } = startHub()
    const early = subscribe('a')
    source(0).sink.end(new Error('denied'))
    await expect(early).rejects.toThrow('denied')
    const late = subscribe('a')
    source(1).sink.open()
    const subscriber = await late
    const next = subscriber.next()
    source(1).sink.end(new Error('revoked'))
    await expect(next).rejects.toThrow('revoked')
    expect(await subscriber.next()).toEqual({ done: true, value: undefined })
    expect(hub.size).toBe(0)
  })

  test('lets go of a source that never opens when whoever waits for it leaves', async () => {
    const { hub, subscribe, source } = startHub()
    const leaving = new AbortController()
    const waiting = subscribe('a', leaving.signal)
    leaving.abort()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
    expect([source(0).closed, hub.size]).toEqual([true, 0])
    await expect(subscribe('a', leaving.signal)).rejects.toMatchObject({ name: 'AbortError' })
    expect(hub.size).toBe(0)
  })

  test('keeps going when a subscriber leaves while an event is delivered', async () => {
    const { subscribe, source } = startHub()
    const both = [subscribe('a'), subscribe('a')]
    source(0).sink.open()
    const [first, second] = await Promise.all(both)
    await first?.return()
    source(0).sink.event('x', 1)
    expect((await second?.next())?.value).toBe('x')
  })
})

describe('a subscriber', () => {
  test('gets events in order, whether it waits for them or they wait for it', async () => {
    const subscriber = new Subscriber<number>(limits, () => undefined)
    const waiting = [subscriber.next(), subscriber.next()]
    subscriber.push(1, 1)
    subscriber.push(2, 1)
    subscriber.push(3, 1)
    const results = await Promise.all([...waiting, subscriber.next()])
    expect(results.map(({ value }) => value)).toEqual([1, 2, 3])
  })

  test.each([
    ['too many events', Array.from({ length: 4 }, () => 1)],
    ['too many bytes', [60, 60]],
  ])('that is behind by %s loses them and is told once', async (_, sizes) => {
    let closed = 0
    const subscriber = new Subscriber<string>(limits, () => {
      closed += 1
    })
    for (const bytes of sizes) subscriber.push('event', bytes)
    await expect(subscriber.next()).rejects.toMatchObject({ code: 'SLOW_CONSUMER' })
    expect(await subscriber.next()).toEqual({ done: true, value: undefined })
    expect(closed).toBe(1)
  })

  test('that stays within the limits loses nothing', async () => {
    const subscriber = new Subscriber<number>(limits, () => undefined)
    for (const event of [1, 2, 3]) subscriber.push(event, 30)
    expect((await subscriber.next()).value).toBe(1)
    subscriber.push(4, 30)
    expect([
      (await subscriber.next()).value,
      (await subscriber.next()).value,
      (await subscriber.next()).value,
    ]).toEqual([2, 3, 4])
  })

  test('leaves at once, also while it waits for an event that never comes', async () => {
    let closed = 0
    const subscriber = new Subscriber<number>(limits, () => {
      closed += 1
    })
    const waiting = subscriber.next()
    await subscriber.return()
    expect(await waiting).toEqual({ done: true, value: undefined })
    subscriber.push(1, 1)
    expect(await subscriber.next()).toEqual({ done: true, value: undefined })
    await subscriber.return()
    expect(closed).toBe(1)
  })
})
