import fc from 'fast-check'
import { buildSchema, execute, type GraphQLError, type GraphQLSchema, parse } from 'graphql'
import { expect, onTestFinished, test } from 'vitest'
import type { Channel, Context, Entry, LiveEvents } from '../../src/context.ts'
import { type ErrorCode, GatewayError } from '../../src/errors.ts'
import type { Membership } from '../../src/events/channel.ts'
import { RecentLog } from '../../src/events/recent-log.ts'
import { EventLoopBudget } from '../../src/subscriptions/event-loop-budget.ts'
import { createFanOut, type SubscriptionReader } from '../../src/subscriptions/fan-out.ts'
import type { FlowEvent } from '../../src/upstream/flowdock/model.ts'
import { eventually } from '../support/app.ts'

const limits = { maxEventCalls: 100, maxSubscriptionCalls: 1000, maxOperationMs: 20_000 }

interface TestEvent {
  readonly id: number
  /** Its audience; all unless given. */
  readonly flow?: string
  /** The number of a user. */
  readonly author?: number
}

/** A schema with one subscription, whose field `of` says as whom it was executed. */
function makeSchema(resolve: (principal: string, event: { id: number }) => unknown): GraphQLSchema {
  const schema = buildSchema(
    'type Query { x: Int } type Event { id: Int of: String isOwn: Boolean } type Subscription { event: Event }',
  )
  const root = schema.getSubscriptionType()?.getFields()['event']
  const fields = schema.getType('Event') as unknown as {
    getFields(): Record<string, { extensions: object; resolve: unknown }>
  }
  for (const field of Object.values(fields.getFields())) field.extensions = { traits: { sharing: 'same' } }
  const isOwn = fields.getFields()['isOwn']
  if (isOwn === undefined) throw new Error('The schema lacks a field')
  isOwn.extensions = { traits: { sharing: 'viewer' } }
  isOwn.resolve = ({ author }: TestEvent, _: unknown, { viewer }: Context) => viewer.is(author ?? 0)
  const of = fields.getFields()['of']
  if (root === undefined || of === undefined) throw new Error('The schema lacks a field')
  root.subscribe = (_source, _args, context: { events: LiveEvents }) => context.events
  root.resolve = (event: unknown) => event
  of.resolve = (event: { id: number }, _: unknown, context: { principal: string }) =>
    resolve(context.principal, event)
  return schema
}

/** A channel that a test pushes events to. */
function makeChannel(maxEvents = 1000) {
  const listeners = new Set<(entry: Entry) => void>()
  const log = new RecentLog<FlowEvent>({ maxEvents, maxBytes: 1024 * 1024 })
  const channel: Channel = {
    ...{ key: 'channel', log },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    audiencesOf({ event }) {
      const { flow } = event as unknown as TestEvent
      return flow === undefined ? 'all' : [flow]
    },
  }
  return {
    channel,
    listeners,
    push(event: TestEvent | number) {
      const pushed = typeof event === 'number' ? { id: event } : event
      const entry = log.push(pushed as unknown as FlowEvent, String(pushed.id), 1)
      for (const listener of [...listeners]) listener(entry)
    },
  }
}

