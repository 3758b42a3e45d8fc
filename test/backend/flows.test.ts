import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestBackend, type TestBackend } from '../support/backend.ts'

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

const names = (flows: { parameterized_name: string }[]) => flows.map((flow) => flow.parameterized_name).sort()

describe('listing flows', () => {
  test('gives those one has joined, and with /all those one could join', async () => {
    expect(names((await ben('GET', '/flows')).json)).toEqual(['engineering', 'main'])
    const all = (await ben('GET', '/flows/all')).json
    expect(names(all)).toEqual(['engineering', 'main', 'support'])
    expect(
      all.find((flow: { parameterized_name: string }) => flow.parameterized_name === 'support').joined,
    ).toBe(false)
    expect(names((await ben('GET', '/flows/example')).json)).toEqual(['engineering', 'main', 'support'])
  })

  test('has everything clients look for', async () => {
    const { json } = await cleo('GET', '/flows?users=1')
    const main = json.find((flow: { parameterized_name: string }) => flow.parameterized_name === 'main')
    expect(main).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      open: true,
      joined: true,
      access_mode: 'organization',
      url: `${backend.url}/flows/example/main`,
      organization: { id: 1, parameterized_name: 'example', user_count: 3, active: true },
    })
    expect(main.users[0]).toMatchObject({ id: 1, nick: 'Ada', in_flow: true, disabled: false })
    expect((await cleo('GET', '/flows')).json[0].users).toBeUndefined()
  })

  test('finds one by id and by path, with its users unless the request says otherwise', async () => {
    const byPath = await ada('GET', '/flows/example/main')
    const byId = await ada('GET', `/flows/find?id=${byPath.json.id}&users=1`)
    expect(byId.json).toEqual(byPath.json)
    expect(byPath.json.users).toHaveLength(3)
    const { users: _, ...withoutUsers } = byPath.json
    for (const path of ['/flows/example/main?users=0', `/flows/find?id=${byPath.json.id}&users=0`])
      expect((await ada('GET', path)).json).toEqual(withoutUsers)
    expect(await ada('GET', '/flows/find?id=nothing')).toMatchObject({
      status: 404,
      text: '{"message":"not found"}',
    })
    expect((await ada('GET', '/flows/nowhere/main')).status).toBe(404)
  })
})

describe('a flow’s life', () => {
  test('it is created with a slug of its name, by invitation, with its creator inside', async () => {
    const { status, json } = await ben('POST', '/flows/example', { name: 'Büro & Küche' })
    expect(status).toBe(201)
    expect(json).toMatchObject({
      parameterized_name: 'buro-kuche',
      access_mode: 'invitation',
      joined: true,
      users: [{ id: 2 }],
    })
    expect(json.join_url).toBeUndefined()
    expect((await ben('POST', '/flows/example', { name: 'Buro Kuche' })).json.parameterized_name).toBe(
      'buro-kuche-2',
    )
    expect((await cleo('GET', '/flows/example/buro-kuche')).status).toBe(403)
    expect((await ben('POST', '/flows/example', { name: 'x'.repeat(101) })).json.errors.name).toEqual([
      'is too long: 101 characters, at most 100 are stored',
    ])
  })

  test('opening it joins it, blocking ends the access, and members are notified', async () => {
    const { json } = await ada('POST', '/flows/example', { name: 'Joining' })
    await ada('PUT', '/flows/example/joining', { access_mode: 'organization' })
    expect((await ben('GET', '/flows/example/joining/messages')).status).toBe(403)
    expect((await ben('PUT', '/flows/example/joining', { open: true })).json).toMatchObject({
      id: json.id,
      joined: true,
      open: true,
    })
    const told = await ada('GET', '/flows/example/joining/messages?event=action,backend.user.join')
    expect(told.json).toMatchObject([
      { event: 'action', content: { type: 'join' }, user: '2', app: 'chat' },
      { event: 'backend.user.join', content: { user: { id: 2, nick: 'Ben' } }, user: '2', app: null },
    ])
    expect((await ben('PUT', '/flows/example/joining/users/1', { disabled: true })).status).toBe(403)
    expect(await ada('PUT', '/flows/example/joining/users/2', { disabled: true })).toMatchObject({
      status: 200,
      text: '{}',
    })
    expect((await ben('GET', '/flows/example/joining/messages')).status).toBe(403)
    expect(names((await ben('GET', '/flows/all')).json)).not.toContain('joining')
  })

  test('only administrators rename or archive it; an archived one takes no messages', async () => {
    await ada('POST', '/flows/example', { name: 'Old' })
    await ada('POST', '/flows/example/old/users', { id: 2 })
    expect((await ben('PUT', '/flows/example/old', { name: 'New' })).status).toBe(403)
    expect((await ada('PUT', '/flows/example/old', { name: 'New' })).json).toMatchObject({
      name: 'New',
      parameterized_name: 'old',
    })
    expect((await ada('PATCH', '/flows/example/old', { disabled: true })).status).toBe(200)
    expect(names((await ben('GET', '/flows')).json)).not.toContain('old')
    expect(
      (await ben('POST', '/flows/example/old/messages', { event: 'message', content: 'x' })).status,
    ).toBe(403)
    expect(
      (await ada('PUT', '/flows/example/old', { access_mode: 'open' })).json.errors.access_mode[0],
    ).toContain('link')
  })

  test('mentions are counted until they are read', async () => {
    await ada('POST', '/flows/example', { name: 'Mentions' })
    await ada('POST', '/flows/example/mentions/users', { id: 3 })
    const { json } = await ada('POST', '/flows/example/mentions/messages', {
      event: 'message',
      content: 'hi @Cleo',
    })
    expect((await cleo('GET', '/flows/example/mentions')).json.unread_mentions).toBe(1)
    await cleo('PUT', `/flows/example/mentions/messages/${json.id}`, { tags: [':user:3'] })
    expect((await cleo('GET', '/flows/example/mentions')).json.unread_mentions).toBe(0)
  })
})

