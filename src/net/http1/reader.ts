import { Http1Error } from './errors.ts'
import {
  checkHeadStart,
  findHeadEnd,
  maxHeadBytes,
  maxMethodLength,
  parseHead,
  type RequestHead,
} from './head.ts'

/** The parts of requests, in order: the head, the chunks of the body, and the end of the body. */
export type Part =
  | { readonly type: 'head'; readonly head: RequestHead }
  | { readonly type: 'data'; readonly bytes: Buffer }
  | { readonly type: 'end' }

/** The longest line with the size of a chunk. A chunk of 15 MiB has six digits, and an extension may follow. */
const maxChunkLineBytes = 256
const maxTrailerBytes = 8 * 1024
/** The size of the buffer for an incomplete line: at first, and the most that is kept for the next line. */
const firstLineBytes = 512
const maxKeptBytes = 2048
const cr = 0x0d
const lf = 0x0a
const empty: Buffer = Buffer.alloc(0)

/**
 * Parses the bytes of a connection into requests. It has no I/O. It keeps at most one head and the last chunk in memory, and
 * takes linear time.
 */
export class RequestReader {
  #at: 'head' | 'body' | 'chunk' | 'chunk-line' | 'chunk-end' | 'trailers' = 'head'
  /** The bytes of the body or chunk that were not read yet. */
  #left = 0
  #input = empty
  /** The number of bytes of the input that were read. */
  #offset = 0
  /** Where the head that was read last begins. */
  #headStart = 0
  /** An incomplete head or line. */
  #line = empty
  #lineBytes = 0
  #trailerBytes = 0

  /** Whether a request has begun, and its end was not read yet. */
  get isInRequest(): boolean {
    return this.#at !== 'head' || this.#lineBytes > 0
  }

  /** Whether there are unread bytes. */
  get hasInput(): boolean {
    return this.#offset < this.#input.length
  }

  feed(bytes: Buffer): void {
    this.#input = this.hasInput ? Buffer.concat([this.#rest(), bytes]) : bytes
    this.#offset = 0
  }

  /** Takes the unread bytes, such as the first bytes of another protocol. */
  takeInput(): Buffer {
    const rest = this.#rest()
    this.#skip(rest.length)
    return rest
  }

