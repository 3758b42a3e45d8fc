import { createHash } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { jwtVerify } from 'jose'
import { expect, onTestFinished, test } from 'vitest'
import { hashPassword } from '../../src/backend/flowdock/auth.ts'
import { isPrivateAddress } from '../../src/net/public-address.ts'
import { call, startTestBackend, type TestBackend } from '../support/backend.ts'

const main = '/flows/example/main'

interface Received {
  method: string
  url: string
  headers: IncomingHttpHeaders
  body: string
}

/** An integration that answers as it is told. */
async function startIntegration(status = 200, headers: Record<string, string> = {}) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    received.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
    response.writeHead(status, headers).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => void (await new Promise((resolve) => server.close(resolve))))
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function start(privateActionTargets: boolean) {
  const backend = await startTestBackend({ privateActionTargets })
  onTestFinished(backend.close)
  const hash = await hashPassword('open sesame')
  await backend.store.write((db) => db.updateTable('users').set({ password_hash: hash }).execute())
  const registered = await backend.as('Ada')('POST', '/oauth/applications', {
    name: 'Tracker',
    redirect_uri: 'https://tracker.example/',
  })
  const { client_id, client_secret } = registered.json
  const token = await call(
    `${backend.url}/oauth/token`,
    'POST',
    { accept: 'application/json' },
    {
      client_id,
      client_secret,
      grant_type: 'password',
      username: 'ada@example.com',
      password: 'open sesame',
      scope: 'integration',
    },
  )
  const source = await call(
    `${backend.url}${main}/sources`,
    'POST',
    { authorization: `Bearer ${token.json.access_token}` },
    { name: 'Tickets' },
  )
  return { backend, secret: client_secret as string, flowToken: source.json.flow_token as string, source }
}

const present = (backend: TestBackend, flowToken: string, actions: unknown) =>
  call(
    `${backend.url}/messages?wait=1`,
    'POST',
    {},
    {
      flow_token: flowToken,
      event: 'activity',
      title: 'opened',
      author: { name: 'Marty' },
      external_thread_id: 'T-1',
      thread: { title: 'A ticket', actions },
    },
  )
const update = (urlTemplate: string, httpMethod = 'POST') => ({
  '@type': 'UpdateAction',
  name: 'Assign to me',
  target: { '@type': 'EntryPoint', urlTemplate, httpMethod },
})
const clickUrl = (message: { thread: { actions: { target: { urlTemplate: string } }[] } }) =>
  message.thread.actions.at(-1)?.target.urlTemplate ?? ''

test('a click on an UpdateAction goes to the integration, signed with its application’s secret', async () => {
  const integration = await startIntegration(204)
  const { backend, secret, flowToken } = await start(true)
  const view = { '@type': 'ViewAction', name: 'Diff', url: 'https://tracker.example/diff' }
  const action = update(`${integration.url}/assign?to=me`, 'PUT')
  const { json } = await present(backend, flowToken, [view, action])
  expect(json.thread.actions[0]).toEqual(view)
  const url = clickUrl(json)
  expect(url).toMatch(new RegExp(`^${backend.url}/threads/${json.thread_id}/actions/[\\w-]{27}$`))

  const click = await backend.as('Ben')('POST', url.slice(backend.url.length))
  expect([click.status, click.json]).toEqual([200, {}])
  const [received] = integration.received
  expect(received).toMatchObject({ method: 'PUT', url: '/assign?to=me' })
  const body = received?.body ?? ''
  expect(JSON.parse(body)).toEqual({
    ...action,
    agent: { '@type': 'Person', name: 'Ben Okri', image: null },
  })
  const { payload } = await jwtVerify(String(received?.headers['flowdock-token']), Buffer.from(secret))
  expect(payload).toMatchObject({ sub: '2', signature: createHash('sha256').update(body).digest('hex') })
  expect((payload.exp ?? 0) - Date.now() / 1000).toBeLessThanOrEqual(30)
  expect(payload).toMatchObject({ aud: `${integration.url}/assign?to=me`, method: 'PUT' })
})

test('only members may click, and only on what is there now', async () => {
  const integration = await startIntegration()
  const { backend, flowToken } = await start(true)
  const first = await present(backend, flowToken, [update(`${integration.url}/1`)])
  const path = clickUrl(first.json).slice(backend.url.length)
  await backend.as('Ada')('PUT', `${main}/users/3`, { disabled: true })
  expect((await backend.as('Cleo')('POST', path)).status).toBe(403)
  expect((await call(backend.url + path, 'POST', {})).status).toBe(401)
  await present(backend, flowToken, [update(`${integration.url}/2`)])
  expect((await backend.as('Ben')('POST', path)).status).toBe(404)
  expect(integration.received).toEqual([])
})

