import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters
const unsafe = /[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII has control characters
const ascii = /^[\x00-\x7f]*$/

/** Header fields that are checked and encoded once, for many responses. */
export class EncodedHeaders {
  readonly text: string
  readonly isAscii: boolean

  /** @throws TypeError for a value with a line break */
  constructor(headers: Readonly<Record<string, string>>) {
    let text = ''
    for (const name in headers) {
      const value = headers[name] as string
      if (unsafe.test(value)) throw new TypeError(`The value of the header "${name}" is not valid`)
      text += `${name}: ${value}\r\n`
    }
    this.text = text
    this.isAscii = ascii.test(text)
  }

  /** The fields one by one. */
  fields(): [name: string, value: string][] {
    const lines = this.text.split('\r\n').slice(0, -1)
    return lines.map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)])
  }
}

export interface Http1Response {
  readonly status: number
  readonly headers: EncodedHeaders
  readonly body: string | Buffer
  /** Whether the connection closes after it. Otherwise that depends on the request. */
  readonly closes?: boolean
}

const statusLines: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(STATUS_CODES).map(([status, text]) => [status, `HTTP/1.1 ${status} ${text}\r\n`]),
)

/** Longer bodies are not copied behind their heads. */
const maxCopiedBytes = 4096

/**
 * Writes a response at once: two separate writes can cost a round trip, because of Nagle's algorithm and delayed acknowledgements.
 *
 * @param end the last header fields, and the empty line
 * @param withBody false for HEAD: the headers are the same, and no body follows
 */
export function writeResponse(
  socket: Socket,
  { status, headers, body }: Http1Response,
  end: string,
  withBody: boolean,
): void {
  const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  const line = statusLines[status] ?? `HTTP/1.1 ${status} Unknown\r\n`
  // [spec] RFC 9110, 8.6: these have no length, and no body.
  const hasLength = status !== 204 && status !== 304
  const head = `${line}${headers.text}${hasLength ? `Content-Length: ${bytes}\r\n` : ''}${end}`
  if (!withBody || !hasLength || bytes === 0) socket.write(head, 'latin1')
  else if (typeof body === 'string' && body.length === bytes) socket.write(head + body, 'latin1')
  else if (typeof body === 'string' && headers.isAscii) socket.write(head + body, 'utf8')
  else if (bytes <= maxCopiedBytes) socket.write(join(head, body, bytes))
  else {
    socket.cork()
    socket.write(head, 'latin1')
    socket.write(body)
    socket.uncork()
  }
}

function join(head: string, body: string | Buffer, bytes: number): Buffer {
  const message = Buffer.allocUnsafe(head.length + bytes)
  message.write(head, 'latin1')
  if (typeof body === 'string') message.write(body, head.length)
  else message.set(body, head.length)
  return message
}
