import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { type App, startApp } from '../../src/app.ts'
import { streams } from '../../src/cli/streams.ts'
import { readConfig } from '../../src/config.ts'
import { createPageKey } from '../../src/server/http/origin-policy.ts'
import { executeOverSocket, post, startTestApp, type TestApp } from '../support/app.ts'
import { basic, makeFolder } from '../support/backend.ts'

const origin = 'https://app.team.example'
const json = { 'content-type': 'application/json' }
const operatorToken = 'for-the-eyes-of-operators'

/** A gateway with the backend inside, as `npm start` runs it. */
async function startEmbedded(settings: Record<string, string>): Promise<App & { dataDir: string }> {
  const dataDir = await makeFolder()
  const config = readConfig({
    ...{ PORT: '0', BACKEND_PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'silent', LOAD_SHEDDING: 'off' },
    ...settings,
  })
  const app = await startApp(config)
  onTestFinished(app.close)
  return { ...app, dataDir }
}

/** A request as no browser and no `fetch` would send it. */
function send(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string },
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const { method = 'POST', headers = {}, body } = options
    request(url, { method, headers }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(chunks).toString(),
      })
    })
      .on('error', reject)
      .end(body)
  })
}

async function handshake(url: string, headers: Record<string, string>): Promise<number> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { headers })
  const status = Promise.race([
    once(socket, 'open').then(() => 101),
    once(socket, 'unexpected-response').then(([, response]) => response.statusCode as number),
  ])
  socket.on('error', () => undefined)
  const code = await status
  socket.terminate()
  return code
}

describe('pages of an origin that is allowed', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startTestApp({ settings: { ALLOWED_ORIGINS: `${origin}, https://other.example` } })
  })
  afterAll(() => app.close())

  test('get a preflight response, and may read the response', async () => {
    const asked = await send(`${app.url}/graphql`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    })
    expect(asked).toMatchObject({
      status: 204,
      headers: {
        'access-control-allow-origin': origin,
        'access-control-allow-headers': expect.stringContaining('authorization'),
        vary: 'Origin',
      },
    })
    const answer = await send(`${app.url}/graphql`, {
      headers: { ...json, origin },
      body: '{"query":"{__typename}"}',
    })
    expect(answer).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': origin } })
    expect(answer.headers).not.toHaveProperty('access-control-allow-credentials')
    expect(await handshake(app.url, { origin })).toBe(101)
  })

  test.each(['https://app.team.example.evil', 'http://app.team.example', 'null', 'https://evil.example'])(
    'are others than %s, over HTTP, SSE and WebSocket',
    async (foreign) => {
      const headers = { ...json, origin: foreign }
      const body = '{"query":"{__typename}"}'
      for (const accept of [
        'application/json',
        'text/event-stream',
        'multipart/mixed;subscriptionSpec="1.0"',
      ]) {
        const answer = await send(`${app.url}/graphql`, { headers: { ...headers, accept }, body })
        expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([403, undefined])
      }
      const asked = await send(`${app.url}/graphql`, {
        method: 'OPTIONS',
        headers: { origin: foreign, 'access-control-request-method': 'POST' },
      })
      expect(asked.headers['access-control-allow-origin']).toBeUndefined()
      expect(await handshake(app.url, { origin: foreign })).toBe(403)
    },
  )
})

describe('the headers that pages of other origins may send', () => {
  const allowed = async (settings: Record<string, string>) => {
    const app = await startTestApp({ settings: { ALLOWED_ORIGINS: origin, ...settings } })
    const { headers } = await send(`${app.url}/graphql`, { method: 'OPTIONS', headers: { origin } })
    await app.close()
    return String(headers['access-control-allow-headers']).split(', ')
  }

  test('are those that Apollo Client and the tracing of browsers send, and the protocols here', async () => {
    expect(await allowed({})).toEqual(
      expect.arrayContaining([
        ...['authorization', 'content-type', 'last-event-id', 'x-graphql-event-stream-token'],
        ...['apollographql-client-name', 'apollographql-client-version'],
        ...['x-apollo-operation-name', 'x-apollo-operation-id'],
        ...['traceparent', 'tracestate', 'baggage', 'sentry-trace'],
      ]),
    )
  })

  test('and those of ALLOWED_HEADERS', async () => {
    const headers = await allowed({ ALLOWED_HEADERS: 'X-Tenant, x-build, authorization' })
    expect(headers).toEqual(expect.arrayContaining(['x-tenant', 'x-build']))
    expect(headers.filter((name) => name === 'authorization')).toHaveLength(1)
  })
})

