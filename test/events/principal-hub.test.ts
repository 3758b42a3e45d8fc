import { describe, expect, test } from 'vitest'
import { createHub, type Sink, type Subscription, type Topic } from '../../src/events/principal-hub.ts'
import { RecentLog } from '../../src/events/recent-log.ts'

type Check = (owner: string, signal: AbortSignal) => Promise<ReadonlySet<string>>

/** The numbers of the members that owners are; of others nobody knows it. */
const members = new Map([
  ['ada', 1],
  ['ben', 2],
  ['cleo', 3],
])

/** A hub whose sources the test plays. Owners are names; a channel is a letter; `block ben a` takes a channel away. */
function startHub(
  options: {
    check?: Check
    isRefusal?: (error: unknown) => boolean
    checkEveryMs?: number
    checkWithinMs?: number
    confirmWithinMs?: number
    proofAgeMs?: number
  } = {},
) {
  const sources: { owner: string; sink: Sink<string>; closed: boolean }[] = []
  const hub = createHub<string, string>({
    keyOf: (owner) => owner,
    memberOf: (owner) => members.get(owner),
    audiencesOf: () => 'all',
    limits: { maxEvents: 100, maxBytes: 1000 },
    open(owner, sink) {
      const source = { owner, sink, closed: false }
      sources.push(source)
      return {
        close() {
          source.closed = true
        },
      }
    },
    offsetOf: (event) => event,
    removalOf(event) {
      const [, name, channel] = /^block (\w+) (\w)/.exec(event) ?? []
      return name === undefined || channel === undefined
        ? undefined
        : { channel, member: members.get(name) ?? 99 }
    },
    check: options.check ?? (async () => new Set('ab')),
    isRefusal: options.isRefusal ?? (() => false),
    lost: () => new Error('lost'),
    idleTimeoutMs: 0,
    checkEveryMs: options.checkEveryMs ?? 3_600_000,
    checkWithinMs: options.checkWithinMs ?? 60_000,
    confirmWithinMs: options.confirmWithinMs ?? 60_000,
    proofAgeMs: options.proofAgeMs ?? 60_000,
  })
  const subscribe = (
    owner: string,
    topic: Partial<Topic<string>> = {},
    signal = new AbortController().signal,
    isResumed = false,
  ) => hub.subscribe({ owner, channels: ['a'], isPrivate: false, ...topic }, signal, isResumed)
  const source = (index: number) => {
    const found = sources[index]
    if (found === undefined) throw new Error(`No source ${index} was opened`)
    return found
  }
  const open = (index: number, channels = 'ab', at?: string) => source(index).sink.open(new Set(channels), at)
  return { hub, subscribe, sources, source, open }
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5))

