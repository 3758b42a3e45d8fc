import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { readMessage } from '../../src/backend/admin/exported.ts'
import { hashPassword, makeToken } from '../../src/backend/flowdock/auth.ts'
import { addUser } from '../../src/backend/flowdock/operations/users.ts'
import { findFlowAccess, listMentionable } from '../../src/backend/store/flows.ts'
import { insertOrganization } from '../../src/backend/store/organizations.ts'
import { deleteToken, disableUser, shutOutMember } from '../../src/backend/store/rights.ts'
import { findUserByTokenHash, insertToken } from '../../src/backend/store/users.ts'
import { hashToken } from '../../src/backend/token-hash.ts'
import { type Answer, basic, call, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

/* Who may do what, and until when. Ada administers the organization `example`; Ben and Cleo are members. */

const main = '/flows/example/main'
const engineering = '/flows/example/engineering'

let backend: TestBackend
beforeEach(async () => {
  backend = await startTestBackend()
  onTestFinished(backend.close)
})

test('a change sees at once what the changes before it in its commit took away', async () => {
  const { log } = backend
  const hash = hashToken(makeToken())
  await log.write(({ db }) => insertToken(db, hash, 2))
  const { id } = await backend.store.reader
    .selectFrom('flows')
    .select('id')
    .where('slug', '=', 'main')
    .executeTakeFirstOrThrow()
  const read = () =>
    log.write(async ({ db }) => ({
      user: (await findUserByTokenHash(db, hash))?.id,
      blocked: (await findFlowAccess(db, 2, id))?.blocked,
      canBeMentioned: (await listMentionable(db, id)).some((user) => user.id === 2),
    }))
  const [before, , after, , last] = await Promise.all([
    read(),
    log.write((change) => shutOutMember(change, id, 2)),
    read(),
    log.write((change) => deleteToken(change, 2, hash)),
    read(),
  ])
  expect(before).toEqual({ user: 2, blocked: 0, canBeMentioned: true })
  expect(after).toEqual({ user: 2, blocked: 1, canBeMentioned: false })
  expect(last).toEqual({ user: undefined, blocked: 1, canBeMentioned: false })
})

/** A request whose head and first bytes are sent at once, and the rest of whose body on demand. */
async function startRequest(
  method: string,
  path: string,
  body: Buffer,
  headers: Record<string, string>,
): Promise<{ finish(): Promise<{ status: number; text: string }> }> {
  const outgoing = request(backend.url + path, {
    method,
    agent: false,
    headers: { 'content-type': 'application/json', 'content-length': body.length, ...headers },
  })
  const answer = once(outgoing, 'response') as Promise<[IncomingMessage]>
  outgoing.write(body.subarray(0, 10))
  // The backend has read the credential once it answers the next request of the same user.
  await new Promise<void>((resolve) => outgoing.on('socket', (socket) => socket.once('connect', resolve)))
  await call(`${backend.url}/user`, 'GET', headers)
  return {
    async finish() {
      outgoing.end(body.subarray(10))
      const [response] = await answer
      let text = ''
      for await (const chunk of response) text += String(chunk)
      return { status: response.statusCode ?? 0, text }
    },
  }
}

/** A new personal token of a user, and a way to revoke it. */
async function addToken(userId: number) {
  const token = makeToken()
  await backend.store.write((db) => insertToken(db, hashToken(token), userId))
  return {
    headers: { authorization: basic(token) },
    revoke: () => backend.log.write((change) => deleteToken(change, userId, hashToken(token))),
  }
}

/** A user of another organization, of which they are an administrator. */
async function addStranger(nick: string) {
  const token = makeToken()
  const user = await backend.log.write(async (change) => {
    const { db } = change
    const organization = await insertOrganization(db, { slug: `of-${nick.toLowerCase()}`, name: nick })
    const email = `${nick.toLowerCase()}@else.example`
    const added = await addUser(change, organization, { nick, name: nick, email, admin: true })
    await insertToken(db, hashToken(token), added.id)
    return added
  })
  return {
    id: user.id,
    call: (method: string, path: string, body?: unknown) =>
      call(backend.url + path, method, { authorization: basic(token) }, body),
  }
}

/** Calls with a token that Ada gave an application. */
async function asApplication(scope: string, nick = 'ada') {
  const hash = await hashPassword('open sesame')
  await backend.store.write((db) => db.updateTable('users').set({ password_hash: hash }).execute())
  const application = { name: 'Polls', redirect_uri: 'https://polls.example/' }
  const { client_id, client_secret } = (await backend.as('Ada')('POST', '/oauth/applications', application))
    .json
  const { json } = await call(
    `${backend.url}/oauth/token`,
    'POST',
    { accept: 'application/json' },
    {
      ...{ client_id, client_secret, grant_type: 'password', scope },
      ...{ username: `${nick}@example.com`, password: 'open sesame' },
    },
  )
  return (method: string, path: string, body?: unknown) =>
    call(backend.url + path, method, { authorization: `Bearer ${json.access_token}` }, body)
}

describe('a credential is checked again once the body has arrived', () => {
  const boundary = 'edge'
  const upload = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="event"\r\n\r\nfile\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="content"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--${boundary}--\r\n`,
  )
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  const cases: [string, string, string, Buffer, Record<string, string>, number][] = [
    ['a message', 'POST', `${main}/messages`, json({ event: 'message', content: 'late' }), {}, 201],
    [
      'an upload',
      'POST',
      `${main}/messages`,
      upload,
      { 'content-type': `multipart/form-data; boundary=${boundary}` },
      201,
    ],
    ['a new member', 'POST', `${main}/users`, json({ id: 2, padding: 'x' }), {}, 200],
    [
      'an application',
      'POST',
      '/oauth/applications',
      json({ name: 'late', redirect_uri: 'https://x.example/' }),
      {},
      201,
    ],
    ['a new name', 'PUT', '/organizations/example', json({ name: 'Renamed late' }), {}, 200],
    ['a presence', 'PUT', '/user/presence', json({ state: 'active' }), {}, 200],
  ]

  test.each(cases)(
    '%s is refused when the token was revoked meanwhile',
    async (_, method, path, body, more) => {
      const { headers, revoke } = await addToken(1)
      const before = await files()
      const held = await startRequest(method, path, body, { ...more, ...headers })
      await revoke()
      expect(await held.finish()).toEqual({ status: 401, text: 'HTTP Basic: Access denied.\n' })
      const ada = backend.as('Ada')
      const messages = await ada('GET', `${main}/messages`)
      expect(JSON.stringify(messages.json)).not.toMatch(/late|a\.txt/)
      expect((await ada('GET', '/oauth/applications')).json).toEqual([])
      expect((await ada('GET', '/organizations/example')).json.name).toBe('Example')
      expect(await files()).toEqual(before)
    },
  )

  test.each(cases)('%s is accepted when it is still good', async (_, method, path, body, more, status) => {
    const { headers } = await addToken(1)
    const held = await startRequest(method, path, body, { ...more, ...headers })
    expect((await held.finish()).status).toBe(status)
  })

  test('a user who was disabled meanwhile is refused, too', async () => {
    const { headers } = await addToken(2)
    const body = json({ event: 'message', content: 'late' })
    const held = await startRequest('POST', `${main}/messages`, body, headers)
    await backend.log.write((change) => disableUser(change, 2))
    expect((await held.finish()).status).toBe(401)
  })

  test('a right that was lost meanwhile is lost', async () => {
    const { headers } = await addToken(1)
    const rename = await startRequest(
      'PUT',
      '/organizations/example',
      json({ name: 'Renamed late' }),
      headers,
    )
    const update = await startRequest('PUT', main, json({ description: 'late' }), headers)
    await backend.store.write((db) =>
      db.updateTable('organization_members').set({ admin: 0 }).where('user_id', '=', 1).execute(),
    )
    expect((await rename.finish()).status).toBe(403)
    expect((await update.finish()).status).toBe(403)
  })

  const files = async () => {
    const entries = await readdir(join(backend.dataDir, 'files'), { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  }
})

describe('a join URL', () => {
  const opened = async (flow = main) => {
    const { json } = await backend.as('Ada')('POST', `${flow}/join_url`)
    return new URL(json.join_url).pathname
  }

  test('of a flow of an organization admits members of that organization only', async () => {
    const path = await opened(engineering)
    const stranger = await addStranger('Oto')
    const refused = await stranger.call('POST', path)
    expect([refused.status, refused.json.message]).toEqual([
      403,
      'Access denied: this flow admits members of its organization only; ask for an invitation',
    ])
    expect((await stranger.call('GET', '/organizations')).json).toHaveLength(1)
    expect((await backend.as('Cleo')('POST', path)).status).toBe(200)
  })

  test('of a flow that is joined by link admits strangers, until they are removed', async () => {
    await backend.as('Ada')('PUT', main, { access_mode: 'link' })
    const path = await opened()
    const stranger = await addStranger('Oto')
    expect((await stranger.call('POST', path)).status).toBe(200)
    const elsewhere = await opened(engineering)
    expect((await backend.as('Ada')('DELETE', `/organizations/example/users/${stranger.id}`)).status).toBe(
      204,
    )
    expect((await stranger.call('POST', path)).status).toBe(404)
    expect((await backend.as('Cleo')('POST', elsewhere)).status).toBe(404)
    const { json } = await backend.as('Ada')('GET', `${main}/join_url`)
    expect((await (await addStranger('Ivy')).call('POST', new URL(json.join_url).pathname)).status).toBe(200)
  })

  test('is replaced when a user is blocked', async () => {
    const path = await opened(engineering)
    await backend.as('Ada')('PUT', `${engineering}/users/2`, { disabled: true })
    expect((await backend.as('Cleo')('POST', path)).status).toBe(404)
  })

  test('is opened and closed by administrators, as the access mode is', async () => {
    await opened(engineering)
    for (const method of ['POST', 'DELETE'])
      expect((await backend.as('Ben')(method, `${engineering}/join_url`)).status).toBe(403)
    expect((await backend.as('Ben')('PUT', engineering, { access_mode: 'link' })).status).toBe(403)
    const flow = (await backend.as('Ada')('GET', engineering)).json
    expect(flow.access_mode).toBe('organization')
    expect((await backend.as('Ada')('DELETE', `${engineering}/join_url`)).status).toBe(200)
  })

  test('and the push token are shown to users who may manage the flow', async () => {
    const shown = async (ask: ReturnType<TestBackend['as']>) => {
      const answers = await Promise.all(
        ['/flows', '/flows/all', '/flows/example', engineering].map(async (path) => {
          const { json } = await ask('GET', path)
          const flow = Array.isArray(json)
            ? json.find(({ name }: { name: string }) => name === 'Engineering')
            : json
          return [flow?.join_url !== undefined, flow?.api_token !== undefined].join()
        }),
      )
      return [...new Set(answers)]
    }
    expect(await shown(backend.as('Ada'))).toEqual(['true,true'])
    expect(await shown(backend.as('Ben'))).toEqual(['true,false'])
    expect(await shown(backend.as('Cleo'))).toEqual(['false,false'])
    expect(await shown(await asApplication('flow'))).toEqual(['false,false'])
    expect(await shown(await asApplication('integration'))).toEqual(['false,false'])
    expect(await shown(await asApplication('manage'))).toEqual(['true,false'])
  })
})

describe('the push token of a flow', () => {
  const token = async () => (await backend.as('Ada')('GET', main)).json.api_token as string
  const push = async (pushToken: string) => {
    const body = { content: 'pushed', external_user_name: 'robot' }
    return (await call(`${backend.url}/v1/messages/chat/${pushToken}`, 'POST', {}, body)).status
  }

  test('is replaced on demand, by administrators with a credential of their own', async () => {
    const before = await token()
    expect(await push(before)).toBe(200)
    expect((await backend.as('Ben')('POST', `${main}/api_token`)).status).toBe(403)
    const application = await (await asApplication('manage'))('POST', `${main}/api_token`)
    expect([application.status, application.json.message]).toEqual([
      403,
      'Access denied: the api_token of a flow is for a credential of your own',
    ])
    expect(await push(before)).toBe(200)
    const { status, json } = await backend.as('Ada')('POST', `${main}/api_token`)
    expect([status, json]).toEqual([201, { api_token: await token() }])
    expect(await push(before)).toBe(404)
    expect(await push(json.api_token)).toBe(200)
  })

  test('is replaced when a user is blocked or removed, and only then', async () => {
    const before = await token()
    await backend.as('Ada')('PUT', `${engineering}/users/2`, { disabled: true })
    expect(await push(before)).toBe(200)
    await backend.as('Cleo')('PUT', `${main}/users/3`, { disabled: true })
    expect(await push(before)).toBe(200)
    await backend.as('Ada')('PUT', `${main}/users/2`, { disabled: true })
    expect(await push(before)).toBe(404)
    const between = await token()
    await backend.as('Ada')('PUT', `${main}/users/2`, { disabled: false })
    expect(await push(between)).toBe(200)
    await backend.as('Ada')('DELETE', '/organizations/example/users/3')
    expect(await push(between)).toBe(404)
    expect(await push(await token())).toBe(200)
  })
})

/** Posts with a flow token, waiting for the message. */
const present = (flowToken: string, more: object) =>
  call(
    `${backend.url}/messages?wait=1`,
    'POST',
    {},
    { flow_token: flowToken, event: 'activity', title: 'changed', author: { name: 'Bot' }, ...more },
  )

async function addSource(name: string, more: object = {}) {
  const { json } = await backend.as('Ada')('POST', `${main}/sources`, { name, ...more })
  return { id: json.id as number, token: json.flow_token as string }
}

describe('the state of a thread', () => {
  const state = { title: 'Paid', status: { color: 'green', value: 'PAID' } }
  const refused = (owner: string) => ({
    status: 403,
    json: {
      message: `Access denied: the state of this thread belongs to ${owner}; send the message without "thread"`,
    },
  })
  const read = async (id: string) => (await backend.as('Ada')('GET', `${main}/threads/${id}`)).json
  const action = (url: string) => ({
    '@type': 'UpdateAction',
    name: 'Pay',
    target: { '@type': 'EntryPoint', urlTemplate: url },
  })

  test('of a source is changed by that source alone; others may answer in it', async () => {
    const bank = await addSource('Bank')
    const evil = await addSource('Evil')
    const opened = await present(bank.token, { external_thread_id: '7', thread: { title: 'Invoice 7' } })
    const thread_id = opened.json.thread_id
    const before = await read(thread_id)
    const source = 'the source that opened it'
    for (const thread of [state, { actions: [] }, { fields: [{ label: 'a', value: 'b' }] }, { body: 'x' }]) {
      const path = `${main}/threads/${thread_id}/messages`
      const said = { event: 'message', content: 'nice', thread }
      expect(await backend.as('Ben')('POST', path, said)).toMatchObject(refused(source))
      expect(await backend.as('Ben')('POST', `${main}/messages`, { ...said, thread_id })).toMatchObject(
        refused(source),
      )
      expect(await present(evil.token, { thread_id, thread })).toMatchObject(refused(source))
    }
    expect(await read(thread_id)).toEqual(before)

    const answer = { event: 'message', content: 'nice', thread_id, thread: { title: null, status: null } }
    expect((await backend.as('Ben')('POST', `${main}/messages`, answer)).status).toBe(201)
    expect((await present(evil.token, { thread_id })).status).toBe(201)
    expect(await read(thread_id)).toMatchObject({
      title: 'Invoice 7',
      status: null,
      source: { name: 'Bank' },
    })
    expect((await present(bank.token, { thread_id, thread: state })).status).toBe(201)
    expect(await read(thread_id)).toMatchObject(state)
  })

  test('of users is changed by users, not by a source', async () => {
    const bank = await addSource('Bank')
    const { json } = await backend.as('Ben')('POST', `${main}/messages`, { event: 'message', content: 'hi' })
    const { thread_id } = json
    expect(await present(bank.token, { thread_id, thread: state })).toMatchObject(
      refused('the users of the flow'),
    )
    expect((await present(bank.token, { thread_id })).status).toBe(201)
    const said = { event: 'message', content: 'paid', thread_id, thread: state }
    expect((await backend.as('Cleo')('POST', `${main}/messages`, said)).status).toBe(201)
    expect(await read(thread_id)).toMatchObject(state)
  })

  test('has no UpdateAction of a user, whatever the thread', async () => {
    const view = { '@type': 'ViewAction', name: 'Look', url: 'https://x.example/' }
    const { json } = await backend.as('Ben')('POST', `${main}/messages`, { event: 'message', content: 'hi' })
    for (const [path, body] of [
      [
        'messages',
        { event: 'message', content: 'x', thread: { actions: [view, action('https://x.example/')] } },
      ],
      [
        'messages',
        {
          event: 'message',
          content: 'x',
          thread_id: json.thread_id,
          thread: { actions: [action('https://x.example/')] },
        },
      ],
      ['threads', { title: 'x', actions: [action('https://x.example/')] }],
    ] as const)
      expect(await backend.as('Ben')('POST', `${main}/${path}`, body)).toMatchObject({
        status: 403,
        json: {
          message: 'Access denied: an UpdateAction is for threads of a source; send it with its flow_token',
        },
      })
    const threads = await backend.as('Ben')('POST', `${main}/threads`, { title: 'x', actions: [view] })
    expect([threads.status, threads.json.actions]).toEqual([201, [view]])
  })
})

describe('a URL that clients show', () => {
  const bad = ['javascript:alert(1)', 'data:text/html,x', 'no url', `https://x.example/${'a'.repeat(2000)}`]
  const problemOf = (url: string) =>
    url.length > 2000
      ? `is too long: ${url.length} characters, at most 2000 are stored`
      : 'must be a URL that begins with http:// or https:// and has at most 2000 characters'

  test('begins with http or https and is not too long, wherever it is given', async () => {
    const ada = backend.as('Ada')
    const { id, token } = await addSource('CI', { external_url: 'https://ci.example/' })
    const pushToken = (await ada('GET', main)).json.api_token
    const mail = { source: 'CI', from_address: 'ci@x.example', subject: 's', content: 'c' }
    const application = { name: 'Polls', redirect_uri: 'https://polls.example/' }
    const thread = (external_url: string) => ({ title: 'x', external_url })
    const places: [
      name: string,
      owner: string | undefined,
      send: (url: string) => Promise<{ status: number; json: Answer['json'] }>,
    ][] = [
      ['external_url', 'thread', (url) => ada('POST', `${main}/threads`, thread(url))],
      ['external_url', 'thread', (url) => present(token, { external_thread_id: '1', thread: thread(url) })],
      [
        'avatar',
        'author',
        (url) =>
          present(token, { external_thread_id: '1', thread: thread(''), author: { name: 'x', avatar: url } }),
      ],
      ['external_url', undefined, (url) => ada('POST', `${main}/sources`, { name: 'x', external_url: url })],
      [
        'configuration_url',
        undefined,
        (url) => ada('PUT', `${main}/sources/${id}`, { configuration_url: url }),
      ],
      [
        'configuration_url',
        undefined,
        (url) => call(`${backend.url}/sources`, 'PUT', {}, { flow_token: token, configuration_url: url }),
      ],
      [
        'url',
        undefined,
        (url) => ada('POST', '/oauth/applications', { application: { ...application, url } }),
      ],
      ['icon_url', undefined, (url) => ada('POST', '/oauth/applications', { ...application, icon_url: url })],
      [
        'link',
        undefined,
        (url) =>
          call(`${backend.url}/v1/messages/team_inbox/${pushToken}`, 'POST', {}, { ...mail, link: url }),
      ],
    ]
    for (const [name, owner, send] of places) {
      for (const url of bad) {
        const { status, json } = await send(url)
        expect([status, json.errors], `${name} ${url}`).toEqual([
          400,
          owner === undefined ? { [name]: [problemOf(url)] } : { [owner]: [`${name} ${problemOf(url)}`] },
        ])
      }
      expect((await send('https://x.example/?q=javascript:')).status, name).toBeLessThan(300)
      expect((await send('')).status, name).toBeLessThan(300)
    }
    expect((await ada('POST', '/oauth/applications', { ...application, redirect_uri: bad[3] })).status).toBe(
      400,
    )
  })

  test('of a source’s settings is for its creator and administrators', async () => {
    const { id } = await addSource('CI')
    const change = { configuration_url: 'https://phish.example/' }
    expect((await backend.as('Ben')('PUT', `${main}/sources/${id}`, change)).status).toBe(403)
    expect((await backend.as('Ada')('PUT', `${main}/sources/${id}`, change)).status).toBe(200)
    const own = await backend.as('Ben')('POST', `${main}/sources`, { name: 'Mine' })
    expect((await backend.as('Ben')('PUT', `${main}/sources/${own.json.id}`, change)).status).toBe(200)
  })
})

describe('a uuid', () => {
  test('is one message for each sender, and not for two', async () => {
    const bank = await addSource('Bank')
    const evil = await addSource('Evil')
    const post = (token: string, title: string) =>
      present(token, { uuid: 'same', external_thread_id: '1', title, thread: { title } })
    const secret = await post(bank.token, 'SECRET')
    const other = await post(evil.token, 'other')
    expect([other.status, other.json.title]).toEqual([201, 'other'])
    expect(other.text).not.toContain('SECRET')
    expect((await post(bank.token, 'again')).json.id).toBe(secret.json.id)
    expect((await post(evil.token, 'again')).json.id).toBe(other.json.id)

    const say = async (nick: 'Ben' | 'Cleo') =>
      (await backend.as(nick)('POST', `${main}/messages`, { event: 'message', content: nick, uuid: 'same' }))
        .json
    const ben = await say('Ben')
    expect((await say('Cleo')).content).toBe('Cleo')
    expect((await say('Ben')).id).toBe(ben.id)
  })
})

test('a flow token does not reveal who created its source', async () => {
  const { id, token } = await addSource('CI')
  const { json } = await call(`${backend.url}/sources?flow_token=${token}`, 'GET', {})
  expect(json).toMatchObject([{ id, name: 'CI' }])
  const changed = await call(`${backend.url}/sources`, 'PUT', {}, { flow_token: token, error_message: 'x' })
  expect(changed.json).toMatchObject({ id })
  expect(JSON.stringify([json, changed.json])).not.toMatch(/ada/i)
  expect((await backend.as('Ben')('GET', `${main}/sources/${id}`)).json.creator.name).toBe('Ada Byron')
})

test('an imported thread has no signed actions and no URL that clients must not show', () => {
  const view = { '@type': 'ViewAction', name: 'Look', url: 'https://x.example/' }
  const update = {
    '@type': 'UpdateAction',
    name: 'Pay',
    target: { '@type': 'EntryPoint', urlTemplate: 'https://x.example/pay' },
  }
  const read = (external_url: string) =>
    readMessage({
      ...{ id: 1, event: 'message', content: 'x', sent: 1 },
      thread: { title: 'x', external_url, actions: [view, update, { ...view, url: 'javascript:alert(1)' }] },
    })
  expect(read('https://x.example/1')).toMatchObject({
    thread: { columns: { external_url: 'https://x.example/1', actions_json: JSON.stringify([view]) } },
  })
  expect(read('javascript:alert(1)')).toMatchObject({ thread: { columns: { external_url: null } } })
})

describe('a message under an external name', () => {
  const say = { event: 'message', content: 'hello', external_user_name: 'Zoe' }

  test('is anonymous on the wire, and says beside who sent it', async () => {
    const stream = await openRawStream(`${backend.url}/stream/flows/example/main`, {
      authorization: basic(await backend.token('Ada')),
    })
    onTestFinished(stream.close)
    const { json } = await backend.as('Ben')('POST', `${main}/messages`, say)
    const shown = { user: '0', external_user_name: 'Zoe', sent_by: '2' }
    expect(json).toMatchObject(shown)
    expect((await backend.as('Ada')('GET', `${main}/messages/${json.id}`)).json).toMatchObject(shown)
    expect(await stream.until(/"sent_by":"2"/)).toContain('"user":"0"')
    const plain = await backend.as('Ben')('POST', `${main}/messages`, { event: 'message', content: 'me' })
    expect([plain.json.user, plain.json.sent_by]).toEqual(['2', undefined])
  })

  test('is edited and deleted by its sender', async () => {
    const { json } = await backend.as('Ben')('POST', `${main}/messages`, say)
    const path = `${main}/messages/${json.id}`
    expect((await backend.as('Cleo')('PUT', path, { content: 'mine' })).status).toBe(403)
    expect((await backend.as('Ben')('PUT', path, { content: 'hello again' })).status).toBe(200)
    expect((await backend.as('Ben')('DELETE', path)).status).toBe(200)
  })

  test('keeps its sides in a private conversation', async () => {
    const { json } = await backend.as('Ben')('POST', '/private/3/messages', say)
    expect(json).toMatchObject({ user: '2', to: '3', external_user_name: 'Zoe' })
  })

  test('of the push API, which has no sender, names none', async () => {
    const { api_token: token } = (await backend.as('Ada')('GET', main)).json
    await call(`${backend.url}/v1/messages/chat/${token}`, 'POST', {}, say)
    const [message] = (await backend.as('Ada')('GET', `${main}/messages?limit=1`)).json
    expect([message.user, message.external_user_name, message.sent_by]).toEqual(['0', 'Zoe', undefined])
  })

  test('is by the same user when it was exported and imported', () => {
    const raw = {
      id: 1,
      event: 'message',
      content: 'x',
      sent: 1,
      user: '0',
      sent_by: '7',
      external_user_name: 'Zoe',
    }
    const message = readMessage(raw)
    if (typeof message === 'string') throw new Error(message)
    expect([message.row.user_id, message.userIds]).toEqual([7, ['7']])
    expect(message.withUsers(new Map([['7', 3]])).row.user_id).toBe(3)
  })
})
