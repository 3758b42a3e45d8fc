import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { replaceLogId } from '../../src/backend/store/events.ts'
import {
  type Answer,
  basic,
  call,
  type Nick,
  startTestBackend,
  type TestBackend,
} from '../support/backend.ts'

/* A gateway says which version of a list of messages it has, and gets 304 while it is the newest. */

const list = '/flows/example/main/messages?limit=5'
let backend: TestBackend
beforeEach(async () => {
  backend = await startTestBackend()
  onTestFinished(backend.close)
})

async function read(path: string, version?: string, nick: Nick = 'Ada'): Promise<Answer> {
  const headers = { authorization: basic(await backend.token(nick)) }
  return call(
    backend.url + path,
    'GET',
    version === undefined ? headers : { ...headers, 'flowdock-page': version },
  )
}

const versionOf = ({ headers }: Answer) => headers.get('flowdock-page') ?? 'none'
const send = (flow: string, content = 'hi') =>
  backend.as('Ben')('POST', `/flows/example/${flow}/messages`, { event: 'message', content })

test('a list that has not changed is answered with 304, its newest version and its place in the log, to every reader', async () => {
  const first = await read(list)
  await send('engineering')
  const second = await read(list, versionOf(first), 'Cleo')
  expect(second.status).toBe(304)
  expect(second.text).toBe('')
  const whole = await read(list)
  expect(versionOf(second)).toBe(versionOf(whole))
  expect(second.headers.get('flowdock-event-id')).toBe(whole.headers.get('flowdock-event-id'))
  expect(whole.text).toBe(first.text)
})

describe('a list is answered whole after', () => {
  const ada = (method: string, path: string, body?: object) => backend.as('Ada')(method, path, body)
  const messages = '/flows/example/main/messages'
  const newest = async () => (await ada('GET', `${messages}?limit=1`)).json[0].id
  const own = async () => (await ada('POST', messages, { event: 'message', content: 'own' })).json.id

  test.each<[string, () => Promise<() => Promise<unknown>>]>([
    ['a message', async () => () => send('main')],
    [
      'an edit',
      async () => {
        const id = await own()
        return () => ada('PUT', `${messages}/${id}`, { content: 'new' })
      },
    ],
    [
      'a deletion',
      async () => {
        const id = await own()
        return () => ada('DELETE', `${messages}/${id}`)
      },
    ],
    [
      'other tags',
      async () => {
        const id = await newest()
        return () => ada('PUT', `${messages}/${id}`, { tags: ['later'] })
      },
    ],
    [
      'another order of the tags',
      async () => {
        const id = await newest()
        await ada('PUT', `${messages}/${id}`, { tags: ['one', 'two'] })
        return () => ada('PUT', `${messages}/${id}`, { tags: ['two', 'one'] })
      },
    ],
    [
      'a reaction',
      async () => {
        const id = await newest()
        return () => ada('POST', `${messages}/${id}/emoji_reaction`, { type: 'add', emoji: '+1' })
      },
    ],
    [
      'a move',
      async () => {
        const id = await own()
        return () => ada('PUT', `${messages}/${id}`, { thread_id: 'new' })
      },
    ],
    [
      'a mention was read',
      async () => {
        await send('main', '@Ada look')
        return () => ada('POST', '/flows/example/main/read', {})
      },
    ],
    [
      'the state of a source',
      async () => {
        const { json } = await ada('POST', '/flows/example/main/sources', { name: 'CI' })
        return () => ada('PUT', `/flows/example/main/sources/${json.id}`, { error_message: 'down' })
      },
    ],
  ])('%s', async (_, prepare) => {
    const change = await prepare()
    const before = await read(list)
    expect((await read(list, versionOf(before))).status).toBe(304)
    await change()
    expect((await read(list, versionOf(before))).status).toBe(200)
  })
})

test('a version of another flow, of another log, of the future or of no form gets the whole list', async () => {
  const version = versionOf(await read(list))
  const other = versionOf(await read('/flows/example/engineering/messages'))
  const [log, channel, at] = version.split(':')
  for (const wrong of [
    other,
    `${log}:${channel}:${Number(at) + 1}`,
    `x${log}:${channel}:${at}`,
    '5',
    `${version}:1`,
    '',
  ])
    expect((await read(list, wrong)).status).toBe(200)
  await backend.store.write((db) => replaceLogId(db, log ?? ''))
  expect((await read(list, version)).status).toBe(200)
})

test('events that were deleted since say nothing, so the list is answered whole', async () => {
  const version = versionOf(await read(list))
  await send('main')
  await send('engineering')
  await send('engineering')
  await backend.store.write(async (db) => {
    const { newest } = await db
      .selectFrom('events')
      .select((select) => select.fn.max<number>('seq').as('newest'))
      .executeTakeFirstOrThrow()
    await db.deleteFrom('events').where('seq', '<', newest).execute()
  })
  expect((await read(list, version)).status).toBe(200)
})

test('who may not read the flow gets no 304', async () => {
  const version = versionOf(await read(list))
  await backend.as('Ada')('PUT', '/flows/example/main/users/3', { disabled: true })
  expect((await read(list, version, 'Cleo')).status).toBe(403)
  expect((await call(backend.url + list, 'GET', { 'flowdock-page': version })).status).toBe(401)
})

test('a list of a thread has a version, and none has a search, a list up to a message, or a private conversation', async () => {
  const [{ thread_id: thread }] = (await read('/flows/example/main/messages?limit=1&event=message')).json
  const ofThread = `/flows/example/main/threads/${thread}/messages`
  const version = versionOf(await read(ofThread))
  expect((await read(ofThread, version)).status).toBe(304)
  for (const path of [`${list}&search=hello`, `${list}&until_id=5`, '/private/2/messages']) {
    expect(versionOf(await read(path))).toBe('none')
    expect((await read(path, version)).status).toBe(200)
  }
})