async function setUp(
  resolve: (principal: string, event: { id: number }) => unknown,
  {
    principals,
    maxEvents,
    audiences = {},
    hasOwnChannels = false,
    fields = 'id of',
    onDelivery,
  }: {
    principals: readonly string[]
    maxEvents?: number
    /** The flows of principals; all unless given. */
    audiences?: Readonly<Record<string, readonly string[]>>
    /** Whether each principal has a channel of its own, to which the same events are pushed. */
    hasOwnChannels?: boolean
    fields?: string
    onDelivery?: (principal: string, event: TestEvent) => void
  },
) {
  const shared = makeChannel(maxEvents)
  const { listeners } = shared
  const channels = new Map(principals.map((name) => [name, hasOwnChannels ? makeChannel(maxEvents) : shared]))
  const push = (event: TestEvent | number) => {
    const pushed = typeof event === 'number' ? { id: event } : event
    for (const each of new Set(channels.values())) each.push(pushed)
  }
  const ends: string[] = []
  const schema = makeSchema(resolve)
  const live = createFanOut({
    schema,
    executor: { execute },
    ...{ limits, isBusy: () => false, onUnexpected: () => undefined },
    cursorOf: (event) => String((event as { id: number }).id),
    isOfFlow: () => true,
    onDelivery: ({ principal }, event) => onDelivery?.(principal, event as unknown as TestEvent),
    onEnd: (reason) => ends.push(reason),
  })
  const heard: Record<string, string[]> = {}
  const leave: Record<string, () => void> = {}
  const memberships: Record<string, Membership> = {}
  for (const [index, principal] of principals.entries()) {
    const { channel } = channels.get(principal) ?? shared
    const events = {
      ...{ principal, key: 'all', pace: undefined, wants: () => true },
      identify: async () => undefined,
      answer: ({ userIds }) => userIds.includes(index),
      context: (_event, _channel, _use, onQuestion) =>
        ({
          ...{ principal, bound: () => undefined },
          viewer: {
            is(userId: number) {
              onQuestion?.({ userIds: [userId] }, userId === index)
              return userId === index
            },
          },
        }) as unknown as Context,
      read(reader, signal) {
        const membership = reader.live(channel, channel.log.seq, new Set(audiences[principal]))
        memberships[principal] = membership
        return new Promise<void>((end) =>
          signal.addEventListener('abort', () => {
            membership.leave()
            end()
          }),
        )
      },
      [Symbol.asyncIterator]() {
        throw new Error('Events are read, not iterated')
      },
    } as LiveEvents
    const begun = await live.subscribe(
      {
        schema,
        document: parse(`subscription { event { ${fields} } }`),
        contextValue: { events },
      },
      0,
    )
    if (!('start' in begun)) throw new Error(JSON.stringify(begun.errors))
    const results: string[] = []
    heard[principal] = results
    const reader: SubscriptionReader = {
      next: ({ bytes }) => void results.push(String(bytes)),
      nextAll: (payloads) => void results.push(...payloads.map(({ bytes }) => String(bytes))),
      ready: async () => undefined,
      complete: () => void results.push('complete'),
    }
    const controller = new AbortController()
    leave[principal] = () => controller.abort()
    onTestFinished(() => controller.abort())
    begun.start(reader, controller.signal)
  }
  return { live, push, heard, leave, memberships, ends, listeners }
}

const result = (id: number, of: string) => JSON.stringify({ data: { event: { id, of } } })
const codes = (text: string | undefined) =>
  (JSON.parse(text ?? '{}').errors ?? []).map((error: GraphQLError) => error.extensions['code'])

test.each<ErrorCode>(['RATE_LIMITED', 'UNAUTHENTICATED', 'FORBIDDEN', 'COST_EXCEEDED'])(
  'an error about the caller an event is executed as (%s) is for that caller alone',
  async (code) => {
    const executedAs: string[] = []
    const { push, heard } = await setUp(
      (principal) => {
        executedAs.push(principal)
        if (principal === 'eve') throw new GatewayError(code, 'About Eve')
        return principal
      },
      { principals: ['eve', 'max', 'zoe'] },
    )
    push(1)
    await eventually(() => heard['zoe']?.length === 1)
    expect(codes(heard['eve']?.[0])).toEqual([code])
    expect(heard['max']).toEqual([result(1, 'max')])
    expect(heard['zoe']).toEqual(heard['max'])
    push(2)
    await eventually(() => heard['zoe']?.length === 2)
    // The next event is executed as somebody else at once.
    expect(executedAs).toEqual(['eve', 'max', 'max'])
    expect(heard['eve']?.[1]).toBe(result(2, 'max'))
  },
)

test('an event is executed as three principals at most, and errors about them are delivered to no one else', async () => {
  const executedAs: string[] = []
  const { push, heard } = await setUp(
    (principal) => {
      executedAs.push(principal)
      throw new GatewayError('FORBIDDEN', `About ${principal}`)
    },
    { principals: ['a', 'b', 'c', 'd', 'e'] },
  )
  push(1)
  await eventually(() => heard['e']?.length === 1)
  expect(executedAs).toEqual(['a', 'b', 'c'])
  for (const principal of executedAs) {
    expect(codes(heard[principal]?.[0])).toEqual(['FORBIDDEN'])
    expect(heard[principal]?.[0]).toContain(`About ${principal}`)
  }
  for (const principal of ['d', 'e']) {
    expect(codes(heard[principal]?.[0])).toEqual(['UPSTREAM_UNAVAILABLE'])
    expect(heard[principal]?.[0]).not.toContain('About')
  }
})

test('other errors are delivered to all, and the event is executed once', async () => {
  let executions = 0
  const { push, heard } = await setUp(
    () => {
      executions += 1
      throw new GatewayError('UPSTREAM_TIMEOUT', 'Too slow')
    },
    { principals: ['eve', 'max'] },
  )
  push(1)
  await eventually(() => heard['max']?.length === 1)
  expect(codes(heard['max']?.[0])).toEqual(['UPSTREAM_TIMEOUT'])
  expect(heard['eve']).toEqual(heard['max'])
  expect(executions).toBe(1)
})

test('an event executed as a member that leaves meanwhile is executed again', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const { push, heard, leave } = await setUp((principal) => (principal === 'eve' ? promise : principal), {
    principals: ['eve', 'max'],
  })
  push(1)
  leave['eve']?.()
  resolve('what Eve may not read any more')
  await eventually(() => heard['max']?.length === 1)
  expect(heard['max']).toEqual([result(1, 'max')])
})