describe('a hub', () => {
  test('opens one source for all who listen with the same rights, and closes it behind the last', async () => {
    const { hub, subscribe, sources, source, open } = startHub()
    const both = [subscribe('ada'), subscribe('ada', { channels: ['b'] })]
    open(0)
    const [first, second] = await Promise.all(both)
    expect(first?.channel).toBe(second?.channel)
    first?.leave()
    await turn()
    expect(source(0).closed).toBe(false)
    second?.leave()
    await expect.poll(() => source(0).closed).toBe(true)
    expect([sources.length, hub.size]).toEqual([1, 0])
  })

  test('subscriptions others as borrowers where all is covered that they may hear', async () => {
    const { subscribe, sources, open } = startHub()
    const ada = subscribe('ada')
    open(0, 'ab')
    await ada
    await subscribe('ben', { channels: ['a', 'b'] })
    expect(sources.length).toBe(1)
    for (const topic of [{ channels: ['c'] }, { isPrivate: true }, { channels: 'all' as const }]) {
      const before = sources.length
      const own = subscribe(`cleo ${before}`, topic)
      open(before, 'c')
      await own
      expect(sources.length).toBe(before + 1)
    }
  })

  test('remembers little for those who only want to know that something happens, and all for others', async () => {
    const { hub, subscribe, source, open } = startHub()
    const kept = () => hub.state().streams[0]?.keptEvents
    const fleeting = subscribe('ada', { isFleeting: true })
    open(0)
    await fleeting
    for (let index = 0; index < 500; index += 1) source(0).sink.event(`e${index}`, 10)
    expect(kept()).toBe(16)
    const subscription = await subscribe('ada')
    for (let index = 0; index < 500; index += 1) source(0).sink.event(`f${index}`, 10)
    expect(kept()).toBe(100)
    subscription.leave()
    source(0).sink.event('g', 10)
    expect(kept()).toBe(16)
  })

  test('moves borrowers when their host leaves, once it is known where the log stands', async () => {
    const { subscribe, source, open } = startHub()
    const hosting = subscribe('ada')
    open(0)
    const host = await hosting
    const borrower = await subscribe('ben')
    host.leave()
    await turn()
    expect(source(0).closed).toBe(false)
    source(0).sink.event('1', 1)
    expect(await borrower.ended).toEqual({ kind: 'evicted' })
    expect(source(0).closed).toBe(true)
    expect(borrower.channel.log.offset).toBe('1')
  })

  test('tells the owner why a source ended, and moves the borrowers', async () => {
    const { subscribe, source, open } = startHub()
    const hosting = subscribe('ada')
    open(0)
    const host = await hosting
    const borrower = await subscribe('ben')
    const error = new Error('revoked')
    source(0).sink.end(error)
    expect(await host.ended).toEqual({ kind: 'failed', error })
    expect(await borrower.ended).toEqual({ kind: 'evicted' })
  })

  test('moves borrowers of a channel that the owner of the source may not hear any more', async () => {
    const { subscribe, source } = startHub()
    const channels = new Set('ab')
    const hosting = subscribe('ada')
    source(0).sink.open(channels, '0')
    const host = await hosting
    const moved = await subscribe('ben', { channels: ['b'] })
    const staying = await subscribe('cleo', { channels: ['a'] })
    channels.delete('b')
    source(0).sink.event('1', 1)
    source(0).sink.channelsChanged()
    expect(await moved.ended).toEqual({ kind: 'evicted' })
    let isGone = false
    for (const { ended } of [host, staying])
      void ended.then(() => {
        isGone = true
      })
    await turn()
    expect(isGone).toBe(false)
  })

  test('fails whoever waits for a source that never opens', async () => {
    const { hub, subscribe, source } = startHub()
    const waiting = subscribe('ada')
    source(0).sink.end(new Error('not for you'))
    await expect(waiting).rejects.toThrow('not for you')
    expect(hub.size).toBe(0)
  })

  test('lets go of whoever leaves while a source still opens', async () => {
    const { subscribe, source } = startHub()
    const leaving = new AbortController()
    const waiting = subscribe('ada', {}, leaving.signal)
    leaving.abort(new Error('left'))
    await expect(waiting).rejects.toThrow('left')
    await expect.poll(() => source(0).closed).toBe(true)
  })

  test('ends everybody when it is closed', async () => {
    const { hub, subscribe, open } = startHub()
    const waiting = subscribe('ada')
    open(0)
    const subscription = await waiting
    const error = new Error('closing')
    hub.close(error)
    expect(await subscription.ended).toEqual({ kind: 'failed', error })
    await expect(subscribe('ben')).rejects.toThrow('closing')
  })
})

