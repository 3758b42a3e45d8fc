import { expect, onTestFinished, test } from 'vitest'
import { type Administration, openAdministration } from '../../src/backend/admin/administration.ts'
import { createRecentPages } from '../../src/backend/flowdock/recent-pages.ts'
import { findLogChanges } from '../../src/backend/store/events.ts'
import {
  type Answer,
  basic,
  call,
  type Nick,
  startTestBackend,
  type TestBackend,
} from '../support/backend.ts'
import { onPostgres } from '../support/database.ts'
import { createRandom, type Random } from '../support/query-generator.ts'

/*
 * The newest messages of a flow are encoded once, for all readers. A list with `since_id` is always read from the database, so both are
 * compared after random changes. `STEPS` and `SEED` are as in rights.test.ts.
 */

const { STEPS: stepsSetting, SEED: seedSetting } = process.env
const steps = Number(stepsSetting ?? 60)
const firstSeed = seedSetting === 'random' ? Date.now() % 1_000_000_000 : Number(seedSetting ?? 1)
const nicks: readonly Nick[] = ['Ada', 'Ben', 'Cleo']
const flows = ['main', 'engineering']
const limits = [1, 2, 5, 30, 100]

/** Backends of one database, of which each change and each read picks one. */
interface World {
  readonly backends: readonly TestBackend[]
  readonly administration: Administration
  readonly random: Random
  readonly history: string[]
  source?: { readonly id: number; readonly token: string }
}

async function startWorld(seed: number): Promise<World> {
  const first = await startTestBackend()
  onTestFinished(first.close)
  const backends = [first]
  if (onPostgres) {
    const second = await startTestBackend({
      dataDir: first.dataDir,
      databaseUrl: first.location.databaseUrl,
      demoOrganization: false,
    })
    onTestFinished(second.close)
    backends.push(second)
  }
  const administration = await openAdministration(first.location)
  onTestFinished(() => administration.close())
  return { backends, administration, random: createRandom(seed), history: [] }
}

const pick = <T>(random: Random, items: readonly T[]) => items[Math.floor(random() * items.length)] as T

/** A call of somebody to one of the backends. */
async function rest(
  world: World,
  method: string,
  path: string,
  body?: unknown,
  nick = pick(world.random, nicks),
  backend = pick(world.random, world.backends),
): Promise<Answer> {
  const token = await (world.backends[0] as TestBackend).token(nick)
  const answer = await call(backend.url + path, method, { authorization: basic(token) }, body)
  if (method !== 'GET') world.history.push(`${method} ${path} ${JSON.stringify(body)}: ${answer.status}`)
  return answer
}

/** Makes one random change, which may be refused. */
async function change(world: World): Promise<void> {
  const { random, administration } = world
  const at = `/flows/example/${pick(random, flows)}`
  const text = pick(random, [
    'one',
    'two @Ben',
    '#tag',
    'ünï 𝒳 字',
    '@everyone',
    '"quoted" \\',
    'http://a.com',
  ])
  const message = `${at}/messages/${1 + Math.floor(random() * 40)}`
  const thread = async () => {
    const { json } = await rest(world, 'GET', `${at}/messages?limit=20&since_id=0`)
    return pick(random, json as { thread_id?: string }[])?.thread_id
  }
  const activity = async () => {
    if (world.source === undefined) {
      const { json } = await rest(world, 'POST', '/flows/example/main/sources', { name: 'CI' })
      world.source = { id: json.id, token: json.flow_token }
    }
    const author = { name: 'CI', avatar: 'https://example.com/ci.png' }
    await rest(world, 'POST', '/messages', {
      ...{ flow_token: world.source.token, event: 'activity', author, title: text },
      ...{
        external_thread_id: pick(random, ['a', 'b']),
        thread: { title: text, status: { value: text, color: 'red' } },
      },
    })
  }
  const send = (more: object = {}) =>
    rest(world, 'POST', `${at}/messages`, { event: 'message', content: text, ...more })
  const changes: readonly (() => Promise<unknown>)[] = [
    () => send(),
    () => send(),
    async () => send({ thread_id: await thread() }),
    async () => send({ thread_id: await thread() }),
    () => Promise.all([send(), send(), rest(world, 'GET', `${at}/messages?limit=5`), send()]),
    () => send({ event: 'status' }),
    () => rest(world, 'POST', `${message}/comments`, { content: text }),
    () => rest(world, 'PUT', message, { content: `${text} edited` }),
    () => rest(world, 'PUT', message, { tags: [text.replace(/\W/g, 'x'), 'b'] }),
    () => rest(world, 'PUT', message, { tags: ['b', 'a'] }),
    () => rest(world, 'PUT', message, { thread_id: 'new' }),
    async () => rest(world, 'PUT', message, { thread_id: await thread() }),
    () => rest(world, 'DELETE', message),
    () =>
      rest(world, 'POST', `${message}/emoji_reaction`, {
        type: pick(random, ['add', 'remove']),
        emoji: '+1',
      }),
    () => rest(world, 'POST', `${at}/read`, {}),
    () => rest(world, 'POST', `${at}/threads`, { title: text }),
    activity,
    activity,
    async () => {
      if (world.source !== undefined)
        await rest(world, 'PUT', `/flows/example/main/sources/${world.source.id}`, { error_message: text })
    },
    async () => {
      if (world.source !== undefined && random() < 0.3) {
        await rest(world, 'DELETE', `/flows/example/main/sources/${world.source.id}`)
        delete (world as { source?: unknown }).source
      }
    },
    () => rest(world, 'PUT', at, { name: `Flow ${text}` }),
    () => rest(world, 'PUT', '/organizations/example', { name: `Example ${text}` }),
    () => rest(world, 'PUT', '/users/2', { nick: pick(random, ['Ben', 'Benny']) }),
    () => rest(world, 'PUT', `${at}/users/3`, { disabled: random() < 0.5 }),
    () => administration.editUser('cleo@example.com', { name: `Cleo ${text}` }).catch(() => undefined),
  ]
  await pick(random, changes)()
}

