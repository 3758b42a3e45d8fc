import { Http1Error } from './errors.ts'
import { addToHash, findKnownField } from './known-fields.ts'

/** How the body of a request is framed. [spec] RFC 9112, 6 */
export type Framing = { readonly kind: 'length'; readonly bytes: number } | { readonly kind: 'chunked' }

/** The request line and the header fields of a request. */
export interface RequestHead {
  readonly method: string
  /** The path with the query string, in visible ASCII; `*` for `OPTIONS *`. */
  readonly target: string
  /** Whether the target came with a host before its path. */
  readonly isAbsolute: boolean
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
const maxNameLength = 100
export const maxMethodLength = 32

const requestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/
const hostPattern = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i

const [cr, lf, tab, space, colon] = [0x0d, 0x0a, 0x09, 0x20, 0x3a]
/** What each byte may be part of. */
const [ofToken, ofValue] = [1, 2]
const uses = Uint8Array.from({ length: 256 }, (_, byte) => {
  const isValue = byte === tab || (byte >= space && byte !== 0x7f)
  return (
    (/[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(String.fromCharCode(byte)) ? ofToken : 0) + (isValue ? ofValue : 0)
  )
})

const noBody: Framing = { kind: 'length', bytes: 0 }
const chunked: Framing = { kind: 'chunked' }

/**
 * Finds the end of a head, which is after its empty line; -1 when it has not arrived. The search begins at `start`, and takes
 * `maxHeadBytes` at most.
 */
export function findHeadEnd(bytes: Uint8Array, start: number): number {
  const length = Math.min(bytes.length, start + maxHeadBytes)
  // Every fourth byte is one of the four bytes that are searched for, or none of them is nearby.
  for (let at = start + 3; at < length; at += 4) {
    const byte = bytes[at]
    if (byte !== cr && byte !== lf) continue
    for (let last = at; last < Math.min(at + 4, length); last += 1)
      if (bytes[last] === lf && bytes[last - 1] === cr && bytes[last - 2] === lf && bytes[last - 3] === cr)
        return last + 1
  }
  return -1
}

/** @throws Http1Error 400 when an incomplete head does not begin with a method, such as the first bytes of TLS */
export function checkHeadStart(bytes: Uint8Array): void {
  let at = 0
  while (at < bytes.length && isOf(ofToken, bytes[at])) at += 1
  if (at > maxMethodLength || (at < bytes.length && (at === 0 || bytes[at] !== space)))
    throw new Http1Error(400, 'Request line is not valid')
}

/**
 * Parses the head of a request. It is strict where HTTP implementations differ: lines end with CRLF, names have no space before the
 * colon, values have one line, and the length of the body is given once.
 *
 * @param bytes has the head from `start` to `end`, which is after its empty line
 * @throws Http1Error 400, 414, 431, 501 or 505
 */
export function parseHead(bytes: Buffer, start: number, end: number): RequestHead {
  // Header values may have non-ASCII bytes, which are read as Latin-1.
  const text = bytes.toString('latin1', start, end)
  const lineEnd = text.indexOf('\r\n')
  const { method, target, isAbsolute, httpVersion } = parseRequestLine(text.slice(0, lineEnd))
  const headers: Record<string, string> = Object.create(null)
  let at = start + lineEnd + 2
  for (let fields = 0; at < end - 2; fields += 1) {
    if (fields === maxFields) throw new Http1Error(431, `Head has more than ${maxFields} fields`)
    at = addField(headers, bytes, text, start, at)
  }
  checkHost(headers, httpVersion)
  const connection = connectionOf(headers['connection'])
  return {
    method,
    target,
    isAbsolute,
    httpVersion,
    headers,
    framing: framingOf(headers, httpVersion),
    keepAlive: httpVersion === '1.1' ? !connection.includes('close') : connection.includes('keep-alive'),
    expectsContinue: httpVersion === '1.1' && expectsContinue(headers['expect']),
    upgrade: connection.includes('upgrade') ? headers['upgrade']?.toLowerCase() : undefined,
  }
}

function parseRequestLine(
  line: string,
): Pick<RequestHead, 'method' | 'target' | 'isAbsolute' | 'httpVersion'> {
  const match = requestLine.exec(line)
  if (match === null) throw new Http1Error(400, 'Request line is not valid')
  const [, method = '', target = '', major, minor] = match
  if (major !== '1') throw new Http1Error(505, 'HTTP version is not supported')
  if (target.length > maxTargetLength)
    throw new Http1Error(414, `Request target is longer than ${maxTargetLength} characters`)
  const path = pathOf(target)
  return { method, target: path, isAbsolute: path !== target, httpVersion: minor === '0' ? '1.0' : '1.1' }
}

/** The path and query of a target. [spec] RFC 9112, 3.2.2: servers accept the absolute form, too. */
function pathOf(target: string): string {
  if (target.startsWith('/') || target === '*') return target
  const absolute = /^https?:\/\/[^/?#]{1,300}/i.exec(target)
  if (absolute === null) throw new Http1Error(400, 'Request target is not valid')
  const path = target.slice(absolute[0].length)
  return path.startsWith('/') ? path : `/${path}`
}

/**
 * Adds the field whose line begins at `start`. The line ends before the end of the head.
 *
 * @param text the head, whose first character is the byte at `offset`
 * @returns where the next line begins
 */
function addField(
  headers: Record<string, string>,
  bytes: Buffer,
  text: string,
  offset: number,
  start: number,
): number {
  let at = start
  let hash = 0
  for (; isOf(ofToken, bytes[at]); at += 1) hash = addToHash(hash, bytes[at] as number)
  if (bytes[at] !== colon || at === start || at - start > maxNameLength)
    throw new Http1Error(400, 'Header field is not valid')
  const known = findKnownField(bytes, start, at, hash)
  const name = known?.name ?? text.slice(start - offset, at - offset).toLowerCase()
  do at += 1
  while (isBlank(bytes[at]))
  const valueStart = at
  while (isOf(ofValue, bytes[at])) at += 1
  if (bytes[at] !== cr || bytes[at + 1] !== lf) throw new Http1Error(400, 'Header value is not valid')
  let valueEnd = at
  while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1])) valueEnd -= 1
  const value = text.slice(valueStart - offset, valueEnd - offset)
  const before = headers[name]
  if (before !== undefined && known?.isSingle === true)
    throw new Http1Error(400, `Header "${name}" is there twice`)
  headers[name] = before === undefined ? value : `${before}, ${value}`
  return at + 2
}

function isOf(use: number, byte: number | undefined): boolean {
  return ((uses[byte as number] as number) & use) !== 0
}

function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab
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
    return chunked
  }
  if (length === undefined) return noBody
  if (!/^\d{1,15}$/.test(length)) throw new Http1Error(400, 'Content-Length is not valid')
  return { kind: 'length', bytes: Number(length) }
}

function expectsContinue(expect: string | undefined): boolean {
  if (expect === undefined) return false
  if (expect.toLowerCase() !== '100-continue') throw new Http1Error(417, 'Expect must be "100-continue"')
  return true
}

const none: readonly string[] = []

/** The options of the Connection header, in lower case. */
function connectionOf(value: string | undefined): readonly string[] {
  if (value === undefined) return none
  const options = value.toLowerCase().split(',')
  return options.map((option) => option.trim())
}
