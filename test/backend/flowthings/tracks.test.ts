import { afterAll, describe, expect, test } from 'vitest'
import {
  copyDrop,
  createChain,
  readReturned,
  selectTracks,
  type Track,
  TrackError,
} from '../../../src/backend/flowthings/tracks/chain.ts'
import { createFairQueue } from '../../../src/backend/flowthings/tracks/fair-queue.ts'
import {
  createScriptRunner,
  type ScriptReader,
  ScriptsBusyError,
} from '../../../src/backend/flowthings/tracks/script-runner.ts'

const track = (change: Partial<Track> = {}): Track => ({
  id: 't1',
  isDisabled: false,
  matches: () => true,
  destinations: ['/a/x', '/a/y'],
  js: null,
  ...change,
})

const drop = {
  id: 'd1',
  flowId: 'f1',
  path: '/a/b',
  version: 3,
  fhash: 'k',
  elems: { n: 1 },
  parentDropId: {},
}

describe('the tracks of a flow', () => {
  test('are hit unless they are disabled, and passed when their filter matches', () => {
    const tracks = [
      track({ id: 't1' }),
      track({ id: 't2', isDisabled: true }),
      track({ id: 't3', matches: () => false }),
    ]
    const { hit, passed } = selectTracks(tracks, { elems: {} }, 0)
    expect(hit.map(({ id }) => id)).toEqual(['t1', 't3'])
    expect(passed.map(({ id }) => id)).toEqual(['t1'])
  })

  test('copy a drop to each destination, and the copy names its parent', () => {
    const copy = { elems: { n: 1 }, fhash: 'k', parentDropId: { flowId: 'f1', dropId: 'd1' } }
    expect(copyDrop(drop, track())).toEqual([
      { path: '/a/x', drop: copy },
      { path: '/a/y', drop: copy },
    ])
  })
})

describe('what a function returned', () => {
  const parentDropId = { flowId: 'f1', dropId: 'd1' }

  test('as a drop goes to each destination', () => {
    expect(readReturned({ ...drop, elems: { n: 2 } }, drop, track())).toEqual([
      { path: '/a/x', drop: { elems: { n: 2 }, fhash: 'k', parentDropId } },
      { path: '/a/y', drop: { elems: { n: 2 }, fhash: 'k', parentDropId } },
    ])
  })

  test('by path needs no destination', () => {
    const returned = { '/a/p': [{ elems: { n: 1 } }, { elems: {} }], '/a/q': { elems: { m: 1 } } }
    expect(readReturned(returned, drop, track({ destinations: [] }))).toEqual([
      { path: '/a/p', drop: { elems: { n: 1 }, parentDropId } },
      { path: '/a/p', drop: { elems: {}, parentDropId } },
      { path: '/a/q', drop: { elems: { m: 1 }, parentDropId } },
    ])
  })

  test('as nothing is nothing', () => {
    expect(readReturned(null, drop, track())).toEqual([])
  })

  test.each([
    [1, 'Expected the function to return a drop'],
    [[drop], 'Expected the function to return a drop'],
    [{ n: 1 }, 'Expected the function to return a drop with "elems"'],
    [{ '/a/p': [1] }, 'Expected the function to return a list of drops for "/a/p"'],
    [{ '/a/p': [{ n: 1 }] }, 'list of drops for "/a/p"'],
  ])('%j is refused', (returned, message) => {
    expect(() => readReturned(returned, drop, track())).toThrow(TrackError)
    expect(() => readReturned(returned, drop, track())).toThrow(message)
  })

  test('as a drop without a destination is refused', () => {
    expect(() => readReturned(drop, drop, track({ destinations: [] }))).toThrow('has no destination')
  })
})

