import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import {
  type EntitlementEvent,
  type EntitlementState,
  entitlementTransitions,
  type Snapshot,
} from '../../src/events/entitlement.ts'
import {
  type Reader,
  type ReaderEvent,
  type ReaderState,
  readerTransitions,
} from '../../src/events/reader.ts'
import {
  type HubEvent,
  type HubState,
  hubTransitions,
  type Principal,
  StreamHub,
} from '../../src/events/stream-hub.ts'
import type { Transition } from '../../src/events/transition-table.ts'
import { Receivers } from '../support/receivers.ts'

const frame = { event: 'event', bytes: 10, audiences: ['f:a'], change: undefined } as const
const userChanged = { ...frame, audiences: [], change: { kind: 'userChanged', user: 1 } } as const
const topic = { flows: 'all', isPrivate: true } as const

function snapshotOf(at: number, log = 'log', flows = ['a']): Snapshot {
  return {
    log,
    at,
    user: 1,
    grant: 'grant',
    flows,
    receivesFlows: true,
    isPrivate: true,
    expiresAt: undefined,
  }
}

/** A hub whose effects are written down. */
function startHub({ maxEvents = 5 } = {}) {
  const effects: string[] = []
  const proofs: Principal[] = []
  const receivers = new Receivers()
  const note = (effect: string) => effects.push(effect)
  let parted: number | undefined
  const hub: StreamHub<string> = new StreamHub({
    limits: { maxEvents, maxBytes: 1000 },
    effects: {
      connect: ({ failures, isRefused }) =>
        note(isRefused ? 'retryLater' : failures > 0 ? 'retry' : 'connect'),
      disconnect: () => note('disconnect'),
      foreign: () => note('foreign'),
      prove(principal, isLater) {
        proofs.push(principal)
        note(isLater ? 'proveLater' : 'prove')
      },
      say: (state) => note(state === 'live' ? 'sayLive' : 'sayCatchingUp'),
      deliver({ audiences }) {
        for (const _ of receivers.of(audiences)) note('deliver')
      },
      gap: () => note('gap'),
      drain: () => note('drain'),
      replay: () => note('replay'),
      join(reader, _, audiences) {
        receivers.set(reader, audiences)
        note('join')
      },
      move(reader, audiences) {
        receivers.set(reader, audiences)
        note('move')
      },
      drop: () => undefined,
      part(reader) {
        receivers.delete(reader)
        note('part')
        return parted ?? hub.log.seq
      },
      end: (_, { kind }) => note(`end ${kind}`),
    },
  })
  return {
    hub,
    effects,
    proofs,
    /** How far a reader is that parts. */
    partAt(seq: number) {
      parted = seq
    },
    open(log = 'log', at = 10) {
      hub.opened({ log, at, first: 5 })
    },
    subscribe: (after?: number) => hub.subscribe('principal', topic, after, 0),
    prove(snapshot = snapshotOf(hub.log.end)) {
      const principal = proofs.at(-1) as Principal
      hub.proved(principal, snapshot)
      return principal
    },
    push(count: number) {
      for (let index = 0; index < count; index += 1) hub.frame(hub.log.end + 1, frame)
    },
  }
}

type Started = ReturnType<typeof startHub>

function cellsOf<State extends string, Event extends string>(
  table: Readonly<Record<State, Readonly<Record<Event, Transition<string, string> | 'ignore'>>>>,
): [State, Event, Transition<string, string> | 'ignore'][] {
  return (Object.keys(table) as State[]).flatMap((state) =>
    (Object.keys(table[state]) as Event[]).map(
      (event): [State, Event, Transition<string, string> | 'ignore'] => [state, event, table[state][event]],
    ),
  )
}

