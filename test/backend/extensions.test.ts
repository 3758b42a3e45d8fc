import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startTestBackend, type TestBackend } from '../support/backend.ts'

let backend: TestBackend
let ada: ReturnType<TestBackend['as']>
let ben: ReturnType<TestBackend['as']>

beforeAll(async () => {
  backend = await startTestBackend()
  ada = backend.as('Ada')
  ben = backend.as('Ben')
})
afterAll(() => backend.close())

const main = '/flows/example/main'
const say = async (as: typeof ada, content: string, more: object = {}) =>
  (await as('POST', `${main}/messages`, { event: 'message', content, ...more })).json

test('reactions are added and removed, once for each user, and delivered', async () => {
  const { id } = await say(ada, 'nice')
  const react = (as: typeof ada, body: object) => as('POST', `${main}/messages/${id}/emoji_reaction`, body)
  expect(await react(ada, { type: 'add', emoji: 'thumbsup' })).toMatchObject({ status: 200, text: '{}' })
  await react(ben, { type: 'add', emoji: ':thumbsup:' })
  await react(ben, { type: 'add', emoji: 'thumbsup' })
  expect((await ada('GET', `${main}/messages/${id}`)).json.emojiReactions).toEqual({ thumbsup: ['1', '2'] })
  await react(ada, { type: 'remove', emoji: 'thumbsup' })
  await react(ben, { type: 'add', emoji: '__proto__' })
  expect((await ada('GET', `${main}/messages/${id}`)).text).toContain(
    '"emojiReactions":{"thumbsup":["2"],"__proto__":["2"]}',
  )
  const told = (await ada('GET', `${main}/messages?event=emoji-reaction`)).json
  expect(told.map((message: { content: object }) => message.content)).toEqual([
    { message: id, type: 'add', emoji: 'thumbsup' },
    { message: id, type: 'add', emoji: 'thumbsup' },
    { message: id, type: 'remove', emoji: 'thumbsup' },
    { message: id, type: 'add', emoji: '__proto__' },
  ])
  expect((await react(ada, { type: 'shrug', emoji: 'x' })).status).toBe(400)
  expect((await react(ada, { emoji: 'two words' })).status).toBe(400)
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
})

test('a message moves to another thread or to a new one, and both threads are counted again', async () => {
  const first = await say(ada, 'thread one')
  const second = await say(ada, 'thread two')
  const stray = await say(ben, 'stray', { thread_id: first.thread_id })
  const thread = async (id: string) => (await ada('GET', `${main}/threads/${id}`)).json
  expect((await ada('PUT', `${main}/messages/${stray.id}`, { thread_id: second.thread_id })).text).toBe('{}')
  expect((await ada('GET', `${main}/messages/${stray.id}`)).json).toMatchObject({
    thread_id: second.thread_id,
    content: 'stray',
  })
  expect(await thread(first.thread_id)).toMatchObject({ internal_comments: 1, initial_message: first.id })
  expect(await thread(second.thread_id)).toMatchObject({ internal_comments: 2, initial_message: second.id })
  await ada('PUT', `${main}/messages/${second.id}`, { thread_id: 'new' })
  const own = (await ada('GET', `${main}/messages/${second.id}`)).json
  expect(own.thread).toMatchObject({ title: 'thread two', internal_comments: 1, initial_message: second.id })
  expect(await thread(second.thread_id)).toMatchObject({ internal_comments: 1, initial_message: stray.id })
  expect((await ada('GET', `${main}/messages?event=thread-change`)).json[0].content).toEqual({
    message: stray.id,
    thread_id: second.thread_id,
    from_thread_id: first.thread_id,
  })
  const elsewhere = (await ada('GET', '/flows/example/engineering/threads')).json[0].id
  expect((await ada('PUT', `${main}/messages/${first.id}`, { thread_id: elsewhere })).json.errors).toEqual({
    thread_id: ['is not a thread of this flow'],
  })
})

