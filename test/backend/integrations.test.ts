import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { basic, call, startTestBackend, type TestBackend } from '../support/backend.ts'
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

/** A call without any credential. */
const anonymously = (method: string, path: string, body?: object) =>
  call(backend.url + path, method, {}, body)

describe('sources', () => {
  const sources = '/flows/example/engineering/sources'

  test('their token is shown at creation alone, and works until the source is removed', async () => {
    const created = await ben('POST', sources, { name: 'Lunch', external_url: 'https://lunch.example' })
    expect(created).toMatchObject({
      status: 201,
      json: {
        name: 'Lunch',
        external_url: 'https://lunch.example',
        flow_token: expect.stringMatching(/^[0-9a-f]{32}$/),
        url: `${backend.url}${sources}/${created.json.id}`,
        application: { name: 'Lunch' },
        creator: { id: 2 },
      },
    })
    const { id, flow_token: token } = created.json
    const shown = await ben('GET', `${sources}/${id}`)
    expect(shown.json.flow_token).toBeUndefined()
    const { creator: _, ...rest } = shown.json
    expect((await anonymously('GET', `/sources?flow_token=${token}`)).json).toEqual([rest])
    const notice = (await ben('GET', '/flows/example/engineering/messages?event=activity')).json.at(-1)
    expect(notice).toMatchObject({
      title: 'added this source',
      author: { name: 'Ben Okri' },
      thread: { title: 'Lunch' },
    })

    const present = (more: object = {}) =>
      anonymously('POST', '/messages', {
        flow_token: token,
        event: 'activity',
        title: 'opened',
        author: { name: 'Chef' },
        external_thread_id: '1',
        thread: { title: 'Monday' },
        ...more,
      })
    expect(await present()).toMatchObject({ status: 202, text: '{}' })
    expect(await present({ wait: 1 })).toMatchObject({
      status: 201,
      json: { id: expect.any(Number), thread: { activities: 2 } },
    })
    expect((await ada('DELETE', `${sources}/${id}`)).status).toBe(204)
    expect(await present()).toMatchObject({ status: 410, json: { message: 'The source was removed' } })
    expect((await anonymously('GET', `/sources?flow_token=${token}`)).status).toBe(404)
    expect((await ben('GET', `${sources}/${id}`)).status).toBe(404)
  })

  test('a problem and a settings page are reported by path or by token, and shown as links', async () => {
    const { json } = await ben('POST', sources, { name: 'Bell' })
    expect(
      (await ben('PUT', `${sources}/${json.id}`, { configuration_url: 'https://bell.example/setup' })).json
        ._links,
    ).toEqual({
      configure: { href: 'https://bell.example/setup' },
    })
    expect(
      (await anonymously('PUT', '/sources', { flow_token: json.flow_token, error_message: 'no bell' }))
        .status,
    ).toBe(200)
    expect((await anonymously('PUT', '/sources', { error_message: 'x' })).status).toBe(400)
    expect((await cleo('PUT', `${sources}/${json.id}`, {})).status).toBe(403)
    expect((await ben('DELETE', `${sources}/1`)).status).toBe(403)
    expect((await ben('POST', sources, { name: ' ' })).json.errors).toEqual({ name: ["can't be blank"] })
  })
})