describe('a chain of tracks', () => {
  const made = { path: '/a/x', drop: {} }

  test('gives drops in the order in which they were made', () => {
    const chain = createChain()
    chain.add([made, { ...made, path: '/a/y' }], 0)
    chain.add([{ ...made, path: '/a/z' }], 1)
    expect([chain.next(), chain.next(), chain.next(), chain.next()]).toEqual([
      { ...made, hops: 1 },
      { ...made, path: '/a/y', hops: 1 },
      { ...made, path: '/a/z', hops: 2 },
      undefined,
    ])
  })

  test('ends after ten tracks that form a circle', () => {
    const chain = createChain()
    chain.add([made], 0)
    let count = 0
    expect(() => {
      for (let next = chain.next(); next !== undefined; next = chain.next()) {
        count += 1
        chain.add([made], next.hops)
      }
    }).toThrow('More than 10 tracks follow each other')
    expect(count).toBe(10)
    chain.add([], 10)
  })

  test('makes a hundred drops of one at most', () => {
    const chain = createChain()
    chain.add(Array(100).fill(made), 0)
    expect(() => chain.add([made], 0)).toThrow('more than 100 drops of one')
  })
})

test('owners have their turns in a queue', () => {
  const queue = createFairQueue<number>({ total: 5, owner: 3 })
  expect([queue.push('a', 1), queue.push('a', 2), queue.push('a', 3), queue.push('a', 4)]).toEqual([
    true,
    true,
    true,
    false,
  ])
  expect([queue.push('b', 10), queue.push('c', 20), queue.push('d', 30)]).toEqual([true, true, false])
  expect(Array.from({ length: 6 }, () => queue.shift())).toEqual([1, 10, 20, 2, 3, undefined])
  expect(queue.push('a', 1)).toBe(true)
})