test('a thread can be made before its first message', async () => {
  const { status, json } = await ada('POST', `${main}/threads`, {
    title: 'Plans',
    status: { color: 'blue', value: 'new' },
  })
  expect(status).toBe(201)
  expect(json).toMatchObject({
    title: 'Plans',
    status: { color: 'blue', value: 'new' },
    internal_comments: 0,
    initial_message: null,
  })
  const listed = async (query = '') =>
    (await ada('GET', `${main}/threads?limit=100${query}`)).json.map((each: { id: string }) => each.id)
  expect(await listed()).not.toContain(json.id)
  expect(await listed('&empty=1')).toContain(json.id)
  const message = await say(ben, 'first', { thread_id: json.id })
  expect(message.thread).toMatchObject({ title: 'Plans', initial_message: message.id })
  expect(await listed()).toContain(json.id)
  expect((await ada('POST', `${main}/threads`, { title: ' ' })).json.errors).toEqual({
    title: ["can't be blank"],
  })
  expect(
    (await ada('POST', `${main}/threads`, { title: 'x', status: { color: 'pink', value: '' } })).status,
  ).toBe(400)
})

test('mentions are marked read up to a message', async () => {
  await ben('POST', `${main}/read`)
  const first = await say(ada, '@Ben one')
  await say(ada, '@Ben two')
  const unread = async () => (await ben('GET', main)).json.unread_mentions
  expect(await unread()).toBe(2)
  expect((await ben('POST', `${main}/read`, { message: first.id })).json).toEqual({ read: 1 })
  expect(await unread()).toBe(1)
  expect((await ben('POST', `${main}/read`)).json).toEqual({ read: 1 })
  expect([await unread(), (await ben('POST', `${main}/read`)).json]).toEqual([0, { read: 0 }])
})

test('one search looks into all flows one has joined, and no others', async () => {
  await say(ada, 'okapi in main')
  await ada('POST', '/flows/example/engineering/messages', {
    event: 'message',
    content: 'okapi in engineering',
    tags: ['zoo'],
  })
  await ada('POST', '/flows/example/support/messages', { event: 'message', content: 'okapi in support' })
  const search = async (as: typeof ada, query: string) =>
    (await as('GET', `/search?${query}`)).json.map((message: { content: string }) => message.content)
  expect(await search(ada, 'search=okapi')).toEqual([
    'okapi in main',
    'okapi in engineering',
    'okapi in support',
  ])
  expect(await search(ben, 'search=okapi')).toEqual(['okapi in main', 'okapi in engineering'])
  expect(await search(ada, 'search=okapi&limit=1')).toEqual(['okapi in support'])
  expect(await search(ada, 'tags=zoo')).toEqual(['okapi in engineering'])
  expect(await search(ada, 'search=okapi&newest=2')).toEqual(['okapi in engineering', 'okapi in support'])
  const matches = async (query: string) =>
    (await ada('GET', `/search?search=okapi&${query}`)).headers.get('flowdock-matches')
  expect(await matches('newest=1')).toBe('3')
  expect(await matches('limit=2&newest=1')).toBe('2')
  await say(ada, 'giraffe @Ben')
  expect((await search(ben, 'tags=@ben')).at(-1)).toBe('giraffe @Ben')
  expect(await search(ben, 'tags=@nobody')).toEqual([])
  expect((await search(ben, 'tags=:unread')).at(-1)).toBe('giraffe @Ben')
  expect(await search(ada, 'tags=:unread')).not.toContain('giraffe @Ben')
  expect((await ada('GET', '/search')).status).toBe(400)
})

