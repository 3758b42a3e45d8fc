import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createBackground } from '../../src/backend/background.ts'
import { startCatchingUp } from '../../src/backend/catch-up.ts'
import { createEventLog, type EventLog } from '../../src/backend/event-log.ts'
import { openStore } from '../../src/backend/store/db.ts'
import { findLogPosition, replaceLogId } from '../../src/backend/store/events.ts'
import { eventually } from '../support/app.ts'
import { makeFolder, makeLocation } from '../support/backend.ts'

/** Two processes on one store, as a server and a command beside it are. */
async function startTwo() {
  const location = await makeLocation()
  const open = async () => {
    const store = await openStore(location)
    onTestFinished(store.close)
    const log = await createEventLog(store)
    const heard: string[] = []
    log.listen((event) => heard.push((JSON.parse(event.payload) as { name: string }).name))
    const say = (name: string) => log.write(async (change) => change.publish({ flow: 'f' }, { name }))
    return { log, heard, say }
  }
  return [await open(), await open()] as const
}

test('events of another process are delivered in the order of the log, before later ones', async () => {
  const [server, command] = await startTwo()
  await server.say('1')
  await command.say('2')
  await command.say('3')
  await server.say('4')
  await server.say('5')
  await eventually(() => server.heard.length === 5)
  expect(server.heard).toEqual(['1', '2', '3', '4', '5'])
})

test('the latest event of another process is delivered when the log is checked, once', async () => {
  const [server, command] = await startTwo()
  await command.say('1')
  await Promise.all([server.log.catchUp(), server.log.catchUp(), server.say('2')])
  await server.log.catchUp()
  await eventually(() => server.heard.length === 2)
  expect(server.heard).toEqual(['1', '2'])
})

test('many writers in two processes: both receive all events once, in the same order', async () => {
  const [one, other] = await startTwo()
  const names = Array.from({ length: 200 }, (_, index) => `${index}`)
  await Promise.all(names.map((name, index) => (index % 3 === 0 ? other : one).say(name)))
  await Promise.all([one.log.catchUp(), other.log.catchUp()])
  await eventually(() => one.heard.length === 200 && other.heard.length === 200)
  expect(one.heard).toEqual(other.heard)
  expect(new Set(one.heard).size).toBe(200)
})

test.each([
  ['it looks for them', (server: { log: EventLog }) => server.log.catchUp()],
  ['it meets one of its own', (server: { say(name: string): Promise<string> }) => server.say('own')],
])('however many events another process wrote at once, all are heard when %s', async (_, meet) => {
  const [server, command] = await startTwo()
  const names = Array.from({ length: 2500 }, (_, index) => `${index}`)
  await command.log.write(async ({ publish }) => {
    for (const name of names) await publish({ flow: 'f' }, { name })
  })
  await meet(server)
  await eventually(() => server.heard.length >= names.length)
  expect(server.heard.slice(0, names.length)).toEqual(names)
})

test('an event that could not be read is delivered when it can be, before later ones', async () => {
  const location = await makeLocation()
  const [store, other] = [await openStore(location), await openStore(location)]
  onTestFinished(async () => {
    await store.close()
    await other.close()
  })
  let broken = true
  const reader = store.reader.withPlugin({
    transformQuery({ node }) {
      if (broken && node.kind === 'SelectQueryNode' && node.where !== undefined) throw new Error('unreadable')
      return node
    },
    transformResult: async ({ result }) => result,
  })
  const failures: unknown[] = []
  const log = await createEventLog(
    { ...store, reader },
    { background: createBackground((error) => failures.push(error)) },
  )
  const heard: number[] = []
  log.listen((event) => heard.push(event.seq))
  const command = await createEventLog(other)
  const say = (to: typeof log) => to.write(async ({ publish }) => publish({ flow: 'f' }, {}))
  await say(command)
  await say(log)
  await eventually(() => failures.length === 1)
  expect(failures).toEqual([new Error('unreadable')])
  expect(heard).toEqual([])
  broken = false
  await log.catchUp()
  await eventually(() => heard.length === 2)
  expect(heard).toEqual([1, 2])
})

test('a change that fails delivers no events, and does not stop later changes', async () => {
  const [server] = await startTwo()
  const failing = server.log.write(async (change) => {
    await change.publish({ flow: 'f' }, { name: 'never' })
    throw new Error('refused')
  })
  await expect(failing).rejects.toThrow('refused')
  await server.say('1')
  expect(server.heard).toEqual(['1'])
})

