import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BoundedQueue } from '../../src/events/bounded-queue.ts'
import type { EventReader } from '../../src/events/channel.ts'
import { createHub, type Sink } from '../../src/events/principal-hub.ts'
import { type Replay, runFeed } from '../../src/events/replay.ts'
import { createRandom } from '../support/query-generator.ts'

/**
 * An event of the upstream's log: its number, and the channel it is of. `gap` is what a replay says of what is lost; `move`
 * goes to ada alone, and says that she left `a`, or is back in it.
 */
interface Event {
  readonly place: number
  readonly channel: string
}

interface World {
  readonly log: Event[]
  /** Events up to this one are forgotten. */
  forgotten: number
  happen(channel: string): void
  /** Cuts every source, as an upstream that goes away for good for their owner. */
  endSources(): void
  readonly openSources: () => number
  /** Whether a source has yet to hear of an event up to a place. */
  lagsBehind(place: number): boolean
  /** The channels that everybody may hear now. Sources learn of it later. */
  allowed: Set<string>
}

/**
 * An upstream and a hub over it. Sources and replays hear late and one after the other, as over a network.
 *
 * @param kind whether places can be compared, and replays end; how often an event says that a member lost its channel: nobody
 *   knows who they are, so everybody who named it is evicted, and nobody has really lost anything
 */
function createWorld(
  kind: { isNumbered: boolean; maxEvents: number; removesEvery?: number },
  random: () => number,
) {
  const log: Event[] = []
  const sinks = new Set<{
    readonly owner: string
    readonly sink: Sink<Event>
    channels: Set<string>
    told: number
    open: boolean
  }>()
  const replays = new Set<() => void>()
  const world: World = {
    log,
    forgotten: 0,
    happen(channel) {
      log.push({ place: log.length + 1, channel })
    },
    endSources() {
      for (const source of [...sinks]) {
        sinks.delete(source)
        source.sink.end(new Error('ended'))
      }
    },
    openSources: () => sinks.size,
    lagsBehind: (place) => [...sinks].some(({ told }) => told < place),
    allowed: new Set(['a', 'b']),
  }
  const isAdaAway = () => log.filter(({ channel }) => channel === 'move').length % 2 === 1
  const allowedTo = (owner: string) =>
    new Set([...world.allowed].filter((channel) => channel !== 'a' || owner !== 'ada' || !isAdaAway()))
  const hub = createHub<string, Event>({
    keyOf: (owner) => owner,
    limits: { maxEvents: kind.maxEvents, maxBytes: 1e9 },
    open(owner, sink) {
      const source = { owner, sink, channels: new Set<string>(), told: log.length, open: false }
      sinks.add(source)
      return { close: () => sinks.delete(source) }
    },
    offsetOf: ({ place }) => String(place),
    memberOf: () => undefined,
    audiencesOf: () => 'all',
    removalOf: ({ place, channel }) =>
      kind.removesEvery !== undefined && place % kind.removesEvery === 0 ? { channel, member: 1 } : undefined,
    check: async (owner) => allowedTo(owner),
    isRefusal: () => false,
    lost: () => new Error('lost'),
    idleTimeoutMs: 0,
    checkEveryMs: 3_600_000,
    checkWithinMs: 60_000,
    confirmWithinMs: 60_000,
    proofAgeMs: 60_000,
  })
  /** Something of what is on its way arrives. */
  function deliver(): void {
    for (const source of [...sinks]) {
      if (random() < 0.4) continue
      if (!source.open) {
        source.open = true
        source.told = log.length
        source.channels = allowedTo(source.owner)
        source.sink.open(source.channels, kind.isNumbered ? String(log.length) : undefined)
        continue
      }
      const event = log[source.told]
      if (event === undefined) continue
      source.told += 1
      if (event.channel === 'move' && source.owner === 'ada') {
        if (!source.channels.delete('a')) source.channels.add('a')
        source.sink.event(event, 1)
        source.sink.channelsChanged()
      } else if (source.channels.has(event.channel)) source.sink.event(event, 1)
    }
    for (const tell of [...replays]) if (random() > 0.4) tell()
  }
  /** Of some channels, as upstreams filter. */
  function replay(channels: string[] | 'all', after: string, until: string | undefined): Replay<Event> {
    const queue = new BoundedQueue<Event>({ maxEvents: 5, maxBytes: 1e9 }, () => replays.delete(tell))
    const ends = kind.isNumbered && until !== undefined
    let told = Number(after)
    let begun = false
    const tell = () => {
      if (!begun && told < world.forgotten) {
        begun = true
        told = log.length
        queue.push({ place: -1, channel: 'gap' }, 0)
        return
      }
      begun = true
      if (ends && told >= Number(until)) return queue.finish()
      const event = log[told]
      if (event === undefined) return
      told += 1
      if (channels === 'all' ? world.allowed.has(event.channel) : channels.includes(event.channel))
        queue.push(event, 1)
    }
    replays.add(tell)
    return Object.assign(queue, { isFinite: ends })
  }
  return { world, hub, deliver, replay }
}

