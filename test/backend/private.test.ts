import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

let backend: TestBackend
let ada: ReturnType<TestBackend['as']>
let ben: ReturnType<TestBackend['as']>
let cleo: ReturnType<TestBackend['as']>

beforeAll(async () => {
  backend = await startTestBackend()
  ada = backend.as('Ada')
  ben = backend.as('Ben')
  cleo = backend.as('Cleo')
})
afterAll(() => backend.close())

const say = (as: typeof ada, to: number, content: string, more: object = {}) =>
  as('POST', `/private/${to}/messages`, { event: 'message', content, ...more })

test('the first request creates a conversation, closed, and each user sees it by the other’s name', async () => {
  const fresh = await ada('GET', '/private/2')
  expect(fresh).toMatchObject({
    status: 200,
    json: {
      id: 2,
      name: '@Ben',
      url: `${backend.url}/private/2`,
      open: false,
      activity: { inbox: false, mentions: 0, chat: false },
      users: [
        { id: 1, nick: 'Ada' },
        { id: 2, nick: 'Ben' },
      ],
    },
  })
  expect((await ben('GET', '/private')).json).toMatchObject([{ id: 1, name: '@Ada', open: false }])
  expect((await cleo('GET', '/private')).json).toEqual([])
})

test('a message is unread for whom it is for, opens their side, and belongs to no flow or thread', async () => {
  const { status, json } = await say(ada, 2, 'ref here: http://docs.python.org', { tags: ['ref'] })
  expect(status).toBe(201)
  expect(json).toMatchObject({ to: '2', user: '1', tags: [':unread:2', 'ref', ':url'], app: 'chat' })
  for (const key of ['flow', 'thread', 'thread_id']) expect(json).not.toHaveProperty(key)
  expect((await ben('GET', '/private/1')).json.open).toBe(true)
  expect((await ada('GET', '/private/2')).json.open).toBe(false)
  expect((await ben('PUT', '/private/1', { open: false })).json).toMatchObject({ id: 1, open: false })
  expect((await ben('GET', `/private/1/messages/${json.id}`)).json).toEqual(json)
})

test('both users list and search the same messages, and no other user does', async () => {
  const first = await say(ada, 2, 'a needle')
  await say(ben, 1, 'an answer')
  const list = async (as: typeof ada, with_: number, query = '') =>
    (await as('GET', `/private/${with_}/messages?since_id=${first.json.id - 1}&${query}`)).json.map(
      (message: { content: string }) => message.content,
    )
  expect(await list(ada, 2)).toEqual(['a needle', 'an answer'])
  expect(await list(ben, 1)).toEqual(['a needle', 'an answer'])
  expect(await list(ben, 1, 'search=needle')).toEqual(['a needle'])
  expect(await list(cleo, 1)).toEqual([])
  expect(await list(cleo, 1, 'search=needle')).toEqual([])
  expect((await cleo('GET', `/private/1/messages/${first.json.id}`)).status).toBe(404)
})

test('edits, tags and deletions follow the rules of flows', async () => {
  const { json } = await say(ada, 3, 'before')
  const path = `/private/3/messages/${json.id}`
  expect((await cleo('PUT', `/private/1/messages/${json.id}`, { content: 'mine now' })).status).toBe(403)
  expect(await ada('PUT', path, { content: 'after' })).toMatchObject({ status: 200, text: '{}' })
  expect((await cleo('PUT', `/private/1/messages/${json.id}`, { tags: ['seen'] })).status).toBe(200)
  expect((await ada('GET', path)).json).toMatchObject({ content: 'after', tags: ['seen'] })
  const moved = await ada('PUT', path, { content: 'elsewhere', thread_id: 'x' })
  expect(moved.json.errors).toEqual({ thread_id: ['is for messages of flows; private ones have no threads'] })
  expect((await ada('GET', path)).json.content).toBe('after')
  expect(await ada('DELETE', path)).toMatchObject({ status: 200, text: '{}' })
  expect((await ada('GET', path)).json.content).toBe('')
})

test('files are for the two alone', async () => {
  const content = { data: btoa('secret'), content_type: 'text/plain', file_name: 'a.txt' }
  const { json } = await ada('POST', '/private/2/messages', { event: 'file', content })
  expect(json.content.path).toMatch(/^\/private\/1\/2\/files\/[0-9a-f]{32}\/a\.txt$/)
  const redirect = await ben('GET', json.content.path)
  expect(redirect.status).toBe(302)
  expect(await (await fetch(redirect.headers.get('location') ?? '')).text()).toBe('secret')
  expect((await cleo('GET', json.content.path)).status).toBe(404)
  expect((await cleo('GET', json.content.path.replace('/1/2/', '/1/3/'))).status).toBe(404)
  expect((await ada('DELETE', `/private/2/messages/${json.id}`)).status).toBe(204)
})

test('a stream with user=1 delivers to both users, and to no other', async () => {
  const listen = async (nick: 'Ada' | 'Ben' | 'Cleo') => {
    const stream = await openRawStream(`${backend.url}/stream/flows?user=1&filter=example/main`, {
      authorization: basic(await backend.token(nick)),
      accept: 'text/event-stream',
    })
    onTestFinished(stream.close)
    return stream
  }
  const [adas, bens, cleos] = await Promise.all([listen('Ada'), listen('Ben'), listen('Cleo')])
  await say(ada, 2, 'just us')
  await ada('POST', '/flows/example/main/messages', { event: 'message', content: 'everybody' })
  for (const stream of [adas, bens]) {
    const text = await stream.until(/everybody.*\n\n/)
    expect(text.match(/"content":"just us"/g)).toHaveLength(1)
  }
  expect(await cleos.until(/everybody.*\n\n/)).not.toContain('just us')
  const without = await openRawStream(`${backend.url}/stream/flows?filter=example/main`, {
    authorization: basic(await backend.token('Ben')),
  })
  onTestFinished(without.close)
  await say(ada, 2, 'again')
  await ada('POST', '/flows/example/main/messages', { event: 'message', content: 'closing' })
  expect(await without.until(/closing.*\r\n/)).not.toContain('again')
})

test.each(['/private/1', '/private/99', '/private/x', '/private/99/messages'])(
  '%s is nobody to talk to',
  async (path) => {
    expect(await ada('GET', path)).toMatchObject({ status: 404, text: '{"message":"not found"}' })
  },
)

test('what is said in private cannot be listed, searched or downloaded through a flow', async () => {
  await say(ada, 2, 'zebra')
  for (const flow of ['main', 'engineering'])
    expect((await ada('GET', `/flows/example/${flow}/messages?search=zebra`)).json).toEqual([])
})

test('a conversation says how much of it one has not read', async () => {
  await ada('POST', '/private/3/messages', { event: 'message', content: 'first' })
  const { json: second } = await ada('POST', '/private/3/messages', { event: 'message', content: 'second' })
  const activity = async () => (await cleo('GET', '/private/1')).json.activity
  expect(await activity()).toEqual({ inbox: false, mentions: 2, chat: true })
  expect((await cleo('GET', '/private')).json).toContainEqual(
    expect.objectContaining({ id: 1, activity: { inbox: false, mentions: 2, chat: true } }),
  )
  expect((await ada('GET', '/private/3')).json.activity).toEqual({ inbox: false, mentions: 0, chat: false })
  await cleo('POST', '/private/1/read', { message: second.id })
  expect(await activity()).toEqual({ inbox: false, mentions: 0, chat: false })
})
