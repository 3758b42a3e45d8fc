import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { insertUser } from '../../src/backend/store/users.ts'
import { basic, type Nick, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

let backend: TestBackend

beforeAll(async () => {
  backend = await startTestBackend({ activityEveryMs: 50 })
})
afterAll(() => backend.close())

async function listen(nick: Nick, query: string, sse = false) {
  const stream = await openRawStream(`${backend.url}/stream/flows?${query}`, {
    authorization: basic(await backend.token(nick)),
    accept: sse ? 'text/event-stream' : 'application/json',
  })
  onTestFinished(stream.close)
  await stream.until(sse ? /^:/ : /^\n/)
  return stream
}

describe('presence', () => {
  test('is delivered to streams that request it: present users, then users who come, idle and leave', async () => {
    const cleo = await listen('Cleo', 'filter=example/main&active=idle')
    const ada = await listen('Ada', 'filter=example/main&presence=1')
    await ada.until(
      /"event":"presence","content":\{"user_id":3,"state":1000000,"updated_at":"[^"]+Z"\},"user_id":3\}\r\n/,
    )
    const ben = await listen('Ben', 'filter=example/engineering&active=true')
    await ada.until(/"user_id":2,"state":2000000/)
    ben.close()
    await ada.until(/"user_id":2,"state":0/)
    cleo.close()
    await ada.until(/"user_id":3,"state":0/)
  })

  test('is not delivered to other streams, or for users of no common flow', async () => {
    const plain = await listen('Ada', 'filter=example/main')
    const support = await listen('Cleo', 'filter=example/support&presence=1')
    const asking = await listen('Ada', 'filter=example/main&presence=1')
    await listen('Ben', 'filter=example/main&active=true')
    await asking.until(/"user_id":2,"state":2000000/)
    expect(plain.text).not.toContain('presence')
    expect(support.text).not.toContain('"user_id":2')
  })

  test('of a user with two streams is the more active one', async () => {
    const ada = await listen('Ada', 'filter=example/main&presence=1')
    const first = await listen('Ben', 'filter=example/main&active=True')
    await ada.until(/"user_id":2,"state":2000000/)
    await listen('Ben', 'filter=example/main&active=idle')
    first.close()
    await ada.until(/"user_id":2,"state":2000000[\s\S]*"user_id":2,"state":1000000/)
  })
})

test('GET /users/presence lists the members of one’s flows, also those who are not here', async () => {
  const presences = async (nick: Nick): Promise<Map<number, number>> => {
    const { status, json } = await backend.as(nick)('GET', '/users/presence')
    expect(status).toBe(200)
    return new Map(json.map((each: { user_id: number; state: number }) => [each.user_id, each.state]))
  }
  const say = (nick: Nick, state: string) => backend.as(nick)('PUT', '/user/presence', { state })
  await say('Ben', 'idle')
  onTestFinished(async () => void (await say('Ben', 'offline')))
  expect((await presences('Ada')).get(2)).toBe(1_000_000)
  await say('Ben', 'offline')
  expect((await presences('Ada')).get(2)).toBe(0)
  const stranger = await backend.store.write((db) =>
    insertUser(db, { nick: 'Dan', name: 'Dan', email: 'dan@example.com' }),
  )
  expect((await presences('Ada')).has(stranger.id)).toBe(false)
})

describe('presence without a stream', () => {
  test('is said by PUT /user/presence, holds until said otherwise, and is refused when it is none', async () => {
    const ada = await listen('Ada', 'filter=example/main&presence=1')
    const put = (state: string) => backend.as('Ben')('PUT', '/user/presence', { state })
    expect((await put('active')).json).toEqual({ state: 'active', expires_in: 90 })
    await ada.until(/"user_id":2,"state":2000000/)
    await put('idle')
    await ada.until(/"user_id":2,"state":1000000/)
    expect((await put('asleep')).status).toBe(400)
    expect((await put('offline')).json).toEqual({ state: 'offline', expires_in: 0 })
    await ada.until(/"user_id":2,"state":0/)
  })

  test('ends by itself', async () => {
    const quick = await startTestBackend({ presenceLastsMs: 50 })
    onTestFinished(quick.close)
    const stream = await openRawStream(`${quick.url}/stream/flows?filter=example/main&presence=1`, {
      authorization: basic(await quick.token('Ada')),
    })
    onTestFinished(stream.close)
    await stream.until(/^\n/)
    await quick.as('Ben')('PUT', '/user/presence', { state: 'active' })
    await stream.until(/"user_id":2,"state":2000000[\s\S]*"user_id":2,"state":0/)
  })
})

describe('activity.user', () => {
  test('is delivered repeatedly to the flows of an active user, with the time, and is not stored', async () => {
    const ada = await listen('Ada', 'filter=example/main', true)
    await listen('Ben', 'filter=example/main&active=true')
    const text = await ada.until(/activity\.user[\s\S]*activity\.user/)
    const event = JSON.parse(/^data: (.*activity\.user.*)$/m.exec(text)?.[1] ?? '')
    expect(event).toMatchObject({ event: 'activity.user', user: '2', app: null, tags: [], attachments: [] })
    expect(event.id).toEqual(expect.any(Number))
    const { users } = (await backend.as('Ada')('GET', '/flows/example/main')).json
    const ben = users.find((user: { id: number }) => user.id === 2)
    expect(ben.last_activity).toBeGreaterThanOrEqual(event.content.last_activity)
    // An event without an id leaves Last-Event-ID where it was.
    expect(text).not.toMatch(/^id: /m)
    const listed = await backend.as('Ada')('GET', '/flows/example/main/messages?event=activity.user')
    expect(listed.json).toEqual([])
  })

  test('has no time for an idle user', async () => {
    const ada = await listen('Ada', 'filter=example/support')
    await listen('Cleo', 'filter=example/support&active=idle')
    const text = await ada.until(/activity\.user.*\r\n/)
    expect(JSON.parse(/\{.*activity\.user.*\}/.exec(text)?.[0] ?? '').content).toEqual({})
  })
})

describe('typing', () => {
  test('is delivered to a flow, with the thread if there is one', async () => {
    const ada = await listen('Ada', 'filter=example/main')
    const typing = { thread_id: 't1' }
    expect((await backend.as('Ben')('POST', '/flows/example/main/typing', typing)).status).toBe(200)
    const text = await ada.until(/"typing".*\r\n/)
    expect(JSON.parse(/\{.*typing.*\}/.exec(text)?.[0] ?? '')).toMatchObject({
      event: 'activity.user',
      user: '2',
      content: { typing: true, thread_id: 't1', last_activity: expect.any(Number) },
    })
    expect((await backend.as('Cleo')('POST', '/flows/example/engineering/typing')).status).toBe(403)
  })

  test('in private is delivered to the other user only', async () => {
    const [ada, cleo] = [await listen('Ada', 'user=1'), await listen('Cleo', 'user=1')]
    await backend.as('Ben')('POST', '/private/1/typing')
    const text = await ada.until(/"typing".*\r\n/)
    expect(text).toContain('"to":"1"')
    await backend.as('Ben')('POST', '/private/3/messages', { event: 'message', content: 'after' })
    expect(await cleo.until(/"after"/)).not.toContain('typing')
  })
})

test('a server stops cleanly while users come, are present and leave', async () => {
  for (let round = 0; round < 5; round += 1) {
    const backend = await startTestBackend({ activityEveryMs: 1 })
    const tokens = await Promise.all((['Ada', 'Ben', 'Cleo'] as const).map((nick) => backend.token(nick)))
    const open = () =>
      Promise.all(
        tokens.map((token) =>
          openRawStream(`${backend.url}/stream/flows?filter=example/main&active=true`, {
            authorization: basic(token),
          }),
        ),
      )
    const streams = await open()
    const more = open().catch(() => [])
    for (const stream of streams) stream.close()
    // Fails when anything failed in the background.
    await backend.close()
    for (const stream of await more) stream.close()
  }
})