/** Compares a page with the same list as it is read from the database. */
async function compare(world: World): Promise<void> {
  const path = `/flows/example/${pick(world.random, flows)}/messages`
  const limit = pick(world.random, limits)
  const reader = [pick(world.random, nicks), pick(world.random, world.backends)] as const
  const page = await rest(world, 'GET', `${path}?limit=${limit}`, undefined, ...reader)
  const list = await rest(
    world,
    'GET',
    `${path}?limit=${limit}&since_id=-999999999999999`,
    undefined,
    ...reader,
  )
  expect(page.text, world.history.slice(-12).join('\n')).toBe(list.text)
  for (const name of ['flowdock-page', 'flowdock-event-id'])
    expect(page.headers.get(name)).toBe(list.headers.get(name))
}

test.each(Array.from({ length: 3 }, (_, index) => firstSeed + index))(
  'a page is the list as the database has it, whatever happens (seed %i)',
  async (seed) => {
    const world = await startWorld(seed)
    for (let step = 0; step < steps; step += 1) {
      await change(world)
      await compare(world)
      if (world.random() < 0.5) await compare(world)
    }
    expect(world.history.filter((each) => /: 20\d$/.test(each)).length).toBeGreaterThan(steps / 3)
  },
  60_000,
)

/** A backend with pages of its own, and a clock that the test sets. */
async function startPages(options: { maxBytes?: number } = {}) {
  const backend = await startTestBackend()
  onTestFinished(backend.close)
  let now = 0
  const pages = createRecentPages({ reader: backend.store.reader, now: () => now, ...options })
  const flow = (await backend.as('Ada')('GET', '/flows/example/main')).json
  const channel = { id: flow.id as string, channel_id: 1 }
  return {
    send: (content: string) =>
      backend.as('Ada')('POST', '/flows/example/main/messages', { event: 'message', content }),
    /** Changes the newest message by SQL, so that no event says it. */
    alter: async (content: string) =>
      backend.store.write((db) =>
        db
          .updateTable('messages')
          .set({ content_json: JSON.stringify(content) })
          .where('channel_id', '=', 1)
          .where('id', '=', (select) => select.selectFrom('channels').select('last_id').where('id', '=', 1))
          .execute(),
      ),
    async read(limit = 10): Promise<string[]> {
      const changes = await findLogChanges(backend.store.reader, channel.id)
      const page = await pages.find(channel, limit, backend.url, changes)
      return JSON.parse(String(Buffer.from(page?.json ?? []))).map(
        ({ content }: { content: string }) => content,
      )
    },
    wait: (ms: number) => {
      now += ms
    },
  }
}

test('after a message only that message is read, and the page is read again after ten seconds', async () => {
  const { send, alter, read, wait } = await startPages()
  await send('first')
  await read()
  await alter('altered')
  expect((await read()).at(-1)).toBe('first')
  await send('second')
  expect((await read()).slice(-2)).toEqual(['first', 'second'])
  wait(10_001)
  expect((await read()).slice(-2)).toEqual(['altered', 'second'])
})

test('a shorter page is the end of a longer one, and a longer one is read', async () => {
  const { send, read } = await startPages()
  for (const content of ['one', 'two', 'three']) await send(content)
  expect(await read(2)).toEqual(['two', 'three'])
  expect(await read(3)).toEqual(['one', 'two', 'three'])
  await send('four')
  expect(await read(1)).toEqual(['four'])
  expect(await read(3)).toEqual(['two', 'three', 'four'])
})

test('a page that would take more than an eighth of the memory is read each time', async () => {
  const { send, alter, read } = await startPages({ maxBytes: 8 * 1024 })
  await send('x'.repeat(2000))
  await read(1)
  await alter('altered')
  expect(await read(1)).toEqual(['altered'])
})

test('readers that come at once get one read, and those that come after a message get the message', async () => {
  const { send, alter, read } = await startPages()
  await send('first')
  const early = Promise.all(Array.from({ length: 10 }, () => read(1)))
  await send('second')
  const late = Promise.all(Array.from({ length: 10 }, () => read(1)))
  for (const page of await early) expect(['first', 'second']).toContain(page[0])
  for (const page of await late) expect(page).toEqual(['second'])
  await alter('altered')
  expect(await read(1)).toEqual(['second'])
})