  /** Takes all bytes from the beginning of the head that was just read, that cannot be read, or that is not complete. */
  takeRequest(): Buffer {
    if (this.#at !== 'head') this.#offset = this.#headStart
    this.#at = 'head'
    const line = this.#line.subarray(0, this.#lineBytes)
    this.#lineBytes = 0
    return Buffer.concat([line, this.takeInput()])
  }

  /** Whether the rest of the body has arrived. Of a body in chunks that is not known. */
  get hasBody(): boolean {
    return this.#at === 'body' && this.#offset + this.#left <= this.#input.length
  }

  /** Takes the rest of a body that has arrived completely; undefined for any other, and for one in chunks. */
  takeBody(): Buffer | undefined {
    if (!this.hasBody) return undefined
    const bytes = this.#input.subarray(this.#offset, this.#offset + this.#left)
    this.skipBody()
    return bytes
  }

  /** Skips a body for which `hasBody` is true. */
  skipBody(): void {
    this.#skip(this.#left)
    this.#at = 'head'
  }

  /**
   * The next part; undefined when more bytes are needed.
   *
   * @throws Http1Error for an invalid request. Nothing can be read afterwards
   */
  next(): Part | undefined {
    for (;;) {
      switch (this.#at) {
        case 'head':
          return this.#readHead()
        case 'body':
        case 'chunk':
          if (this.#left > 0) return this.#readData()
          if (this.#at === 'chunk') {
            this.#at = 'chunk-end'
            break
          }
          this.#at = 'head'
          this.#skip(0)
          return { type: 'end' }
        case 'chunk-end': {
          const line = this.#readLine(2)
          if (line === undefined) return undefined
          if (line.length > 0) throw new Http1Error(400, 'A chunk is longer than it says')
          this.#at = 'chunk-line'
          break
        }
        case 'chunk-line': {
          const line = this.#readLine(maxChunkLineBytes)
          if (line === undefined) return undefined
          this.#left = chunkSize(line)
          this.#trailerBytes = 0
          this.#at = this.#left === 0 ? 'trailers' : 'chunk'
          break
        }
        case 'trailers': {
          const line = this.#readLine(maxTrailerBytes)
          if (line === undefined) return undefined
          if (line.length === 0) {
            this.#at = 'head'
            return { type: 'end' }
          }
          this.#trailerBytes += line.length
          if (this.#trailerBytes > maxTrailerBytes) throw new Http1Error(431, 'Trailers are too long')
          if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:/.test(line)) throw new Http1Error(400, 'Trailer is not valid')
        }
      }
    }
  }

  #readData(): Part | undefined {
    if (!this.hasInput) return undefined
    const bytes = this.#input.subarray(this.#offset, this.#offset + this.#left)
    this.#left -= bytes.length
    this.#skip(bytes.length)
    return { type: 'data', bytes }
  }

  #readHead(): Part | undefined {
    if (!this.hasInput) return undefined
    if (this.#lineBytes === 0 && !this.#skipEmptyLines()) return undefined
    // Most heads arrive in one piece, and are read where they are.
    let end = this.#lineBytes === 0 ? findHeadEnd(this.#input, this.#offset) : -1
    if (end === -1) {
      if (!this.#joinHead()) return undefined
      end = findHeadEnd(this.#input, 0)
    }
    const head = parseHead(this.#input, this.#offset, end)
    this.#headStart = this.#offset
    this.#offset = end
    this.#at = head.framing.kind === 'chunked' ? 'chunk-line' : 'body'
    this.#left = head.framing.kind === 'chunked' ? 0 : head.framing.bytes
    return { type: 'head', head }
  }

  /** Makes the input begin with the head that has arrived in pieces. @returns false when it has not arrived completely */
  #joinHead(): boolean {
    const before = this.#lineBytes
    const taken = this.#addToLine(maxHeadBytes)
    const line = this.#line.subarray(0, this.#lineBytes)
    if (findHeadEnd(line, Math.max(before - 3, 0)) === -1) {
      // First of all: `takeRequest` returns what is unread beside the line.
      this.#skip(taken)
      if (before <= maxMethodLength) checkHeadStart(line)
      if (hasBareLf(line, before)) throw new Http1Error(400, 'Lines of the head must end with CRLF')
      if (this.#lineBytes >= maxHeadBytes)
        throw new Http1Error(431, `Head is longer than ${maxHeadBytes} bytes`)
      return false
    }
    this.#input = Buffer.concat([this.#line.subarray(0, before), this.#rest()])
    this.#offset = 0
    this.#endLine()
    return true
  }

  /** Skips empty lines, which old clients send after a body. [spec] RFC 9112, 2.2. @returns whether more can be read */
  #skipEmptyLines(): boolean {
    while (this.#input[this.#offset] === cr) {
      if (this.#input[this.#offset + 1] !== lf) return this.#input.length - this.#offset > 1
      this.#skip(2)
    }
    return true
  }

  /** A line without its CRLF; undefined until it is complete. */
  #readLine(maxBytes: number): string | undefined {
    const before = this.#lineBytes
    const taken = this.#addToLine(maxBytes + 2)
    const bytes = this.#line.subarray(0, this.#lineBytes)
    const end = bytes.indexOf(lf, Math.max(before - 1, 0))
    if (end === -1) {
      if (this.#lineBytes >= maxBytes + 2) throw new Http1Error(400, 'A line of the body is too long')
      this.#skip(taken)
      return undefined
    }
    // Some implementations accept a bare CR or LF as the end of a line, and would read other requests.
    if (end === 0 || bytes.indexOf(cr) !== end - 1)
      throw new Http1Error(400, 'Lines of the body must end with CRLF')
    const line = bytes.toString('latin1', 0, end - 1)
    this.#skip(end + 1 - before)
    this.#endLine()
    return line
  }

  /** Appends the input to the incomplete line, and leaves it unread. @returns the number of appended bytes */
  #addToLine(maxBytes: number): number {
    const before = this.#lineBytes
    const bytes = this.#input.subarray(this.#offset, this.#offset + maxBytes - before)
    if (before + bytes.length > this.#line.length) {
      const length = Math.max(firstLineBytes, 2 * this.#line.length, before + bytes.length)
      const larger = Buffer.allocUnsafe(Math.min(maxHeadBytes, length))
      this.#line.copy(larger, 0, 0, before)
      this.#line = larger
    }
    bytes.copy(this.#line, before)
    this.#lineBytes += bytes.length
    return bytes.length
  }

  /** The buffer of a long line is released, because connections stay open for long. */
  #endLine(): void {
    this.#lineBytes = 0
    if (this.#line.length > maxKeptBytes) this.#line = empty
  }

  #rest(): Buffer {
    return this.#input.subarray(this.#offset)
  }

  /** Marks input as read. It is released at its end. */
  #skip(bytes: number): void {
    this.#offset += bytes
    if (this.hasInput) return
    this.#input = empty
    this.#offset = 0
  }
}

/** [spec] RFC 9112, 7.1 */
function chunkSize(line: string): number {
  const match = /^([0-9a-f]{1,8})[ \t]*(?:;[\x20-\x7e\t]*)?$/i.exec(line)
  if (match === null) throw new Http1Error(400, 'The size of a chunk is not valid')
  return Number.parseInt(match[1] as string, 16)
}

/** Whether a line of an incomplete head ends without CR. Such a head would never be complete. @param from the first byte that is new */
function hasBareLf(line: Buffer, from: number): boolean {
  for (let at = line.indexOf(lf, from); at !== -1; at = line.indexOf(lf, at + 1))
    if (line[at - 1] !== cr) return true
  return false
}
