import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { eventually, isAtRest, liveMembers, type Result, socketClient } from '../support/app.ts'
import { basic } from '../support/backend.ts'
import { type Fortress, startFortress } from '../support/fortress.ts'

/* What is said on a line to the gateway that is no request, or no end of one, and lines that are many. */

let fortress: Fortress
let host: string
beforeAll(async () => {
  fortress = await startFortress()
  host = new URL(fortress.url).host
})
afterAll(() => fortress.close())

function open(): { socket: Socket; closed: Promise<unknown>; text: () => string } {
  const [name = '', port] = host.split(':')
  const socket = connect(Number(port), name)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  const closed = new Promise((resolve) => socket.on('close', resolve))
  return { socket, closed, text: () => text }
}

const body = '{"query":"{__typename}"}'
const good = () =>
  `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const head = (lines: string) =>
  `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n${lines}\r\n\r\n`

describe('a request is refused, and its connection closed,', () => {
  test.each<[string, () => string | Buffer, RegExp]>([
    [
      'with a length and chunks',
      () => `${head('Content-Length: 3\r\nTransfer-Encoding: chunked')}0\r\n\r\n`,
      /^HTTP\/1.1 400 /,
    ],
    [
      'with two lengths',
      () => `${head('Content-Length: 3\r\nContent-Length: 24')}${body}`,
      /^HTTP\/1.1 400 /,
    ],
    ['with a length that is none', () => head('Content-Length: +3'), /^HTTP\/1.1 400 /],
    ['with chunks that are none', () => `${head('Transfer-Encoding: chunked')}xyz\r\n`, /^HTTP\/1.1 400 /],
    ['with an encoding nobody knows', () => head('Transfer-Encoding: gzip'), /^HTTP\/1.1 (400|501) /],
    ['with a header without a colon', () => head('Nonsense'), /^HTTP\/1.1 400 /],
    ['with a space before a colon', () => head('Content-Length : 3'), /^HTTP\/1.1 400 /],
    ['with a NUL in a header', () => head('X: a\u0000b'), /^HTTP\/1.1 400 /],
    ['with a header that goes on', () => head('X: a\r\n b'), /^HTTP\/1.1 (200|400|413) /],
    ['with a header of 20 KB', () => head(`X: ${'y'.repeat(20_000)}`), /^HTTP\/1.1 431 /],
    [
      'with ten thousand headers',
      () => head(Array.from({ length: 10_000 }, (_, i) => `X${i}: y`).join('\r\n')),
      /^HTTP\/1.1 (400|431) /,
    ],
    [
      'with an address of 20 KB',
      () => `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      /^HTTP\/1.1 (414|431) /,
    ],
    ['without a host', () => `GET /graphql HTTP/1.1\r\nConnection: close\r\n\r\n`, /^HTTP\/1.1 400 /],
    [
      'with a whole address for a target',
      () => `GET http://evil.example/graphql HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      /^HTTP\/1.1 400 /,
    ],
    [
      'with two slashes for a target',
      () => `GET //evil.example/graphql HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      /^HTTP\/1.1 400 /,
    ],
    [
      'to somewhere else',
      () => `CONNECT evil.example:443 HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      /^(HTTP\/1.1 4\d\d |$)/,
    ],
    ['of a method that is none', () => `BREW /graphql HTTP/1.1\r\nHost: ${host}\r\n\r\n`, /^HTTP\/1.1 400 /],
    ['of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1.1 (400|505) /],
    ['of TLS', () => Buffer.from('160301020001000001fc0303', 'hex'), /^HTTP\/1.1 400 /],
    ['of nothing known', () => Buffer.from([0, 1, 2, 3, 255, 10, 13, 10]), /^HTTP\/1.1 400 /],
  ])('%s', async (_, bytes, answer) => {
    await fortress.beside(async () => {
      const { socket, closed, text } = open()
      socket.write(bytes())
      // Whatever is left open waits for a body or another request, and is closed by its client.
      await Promise.race([closed, expect.poll(text).toMatch(/\r\n\r\n/)])
      expect(text()).toMatch(answer)
      expect(text()).not.toMatch(/ 5\d\d |\/src\/|node:/)
    })
  })
})

test('a request that ends at any byte is no matter', async () => {
  const bytes = Buffer.from(good())
  await fortress.beside(async () => {
    for (let length = 1; length < bytes.length; length += 1) {
      const { socket, closed } = open()
      socket.end(bytes.subarray(0, length))
      await closed
    }
  })
})

test('a thousand requests in one piece are answered in their order', async () => {
  await fortress.beside(async () => {
    const { socket, text } = open()
    socket.write(
      Array.from({ length: 1000 }, (_, id) =>
        good().replace('Content-Type', `X-Request-Id: n${id}\r\nContent-Type`),
      ).join(''),
    )
    await expect.poll(() => text().match(/X-Request-Id: n\d+/g)?.length).toBe(1000)
    expect(text().match(/X-Request-Id: n\d+/g)).toEqual(
      Array.from({ length: 1000 }, (_, id) => `X-Request-Id: n${id}`),
    )
  })
})

test('a client that waits for leave to send is given it', async () => {
  const { socket, text } = open()
  socket.write(head(`Expect: 100-continue\r\nContent-Length: ${body.length}`))
  await expect.poll(text).toContain('HTTP/1.1 100 Continue')
  socket.write(body)
  await expect.poll(text).toContain('{"data":{"__typename":"Query"}}')
})

test('five hundred heads that come byte by byte are cut within ten seconds, and other clients do not wait', async () => {
  await fortress.beside(async () => {
    const slow = Array.from({ length: 500 }, open)
    const begun = Date.now()
    const dripping = setInterval(() => {
      for (const { socket } of slow) if (socket.writable) socket.write('X')
    }, 500)
    onTestFinished(() => clearInterval(dripping))
    for (const { socket } of slow) socket.write('POST /graphql HTTP/1.1\r\nX')
    await Promise.all(slow.map(({ closed }) => closed))
    expect(Date.now() - begun).toBeLessThan(15_000)
  })
})

test('three hundred silent sockets are closed, and other clients do not wait', async () => {
  await fortress.beside(async () => {
    const codes = await Promise.all(
      Array.from({ length: 300 }, async () => {
        const socket = new WebSocket(`${fortress.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
        const [code] = await once(socket, 'close')
        return code
      }),
    )
    expect(new Set(codes)).toEqual(new Set([4408]))
  })
})