describe('access to a hub', () => {
  /** A host at `a` and `b`, whose source is open. */
  async function startHosted(options: Parameters<typeof startHub>[0]) {
    const started = startHub(options)
    const hosting = started.subscribe('ada', { channels: ['a', 'b'] })
    started.open(0, 'ab', '0')
    return { ...started, host: await hosting }
  }
  /** A check that the test answers. */
  function startChecks() {
    const asked: ReturnType<typeof Promise.withResolvers<ReadonlySet<string>>>[] = []
    const check = () => {
      const answer = Promise.withResolvers<ReadonlySet<string>>()
      asked.push(answer)
      return answer.promise
    }
    const answer = (index: number, channels: string) => asked[index]?.resolve(new Set(channels))
    return { asked, check, answer }
  }
  const receives = ({ channel, onEnd }: Subscription<string>) => {
    const heard: string[] = []
    onEnd(channel.listen(({ event }) => heard.push(event)))
    return heard
  }

  test('ends with the event that names the member, before anything is asked and before the next event', async () => {
    const { asked, check, answer } = startChecks()
    const { subscribe, source, host } = await startHosted({ check })
    const coming = [subscribe('ben', { channels: ['a', 'b'] }), subscribe('ben', { channels: ['b'] })]
    answer(0, 'ab')
    const [both, other] = (await Promise.all(coming)) as [Subscription<string>, Subscription<string>]
    const heard = { both: receives(both), other: receives(other), host: receives(host) }
    for (const event of ['1', 'block ben a', '2']) source(0).sink.event(event, 1)
    expect(both.ending).toEqual({ kind: 'failed', error: new Error('lost') })
    expect(heard).toEqual({
      both: ['1', 'block ben a'],
      other: ['1', 'block ben a', '2'],
      host: ['1', 'block ben a', '2'],
    })
    expect([asked.length, other.ending, host.ending]).toEqual([1, undefined, undefined])
  })

  test('of the owner of a source ends with such an event, too, where the channel is named', async () => {
    const { subscribe, source, host } = await startHosted({})
    const all = await subscribe('ada', { channels: 'all' })
    const other = await subscribe('ada', { channels: ['b'] })
    const borrower = await subscribe('ben')
    source(0).sink.event('block ada a', 1)
    expect(host.ending).toMatchObject({ kind: 'failed' })
    // Whether the borrower is evicted depends on what the source says it covers.
    expect([all.ending, other.ending, borrower.ending]).toEqual([undefined, undefined, undefined])
  })

  test('of an owner who named a channel is proved again when the source does not cover it any more', async () => {
    const { subscribe, sources } = startHub({ check: async () => new Set('b') })
    const channels = new Set('ab')
    const coming = [
      subscribe('ada'),
      subscribe('ada', { channels: ['b'] }),
      subscribe('ada', { channels: 'all' }),
    ]
    const sink = sources[0]?.sink as Sink<string>
    sink.open(channels, '0')
    const subscriptions = await Promise.all(coming)
    channels.delete('a')
    sink.event('1', 1)
    sink.channelsChanged()
    expect(subscriptions.map(({ ending }) => ending)).toEqual([{ kind: 'evicted' }, undefined, undefined])
    await expect(subscribe('ada', {}, undefined, true)).rejects.toThrow('lost')
  })

  test('is proved again when nobody knows which member somebody is', async () => {
    const { subscribe, source, sources } = await startHosted({})
    const stranger = await subscribe('nobody knows')
    const elsewhere = await subscribe('nobody knows', { channels: ['b'] })
    source(0).sink.event('block ben a', 1)
    expect([stranger.ending, elsewhere.ending]).toEqual([{ kind: 'evicted' }, undefined])
    const own = subscribe('dan', { channels: ['c'] })
    source(1).sink.open(new Set('c'), '0')
    const subscription = await own
    source(1).sink.event('block ben c', 1)
    expect([subscription.ending, sources[1]?.closed]).toEqual([{ kind: 'evicted' }, true])
  })

  test('of a borrower begins when it is proved, and otherwise at a source of its own', async () => {
    const { asked, check, answer } = startChecks()
    const { hub, subscribe, sources, open } = await startHosted({ check })
    let isIn = false
    const borrower = subscribe('ben').then((subscription) => {
      isIn = true
      return subscription
    })
    await turn()
    expect([isIn, sources.length]).toEqual([false, 1])
    answer(0, 'a')
    expect((await borrower).channel.key).toBe('ada')
    const own = subscribe('cleo')
    asked[1]?.reject(new Error('the upstream failed'))
    await expect.poll(() => sources.length).toBe(2)
    open(1, 'a')
    expect((await own).channel.key).toBe('cleo')
    const refused = subscribe('dan')
    answer(2, 'b')
    await expect(refused).rejects.toThrow('lost')
    expect(hub.state().streams.map(({ subscriptions, borrowers }) => [subscriptions, borrowers])).toEqual([
      [2, 1],
      [1, 0],
    ])
  })

  test('of a borrower whom an event removes meanwhile does not begin, whatever the check says', async () => {
    const { check, answer } = startChecks()
    const { subscribe, source } = await startHosted({ check })
    const coming = subscribe('ben')
    source(0).sink.event('block ben a', 1)
    answer(0, 'ab')
    await expect(coming).rejects.toThrow('lost')
  })

  test('is not given back by a check that began before the event', async () => {
    const { asked, check, answer } = startChecks()
    const { subscribe, source, hub } = await startHosted({ check })
    // It keeps the borrower there, and its check is under way.
    const keeping = subscribe('ben', { channels: ['b'] })
    await turn()
    source(0).sink.event('block ben a', 1)
    const again = subscribe('ben')
    again.catch(() => undefined)
    await turn()
    // One that began after the event is asked for.
    expect(asked.length).toBe(2)
    answer(0, 'ab')
    await turn()
    expect(hub.state().streams[0]?.borrowers).toBe(2)
    answer(1, 'b')
    await expect(again).rejects.toThrow('lost')
    expect((await keeping).ending).toBeUndefined()
  })

  test.each<[string, Check]>([
    ['fails', async () => Promise.reject(new Error('HTTP 500'))],
    ['never answers', () => new Promise(() => undefined)],
    [
      'answers after its deadline',
      (_, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(new Set('ab')))),
    ],
  ])(
    'of a borrower ends when the check %s for long enough, and the borrower goes on at a source of its own',
    async (_, failing) => {
      let check: Check = async () => new Set('ab')
      const { subscribe, sources, open } = await startHosted({
        check: (owner, signal) => check(owner, signal),
        ...{ checkEveryMs: 1, checkWithinMs: 20, confirmWithinMs: 100 },
      })
      const borrower = await subscribe('ben')
      check = failing
      expect(await borrower.ended).toEqual({ kind: 'evicted' })
      const resumed = subscribe('ben', {}, undefined, true)
      await expect.poll(() => sources.length).toBe(2)
      open(1, 'a')
      expect((await resumed).channel.key).toBe('ben')
    },
  )

  test('of a borrower is checked, however often another borrower is checked who came before', async () => {
    const gone = new Error('401')
    const revoked = new Set<string>()
    const { subscribe } = await startHosted({
      check: async (owner) =>
        revoked.has(owner) ? Promise.reject(gone) : new Set(owner === 'ben' ? 'a' : 'ab'),
      isRefusal: (error) => error === gone,
      checkEveryMs: 200,
    })
    await subscribe('ben')
    const borrower = await subscribe('cleo')
    revoked.add('cleo')
    let ending: unknown
    borrower.onEnd(() => {
      ending = borrower.ending
    })
    // A client that asks for a flow it is not in, and does not give up.
    for (let times = 0; times < 100 && ending === undefined; times += 1) {
      await expect(subscribe('ben', { channels: ['b'] })).rejects.toThrow('lost')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(ending).toEqual({ kind: 'failed', error: gone })
  })

  test('of a borrower goes on when a check succeeds before', async () => {
    let checks = 0
    const { subscribe } = await startHosted({
      async check() {
        checks += 1
        if (checks % 2 === 0) throw new Error('HTTP 500')
        return new Set('ab')
      },
      ...{ checkEveryMs: 1, confirmWithinMs: 1000 },
    })
    const borrower = await subscribe('ben')
    await expect.poll(() => checks).toBeGreaterThan(10)
    expect(borrower.ending).toBeUndefined()
  })

  test('that is refused ends with the reason', async () => {
    const refusal = new Error('401')
    let isRefused = false
    const { subscribe } = await startHosted({
      check: async () => (isRefused ? Promise.reject(refusal) : new Set('ab')),
      isRefusal: (error) => error === refusal,
      checkEveryMs: 1,
    })
    const borrower = await subscribe('ben')
    isRefused = true
    expect(await borrower.ended).toEqual({ kind: 'failed', error: refusal })
  })

  test('is proved again for a reader who resumes, unless the own source covers it', async () => {
    const { asked, check, answer } = startChecks()
    const { subscribe, open } = startHub({ check })
    const first = subscribe('ada', { channels: ['a'] }, undefined, true)
    open(0, 'a')
    await first
    expect(asked.length).toBe(0)
    const allowed = subscribe('ada', { channels: ['b'] }, undefined, true)
    await turn()
    answer(0, 'ab')
    await allowed
    const lost = subscribe('ada', { channels: ['c'] }, undefined, true)
    await turn()
    answer(1, 'ab')
    await expect(lost).rejects.toThrow('lost')
  })

  test('of the owner is proved for a new subscription, by one check for all who come together, unless a recent one did', async () => {
    const { asked, check, answer } = startChecks()
    const recent = await startHosted({ check })
    await recent.subscribe('ada', { channels: 'all' })
    expect(asked.length).toBe(0)
    const { subscribe } = await startHosted({ check, proofAgeMs: 0 })
    await turn()
    const coming = [subscribe('ada', { channels: 'all' }), subscribe('ada')]
    await turn()
    expect(asked.length).toBe(1)
    answer(0, 'ab')
    await Promise.all(coming)
  })

  test('of the owner that is refused for a new subscription ends the source', async () => {
    const refusal = new Error('401')
    const { subscribe, source, host } = await startHosted({
      check: async () => Promise.reject(refusal),
      isRefusal: (error) => error === refusal,
      proofAgeMs: 0,
    })
    await turn()
    await expect(subscribe('ada', { channels: 'all' })).rejects.toBe(refusal)
    expect([host.ending, source(0).closed]).toEqual([{ kind: 'failed', error: refusal }, true])
  })

  test('of the owner that cannot be proved fails the new subscription alone', async () => {
    const { subscribe, host } = await startHosted({
      check: async () => Promise.reject(new Error('HTTP 500')),
      proofAgeMs: 0,
    })
    await turn()
    await expect(subscribe('ada', { channels: 'all' })).rejects.toThrow('HTTP 500')
    expect(host.ending).toBeUndefined()
  })

  test('to what is remembered needs a check that began when the subscription was there', async () => {
    const { asked, check, answer } = startChecks()
    const { subscribe } = await startHosted({ check, proofAgeMs: 0 })
    await turn()
    const earlier = subscribe('ada', { channels: 'all' })
    await turn()
    const all = subscribe('ada', { channels: 'all' }, undefined, true)
    await turn()
    answer(0, 'ab')
    await earlier
    await turn()
    expect(asked.length).toBe(2)
    answer(1, 'b')
    const subscription = await all
    expect([subscription.isProved, subscription.covers('a'), subscription.covers('b')]).toEqual([
      true,
      false,
      true,
    ])
  })

  test('to what is remembered is proved again after an event that changes the channels of the owner', async () => {
    const { asked, check, answer } = startChecks()
    const { subscribe, sources } = startHub({ check })
    const channels = new Set('ab')
    const coming = subscribe('ada', { channels: 'all' }, undefined, true)
    const sink = sources[0]?.sink as Sink<string>
    sink.open(channels, '0')
    const subscription = await coming
    expect([asked.length, subscription.isProved, subscription.covers('a')]).toEqual([0, true, true])
    sink.event('block ben a', 1)
    expect(subscription.isProved).toBe(true)
    for (const change of [
      () => sink.event('block ada a', 1),
      () => {
        channels.delete('a')
        sink.event('1', 1)
        sink.channelsChanged()
      },
      () => {
        channels.add('c')
        sink.event('2', 1)
        sink.channelsChanged()
      },
    ]) {
      change()
      expect(subscription.isProved).toBe(false)
      const proving = subscription.prove()
      answer(asked.length - 1, 'b')
      await proving
      expect([subscription.isProved, subscription.covers('a')]).toEqual([true, false])
    }
    // The result of a check that began before an event may be older than it.
    channels.add('d')
    sink.event('3', 1)
    sink.channelsChanged()
    const proving = subscription.prove()
    channels.delete('d')
    sink.event('4', 1)
    sink.channelsChanged()
    answer(3, 'bd')
    await turn()
    expect([asked.length, subscription.isProved]).toEqual([5, false])
    answer(4, 'b')
    await proving
    expect(subscription.covers('d')).toBe(false)
  })
})

