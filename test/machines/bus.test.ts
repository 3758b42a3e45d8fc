import { randomBytes } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Bus, createBus } from '../../src/backend/bus/bus.ts'
import { createMemoryNetwork } from '../../src/backend/bus/memory.ts'
import type { BusMessage, BusSignal } from '../../src/backend/bus/messages.ts'
import { natsTransport } from '../../src/backend/bus/nats.ts'
import { postgresTransport } from '../../src/backend/bus/postgres.ts'
import type { OpenTransport } from '../../src/backend/bus/transport.ts'
import type { EventRow } from '../../src/backend/store/events.ts'
import { execute, makeDatabase, postgresUrl } from '../support/database.ts'
import { makeNatsServer, natsUrl } from '../support/nats.ts'

interface Member {
  readonly bus: Bus
  readonly received: { message: BusMessage; from: string }[]
  readonly notices: string[]
  /** Resolves once the bus was connected this often. */
  connected(times: number): Promise<void>
}

const newLog = () => randomBytes(16).toString('hex')

function join(open: OpenTransport, instance: string, log: string): Member {
  const received: { message: BusMessage; from: string }[] = []
  const notices: string[] = []
  const bus = createBus({ instance, log }, open, (notice) => notices.push(notice))
  onTestFinished(bus.close)
  let count = 0
  bus.onConnected(() => {
    count += 1
  })
  bus.listen((message, from) => received.push({ message, from }))
  return {
    bus,
    received,
    notices,
    connected: (times) => expect.poll(() => count).toBeGreaterThanOrEqual(times),
  }
}

async function joinTwo(open: OpenTransport, log = newLog()): Promise<[Member, Member]> {
  const members: [Member, Member] = [join(open, 'a', log), join(open, 'b', log)]
  for (const member of members) await member.connected(1)
  return members
}

function makeEvent(seq: number, text: string): EventRow {
  return {
    seq,
    flow_id: seq % 2 === 0 ? 'f' : null,
    user_id: seq % 2 === 0 ? null : 7,
    payload: JSON.stringify({ event: 'message', content: text }),
    created_at: 1_764_339_000_123,
    kind: seq % 3 === 0 ? 1 : 0,
  }
}

const typing: BusSignal = {
  flowIds: ['f', 'g'],
  userId: 3,
  isPresence: false,
  payload: { event: 'x', é: '✓' },
}

/** One of each kind. */
const messages: BusMessage[] = [
  { kind: 'batch', from: 5, to: 7, events: [5, 6, 7].map((seq) => makeEvent(seq, 'hello')) },
  { kind: 'batch', from: 8, to: 20 },
  { kind: 'signals', signals: [typing, { flowIds: [], isPresence: true, payload: {} }] },
  { kind: 'state', userId: 3, activity: 'idle', since: 12, flowIds: ['f'] },
  { kind: 'state', userId: 3, activity: undefined, since: 13 },
  { kind: 'set', userId: 3, at: 14 },
  { kind: 'present', round: 1, part: 0, parts: 2, users: [{ userId: 3, activity: 'active', since: 15 }] },
  { kind: 'here', head: 20, asks: true },
]

const engines: [name: string, open: () => OpenTransport][] = [
  ['memory', () => createMemoryNetwork().open],
  ['PostgreSQL', () => postgresTransport(postgresUrl)],
  ['NATS', () => natsTransport(natsUrl)],
]

describe.each(engines)('a bus over %s', (engine, makeOpen) => {
  test('carries every message to the other backends, in the order it was sent, and not to its sender', async () => {
    const [a, b] = await joinTwo(makeOpen())
    for (const message of messages) a.bus.publish(message)
    await expect.poll(() => b.received.length).toBe(messages.length)
    expect(b.received).toEqual(messages.map((message) => ({ message, from: 'a' })))
    b.bus.publish({ kind: 'here', head: 1, asks: false })
    await expect.poll(() => a.received.length).toBe(1)
    expect(a.received[0]?.from).toBe('b')
  })

  test('keeps the order of many messages', async () => {
    const [a, b] = await joinTwo(makeOpen())
    for (let head = 1; head <= 500; head += 1) a.bus.publish({ kind: 'here', head, asks: false })
    await expect.poll(() => b.received.length).toBe(500)
    expect(b.received.map(({ message }) => message.kind === 'here' && message.head)).toEqual(
      Array.from({ length: 500 }, (_, index) => index + 1),
    )
  })

  test('carries nothing to backends of another log', async () => {
    const open = makeOpen()
    const [[a, b], [other]] = [await joinTwo(open), await joinTwo(open)]
    a.bus.publish({ kind: 'here', head: 1, asks: false })
    await expect.poll(() => b.received.length).toBe(1)
    expect(other.received).toEqual([])
  })

  test('carries long events, or says that there are some', async () => {
    const [a, b] = await joinTwo(makeOpen())
    const events = [1, 2].map((seq) => makeEvent(seq, '€'.repeat(200_000)))
    a.bus.publish({ kind: 'batch', from: 1, to: 2, events })
    await expect.poll(() => b.received.length).toBe(1)
    const withEvents = { kind: 'batch', from: 1, to: 2, events }
    const [first] = b.received
    expect(first?.message).toEqual(engine === 'memory' ? withEvents : { kind: 'batch', from: 1, to: 2 })
  })

  test('carries as many signals in one message as it can', async () => {
    const [a, b] = await joinTwo(makeOpen())
    const signals = Array.from({ length: 100 }, (_, index) => ({ ...typing, userId: index }))
    a.bus.publish({ kind: 'signals', signals })
    const received = () =>
      b.received.flatMap(({ message }) => (message.kind === 'signals' ? message.signals : []))
    await expect.poll(() => received().length).toBe(100)
    expect(received()).toEqual(signals)
    expect(b.received.length).toBeLessThan(10)
  })

  test('closes while it is being connected', async () => {
    const bus = createBus({ instance: 'a', log: newLog() }, makeOpen())
    await bus.close()
    expect(bus.isConnected).toBe(false)
    bus.publish({ kind: 'here', head: 1, asks: false })
  })
})

