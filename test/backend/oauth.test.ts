import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashPassword } from '../../src/backend/flowdock/auth.ts'
import { call, startTestBackend, type TestBackend } from '../support/backend.ts'
import { openRawStream } from '../support/stream.ts'

let backend: TestBackend
let app: { id: number; client_id: string; client_secret: string; url: string }

beforeAll(async () => {
  backend = await startTestBackend({ keepAliveMs: 50 })
  const hash = await hashPassword('open sesame')
  await backend.store.write((db) => db.updateTable('users').set({ password_hash: hash }).execute())
  const application = { name: 'Polls <b>', redirect_uri: 'https://polls.example/callback?from=flowdock' }
  app = (await backend.as('Ada')('POST', '/oauth/applications', { application })).json
})
afterAll(() => backend.close())

const authorizeUrl = (changes: Record<string, string> = {}) =>
  `${backend.url}/oauth/authorize?${new URLSearchParams({ client_id: app.client_id, response_type: 'code', state: 's 1', ...changes })}`
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const allow = (changes: Record<string, string> = {}, asked: Record<string, string> = {}) =>
  call(
    authorizeUrl(asked),
    'POST',
    form,
    new URLSearchParams({
      decision: 'allow',
      email: 'Ben@example.com',
      password: 'open sesame',
      ...changes,
    }).toString(),
  )
const token = (body: Record<string, string>, headers: Record<string, string> = {}) =>
  call(
    `${backend.url}/oauth/token`,
    'POST',
    { accept: 'application/json', ...headers },
    {
      client_id: app.client_id,
      client_secret: app.client_secret,
      ...body,
    },
  )
const byPassword = (scope: string) =>
  token({ grant_type: 'password', username: 'ben@example.com', password: 'open sesame', scope })
const as = (bearer: string) => (method: string, path: string, body?: unknown) =>
  call(backend.url + path, method, { authorization: `Bearer ${bearer}` }, body)
const codeOf = (location: string | null) => new URL(location ?? '').searchParams.get('code') ?? ''

test('an application is registered, shown to its owner with its secret and to others without', async () => {
  expect(app).toMatchObject({ name: 'Polls <b>', url: `${backend.url}/oauth/applications/${app.id}` })
  expect(app.client_id).not.toBe(app.client_secret)
  const path = `/oauth/applications/${app.id}`
  expect((await backend.as('Ada')('GET', path)).json.client_secret).toBe(app.client_secret)
  expect((await backend.as('Ben')('GET', path)).json).not.toHaveProperty('client_secret')
  expect((await backend.as('Ada')('GET', '/oauth/applications')).json).toHaveLength(1)
  expect((await backend.as('Ben')('DELETE', path)).status).toBe(403)
  const bad = { application: { name: 'x', redirect_uri: 'javascript:alert(1)' } }
  expect((await backend.as('Ada')('POST', '/oauth/applications', bad)).status).toBe(400)
})