describe('functions', () => {
  const runner = createScriptRunner()
  afterAll(() => runner.close())

  const noReads: ScriptReader = async () => ({ problem: 'nothing is read here' })
  const run = async (text: string, input: unknown = drop, reader = noReads) => {
    const { returned, error, log } = await runner.run(
      { owner: 'alice', key: undefined, text, drop: input },
      reader,
    )
    return returned === undefined ? { error, log } : { returned: JSON.parse(returned) as unknown, log }
  }

  test('get the drop and return another', async () => {
    const text = 'function (input) { input.elems.n = input.elems.n + 1; return input; }'
    expect(await run(text)).toEqual({ returned: { ...drop, elems: { n: 2 } }, log: [] })
  })

  test('may be arrow functions, and end in a comment', async () => {
    expect(await run('drop => ({ elems: {} }) // a comment')).toMatchObject({ returned: { elems: {} } })
  })

  test('return null when they return nothing', async () => {
    expect(await run('function () {}')).toEqual({ returned: null, log: [] })
  })

  test('know lodash', async () => {
    const text =
      'function (d) { return { elems: { sum: _.sum(_.map([1, 2], function (n) { return n * d.elems.n })) } } }'
    expect(await run(text)).toMatchObject({ returned: { elems: { sum: 3 } } })
  })

  test('log', async () => {
    const text = 'function (d) { log("seen", d.elems, 1); console.log(new Error("x")); return null }'
    expect(await run(text)).toEqual({ returned: null, log: ['seen {"n":1} 1', 'Error: x'] })
  })

  test('read what their owner may read', async () => {
    const asked: unknown[] = []
    const reader: ScriptReader = async (read, args) => {
      asked.push([read, ...args])
      return read === 'Drop.find' ? { value: [{ elems: { total: 5 } }] } : { value: null }
    }
    const text = `function (d) {
      var last = Flow.Drop.findOne('/a/total', { filter: 'total > 1' })
      return { elems: { total: last.elems.total + d.elems.n, none: Flow.Drop.findFHash('f1', 'k') } }
    }`
    expect(await run(text, drop, reader)).toMatchObject({ returned: { elems: { total: 6, none: null } } })
    expect(asked).toEqual([
      ['Drop.find', '/a/total', { filter: 'total > 1', limit: 1 }],
      ['Drop.findFHash', 'f1', 'k'],
    ])
  })

  test('are called when a read is refused, and may continue', async () => {
    const text =
      'function () { try { Flow.Flow.get("f1") } catch (e) { return { elems: { why: e.message } } } }'
    expect(await run(text)).toMatchObject({ returned: { elems: { why: 'nothing is read here' } } })
    const broken: ScriptReader = () => Promise.reject(new Error('a secret of the server'))
    expect(await run(text, drop, broken)).toMatchObject({ returned: { elems: { why: 'The read failed' } } })
  })

  test('read twenty times at most', async () => {
    const text = 'function () { for (var i = 0; i < 21; i++) Flow.Flow.get("f" + i); return null }'
    expect(await run(text, drop, async () => ({ value: 1 }))).toMatchObject({
      error: { message: 'A function may read 20 times' },
    })
  })

  test.each([
    ['function (', 'SyntaxError: '],
    ['1', 'Expected the text to be one function of a drop'],
    ['function (d) { return d.a.b }', "TypeError: cannot read property 'b' of undefined"],
    ['function () { throw new Error("no") }', 'no'],
    ['function () { throw "no" }', 'no'],
    ['function () { throw {} }', 'The function threw an object without a message'],
    ['function () { throw { get message() { while (true) {} } } }', 'without a message'],
    ['function () { undeclared = 1 }', "ReferenceError: 'undeclared' is not defined"],
    ['function () { eval("1") }', "ReferenceError: 'eval' is not defined"],
    ['function () { Flow.Http.post("http://127.0.0.1") }', 'Flow.Http is not available'],
    ['function () { while (true) {} }', 'The function took more than 200 ms'],
    [
      'function () { try { while (true) {} } catch (e) { return null } }',
      'The function took more than 200 ms',
    ],
    ['function () { /^(a+)+$/.test("a".repeat(40) + "!") }', 'The function took more than 200 ms'],
    [
      'function () { var a = []; while (true) a.push(new Array(10000).join("x") + a.length) }',
      'The function took more than',
    ],
    ['function () { return "x".repeat(1e9) }', 'The function took more than 16777216 bytes of memory'],
    ['function f() { return f() + 1 }', 'stack overflow'],
    ['function () { return "x".repeat(2e6) }', 'returned more than 1048576 characters'],
  ])('%s fails', async (text, message) => {
    const { error } = (await run(text)) as { error?: { message: string } }
    expect(error?.message).toContain(message)
    expect(await run('function () { return null }')).toEqual({ returned: null, log: [] })
  })

  test('give details with an error of theirs', async () => {
    const text = 'function () { throw new Flow.Error("broken", { at: 3 }) }'
    expect(await run(text)).toEqual({ error: { message: 'broken', details: '{"at":3}' }, log: [] })
  })

  test('that do not stop by themselves are stopped with their thread', async () => {
    expect(await run('function () { return [].indexOf.call({ length: 1e12 }, 1) }')).toMatchObject({
      error: { message: 'The function took more than 200 ms' },
    })
    expect(await run('function () { return null }')).toEqual({ returned: null, log: [] })
  })

  test('reach nothing of the process', async () => {
    const text = `function () {
      var names = ['process', 'require', 'module', 'global', 'fetch', 'WebAssembly', 'SharedArrayBuffer', 'Atomics', 'eval']
      var globals = (function () { return this }).call(undefined) || globalThis
      var constructed = Object.keys(log.constructor('return globalThis')())
      return { elems: { seen: names.filter(function (name) { return name in globals }), constructed: constructed } }
    }`
    expect(await run(text)).toMatchObject({
      returned: { elems: { seen: [], constructed: ['Flow', 'log', 'console'] } },
    })
  })

  test('share nothing with those of other tracks', async () => {
    const text = 'function () { Array.prototype.count = (Array.prototype.count || 0) + 1; return [].count }'
    const count = async (owner: string, key: string) =>
      (await runner.run({ owner, key, text, drop }, noReads)).returned
    expect(await count('alice', 't1')).toBe('1')
    expect(await count('alice', 't1')).toBe('2')
    expect(await count('alice', 't2')).toBe('1')
    expect(await count('bob', 't3')).toBe('1')
  })

  test('are refused while too many wait, and those of others are not', async () => {
    const busy = createScriptRunner()
    const start = (owner: string) =>
      busy.run({ owner, key: undefined, text: 'function () {}', drop }, noReads)
    const waiting = Array.from({ length: 101 }, () => start('alice'))
    await expect(start('alice')).rejects.toThrow(ScriptsBusyError)
    expect((await start('bob')).returned).toBe('null')
    await busy.close()
    const outcomes = await Promise.all(waiting)
    expect(outcomes.at(-1)?.error?.message ?? outcomes.at(-1)?.returned).toMatch(/null|closing/)
    await expect(start('bob')).rejects.toThrow(ScriptsBusyError)
  })
})
