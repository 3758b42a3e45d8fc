import { describe, expect, test } from 'vitest'
import { createHub, type Sink, type Topic } from '../../src/events/hub.ts'
import { RecentLog } from '../../src/events/recent-log.ts'

/** A hub whose sources the test plays. Owners are names; a channel is a letter. */
function startHub(options: { check?: (owner: string) => Promise<ReadonlySet<string>> } = {}) {
  const sources: { owner: string; sink: Sink<string>; closed: boolean }[] = []
  const hub = createHub<string, string>({
    keyOf: (owner) => owner,
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
    placeOf: (event) => event,
    endsAccess: (event, owner) => event === `block ${owner}`,
    check: options.check ?? (async () => new Set('ab')),
    isRefusal: () => true,
    lost: () => new Error('lost'),
    lingerMs: 0,
    checkEveryMs: 3_600_000,
  })
  const subscribe = (
    owner: string,
    topic: Partial<Topic<string>> = {},
    signal = new AbortController().signal,
  ) => hub.subscribe({ owner, channels: ['a'], isPrivate: false, ...topic }, signal)
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

  test('seats others as guests where all is covered that they may hear', async () => {
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
    const kept = () => hub.state().sources[0]?.keptEvents
    const fleeting = subscribe('ada', { isFleeting: true })
    open(0)
    await fleeting
    for (let index = 0; index < 500; index += 1) source(0).sink.event(`e${index}`, 10)
    expect(kept()).toBe(16)
    const seat = await subscribe('ada')
    for (let index = 0; index < 500; index += 1) source(0).sink.event(`f${index}`, 10)
    expect(kept()).toBe(100)
    seat.leave()
    source(0).sink.event('g', 10)
    expect(kept()).toBe(16)
  })

  test('moves guests when their host leaves, once it is known where the log stands', async () => {
    const { subscribe, source, open } = startHub()
    const hosting = subscribe('ada')
    open(0)
    const host = await hosting
    const guest = await subscribe('ben')
    host.leave()
    await turn()
    expect(source(0).closed).toBe(false)
    source(0).sink.event('1', 1)
    expect(await guest.ended).toEqual({ kind: 'displaced' })
    expect(source(0).closed).toBe(true)
    expect(guest.channel.log.place).toBe('1')
  })

  test('tells the owner why a source ended, and moves the guests', async () => {
    const { subscribe, source, open } = startHub()
    const hosting = subscribe('ada')
    open(0)
    const host = await hosting
    const guest = await subscribe('ben')
    const error = new Error('revoked')
    source(0).sink.end(error)
    expect(await host.ended).toEqual({ kind: 'failed', error })
    expect(await guest.ended).toEqual({ kind: 'displaced' })
  })

  test('moves guests of a channel that the owner of the source may not hear any more', async () => {
    const { subscribe, source } = startHub()
    const channels = new Set('ab')
    const hosting = subscribe('ada')
    source(0).sink.open(channels, '0')
    const host = await hosting
    const moved = await subscribe('ben', { channels: ['b'] })
    const staying = await subscribe('cleo', { channels: ['a'] })
    channels.delete('b')
    source(0).sink.event('1', 1)
    expect(await moved.ended).toEqual({ kind: 'displaced' })
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

  test('looks again when something may have shut somebody out, and ends what they may not hear', async () => {
    const allowed = new Set(['a', 'b'])
    const { subscribe, source, open } = startHub({ check: async () => allowed })
    const hosting = subscribe('ada')
    open(0)
    await hosting
    const lost = await subscribe('ben', { channels: ['a', 'b'] })
    const kept = await subscribe('ben', { channels: ['a'] })
    let isKept = true
    void kept.ended.then(() => {
      isKept = false
    })
    allowed.delete('b')
    source(0).sink.event('block ben', 1)
    expect(await lost.ended).toEqual({ kind: 'failed', error: new Error('lost') })
    await turn()
    expect(isKept).toBe(true)
  })

  test('ends everybody when it is closed', async () => {
    const { hub, subscribe, open } = startHub()
    const waiting = subscribe('ada')
    open(0)
    const seat = await waiting
    const error = new Error('closing')
    hub.close(error)
    expect(await seat.ended).toEqual({ kind: 'failed', error })
    await expect(subscribe('ben')).rejects.toThrow('closing')
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
    expect([recent.begin, recent.beginSeq, recent.place]).toEqual(['1', 1, '4'])
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

  test('knows the place of what is kept nowhere by what came before', () => {
    const recent = log(10)
    recent.push('typing', undefined, 1)
    expect(recent.placeAt(1)).toBeUndefined()
    recent.push('a', '7', 1)
    recent.push('typing', undefined, 1)
    expect(recent.placeAt(3)).toBe('7')
  })

  test('holds over many turns', () => {
    const recent = log(50)
    for (let index = 1; index <= 10_000; index += 1) recent.push(String(index), String(index), 1)
    expect(seqs(recent.since(9997))).toEqual([9998, 9999, 10_000])
    expect(recent.seqOf('9951')).toBe(9951)
    expect(recent.placeAt(9960)).toBe('9960')
  })
})
