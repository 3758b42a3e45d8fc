import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { sendMessage } from '../../src/backend/flowdock/operations/messages.ts'
import { type Flow, findFlow } from '../../src/backend/store/flows.ts'
import { findSourceByTokenHash, type SourceRow } from '../../src/backend/store/sources.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { startTestBackend, type TestBackend } from '../support/backend.ts'

/*
 * Changes that begin in the same turn share a commit, which writes the rows of all of them with few statements. Each of them sees
 * what those before it have done.
 */

let backend: TestBackend
let flow: Flow
beforeEach(async () => {
  backend = await startTestBackend()
  onTestFinished(backend.close)
  flow = (await findFlow(backend.store.reader, { organization: 'example', slug: 'main' })) as Flow
})

const ada = { userId: 1 }

function send(content: string, more: { uuid?: string; threadId?: string; tags?: readonly string[] } = {}) {
  const draft = { event: 'message', content, tags: [], ...more }
  return backend.log.write((change) => sendMessage(change, flow, ada, draft), flow)
}

/** What the list of messages and that of threads say. */
async function list(query: string): Promise<{ content: string; id: number; thread_id: string }[]> {
  return (await backend.as('Ada')('GET', `/flows/example/main/messages?${query}`)).json
}

test('messages of one commit have ascending ids, and are found by words, tags and threads', async () => {
  const [before] = await list('limit=1')
  const sent = await Promise.all(['one #red', 'two #blue', 'three #red'].map((content) => send(content)))
  expect(sent.map(({ message }) => message.id)).toEqual([1, 2, 3].map((step) => (before?.id ?? 0) + step))
  const contents = async (query: string) => (await list(query)).map(({ content }) => content)
  expect(await contents('limit=3')).toEqual(['one #red', 'two #blue', 'three #red'])
  expect(await contents('search=two')).toEqual(['two #blue'])
  expect(await contents('tags=red')).toEqual(['one #red', 'three #red'])
  for (const { message } of sent) {
    const path = `/flows/example/main/threads/${message.thread_id}`
    const { json } = await backend.as('Ada')('GET', path)
    expect(json).toMatchObject({ initial_message: message.id, internal_comments: 1 })
  }
})

test('a message that is sent twice in one commit, with the same uuid, is stored once', async () => {
  const [first, again, other] = await Promise.all([
    send('xylophone', { uuid: 'same' }),
    send('xylophone', { uuid: 'same' }),
    send('xylophone', { uuid: 'other' }),
  ])
  expect(again).toEqual({ ...first, isRepeat: true })
  expect(other.message.id).toBe(first.message.id + 1)
  expect(await list('search=xylophone')).toHaveLength(2)
  expect((await send('xylophone', { uuid: 'same' })).message.id).toBe(first.message.id)
})

test('messages of one commit join a thread, and it counts all of them', async () => {
  const opening = await send('opening')
  const threadId = opening.message.thread_id as string
  const replies = await Promise.all(['a', 'b', 'c'].map((content) => send(content, { threadId })))
  expect(replies.map(({ thread }) => thread?.row.internal_comments)).toEqual([2, 3, 4])
  const { json } = await backend.as('Ada')('GET', `/flows/example/main/threads/${threadId}`)
  expect(json).toMatchObject({ internal_comments: 4, initial_message: opening.message.id })
})

test('two messages of an integration with one key are in one thread, also in one commit', async () => {
  const { json } = await backend.as('Ada')('POST', '/flows/example/main/sources', { name: 'CI' })
  const source = (await findSourceByTokenHash(backend.store.reader, hashToken(json.flow_token))) as SourceRow
  const report = (title: string) =>
    backend.log.write(
      (change) =>
        sendMessage(
          change,
          flow,
          { userId: 0, source },
          {
            ...{ event: 'activity', content: null, tags: [], title, externalThreadId: 'build 1' },
            ...{ author: { name: 'CI' }, thread: { title } },
          },
        ),
      flow,
    )
  const [begun, done] = await Promise.all([report('begun'), report('done')])
  expect(done.message.thread_id).toBe(begun.message.thread_id)
  expect(done.thread?.row).toMatchObject({ title: 'done', activities: 2, initial_message: begun.message.id })
  const path = `/flows/example/main/threads/${begun.message.thread_id}`
  expect((await backend.as('Ada')('GET', path)).json).toMatchObject({ title: 'done', activities: 2 })
})

test('a message that is refused leaves no gap in the ids of the others of its commit', async () => {
  const outcomes = await Promise.allSettled([
    send('one'),
    send('refused', { threadId: 'no such thread' }),
    send('two'),
  ])
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  const [one, two] = (await list('limit=2')).map(({ id }) => id) as [number, number]
  expect(two).toBe(one + 1)
})
