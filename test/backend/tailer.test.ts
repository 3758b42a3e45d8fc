import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createTailer, type Tailer } from '../../src/backend/tailer.ts'

interface Event {
  readonly seq: number
}

const range = (from: number, to: number): Event[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => ({ seq: from + index }))

/** A log in a database, the messages under way about it, and a tailer that follows both. */
class World {
  /** How many events were committed. */
  head = 0
  /** The oldest event that was not dropped. */
  first = 1
  readonly delivered: number[] = []
  /** Commits of other processes, as messages that have not arrived. */
  readonly messages: Event[][] = []
  /** A read under way, and what it will find; undefined until the database looks. */
  reading: { readonly after: number; found?: { events: Event[]; isLast: boolean } } | undefined
  pauseMs: number | undefined
  /** The highest number that the tailer was told of. */
  known = 0
  readonly tailer: Tailer<Event>
  readonly pageSize: number

  constructor(pageSize = 3, maxKept = 8) {
    this.pageSize = pageSize
    this.tailer = createTailer<Event>(
      0,
      {
        deliver: ({ seq }) => {
          // T2: it is committed. T1: once, and ascending; only what was dropped from the log is left out.
          expect(seq).toBeLessThanOrEqual(this.head)
          const last = this.delivered.at(-1) ?? 0
          expect(seq).toBeGreaterThan(last)
          if (seq !== last + 1) expect(seq).toBe(this.first)
          this.delivered.push(seq)
        },
        read: (after) => {
          expect(this.reading).toBeUndefined()
          expect(this.pauseMs).toBeUndefined()
          this.reading = { after }
        },
        retryAfter: (ms) => {
          expect(ms).toBeGreaterThanOrEqual(50)
          expect(ms).toBeLessThanOrEqual(2000)
          this.pauseMs = ms
        },
        diverged: () => expect.unreachable(),
      },
      { maxKept, fingerprintOf: ({ seq }) => String(seq), begin: '0' },
    )
  }

  receive(events: readonly Event[]): void {
    this.known = Math.max(this.known, events.at(-1)?.seq ?? 0)
    this.tailer.receive(events)
  }

  noteHead(seq: number): void {
    this.known = Math.max(this.known, seq)
    this.tailer.noteHead(seq)
  }

  /** What is known to be missing is being read, or will be after a pause. */
  checkIsReading(): void {
    const isReading = this.reading !== undefined || this.pauseMs !== undefined
    expect(isReading || this.tailer.delivered >= this.known).toBe(true)
    expect(this.tailer.isBehind).toBe(this.tailer.delivered < this.known)
  }

  commit(count: number): Event[] {
    const events = range(this.head + 1, this.head + count)
    this.head += count
    return events
  }

  /** The database takes its snapshot for the read under way. */
  look(): void {
    if (this.reading === undefined || this.reading.found !== undefined) return
    const all = range(Math.max(this.reading.after + 1, this.first), this.head)
    const events = all.slice(0, this.pageSize)
    this.reading.found = { events, isLast: events.length < this.pageSize }
  }

  finishRead(): void {
    this.look()
    const found = this.reading?.found
    this.reading = undefined
    if (found !== undefined) this.tailer.pageRead(found.events, found.isLast, undefined)
  }

  failRead(): void {
    if (this.reading === undefined) return
    this.reading = undefined
    this.tailer.readFailed()
  }

  retry(): void {
    if (this.pauseMs === undefined) return
    this.pauseMs = undefined
    this.tailer.retry()
  }

  poll(): void {
    this.noteHead(this.head)
  }

  /** T3: one poll and the reads that it leads to deliver everything. */
  settle(): void {
    this.poll()
    for (let reads = 0; this.reading !== undefined || this.pauseMs !== undefined; reads += 1) {
      expect(reads).toBeLessThanOrEqual(2 * this.head + 10)
      this.retry()
      this.finishRead()
    }
    expect(this.tailer.delivered).toBe(this.head)
    expect(this.tailer.isBehind).toBe(false)
    if (this.head > 0) expect(this.delivered.at(-1)).toBe(this.head)
  }
}

type Step = readonly [kind: string, amount: number]

