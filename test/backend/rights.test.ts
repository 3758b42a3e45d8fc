import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { hashPassword, hashToken, makeToken } from '../../src/backend/flowdock/auth.ts'
import { insertOrganization, insertOrganizationMember } from '../../src/backend/store/organizations.ts'
import { deleteToken, insertToken, insertUser, setUserDisabled } from '../../src/backend/store/users.ts'
import { basic, call, startTestBackend, type TestBackend } from '../support/backend.ts'

/* Who may do what, and until when. Ada administers the organization `example`; Ben and Cleo are members. */

const main = '/flows/example/main'
const engineering = '/flows/example/engineering'

let backend: TestBackend
beforeEach(async () => {
  backend = await startTestBackend()
  onTestFinished(backend.close)
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
    revoke: () => backend.store.write((db) => deleteToken(db, userId, hashToken(token))),
  }
}

/** A user of another organization, of which they are an administrator. */
async function addStranger(nick: string) {
  const token = makeToken()
  const user = await backend.store.write(async (db) => {
    const organization = await insertOrganization(db, { slug: `of-${nick.toLowerCase()}`, name: nick })
    const email = `${nick.toLowerCase()}@else.example`
    const row = { nick, name: nick, email, avatar: null, website: null, password_hash: null }
    const added = await insertUser(db, row)
    await insertOrganizationMember(db, organization, added.id, true)
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
    await backend.store.write((db) => setUserDisabled(db, 2, true))
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

  const files = () => readdir(join(backend.dataDir, 'files'), { recursive: true })
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

  test('is replaced when somebody is blocked', async () => {
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

  test('and the push token are shown to whoever may manage the flow', async () => {
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

  test('is replaced when somebody is blocked or removed, and only then', async () => {
    const before = await token()
    await backend.as('Ada')('PUT', `${engineering}/users/2`, { disabled: true })
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
