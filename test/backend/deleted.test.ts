import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

let backend: TestBackend
let ada: ReturnType<TestBackend['as']>
let ben: ReturnType<TestBackend['as']>

beforeAll(async () => {
  backend = await startTestBackend()
  ada = backend.as('Ada')
  ben = backend.as('Ben')
})
afterAll(() => backend.close())

/** A flow with Ada and Ben that only one test writes to. */
async function newFlow(name: string): Promise<string> {
  const { json } = await ada('POST', '/flows/example', { name })
  await ada('POST', `/flows/example/${json.parameterized_name}/users`, { id: 2 })
  return `/flows/example/${json.parameterized_name}`
}

const say = async (flow: string, content: string, more: object = {}) =>
  (await ada('POST', `${flow}/messages`, { event: 'message', content, ...more })).json

const tagsOf = async (flow: string, id: number): Promise<string[]> =>
  (await ben('GET', `${flow}/messages/${id}`)).json.tags

const unread = async (flow: string): Promise<number> => (await ben('GET', flow)).json.unread_mentions

const idsOf = ({ json }: { json: { id: number }[] }) => json.map(({ id }) => id)

const file = { data: btoa('secret'), content_type: 'text/plain', file_name: 'secret-plan.txt' }

describe('marks of what is unread', () => {
  test('go with the mention that an edit takes away, and come with one it adds', async () => {
    const flow = await newFlow('unread edits')
    const { id } = await say(flow, 'hello @Ben')
    expect(await unread(flow)).toBe(1)
    await ada('PUT', `${flow}/messages/${id}`, { content: 'hello' })
    expect([await unread(flow), await tagsOf(flow, id)]).toEqual([0, []])
    await ada('PUT', `${flow}/messages/${id}`, { content: 'hello @everyone' })
    expect([await unread(flow), await tagsOf(flow, id)]).toEqual([1, [':user:everyone', ':unread:2']])
    await ada('PUT', `${flow}/messages/${id}`, { content: 'hello you' })
    expect(await unread(flow)).toBe(0)
  })

  test('stay read when the text around a mention changes', async () => {
    const flow = await newFlow('unread again')
    const { id } = await say(flow, 'hello @Ben')
    await ben('POST', `${flow}/read`)
    await ada('PUT', `${flow}/messages/${id}`, { content: 'good morning @Ben' })
    expect([await unread(flow), await tagsOf(flow, id)]).toEqual([0, [':user:2']])
  })

  test('follow a change of the tags', async () => {
    const flow = await newFlow('unread tags')
    const { id } = await say(flow, 'hello @Ben')
    await ada('PUT', `${flow}/messages/${id}`, { tags: ['release', ':unread:2'] })
    expect([await unread(flow), await tagsOf(flow, id)]).toEqual([0, ['release']])
    await ada('PUT', `${flow}/messages/${id}`, { tags: ['@Ben'] })
    expect([await unread(flow), await tagsOf(flow, id)]).toEqual([1, [':user:2', ':unread:2']])
  })

  test('are not for a sender to make', async () => {
    const flow = await newFlow('unread sent')
    const { tags } = await say(flow, 'hello', { tags: [':unread:2', 'release'] })
    expect([await unread(flow), tags]).toEqual([0, ['release']])
  })

  test('stay in a private conversation, which mentions its reader as a whole', async () => {
    const { id } = (await ada('POST', '/private/2/messages', { event: 'message', content: 'one' })).json
    await ada('PUT', `/private/2/messages/${id}`, { content: 'two' })
    expect((await ben('GET', `/private/1/messages/${id}`)).json.tags).toEqual([':unread:2'])
    await ada('DELETE', `/private/2/messages/${id}`)
    expect((await ben('GET', `/private/1/messages/${id}`)).json.tags).toEqual([])
  })
})