interface Heard {
  readonly events: Event[]
  ended: unknown
  leave(): void
}

function listen(
  { hub, replay }: ReturnType<typeof createWorld>,
  isNumbered: boolean,
  options: {
    owner: string
    channels: string[] | 'all'
    after: string | undefined
    slow: () => Promise<void>
  },
): Heard {
  const left = new AbortController()
  const heard: Heard = { events: [], ended: undefined, leave: () => left.abort(new Error('left')) }
  const wants = ({ channel }: Event) =>
    channel === 'gap' || options.channels === 'all' || options.channels.includes(channel)
  const reader: EventReader<Event> = {
    async event(event) {
      await options.slow()
      if (!left.signal.aborted) heard.events.push(event)
    },
    live(channel, seq) {
      let last = seq
      const stop = channel.listen((entry) => {
        last = entry.seq
        if (wants(entry.event)) heard.events.push(entry.event)
      })
      return {
        move: () => undefined,
        leave() {
          stop()
          return last
        },
      }
    },
    end(error) {
      heard.ended = error
    },
  }
  void runFeed(
    {
      hub,
      topic: { owner: options.owner, channels: options.channels, isPrivate: false },
      audiences: new Set(),
      after: options.after,
      wants,
      replay: (after, until) => replay(options.channels, after, until),
      isBehind: (a, b) => (isNumbered ? Number(a) > Number(b) : undefined),
      offsetOf: ({ place }) => (place < 0 ? undefined : String(place)),
      channelOf: ({ channel }) => (channel === 'gap' ? undefined : channel),
      isGap: ({ channel }) => channel === 'gap',
      makeGap: () => ({ place: -1, channel: 'gap' }),
      retryAfterMs: () => 0,
      signal: left.signal,
    },
    reader,
  )
  return heard
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('a', 'b') },
  { weight: 10, arbitrary: fc.constant('deliver') },
  { weight: 2, arbitrary: fc.constant('break') },
  { weight: 2, arbitrary: fc.constant('move') },
)

test.each<[string, boolean, number, number, number?]>([
  ['that can be compared', true, 1000, 3],
  ['that can be compared, with evictions', true, 1000, 3, 4],
  ['of which nothing is known, with evictions', false, 1000, 3, 6],
  ['of which nothing is known', false, 1000, 3],
  ['that can be compared, with little kept', true, 3, 60],
  ['of which nothing is known, with little kept', false, 8, 60],
])(
  'joined over breaks, what is heard is the log: places %s',
  async (_, isNumbered, maxEvents, slowness, removesEvery = Number.POSITIVE_INFINITY) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 120 }),
        fc.subarray(['a', 'b'], { minLength: 1 }),
        fc.integer(),
        async (steps, channels, seed) => {
          const random = createRandom(seed)
          const all = createWorld({ isNumbered, maxEvents, removesEvery }, random)
          const { world, deliver } = all
          const settle = async () => {
            for (let turn = 0; turn < 6; turn += 1) {
              deliver()
              await new Promise(setImmediate)
            }
          }
          for (let index = 0; index < 5; index += 1) world.happen(index % 2 === 0 ? 'a' : 'b')
          // Ada is there all the time, and covers each channel now and then, so that borrowers and hosts are tried, too.
          const other = listen(all, isNumbered, {
            ...{ owner: 'ada', channels: 'all', after: undefined },
            slow: async () => undefined,
          })
          const slow = async () => {
            for (let turns = Math.floor(random() * random() * slowness); turns > 0; turns -= 1)
              await new Promise(setImmediate)
          }
          const from = 2
          const heard: Event[] = []
          let reader = listen(all, isNumbered, { owner: 'ben', channels, after: String(from), slow })
          const stop = () => {
            reader.leave()
            heard.push(...reader.events)
          }
          for (const action of steps) {
            if (action === 'deliver') await settle()
            else if (action !== 'break') world.happen(action)
            else {
              stop()
              const after = heard.at(-1)?.place ?? from
              // A source that lags behind the one the cursor is from would repeat events.
              while (world.lagsBehind(after)) await settle()
              reader = listen(all, isNumbered, { owner: 'ben', channels, after: String(after), slow })
            }
          }
          const expected = world.log.filter(
            ({ place, channel }) => place > from && channels.includes(channel),
          )
          // Where nothing can be compared, a replay meets the others at the next event.
          for (let turn = 0; turn < 400 && heard.length + reader.events.length < expected.length; turn += 1)
            await settle()
          stop()
          other.leave()
          expect(heard).toEqual(expected)
        },
      ),
      { numRuns: 400 },
    )
  },
  60_000,
)

