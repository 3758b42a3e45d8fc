import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startTestApp, type TestApp } from '../support/app.ts'

/* What a server of graphql-transport-ws owes its clients, and what it does not let them do. [graphql-ws] PROTOCOL.md */

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

const init = { type: 'connection_init' }
const ack = { type: 'connection_ack' }
const subscribe = (id: unknown, payload: unknown) => ({ id, type: 'subscribe', payload })
const typename = { query: '{ __typename }' }
const next = (id: string) => ({ id, type: 'next', payload: { data: { __typename: 'Query' } } })
const complete = (id: string) => ({ id, type: 'complete' })
const ping = { type: 'ping', payload: { last: true } }
const live = { query: 'subscription { flowEvents(input: {}) { cursor } }' }
const errorOf = (id: string, code: string) => ({
  id,
  type: 'error',
  payload: [expect.objectContaining({ extensions: { code } })],
})

/** Says something on a socket of its own, and hears everything up to the answer to a last ping, or the end. */
async function converse(
  messages: readonly unknown[],
): Promise<{ heard: unknown[]; end: [number, string] | undefined }> {
  const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  socket.on('error', () => undefined)
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  const heard: unknown[] = []
  return new Promise((resolve) => {
    socket.on('close', (code, reason) => resolve({ heard, end: [code, String(reason)] }))
    socket.on('message', (data) => {
      const message = JSON.parse(String(data))
      if (message.type === 'pong' && message.payload?.last === true) resolve({ heard, end: undefined })
      else heard.push(message)
    })
    for (const message of [...messages, ping])
      socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
  })
}

