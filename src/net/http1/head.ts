import { Http1Error } from './errors.ts'

/** How the body of a request is framed. [spec] RFC 9112, 6 */
export type Framing = { readonly kind: 'length'; readonly bytes: number } | { readonly kind: 'chunked' }

/** The request line and the header fields of a request. */
export interface RequestHead {
  readonly method: string
  /** The path with the query string, in visible ASCII; `*` for `OPTIONS *`. */
  readonly target: string
  readonly httpVersion: '1.0' | '1.1'
  /** The header fields by name in lower case. Repeated fields are joined by commas. The object has no prototype. */
  readonly headers: Readonly<Record<string, string>>
  readonly framing: Framing
  /** Whether the client allows the connection to stay open. */
  readonly keepAlive: boolean
  /** Whether the client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean
  /** The protocol of a requested upgrade, in lower case. */
  readonly upgrade: string | undefined
}

export const maxHeadBytes = 16 * 1024
const maxTargetLength = 8 * 1024
const maxFields = 100
/** Fields that must not be repeated, because they determine the end of the message or the sender of the request. */
const singletons = new Set([
  ...['host', 'content-length', 'transfer-encoding', 'content-encoding', 'content-type', 'expect', 'upgrade'],
  ...['authorization', 'x-auth-token', 'x-auth-account', 'sec-websocket-key', 'sec-websocket-version'],
])

const requestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters
const controlCharacter = /[\x00-\x08\x0a-\x1f\x7f]/
const hostPattern = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i

/**
 * Parses the head of a request, without the empty line at its end. It is strict where HTTP implementations differ: lines end with
 * CRLF, names have no space before the colon, values have one line, and the length of the body is given once.
 *
 * @param bytes ends with the CRLF of the last line
 * @throws Http1Error 400, 414, 431, 501 or 505
 */
export function parseHead(bytes: Buffer): RequestHead {
  // Header values may have non-ASCII bytes, which are read as Latin-1.
  const lines = bytes.toString('latin1').split('\r\n')
  lines.pop()
  const [first = '', ...fields] = lines
  const { method, target, httpVersion } = parseRequestLine(first)
  if (fields.length > maxFields) throw new Http1Error(431, `Head has more than ${maxFields} fields`)
  const headers: Record<string, string> = Object.create(null)
  for (const field of fields) addField(headers, field)
  checkHost(headers, httpVersion)
  const connection = listOf(headers['connection'])
  return {
    method,
    target,
    httpVersion,
    headers,
    framing: framingOf(headers, httpVersion),
    keepAlive: httpVersion === '1.1' ? !connection.includes('close') : connection.includes('keep-alive'),
    expectsContinue: httpVersion === '1.1' && expectsContinue(headers['expect']),
    upgrade: connection.includes('upgrade') ? headers['upgrade']?.toLowerCase() : undefined,
  }
}

function parseRequestLine(line: string): Pick<RequestHead, 'method' | 'target' | 'httpVersion'> {
  const match = requestLine.exec(line)
  if (match === null) throw new Http1Error(400, 'Request line is not valid')
  const [, method = '', target = '', major, minor] = match
  if (major !== '1') throw new Http1Error(505, 'HTTP version is not supported')
  if (target.length > maxTargetLength)
    throw new Http1Error(414, `Request target is longer than ${maxTargetLength} characters`)
  return { method, target: pathOf(target), httpVersion: minor === '0' ? '1.0' : '1.1' }
}

/** The path and query of a target. [spec] RFC 9112, 3.2.2: servers accept the absolute form, too. */
function pathOf(target: string): string {
  if (target.startsWith('/') || target === '*') return target
  const absolute = /^https?:\/\/[^/?#]{1,300}/i.exec(target)
  if (absolute === null) throw new Http1Error(400, 'Request target is not valid')
  const path = target.slice(absolute[0].length)
  return path.startsWith('/') ? path : `/${path}`
}

function addField(headers: Record<string, string>, line: string): void {
  const colon = line.indexOf(':')
  const name = line.slice(0, Math.max(colon, 0))
  if (!fieldName.test(name)) throw new Http1Error(400, 'Header field is not valid')
  const value = trimBlanks(line.slice(colon + 1))
  if (controlCharacter.test(value)) throw new Http1Error(400, 'Header value is not valid')
  const key = name.toLowerCase()
  const known = headers[key]
  if (known !== undefined && singletons.has(key)) throw new Http1Error(400, `Header "${key}" is there twice`)
  headers[key] = known === undefined ? value : `${known}, ${value}`
}

/** Removes spaces and tabs at both ends. `trim` would remove more characters. */
function trimBlanks(text: string): string {
  let [start, end] = [0, text.length]
  const isBlank = (at: number) => text[at] === ' ' || text[at] === '\t'
  while (start < end && isBlank(start)) start += 1
  while (end > start && isBlank(end - 1)) end -= 1
  return text.slice(start, end)
}

function checkHost({ host }: RequestHead['headers'], httpVersion: string): void {
  if (host === undefined && httpVersion === '1.0') return
  if (!hostPattern.test(host ?? '')) throw new Http1Error(400, 'Host header is not valid')
}

/** [spec] RFC 9112, 6.1 and 11.2: a message with two different lengths allows request smuggling. */
function framingOf(headers: RequestHead['headers'], httpVersion: string): Framing {
  const { 'transfer-encoding': encoding, 'content-length': length } = headers
  if (encoding !== undefined) {
    if (length !== undefined) throw new Http1Error(400, 'Content-Length and Transfer-Encoding are both there')
    if (httpVersion === '1.0') throw new Http1Error(400, 'Transfer-Encoding needs HTTP/1.1')
    if (encoding.toLowerCase() !== 'chunked') throw new Http1Error(501, 'Transfer-Encoding must be "chunked"')
    return { kind: 'chunked' }
  }
  if (length === undefined) return { kind: 'length', bytes: 0 }
  if (!/^\d{1,15}$/.test(length)) throw new Http1Error(400, 'Content-Length is not valid')
  return { kind: 'length', bytes: Number(length) }
}

function expectsContinue(expect: string | undefined): boolean {
  if (expect === undefined) return false
  if (expect.toLowerCase() !== '100-continue') throw new Http1Error(417, 'Expect must be "100-continue"')
  return true
}

function listOf(value: string | undefined): string[] {
  return (value ?? '').split(',').map((item) => trimBlanks(item).toLowerCase())
}
