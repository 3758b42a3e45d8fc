import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startTestApp, type TestApp } from '../support/app.ts'

/* Limits hold for the credential that an operation runs with, however it is spelt and wherever it was sent. */

const limit = 5
let app: TestApp
beforeAll(async () => {
  app = await startTestApp({
    settings: { REQUESTS_PER_MINUTE: String(limit), MAX_CONNECTIONS_PER_PRINCIPAL: '2' },
  })
})
afterAll(() => app.close())

const query = '{ viewer { nick } }'
const live = 'subscription { flowEvents(input: {}) { cursor } }'
const makeToken = () => randomBytes(16).toString('hex')
/** Ways to write one token. */
const spell = (token: string, index: number) =>
  [
    `Basic ${btoa(`${token}:`)}`,
    `Basic ${btoa(`${token}:${index}`)}`,
    `basic ${' '.repeat(index)}${btoa(token)}`,
    `Bearer ${' '.repeat(index)}${token}`,
    `BEARER ${token}`,
  ][index % 5] ?? ''

interface Talk {
  readonly socket: WebSocket
  readonly closed: Promise<[code: number, reason: string]>
  send(message: object): void
  /** The next message that `is` accepts. */
  next(is: (message: Message) => boolean): Promise<Message>
}
interface Message {
  readonly type: string
  readonly id?: string
  readonly payload?: { readonly extensions?: { readonly code?: string } }[]
}

async function talk(url: string, payload?: object, headers: Record<string, string> = {}): Promise<Talk> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { headers })
  onTestFinished(() => socket.terminate())
  socket.on('error', () => undefined)
  const heard: Message[] = []
  const waiting = new Set<() => void>()
  socket.on('message', (data) => {
    heard.push(JSON.parse(String(data)))
    for (const look of waiting) look()
  })
  const closed = once(socket, 'close').then(([code, reason]): [number, string] => [code, String(reason)])
  await once(socket, 'open')
  const send = (message: object) => socket.send(JSON.stringify(message))
  send({ type: 'connection_init', ...(payload === undefined ? {} : { payload }) })
  return {
    socket,
    closed,
    send,
    next: (is) =>
      new Promise((resolve) => {
        const look = () => {
          const index = heard.findIndex(is)
          if (index === -1) return
          waiting.delete(look)
          resolve(heard.splice(index, 1)[0] as Message)
        }
        waiting.add(look)
        look()
      }),
  }
}

const post = (authorization: string, headers: Record<string, string> = {}, body: object = { query }) =>
  fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization, ...headers },
    body: JSON.stringify(body),
  })
const codeIn = (text: string) => /"code":"(\w+)"/.exec(text)?.[1]
const posted = async (response: Promise<Response>) => codeIn(await (await response).text())

/** Runs an operation over a socket. @returns the code of its error */
async function runOver(socket: Talk, id: string, extensions?: object): Promise<string | undefined> {
  socket.send({
    id,
    type: 'subscribe',
    payload: { query, ...(extensions === undefined ? {} : { extensions }) },
  })
  return codeIn(
    JSON.stringify(await socket.next((message) => message.id === id && message.type !== 'complete')),
  )
}

/** Runs an operation with a credential over one transport. */
const transports: [
  name: string,
  run: (authorization: string, index: number) => Promise<string | undefined>,
][] = [
  ['POST', (authorization) => posted(post(authorization))],
  [
    'GET',
    (authorization) => posted(fetch(`${app.url}/graphql?query=${query}`, { headers: { authorization } })),
  ],
  [
    'POST that is negotiated',
    (authorization) => posted(post(authorization, { accept: 'text/plain, */*;q=0.1' })),
  ],
  ['SSE', (authorization) => posted(post(authorization, { accept: 'text/event-stream' }))],
  [
    'multipart',
    (authorization) => posted(post(authorization, { accept: 'multipart/mixed;subscriptionSpec=1.0' })),
  ],
  [
    'an operation with files',
    (authorization) =>
      posted(
        fetch(`${app.url}/graphql`, {
          method: 'POST',
          headers: { authorization, 'x-requested-with': 'x' },
          body: new FormData(),
        }),
      ),
  ],
  [
    'a socket that introduces itself',
    async (Authorization) => {
      const socket = await talk(app.url, { Authorization })
      const code = await runOver(socket, '1')
      socket.socket.close()
      await socket.closed
      return code
    },
  ],
  [
    'a socket whose handshake has a header',
    async (authorization) => {
      const socket = await talk(app.url, undefined, { authorization })
      const code = await runOver(socket, '1')
      socket.socket.close()
      await socket.closed
      return code
    },
  ],
]

test.each(transports)('%s: all spellings of a token share the limit of one', async (_, run) => {
  const token = makeToken()
  for (let index = 0; index < limit; index += 1)
    expect(await run(spell(token, index), index)).toBe('UNAUTHENTICATED')
  for (let index = limit; index < limit + 5; index += 1)
    expect(await run(spell(token, index), index)).toBe('RATE_LIMITED')
  expect(await run(spell(makeToken(), 0), 0)).toBe('UNAUTHENTICATED')
})