const steps: Record<string, (world: World, amount: number) => void> = {
  'commit here': (world, amount) => world.receive(world.commit(1 + (amount % 3))),
  'commit there': (world, amount) => {
    world.messages.push(world.commit(1 + (amount % 5)))
  },
  'a message arrives': (world) => {
    const events = world.messages.shift()
    if (events !== undefined) world.receive(events)
  },
  'a message arrives early': (world, amount) => {
    const [events] = world.messages.splice(amount % (world.messages.length || 1), 1)
    if (events !== undefined) world.receive(events)
  },
  'a message is lost': (world) => void world.messages.shift(),
  'a message is repeated': (world, amount) => {
    const events = world.messages[amount % (world.messages.length || 1)]
    if (events !== undefined) world.receive(events)
  },
  'an old message is repeated': (world, amount) => {
    const from = 1 + (amount % (world.head || 1))
    world.receive(range(from, Math.min(world.head, from + 4)))
  },
  'a message without its events': (world) => {
    const last = world.messages.shift()?.at(-1)
    if (last !== undefined) world.noteHead(last.seq)
  },
  poll: (world) => world.poll(),
  'the database looks': (world) => world.look(),
  'a read ends': (world) => world.finishRead(),
  'a read fails': (world) => world.failRead(),
  'the pause is over': (world) => world.retry(),
}

const step = fc.tuple(fc.constantFrom(...Object.keys(steps)), fc.nat(20))
const seed = process.env['SEED']

/** Plays a history. A failure is shown as the shortest history that fails. */
function check(play: (history: readonly Step[], pageSize: number, maxKept: number) => void): void {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), fc.nat(9), play), {
    numRuns: Number(process.env['RUNS'] ?? 3000),
    seed: seed === undefined ? 20_263 : Number(seed),
  })
}

describe('whatever is lost, late, repeated or out of order', () => {
  test('every event is delivered once, ascending, and never before its commit; a poll finds the rest', () => {
    check((history, pageSize, maxKept) => {
      const world = new World(pageSize, maxKept + 1)
      for (const [kind, amount] of history) {
        steps[kind]?.(world, amount)
        world.checkIsReading()
      }
      world.settle()
      expect(world.delivered).toEqual(range(1, world.head).map(({ seq }) => seq))
    })
  })

  test('events that were dropped from the log before they could be read are left out, and nothing else', () => {
    check((history, pageSize, maxKept) => {
      const world = new World(pageSize, maxKept + 1)
      for (const [kind, amount] of history) {
        steps[kind]?.(world, amount)
        // Housekeeping never drops the newest event, nor one that a page under way has.
        if (amount === 7 && world.reading?.found === undefined && world.messages.length === 0)
          world.first = Math.max(world.first, world.head - 2, 1)
      }
      world.settle()
    })
  })
})

test('events that follow each other are delivered at once, without a read', () => {
  const world = new World()
  world.receive(world.commit(2))
  world.receive(world.commit(1))
  expect(world.delivered).toEqual([1, 2, 3])
  expect(world.reading).toBeUndefined()
})

test('a late message closes the gap at once, and the read that is under way adds nothing', () => {
  const world = new World()
  const [early, late] = [world.commit(1), world.commit(1)]
  world.receive(late)
  expect(world.reading).toEqual({ after: 0 })
  expect(world.tailer.isBehind).toBe(true)
  world.receive(early)
  expect(world.delivered).toEqual([1, 2])
  world.finishRead()
  expect(world.delivered).toEqual([1, 2])
  expect(world.reading).toBeUndefined()
})

test('pauses after failed reads grow from 50 ms to 2 s, and begin again after a read that worked', () => {
  const world = new World()
  world.commit(1)
  world.poll()
  const pauses = Array.from({ length: 8 }, () => {
    world.failRead()
    const pause = world.pauseMs
    world.retry()
    return pause
  })
  expect(pauses).toEqual([50, 100, 200, 400, 800, 1600, 2000, 2000])
  world.finishRead()
  world.commit(1)
  world.poll()
  world.failRead()
  expect(world.pauseMs).toBe(50)
})

test('no more events are in memory than the limit; they are read again instead', () => {
  const world = new World(3, 4)
  world.commit(1)
  for (let count = 0; count < 20; count += 1) world.receive(world.commit(1))
  expect(world.delivered).toEqual([])
  world.settle()
  expect(world.delivered).toEqual(range(1, 21).map(({ seq }) => seq))
})

test('a number that is not in the log is forgotten after one read, and what comes later is delivered', () => {
  const world = new World()
  world.noteHead(1000)
  world.receive([{ seq: 900 }])
  world.finishRead()
  expect(world.reading).toBeUndefined()
  expect(world.tailer.isBehind).toBe(false)
  world.receive(world.commit(1))
  expect(world.delivered).toEqual([1])
})