test('events of a command beside the server are delivered without a search of the log each second, on SQLite', async () => {
  const location = join(await makeFolder(), 'test.db')
  const [store, other] = [await openStore(location), await openStore(location)]
  for (const each of [store, other]) onTestFinished(each.close)
  const background = createBackground((error) => expect.unreachable(String(error)))
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  const log = await createEventLog(store, { background })
  startCatchingUp(store, log, { everyMs: 3_600_000, background, signal: stopping.signal })
  const received: number[] = []
  log.listen(({ seq }) => received.push(seq))
  const command = await createEventLog(other)
  for (const seq of [1, 2, 3]) {
    await command.write(({ publish }) => publish({ flow: 'f' }, {}))
    await expect.poll(() => received).toEqual([1, 2, 3].slice(0, seq))
  }
})

describe('a log that was replaced', () => {
  async function open(location: string) {
    const store = await openStore(location)
    onTestFinished(store.close)
    const reasons: string[] = []
    const log = await createEventLog(store, { onReplaced: (reason) => reasons.push(reason) })
    const id = async () => (await findLogPosition(store.reader)).id
    return {
      store,
      log,
      reasons,
      id,
      say: () => log.write(async ({ publish }) => publish({ flow: 'f' }, {})),
    }
  }

  test('is noticed by its id', async () => {
    const location = await makeLocation()
    const [server, other] = [await open(location), await open(location)]
    await server.log.catchUp()
    expect(server.reasons).toEqual([])
    await other.store.write(async (db) => replaceLogId(db, await other.id()))
    await server.log.catchUp()
    await server.log.catchUp()
    expect(server.reasons).toEqual(['The event log was replaced by another one'])
  })

  test('is noticed when it ends before what was delivered, and gets another id', async () => {
    const location = await makeLocation()
    const [server, other] = [await open(location), await open(location)]
    for (let count = 0; count < 3; count += 1) await server.say()
    const id = await server.id()
    await other.log.catchUp()
    await other.store.write(async (db) => {
      await db.deleteFrom('events').where('seq', '>', 1).execute()
    })
    await server.log.catchUp()
    expect(server.reasons).toEqual([
      'The event log ends at 1, and 3 events were delivered: commits were lost',
    ])
    expect(await server.id()).not.toBe(id)
    await other.log.catchUp()
    expect(other.reasons).toEqual(['The event log was replaced by another one'])
  })

  test('is noticed at the next check when the database refuses the new id', async () => {
    const location = await makeLocation()
    const [server, other] = [await open(location), await open(location)]
    for (let count = 0; count < 3; count += 1) await server.say()
    await other.store.write(async (db) => {
      await db.deleteFrom('events').where('seq', '>', 1).execute()
    })
    const { write } = server.store
    Object.assign(server.store, { write: () => Promise.reject(new Error('not now')) })
    await expect(server.log.catchUp()).rejects.toThrow('not now')
    expect(server.reasons).toEqual([])
    Object.assign(server.store, { write })
    await server.log.catchUp()
    expect(server.reasons).toHaveLength(1)
  })

  describe.each([
    ['as many', 2],
    ['more', 3],
  ])('is noticed when %s events were written under the numbers of those that were lost', (_, count) => {
    async function lose() {
      const location = await makeLocation()
      const [server, other] = [await open(location), await open(location)]
      const received: number[] = []
      server.log.listen(({ seq }) => received.push(seq))
      for (let each = 0; each < 3; each += 1) await server.say()
      await other.store.write(async (db) => {
        await db.deleteFrom('events').where('seq', '>', 1).execute()
      })
      const fresh = await open(location)
      // Events that are sent again have another time.
      const now = Date.now()
      while (Date.now() === now);
      return { server, fresh, received, id: await server.id() }
    }

    const reason = 'The event log has other events than those that were delivered, up to 3: commits were lost'

    test('by the check each second, and nothing of them is delivered', async () => {
      const { server, fresh, received, id } = await lose()
      for (let each = 0; each < count; each += 1) await fresh.say()
      await server.log.catchUp().catch(() => undefined)
      await expect.poll(() => server.reasons).toHaveLength(1)
      expect(server.reasons[0]).toContain('commits were lost')
      expect(received).toEqual([1, 2, 3])
      expect(await server.id()).not.toBe(id)
    })

    test('by the own change that comes next', async () => {
      const { server, fresh, received } = await lose()
      for (let each = 0; each < count; each += 1) await fresh.say()
      await server.say()
      await expect.poll(() => server.reasons).toEqual([reason])
      expect(received).toEqual([1, 2, 3])
    })
  })
})