describe('the hub', () => {
  const reach: Record<HubState, (started: Started) => void> = {
    idle: () => undefined,
    opening: ({ subscribe }) => void subscribe(),
    catchingUp(started) {
      reach.opening(started)
      started.open()
    },
    live(started) {
      reach.catchingUp(started)
      started.hub.head(10)
    },
    lost(started) {
      reach.live(started)
      started.hub.cut()
    },
    reset(started) {
      reach.lost(started)
      started.hub.gone()
    },
    closed: ({ hub }) => hub.close(new Error('closed')),
  }
  const fire: Record<HubEvent, (started: Started) => void> = {
    readerCame: ({ subscribe }) => void subscribe(),
    opened: ({ open }) => open(),
    openedOther: ({ open }) => open('other'),
    frame: ({ hub }) => hub.frame(hub.log.end + 1, frame),
    frameOld: ({ hub }) => hub.frame(hub.log.end, frame),
    hole: ({ hub }) => hub.frame(hub.log.end + 2, frame),
    holeAgain({ hub, open, effects }) {
      if (hub.state !== 'live' && hub.state !== 'catchingUp') return
      const wasLive = hub.state === 'live'
      hub.frame(hub.log.end + 2, frame)
      open()
      if (wasLive) hub.head(hub.log.end)
      effects.length = 0
      hub.frame(hub.log.end + 2, frame)
    },
    head: ({ hub }) => hub.head(hub.log.end),
    cut: ({ hub }) => hub.cut(),
    gone: ({ hub }) => hub.gone(),
    refused: ({ hub }) => hub.refused(),
    missing: ({ hub }) => hub.missing(),
    unused({ hub, effects }) {
      for (const { key } of hub.held()) hub.auditFailed(key)
      hub.tick(0)
      hub.tick(60_000)
      // Readers that never began are ended before.
      effects.splice(0, effects.length, ...effects.filter((effect) => !effect.startsWith('end')))
      hub.tick(120_000)
      hub.tick(180_000)
    },
    closed: ({ hub }) => hub.close(new Error('closed')),
  }
  /** What the effects of a cell look like from outside. */
  const seen: Record<string, readonly string[]> = {
    ...{ push: [], compare: [], forget: [], endReaders: ['end failed'] },
  }

  test.each(cellsOf(hubTransitions))('%s, %s', (state, event, cell) => {
    const started = startHub()
    reach[state](started)
    expect(started.hub.state).toBe(state)
    const { end } = started.hub.log
    started.effects.length = 0
    if (state === 'closed' && event === 'readerCame') {
      expect(() => fire[event](started)).toThrow('closed')
      return
    }
    // In those states no other log is known, so that none is another one.
    if (event === 'openedOther' && ['idle', 'opening', 'reset', 'closed'].includes(state)) return
    fire[event](started)
    if (cell === 'ignore') {
      expect(started.hub.state).toBe(state)
      expect(started.hub.log.end).toBe(end)
      expect(started.effects.filter((effect) => effect !== 'prove')).toEqual([])
      return
    }
    expect(started.hub.state).toBe(cell.next)
    const expected = cell.effects.flatMap((effect) => seen[effect] ?? [effect])
    expect(started.effects.filter((effect) => effect !== 'prove')).toEqual(
      event === 'unused' || (state === 'idle' && event === 'closed')
        ? expected.filter((effect) => !effect.startsWith('end'))
        : expected,
    )
    if (cell.effects.includes('push')) expect(started.hub.log.end).toBe(end + 1)
    if (cell.effects.includes('forget')) expect(started.hub.logId).toBeUndefined()
  })
})