test('an integration may require the user to sign in first; any other response of it is a failure', async () => {
  const login = 'Flowdock-Token url=https://tracker.example/login'
  const asking = await startIntegration(401, { 'www-authenticate': login })
  const broken = await startIntegration(500)
  const moved = await startIntegration(302, { location: asking.url })
  const { backend, flowToken } = await start(true)
  const click = async (address: string) => {
    const { json } = await present(backend, flowToken, [update(address)])
    return backend.as('Ben')('POST', clickUrl(json).slice(backend.url.length))
  }
  const asked = await click(asking.url)
  expect([asked.status, asked.headers.get('www-authenticate')]).toEqual([401, login])
  for (const [{ url }, status] of [
    [broken, 500],
    [moved, 302],
  ] as const) {
    const answer = await click(url)
    expect([answer.status, answer.json.message]).toEqual([502, `The integration answered ${status}`])
  }
  expect(asking.received).toHaveLength(1)
  expect((await click('http://127.0.0.1:1/')).status).toBe(502)
})

test.each([
  'http://127.0.0.1:9/',
  'http://localhost:9/',
  'http://[::1]:9/',
  'http://[::ffff:10.0.0.1]:9/',
  'http://there-is-no.such-name.invalid/',
])('nothing is sent to %s unless the configuration allows it', async (address) => {
  const { backend, flowToken } = await start(false)
  const { json } = await present(backend, flowToken, [update(address)])
  const click = await backend.as('Ben')('POST', clickUrl(json).slice(backend.url.length))
  expect(click.status).toBe(502)
  expect(click.json.message).toMatch(/is not a public address$/)
})

test.each([
  ['8.8.8.8', false],
  ['2001:4860:4860::8888', false],
  ['10.1.2.3', true],
  ['169.254.169.254', true],
  ['172.31.255.255', true],
  ['100.64.0.1', true],
  ['0.0.0.0', true],
  ['::', true],
  ['fe80::1', true],
  ['fd00::1', true],
  ['::ffff:192.168.0.1', true],
  ['64:ff9b::7f00:1', true],
  ['no address', true],
  // Every way in which IPv6 writes 127.0.0.1 or another address of IPv4.
  ['::7f00:1', true],
  ['::127.0.0.1', true],
  ['::ffff:7f00:1', true],
  ['0:0:0:0:0:ffff:127.0.0.1', true],
  ['::ffff:8.8.8.8', true],
  ['::ffff:0:7f00:1', true],
  ['64:ff9b:1::7f00:1', true],
  ['2002:7f00:1::', true],
  ['2001:0:7f00:1::', true],
  ['fe80::1%lo', true],
  ['fec0::1', true],
  ['ff02::1', true],
  ['100::1', true],
  ['5f00::1', true],
  ['2001:2::1', true],
  ['2001:db8::1', true],
  ['3fff::1', true],
  ['192.0.2.1', true],
  ['192.88.99.1', true],
  ['198.18.0.1', true],
  ['198.51.100.1', true],
  ['203.0.113.1', true],
  ['240.0.0.1', true],
  ['255.255.255.255', true],
  // Their neighbours.
  ['192.0.1.1', false],
  ['198.20.0.1', false],
  ['203.0.112.1', false],
  ['223.255.255.255', false],
  ['2001:200::1', false],
  ['2001:db7::1', false],
  ['2003::1', false],
  ['2606:4700:4700::1111', false],
  ['3ffe::1', false],
])('%s is our own network: %s', (address, own) => {
  expect(isPrivateAddress(address)).toBe(own)
})

test('a source of no registered application has nothing to sign with, and says so', async () => {
  const { backend } = await start(true)
  const source = await backend.as('Ada')('POST', `${main}/sources`, { name: 'Script' })
  const { json } = await present(backend, source.json.flow_token, [update('https://x.example/')])
  const click = await backend.as('Ben')('POST', clickUrl(json).slice(backend.url.length))
  expect([click.status, click.json.message]).toEqual([
    409,
    'The source "Script" belongs to no registered application, so nothing can be signed for it',
  ])
})

test.each([
  ['not a list', 'actions must be a list'],
  [['x'], 'actions must be objects'],
  [[{ '@type': 'ViewAction', name: 'x' }], 'the url of a ViewAction must be a URL'],
  [[{ '@type': 'ViewAction', url: 'javascript:alert(1)' }], 'the url of a ViewAction must be a URL'],
  [[{ '@type': 'LaunchAction', url: 'javascript:alert(1)' }], 'the url of an action must be a URL'],
  [[{ '@type': 'ViewAction', url: 'https://x.example/', image: 'data:,x' }], 'the image of an action'],
  [[{ '@type': 'UpdateAction', name: 'x' }], 'the target of an UpdateAction needs a urlTemplate'],
  [[update('javascript:alert(1)')], 'the target of an UpdateAction needs a urlTemplate'],
  [[update('https://x.example/', 'CONNECT')], 'httpMethod'],
])('actions %j are refused', async (actions, problem) => {
  const { backend, flowToken } = await start(true)
  const { status, json } = await present(backend, flowToken, actions)
  expect(status).toBe(400)
  expect(json.errors.thread[0]).toContain(problem)
})
