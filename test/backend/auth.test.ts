import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashPassword } from '../../src/backend/flowdock/auth.ts'
import { call, startTestBackend, type TestBackend } from '../support/backend.ts'

let backend: TestBackend
let token: string

beforeAll(async () => {
  backend = await startTestBackend()
  token = await backend.token('Ben')
  const hash = await hashPassword('open:sesame')
  await backend.store.write((db) =>
    db.updateTable('users').set({ password_hash: hash }).where('id', '=', 2).execute(),
  )
})
afterAll(() => backend.close())

const user = (headers: Record<string, string>, query = '') =>
  call(`${backend.url}/user${query}`, 'GET', headers)
const base64 = (text: string) => Buffer.from(text).toString('base64')

describe('a user is identified by', () => {
  test.each<[string, () => Record<string, string>]>([
    ['a token as Basic user name', () => ({ authorization: `Basic ${base64(`${token}:`)}` })],
    ['any password beside it', () => ({ authorization: `Basic ${base64(`${token}:undefined`)}` })],
    ['no colon at all', () => ({ authorization: `Basic ${base64(token)}` })],
    ['a Bearer token', () => ({ authorization: `Bearer ${token}` })],
    [
      'e-mail and password, colons included',
      () => ({ authorization: `Basic ${base64('Ben@example.com:open:sesame')}` }),
    ],
  ])('%s', async (_, headers) => {
    const answer = await user(headers())
    expect(answer).toMatchObject({
      status: 200,
      json: { id: 2, nick: 'Ben', name: 'Ben Okri', website: null },
    })
    expect(answer.headers.get('flowdock-user')).toBe('2')
  })

  test('access_token in the query', async () => {
    expect((await user({}, `?access_token=${token}`)).json.id).toBe(2)
  })
})

describe('a request is refused', () => {
  test.each<[string, () => Record<string, string>]>([
    ['without a credential', () => ({})],
    [
      'with a token that is not one',
      () => ({ authorization: `Basic ${base64('0123456789abcdef0123456789abcdef:')}` }),
    ],
    ['with a wrong password', () => ({ authorization: `Basic ${base64('ben@example.com:sesame')}` })],
    ['with an unknown address', () => ({ authorization: `Basic ${base64('nobody@example.com:sesame')}` })],
    ['with a password where none is set', () => ({ authorization: `Basic ${base64('ada@example.com:')}` })],
    ['with something else', () => ({ authorization: 'Digest x' })],
  ])('%s: 401 in plain text', async (_, headers) => {
    const answer = await user(headers())
    expect(answer).toMatchObject({ status: 401, text: 'HTTP Basic: Access denied.\n' })
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(answer.headers.get('flowdock-user')).toBeNull()
  })

  test('a token is stored only as a hash', async () => {
    const rows = await backend.store.reader.selectFrom('tokens').selectAll().execute()
    expect(JSON.stringify(rows)).not.toContain(token)
  })
})

describe('paths are taken as clients write them', () => {
  test.each(['/v1/user', '/v2/user/', '/user.json', '//user', '/user/2'])('%s', async (path) => {
    const answer = await call(backend.url + path, 'GET', { authorization: `Bearer ${token}` })
    expect(answer).toMatchObject({ status: 200, json: { id: 2 } })
  })

  test('responses with 404 and 403 have the id of the user, too', async () => {
    const missing = await backend.as('Ben')('GET', '/nowhere')
    const denied = await backend.as('Ben')('GET', '/flows/example/support')
    expect([missing.status, denied.status]).toEqual([404, 200])
    expect(missing.headers.get('flowdock-user')).toBe('2')
    const messages = await backend.as('Ben')('GET', '/flows/example/support/messages')
    expect(messages).toMatchObject({ status: 403, text: '{"message":"Access denied"}' })
    expect(messages.headers.get('flowdock-user')).toBe('2')
  })

  test('a DELETE may carry the body {}, and a path without that method is 405', async () => {
    expect(
      (await call(`${backend.url}/user`, 'DELETE', { authorization: `Bearer ${token}` }, {})).status,
    ).toBe(405)
  })

  test('bad input is answered plainly', async () => {
    const authorization = `Bearer ${token}`
    const send = (body: string) => call(`${backend.url}/messages`, 'POST', { authorization }, body)
    expect(await send('{')).toMatchObject({ status: 400, text: '{"message":"Body is not valid JSON"}' })
    expect(await send('[]')).toMatchObject({ status: 400 })
    expect(await send(`{"content":"${'x'.repeat(16 * 1024 * 1024)}"}`)).toMatchObject({ status: 413 })
    expect(await call(`${backend.url}/flows/%E0%A4%A/x`, 'GET', { authorization })).toMatchObject({
      status: 404,
    })
  })

  test('pages of other sites may call it with a token', async () => {
    const answer = await call(`${backend.url}/user`, 'OPTIONS', { origin: 'https://app.example' })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example')
    expect(answer.headers.get('access-control-allow-headers')).toContain('Authorization')
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
  })
})