test('a socket that begins and ends operations without a pause does not delay other clients', async () => {
  await fortress.beside(async () => {
    const socket = new WebSocket(`${fortress.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    await once(socket, 'open')
    socket.send(
      JSON.stringify({ type: 'connection_init', payload: { Authorization: basic(fortress.token) } }),
    )
    const payload = { query: 'subscription { flowEvents(input: {}) { cursor } }' }
    for (let id = 0; id < 5000; id += 1) {
      socket.send(JSON.stringify({ id: `${id}`, type: 'subscribe', payload }))
      socket.send(JSON.stringify({ id: `${id}`, type: 'complete' }))
    }
    socket.send('{"type":"ping","payload":{"last":true}}')
    await new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        if (String(data).includes('"last":true')) resolve()
      })
    })
    socket.close()
  })
  await expect.poll(() => isAtRest(fortress.app)).toBe(true)
})

test('subscriptions that call the upstream for each event use up their rate limit, and receive events without these fields', async () => {
  const limited = await startFortress({ settings: { CALLS_PER_MINUTE: '150' } })
  const { app } = limited
  const client = socketClient(app.url, limited.token)
  const heard: Result[][] = []
  for (let index = 0; index < 50; index += 1) {
    const results: Result[] = []
    heard.push(results)
    client.subscribe(
      {
        query: `subscription { flowEvents(input: { flows: [{ path: "example/main" }] }) { c${index}: cursor ... on MessageAdded { message { flow { messages(last: 100) { nodes { id } } } } } } }`,
      },
      {
        next: (result) => void results.push(result as Result),
        error: () => undefined,
        complete: () => undefined,
      },
    )
  }
  await eventually(() => liveMembers(app) === 50)
  app.calls.length = 0
  const added = () =>
    heard.map((results) => results.filter(({ data }) => data?.flowEvents.message !== undefined))
  await limited.beside(async () => {
    for (let count = 0; count < 10; count += 1)
      await app.backend.as('Cleo')('POST', '/flows/example/main/messages', { event: 'message', content: 'x' })
    await eventually(() => added().every((results) => results.length === 10))
  })
  const lists = app.calls.filter(({ url }) => url.includes('/messages'))
  expect(lists.length).toBeLessThanOrEqual(150)
  const codes = added().flatMap((results) =>
    results.flatMap(({ errors = [] }) => errors.map(({ extensions }) => extensions['code'])),
  )
  expect(new Set(codes)).toEqual(new Set(['RATE_LIMITED']))
  await client.dispose()
  await limited.close()
})

test('a thousand connections that come and go, and five hundred that stay, do not delay other clients', async () => {
  await fortress.beside(async () => {
    for (let round = 0; round < 10; round += 1) {
      const many = Array.from({ length: 100 }, open)
      await Promise.all(many.map(({ socket }) => once(socket, 'connect')))
      for (const { socket } of many) socket.resetAndDestroy()
    }
    const staying = Array.from({ length: 500 }, open)
    for (const { socket } of staying) socket.write(good())
    await Promise.all(staying.map(({ text }) => expect.poll(text).toContain('"data"')))
    // What is kept alive is still good.
    for (const { socket } of staying.slice(0, 50)) socket.write(good())
    await Promise.all(
      staying.slice(0, 50).map(({ text }) => expect.poll(() => text().match(/"data"/g)?.length).toBe(2)),
    )
  })
})

describe('a credential', () => {
  const send = (lines: string) => {
    const line = open()
    line.socket.write(
      `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n${lines}Content-Length: 31\r\nConnection: close\r\n\r\n{"query":"{ viewer { nick } }"}`,
    )
    return line.closed.then(line.text)
  }

  test.each([
    ['of no known kind', 'Authorization: Digest x\r\n'],
    ['of nothing', 'Authorization: \r\n'],
    ['of a kind alone', 'Authorization: Basic\r\n'],
    ['that is no Base64', 'Authorization: Basic %%%\r\n'],
    ['without a colon', `Authorization: Basic ${btoa('x')}\r\n`],
    ['of many colons', `Authorization: Basic ${btoa('::::')}\r\n`],
    ['with a NUL in it', `Authorization: Basic ${btoa('a\u0000b:')}\r\n`],
    ['with another line in it', `Authorization: Basic ${btoa('a\r\nX-Evil: 1:')}\r\n`],
    ['that is not Latin', 'Authorization: Bearer \u00e9\u00ff\r\n'],
    ['of 10 KB', `Authorization: Bearer ${'x'.repeat(10_000)}\r\n`],
    ['in an unusual place', 'Cookie: token=x\r\nX-Api-Key: x\r\nProxy-Authorization: Basic eDo=\r\n'],
  ])('%s is told so', async (_, lines) => {
    const text = await send(lines)
    expect(text).toMatch(/^HTTP\/1.1 200 /)
    expect(text).toContain('"code":"UNAUTHENTICATED"')
    expect(text).not.toContain('INTERNAL')
  })

  test('in the address is none', async () => {
    const answer = await fetch(
      `${fortress.url}/graphql?query={viewer{nick}}&access_token=${fortress.token}&token=${fortress.token}`,
    )
    expect(await answer.text()).toContain(answer.status === 404 ? 'NOT_FOUND' : 'UNAUTHENTICATED')
  })

  test('said twice is the first that was said, for both of us', async () => {
    const text = await send(`Authorization: ${basic(fortress.token)}\r\nAuthorization: Basic eDo=\r\n`)
    expect(text).toContain('{"data":{"viewer":{"nick":"Ada"}}}')
  })

  test('of a flow is not one of a person', async () => {
    const source = await fortress.app.backend.as('Ada')('POST', '/flows/example/main/sources', {
      name: 'x',
      external_url: 'https://x.example',
    })
    const token = (source.json as { flow_token: string }).flow_token
    expect(token).toMatch(/^[0-9a-f]{32}$/)
    for (const authorization of [basic(token), `Bearer ${token}`]) {
      const { body: answer } = await fortress.send({
        headers: { 'content-type': 'application/json', authorization },
        body: '{"query":"{ viewer { nick } }"}',
      })
      expect(answer.errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
    }
  })

  test.each([1, null, {}, ['Basic x'], 'x'.repeat(10_000), 'Basic a\r\nb', '\u0000'])(
    'that a socket introduces itself with and is none (%j) is told so',
    async (value) => {
      const socket = new WebSocket(`${fortress.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
      await once(socket, 'open')
      const heard: string[] = []
      socket.on('message', (data) => heard.push(String(data)))
      socket.on('close', (code, reason) => heard.push(`${code} ${reason}`))
      socket.send(JSON.stringify({ type: 'connection_init', payload: { Authorization: value } }))
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: '{ viewer { nick } }' } }))
      const expected = value === null ? 'UNAUTHENTICATED' : '4401 Expected connectionParams.Authorization'
      await expect.poll(() => heard.join('')).toContain(expected)
      socket.close()
    },
  )
})