describe('what closes the socket', () => {
  test.each<[string, number, unknown[]]>([
    ['no JSON', 4400, ['{']],
    ['an empty message', 4400, ['']],
    ['a null', 4400, ['null']],
    ['a number', 4400, ['1']],
    ['a text', 4400, ['"x"']],
    ['a list', 4400, [[]]],
    ['ten thousand brackets', 4400, ['['.repeat(10_000)]],
    ['no type', 4400, [{}]],
    ['a type that is a number', 4400, [{ type: 1 }]],
    ['an empty type', 4400, [{ type: '' }]],
    ['an unknown type', 4400, [{ type: 'start' }]],
    ['a type every object has', 4400, [{ type: 'constructor' }]],
    ['bytes', 4400, [Buffer.from(JSON.stringify(init))]],
    ['an introduction with a text', 4400, [{ type: 'connection_init', payload: 'x' }]],
    ['an introduction with a list', 4400, [{ type: 'connection_init', payload: [] }]],
    ['an introduction with a number', 4400, [{ type: 'connection_init', payload: 1 }]],
    ['a ping with a text', 4400, [{ type: 'ping', payload: 'x' }]],
    ['a result from a client', 4400, [init, next('1')]],
    ['an error from a client', 4400, [init, { id: '1', type: 'error', payload: [] }]],
    ['an acknowledgement from a client', 4400, [ack]],
    ['two introductions', 4429, [init, init]],
    ['an operation before the introduction', 4401, [subscribe('1', typename)]],
    ['an operation without an id', 4400, [init, { type: 'subscribe', payload: typename }]],
    ['an id that is a number', 4400, [init, subscribe(1, typename)]],
    ['an id that is null', 4400, [init, subscribe(null, typename)]],
    ['an empty id', 4400, [init, subscribe('', typename)]],
    ['an id of 101 characters', 4400, [init, subscribe('x'.repeat(101), typename)]],
    ['an operation without a payload', 4400, [init, { id: '1', type: 'subscribe' }]],
    ['an operation with a null', 4400, [init, subscribe('1', null)]],
    ['an operation with a list', 4400, [init, subscribe('1', [])]],
    ['an operation without a query', 4400, [init, subscribe('1', {})]],
    ['a query that is a number', 4400, [init, subscribe('1', { query: 1 })]],
    ['a query that is null', 4400, [init, subscribe('1', { query: null })]],
    ['an end without an id', 4400, [init, { type: 'complete' }]],
    ['an end with an id that is none', 4400, [init, { id: 1, type: 'complete' }]],
    ['the same id twice', 4409, [init, subscribe('1', live), subscribe('1', live)]],
  ])('%s: %i', async (_, code, messages) => {
    expect((await converse(messages)).end?.[0]).toBe(code)
  })

  test.each<[string, string, unknown[]]>([
    ['no JSON', 'expected JSON', ['{"type":"connection_init",}']],
    ['bytes', 'expected text', [Buffer.from(JSON.stringify(init))]],
    ['a type of an older protocol', 'ping, pong, subscribe, complete', [init, { id: '1', type: 'start' }]],
    ['an id that is a number', 'expected id of subscribe to be a string', [init, subscribe(1, typename)]],
    ['an empty id', 'expected id of subscribe to be a string', [init, subscribe('', typename)]],
    ['an operation without a payload', 'expected payload', [init, { id: '1', type: 'subscribe' }]],
    ['an operation without a query', 'expected query in payload', [init, subscribe('1', {})]],
    ['an operation before the introduction', 'expected connection_init before', [subscribe('1', typename)]],
  ])('says what was expected in place of %s', async (_, expected, messages) => {
    expect((await converse(messages)).end?.[1]).toContain(expected)
  })

  test('says which subprotocol was expected', async () => {
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`)
    const [code, reason] = await once(socket, 'close')
    expect([code, String(reason)]).toEqual([
      4406,
      'Subprotocol not acceptable: expected graphql-transport-ws',
    ])
  })

  test('is said in words that fit, whatever the id is', async () => {
    const id = '😀"\n'.repeat(20)
    const { end } = await converse([init, subscribe(id, live), subscribe(id, live)])
    expect(end?.[0]).toBe(4409)
    expect(Buffer.byteLength(end?.[1] ?? '')).toBeLessThanOrEqual(123)
  })

  test('a message that is too long: 1009; one that is as long as it may be is read', async () => {
    const long = (length: number) => {
      const message = JSON.stringify({ type: 'ping', payload: { filling: '' } })
      return message.replace('""', `"${'x'.repeat(length - message.length)}"`)
    }
    const known = { type: 'connection_init', payload: { authorization: 'Bearer x' } }
    expect((await converse([known, long(256 * 1024 + 1)])).end?.[0]).toBe(1009)
    expect((await converse([known, long(256 * 1024)])).heard).toEqual([ack, { type: 'pong' }])
    // Without a credential it is 16 KiB, also for what never becomes whole.
    for (const start of [[], [init]]) {
      expect((await converse([...start, long(16 * 1024 + 1)])).end?.[0]).toBe(1009)
      expect((await converse([...start, long(16 * 1024)])).heard.at(-1)).toEqual({ type: 'pong' })
    }
  })

  test('a ping with more than 1 KiB is answered without it', async () => {
    const ping = (length: number) => ({ type: 'ping', payload: { x: 'x'.repeat(length - 8) } })
    expect((await converse([ping(1024), ping(1025)])).heard).toEqual([
      { ...ping(1024), type: 'pong' },
      { type: 'pong' },
    ])
  })

  test.each(['ping', 'pong'])(
    'hundreds of messages of type %s: 4429; a hundred are none too many',
    async (type) => {
      const many = (count: number) => Array.from({ length: count }, () => ({ type }))
      expect((await converse(many(400))).end).toEqual([4429, 'Too many pings'])
      expect((await converse([...many(100), { type: 'connection_init' }])).heard.at(-1)).toEqual(ack)
    },
  )
})

describe('what is answered', () => {
  test.each<[string, unknown[], unknown[]]>([
    ['an introduction', [init], [ack]],
    ['an introduction with a null', [{ ...init, payload: null }], [ack]],
    ['an introduction with more than is known', [{ ...init, payload: { a: { b: 1 } }, more: 1 }], [ack]],
    ['a ping before the introduction', [{ type: 'ping' }], [{ type: 'pong' }]],
    ['a ping with a null', [{ type: 'ping', payload: null }], [{ type: 'pong' }]],
    ['a ping with something', [{ type: 'ping', payload: { a: 1 } }], [{ type: 'pong', payload: { a: 1 } }]],
    ['a pong nobody asked for', [{ type: 'pong' }, { type: 'pong', payload: { a: 1 } }], []],
    ['the end of what is not there', [init, complete('1')], [ack]],
    ['the end before the introduction', [complete('1')], []],
    ['a query', [init, subscribe('1', typename)], [ack, next('1'), complete('1')]],
    [
      'a query with nulls',
      [init, subscribe('1', { ...typename, operationName: null, variables: null, extensions: null })],
      [ack, next('1'), complete('1')],
    ],
    [
      'an id of every kind of character',
      [init, subscribe('"\\\u0000😀é', typename)],
      [ack, next('"\\\u0000😀é'), complete('"\\\u0000😀é')],
    ],
    [
      'an id of 100 characters',
      [init, subscribe('x'.repeat(100), typename)],
      [ack, next('x'.repeat(100)), complete('x'.repeat(100))],
    ],
    ['no document', [init, subscribe('1', { query: '{' })], [ack, errorOf('1', 'GRAPHQL_PARSE_FAILED')]],
    ['an empty document', [init, subscribe('1', { query: '' })], [ack, errorOf('1', 'GRAPHQL_PARSE_FAILED')]],
    [
      'a field that is not there',
      [init, subscribe('1', { query: '{ nothing }' })],
      [ack, errorOf('1', 'GRAPHQL_VALIDATION_FAILED')],
    ],
    [
      'two operations without a name',
      [init, subscribe('1', { query: 'query A { __typename } query B { __typename }' })],
      [ack, errorOf('1', 'BAD_USER_INPUT')],
    ],
    [
      'an operation that is not there',
      [init, subscribe('1', { ...typename, operationName: 'X' })],
      [ack, errorOf('1', 'BAD_USER_INPUT')],
    ],
    [
      'a name that is a number',
      [init, subscribe('1', { ...typename, operationName: 1 })],
      [ack, errorOf('1', 'BAD_USER_INPUT')],
    ],
    [
      'more than is allowed',
      [init, subscribe('1', { query: `{ ${'a: __typename '.repeat(31)} }` })],
      [ack, errorOf('1', 'LIMIT_EXCEEDED')],
    ],
    [
      'a document of another hash',
      [
        init,
        subscribe('1', {
          ...typename,
          extensions: { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } },
        }),
      ],
      [ack, errorOf('1', 'BAD_USER_INPUT')],
    ],
    [
      'a hash nobody knows',
      [init, subscribe('1', { extensions: { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } } })],
      [ack, errorOf('1', 'PERSISTED_QUERY_NOT_FOUND')],
    ],
    [
      'a subscription of two fields',
      [
        init,
        subscribe('1', {
          query: 'subscription { a: flowEvents(input: {}) { cursor } b: flowEvents(input: {}) { cursor } }',
        }),
      ],
      [ack, errorOf('1', 'GRAPHQL_VALIDATION_FAILED')],
    ],
    [
      'an id that is free again',
      [init, subscribe('1', { query: '{' }), subscribe('1', { query: '{' })],
      [ack, errorOf('1', 'GRAPHQL_PARSE_FAILED'), errorOf('1', 'GRAPHQL_PARSE_FAILED')],
    ],
    [
      'a subscription without a credential',
      [init, subscribe('1', live)],
      [
        ack,
        {
          id: '1',
          type: 'next',
          payload: { errors: [expect.objectContaining({ extensions: { code: 'UNAUTHENTICATED' } })] },
        },
        complete('1'),
      ],
    ],
    ['a subscription that is ended at once', [init, subscribe('1', live), complete('1')], [ack]],
  ])('%s', async (_, messages, heard) => {
    const last = messages.at(-1) as { type?: string }
    const answer = await converse(messages)
    // Results need a turn of their own, so the last ping may be answered before them.
    if (last.type === 'subscribe' && answer.heard.length < heard.length) return expectLater(messages, heard)
    expect(answer).toEqual({ heard, end: undefined })
  })

  async function expectLater(messages: readonly unknown[], heard: readonly unknown[]) {
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    onTestFinished(() => socket.terminate())
    const got: unknown[] = []
    socket.on('message', (data) => got.push(JSON.parse(String(data))))
    await once(socket, 'open')
    for (const message of messages) socket.send(JSON.stringify(message))
    await expect.poll(() => got).toEqual(heard)
  }
})

/** A line to the server on which anything can be said. */
async function rawLine(
  headers: Record<string, string> = {},
  method = 'GET',
  path = '/graphql',
): Promise<{
  socket: Socket
  head: string
  read: () => Buffer
}> {
  const { hostname, port, host } = new URL(app.url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  const all: Record<string, string> = {
    ...{ Host: host, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
    ...{ 'Sec-WebSocket-Key': randomBytes(16).toString('base64') },
    ...{ 'Sec-WebSocket-Protocol': 'graphql-transport-ws', ...headers },
  }
  const lines = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [`${name}: ${value}`]))
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  await expect.poll(() => Buffer.concat(chunks).includes('\r\n\r\n') || socket.closed).toBe(true)
  const text = Buffer.concat(chunks)
  const end = text.indexOf('\r\n\r\n') + 4
  return { socket, head: text.subarray(0, end).toString(), read: () => Buffer.concat(chunks).subarray(end) }
}

describe('the handshake', () => {
  test.each<[string, Record<string, string>, number, string?, string?]>([
    ['as it should be', {}, 101],
    ['with another path', {}, 404, 'GET', '/socket'],
    ['with a path and a query', {}, 101, 'GET', '/graphql?x=1'],
    ['by POST', {}, 405, 'POST'],
    ['without a key', { 'Sec-WebSocket-Key': '' }, 400],
    ['with a key that is none', { 'Sec-WebSocket-Key': 'x' }, 400],
    ['of another version', { 'Sec-WebSocket-Version': '9' }, 400],
    ['from a page of another origin', { Origin: 'https://evil.example' }, 403],
    ['from a page of none', { Origin: 'null' }, 403],
    ['for a host that is none', { Host: '[::::' }, 400],
    ['for another host', { Host: 'evil.example' }, 421],
    ['to another protocol', { Upgrade: 'h2c' }, 400],
    ['with compression offered', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }, 101],
  ])('%s', async (_, headers, status, method, path) => {
    const { head } = await rawLine(headers, method, path)
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(head.toLowerCase()).not.toContain('permessage-deflate')
  })

  test.each([
    ['graphql-ws', 4406],
    ['', 4406],
    ['chat, graphql-transport-ws', undefined],
    ['graphql-transport-ws, graphql-ws', undefined],
  ])('with the protocols "%s"', async (protocols, code) => {
    const { head, read } = await rawLine({ 'Sec-WebSocket-Protocol': protocols })
    if (code === undefined) return expect(head).toContain('Sec-WebSocket-Protocol: graphql-transport-ws\r\n')
    await expect.poll(() => read().length).toBeGreaterThan(3)
    expect([read()[0], read().readUInt16BE(2)]).toEqual([0x88, code])
  })
})

/** A frame as clients send it. */
function frame(first: number, payload: Buffer, { masked = true, length = payload.length } = {}): Buffer {
  const mask = randomBytes(4)
  const size = length < 126 ? Buffer.from([length]) : Buffer.from([126, length >> 8, length & 255])
  size[0] = (size[0] ?? 0) | (masked ? 0x80 : 0)
  const body = masked ? Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))) : payload
  return Buffer.concat([Buffer.from([first]), size, masked ? mask : Buffer.alloc(0), body])
}

describe('frames', () => {
  const text = Buffer.from(JSON.stringify(init))
  const close = (code: number, reason = Buffer.alloc(0)) => {
    const payload = Buffer.alloc(2)
    payload.writeUInt16BE(code)
    return frame(0x88, Buffer.concat([payload, reason]))
  }

  test.each<[string, Buffer, number]>([
    ['that are not masked', frame(0x81, text, { masked: false }), 1002],
    ['with a reserved bit', frame(0xc1, text), 1002],
    ['of a reserved kind', frame(0x83, text), 1002],
    ['that go on where nothing began', frame(0x80, text), 1002],
    ['that begin where another goes on', Buffer.concat([frame(0x01, text), frame(0x81, text)]), 1002],
    ['of a ping that is too long', frame(0x89, Buffer.alloc(126)), 1002],
    ['of a ping in parts', frame(0x09, Buffer.alloc(1)), 1002],
    ['of a text that is no UTF-8', frame(0x81, Buffer.from([0xff, 0xfe])), 1007],
    ['of a text that is UTF-8 for a surrogate', frame(0x81, Buffer.from([0xed, 0xa0, 0x80])), 1007],
    [
      'that are longer than there are numbers',
      Buffer.from([0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]),
      1009,
    ],
    ['that are longer than is read', Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 16, 0, 0]), 1009],
    ['of an end with half a code', frame(0x88, Buffer.from([3])), 1002],
    ['of an end with the code 0', close(0), 1002],
    ['of an end with the code 999', close(999), 1002],
    ['of an end with the code 1005', close(1005), 1002],
    ['of an end with the code 5000', close(5000), 1002],
    ['of an end whose reason is no UTF-8', close(1000, Buffer.from([0xff])), 1007],
  ])('%s end the socket', async (_, bytes, code) => {
    const { socket, read } = await rawLine()
    socket.write(bytes)
    await expect.poll(() => read().length).toBeGreaterThan(3)
    expect([read()[0], read().readUInt16BE(2)]).toEqual([0x88, code])
    expect(await (await fetch(`${app.url}/health/live`)).json()).toEqual({ status: 'live' })
  })

  test.each<[string, Buffer[], string]>([
    ['a message in one', [frame(0x81, text)], '{"type":"connection_ack"}'],
    [
      'a message in parts',
      [frame(0x01, text.subarray(0, 5)), frame(0x80, text.subarray(5))],
      '{"type":"connection_ack"}',
    ],
    [
      'a message in parts with a ping between',
      [frame(0x01, text.subarray(0, 5)), frame(0x89, Buffer.from('p')), frame(0x80, text.subarray(5))],
      'p',
    ],
    [
      'a message of no bytes and its rest',
      [frame(0x01, Buffer.alloc(0)), frame(0x80, text)],
      '{"type":"connection_ack"}',
    ],
    ['a ping', [frame(0x89, Buffer.from('hello'))], 'hello'],
    ['an end', [close(1000)], '\x03\xe8'],
    ['an end with a code of their own', [close(4321)], '\x10\xe1'],
  ])('%s are understood, byte by byte, too', async (_, frames, expected) => {
    for (const parts of [frames, [...Buffer.concat(frames)].map((byte) => Buffer.from([byte]))]) {
      const { socket, read } = await rawLine()
      socket.setNoDelay(true)
      for (const part of parts) socket.write(part)
      await expect.poll(() => read().toString('latin1')).toContain(expected)
    }
  })
})
