import { STATUS_CODES } from 'node:http'

// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters
const unsafe = /[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/

/** Header fields that are checked and encoded once, for many responses. */
export class EncodedHeaders {
  readonly text: string

  /** @throws TypeError for a value with a line break */
  constructor(headers: Readonly<Record<string, string>>) {
    let text = ''
    for (const [name, value] of Object.entries(headers)) {
      if (unsafe.test(value)) throw new TypeError(`The value of the header "${name}" is not valid`)
      text += `${name}: ${value}\r\n`
    }
    this.text = text
  }
}

export interface Http1Response {
  readonly status: number
  readonly headers: EncodedHeaders
  readonly body: string | Buffer
}

/**
 * Encodes a response as one buffer. Two separate writes can cost a round trip, because of Nagle's algorithm and delayed
 * acknowledgements.
 *
 * @param withBody false for HEAD: the headers are the same, and no body follows
 */
export function encodeResponse(
  { status, headers, body }: Http1Response,
  {
    keepAlive,
    withBody,
    date,
  }: { readonly keepAlive: boolean; readonly withBody: boolean; readonly date: Date },
): Buffer {
  const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${headers.text}Content-Length: ${bytes}\r\nDate: ${date.toUTCString()}\r\nConnection: ${keepAlive ? 'keep-alive' : 'close'}\r\n\r\n`
  const message = Buffer.allocUnsafe(head.length + (withBody ? bytes : 0))
  message.write(head, 0, 'latin1')
  if (!withBody) return message
  if (typeof body === 'string') message.write(body, head.length, 'utf8')
  else message.set(body, head.length)
  return message
}
