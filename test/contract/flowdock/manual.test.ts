import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { basic, startTestBackend, type TestBackend } from '../../support/backend.ts'
import { openRawStream } from '../../support/stream.ts'
import { type Channel, connect, present } from '../../support/wrapper.ts'

/*
 * The manual of the Python wrapper, whose every example was run against the service: the same steps, the same results.
 */

let backend: TestBackend
let flow: Channel
let private_: Channel
let flowToken: string

beforeAll(async () => {
  backend = await startTestBackend()
  const ada = backend.as('Ada')
  await ada('POST', '/flows/example', { name: 'Apua flow' })
  flowToken = (await ada('POST', '/flows/example/apua-flow/sources', { name: 'ExternalService' })).json
    .flow_token
  const token = await backend.token('Ada')
  flow = connect(backend.url, token, '/flows/example/apua-flow')
  private_ = connect(backend.url, token, '/private/2')
})
afterAll(() => backend.close())

const channels: [string, () => Channel][] = [
  ['a flow', () => flow],
  ['a private channel', () => private_],
]

describe.each(channels)('in %s', (_, channel) => {
  test('Send, Edit, and Delete a Message', async () => {
    const { id } = await channel().send('a message')
    expect((await channel().show(id)).content).toBe('a message')
    await channel().edit(id, 'an edit message')
    expect((await channel().show(id)).content).toBe('an edit message')
    await channel().delete(id)
    expect((await channel().show(id)).content).toBe('')
  })

  test('Upload and Download a File', async () => {
    const { id } = await channel().upload('README.rst', 'Flowdock API Wrapper\n')
    const { content } = await channel().show(id)
    expect(content.file_name).toBe('README.rst')
    expect(await channel().download(content.path)).toBe('Flowdock API Wrapper\n')
    await channel().delete(id)
    await expect(channel().show(id)).rejects.toThrow('(404, {"message":"not found"})')
  })
})

test('Reply Message onto a Thread', async () => {
  const message = await flow.send('Thread start')
  expect(message.thread_id).toBe(message.thread.id)
  const reply = await flow.thread(message.thread_id).send('A message replied')
  expect(reply.thread.id).toBe(message.thread.id)
  const inThread = await flow.thread(message.thread_id).list({ limit: 1 })
  expect(inThread.map(({ id }) => id)).toEqual([reply.id])
})

test('Tag a Message', async () => {
  const { id } = await flow.send('@team, ref here: http://docs.python.org', { tags: ['ref'] })
  const tags = async () => (await flow.show(id)).tags
  expect(await tags()).toEqual(['ref', ':user:team', ':url'])
  await flow.edit(id, null, ['ref', ':user:team', 'important', ':url'])
  expect(await tags()).toEqual(['ref', ':user:team', 'important', ':url'])
  await flow.edit(id, '@team, read ref here: http://docs.python.org', ['ref', ':user:team', ':url'])
  expect(await flow.show(id)).toMatchObject({
    content: '@team, read ref here: http://docs.python.org',
    tags: ['ref', ':user:team', ':url'],
  })
  await flow.edit(id, null, [...(await tags()), 'ref', 'python'])
  expect(await tags()).toEqual(['ref', ':user:team', ':url', 'python'])
  await flow.edit(id, null, ['ref', ':user:team', ':url'])
  expect(await tags()).toEqual(['ref', ':user:team', ':url'])
})

test('Tag a Message, in a private channel', async () => {
  const { id } = await private_.send('ref here: http://docs.python.org', { tags: ['ref'] })
  expect((await private_.show(id)).tags).toEqual([':unread:2', 'ref', ':url'])
  await private_.edit(id, null, [':unread:2', 'ref', 'resources', ':url'])
  expect((await private_.show(id)).tags).toEqual([':unread:2', 'ref', 'resources', ':url'])
})

test('List Messages', async () => {
  await flow.send('a keyword here')
  expect((await flow.list({ search: 'keyword' })).at(-1).content).toBe('a keyword here')
  const file = await flow.upload('a.txt', 'x')
  expect((await flow.list({ tags: ':file' })).at(-1).id).toBe(file.id)
  expect((await flow.list({ event: 'file' })).at(-1).id).toBe(file.id)
  const link = await flow.send('see http://example.com, @team')
  expect((await flow.list({ tags: ':url' })).at(-1).id).toBe(link.id)
  expect((await flow.list({ tags: '@team' })).at(-1).id).toBe(link.id)
})