describe('authorization code', () => {
  test('a user allows an application on a page that cannot be framed and describes the scopes', async () => {
    const page = await call(authorizeUrl({ scope: 'flow integration' }), 'GET', {})
    expect(page.status).toBe(200)
    expect(page.text).toContain('Polls &#60;b&#62; asks for access')
    expect(page.text).toContain('add itself as a source of your flows')
    expect(page.text).not.toContain('<b>')
    expect(page.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
  })

  test('allowing sends a code to the address, which is exchanged once', async () => {
    const allowed = await allow({}, { scope: 'flow offline_access' })
    expect(allowed.status).toBe(302)
    const location = new URL(allowed.headers.get('location') ?? '')
    expect(location.href).toMatch(
      /^https:\/\/polls\.example\/callback\?from=flowdock&code=[0-9a-f]{32}&state=s\+1$/,
    )
    const exchange = () => token({ grant_type: 'authorization_code', code: codeOf(location.href) })
    const first = await exchange()
    expect(first.json).toEqual({
      access_token: expect.stringMatching(/^[0-9a-f]{32}$/),
      refresh_token: expect.stringMatching(/^[0-9a-f]{32}$/),
      expires_in: 86_400,
      token_type: 'Bearer',
      scope: 'flow,offline_access',
    })
    const asked = await as(first.json.access_token)('GET', '/user')
    expect(asked.json.nick).toBe('Ben')
    // Tokens that hold until they are taken away say nothing.
    const endsAt = Date.parse(asked.headers.get('flowdock-token-expires-at') ?? '')
    expect(endsAt - Date.now()).toBeGreaterThan(86_000_000)
    expect((await backend.as('Ben')('GET', '/user')).headers.get('flowdock-token-expires-at')).toBeNull()
    expect((await exchange()).json).toEqual({ error: 'invalid_grant' })
  })

  test('a second use of a code revokes all that the first one gave, and nothing else', async () => {
    const exchange = async (code: string) => (await token({ grant_type: 'authorization_code', code })).json
    const refresh = (refresh_token: string) => token({ grant_type: 'refresh_token', refresh_token })
    const [code, other] = [
      codeOf((await allow({}, { scope: 'flow offline_access' })).headers.get('location')),
      codeOf((await allow({}, { scope: 'flow offline_access' })).headers.get('location')),
    ]
    const given = await exchange(code)
    const elsewhere = await exchange(other)
    const refreshed = (await refresh(given.refresh_token)).json
    expect(await exchange(code)).toEqual({ error: 'invalid_grant' })
    for (const each of [given.access_token, refreshed.access_token])
      expect((await as(each)('GET', '/user')).status).toBe(401)
    expect((await refresh(given.refresh_token)).json).toEqual({ error: 'invalid_grant' })
    expect((await as(elsewhere.access_token)('GET', '/user')).status).toBe(200)
    expect((await refresh(elsewhere.refresh_token)).status).toBe(200)
  })

  describe('with a challenge', () => {
    // [spec] RFC 7636, appendix B
    const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
    const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    const s256 = { code_challenge: challenge, code_challenge_method: 'S256' }

    test.each<[string, Record<string, string>, Record<string, string>, boolean]>([
      ['S256 and its verifier', s256, { code_verifier: verifier }, true],
      ['plain and its verifier', { code_challenge: verifier }, { code_verifier: verifier }, true],
      [
        'plain by name',
        { code_challenge: verifier, code_challenge_method: 'plain' },
        { code_verifier: verifier },
        true,
      ],
      ['S256 and another verifier', s256, { code_verifier: verifier.toLowerCase() }, false],
      ['S256 and the challenge itself', s256, { code_verifier: challenge }, false],
      ['S256 and no verifier', s256, {}, false],
      ['plain and no verifier', { code_challenge: verifier }, {}, false],
      ['no challenge and a verifier', {}, { code_verifier: verifier }, false],
    ])('a code for %s', async (_, asked, given, isGood) => {
      const code = codeOf((await allow({}, asked)).headers.get('location'))
      const { status, json } = await token({ grant_type: 'authorization_code', code, ...given })
      expect(status).toBe(isGood ? 200 : 400)
      if (!isGood) expect(json).toEqual({ error: 'invalid_grant' })
    })

    test.each([
      { code_challenge: 'short' },
      { code_challenge: `${challenge}!`, code_challenge_method: 'S256' },
      { code_challenge: challenge, code_challenge_method: 'S512' },
      { code_challenge_method: 'S256' },
    ])('%j is refused before anybody is asked', async (asked: Record<string, string>) => {
      const { headers } = await call(authorizeUrl(asked), 'GET', {})
      expect(headers.get('location')).toContain('error=invalid_request&state=s+1')
    })

    test('the page hands it on', async () => {
      const { text } = await call(authorizeUrl(s256), 'GET', {})
      expect(text).toContain(`name="code_challenge" value="${challenge}"`)
      expect(text).toContain('name="code_challenge_method" value="S256"')
    })
  })

  test('of two exchanges at once one wins', async () => {
    const code = codeOf((await allow()).headers.get('location'))
    const both = await Promise.all([1, 2].map(() => token({ grant_type: 'authorization_code', code })))
    expect(both.map(({ status }) => status).sort()).toEqual([200, 400])
  })

  test('without an address to go to, the code is shown', async () => {
    const { json } = await backend.as('Ada')('POST', '/oauth/applications', {
      name: 'cli',
      redirect_uri: 'urn:ietf:wg:oauth:2.0:oob',
    })
    const allowed = await allow({}, { client_id: json.client_id })
    const location = allowed.headers.get('location') ?? ''
    expect(location).toMatch(/\/oauth\/authorize\/[0-9a-f]{32}$/)
    expect(await (await fetch(location)).text()).toContain(location.slice(-32))
  })

  test('a denial, an unknown response type and an unknown scope are reported to the application', async () => {
    const denied = await allow({ decision: 'deny', email: '', password: '' })
    expect(denied.headers.get('location')).toContain('error=access_denied&state=s+1')
    for (const [changes, error] of [
      [{ response_type: 'token' }, 'unsupported_response_type'],
      [{ scope: 'flow everything' }, 'invalid_scope'],
    ] as const)
      expect((await call(authorizeUrl(changes), 'GET', {})).headers.get('location')).toContain(
        `error=${error}`,
      )
  })

  test('a wrong application or redirect URI is reported to the user, without a redirect', async () => {
    for (const changes of [{ client_id: 'nobody' }, { redirect_uri: 'https://evil.example/' }]) {
      const answer = await call(authorizeUrl(changes), 'GET', {})
      expect(answer.status).toBe(400)
      expect(answer.headers.get('location')).toBeNull()
    }
    const code = codeOf((await allow()).headers.get('location'))
    const elsewhere = { grant_type: 'authorization_code', code, redirect_uri: 'https://evil.example/' }
    expect((await token(elsewhere)).json).toEqual({ error: 'invalid_grant' })
  })

  test('after a wrong password the page asks again; after ten it refuses', async () => {
    const wrong = await allow({ email: 'cleo@example.com', password: 'guess' })
    expect(wrong.status).toBe(401)
    expect(wrong.text).toContain('The address or the password is not right')
    for (let index = 0; index < 9; index += 1) await allow({ email: 'cleo@example.com', password: 'guess' })
    expect((await allow({ email: 'cleo@example.com' })).status).toBe(429)
  })
})

describe('tokens', () => {
  test('are form-encoded unless JSON is accepted, mistakes too', async () => {
    const body = { grant_type: 'password', username: 'ben@example.com', password: 'open sesame' }
    const answer = await token(body, { accept: '*/*' })
    expect(answer.headers.get('content-type')).toContain('application/x-www-form-urlencoded')
    const given = new URLSearchParams(answer.text)
    expect([given.get('token_type'), given.get('scope')]).toEqual(['Bearer', 'flow,private'])
    expect(given.has('refresh_token')).toBe(false)
    expect((await token({ grant_type: 'implicit' }, { accept: '*/*' })).text).toBe(
      'error=unsupported_grant_type',
    )
  })

  test('need the application’s secret, in the body or as Basic', async () => {
    const wrong = await token({ grant_type: 'password', client_secret: 'guess' })
    expect([wrong.status, wrong.json]).toEqual([401, { error: 'invalid_client' }])
    expect(wrong.headers.get('www-authenticate')).toMatch(/^Basic realm="/)
    const basic = `Basic ${btoa(`${app.client_id}:${app.client_secret}`)}`
    const body = 'grant_type=password&username=ben@example.com&password=open sesame'
    const answer = await call(
      `${backend.url}/oauth/token`,
      'POST',
      { ...form, accept: 'application/json', authorization: basic },
      body,
    )
    expect(answer.status).toBe(200)
  })

  test('are renewed with a refresh token, which stays', async () => {
    const { json } = await byPassword('flow offline_access')
    const renew = () => token({ grant_type: 'refresh_token', refresh_token: json.refresh_token })
    const renewed = await renew()
    expect(renewed.json).toMatchObject({ refresh_token: json.refresh_token, scope: 'flow,offline_access' })
    expect(renewed.json.access_token).not.toBe(json.access_token)
    expect((await renew()).status).toBe(200)
  })

  test('expire', async () => {
    const { json } = await byPassword('flow')
    await backend.store.write((db) =>
      db.updateTable('tokens').set({ expires_at: 1 }).where('application_id', '=', app.id).execute(),
    )
    expect((await as(json.access_token)('GET', '/user')).status).toBe(401)
  })

  test('are revoked, and an open stream ends with them', async () => {
    const { json } = await byPassword('flow')
    const stream = await openRawStream(`${backend.url}/stream/flows/example/main`, {
      authorization: `Bearer ${json.access_token}`,
    })
    const { client_id, client_secret } = app
    const body = { client_id, client_secret, token: json.access_token }
    expect((await call(`${backend.url}/oauth/revoke`, 'POST', {}, body)).status).toBe(200)
    await stream.ended
    expect((await as(json.access_token)('GET', '/user')).status).toBe(401)
  })
})

describe('a scope lets an application', () => {
  const main = '/flows/example/main'
  test.each<[string, string, string, unknown, number]>([
    ['profile', 'GET', '/user', undefined, 200],
    ['flow', 'GET', '/users', undefined, 200],
    ['flow', 'GET', '/flows', undefined, 200],
    ['private', 'GET', '/flows', undefined, 403],
    ['flow', 'POST', `${main}/messages`, { event: 'message', content: 'hi' }, 201],
    ['private', 'POST', `${main}/messages`, { event: 'message', content: 'hi' }, 403],
    ['integration', 'POST', '/messages', { flow: 'example/main', event: 'message', content: 'hi' }, 403],
    ['flow', 'GET', `${main}/threads`, undefined, 200],
    ['manage', 'GET', `${main}/threads`, undefined, 403],
    ['flow', 'GET', '/search?search=hello', undefined, 200],
    ['private', 'GET', '/private', undefined, 200],
    ['flow', 'GET', '/private', undefined, 403],
    ['private', 'GET', '/stream/flows?user=1', undefined, 200],
    ['flow', 'GET', '/stream/flows?user=1', undefined, 403],
    ['private', 'GET', '/stream/flows?filter=example/main', undefined, 403],
    ['flow', 'PUT', main, { open: true }, 403],
    ['manage', 'PUT', main, { open: true }, 200],
    ['manage', 'GET', `${main}/invitations`, undefined, 200],
    ['flow', 'GET', `${main}/invitations`, undefined, 403],
    ['profile', 'PUT', '/users/2', { nick: 'Ben' }, 200],
    ['flow', 'PUT', '/users/2', { nick: 'Ben' }, 403],
    ['flow', 'POST', `${main}/sources`, { name: 'x' }, 403],
  ])('%s: %s %s', async (scope, method, path, body, status) => {
    const { json } = await byPassword(scope)
    const stop = new AbortController()
    const response = await fetch(backend.url + path, {
      method,
      headers: { authorization: `Bearer ${json.access_token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: stop.signal,
    })
    expect(response.status).toBe(status)
    stop.abort()
  })

  test('integration: add a source that is the application’s', async () => {
    const { json } = await byPassword('integration')
    const created = await as(json.access_token)('POST', `${main}/sources`, { name: 'Lunch poll' })
    expect(created.json.application).toMatchObject({ id: app.id, name: 'Polls <b>' })
  })
})

test('an application’s token does not reach applications and their secrets, whatever its scopes', async () => {
  const all = 'flow private manage profile integration'
  const adas = await token({
    ...{ grant_type: 'password', username: 'ada@example.com', password: 'open sesame', scope: all },
  })
  const bearer = as(adas.json.access_token)
  const path = `/oauth/applications/${app.id}`
  expect((await bearer('GET', '/oauth/applications')).status).toBe(403)
  expect(
    (await bearer('POST', '/oauth/applications', { name: 'x', redirect_uri: 'https://x.example/' })).status,
  ).toBe(403)
  expect((await bearer('DELETE', path)).status).toBe(403)
  const shown = await bearer('GET', path)
  expect([shown.status, shown.json.name]).toEqual([200, 'Polls <b>'])
  expect(shown.json).not.toHaveProperty('client_secret')
})

test('an application that is gone has no tokens any more, and its sources go on', async () => {
  const { json: other } = await backend.as('Ada')('POST', '/oauth/applications', {
    name: 'short-lived',
    redirect_uri: 'https://x.example/',
  })
  const granted = await token({
    client_id: other.client_id,
    client_secret: other.client_secret,
    grant_type: 'password',
    username: 'ben@example.com',
    password: 'open sesame',
    scope: 'integration',
  })
  const source = await as(granted.json.access_token)('POST', '/flows/example/main/sources', { name: 'stays' })
  expect((await backend.as('Ada')('DELETE', `/oauth/applications/${other.id}`)).status).toBe(204)
  expect((await as(granted.json.access_token)('GET', '/user')).status).toBe(401)
  const posted = await call(
    `${backend.url}/messages`,
    'POST',
    {},
    {
      flow_token: source.json.flow_token,
      event: 'activity',
      title: 'still here',
      author: { name: 'x' },
      external_thread_id: '1',
      thread: { title: 't' },
    },
  )
  expect(posted.status).toBe(202)
})
