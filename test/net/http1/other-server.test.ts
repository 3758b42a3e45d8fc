import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { EncodedHeaders } from '../../../src/net/http1/response.ts'
import { createHttp1Connections, type Http1Connections } from '../../../src/net/http1/server.ts'

const host = 'Host: a\r\n'
const own = (body: string) => `POST /own HTTP/1.1\r\n${host}Content-Length: ${body.length}\r\n\r\n${body}`
const other = (body: string) => `POST /other HTTP/1.1\r\n${host}Content-Length: ${body.length}\r\n\r\n${body}`

/** A server for `/own`, whose connections go to node:http with the first request for anything else. */
async function start({ answersAt = () => Promise.resolve() }: { answersAt?: () => Promise<void> } = {}) {
  const server = createServer({ headersTimeout: 60_000 }, (request, response) => {
    void readAll(request).then((body) => {
      response.setHeader('Server', 'other')
      response.end(`<${request.url} ${body}>`)
    })
  })
  server.on('upgrade', (_, socket, after: Buffer) => {
    socket.end(`upgraded with ${after}`)
  })
  const [serveByNode] = server.listeners('connection')
  server.removeAllListeners('connection')
  const connections: Http1Connections = createHttp1Connections({
    async handle(request) {
      const body = await request.readBody({ maxBytes: 1_000_000, idleMs: 60_000, wholeMs: 60_000 })
      await answersAt()
      return {
        status: 200,
        headers: new EncodedHeaders({ Server: 'own' }),
        body: `<${request.target} ${body}>`,
      }
    },
    refuse: ({ status }) => ({ status, headers: new EncodedHeaders({ Server: 'own' }), body: '' }),
    other: {
      isFor: ({ target }) => target !== '/own',
      take: (socket) => void serveByNode?.call(server, socket),
    },
    headMs: 60_000,
  })
  server.on('connection', (socket: Socket) => connections.accept(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    connections.destroy()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { connections, open: () => open(port) }
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

function open(port: number) {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  onTestFinished(() => void socket.destroy())
  let text = ''
  const waiting = new Set<() => void>()
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    for (const check of waiting) check()
  })
  socket.on('error', () => undefined)
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(text)))
  return {
    closed,
    send: (data: string) => void socket.write(data, 'latin1'),
    /** Resolves with the servers and bodies of so many responses, in their order. */
    responses: (count: number) =>
      new Promise<string[]>((resolve) => {
        const check = () => {
          const found = [...text.matchAll(/^Server: (\w+)\r\n|<(.*)>/gm)].map(
            ([, server, body]) => server ?? body ?? '',
          )
          if (found.length < 2 * count) return
          waiting.delete(check)
          resolve(found)
        }
        waiting.add(check)
        check()
      }),
  }
}

describe('a connection', () => {
  test('goes to the other server with the first request that is for it, and stays there', async () => {
    const { connections, open } = await start()
    const line = open()
    line.send(own('1'))
    expect(await line.responses(1)).toEqual(['own', '/own 1'])
    expect(connections.size).toBe(1)
    line.send(other('2'))
    expect(await line.responses(2)).toEqual(['own', '/own 1', 'other', '/other 2'])
    expect(connections.size).toBe(0)
    line.send(own('3'))
    expect((await line.responses(3)).slice(4)).toEqual(['other', '/own 3'])
  })

  test('goes there after the responses to the requests before it', async () => {
    const release = Promise.withResolvers<void>()
    const { open } = await start({ answersAt: () => release.promise })
    const line = open()
    line.send(own('1') + own('2') + other('3') + own('4') + other('5'))
    release.resolve()
    expect(await line.responses(5)).toEqual([
      ...['own', '/own 1', 'own', '/own 2'],
      ...['other', '/other 3', 'other', '/own 4', 'other', '/other 5'],
    ])
  })

  test.each([1, 7, 60])('that sends %i bytes at a time loses none of them', async (size) => {
    const { open } = await start()
    const line = open()
    const text = own('first') + own('second') + other('x'.repeat(5000)) + other('last')
    for (let at = 0; at < text.length; at += size) {
      line.send(text.slice(at, at + size))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await line.responses(4)).toEqual([
      ...['own', '/own first', 'own', '/own second'],
      ...['other', `/other ${'x'.repeat(5000)}`, 'other', '/other last'],
    ])
  })

  test('takes the body along that comes later, in chunks or not', async () => {
    const { open } = await start()
    const line = open()
    line.send(`POST /other HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`)
    line.send('3\r\nabc\r\n')
    line.send(`0\r\n\r\nPOST /other HTTP/1.1\r\n${host}Content-Length: 200000\r\n\r\n`)
    line.send('y'.repeat(200_000))
    expect(await line.responses(2)).toEqual(['other', '/other abc', 'other', `/other ${'y'.repeat(200_000)}`])
  })

  test('can be upgraded there, with the bytes after the head', async () => {
    const { open } = await start()
    const line = open()
    line.send(own('1'))
    await line.responses(1)
    line.send(`GET /other HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: any\r\n\r\nfirst frame`)
    expect(await line.closed).toMatch(/upgraded with first frame$/)
  })
})

describe('the other server refuses what is no request', () => {
  test.each([
    ['a head without host', 'GET /own HTTP/1.1\r\n\r\n', 400],
    ['two lengths', `POST /own HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, 400],
    [
      'a length and chunks',
      `POST /own HTTP/1.1\r\n${host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      400,
    ],
    ['a head that is too long', `GET /own HTTP/1.1\r\n${host}A: ${'b'.repeat(20_000)}\r\n\r\n`, 431],
    ['a head that is too long and has no end', `GET /own HTTP/1.1\r\n${host}A: ${'b'.repeat(20_000)}`, 431],
  ])('%s', async (_, text, status) => {
    const { open } = await start()
    const whole = open()
    whole.send(text)
    expect(await whole.closed).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    const later = open()
    later.send(own('1'))
    await later.responses(1)
    later.send(text.slice(0, 10))
    await new Promise((resolve) => setImmediate(resolve))
    later.send(text.slice(10))
    expect(await later.closed).toMatch(new RegExp(`<.own 1>HTTP/1.1 ${status} `))
  })
})

test('a head that does not come whole is refused before it is known whose it is', async () => {
  const server = createServer()
  const connections = createHttp1Connections({
    handle: () => undefined,
    refuse: ({ status }) => ({ status, headers: new EncodedHeaders({}), body: 'late' }),
    other: { isFor: () => true, take: () => expect.unreachable() },
    headMs: 50,
  })
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => connections.accept(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    connections.destroy()
    server.close()
  })
  const line = open((server.address() as AddressInfo).port)
  line.send('GET /other HTTP/1.1\r\n')
  expect(await line.closed).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n[\s\S]*late$/)
})