describe('the work of a hub', () => {
  /** How many steps through sets and maps something takes. */
  async function count(work: () => void | Promise<void>): Promise<number> {
    let steps = 0
    const restore = [new Set().values(), new Map().values()].map((iterator) => {
      const prototype = Object.getPrototypeOf(iterator) as { next: () => unknown }
      const { next } = prototype
      prototype.next = function (this: unknown) {
        steps += 1
        return next.call(this)
      }
      return () => {
        prototype.next = next
      }
    })
    try {
      await work()
    } finally {
      for (const undo of restore) undo()
    }
    return steps
  }

  async function subscription(count: number) {
    const { hub, subscribe, source, open } = startHub()
    const leaving = new AbortController()
    const hosting = subscribe('ada', {}, leaving.signal)
    open(0, 'ab', '0')
    await hosting
    for (let index = 1; index < count; index += 1)
      await subscribe(index % 2 === 0 ? 'ada' : `borrower ${index % 50}`, {}, leaving.signal)
    expect(hub.state().streams[0]?.subscriptions).toBe(count)
    return { source: source(0), leave: () => leaving.abort(new Error('left')) }
  }

  test('for an event does not grow with the number of subscriptions', async () => {
    const few = await subscription(20)
    const many = await subscription(400)
    const event = (seated: typeof few) => count(() => seated.source.sink.event('1', 1))
    expect(await event(many)).toBe(await event(few))
  })

  test('for subscriptions that leave together grows as their number does', async () => {
    const few = await subscription(250)
    const many = await subscription(1000)
    const [less, more] = [await count(few.leave), await count(many.leave)]
    expect(more).toBeLessThanOrEqual(Math.max(less, 250) * 5)
  })
})