describe('a deleted message', () => {
  test('is found and counted by nothing', async () => {
    const flow = await newFlow('deleted')
    const { id, thread_id: threadId } = await say(flow, '@Ben the #release https://example.com is zebra')
    const kept = await say(flow, 'another zebra #release', { thread_id: threadId })
    await ben('POST', `${flow}/messages/${id}/emoji_reaction`, { emoji: 'eyes' })
    expect((await ada('DELETE', `${flow}/messages/${id}`)).status).toBe(200)

    expect((await ben('GET', `${flow}/messages/${id}`)).json).toMatchObject({
      content: '',
      tags: [],
      emojiReactions: {},
      thread: { title: '', internal_comments: 1, initial_message: id },
    })
    expect(idsOf(await ben('GET', `${flow}/messages?tags=release`))).toEqual([kept.id])
    expect(idsOf(await ben('GET', `${flow}/messages?tags=:url`))).toEqual([])
    expect(idsOf(await ben('GET', `${flow}/messages?search=zebra`))).toEqual([kept.id])
    expect(idsOf(await ben('GET', '/search?search=zebra'))).toEqual([kept.id])
    expect(await unread(flow)).toBe(0)
    const counted = await ben('GET', `${flow}/activity?group_by=tag`)
    expect(counted.json.buckets).toMatchObject([{ count: 1, groups: [{ tag: 'release', count: 1 }] }])
  })

  test('changes no more', async () => {
    const flow = await newFlow('unchangeable')
    const { id } = await say(flow, 'gone')
    await ada('DELETE', `${flow}/messages/${id}`)
    expect((await ada('PUT', `${flow}/messages/${id}`, { content: 'back' })).status).toBe(404)
    expect((await ben('PUT', `${flow}/messages/${id}`, { tags: ['release'] })).status).toBe(404)
    expect((await ben('POST', `${flow}/messages/${id}/emoji_reaction`, { emoji: 'eyes' })).status).toBe(404)
    expect((await ada('PUT', `${flow}/messages/${id}`, { thread_id: 'another' })).status).toBe(404)
    expect((await ada('DELETE', `${flow}/messages/${id}`)).status).toBe(200)
    expect(await tagsOf(flow, id)).toEqual([])
  })

  test('takes its text out of edits and of comments on it', async () => {
    const flow = await newFlow('repeated')
    const { id } = await say(flow, 'first secret #alpha')
    await ada('PUT', `${flow}/messages/${id}`, { content: 'second secret #beta' })
    await ben('POST', `${flow}/messages/${id}/comments`, { content: 'a remark' })
    await ada('DELETE', `${flow}/messages/${id}`)
    const all = await ben('GET', `${flow}/messages?event=message,comment,message-edit,tag-change`)
    expect(all.text).toContain('a remark')
    expect(all.text).not.toMatch(/secret|alpha|beta/)
    expect((await ben('GET', `${flow}/threads`)).text).not.toContain('secret')
  })

  test('keeps what a comment was on', async () => {
    const flow = await newFlow('comments')
    const { id } = await say(flow, 'a question')
    const comment = await ada('POST', `${flow}/messages/${id}/comments`, { content: 'an #answer' })
    await ada('DELETE', `${flow}/messages/${comment.json.id}`)
    const { json } = await ben('GET', `${flow}/messages/${comment.json.id}`)
    expect(json).toMatchObject({ content: { title: 'a question', text: '' }, tags: [`influx:${id}`] })
  })

  test.each(['flow', 'private conversation'])(
    'with a file of a %s leaves no bytes on the disk',
    async (place) => {
      const flow = place === 'flow' ? await newFlow('files gone') : '/private/2'
      const { json } = await ada('POST', `${flow}/messages`, { event: 'file', content: file })
      const { path } = json.attachments[0]
      const [, token = ''] = /\/([0-9a-f]{32})\//.exec(path) ?? []
      const stored = join(backend.dataDir, 'files', token.slice(0, 2), token)
      expect(existsSync(stored)).toBe(true)
      const before = await ben('GET', path)
      expect(before.status).toBe(302)
      expect((await ada('DELETE', `${flow}/messages/${json.id}`)).status).toBe(204)
      expect((await ben('GET', path)).status).toBe(404)
      // The address that was given for a minute, too.
      expect((await fetch(before.headers.get('location') ?? '')).status).toBe(404)
      expect(existsSync(stored)).toBe(false)
      if (place === 'flow')
        expect((await ben('GET', `${flow}/threads?empty=1`)).text).not.toContain('secret-plan')
    },
  )

  test('is delivered as deleted, without its text, to a stream that resumes before it', async () => {
    const flow = await newFlow('resumed')
    const stream = (after: number) =>
      backend.token('Ben').then((token) =>
        openRawStream(`${backend.url}/stream${flow}?accept=text/event-stream`, {
          authorization: basic(token),
          'last-event-id': String(after),
        }),
      )
    const begin = Number((await ben('GET', `${flow}/messages`)).headers.get('flowdock-event-id'))
    const { id, thread_id: threadId } = await say(flow, 'a secret #alpha')
    await ada('PUT', `${flow}/messages/${id}`, { content: 'more secret #beta' })
    await ben('POST', `${flow}/messages/${id}/comments`, { content: 'a remark' })
    await say(flow, 'a reply', { thread_id: threadId })
    const sent = (await ada('POST', `${flow}/messages`, { event: 'file', content: file })).json
    await ada('DELETE', `${flow}/messages/${id}`)
    await ada('DELETE', `${flow}/messages/${sent.id}`)
    await say(flow, 'the end')

    const resumed = await stream(begin)
    onTestFinished(resumed.close)
    const text = await resumed.until(/the end/)
    expect(text).not.toMatch(/secret|alpha|beta/)
    expect(text).toContain('a remark')
    expect(text).toContain('a reply')
    expect(text).toContain(`"content":{"message":${id},"updated_content":""}`)
    expect(text).toContain(`"content":{"message":${sent.id}}`)
    const messages = text
      .split('\n')
      .flatMap((line) => (line.startsWith('data: ') ? JSON.parse(line.slice(6)) : []))
    expect(messages.find((message) => message.id === id)).toMatchObject({ content: '', tags: [] })
    expect(messages.find((message) => message.id === sent.id)).toBeUndefined()
  })

  test('is delivered as deleted in a private conversation, too', async () => {
    const token = await backend.token('Ben')
    const begin = Number((await ben('GET', '/private/1/messages')).headers.get('flowdock-event-id'))
    const { id } = (await ada('POST', '/private/2/messages', { event: 'message', content: 'a secret' })).json
    await ada('DELETE', `/private/2/messages/${id}`)
    await ada('POST', '/private/2/messages', { event: 'message', content: 'the end' })
    const resumed = await openRawStream(`${backend.url}/stream/flows?user=1&accept=text/event-stream`, {
      authorization: basic(token),
      'last-event-id': String(begin),
    })
    onTestFinished(resumed.close)
    const text = await resumed.until(/the end/)
    expect(text).not.toContain('secret')
    expect(text).toContain(`"id":${id},"content":""`)
  })
})