describe('messages', () => {
  const network = createMemoryNetwork()
  const raw = (log: string) => network.open(log, { onMessage() {}, onConnected() {}, onDisconnected() {} })

  test.each([
    ['no JSON', '{"v":1,'],
    ['another version', '{"v":2,"by":"x","log":"LOG","kind":"here","head":1}'],
    ['another log', '{"v":1,"by":"x","log":"other","kind":"here","head":1}'],
    ['no sender', '{"v":1,"log":"LOG","kind":"here","head":1}'],
    ['its own', '{"v":1,"by":"a","log":"LOG","kind":"here","head":1}'],
    ['an unknown kind', '{"v":1,"by":"x","log":"LOG","kind":"later","head":1}'],
    ['a list', '[1]'],
    ['no number', '{"v":1,"by":"x","log":"LOG","kind":"here","head":"1"}'],
    ['a negative number', '{"v":1,"by":"x","log":"LOG","kind":"here","head":-1}'],
    ['too few events', '{"v":1,"by":"x","log":"LOG","kind":"batch","from":1,"to":2,"events":[]}'],
    ['a batch that goes back', '{"v":1,"by":"x","log":"LOG","kind":"batch","from":2,"to":1}'],
    [
      'an audience that is none',
      '{"v":1,"by":"x","log":"LOG","kind":"batch","from":1,"to":1,"events":[{"a":"g:1","t":1,"k":0,"p":""}]}',
    ],
    [
      'a signal without flows',
      '{"v":1,"by":"x","log":"LOG","kind":"signals","signals":[{"isPresence":true,"payload":{}}]}',
    ],
    [
      'an unknown activity',
      '{"v":1,"by":"x","log":"LOG","kind":"state","userId":1,"activity":"asleep","since":1}',
    ],
    [
      'a part past the last',
      '{"v":1,"by":"x","log":"LOG","kind":"present","round":1,"part":2,"parts":2,"users":[]}',
    ],
  ])('of %s are ignored', async (_, text) => {
    const log = newLog()
    const a = join(network.open, 'a', log)
    const other = raw(log)
    other.send('here', text.replace('LOG', log))
    other.send('here', `{"v":1,"by":"x","log":"${log}","kind":"here","head":9,"later":true}`)
    await expect.poll(() => a.received.length).toBe(1)
    expect(a.received).toEqual([{ message: { kind: 'here', head: 9, asks: false }, from: 'x' }])
  })
})

describe('a bus whose engine fails', () => {
  test('PostgreSQL: connections that were cut are made again, and what follows arrives', async () => {
    const database = await makeDatabase()
    if (database === undefined) throw new Error('This test needs PostgreSQL')
    onTestFinished(database.drop)
    const [a, b] = await joinTwo(postgresTransport(database.url))
    const name = new URL(database.url).pathname.slice(1)
    await execute(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
    await Promise.all([a.connected(2), b.connected(2)])
    a.bus.publish({ kind: 'here', head: 1, asks: false })
    await expect.poll(() => b.received.length).toBe(1)
    expect(a.notices).toEqual([
      expect.stringMatching(/^The bus to other backends is not connected/),
      'The bus to other backends is connected again',
    ])
  })

  describe('NATS', () => {
    test('that was not there at the start, was killed and came back', async () => {
      const server = await makeNatsServer()
      const log = newLog()
      const open = natsTransport(server.url)
      const [a, b] = [join(open, 'a', log), join(open, 'b', log)]
      await expect.poll(() => a.notices.length).toBe(1)
      expect(a.bus.isConnected).toBe(false)
      await server.start()
      await Promise.all([a.connected(1), b.connected(1)])
      a.bus.publish({ kind: 'here', head: 1, asks: false })
      await expect.poll(() => b.received.length).toBe(1)

      await server.kill()
      await expect.poll(() => a.bus.isConnected || b.bus.isConnected).toBe(false)
      a.bus.publish({ kind: 'here', head: 2, asks: false })
      await server.start()
      await Promise.all([a.connected(2), b.connected(2)])
      a.bus.publish({ kind: 'here', head: 3, asks: false })
      await expect.poll(() => b.received.length).toBe(2)
      // What was sent meanwhile is lost, not late.
      expect(b.received.map(({ message }) => message.kind === 'here' && message.head)).toEqual([1, 3])
      expect(a.notices.map((notice) => notice.slice(0, 43))).toEqual([
        'The bus to other backends is not connected;',
        'The bus to other backends is connected agai',
        'The bus to other backends is not connected;',
        'The bus to other backends is connected agai',
      ])
    })

    test('takes the user and the password of the URL', async () => {
      const server = await makeNatsServer('--user', 'flowdock', '--pass', 'p@ss')
      await server.start()
      const log = newLog()
      const wrong = join(natsTransport(server.url), 'c', log)
      const url = server.url.replace('//', '//flowdock:p%40ss@')
      const [a, b] = await joinTwo(natsTransport(url), log)
      a.bus.publish({ kind: 'here', head: 1, asks: false })
      await expect.poll(() => b.received.length).toBe(1)
      await expect.poll(() => wrong.notices.length).toBe(1)
      expect(wrong.bus.isConnected).toBe(false)
    })
  })
})