describe('what a source remembers', () => {
  const log = (maxEvents: number, maxBytes = 1000) => new RecentLog<string>({ maxEvents, maxBytes })
  const seqs = (entries: readonly { seq: number }[] | undefined) => entries?.map(({ seq }) => seq)

  test('is what came behind an entry, until that is forgotten', () => {
    const recent = log(3)
    recent.beginAt('0')
    for (const event of ['1', '2', '3']) recent.push(event, event, 1)
    expect(seqs(recent.since(0))).toEqual([1, 2, 3])
    expect(recent.seqOf('0')).toBe(0)
    recent.push('4', '4', 1)
    expect(recent.since(0)).toBeUndefined()
    expect(seqs(recent.since(1))).toEqual([2, 3, 4])
    expect([recent.begin, recent.beginSeq, recent.offset]).toEqual(['1', 1, '4'])
    expect(recent.seqOf('0')).toBeUndefined()
    expect(recent.seqOf('1')).toBe(1)
    expect(seqs(recent.since(4))).toEqual([])
  })

  test('is bounded in bytes, and always has the newest', () => {
    const recent = log(100, 10)
    recent.push('a', '1', 6)
    recent.push('b', '2', 6)
    expect(seqs(recent.since(1))).toEqual([2])
    recent.push('c', '3', 50)
    expect(seqs(recent.since(2))).toEqual([3])
  })

  test('knows the offset of an event that is not stored by the event before it', () => {
    const recent = log(10)
    recent.push('typing', undefined, 1)
    expect(recent.offsetAt(1)).toBeUndefined()
    recent.push('a', '7', 1)
    recent.push('typing', undefined, 1)
    expect(recent.offsetAt(3)).toBe('7')
  })

  test('holds over many turns', () => {
    const recent = log(50)
    for (let index = 1; index <= 10_000; index += 1) recent.push(String(index), String(index), 1)
    expect(seqs(recent.since(9997))).toEqual([9998, 9999, 10_000])
    expect(recent.seqOf('9951')).toBe(9951)
    expect(recent.offsetAt(9960)).toBe('9960')
  })
})