test('results keep the order of the events, whichever is executed first', async () => {
  const waiting = new Map<number, (value: string) => void>()
  const { push, heard } = await setUp((_, { id }) => new Promise((answer) => waiting.set(id, answer)), {
    principals: ['max'],
  })
  for (let id = 1; id <= 40; id += 1) push(id)
  await eventually(() => waiting.size === 16)
  while ((heard['max']?.length ?? 0) < 40) {
    for (const [id, answer] of [...waiting].reverse()) {
      waiting.delete(id)
      answer('x')
    }
    await new Promise(setImmediate)
  }
  expect(heard['max']).toEqual(Array.from({ length: 40 }, (_, index) => result(index + 1, 'x')))
})

test('a subscription whose events cannot be executed in time ends with SLOW_CONSUMER, and none is left out before', async () => {
  const waiting: ((value: string) => void)[] = []
  const { push, heard, live, ends, listeners } = await setUp(
    () => new Promise((answer) => waiting.push(answer)),
    { principals: ['max', 'zoe'], maxEvents: 50 },
  )
  push(1)
  await eventually(() => waiting.length === 1)
  waiting.shift()?.('x')
  await eventually(() => heard['max']?.length === 1)
  for (let id = 2; id <= 51; id += 1) push(id)
  await new Promise(setImmediate)
  expect(heard['max']).toHaveLength(1)
  // The log forgets the second event, which no member has got.
  push(52)
  for (const name of ['max', 'zoe']) {
    expect(heard[name]?.[0]).toBe(result(1, 'x'))
    expect(codes(heard[name]?.[1])).toEqual(['SLOW_CONSUMER'])
    expect(heard[name]?.slice(2)).toEqual(['complete'])
  }
  await eventually(() => live.state().operations === 0)
  expect(ends).toEqual(['SLOW_CONSUMER', 'SLOW_CONSUMER'])
  expect(live.state().groups).toEqual([])
  expect(listeners.size).toBe(0)
  for (const answer of waiting) answer('too late')
  await new Promise(setImmediate)
  expect(heard['max']).toHaveLength(3)
})

test('fewer executions begin in a turn of the event loop while queries are queued', async () => {
  let isBusy = false
  const pace = new EventLoopBudget(() => isBusy)
  const beginsInOneTurn = () => {
    let begun = 0
    while (begun < 1000 && pace.mayBegin(() => undefined)) begun += 1
    return begun
  }
  expect(beginsInOneTurn()).toBe(256)
  isBusy = true
  await new Promise(setImmediate)
  expect(beginsInOneTurn()).toBe(16)
  // What had to wait begins in later turns, in its order.
  const order: number[] = []
  await Promise.all(Array.from({ length: 40 }, (_, index) => pace.begin().then(() => order.push(index))))
  expect(order).toEqual(Array.from({ length: 40 }, (_, index) => index))
})

test('members of one group get the events of their audiences alone, each executed once', async () => {
  const executed: number[] = []
  const { push, heard, live } = await setUp(
    (_, { id }) => {
      executed.push(id)
      return 'x'
    },
    { principals: ['eve', 'max', 'zoe'], audiences: { eve: ['a'], max: ['a', 'b'], zoe: ['b'] } },
  )
  expect(live.state().groups).toEqual([{ sources: { channel: 3 }, members: 3, isShared: true }])
  push({ id: 1, flow: 'a' })
  push({ id: 2, flow: 'b' })
  push({ id: 3, flow: 'c' })
  push({ id: 4 })
  await eventually(() => ['eve', 'max', 'zoe'].every((name) => heard[name]?.includes(result(4, 'x'))))
  expect(heard).toEqual({
    eve: [1, 4].map((id) => result(id, 'x')),
    max: [1, 2, 4].map((id) => result(id, 'x')),
    zoe: [2, 4].map((id) => result(id, 'x')),
  })
  expect(executed).toEqual([1, 2, 4])
})

test('a member whose audiences change gets the events of the others from then on', async () => {
  const { push, heard, memberships } = await setUp(() => 'x', {
    principals: ['eve', 'max'],
    audiences: { eve: ['a'], max: ['b'] },
  })
  push({ id: 1, flow: 'a' })
  memberships['eve']?.move(new Set(['b', 'c']))
  push({ id: 2, flow: 'a' })
  push({ id: 3, flow: 'b' })
  push({ id: 4, flow: 'c' })
  await eventually(() => heard['eve']?.length === 3)
  expect(heard).toEqual({
    eve: [1, 3, 4].map((id) => result(id, 'x')),
    max: [3].map((id) => result(id, 'x')),
  })
})