describe('an entitlement', () => {
  const reach: Record<EntitlementState, (started: Started) => Principal> = {
    proving(started) {
      started.subscribe()
      started.open()
      started.hub.head(10)
      return started.proofs.at(-1) as Principal
    },
    waiting(started) {
      reach.proving(started)
      return started.prove(snapshotOf(12))
    },
    held(started) {
      reach.proving(started)
      return started.prove()
    },
    ended(started) {
      const principal = reach.held(started)
      started.hub.frame(11, { ...frame, audiences: [], change: { kind: 'grantEnded', grant: 'grant' } })
      return principal
    },
  }
  /** Returns false where the event cannot be made to come. */
  const fire: Record<EntitlementEvent, (started: Started, principal: Principal) => unknown> = {
    snapshotAhead: ({ hub }, principal) => hub.proved(principal, snapshotOf(12)),
    snapshotCovered: ({ hub, push }, principal) => {
      push(1)
      hub.proved(principal, snapshotOf(10))
    },
    snapshotForgotten: ({ hub, push }, principal) => {
      push(principal.state === 'waiting' ? 1 : 7)
      hub.proved(principal, snapshotOf(10))
      return principal.state !== 'waiting'
    },
    snapshotOutdated: ({ hub }, principal) => {
      if (principal.state !== 'proving') return false
      hub.frame(11, userChanged)
      hub.proved(principal, snapshotOf(10))
      return true
    },
    snapshotOfOtherLog: ({ hub }, principal) => hub.proved(principal, snapshotOf(10, 'other')),
    refused: ({ hub }, principal) => hub.refuse(principal, new Error('refused')),
    unreachable: ({ hub }, principal) => hub.unproved(principal, new Error('unreachable')),
    unreachableAgain: (started, principal) => {
      if (principal.state !== 'proving') return false
      started.prove()
      started.hub.auditFailed('principal')
      started.effects.length = 0
      started.hub.unproved(started.proofs.at(-1) as Principal, new Error('unreachable'))
      return true
    },
    reached: ({ push }) => push(2),
    membership: ({ hub }) => hub.frame(11, { ...frame, change: { kind: 'left', user: 1, flow: 'a' } }),
    userChanged: ({ hub }) => hub.frame(11, userChanged),
    grantEnded({ hub, prove }, principal) {
      // Before the first proof nobody knows whose the credential is.
      if (principal.state === 'proving') {
        prove()
        hub.auditFailed('principal')
      }
      hub.frame(11, { ...frame, audiences: [], change: { kind: 'grantEnded', grant: 'grant' } })
    },
    // Below, by time.
    expired: () => false,
    auditFailed: ({ hub }) => hub.auditFailed('principal'),
    doubted: ({ hub, subscribe }) => {
      hub.cut()
      if (hub.principalCount === 0) return false
      subscribe()
      return true
    },
    reset: ({ hub }) => {
      hub.cut()
      hub.gone()
    },
    // Below, by time.
    unused: () => false,
  }

  test.each(cellsOf(entitlementTransitions))('%s, %s', (state, event, cell) => {
    const started = startHub()
    const principal = reach[state](started)
    expect(principal.state).toBe(state)
    started.effects.length = 0
    // While waiting the snapshot is compared again when a connection opens.
    if (state === 'waiting' && event.startsWith('snapshot')) return
    if (fire[event](started, principal) === false) return
    if (cell === 'ignore') {
      expect(principal.state).toBe(state)
      expect(started.effects.filter((effect) => /^(prove|end|drain|part)/.test(effect))).toEqual([])
      return
    }
    expect(principal.state).toBe(cell.next)
    const { effects } = started
    if (cell.effects.includes('prove')) expect(effects).toContain('prove')
    if (cell.effects.includes('proveLater')) expect(effects).toContain('proveLater')
    if (cell.effects.includes('end')) expect(effects.join()).toContain('end ')
    if (cell.effects.includes('hold')) expect(effects).toContain('drain')
    expect(started.hub.accessOf('principal') === undefined).toBe(cell.next !== 'held')
  })

  test('that waits is compared again when the connection opens: covered, forgotten or of another log', () => {
    const covered = startHub()
    covered.subscribe()
    const held = covered.prove(snapshotOf(10))
    expect(held.state).toBe('waiting')
    covered.open()
    expect(held.state).toBe('held')

    const forgotten = startHub()
    forgotten.subscribe()
    const old = forgotten.prove(snapshotOf(9))
    forgotten.open()
    expect(old.state).toBe('proving')
    expect(forgotten.effects.filter((effect) => effect === 'prove')).toHaveLength(2)

    const other = startHub()
    other.subscribe()
    const wrong = other.prove(snapshotOf(10, 'other'))
    other.open()
    expect(wrong.state).toBe('proving')
  })

  test('ends when its credential does, and is forgotten a minute after its last reader', () => {
    const expiring = startHub()
    reach.proving(expiring)
    const principal = expiring.prove({ ...snapshotOf(10), expiresAt: 500 })
    expiring.hub.tick(499)
    expect(principal.state).toBe('held')
    expiring.hub.tick(500)
    expect(principal.state).toBe('ended')
    expect(expiring.effects).toContain('end grantEnded')

    const unused = startHub()
    const reader = unused.subscribe()
    unused.open()
    const left = unused.prove()
    unused.hub.leave(reader, 1000)
    unused.hub.tick(60_999)
    expect(left.state).toBe('held')
    unused.hub.tick(61_000)
    expect(left.state).toBe('ended')
    expect(unused.hub.principalCount).toBe(0)
    expect(unused.hub.state).toBe('idle')
  })
})

