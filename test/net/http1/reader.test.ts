import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Http1Error } from '../../../src/net/http1/errors.ts'
import { type Part, RequestReader } from '../../../src/net/http1/reader.ts'
import { cpuMs } from '../../support/cpu.ts'

/* Bytes in, requests out. No socket is needed. */

/** What a reader makes of bytes that come in pieces: parts with the data of a body joined, and the refusal that ended it. */
function read(pieces: readonly (string | Buffer)[]): unknown[] {
  const reader = new RequestReader()
  const parts: unknown[] = []
  let data = ''
  const add = (part: Part) => {
    if (part.type === 'data') {
      data += part.bytes.toString('latin1')
      return
    }
    if (data !== '') parts.push(data)
    data = ''
    parts.push(part.type === 'head' ? `${part.head.method} ${part.head.target}` : 'end')
  }
  try {
    for (const piece of pieces) {
      reader.feed(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
      for (let part = reader.next(); part !== undefined; part = reader.next()) add(part)
    }
  } catch (error) {
    if (!(error instanceof Http1Error)) throw error
    if (data !== '') parts.push(data)
    parts.push(error.status)
    return parts
  }
  if (data !== '') parts.push(data)
  return parts
}

/** The head of one request. */
function headOf(text: string) {
  const reader = new RequestReader()
  reader.feed(Buffer.from(text, 'latin1'))
  const part = reader.next()
  if (part?.type !== 'head') throw new Error('There is no head')
  return part.head
}

const host = 'Host: a\r\n'

describe('requests', () => {
  test('any method is read, MGET and MPUT among them', () => {
    const body = '["f1","f2"]'
    expect(read([`MGET /v0.1/alice/flow HTTP/1.1\r\n${host}Content-Length: 11\r\n\r\n${body}`])).toEqual([
      'MGET /v0.1/alice/flow',
      body,
      'end',
    ])
  })

  test('a body may come in chunks, with extensions and trailers', () => {
    const head = `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`
    const chunks = '4;name="x"\r\nWiki\r\n5 \r\npedia\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n'
    expect(read([head + chunks])).toEqual(['POST /a', 'Wikipedia0123456789', 'end'])
  })

  test('a request without a length has no body, and the next one follows it', () => {
    expect(read([`DELETE /a HTTP/1.1\r\n${host}\r\nGET /b HTTP/1.0\r\n\r\n`])).toEqual([
      'DELETE /a',
      'end',
      'GET /b',
      'end',
    ])
  })

  test('empty lines before a request are passed over', () => {
    expect(read([`\r\nGET / HTTP/1.1\r\n${host}\r\n\r\nGET /b HTTP/1.1\r\n${host}\r\n`])).toEqual([
      'GET /',
      'end',
      'GET /b',
      'end',
    ])
    expect(read(['\r', '\nGET / HTTP/1.1\r', `\n${host}\r\n`])).toEqual(['GET /', 'end'])
    const lines = `\r\n\r\n\r\nGET / HTTP/1.1\r\n${host}\r\n`
    expect(read([lines])).toEqual(['GET /', 'end'])
    expect(read([...lines])).toEqual(['GET /', 'end'])
  })

  test.each([
    ['in the middle of its head', ['\nPOST / HTTP/1.1\r\n', host]],
    ['whose method is too long', ['x'.repeat(20), 'x'.repeat(20)]],
    ['whose head is complete', ['POST / HTTP/1.1\r\n', 'No Field\r\n\r\n', 'body']],
    ['whose head is too long', [`POST / HTTP/1.1\r\nA: ${'b'.repeat(20_000)}`]],
  ])('one that is refused %s can be taken for another server, each byte once', (_, pieces) => {
    const reader = new RequestReader()
    let text = ''
    const readAll = () => {
      for (const piece of pieces) {
        text += piece
        reader.feed(Buffer.from(piece))
        reader.next()
      }
    }
    expect(readAll).toThrow(Http1Error)
    expect(reader.takeRequest().toString()).toBe(text)
  })

  test('a target in absolute form is its path', () => {
    expect(headOf(`GET http://a:1/b?c=1 HTTP/1.1\r\n${host}\r\n`).target).toBe('/b?c=1')
    expect(headOf(`GET http://a?c HTTP/1.1\r\n${host}\r\n`).target).toBe('/?c')
  })

  test('names of fields have no case, and fields of one name are joined', () => {
    const { headers } = headOf(
      `GET / HTTP/1.1\r\nHOST: a\r\nX-Auth-Token:\t k \r\nAccept: a\r\naccept: b\r\n\r\n`,
    )
    expect({ ...headers }).toEqual({ host: 'a', 'x-auth-token': 'k', accept: 'a, b' })
  })

  test('a header named like a member of objects is only a header', () => {
    const { headers } = headOf(`GET / HTTP/1.1\r\n${host}__proto__: x\r\nconstructor: y\r\n\r\n`)
    expect(Object.getOwnPropertyDescriptor(headers, '__proto__')?.value).toBe('x')
    expect(headers['toString']).toBeUndefined()
  })

  test('the version and the connection header decide whether the connection stays open', () => {
    expect(headOf(`GET / HTTP/1.1\r\n${host}\r\n`).keepAlive).toBe(true)
    expect(headOf(`GET / HTTP/1.1\r\n${host}Connection: Close\r\n\r\n`).keepAlive).toBe(false)
    expect(headOf('GET / HTTP/1.0\r\n\r\n').keepAlive).toBe(false)
    expect(headOf('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n').keepAlive).toBe(true)
  })

  test('an upgrade needs both headers', () => {
    const upgrade = `Upgrade: WebSocket\r\n`
    expect(headOf(`GET / HTTP/1.1\r\n${host}${upgrade}Connection: keep-alive, Upgrade\r\n\r\n`).upgrade).toBe(
      'websocket',
    )
    expect(headOf(`GET / HTTP/1.1\r\n${host}${upgrade}\r\n`).upgrade).toBeUndefined()
  })
})

describe('refusals', () => {
  const refused: [what: string, status: number, request: string][] = [
    [
      'two lengths of different kinds',
      400,
      `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ],
    [
      'two lengths that differ',
      400,
      `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Length: 4\r\n\r\n`,
    ],
    [
      'two lengths that are equal',
      400,
      `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Length: 3\r\n\r\n`,
    ],
    ['a list of lengths', 400, `POST / HTTP/1.1\r\n${host}Content-Length: 3, 3\r\n\r\n`],
    ['a negative length', 400, `POST / HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`],
    ['a length with a sign', 400, `POST / HTTP/1.1\r\n${host}Content-Length: +1\r\n\r\n`],
    ['a hexadecimal length', 400, `POST / HTTP/1.1\r\n${host}Content-Length: 0x1\r\n\r\n`],
    ['an empty length', 400, `POST / HTTP/1.1\r\n${host}Content-Length:\r\n\r\n`],
    [
      'a length past what numbers hold',
      400,
      `POST / HTTP/1.1\r\n${host}Content-Length: 99999999999999999999\r\n\r\n`,
    ],
    [
      'two encodings',
      400,
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ],
    ['another encoding', 501, `POST / HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    [
      'an encoding that looks like chunked',
      501,
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n`,
    ],
    ['chunks in HTTP/1.0', 400, `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n`],
    ['a blank before the colon', 400, `POST / HTTP/1.1\r\n${host}Content-Length : 3\r\n\r\n`],
    ['a folded header', 400, `GET / HTTP/1.1\r\n${host}A: b\r\n c\r\n\r\n`],
    ['a header without colon', 400, `GET / HTTP/1.1\r\n${host}A\r\n\r\n`],
    ['a header without name', 400, `GET / HTTP/1.1\r\n${host}: b\r\n\r\n`],
    ['a line that ends with LF', 400, `GET / HTTP/1.1\n${host}\r\n`],
    ['lines that all end with LF', 400, 'GET / HTTP/1.1\nHost: localhost\n\n'],
    ['a CR inside of a line', 400, `GET / HTTP/1.1\r\n${host}A: b\rC: d\r\n\r\n`],
    ['a NUL in a header', 400, `GET / HTTP/1.1\r\n${host}A: b\0c\r\n\r\n`],
    ['no host', 400, 'GET / HTTP/1.1\r\n\r\n'],
    ['two hosts', 400, `GET / HTTP/1.1\r\n${host}${host}\r\n`],
    ['a host with a path', 400, 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
    ['two tokens', 400, `GET / HTTP/1.1\r\n${host}X-Auth-Token: a\r\nX-Auth-Token: b\r\n\r\n`],
    ['two blanks in the request line', 400, `GET  / HTTP/1.1\r\n${host}\r\n`],
    ['a tab in the request line', 400, `GET\t/ HTTP/1.1\r\n${host}\r\n`],
    ['a target without slash', 400, `GET a HTTP/1.1\r\n${host}\r\n`],
    ['a target that is not ASCII', 400, `GET /\xe4 HTTP/1.1\r\n${host}\r\n`],
    ['no version', 400, `GET /\r\n${host}\r\n`],
    ['version 2', 505, `GET / HTTP/2.0\r\n${host}\r\n`],
    ['the preface of HTTP/2', 505, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a TLS handshake', 400, '\x16\x03\x01\x02\0\x01\0\r\n\r\n'],
    ['another expectation', 417, `POST / HTTP/1.1\r\n${host}Expect: 200-ok\r\n\r\n`],
    ['a target that is too long', 414, `GET /${'a'.repeat(9000)} HTTP/1.1\r\n${host}\r\n`],
    ['a head that is too long', 431, `GET / HTTP/1.1\r\n${host}A: ${'b'.repeat(17_000)}`],
    ['too many headers', 431, `GET / HTTP/1.1\r\n${host}${'a: b\r\n'.repeat(101)}\r\n`],
  ]
  test.each(refused)('%s: %i', (_, status, request) => {
    expect(read([request])).toEqual([status])
    // Whatever the pieces are that it comes in.
    expect(read([...request])).toEqual([status])
  })

  const chunked = `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`
  test.each([
    ['a size that is no number', 'x\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size with a prefix', '0x1\r\na\r\n'],
    ['a size past 32 bits', '100000000\r\n'],
    ['a size line that ends with LF', '1\na\r\n'],
    ['an extension with a line break', '1;a\nb\r\n'],
    ['an extension that is too long', `1;${'a'.repeat(300)}\r\n`],
    ['a trailer without colon', '0\r\na\r\n\r\n'],
    ['an empty line that ends with LF', '0\r\n\n'],
  ])('a chunk with %s', (_, body) => {
    expect(read([chunked + body])).toEqual(['POST /', 400])
    expect(read([...(chunked + body)])).toEqual(['POST /', 400])
  })

  test('a chunk that is longer than it says', () => {
    expect(read([`${chunked}1\r\nab\r\n`])).toEqual(['POST /', 'a', 400])
  })

  test('trailers that are too long', () => {
    expect(read([`${chunked}0\r\n${`a: ${'b'.repeat(1000)}\r\n`.repeat(9)}\r\n`])).toEqual(['POST /', 431])
  })
})

describe('whatever comes', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'GET / HTTP/1.1\r\nHost: a\r\n',
      'Content-Length: 3\r\n',
      'Transfer-Encoding: chunked\r\n',
      '\r\n',
    ),
    fc.constantFrom(
      '\r',
      '\n',
      '0\r\n\r\n',
      '3\r\nabc\r\n',
      'abc',
      ': ',
      '\0',
      ' ',
      'GET ',
      'MPUT /x HTTP/1.1\r\n',
    ),
    fc.string({ unit: 'binary-ascii', maxLength: 20 }),
  )

  test('the pieces that it comes in make no difference', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }),
        fc.array(fc.nat(40), { maxLength: 40 }),
        (texts, cuts) => {
          const text = texts.join('')
          const pieces: string[] = []
          let at = 0
          for (const cut of cuts) {
            pieces.push(text.slice(at, at + cut))
            at += cut
          }
          expect(read([...pieces, text.slice(at)])).toEqual(read([text]))
        },
      ),
      { numRuns: 3000 },
    )
  })

  test('bytes make requests or are refused, and nothing else is thrown', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (chunks) => {
        read(chunks.map((chunk) => Buffer.from(chunk)))
      }),
      { numRuns: 3000 },
    )
  })

  test.each([
    ['bytes one by one', (n: number) => [...`GET /${'a'.repeat(n / 8)} HTTP/1.1\r\n${host}\r\n`.repeat(8)]],
    [
      'chunks of one byte',
      (n: number) => [
        `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(n)}`,
      ],
    ],
    ['requests without body', (n: number) => [`GET / HTTP/1.1\r\n${host}\r\n`.repeat(n)]],
    ['empty lines', (n: number) => [`GET / HTTP/1.1\r\n${host}\r\n${'\r\n'.repeat(n)}`]],
    [
      'carriage returns',
      (n: number) => [`POST / HTTP/1.1\r\n${host}Content-Length: ${n}\r\n\r\n${'\r'.repeat(n)}`],
    ],
  ])('the time for %s grows with their number', async (_, make) => {
    const small = make(8000)
    const large = make(64_000)
    read(small)
    const least = async (pieces: string[]) =>
      Math.min(
        await cpuMs(() => read(pieces)),
        await cpuMs(() => read(pieces)),
        await cpuMs(() => read(pieces)),
      )
    const [short, long] = [await least(small), await least(large)]
    expect(long).toBeLessThan(Math.max(short, 2) * 8 * 4)
  })
})