test('events that the upstream dropped become a gap, and live events follow', async () => {
  const all = createWorld({ isNumbered: true, maxEvents: 100 }, () => 1)
  for (let index = 0; index < 10; index += 1) all.world.happen('a')
  all.world.forgotten = 5
  const heard = listen(all, true, { owner: 'ada', channels: ['a'], after: '2', slow: async () => undefined })
  const turns = async () => {
    for (let turn = 0; turn < 30; turn += 1) {
      all.deliver()
      await new Promise(setImmediate)
    }
  }
  await turns()
  all.world.happen('a')
  await turns()
  expect(heard.events.map(({ channel, place }) => (channel === 'gap' ? 'gap' : place))).toEqual(['gap', 11])
  heard.leave()
})

test('borrowers go on where their host left, without a gap or a repeat', async () => {
  const all = createWorld({ isNumbered: true, maxEvents: 100 }, () => 1)
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      all.deliver()
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
  }
  const nothing = async () => undefined
  const host = listen(all, true, { owner: 'ada', channels: ['a'], after: undefined, slow: nothing })
  await turns()
  const borrower = listen(all, true, { owner: 'ben', channels: ['a'], after: undefined, slow: nothing })
  await turns()
  expect(all.world.openSources()).toBe(1)
  all.world.happen('a')
  await turns()
  host.leave()
  all.world.happen('a')
  await turns()
  all.world.happen('a')
  await turns()
  expect(borrower.events.map(({ place }) => place)).toEqual([1, 2, 3])
  expect(all.world.openSources()).toBe(1)
  all.world.endSources()
  await turns()
  expect(borrower.ended).toEqual(new Error('ended'))
})

test.each([true, false])(
  'a borrower who comes back is told what its host did not hear while it was out of the channel: numbered %s',
  async (isNumbered) => {
    const all = createWorld({ isNumbered, maxEvents: 100 }, () => 1)
    const { world } = all
    const turns = async () => {
      for (let turn = 0; turn < 20; turn += 1) {
        all.deliver()
        await new Promise((resolve) => setTimeout(resolve, 0))
      }
    }
    const slow = async () => undefined
    listen(all, isNumbered, { owner: 'ada', channels: 'all', after: undefined, slow })
    await turns()
    for (const channel of ['b', 'move', 'a', 'move', 'a']) world.happen(channel)
    await turns()
    const borrower = listen(all, isNumbered, { owner: 'ben', channels: ['a'], after: '1', slow })
    await turns()
    expect(world.openSources()).toBe(1)
    expect(borrower.events.map(({ place }) => place)).toEqual([3, 5])
    world.happen('a')
    await turns()
    expect(borrower.events.map(({ place }) => place)).toEqual([3, 5, 6])
  },
)

describe('a reader of all channels who lost one', () => {
  /** Somebody who keeps a source open that remembers the events 1 to 6, of `a` and `b` in turn. */
  async function startRemembering() {
    const all = createWorld({ isNumbered: true, maxEvents: 100 }, () => 1)
    const turns = async () => {
      for (let turn = 0; turn < 20; turn += 1) {
        all.deliver()
        await new Promise((resolve) => setTimeout(resolve, 0))
      }
    }
    const nothing = async () => undefined
    const keeping = listen(all, true, { owner: 'ada', channels: 'all', after: undefined, slow: nothing })
    await turns()
    for (let index = 0; index < 6; index += 1) all.world.happen(index % 2 === 0 ? 'a' : 'b')
    await turns()
    expect(keeping.events.length).toBe(6)
    return { ...all, all, turns }
  }
  const places = ({ events }: Heard) => events.map(({ place }) => place)

  test('while away is not told what the source remembers of it', async () => {
    const { all, world, turns } = await startRemembering()
    world.allowed = new Set('b')
    const slow = async () => undefined
    const heard = listen(all, true, { owner: 'ada', channels: 'all', after: '1', slow })
    await turns()
    expect(places(heard)).toEqual([2, 4, 6])
    world.happen('b')
    await turns()
    expect(places(heard)).toEqual([2, 4, 6, 7])
    heard.leave()
  })

  test('while catching up is told nothing of it after the event that says so', async () => {
    const { all, world, turns } = await startRemembering()
    const slow = async () => {
      if (places(heard).length !== 1) return
      world.happen('move')
      world.happen('b')
      await turns()
    }
    const heard: Heard = listen(all, true, { owner: 'ada', channels: 'all', after: '1', slow })
    await turns()
    await turns()
    // The second was being told when it came.
    expect(places(heard)).toEqual([2, 3, 4, 6, 8])
    heard.leave()
  })
})
