import { Http1Error } from './errors.ts'
import { maxHeadBytes, parseHead, type RequestHead } from './head.ts'

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

type State =
  | { readonly at: 'head' | 'chunk-line' | 'chunk-end' | 'trailers' }
  | { readonly at: 'body' | 'chunk'; left: number }

/**
 * Parses the bytes of a connection into requests. It has no I/O. It keeps at most one head and the last chunk in memory, and
 * takes linear time.
 */
export class RequestReader {
  #state: State = { at: 'head' }
  #input: Buffer = Buffer.alloc(0)
  /** An incomplete head or line. */
  #line = Buffer.allocUnsafe(firstLineBytes)
  #lineBytes = 0
  #trailerBytes = 0

  /** Whether a request has begun, and its end was not read yet. */
  get isInRequest(): boolean {
    return this.#state.at !== 'head' || this.#lineBytes > 0
  }

  /** Whether there are unread bytes. */
  get hasInput(): boolean {
    return this.#input.length > 0
  }

  feed(bytes: Buffer): void {
    this.#input = this.#input.length === 0 ? bytes : Buffer.concat([this.#input, bytes])
  }

  /** Takes the unread bytes, such as the first bytes of another protocol. */
  takeInput(): Buffer {
    const input = this.#input
    this.#input = Buffer.alloc(0)
    return input
  }

  /**
   * The next part; undefined when more bytes are needed.
   *
   * @throws Http1Error for an invalid request. Nothing can be read afterwards
   */
  next(): Part | undefined {
    for (;;) {
      const state = this.#state
      switch (state.at) {
        case 'head':
          return this.#readHead()
        case 'body':
        case 'chunk': {
          if (state.left > 0) return this.#readData(state)
          if (state.at === 'chunk') {
            this.#state = { at: 'chunk-end' }
            break
          }
          this.#state = { at: 'head' }
          return { type: 'end' }
        }
        case 'chunk-end': {
          const line = this.#readLine(2)
          if (line === undefined) return undefined
          if (line.length > 0) throw new Http1Error(400, 'A chunk is longer than it says')
          this.#state = { at: 'chunk-line' }
          break
        }
        case 'chunk-line': {
          const line = this.#readLine(maxChunkLineBytes)
          if (line === undefined) return undefined
          const left = chunkSize(line)
          this.#trailerBytes = 0
          this.#state = left === 0 ? { at: 'trailers' } : { at: 'chunk', left }
          break
        }
        case 'trailers': {
          const line = this.#readLine(maxTrailerBytes)
          if (line === undefined) return undefined
          if (line.length === 0) {
            this.#state = { at: 'head' }
            return { type: 'end' }
          }
          this.#trailerBytes += line.length
          if (this.#trailerBytes > maxTrailerBytes) throw new Http1Error(431, 'Trailers are too long')
          if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:/.test(line)) throw new Http1Error(400, 'Trailer is not valid')
        }
      }
    }
  }

  #readData(state: { left: number }): Part | undefined {
    if (this.#input.length === 0) return undefined
    const bytes = this.#input.subarray(0, state.left)
    this.#input = this.#input.subarray(bytes.length)
    state.left -= bytes.length
    return { type: 'data', bytes }
  }

  #readHead(): Part | undefined {
    if (this.#lineBytes === 0 && !this.#skipEmptyLine()) return undefined
    const searched = Math.max(this.#lineBytes - 3, 0)
    const taken = this.#takeIntoLine(maxHeadBytes)
    const end = this.#line.subarray(0, this.#lineBytes).indexOf('\r\n\r\n', searched, 'latin1')
    if (end === -1) {
      if (this.#lineBytes >= maxHeadBytes)
        throw new Http1Error(431, `Head is longer than ${maxHeadBytes} bytes`)
      return undefined
    }
    this.#giveBack(taken, end + 4)
    const bytes = this.#line.subarray(0, end + 2)
    this.#lineBytes = 0
    // The buffer of a long head is released, because connections stay open for long.
    if (this.#line.length > maxKeptBytes) this.#line = Buffer.allocUnsafe(firstLineBytes)
    if (hasBareBreak(bytes)) throw new Http1Error(400, 'Lines of the head must end with CRLF')
    const head = parseHead(bytes)
    this.#state =
      head.framing.kind === 'chunked' ? { at: 'chunk-line' } : { at: 'body', left: head.framing.bytes }
    return { type: 'head', head }
  }

  /** Skips the empty line that old clients send after a body. [spec] RFC 9112, 2.2. @returns whether more can be read */
  #skipEmptyLine(): boolean {
    if (this.#input[0] !== cr) return true
    if (this.#input[1] === lf) this.#input = this.#input.subarray(2)
    return this.#input.length !== 1
  }

  /** A line without its CRLF; undefined until it is complete. */
  #readLine(maxBytes: number): string | undefined {
    const searched = Math.max(this.#lineBytes - 1, 0)
    const taken = this.#takeIntoLine(maxBytes + 2)
    const end = this.#line.subarray(0, this.#lineBytes).indexOf(lf, searched)
    if (end === -1) {
      if (this.#lineBytes >= maxBytes + 2) throw new Http1Error(400, 'A line of the body is too long')
      return undefined
    }
    this.#giveBack(taken, end + 1)
    const bytes = this.#line.subarray(0, end + 1)
    this.#lineBytes = 0
    if (end === 0 || hasBareBreak(bytes)) throw new Http1Error(400, 'Lines of the body must end with CRLF')
    return bytes.toString('latin1', 0, end - 1)
  }

  /** Appends the input to the incomplete line. @returns the previous length of the line, and the previous input */
  #takeIntoLine(maxBytes: number): { readonly before: number; readonly input: Buffer } {
    const [before, input] = [this.#lineBytes, this.#input]
    const bytes = input.subarray(0, maxBytes - before)
    if (before + bytes.length > this.#line.length) {
      const larger = Buffer.allocUnsafe(
        Math.min(maxHeadBytes, Math.max(2 * this.#line.length, before + bytes.length)),
      )
      this.#line.copy(larger, 0, 0, before)
      this.#line = larger
    }
    bytes.copy(this.#line, before)
    this.#lineBytes += bytes.length
    this.#input = input.subarray(bytes.length)
    return { before, input }
  }

  /** Returns the bytes of the line after the first `end` to the input. */
  #giveBack({ before, input }: { readonly before: number; readonly input: Buffer }, end: number): void {
    this.#input = input.subarray(end - before)
  }
}

/** [spec] RFC 9112, 7.1 */
function chunkSize(line: string): number {
  const match = /^([0-9a-f]{1,8})[ \t]*(?:;[\x20-\x7e\t]*)?$/i.exec(line)
  if (match === null) throw new Http1Error(400, 'The size of a chunk is not valid')
  return Number.parseInt(match[1] as string, 16)
}

/**
 * Whether there is a CR or LF that is not part of a CRLF. Some implementations accept these as line ends, and would read other
 * requests.
 */
function hasBareBreak(bytes: Buffer): boolean {
  for (let at = bytes.indexOf(cr); at !== -1; at = bytes.indexOf(cr, at + 1))
    if (bytes[at + 1] !== lf) return true
  for (let at = bytes.indexOf(lf); at !== -1; at = bytes.indexOf(lf, at + 1))
    if (at === 0 || bytes[at - 1] !== cr) return true
  return false
}