test('List Threads', async () => {
  const [thread] = await flow.threads({ limit: 1 })
  const year = (offset: number) =>
    new Date(Date.UTC(new Date().getUTCFullYear() + offset, 0, 1)).toISOString()
  expect((await flow.threads({ since: year(0), until: year(1) })).map(({ id }) => id)).toContain(thread.id)
  expect(await flow.threads({ since: year(-2), until: year(-1) })).toEqual([])
  expect(await flow.thread(thread.id).list({ limit: 1 })).toHaveLength(1)
})

describe('Integration', () => {
  const itemId = 'ITEM-01'
  const uri = `https://external.service/item/${itemId}`
  const ray = { name: 'Ray', avatar: null }
  const presentItem = (options: Omit<Parameters<typeof present>[3], 'author'>) =>
    present(backend.url, flowToken, itemId, { author: ray, ...options })

  test('Present an External Service Item', async () => {
    const item = { title: 'Item 01' }
    await presentItem({ title: 'created item', thread: item })
    await presentItem({ title: 'commented', body: 'The comment', thread: item })
    await presentItem({ title: 'commented', body: 'More comment' })
    const [thread] = await flow.threads({ limit: 1 })
    expect(thread).toMatchObject({
      title: 'Item 01',
      activities: 1,
      external_comments: 2,
      source: { name: 'ExternalService' },
    })
  })

  test('Check Presented Items', async () => {
    await presentItem({ title: 'commented', body: 'No URI returned' })
    expect((await flow.list({ limit: 1 })).pop().body).toBe('No URI returned')
    expect((await flow.list({ event: 'discussion' })).pop().body).toBe('No URI returned')
    expect((await flow.list({ search: 'URI' })).pop().body).toBe('No URI returned')
    await presentItem({ title: 'touched item', thread: { title: 'Item 01', external_url: uri } })
    const thread = (await flow.threads()).find(({ external_url: url }) => url === uri)
    expect((await flow.thread(thread.id).list({ event: 'activity' })).pop().title).toBe('touched item')
  })

  test('Tag, Reply, and Delete a Presented Item', async () => {
    const [discussion] = await flow.list({ event: 'discussion', limit: 1 })
    await flow.edit(discussion.id, null, ['idea'])
    const reply = await flow.thread(discussion.thread_id).send('Reply the other idea')
    expect(reply.thread_id).toBe(discussion.thread_id)
    await flow.delete(discussion.id)
    await expect(flow.show(discussion.id)).rejects.toThrow('(404, {"message":"not found"})')
  })

  test('Construct author and thread', async () => {
    const actions = [
      { '@type': 'ViewAction', name: 'Diff', url: 'https://github.com/flowdock/component/pull/42/files' },
      {
        '@type': 'UpdateAction',
        name: 'Assign to me',
        target: { '@type': 'EntryPoint', urlTemplate: `${uri}?assign=me`, httpMethod: 'POST' },
      },
    ]
    const fields = [
      { label: 'a', value: '1' },
      { label: '<a>b</a>', value: '<a>2</a>' },
    ]
    const status = { color: 'green', value: 'TODO' }
    const body = '<strong>The detail of the item here....</strong>'
    await presentItem({
      title: 'updated item',
      thread: { title: 'Item 01', external_url: uri, body, fields, status, actions },
    })
    const thread = (await flow.threads()).find(({ external_url: url }) => url === uri)
    expect(thread).toMatchObject({ body, fields, status })
    // A click comes to the server, which signs it: the address is its own.
    expect(thread.actions).toMatchObject([actions[0], { '@type': 'UpdateAction', name: 'Assign to me' }])
    const wrong = presentItem({
      title: 'x',
      thread: { title: 'x', status: { color: 'not supported color', value: '...' } },
    })
    await expect(wrong).rejects.toThrow('red, green, yellow, cyan, orange, grey, black, lime, purple, blue')
  })
})

test('Event Monitor', async () => {
  const stream = await openRawStream(`${backend.url}/stream/flows?filter=example/apua-flow`, {
    authorization: basic(await backend.token('Ada')),
    accept: 'text/event-stream',
  })
  onTestFinished(stream.close)
  await flow.send('1 second later')
  const text = await stream.until(/\n\n/)
  const [, data = ''] = /^data: (.*)$/m.exec(text) ?? []
  expect(JSON.parse(data).content).toBe('1 second later')
  expect(text).not.toContain('retry:')
})