describe('the push API', () => {
  const token = async (flow: string) => (await ada('GET', `/flows/example/${flow}`)).json.api_token as string

  test('the token is in the flow for its members only', async () => {
    expect(await token('main')).toMatch(/^[0-9a-f]{32}$/)
    expect((await ben('GET', '/flows/example/support')).json.api_token).toBeUndefined()
  })

  test('chat becomes a message of an author without an account, at both URLs', async () => {
    const form = { content: 'Deployed #ops', external_user_name: 'robot', tags: 'green,fast' }
    expect(await anonymously('POST', `/v1/messages/chat/${await token('main')}`, form)).toMatchObject({
      status: 200,
      text: '{}',
    })
    const last = (await ada('GET', '/flows/example/main/messages?limit=1')).json[0]
    expect(last).toMatchObject({
      event: 'message',
      user: '0',
      external_user_name: 'robot',
      tags: ['green', 'fast', 'ops'],
    })
    const comment = { content: 'Rolled back', external_user_name: 'robot', message_id: last.id }
    expect(
      (
        await anonymously('POST', `/messages/chat/${await token('main')},${await token('support')}`, {
          ...form,
          content: 'twice',
        })
      ).status,
    ).toBe(200)
    expect((await anonymously('POST', `/v1/messages/chat/${await token('main')}`, comment)).status).toBe(200)
    expect((await ada('GET', '/flows/example/support/messages?limit=1')).json[0].content).toBe('twice')
    expect((await ada('GET', '/flows/example/main/messages?event=comment')).json[0].content).toEqual({
      title: 'Deployed #ops',
      text: 'Rolled back',
    })
  })

  test('the inbox gets mail, found by its subject and text', async () => {
    const mail = {
      source: 'CI server',
      from_address: 'ci@example.com',
      from_name: 'CI',
      subject: 'Build broken',
      content: '<p>quagga</p>',
      project: 'web',
      link: 'https://ci.example/1',
      tags: ['red'],
    }
    expect(
      (await anonymously('POST', `/v1/messages/team_inbox/${await token('engineering')}`, mail)).status,
    ).toBe(200)
    const [found] = (await ada('GET', '/flows/example/engineering/messages?search=quagga')).json
    expect(found).toMatchObject({
      event: 'mail',
      app: 'influx',
      user: '0',
      content: {
        subject: 'Build broken',
        from: [{ name: 'CI', address: 'ci@example.com' }],
        content: '<p>quagga</p>',
        project: 'web',
      },
      thread: { title: 'Build broken', external_url: 'https://ci.example/1' },
    })
    expect(found.tags).toEqual(expect.arrayContaining([':source:CI server', 'red']))
    expect((await ben('DELETE', `/flows/example/engineering/messages/${found.id}`)).status).toBe(204)
  })

  test('missing parameters are reported one by one', async () => {
    const chat = await anonymously('POST', `/v1/messages/chat/${await token('main')}`, {
      external_user_name: 'a b',
    })
    expect(chat).toMatchObject({
      status: 400,
      json: {
        errors: { content: ["can't be blank"], external_user_name: ['should not contain whitespace'] },
      },
    })
    const inbox = await anonymously('POST', `/v1/messages/team_inbox/${await token('main')}`, {
      source: '!',
      content: 'x',
    })
    expect(Object.keys(inbox.json.errors).sort()).toEqual(['from_address', 'source', 'subject'])
    expect(
      (
        await anonymously('POST', `/v1/messages/chat/${'0'.repeat(32)}`, {
          content: 'x',
          external_user_name: 'y',
        })
      ).status,
    ).toBe(404)
  })
})

describe('invitations', () => {
  const invitations = '/flows/example/support/invitations'

  test('are pending until taken back, the same address again is the same one', async () => {
    const first = await cleo('POST', invitations, { email: 'new@example.com' })
    expect(first).toMatchObject({ status: 201, json: { state: 'pending', email: 'new@example.com' } })
    expect(first.json.url).toBe(`${backend.url}${invitations}/${first.json.id}`)
    expect((await cleo('POST', invitations, { email: 'NEW@example.com' })).json.id).toBe(first.json.id)
    expect((await cleo('GET', invitations)).json).toHaveLength(1)
    expect((await cleo('DELETE', `${invitations}/${first.json.id}`)).status).toBe(204)
    expect((await cleo('DELETE', `${invitations}/${first.json.id}`)).status).toBe(404)
    expect(
      (await cleo('GET', '/flows/example/support/messages?event=action')).json.map(
        (message: { content: object }) => message.content,
      ),
    ).toEqual(
      expect.arrayContaining([
        { type: 'invite', description: { email: 'new@example.com' } },
        { type: 'uninvite', description: { email: 'new@example.com' } },
      ]),
    )
    expect((await cleo('POST', invitations, { email: 'nobody' })).json.errors).toEqual({
      email: ['is invalid'],
    })
    expect((await ben('POST', invitations, { email: 'x@x.example' })).status).toBe(403)
  })

  test('an import accepts names and e-mail addresses, and adds users of the organization at once', async () => {
    const list = '"Ben Okri" <ben@example.com>, one@example.com\ntwo@example.com, bad@'
    const { status, json } = await ada('POST', `${invitations}/import`, { list })
    expect(status).toBe(200)
    expect(json.invitations.map((each: { email: string }) => each.email)).toEqual([
      'one@example.com',
      'two@example.com',
    ])
    expect(json.added_users).toMatchObject([{ id: 2, nick: 'Ben', in_flow: true }])
    expect(json.erroneous_emails).toEqual([{ 'bad@': 'Invalid email' }])
    expect((await ben('GET', '/flows/example/support/messages')).status).toBe(200)
  })

  test('users can join with a join URL until it is removed', async () => {
    await ada('POST', '/flows/example', { name: 'Linked' })
    const flow = '/flows/example/linked'
    expect((await ada('GET', `${flow}/join_url`)).json).toEqual({ join_url: null })
    const opened = await ada('POST', `${flow}/join_url`)
    expect(opened.status).toBe(201)
    const code = new URL(opened.json.join_url).pathname
    expect(code).toMatch(/^\/invitations\/[0-9a-f]{40}-linked$/)
    expect((await ben('POST', code)).json).toEqual({ url: `${backend.url}${flow}` })
    expect((await ben('GET', `${flow}/messages`)).status).toBe(200)
    expect(await ada('DELETE', `${flow}/join_url`)).toMatchObject({ status: 200, text: '{}' })
    expect((await cleo('POST', code)).status).toBe(404)
  })
})

