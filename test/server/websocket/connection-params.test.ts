import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { findCredential, readConnectionParams } from '../../../src/server/websocket/connection-params.ts'
import { parseAuthorization } from '../../../src/upstream/flowdock/credentials.ts'
import { startTestApp, type TestApp } from '../../support/app.ts'
import { basic } from '../../support/backend.ts'

const isWellFormed = (authorization: string) => {
  try {
    return parseAuthorization(authorization) !== null
  } catch {
    return false
  }
}

describe('the credential of connectionParams', () => {
  test.each<[Record<string, unknown>, string | undefined]>([
    [{ Authorization: 'Bearer x' }, 'Bearer x'],
    [{ authorization: 'Basic eDo=' }, 'Basic eDo='],
    [{ headers: { Authorization: 'Bearer x' } }, 'Bearer x'],
    [{ headers: { authorization: 'Bearer x', other: 1 } }, 'Bearer x'],
    [{ authToken: 'x' }, 'Bearer x'],
    [{ authToken: 'Bearer x' }, 'Bearer x'],
    [{ token: 'x', clientName: 'web' }, 'Bearer x'],
    [{ token: 'Basic eDo=' }, 'Basic eDo='],
    [{ Authorization: '' }, undefined],
    [{ Authorization: null, token: 'x' }, 'Bearer x'],
    [{ token: '' }, undefined],
    [{ headers: {} }, undefined],
    [{}, undefined],
  ])('%j is %s', (payload, expected) => {
    expect(readConnectionParams(payload, isWellFormed, false)).toBe(expected)
  })

  test.each<[Record<string, unknown>]>([
    [{ Authorization: 'x' }],
    [{ Authorization: 5 }],
    [{ authorization: { token: 'x' } }],
    [{ token: 5 }],
    [{ authToken: 'a b' }],
    [{ headers: { Authorization: 'Digest x' } }],
    [{ Authorization: 'Basic %' }],
    [{ Authorization: `Bearer ${'x'.repeat(5000)}` }],
  ])('is of no form that can be sent: %j', (payload) => {
    expect(() => findCredential(payload, isWellFormed)).toThrow('connectionParams.Authorization')
  })

  test('has to have a key that is known, unless the handshake had the credential', () => {
    for (const key of ['apiKey', 'accessToken', 'AUTHORIZATION', 'x-session'])
      expect(() => readConnectionParams({ [key]: 'x' }, isWellFormed, false)).toThrow(
        `Expected the credential in connectionParams.Authorization, not in "${key}"`,
      )
    for (const key of ['X-Api-Key', 'token', 'AUTHORIZATION'])
      expect(() => readConnectionParams({ headers: { [key]: 'x' } }, isWellFormed, false)).toThrow(
        `Expected the credential in connectionParams.Authorization, not in "${key}"`,
      )
    expect(readConnectionParams({ headers: { 'X-Request-Id': 'x' } }, isWellFormed, false)).toBeUndefined()
    expect(readConnectionParams({ headers: { authorization: '' } }, isWellFormed, false)).toBeUndefined()
    expect(readConnectionParams({ apiKey: 'x' }, isWellFormed, true)).toBeUndefined()
    expect(readConnectionParams({ clientName: 'web' }, isWellFormed, false)).toBeUndefined()
    expect(findCredential({ apiKey: 'x' }, isWellFormed)).toBeUndefined()
  })
})

describe('a socket', () => {
  let app: TestApp
  let token: string
  beforeAll(async () => {
    app = await startTestApp()
    token = await app.backend.token('Ada')
  })
  afterAll(() => app.close())

  async function open(payload: object) {
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    onTestFinished(() => socket.terminate())
    const messages: { type: string; payload?: unknown }[] = []
    socket.on('message', (data) => messages.push(JSON.parse(String(data))))
    const closed = once(socket, 'close').then(([code, reason]) => [code, String(reason)])
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'connection_init', payload }))
    return { socket, messages, closed }
  }

  test.each([
    ['authToken', (secret: string) => ({ authToken: secret })],
    ['token', (secret: string) => ({ token: secret })],
    ['headers', (secret: string) => ({ headers: { Authorization: basic(secret) } })],
  ])('takes the credential by %s', async (_, payload) => {
    const { socket, messages } = await open(payload(token))
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: '{ viewer { nick } }' } }))
    await expect
      .poll(() => messages.find(({ type }) => type === 'next')?.payload)
      .toEqual({
        data: { viewer: { nick: 'Ada' } },
      })
  })

  test('with a credential of another form is closed before the first operation, and names the key', async () => {
    for (const payload of [{ Authorization: token }, { Authorization: 'Basic %' }, { apiKey: token }]) {
      const { closed, messages } = await open(payload)
      const [code, reason] = await closed
      expect([code, messages]).toEqual([4401, []])
      expect(reason).toContain('Authorization')
      expect(reason).not.toContain(token)
    }
  })

  test('whose new credential is of another form is closed', async () => {
    const { socket, closed } = await open({ token })
    socket.send(JSON.stringify({ type: 'ping', payload: { Authorization: 'nonsense' } }))
    expect((await closed)[0]).toBe(4401)
  })
})