describe('a page that runs on this machine', () => {
  const local = ['http://localhost:3000', 'https://localhost', 'http://127.0.0.1:5173', 'http://[::1]:8080']
  const statuses = async (settings: Record<string, string>, origins: string[]) => {
    const app = await startTestApp({ settings })
    const answers = await Promise.all(
      origins.map(async (page) => {
        const { status, headers } = await send(`${app.url}/graphql`, {
          headers: { ...json, origin: page },
          body: '{"query":"{__typename}"}',
        })
        return [status, headers['access-control-allow-origin'], await handshake(app.url, { origin: page })]
      }),
    )
    await app.close()
    return answers
  }

  test('may use the gateway in development, whatever its port', async () => {
    expect(await statuses({}, local)).toEqual(local.map((page) => [200, page, 101]))
  })

  test.each<[Record<string, string>]>([
    [{ NODE_ENV: 'production' }],
    [{ ALLOWED_ORIGINS: origin }],
    [{ ALLOWED_ORIGINS: 'none' }],
  ])('may not with %j', async (settings) => {
    expect(await statuses(settings, local)).toEqual(local.map(() => [403, undefined, 403]))
  })

  test('has to be of this machine by its whole name', async () => {
    const foreign = [
      'http://localhost.evil.example',
      'http://localhost:3000.evil.example',
      'file://localhost',
    ]
    expect(await statuses({}, foreign)).toEqual(foreign.map(() => [403, undefined, 403]))
  })
})