test('an event that the streams of several principals deliver is executed once', async () => {
  const executedAs: string[] = []
  const { push, heard } = await setUp(
    async (principal) => {
      executedAs.push(principal)
      await new Promise(setImmediate)
      return 'x'
    },
    { principals: ['eve', 'max', 'zoe'], hasOwnChannels: true },
  )
  for (let id = 1; id <= 3; id += 1) push(id)
  await eventually(() => Object.values(heard).every(({ length }) => length === 3))
  expect(executedAs).toEqual(['eve', 'eve', 'eve'])
  for (const results of Object.values(heard)) expect(results).toEqual([1, 2, 3].map((id) => result(id, 'x')))
})

test('an error about one principal is not delivered to others whose streams deliver the same event', async () => {
  const { push, heard } = await setUp(
    async (principal) => {
      await new Promise(setImmediate)
      if (principal === 'eve') throw new GatewayError('FORBIDDEN', 'About Eve')
      return principal
    },
    { principals: ['eve', 'max', 'zoe'], hasOwnChannels: true },
  )
  push(1)
  await eventually(() => Object.values(heard).every(({ length }) => length === 1))
  expect(codes(heard['eve']?.[0])).toEqual(['FORBIDDEN'])
  expect(heard['max']).toEqual([result(1, 'max')])
  expect(heard['zoe']).toEqual([result(1, 'max')])
})

test.each([false, true])(
  'an event is executed once for each answer about the viewer (own channels: %s)',
  async (hasOwnChannels) => {
    const executedAs: string[] = []
    const { push, heard } = await setUp(
      (principal) => {
        executedAs.push(principal)
        return 'x'
      },
      { principals: ['eve', 'max', 'zoe', 'kim'], fields: 'id of isOwn', hasOwnChannels },
    )
    push({ id: 1, author: 2 })
    await eventually(() => Object.values(heard).every(({ length }) => length === 1))
    const own = (isOwn: boolean) => JSON.stringify({ data: { event: { id: 1, of: 'x', isOwn } } })
    expect(heard).toEqual({ eve: [own(false)], max: [own(false)], zoe: [own(true)], kim: [own(false)] })
    expect(executedAs).toEqual(['eve', 'zoe'])
  },
)

test('nothing is delivered to a member that has left, though the event came before', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const delivered: string[] = []
  const { push, heard, leave } = await setUp(() => promise, {
    ...{ principals: ['eve', 'max'], onDelivery: (principal) => void delivered.push(principal) },
  })
  push(1)
  leave['max']?.()
  resolve('x')
  await eventually(() => heard['eve']?.length === 1)
  await new Promise(setImmediate)
  expect(heard['max']).toEqual([])
  expect(delivered).toEqual(['eve'])
})

test('with members that join, leave and are slow, each gets the events of its audiences, in order, each once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('a', 'b', 'c', 'leave', 'turn', 'answer'), { minLength: 1, maxLength: 60 }),
      fc.boolean(),
      async (steps, hasOwnChannels) => {
        const names = ['eve', 'max', 'zoe']
        const audiences: Record<string, string[]> = { eve: ['a'], max: ['a', 'b'], zoe: ['b', 'c'] }
        const waiting: ((value: string) => void)[] = []
        const { push, heard, leave } = await setUp(() => new Promise((answer) => waiting.push(answer)), {
          ...{ principals: names, audiences, hasOwnChannels, fields: 'id of isOwn' },
          onDelivery(principal, { flow = 'all' }) {
            expect(left.has(principal)).toBe(false)
            expect(audiences[principal]).toContain(flow)
          },
        })
        const left = new Set<string>()
        const due: Record<string, number[]> = { eve: [], max: [], zoe: [] }
        for (const [index, step] of steps.entries()) {
          if (step === 'turn') await new Promise(setImmediate)
          else if (step === 'answer') waiting.pop()?.('x')
          else if (step === 'leave') {
            const name = names[index % 3] ?? ''
            left.add(name)
            leave[name]?.()
          } else {
            for (const name of names)
              if (!left.has(name) && audiences[name]?.includes(step)) due[name]?.push(index)
            push({ id: index, flow: step, author: index % 4 })
          }
        }
        const isDone = () =>
          names.every((name) => left.has(name) || heard[name]?.length === due[name]?.length)
        while (!isDone()) {
          for (const answer of waiting.splice(0)) answer('x')
          await new Promise(setImmediate)
        }
        for (const [viewer, name] of names.entries()) {
          const ids = (heard[name] ?? []).map((text) => {
            const { id, isOwn } = JSON.parse(text).data.event
            expect(isOwn).toBe(id % 4 === viewer)
            return id
          })
          expect(ids).toEqual(due[name]?.slice(0, ids.length))
        }
        for (const name of names) leave[name]?.()
      },
    ),
    { numRuns: 200 },
  )
})