describe('a log that loses commits, whose numbers are given again', () => {
  interface Node extends Event {
    readonly before: Node | undefined
    readonly id: string
  }

  /** A log, what is under way about it, and a tailer. Each event knows the one before it. */
  class Logs {
    end: Node | undefined
    last: Node | undefined
    count = 0
    hasDiverged = false
    isPaused = false
    readonly messages: Node[][] = []
    reading: { readonly after: number; found?: readonly Node[] } | undefined
    readonly tailer = createTailer<Node>(
      0,
      {
        deliver: (event) => {
          expect(this.hasDiverged).toBe(false)
          // The one thing that counts: what was delivered is the beginning of one log.
          expect(event.before).toBe(this.last)
          this.last = event
        },
        read: (after) => {
          this.reading = { after }
        },
        retryAfter: () => {
          this.isPaused = true
        },
        diverged: () => {
          expect(this.hasDiverged).toBe(false)
          this.hasDiverged = true
        },
      },
      { fingerprintOf: ({ id }) => id, maxKept: 8 },
    )

    get all(): Node[] {
      const nodes: Node[] = []
      for (let node = this.end; node !== undefined; node = node.before) nodes.unshift(node)
      return nodes
    }

    commit(count: number): Node[] {
      return Array.from({ length: count }, () => {
        this.count += 1
        this.end = { seq: (this.end?.seq ?? 0) + 1, id: `event ${this.count}`, before: this.end }
        return this.end
      })
    }

    receive(events: readonly Node[] | undefined): void {
      if (events !== undefined) this.tailer.receive(events, events[0]?.before?.id)
    }

    look(): void {
      const { reading } = this
      if (reading !== undefined) reading.found ??= this.all.filter(({ seq }) => seq >= reading.after)
    }

    finishRead(): void {
      this.look()
      const { after, found } = this.reading ?? {}
      this.reading = undefined
      if (found === undefined) return
      const [first] = found
      const isKnown = first?.seq === after
      const page = found.slice(isKnown ? 1 : 0).slice(0, 3)
      this.tailer.pageRead(page, page.length < 3, isKnown ? first?.id : undefined)
    }

    /** What the check each second does. */
    get isNoticed(): boolean {
      const end = this.end?.seq ?? 0
      return (
        this.hasDiverged ||
        end < this.tailer.delivered ||
        (end === this.tailer.delivered && this.end?.id !== this.tailer.fingerprint)
      )
    }
  }

  const moves: Record<string, (logs: Logs, amount: number) => void> = {
    'commit here': (logs, amount) => logs.receive(logs.commit(1 + (amount % 3))),
    'commit there': (logs, amount) => void logs.messages.push(logs.commit(1 + (amount % 4))),
    'a message arrives': (logs, amount) =>
      logs.receive(logs.messages.splice(amount % (logs.messages.length || 1), 1)[0]),
    'a message is lost': (logs) => void logs.messages.shift(),
    'commits are lost': (logs, amount) => {
      for (let count = 0; count < 1 + (amount % 4); count += 1) logs.end = logs.end?.before
    },
    poll: (logs) => logs.tailer.noteHead(logs.end?.seq ?? 0),
    'the database looks': (logs) => logs.look(),
    'a read ends': (logs) => logs.finishRead(),
  }

  test('is noticed before any event of it is delivered after those that were lost', () => {
    const move = fc.tuple(fc.constantFrom(...Object.keys(moves)), fc.nat(20))
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), (history) => {
        const logs = new Logs()
        for (const [kind, amount] of history) moves[kind]?.(logs, amount)
        for (let rounds = 0; rounds < 100 && !logs.isNoticed; rounds += 1) {
          logs.tailer.noteHead(logs.end?.seq ?? 0)
          logs.finishRead()
        }
        if (!logs.isNoticed) expect(logs.last).toBe(logs.end)
      }),
      {
        numRuns: Number(process.env['RUNS'] ?? 3000),
        seed: seed === undefined ? 20_263 : Number(seed),
      },
    )
  })

  test('is not noticed by a sender that does not say what its events follow', () => {
    const logs = new Logs()
    logs.tailer.receive(logs.commit(2))
    logs.tailer.receive(logs.commit(1))
    expect(logs.last?.seq).toBe(3)
  })
})
