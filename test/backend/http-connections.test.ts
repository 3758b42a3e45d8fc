import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { isOrdinary } from '../../src/backend/flowdock/http1-requests.ts'
import { parseHead } from '../../src/net/http1/head.ts'
import { basic, startTestBackend, type TestBackend } from '../support/backend.ts'

/*
 * Ordinary requests of the REST API are served by the project's own HTTP server. The others, and all that follow on their
 * connections, are served by node:http.
 */

let backend: TestBackend
beforeEach(async () => {
  backend = await startTestBackend()
  onTestFinished(backend.close)
})

interface Response {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** A connection that sends what it is given, and reads responses that have a length. */
class RawConnection {
  readonly socket: Socket
  #text = ''

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.socket = connect(Number(port), hostname)
    this.socket.setEncoding('latin1').on('data', (text: string) => {
      this.#text += text
    })
  }

  /** @param hasBody false for the response to HEAD, which has the length of the body that it leaves out */
  async next(hasBody = true): Promise<Response> {
    for (;;) {
      const end = this.#text.indexOf('\r\n\r\n')
      const head = this.#text.slice(0, Math.max(end, 0))
      const length = hasBody ? Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0) : 0
      if (end !== -1 && this.#text.length >= end + 4 + length) {
        const body = this.#text.slice(end + 4, end + 4 + length)
        this.#text = this.#text.slice(end + 4 + length)
        return { status: Number(head.slice(9, 12)), head, body }
      }
      await once(this.socket, 'data')
    }
  }
}

function open(): RawConnection {
  const connection = new RawConnection(backend.url)
  onTestFinished(() => void connection.socket.destroy())
  return connection
}

const messages = '/flows/example/main/messages'

/** The head and the body of a request of Ada. */
async function requestOf(method: string, path: string, body = '', type = 'application/json') {
  const authorization = basic(await backend.token('Ada'))
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization}\r\n`
  return `${head}Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

const message = (content: string) => JSON.stringify({ event: 'message', content })

test('a connection serves ordinary requests, then a file, then ordinary requests', async () => {
  const connection = open()
  connection.socket.write(await requestOf('POST', messages, message('before')))
  expect((await connection.next()).status).toBe(201)
  const part = (name: string, value: string) =>
    `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const file = `--x\r\nContent-Disposition: form-data; name="content"; filename="f.txt"\r\n\r\nhello\r\n--x--\r\n`
  const body = `${part('event', 'file')}${file}`
  connection.socket.write(await requestOf('POST', messages, body, 'multipart/form-data; boundary=x'))
  expect((await connection.next()).status).toBe(201)
  connection.socket.write(await requestOf('POST', messages, message('after')))
  expect((await connection.next()).status).toBe(201)
  const { json } = await backend.as('Ada')('GET', `${messages}?limit=3&event=message,file`)
  expect(json.map(({ content }: { content: unknown }) => content)).toEqual([
    'before',
    expect.objectContaining({ file_name: 'f.txt' }),
    'after',
  ])
})

test('requests that arrive together are answered in their order, a stream as the last one', async () => {
  const connection = open()
  connection.socket.write(
    (await requestOf('GET', '/user')) +
      (await requestOf('HEAD', '/user')) +
      (await requestOf('GET', '/no/such/path')) +
      (await requestOf('OPTIONS', messages)) +
      (await requestOf('GET', '/stream/flows?filter=example/main')),
  )
  const user = await connection.next()
  const head = await connection.next(false)
  const others = [await connection.next(), await connection.next(), await connection.next()]
  expect([user.status, JSON.parse(user.body)]).toEqual([200, expect.objectContaining({ nick: 'Ada' })])
  expect([head.status, ...others.map(({ status }) => status)]).toEqual([200, 404, 204, 200])
  expect(head.head).toContain(`Content-Length: ${user.body.length}`)
  expect(others[2]?.head).toContain('Transfer-Encoding: chunked')
})

test('a response says once how long its connection stays open, unless it is the last one', async () => {
  const connection = open()
  const text = await requestOf('GET', '/user')
  connection.socket.write(text + text.replace('Host:', 'Connection: close\r\nHost:'))
  const heads = [await connection.next(), await connection.next()].map(({ head }) => head)
  expect(heads.map((head) => head.match(/^(connection|keep-alive): [^\r]*/gim))).toEqual([
    ['Connection: keep-alive', 'Keep-Alive: timeout=75'],
    ['Connection: close'],
  ])
})

test('a body may arrive byte by byte', async () => {
  const connection = open()
  const text = await requestOf('POST', messages, message('slowly'))
  for (const character of text) {
    connection.socket.write(character)
    await new Promise(setImmediate)
  }
  const { status, body } = await connection.next()
  expect([status, JSON.parse(body)]).toEqual([201, expect.objectContaining({ content: 'slowly' })])
})

test('a body that does not arrive completely changes nothing', async () => {
  const connection = open()
  const text = await requestOf('POST', messages, message('cut off'))
  connection.socket.end(text.slice(0, -1))
  await once(connection.socket, 'close')
  const { json } = await backend.as('Ada')('GET', `${messages}?search=cut`)
  expect(json).toEqual([])
})

test('a stop answers the request in progress, and closes its connection', async () => {
  const stopped = await startTestBackend()
  backend = stopped
  const connection = open()
  const text = await requestOf('POST', messages, message('at the end'))
  connection.socket.write(text.slice(0, -1))
  // The head was read: a request after it was answered.
  await stopped.as('Ada')('GET', '/user')
  const closing = stopped.close()
  connection.socket.write(text.slice(-1))
  const { status, head } = await connection.next()
  expect(status).toBe(201)
  expect(head).toContain('Connection: close')
  await closing
})

describe('an ordinary request', () => {
  const isServed = (start: string, ...fields: string[]) => {
    const bytes = Buffer.from([start, 'Host: localhost', ...fields, '', ''].join('\r\n'))
    return isOrdinary(parseHead(bytes, 0, bytes.length))
  }

  test.each([
    ['GET /flows HTTP/1.1'],
    ['GET /flows/example/main/messages?search=a%20stream HTTP/1.1'],
    ['PATCH /user HTTP/1.1', 'Content-Length: 16384'],
    ['POST /oauth/token HTTP/1.1', 'Content-Type: application/x-www-form-urlencoded', 'Content-Length: 9'],
  ])('is %s %s', (start, ...fields) => {
    expect(isServed(start, ...fields)).toBe(true)
  })

  test.each([
    ['GET /stream/flows?filter=a HTTP/1.1'],
    ['GET /v1/%73tream/flows HTTP/1.1'],
    ['GET /files/1/2/3.png HTTP/1.1'],
    ['GET /storage/1 HTTP/1.1'],
    ['GET /flows HTTP/1.0'],
    ['GET http://localhost/flows HTTP/1.1'],
    ['TRACE /flows HTTP/1.1'],
    ['POST /messages HTTP/1.1', 'Transfer-Encoding: chunked'],
    ['POST /messages HTTP/1.1', 'Content-Length: 16385'],
    ['POST /messages HTTP/1.1', 'Content-Length: 9', 'Content-Type: multipart/form-data; boundary=x'],
    ['POST /messages HTTP/1.1', 'Content-Length: 9', 'Content-Encoding: gzip'],
    ['POST /messages HTTP/1.1', 'Content-Length: 9', 'Expect: 100-continue'],
    ['GET /flows HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket'],
  ])('is not %s %s', (start, ...fields) => {
    expect(isServed(start, ...fields)).toBe(false)
  })
})