describe('people', () => {
  test('removing a user from the organization ends their access and streams', async () => {
    const stream = await openRawStream(`${backend.url}/stream/flows?filter=example/main&user=1`, {
      authorization: basic(await backend.token('Cleo')),
    })
    onTestFinished(stream.close)
    expect((await ben('DELETE', '/organizations/example/users/3')).status).toBe(403)
    expect((await ada('DELETE', '/organizations/example/users/3')).status).toBe(204)
    expect((await ada('DELETE', '/organizations/example/users/3')).status).toBe(404)
    expect((await cleo('GET', '/flows')).json).toEqual([])
    expect((await cleo('GET', '/flows/example/main')).status).toBe(404)
    await ada('POST', '/flows/example/main/messages', { event: 'message', content: 'after she left' })
    const text = await stream.until(/flow-remove/)
    expect(text).toContain('backend.user.block')
    expect(text).not.toContain('after she left')
  })

  test('administrators see when a user last used the API', async () => {
    await ben('GET', '/user')
    const audits = async () => (await ada('GET', '/organizations/example/audits/users/')).json
    const seen = (await audits()).find((user: { email: string }) => user.email === 'ben@example.com')
    expect(Date.parse(seen.accessed_at)).toBeGreaterThan(Date.now() - 60_000)
    expect((await ben('GET', '/organizations/example/audits/users/')).status).toBe(403)
  })

  test('a changed profile is delivered in all flows of the user', async () => {
    await ben('PUT', '/users/2', { nick: 'Benny' })
    const told = (await ada('GET', '/flows/example/main/messages?event=user-edit')).json
    expect(told.at(-1)).toMatchObject({ user: '2', content: { user: { id: 2, nick: 'Benny' } } })
    await ben('PUT', '/users/2', { nick: 'Ben' })
  })

  test('no user changes their e-mail address, and the response does not reveal whether it is in use', async () => {
    const taken = await ben('PUT', '/users/2', { email: 'ada@example.com' })
    const free = await ben('PUT', '/users/2', { email: 'ceo@acme.example' })
    expect(taken.status).toBe(403)
    expect([free.status, free.text]).toEqual([taken.status, taken.text])
    expect(free.json.message).toContain('is changed by the operator of the server')
    expect(await ada('PUT', '/users/1', { email: 'ceo@acme.example' })).toMatchObject({ status: 403 })
    // A form that sends the whole profile back still works.
    expect(await ben('PUT', '/users/2', { nick: 'Ben', email: 'BEN@example.com' })).toMatchObject({
      status: 200,
    })
    expect((await ben('GET', '/user')).json).toMatchObject({ nick: 'Ben', email: 'ben@example.com' })
  })
})