describe('a reader', () => {
  const reach: Record<ReaderState, (started: Started) => Reader> = {
    waiting(started) {
      const reader = started.subscribe(10)
      started.open()
      started.hub.head(10)
      return reader
    },
    replaying(started) {
      const reader = started.subscribe(7)
      started.open()
      started.hub.head(10)
      started.prove()
      return reader
    },
    draining(started) {
      const reader = reach.waiting(started)
      started.prove()
      return reader
    },
    live(started) {
      const reader = reach.draining(started)
      started.hub.next(reader)
      return reader
    },
    ended(started) {
      const reader = reach.live(started)
      started.hub.frame(11, { ...frame, audiences: [], change: { kind: 'grantEnded', grant: 'grant' } })
      return reader
    },
  }
  const fire: Record<ReaderEvent, (started: Started, reader: Reader) => void> = {
    heldInMemory: ({ prove, hub }) => {
      if (hub.accessOf('principal') === undefined) prove()
    },
    heldOlder: ({ push, prove, hub }) => {
      push(7)
      if (hub.accessOf('principal') === undefined) prove()
    },
    heldLost: (started, reader) => {
      if (reader.state !== 'waiting') return
      started.hub.cut()
      started.hub.gone()
      started.open('other')
      started.prove(snapshotOf(10, 'other'))
    },
    met: ({ hub }, reader) => hub.replayed(reader, hub.log.begin),
    replayGone: ({ hub }, reader) => hub.replayGone(reader),
    drained: ({ hub }, reader) => hub.next(reader),
    fellBehind: ({ hub, push }, reader) => {
      push(7)
      if (reader.state === 'draining') hub.next(reader)
    },
    suspended: ({ hub }) => hub.auditFailed('principal'),
    ended: ({ hub }) => hub.close(new Error('closed')),
  }

  test.each(cellsOf(readerTransitions))('%s, %s', (state, event, cell) => {
    const started = startHub()
    const reader = reach[state](started)
    expect(reader.state).toBe(state)
    started.effects.length = 0
    fire[event](started, reader)
    if (cell === 'ignore') {
      expect(reader.state).toBe(state)
      expect(started.effects.filter((effect) => /^(gap|drain|replay|join|part)/.test(effect))).toEqual([])
      return
    }
    expect(reader.state).toBe(cell.next)
    expect(started.effects.filter((effect) => /^(gap|drain|replay|join|part)/.test(effect))).toEqual(
      cell.effects,
    )
  })

  test('that parts further back than the memory reads what it missed from the upstream, or is said that it is lost', () => {
    const started = startHub()
    const reader = reach.live(started)
    const { seq } = started.hub.log
    started.push(7)
    started.partAt(seq)
    started.hub.auditFailed('principal')
    started.effects.length = 0
    started.prove()
    expect(reader.state).toBe('draining')
    expect(started.effects).toEqual(['gap', 'drain'])
  })

  test('that could not begin for ten seconds is ended', () => {
    const started = startHub()
    const reader = started.subscribe()
    started.hub.tick(9999)
    expect(reader.state).toBe('waiting')
    started.hub.tick(10_000)
    expect(reader.state).toBe('ended')
    expect(started.effects).toContain('end unavailable')
  })

  test('that names a flow is ended when it loses it, and one of all flows goes on without it', () => {
    const started = startHub()
    const { hub } = started
    const all = hub.subscribe('principal', topic, undefined, 0)
    const named = hub.subscribe('principal', { flows: ['a'], isPrivate: false }, undefined, 0)
    started.open()
    hub.head(10)
    started.prove(snapshotOf(10, 'log', ['a', 'b']))
    hub.next(all)
    hub.next(named)
    hub.frame(11, { ...frame, change: { kind: 'left', user: 1, flow: 'a' } })
    expect(named.state).toBe('ended')
    // Both receive the event that says so.
    expect(started.effects.slice(-5)).toEqual(['deliver', 'deliver', 'move', 'part', 'end flowLost'])
    expect(all.state).toBe('live')
    started.effects.length = 0
    hub.frame(12, frame)
    expect(started.effects).toEqual([])
    hub.frame(13, { ...frame, audiences: ['f:b'] })
    expect(started.effects).toEqual(['deliver'])
  })
})

describe('SPEC.md', () => {
  test.each([
    ['Hub', hubTransitions],
    ['Entitlement', entitlementTransitions],
    ['Reader', readerTransitions],
  ])('has the transition table of the code: %s', async (title, table) => {
    const text = await readFile(new URL('../../src/events/SPEC.md', import.meta.url), 'utf8')
    expect(text).toContain(printTable(title, table))
  })
})

/** A row for each event, a column for each state. */
function printTable(
  title: string,
  table: Readonly<Record<string, Readonly<Record<string, Transition<string, string> | 'ignore'>>>>,
): string {
  const states = Object.keys(table)
  const events = [...new Set(states.flatMap((state) => Object.keys(table[state] ?? {})))].sort()
  const cell = (state: string, event: string) => {
    const transition = table[state]?.[event]
    if (transition === undefined || transition === 'ignore') return '–'
    const { next, effects } = transition
    return [next === state ? '=' : `**${next}**`, ...effects].join(' ')
  }
  return [
    `#### ${title}`,
    '',
    `| | ${states.join(' | ')} |`,
    `|---|${states.map(() => '---|').join('')}`,
    ...events.map((event) => `| ${event} | ${states.map((state) => cell(state, event)).join(' | ')} |`),
    '',
  ].join('\n')
}