describe('users and organizations', () => {
  test('users see the members of their flows, and administrators see all users', async () => {
    const { json } = await ada('POST', '/flows/example', { name: 'Just me' })
    expect(json.users).toHaveLength(1)
    expect((await ada('GET', '/users')).json).toHaveLength(3)
    expect((await ben('GET', '/users/3')).json).toMatchObject({ nick: 'Cleo' })
    expect((await ben('GET', '/users/99')).status).toBe(404)
  })

  test('one changes oneself alone', async () => {
    expect(await cleo('PUT', '/users/3', { nick: 'Cleopatra' })).toMatchObject({ status: 200, text: '{}' })
    expect((await ben('GET', '/users/3')).json.nick).toBe('Cleopatra')
    expect((await ben('PUT', '/users/3', { nick: 'x' })).status).toBe(403)
    expect((await cleo('PUT', '/users/3', { nick: 'two words' })).status).toBe(400)
    await cleo('PUT', '/users/3', { nick: 'Cleo' })
  })

  test('an organization is read by slug or id, its members with their rights, and renamed by administrators', async () => {
    expect((await ben('GET', '/organizations')).json).toHaveLength(1)
    expect((await ben('GET', '/organizations/find?id=1')).json).toEqual(
      (await ben('GET', '/organizations/example')).json,
    )
    expect(
      (await ben('GET', '/organizations/example/users')).json.map((user: { admin: boolean }) => user.admin),
    ).toEqual([true, false, false])
    expect((await ben('PUT', '/organizations/example', { name: 'x' })).status).toBe(403)
    expect((await ada('PUT', '/organizations/example', { name: 'Example Inc' })).json.name).toBe(
      'Example Inc',
    )
    expect((await ben('GET', '/organizations/other')).status).toBe(404)
  })
})

describe('threads and sources', () => {
  test('threads are listed by their last update, newest first, and page by it', async () => {
    const flow = '/flows/example/engineering'
    const all = await ada('GET', `${flow}/threads`)
    const times = all.json.map((thread: { updated_at: string }) => Date.parse(thread.updated_at))
    expect(times).toEqual(times.toSorted((a: number, b: number) => b - a))
    const first = await ada('GET', `${flow}/threads?limit=1`)
    const [{ id, updated_at }] = first.json
    const until = encodeURIComponent(new Date(Date.parse(updated_at) + 1).toISOString())
    const after = encodeURIComponent(`${Date.parse(updated_at)},${id}`)
    expect(first.headers.get('link')).toBe(
      `<${backend.url}${flow}/threads?until=${until}&after=${after}&limit=1>; rel="next"`,
    )
    const invalid = await ada('GET', `${flow}/threads?after=yesterday`)
    expect([invalid.status, invalid.json.errors.after]).toEqual([
      400,
      ['must be a time in milliseconds, a comma and the id of a thread'],
    ])
    expect(
      (await ada('GET', `${flow}/threads?application=inbox`)).json.every(
        (thread: { source?: object }) => thread.source,
      ),
    ).toBe(true)
    expect(
      (await ada('GET', `${flow}/threads?application=chat`)).json.some(
        (thread: { source?: object }) => thread.source,
      ),
    ).toBe(false)
    const one = await ada('GET', `${flow}/threads/${first.json[0].id}`)
    expect(one.json).toEqual(first.json[0])
    expect(Date.parse(one.json.created_at)).not.toBeNaN()
    expect((await ada('GET', `${flow}/threads/nothing`)).status).toBe(404)
    expect((await ada('GET', `${flow}/threads?since=yesterday`)).json.errors.since).toEqual([
      'must be an ISO 8601 time',
    ])
  })

  test('sources are listed without their tokens', async () => {
    const { json } = await ben('GET', '/sources')
    expect(json).toMatchObject([
      { name: 'Tickets', application: { name: 'Tracker' }, creator: { id: 1 }, _links: {} },
    ])
    expect(json[0].flow_token).toBeUndefined()
    expect((await cleo('GET', '/sources')).json).toEqual([])
    expect((await ben('GET', '/flows/example/engineering/sources/1')).json).toEqual(json[0])
    expect((await cleo('GET', '/flows/example/engineering/sources')).status).toBe(403)
  })
})