test('all transports share the limit of one', async () => {
  const token = makeToken()
  const codes = []
  for (const [index, [, run]] of transports.entries()) codes.push(await run(spell(token, index), index))
  expect(codes).toEqual(transports.map((_, index) => (index < limit ? 'UNAUTHENTICATED' : 'RATE_LIMITED')))
})

describe('on one socket that anybody may open', () => {
  test('operations with a credential of their own are counted for it', async () => {
    const socket = await talk(app.url)
    const [token, other] = [makeToken(), makeToken()]
    const codes = []
    for (let index = 0; index < limit + 2; index += 1)
      codes.push(await runOver(socket, `${index}`, { authorization: spell(token, index) }))
    expect(codes.slice(limit - 1)).toEqual(['UNAUTHENTICATED', 'RATE_LIMITED', 'RATE_LIMITED'])
    expect(await runOver(socket, 'other', { Authorization: spell(other, 0) })).toBe('UNAUTHENTICATED')
    expect(await runOver(socket, 'nobody')).toBe('UNAUTHENTICATED')
  })

  test('what comes after a ping with a credential is counted for that', async () => {
    const socket = await talk(app.url)
    const token = makeToken()
    const codes = []
    for (let index = 0; index < limit + 2; index += 1) {
      socket.send({ type: 'ping', payload: { authorization: spell(token, index) } })
      codes.push(await runOver(socket, `${index}`))
    }
    expect(codes.slice(limit - 1)).toEqual(['UNAUTHENTICATED', 'RATE_LIMITED', 'RATE_LIMITED'])
  })
})

describe('open connections of a principal', () => {
  const tooMany = [1013, 'You have 2 open connections, which is all you may have']
  const isAck = ({ type }: Message) => type === 'connection_ack'

  test('are counted however its token is spelt', async () => {
    const token = makeToken()
    for (const index of [1, 2])
      await (await talk(app.url, { authorization: spell(token, index) })).next(isAck)
    expect(await (await talk(app.url, { authorization: spell(token, 3) })).closed).toEqual(tooMany)
    expect((await post(spell(token, 4), { accept: 'text/event-stream' }, { query: live })).status).toBe(429)
    await (await talk(app.url, { authorization: spell(makeToken(), 0) })).next(isAck)
  })

  test('are counted when a ping brings the credential, and no longer for the one before', async () => {
    const [token, before] = [makeToken(), makeToken()]
    const renewed = async () => {
      const socket = await talk(app.url, { authorization: spell(before, 0) })
      await socket.next(isAck)
      socket.send({ type: 'ping', payload: { authorization: spell(token, 1) } })
      return socket
    }
    for (let count = 0; count < 2; count += 1) await (await renewed()).next(({ type }) => type === 'pong')
    expect(await (await renewed()).closed).toEqual(tooMany)
    for (let count = 0; count < 2; count += 1)
      await (await talk(app.url, { authorization: spell(before, 2) })).next(isAck)
  })

  test('are counted while an operation brings the credential, however many run there', async () => {
    const token = await app.backend.token('Ada')
    const payload = { query: live, extensions: { authorization: spell(token, 1) } }
    const subscribe = async (socket: Talk, id: string) => {
      const { operations } = app.state().live
      socket.send({ id, type: 'subscribe', payload })
      await Promise.race([
        expect.poll(() => app.state().live.operations).toBe(operations + 1),
        socket
          .next((message) => message.id === id && message.type === 'error')
          .then((message) => {
            throw new Error(JSON.stringify(message))
          }),
      ])
    }
    const [first, second, third] = [await talk(app.url), await talk(app.url), await talk(app.url)]
    await subscribe(first, '1')
    await subscribe(first, '2')
    await subscribe(second, '1')
    await expect(subscribe(third, '1')).rejects.toThrow('"code":"RATE_LIMITED"')
    // Others may go on there, and it may once another connection is without it.
    expect(await runOver(third, '2', { authorization: spell(makeToken(), 0) })).toBe('UNAUTHENTICATED')
    second.send({ id: '1', type: 'complete' })
    await expect.poll(() => app.state().live.operations).toBe(2)
    await subscribe(third, '3')
  })

  test('are counted for the operations of a stream of many', async () => {
    const authorization = spell(await app.backend.token('Ben'), 1)
    const begin = async () => {
      const stream = await (await fetch(`${app.url}/graphql`, { method: 'PUT' })).text()
      const response = await fetch(`${app.url}/graphql?token=${stream}`, {
        headers: { accept: 'text/event-stream' },
      })
      // Without the response, fetch() may end the stream: it cancels the body of a response that was collected.
      onTestFinished(() => response.body?.cancel())
      const headers = { 'x-graphql-event-stream-token': stream }
      const begun = await post(authorization, headers, { query: live, extensions: { operationId: '1' } })
      return begun.status
    }
    expect([await begin(), await begin(), await begin()]).toEqual([202, 202, 429])
  })
})