describe('a page that is refused', () => {
  test('learns which setting allows its origin, over HTTP and WebSocket; so does the log, once', async () => {
    const lines: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) })
    const app = await startTestApp({ log })
    for (let count = 0; count < 3; count += 1) {
      const answer = await send(`${app.url}/graphql`, {
        headers: { ...json, origin: 'https://evil.example' },
        body: '{"query":"{__typename}"}',
      })
      expect(JSON.parse(answer.body)).toEqual({
        errors: [
          {
            message:
              'Pages of "https://evil.example" may not use this gateway; ALLOWED_ORIGINS lists the origins that may',
            extensions: { code: 'FORBIDDEN' },
          },
        ],
      })
    }
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      origin: 'https://evil.example',
    })
    socket.on('error', () => undefined)
    const [, response] = await once(socket, 'unexpected-response')
    const [body] = await once(response, 'data')
    expect(String(body)).toContain('ALLOWED_ORIGINS')
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { origin: 'https://evil.example', msg: expect.stringContaining('ALLOWED_ORIGINS') },
    ])
    await app.close()
  })

  test.each(['cross-site', 'same-site'])(
    'is one whose browser says that a GET without an origin is %s, such as for an image',
    async (site) => {
      const app = await startTestApp()
      const get = (headers: Record<string, string>) =>
        send(`${app.url}/graphql?query={__typename}`, { method: 'GET', headers })
      const refused = await get({
        'sec-fetch-site': site,
        'sec-fetch-mode': 'no-cors',
        accept: 'image/*,*/*',
      })
      expect(refused.status).toBe(403)
      expect(JSON.parse(refused.body).errors[0]).toMatchObject({
        message: expect.stringContaining('ALLOWED_ORIGINS'),
        extensions: { code: 'FORBIDDEN' },
      })
      for (const own of ['same-origin', 'none'])
        expect((await get({ 'sec-fetch-site': own })).status).toBe(200)
      expect((await get({ 'sec-fetch-site': site, origin: 'http://localhost:3000' })).status).toBe(200)
      // A link to GraphiQL executes nothing.
      const page = { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', accept: 'text/html,*/*;q=0.8' }
      expect((await get(page)).status).toBe(200)
      await app.close()
    },
  )
})

describe('the names of the gateway', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startTestApp({
      settings: { ALLOWED_HOSTS: 'chat.team.example', METRICS_TOKEN: operatorToken },
    })
  })
  afterAll(() => app.close())

  test.each([
    ['chat.team.example', 200],
    ['CHAT.team.example:443', 200],
    ['localhost:1', 200],
    ['evil.example', 421],
    ['chat.team.example.evil.example', 421],
  ])('%s is answered %i', async (host, status) => {
    const answer = await send(`${app.url}/graphql`, {
      headers: { ...json, host },
      body: '{"query":"{__typename}"}',
    })
    expect(answer.status).toBe(status)
    expect(await handshake(app.url, { host })).toBe(status === 200 ? 101 : status)
  })

  test.each(['/health/live', '/health/ready', '/metrics'])('do not matter for %s', async (path) => {
    const operator = { authorization: `Bearer ${operatorToken}` }
    const get = (host: string) => send(app.url + path, { method: 'GET', headers: { ...operator, host } })
    expect((await get('10.0.0.5:4000')).status).toBe(200)
    expect((await get('[::::')).status).toBe(400)
  })
})

describe('figures are for operators', () => {
  const statusOf = async (url: string, path: string, headers: Record<string, string> = {}) =>
    (await send(url + path, { method: 'GET', headers })).status

  // A stranger who comes through a proxy on this machine appears to be on it.
  test.each<[string, Record<string, string>]>([
    ['in production', { NODE_ENV: 'production' }],
    ['behind a proxy', { TRUSTED_PROXIES: '1' }],
    ['under another name', { ALLOWED_HOSTS: 'chat.team.example' }],
    ['where a token is set', { METRICS_TOKEN: operatorToken }],
  ])('%s', async (_, settings) => {
    const app = await startTestApp({ settings })
    onTestFinished(app.close)
    const isKnown = 'METRICS_TOKEN' in settings
    for (const path of ['/metrics', '/streams']) {
      for (const headers of [
        {},
        { authorization: 'Bearer' },
        { authorization: `Bearer ${operatorToken}x` },
        { authorization: basic(operatorToken) },
        { authorization: basic(await app.backend.token('Ada')) },
      ])
        expect(await statusOf(app.url, path, headers as Record<string, string>)).toBe(401)
      const own = await statusOf(app.url, path, { authorization: `bearer  ${operatorToken}` })
      expect(own).toBe(isKnown ? 200 : 401)
    }
    const refused = await send(`${app.url}/metrics`, { method: 'GET' })
    expect(JSON.parse(refused.body).errors[0]).toMatchObject({
      message: expect.stringContaining('METRICS_TOKEN'),
      extensions: { code: 'UNAUTHENTICATED' },
    })
    expect(refused.headers['www-authenticate']).toBe('Bearer')
  })

  test('whom developers need not be for /metrics, but for /streams', async () => {
    const app = await startTestApp()
    onTestFinished(app.close)
    expect(await statusOf(app.url, '/metrics')).toBe(200)
    expect(await statusOf(app.url, '/streams')).toBe(401)
  })

  test('who can read the data folder', async () => {
    const app = await startEmbedded({ NODE_ENV: 'production' })
    const path = join(app.dataDir, 'metrics-token')
    const token = (await readFile(path, 'utf8')).trim()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    for (const path of ['/metrics', '/streams']) {
      expect(await statusOf(app.url, path)).toBe(401)
      expect(await statusOf(app.url, path, { authorization: `Bearer ${token}` })).toBe(200)
    }
    const printed: string[] = []
    await streams([app.url], { DATA_DIR: app.dataDir }, (text) => printed.push(text))
    expect(printed.join('')).toContain('0 upstream streams')
    await expect(streams([app.url], { DATA_DIR: '/nowhere' }, () => undefined)).rejects.toThrow(
      'METRICS_TOKEN',
    )
  })
})

describe('the demo token', () => {
  const pageOf = async (url: string, headers: Record<string, string> = {}) =>
    (await send(url, { method: 'GET', headers: { accept: 'text/html', ...headers } })).body
  const token = '0123456789abcdef'.repeat(2)

  test('is in the page for the key of the terminal only', async () => {
    const app = await startEmbedded({ FLOWDOCK_DEMO_TOKEN: token })
    const key = app.pageKey ?? ''
    expect(key).toMatch(/^[\w-]{22}$/)
    const page = `${app.url}/graphql`
    for (const url of [
      page,
      `${page}?key=`,
      `${page}?key=${key.slice(1)}`,
      `${page}?key=${key}x`,
      `${page}?Key=${key}`,
    ])
      expect(await pageOf(url)).not.toContain(btoa(`${token}:`))
    expect(await pageOf(`${page}?key=${key}`)).toContain(btoa(`${token}:`))
    expect((await fetch(page, { headers: { accept: 'text/html' } })).headers.get('set-cookie')).toBeNull()
  })

  test('is not for a page of another origin, which may read the response', async () => {
    const app = await startEmbedded({ FLOWDOCK_DEMO_TOKEN: token })
    const page = `${app.url}/graphql?key=${app.pageKey}`
    for (const origin of ['http://localhost:3000', 'https://evil.example', 'null', app.url]) {
      const text = await pageOf(page, { origin })
      expect(text).toContain('id="graphiql"')
      expect(text).not.toContain(btoa(`${token}:`))
    }
    expect(await pageOf(page)).toContain(btoa(`${token}:`))
  })

  test.each<Record<string, string>>([
    { NODE_ENV: 'production' },
    { NODE_ENV: 'production', GRAPHIQL: 'on' },
    { TRUSTED_PROXIES: '1' },
    { ALLOWED_HOSTS: 'chat.team.example' },
    { BACKEND_URL: 'https://api.team.example' },
    { GRAPHIQL: 'off' },
  ])('has no key with %j', async (settings) => {
    const app = await startEmbedded({ FLOWDOCK_DEMO_TOKEN: token, ...settings })
    expect(app.pageKey).toBeNull()
    for (const query of ['', '?key=', '?key=null', '?key=undefined'])
      expect(await pageOf(`${app.url}/graphql${query}`)).not.toContain(btoa(`${token}:`))
  })

  test('is shown once for a key, and for a minute after that', () => {
    let now = 0
    const key = createPageKey(() => now)
    expect(key.accepts('x')).toBe(false)
    now = 24 * 3_600_000
    expect(key.accepts(key.text)).toBe(true)
    now += 59_000
    expect(key.accepts(key.text)).toBe(true)
    now += 2000
    expect(key.accepts(key.text)).toBe(false)
    expect(createPageKey().text).not.toBe(key.text)
  })
})

describe('in production', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startTestApp({ settings: { NODE_ENV: 'production' } })
  })
  afterAll(() => app.close())

  test('the schema is not shown, on any transport, and mistakes are not answered with what was meant', async () => {
    const token = await app.backend.token('Ada')
    for (const query of [
      '{ __schema { types { name } } }',
      '{ __type(name: "Flow") { name } }',
      '{ viewer { nic } }',
    ])
      for (const result of [
        await post(app.url, { query }, token),
        await executeOverSocket(app.url, token, query),
      ]) {
        expect(result.errors?.[0]).toMatchObject({ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } })
        expect(result.errors?.[0]?.message).not.toContain('nick')
      }
    expect((await fetch(`${app.url}/schema.graphql`)).status).toBe(403)
    expect((await fetch(`${app.url}/possible-types.json`)).status).toBe(403)
    expect((await post(app.url, { query: '{ viewer { nick __typename } }' }, token)).data).toEqual({
      viewer: { nick: 'Ada', __typename: 'User' },
    })
  })

  test('there is no GraphiQL', async () => {
    const page = await fetch(`${app.url}/graphql`, { headers: { accept: 'text/html' } })
    expect(page.status).toBe(403)
    expect((await page.json()).errors[0].message).toContain('GRAPHIQL=on')
  })
})

describe('every answer', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startTestApp()
  })
  afterAll(() => app.close())

  test.each([
    '/graphql',
    '/graphql?query={__typename}',
    '/nothing',
    '/metrics',
    '/health/ready',
    '/schema.graphql',
    '/possible-types.json',
  ])('of %s has a request id and says what it is', async (path) => {
    const own = await fetch(app.url + path, { headers: { 'x-request-id': 'mine-1' } })
    expect(own.headers.get('x-request-id')).toBe('mine-1')
    expect(own.headers.get('x-content-type-options')).toBe('nosniff')
    const made = await fetch(app.url + path, { headers: { 'x-request-id': 'no id of "mine"' } })
    expect(made.headers.get('x-request-id')).toMatch(/^[\w-]{8}-[0-9a-z]+$/)
  })
})
