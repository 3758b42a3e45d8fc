import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { cut, fitEvent, maxBytes, maxCharacters, maxEntries } from '../../src/backend/bounds.ts'
import { call, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

let backend: TestBackend
let ada: ReturnType<TestBackend['as']>
let ben: ReturnType<TestBackend['as']>
let flow: { id: string; api_token: string }
let flowToken: string
const path = '/flows/example/bounds'
const messages = `${path}/messages`

beforeAll(async () => {
  backend = await startTestBackend()
  ada = backend.as('Ada')
  ben = backend.as('Ben')
  flow = (await ada('POST', '/flows/example', { name: 'Bounds' })).json
  await ada('POST', `${path}/users`, { id: 2 })
  flowToken = (await ada('POST', `${path}/sources`, { name: 'Source' })).json.flow_token
})
afterAll(() => backend.close())

const x = (length: number) => 'x'.repeat(length)
const anonymous = (method: string, to: string, body: unknown) => call(backend.url + to, method, {}, body)
const activity = (more: object) =>
  anonymous('POST', '/messages', {
    ...{
      flow_token: flowToken,
      event: 'activity',
      title: 'did',
      external_thread_id: 't',
      author: { name: 'A' },
    },
    thread: { title: 'Thread' },
    ...more,
  })
const discussion = (more: object) => activity({ event: 'discussion', body: 'said', ...more })
const chat = (more: object) => ada('POST', messages, { event: 'message', content: 'x', ...more })
const pushChat = (more: object) =>
  anonymous('POST', `/v1/messages/chat/${flow.api_token}`, {
    content: 'x',
    external_user_name: 'Bot',
    ...more,
  })
const pushMail = (more: object) =>
  anonymous('POST', `/v1/messages/team_inbox/${flow.api_token}`, {
    ...{ source: 'Mailer', from_address: 'a@b.example', subject: 'Subject', content: 'text' },
    ...more,
  })
const thread = (more: object) => ada('POST', `${path}/threads`, { title: 'x', ...more })
const application = (more: object) =>
  ada('POST', '/oauth/applications', { name: 'App', redirect_uri: 'https://app.example/', ...more })
const url = (length: number) => `https://a.example/${x(length - 18)}`
const email = (length: number) => `${x(length - 10)}@b.example`

type Send = (more: object) => ReturnType<typeof chat>
type Case = [writer: string, field: string, send: Send, value: (length: number) => object, most: number]

/** Every text that somebody can store or publish. `field` is named by the refusal. */
const texts: Case[] = [
  ['a chat message', 'content', chat, (n) => ({ content: x(n) }), maxCharacters.content],
  ['a chat message', 'tags', chat, (n) => ({ tags: [x(n)] }), maxCharacters.tag],
  ['a chat message', 'thread_id', chat, (n) => ({ thread_id: x(n) }), maxCharacters.thread_id],
  [
    'a chat message',
    'external_user_name',
    chat,
    (n) => ({ external_user_name: x(n) }),
    maxCharacters.external_user_name,
  ],
  ['an activity', 'title', activity, (n) => ({ title: x(n) }), maxCharacters.title],
  [
    'an activity',
    'external_thread_id',
    activity,
    (n) => ({ external_thread_id: x(n) }),
    maxCharacters.external_thread_id,
  ],
  ['a discussion', 'body', discussion, (n) => ({ body: x(n) }), maxCharacters.body],
  ['an author', 'author', activity, (n) => ({ author: { name: x(n) } }), maxCharacters.author],
  ['an author', 'author', activity, (n) => ({ author: { name: 'A', email: x(n) } }), maxCharacters.email],
  ['an author', 'author', activity, (n) => ({ author: { name: 'A', avatar: url(n) } }), maxCharacters.url],
  ['a thread', 'title', thread, (n) => ({ title: x(n) }), maxCharacters.title],
  ['a thread', 'thread', thread, (n) => ({ external_url: url(n) }), maxCharacters.url],
  ['a status', 'status', thread, (n) => ({ status: { color: 'red', value: x(n) } }), maxCharacters.status],
  ['a field', 'fields', thread, (n) => ({ fields: [{ label: x(n), value: '' }] }), maxCharacters.label],
  ['a field', 'fields', thread, (n) => ({ fields: [{ label: '', value: x(n) }] }), maxCharacters.value],
  ['the push API', 'content', pushChat, (n) => ({ content: x(n) }), maxCharacters.content],
  [
    'the push API',
    'external_user_name',
    pushChat,
    (n) => ({ external_user_name: x(n) }),
    maxCharacters.external_user_name,
  ],
  ['the push API', 'tags', pushChat, (n) => ({ tags: x(n) }), maxCharacters.tag],
  ['a mail', 'subject', pushMail, (n) => ({ subject: x(n) }), maxCharacters.title],
  ['a mail', 'content', pushMail, (n) => ({ content: x(n) }), maxCharacters.body],
  ['a mail', 'from_address', pushMail, (n) => ({ from_address: email(n) }), maxCharacters.email],
  ['a mail', 'from_name', pushMail, (n) => ({ from_name: x(n) }), maxCharacters.author],
  ['a mail', 'reply_to', pushMail, (n) => ({ reply_to: x(n) }), maxCharacters.email],
  ['a mail', 'link', pushMail, (n) => ({ link: url(n) }), maxCharacters.url],
  ['a flow', 'name', (more) => ada('PUT', path, more), (n) => ({ name: x(n) }), maxCharacters.name],
  [
    'a flow',
    'description',
    (more) => ada('PUT', path, more),
    (n) => ({ description: x(n) }),
    maxCharacters.description,
  ],
  [
    'an organization',
    'name',
    (more) => ada('PUT', '/organizations/example', more),
    (n) => ({ name: x(n) }),
    maxCharacters.name,
  ],
  [
    'a source',
    'name',
    (more) => ada('POST', `${path}/sources`, more),
    (n) => ({ name: x(n) }),
    maxCharacters.name,
  ],
  [
    'a source',
    'external_url',
    (more) => ada('POST', `${path}/sources`, { name: 's', ...more }),
    (n) => ({ external_url: url(n) }),
    maxCharacters.url,
  ],
  [
    'a source',
    'error_message',
    (more) => anonymous('PUT', '/sources', { flow_token: flowToken, ...more }),
    (n) => ({ error_message: x(n) }),
    maxCharacters.error_message,
  ],
  [
    'a source',
    'configuration_url',
    (more) => anonymous('PUT', '/sources', { flow_token: flowToken, ...more }),
    (n) => ({ configuration_url: url(n) }),
    maxCharacters.url,
  ],
  ['an application', 'name', application, (n) => ({ name: x(n) }), maxCharacters.name],
  ['an application', 'redirect_uri', application, (n) => ({ redirect_uri: url(n) }), maxCharacters.url],
  ['an application', 'icon_url', application, (n) => ({ icon_url: url(n) }), maxCharacters.url],
  ['an application', 'url', application, (n) => ({ url: url(n) }), maxCharacters.url],
  [
    'an invitation',
    'email',
    (more) => ada('POST', `${path}/invitations`, more),
    (n) => ({ email: email(n) }),
    maxCharacters.email,
  ],
  [
    'a profile',
    'email',
    (more) => ben('PUT', '/users/2', more),
    (n) => ({ email: email(n) }),
    maxCharacters.email,
  ],
  [
    'typing',
    'thread_id',
    (more) => ada('POST', `${path}/typing`, more),
    (n) => ({ thread_id: x(n) }),
    maxCharacters.thread_id,
  ],
]

describe('a text past its bound is refused, one at its bound is not', () => {
  test.each(texts)('%s: %s', async (writer, field, send, value, most) => {
    const refused = await send(value(most + 1))
    expect(refused.status).toBe(400)
    expect(JSON.stringify(refused.json.errors[field])).toContain(
      `is too long: ${most + 1} characters, at most ${most} are stored`,
    )
    const { status, json } = await send(value(most))
    // A thread that is not there, and an address of one's own, are refused for that.
    if (writer === 'a profile') expect(status).toBe(403)
    else if (field === 'thread_id' && status === 400)
      expect(json.errors).toEqual({ thread_id: ['is not a thread of this flow'] })
    else expect(status, JSON.stringify(json)).toBeLessThan(300)
  })
})

describe('the tags of a message', () => {
  const tagsOf = async (id: number) => (await ada('GET', `${messages}/${id}`)).json.tags as string[]
  const names = (count: number, prefix = 't') =>
    Array.from({ length: count }, (_, index) => `${prefix}${index}`)

  test('are bounded in number when it is sent, and nothing is stored past that', async () => {
    const before = (await ada('GET', messages)).json.length
    const refused = await chat({ tags: names(101) })
    expect(refused.json.errors).toEqual({ tags: ['has 101 tags, at most 100 are stored'] })
    expect((await ada('GET', messages)).json).toHaveLength(before)
    expect((await chat({ tags: names(100) })).json.tags).toHaveLength(100)
  })

  test('do not grow past the bound one by one either, and may always become fewer', async () => {
    const { json } = await chat({ tags: names(99) })
    const edit = (tags: string[]) => ada('PUT', `${messages}/${json.id}`, { tags })
    expect((await edit([...names(99), 'one more'])).status).toBe(200)
    const refused = await edit([...(await tagsOf(json.id)), 'too many'])
    expect(refused.status).toBe(400)
    expect(refused.json.errors).toEqual({ tags: ['has 101 tags, at most 100 are stored'] })
    expect((await edit([x(maxCharacters.tag + 1)])).status).toBe(400)
    expect(await tagsOf(json.id)).toHaveLength(100)
    expect((await edit(names(3))).status).toBe(200)
    expect(await tagsOf(json.id)).toEqual(names(3))
  })

  test('those of its text fill what room there is; the message is sent all the same', async () => {
    const { json } = await chat({
      content: names(200)
        .map((name) => `#${name}`)
        .join(' '),
      tags: ['given'],
    })
    expect(json.tags).toHaveLength(100)
    expect(json.tags.slice(0, 3)).toEqual(['given', 't0', 't1'])
    const long = await chat({ content: `#${x(200)} #short` })
    expect(long.json.tags).toEqual(['short'])
  })

  test('marks of who has not read it are apart from them', async () => {
    const { json } = await chat({ content: '@Ben', tags: names(99) })
    expect(json.tags).toHaveLength(101)
    expect(json.tags).toContain(':unread:2')
    expect((await ben('POST', `${path}/read`)).json.read).toBeGreaterThan(0)
    expect(await tagsOf(json.id)).not.toContain(':unread:2')
  })
})

test('a message as a whole, and a thread as a whole, are bounded in bytes', async () => {
  // Each character has three bytes.
  const long = await discussion({ body: '字'.repeat(22_000) })
  expect(long.status).toBe(400)
  expect(long.json.errors.message[0]).toMatch(
    /^is too long: 66\d{3} bytes as JSON, at most 65536 are stored$/,
  )
  expect((await discussion({ body: '字'.repeat(21_000) })).status).toBe(202)
  const value = x(maxCharacters.value)
  const fields = (count: number) => Array.from({ length: count }, () => ({ label: 'Label', value }))
  const thick = await thread({ fields: fields(30) })
  expect(thick.json.errors.thread[0]).toMatch(/^is too long: \d+ bytes as JSON, at most 49152 are stored$/)
  expect((await thread({ fields: fields(20) })).status).toBe(201)
  expect((await activity({ thread: { title: 'Thread', fields: fields(30) } })).status).toBe(400)
  const many = await thread({ fields: Array.from({ length: 51 }, () => ({ label: 'a', value: 'b' })) })
  expect(many.json.errors).toEqual({ fields: ['has 51 entries, at most 50 are stored'] })
  const actions = Array.from({ length: 21 }, () => ({
    '@type': 'ViewAction',
    name: 'a',
    url: 'https://a.example',
  }))
  expect((await thread({ actions })).json.errors).toEqual({
    thread: ['actions has 21 entries, at most 20 are stored'],
  })
  expect((await thread({ actions: actions.slice(1) })).status).toBe(201)
})

test('reactions to a message are bounded; taking one back makes room', async () => {
  const { json } = await chat({})
  const react = (emoji: string, type = 'add') =>
    ada('POST', `${messages}/${json.id}/emoji_reaction`, { type, emoji })
  for (let index = 0; index < maxEntries.emoji; index += 1)
    expect((await react(`e${index}`)).status).toBe(200)
  const refused = await react('another')
  expect(refused.json.errors).toEqual({
    emoji: ['cannot be added: a message has at most 50 different emoji'],
  })
  expect((await react('e0', 'remove')).status).toBe(200)
  expect((await react('another')).status).toBe(200)
})

test('what clients really send is taken: long inbox messages, mails and chat', async () => {
  expect((await chat({ content: x(8000) })).status).toBe(201)
  expect((await discussion({ body: `<p>${'word '.repeat(8000)}</p>` })).status).toBe(202)
  expect((await pushMail({ content: `<p>${'word '.repeat(9000)}</p>` })).status).toBe(200)
  expect(
    (await chat({ event: 'comment', content: x(8000), message: (await chat({ content: x(8000) })).json.id }))
      .status,
  ).toBe(201)
})

test('half a surrogate pair is replaced wherever it is stored', async () => {
  const half = '\ud83d'
  const { json } = await chat({ content: `a${half}`, tags: [`t${half}`] })
  expect([json.content, json.tags]).toEqual(['a\ufffd', ['t\ufffd']])
  const file = await ada('POST', messages, {
    event: 'file',
    content: { data: btoa('x'), file_name: `a${half}.txt` },
  })
  expect([file.status, file.json.content.file_name]).toEqual([201, 'a\ufffd.txt'])
})

test('a cut never splits a character', () => {
  expect(cut('ab😀', 3)).toBe('ab')
  expect(cut('ab😀', 4)).toBe('ab😀')
  expect(cut('😀😀', 3)).toBe('😀')
})

describe('what was stored before there were bounds', () => {
  const big = x(300_000)
  const change = (update: (db: TestBackend['store']['reader']) => Promise<unknown>) =>
    backend.store.write(update)

  test('is listed, searched and streamed, shortened', async () => {
    const { json: sent } = await chat({ content: 'findable old one' })
    await change((db) =>
      db
        .updateTable('messages')
        .set({
          tags_json: JSON.stringify(Array.from({ length: 50_000 }, (_, index) => `tag${index}`)),
          body: big,
          attachments_json: JSON.stringify([{ path: big }]),
          reactions_json: JSON.stringify({
            [big]: ['1'],
            ok: Array.from({ length: 9000 }, (_, id) => String(id)),
          }),
        })
        .where('seq', '=', (query) =>
          query
            .selectFrom('messages')
            .select('seq')
            .where('id', '=', sent.id)
            .where('channel_id', '=', (inner) =>
              inner.selectFrom('flows').select('channel_id').where('id', '=', flow.id),
            ),
        )
        .execute(),
    )
    await change((db) =>
      db
        .updateTable('threads')
        .set({ body: big, fields_json: JSON.stringify([{ label: big, value: '' }]) })
        .where('id', '=', sent.thread_id)
        .execute(),
    )
    const one = await ada('GET', `${messages}/${sent.id}`)
    expect(one.status).toBe(200)
    expect(one.json).toMatchObject({ id: sent.id, content: 'findable old one', event: 'message' })
    expect(one.json.tags).toHaveLength(100)
    expect(one.text.length).toBeLessThan(maxBytes.message + maxBytes.thread + maxBytes.reactions)
    expect((await ada('GET', `${messages}?search=findable`)).json).toHaveLength(1)

    const stream = await openRawStream(`${backend.url}/stream/flows?filter=example/bounds`, {
      authorization: `Bearer ${await backend.token('Ada')}`,
    })
    onTestFinished(stream.close)
    expect((await chat({ thread_id: sent.thread_id, content: 'in the old thread' })).status).toBe(201)
    expect((await stream.until(/in the old thread.*\r\n/)).length).toBeLessThan(maxBytes.event)
    // Its tags can be made fewer, and what tells of that is short, too.
    expect((await ada('PUT', `${messages}/${sent.id}`, { tags: ['one'] })).status).toBe(200)
    expect((await stream.until(/tag-change.*\r\n/)).length).toBeLessThan(maxBytes.event)
    expect((await ada('GET', `${messages}/${sent.id}`)).json.tags).toEqual(['one'])
  })

  test('an event in the log is replayed shortened, with its number and kind', async () => {
    const { seq } = await backend.store.reader
      .selectFrom('events')
      .select('seq')
      .orderBy('seq', 'desc')
      .executeTakeFirstOrThrow()
    const { id } = (await chat({ content: 'old' })).json
    const old = { event: 'message', content: 'old', tags: [x(400_000)], id, flow: flow.id }
    await change((db) =>
      db
        .updateTable('events')
        .set({ payload: JSON.stringify(old) })
        .where('seq', '>', seq)
        .execute(),
    )
    const stream = await openRawStream(`${backend.url}/stream/flows?filter=example/bounds`, {
      ...{ authorization: `Bearer ${await backend.token('Ada')}`, accept: 'text/event-stream' },
      'last-event-id': String(seq),
    })
    onTestFinished(stream.close)
    const text = await stream.until(new RegExp(`"id":${id}.*\n\n`))
    expect(text).toContain('"content":"old"')
    expect(text.length).toBeLessThan(maxBytes.event)
  })

  test('users, flows and sources are cut to the bounds of today', async () => {
    await change((db) =>
      db.updateTable('users').set({ name: big, website: big }).where('id', '=', 3).execute(),
    )
    await change((db) =>
      db.updateTable('flows').set({ description: big }).where('id', '=', flow.id).execute(),
    )
    const flows = await ada('GET', '/flows?users=1')
    expect(flows.text.length).toBeLessThan(100_000)
    const cleo = (await ada('GET', '/users/3')).json
    expect([cleo.name, cleo.website]).toEqual([x(100), null])
  })
})

describe('a row that is damaged', () => {
  test('is left out of its list and reported, and a time no calendar has is shown as the last one', async () => {
    const errors: unknown[] = []
    const own = await startTestBackend({ onError: (error) => errors.push(error) })
    onTestFinished(() => own.close())
    const call = own.as('Ada')
    const main = '/flows/example/main/messages'
    // Not as a page, which is read again after an event only.
    const before = (await call('GET', `${main}?since_id=0`)).json
    const [first, second] = before as { id: number }[]
    const set = (id: number | undefined, columns: object) =>
      own.store.write((db) =>
        db
          .updateTable('messages')
          .set(columns)
          .where('channel_id', '=', 1)
          .where('id', '=', id ?? 0)
          .execute(),
      )
    await set(first?.id, { content_json: '{' })
    await set(second?.id, { sent: 9e15 })
    const after = await call('GET', main)
    expect(after.status).toBe(200)
    expect(after.json).toHaveLength(before.length - 1)
    expect(after.json[0]).toMatchObject({ id: second?.id, created_at: '+275760-09-13T00:00:00.000Z' })
    expect(String(errors[0])).toBe(`Error: Message ${first?.id} of channel 1 is damaged and was left out`)
    expect((await call('GET', `${main}/${first?.id}`)).status).toBe(404)
  })

  test('leaves its place in a search to an older match', async () => {
    const own = await startTestBackend({ onError: () => undefined })
    onTestFinished(() => own.close())
    const call = own.as('Ada')
    const send = async (flow: string, content: string) =>
      (await call('POST', `/flows/example/${flow}/messages`, { event: 'message', content })).json.id
    await send('main', 'okapi one')
    await send('engineering', 'okapi two')
    const newest = await send('main', 'okapi three')
    await own.store.write((db) =>
      db
        .updateTable('messages')
        .set({ content_json: '{' })
        .where('channel_id', '=', 1)
        .where('id', '=', newest)
        .execute(),
    )
    const found = (await call('GET', '/search?search=okapi&limit=2')).json
    expect(found.map(({ content }: { content: string }) => content)).toEqual(['okapi one', 'okapi two'])
  })
})

test('a page of a hundred maximal messages fits what a client reads of one response', async () => {
  const { json: large } = await ada('POST', '/flows/example', { name: 'Large' })
  const { json: source } = await ada('POST', '/flows/example/large/sources', {
    name: '字'.repeat(100),
    external_url: url(2000),
  })
  await anonymous('PUT', '/sources', { flow_token: source.flow_token, configuration_url: url(2000) })
  const field = { label: '字'.repeat(10), value: '字'.repeat(2000) }
  for (let index = 0; index < 100; index += 1) {
    const sent = await anonymous('POST', '/messages', {
      ...{ flow_token: source.flow_token, event: 'discussion', title: 'x', wait: 1 },
      ...{ body: '字'.repeat(21_500), author: { name: 'A' }, external_thread_id: 'one' },
      ...(index === 0 ? { thread: { title: 'Thread', fields: Array.from({ length: 8 }, () => field) } } : {}),
    })
    expect(sent.status, sent.text.slice(0, 500)).toBe(201)
  }
  const reactions = Object.fromEntries(
    Array.from({ length: 50 }, (_, emoji) => [
      `${emoji}${'😀'.repeat(62)}`,
      Array.from({ length: 10 }, () => '9'.repeat(15)),
    ]),
  )
  await backend.store.write((db) =>
    db
      .updateTable('messages')
      .set({ reactions_json: JSON.stringify(reactions) })
      .where('channel_id', '=', (query) =>
        query.selectFrom('flows').select('channel_id').where('id', '=', large.id),
      )
      .execute(),
  )
  const page = await ada('GET', '/flows/example/large/messages?limit=100')
  expect(page.json).toHaveLength(100)
  expect(Object.keys(page.json[99].emojiReactions)).toHaveLength(50)
  expect(Buffer.byteLength(page.text)).toBeGreaterThan(12 * 1024 * 1024)
  expect(Buffer.byteLength(page.text)).toBeLessThan(16 * 1024 * 1024)
})

test('an event that fits stays as it is', () => {
  const event = JSON.stringify({ event: 'message', content: x(1000) })
  expect(fitEvent(event)).toBe(event)
})