test('URLs in responses begin with the public URL, when one is configured', async () => {
  const publicUrl = 'https://api.team.example'
  const backend = await startTestBackend({ publicUrl })
  onTestFinished(backend.close)
  const ada = backend.as('Ada')
  expect((await ada('GET', '/flows/example/main')).json.url).toBe(`${publicUrl}/flows/example/main`)
  const { json } = await ada('GET', '/flows/example/engineering/messages?event=file')
  const download = await ada('GET', json[0].content.path)
  expect(download.headers.get('location')).toMatch(/^https:\/\/api\.team\.example\/storage\//)
})

test('counting goes on past a few thousand messages, and groups are bounded', async () => {
  await ada('POST', '/flows/example', { name: 'Long' })
  const path = '/flows/example/long'
  await ada('POST', `${path}/messages`, { event: 'message', content: 'first' })
  const count = async (query: string) => ada('GET', `${path}/activity?bucket=week&${query}`)
  const {
    channel_id: channelId,
    seq: _,
    ...row
  } = await backend.store.reader
    .selectFrom('messages')
    .selectAll()
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow()
  const total = 4500
  /** Every message has tags of its own. */
  const tagsEach = 5
  await backend.store.write(async (db) => {
    for (let id = row.id + 1; id <= row.id + total - 1; id += 1) {
      const { seq } = await db
        .insertInto('messages')
        .values({ ...row, channel_id: channelId, id, uuid: null })
        .returning('seq')
        .executeTakeFirstOrThrow()
      for (let tag = 0; tag < tagsEach; tag += 1)
        await db
          .insertInto('message_tags')
          .values({ channel_id: channelId, tag: `t${id}-${tag}`, seq })
          .execute()
    }
    await db
      .updateTable('channels')
      .set({ last_id: row.id + total - 1 })
      .where('id', '=', channelId)
      .execute()
  })
  const sum = (buckets: { count: number }[]) => buckets.reduce((all, bucket) => all + bucket.count, 0)
  expect(sum((await count('group_by=kind')).json.buckets)).toBe(total)
  expect((await count('group_by=kind')).json.buckets.flatMap(({ groups }: never) => groups)).toEqual([
    { event: 'message', count: total },
  ])
  const refused = await count('group_by=tag')
  expect([refused.status, refused.json.errors]).toEqual([
    400,
    { since: ['must be nearer to until: there are more than 20000 groups'] },
  ])
})

test('a search has 20 words and 50 tags at most, and skips 10,000 matches', async () => {
  const path = '/flows/example/main/messages'
  const words = (length: number) => Array.from({ length }, (_, index) => `word${index}`).join('+')
  const tags = (length: number) => Array.from({ length }, (_, index) => `tag${index}`).join(',')
  const refusals: [query: string, allowed: number, errors: object][] = [
    [`${path}?search=${words(21)}`, 400, { search: ['has too many words (maximum is 20)'] }],
    [`/search?search=${words(21)}`, 400, { search: ['has too many words (maximum is 20)'] }],
    [`${path}?tags=${tags(51)}`, 400, { tags: ['are too many (maximum is 50)'] }],
    [`/search?tags=${tags(51)}`, 400, { tags: ['are too many (maximum is 50)'] }],
    [`${path}?search=x&skip=10001`, 400, { skip: ['must be at most 10000'] }],
  ]
  for (const [query, status, errors] of refusals) {
    const answer = await ada('GET', query)
    expect([answer.status, answer.json.errors], query).toEqual([status, errors])
  }
  for (const query of [
    `${path}?search=${words(20)}`,
    `${path}?search=${'same+'.repeat(100)}`,
    `/search?search=${words(20)}`,
    `${path}?tags=${tags(50)}`,
    `/search?tags=${tags(50)}`,
    `${path}?search=x&skip=10000`,
  ])
    expect((await ada('GET', query)).status, query).toBe(200)
})

test('messages are counted in periods of time, grouped as requested', async () => {
  await ada('POST', '/flows/example', { name: 'Counted' })
  const path = '/flows/example/counted'
  for (const content of ['one #a', 'two #a #b', 'three'])
    await ada('POST', `${path}/messages`, { event: 'message', content })
  await ada('POST', `${path}/messages`, { event: 'message', content: 'four', external_user_name: 'Bot' })
  const count = async (query: string) => (await ada('GET', `${path}/activity?${query}`)).json
  const total = (buckets: { count: number }[]) => buckets.reduce((sum, bucket) => sum + bucket.count, 0)
  for (const bucket of ['hour', 'day', 'week'])
    expect(total((await count(`bucket=${bucket}`)).buckets)).toBe(4)
  const groups = async (by: string) => {
    const { buckets } = await count(`bucket=week&group_by=${by}`)
    const all = buckets.flatMap(({ groups }: { groups: object[] }) => groups)
    return all.map((group: object) => JSON.stringify(group)).sort()
  }
  expect(await groups('author')).toEqual(['{"user":"1","count":4}'])
  expect(await groups('kind')).toEqual(['{"event":"message","count":4}'])
  expect(await groups('tag')).toEqual(['{"tag":"a","count":2}', '{"tag":"b","count":1}'])
  expect(await groups('source')).toEqual(['{"source":null,"count":4}'])
  expect((await count('since=2020-01-01T00:00:00Z&until=2020-02-01T00:00:00Z')).buckets).toEqual([])
  for (const wrong of [
    'bucket=year',
    'group_by=mood',
    'since=then',
    'since=2020-01-01T00:00:00Z&bucket=hour',
  ])
    expect((await ada('GET', `${path}/activity?${wrong}`)).status).toBe(400)
})
