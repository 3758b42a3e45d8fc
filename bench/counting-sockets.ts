import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/** How the clients of a server speak over WebSocket. */
export interface Dialect {
  readonly path: string
  readonly subprotocol: string | undefined
  /** The first message of a client; undefined where the server speaks first, or the client says nothing. */
  readonly first: ((index: number) => Buffer) | undefined
  /**
   * What a client does with a payload until its subscription is open: sends another one, is open, or waits.
   *
   * @throws Error when the server refuses the client
   */
  readonly reply: (payload: Buffer, index: number) => Buffer | 'open' | undefined
  /** Undefined where each frame is a message. Otherwise messages of one size follow each other in the payloads of frames. */
  readonly stream:
    | {
        /** With what surrounds it, in bytes. */
        readonly messageSize: number
        /** Of a message. Anything else is a ping of two or six bytes. */
        readonly firstByte: number
        readonly pingSize: number
        readonly pong: Buffer
      }
    | undefined
}

export interface CountingSockets {
  /** How many messages arrived at all sockets. */
  readonly messages: number
  /** Resolves when that many have arrived; rejects with what is missing when nothing arrives for `withinMs`. */
  until(messages: number, withinMs: number): Promise<void>
  /** The fewest and the most messages of one socket. */
  range(): readonly [number, number]
  close(): void
}

const [text, binary, close, ping] = [1, 2, 8, 9]
/** Frames of messages are longer. */
const maxControlBytes = 100
const webSocketPong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

/** A frame as clients send it, with an empty mask. [spec] RFC 6455, 5.2 */
export function clientFrame(payload: Buffer, isBinary = false): Buffer {
  const { length } = payload
  const opcode = 0x80 | (isBinary ? binary : text)
  const head = length < 126 ? [opcode, 0x80 | length] : [opcode, 0x80 | 126, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload])
}

/** All sockets read into the same memory: it is used before the next one reads. */
const memory = Buffer.allocUnsafeSlow(256 * 1024)

/**
 * Opens a WebSocket with a subscription for each of `count` clients. After that each message is only counted, by its place among
 * the bytes, so that the server and not its clients is measured.
 *
 * @throws Error when a subscription is refused
 */
export async function openCountingSockets(
  port: number,
  count: number,
  dialect: Dialect,
  atOnce = 50,
): Promise<CountingSockets> {
  const total = { messages: 0, upTo: Number.POSITIVE_INFINITY, resolve: () => {} }
  const lines: Line[] = []
  let next = 0
  const openNext = async () => {
    while (next < count) {
      const line = new Line(port, next, dialect, () => {
        total.messages += 1
        if (total.messages >= total.upTo) total.resolve()
      })
      lines.push(line)
      next += 1
      await line.opened.promise
    }
  }
  await Promise.all(Array.from({ length: atOnce }, openNext))
  return {
    get messages() {
      return total.messages
    },
    async until(messages, withinMs) {
      if (total.messages >= messages) return
      const arrived = Promise.withResolvers<void>()
      let last = total.messages
      const timer = setInterval(() => {
        if (total.messages === last)
          arrived.reject(new Error(`${messages - total.messages} messages did not arrive`))
        last = total.messages
      }, withinMs)
      Object.assign(total, { upTo: messages, resolve: arrived.resolve })
      await arrived.promise.finally(() => clearInterval(timer))
      total.upTo = Number.POSITIVE_INFINITY
    },
    range() {
      const counts = lines.map(({ messages }) => messages)
      return [counts.reduce((a, b) => Math.min(a, b)), counts.reduce((a, b) => Math.max(a, b))]
    },
    close() {
      for (const { socket } of lines) socket.destroy()
    },
  }
}

/** One client. */
class Line {
  readonly socket: Socket
  readonly opened = Promise.withResolvers<void>()
  messages = 0
  readonly #index: number
  readonly #dialect: Dialect
  readonly #onMessage: () => void
  #state: 'upgrading' | 'subscribing' | 'open' = 'upgrading'
  /** The begin of something that is not complete. */
  #rest: Buffer | undefined
  /** How many bytes of the payload of the present frame are still to come, and of the present message in it. */
  #payloadLeft = 0
  #messageLeft = 0

  constructor(port: number, index: number, dialect: Dialect, onMessage: () => void) {
    this.#index = index
    this.#dialect = dialect
    this.#onMessage = onMessage
    const { path, subprotocol } = dialect
    const offered = subprotocol === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`
    this.socket = connect({
      ...{ port, host: '127.0.0.1' },
      onread: {
        buffer: memory,
        callback: (length) => {
          this.#receive(memory.subarray(0, length))
          return true
        },
      },
    })
    this.socket.on('error', (error) => this.opened.reject(error))
    this.socket.on('close', () => this.opened.reject(new Error('A socket was closed while it subscribed')))
    this.socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n${offered}\r\n`,
    )
  }

  #receive(chunk: Buffer): void {
    let bytes = chunk
    if (this.#rest !== undefined) {
      bytes = Buffer.concat([this.#rest, chunk])
      this.#rest = undefined
    }
    try {
      let at = this.#state === 'upgrading' ? this.#upgrade(bytes) : 0
      if (this.#state === 'subscribing') at = this.#subscribe(bytes, at)
      if (this.#state === 'open') at = this.#count(bytes, at)
      if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at))
    } catch (error) {
      this.opened.reject(error)
      this.socket.destroy()
    }
  }

  /** @returns where the unread bytes begin, as do the others */
  #upgrade(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n\r\n')
    if (end === -1) return 0
    if (bytes.toString('latin1', 0, 12) !== 'HTTP/1.1 101')
      throw new Error(`Expected a WebSocket, got ${bytes.toString('latin1', 0, bytes.indexOf('\r'))}`)
    const { first, reply } = this.#dialect
    if (first !== undefined) this.socket.write(first(this.#index))
    this.#state = 'subscribing'
    if (reply(Buffer.alloc(0), this.#index) === 'open') this.#open()
    return end + 4
  }

  #subscribe(bytes: Buffer, from: number): number {
    let at = from
    while (this.#state === 'subscribing') {
      const header = headerOf(bytes, at)
      if (header === undefined || at + header.size + header.payload > bytes.length) return at
      const payload = bytes.subarray(at + header.size, at + header.size + header.payload)
      at += header.size + header.payload
      if (header.opcode === close) throw new Error(`A socket was closed: ${String(payload.subarray(2))}`)
      if (header.opcode === ping) this.socket.write(webSocketPong)
      if (header.opcode !== text && header.opcode !== binary) continue
      const next = this.#dialect.reply(payload, this.#index)
      if (next === 'open') this.#open()
      else if (next !== undefined) this.socket.write(next)
    }
    return at
  }

  #open(): void {
    this.#state = 'open'
    this.opened.resolve()
  }

  #count(bytes: Buffer, from: number): number {
    const { stream } = this.#dialect
    let at = from
    while (at < bytes.length) {
      if (this.#payloadLeft === 0) {
        const header = headerOf(bytes, at)
        if (header === undefined) return at
        at += header.size
        this.#payloadLeft = header.payload
        if (header.opcode === ping) this.socket.write(webSocketPong)
        else if (header.opcode === close) throw new Error('A socket was closed')
        // A message counts once it has begun: its end follows, or the socket breaks.
        else if (stream === undefined && header.payload > maxControlBytes) this.#countOne()
        continue
      }
      const end = Math.min(at + this.#payloadLeft, bytes.length)
      this.#payloadLeft -= end - at
      if (stream !== undefined) this.#countIn(bytes, at, end, stream)
      at = end
    }
    return at
  }

  /** Counts the messages that begin in a part of the stream. */
  #countIn(bytes: Buffer, from: number, end: number, stream: NonNullable<Dialect['stream']>): void {
    let at = from + this.#messageLeft
    while (at < end) {
      if (bytes[at] === stream.firstByte) {
        this.#countOne()
        at += stream.messageSize
      } else {
        this.socket.write(stream.pong)
        at += stream.pingSize
      }
    }
    this.#messageLeft = at - end
  }

  #countOne(): void {
    this.messages += 1
    this.#onMessage()
  }
}

function headerOf(
  bytes: Buffer,
  at: number,
): { readonly opcode: number; readonly size: number; readonly payload: number } | undefined {
  if (at + 2 > bytes.length) return undefined
  const opcode = (bytes[at] as number) & 15
  const short = (bytes[at + 1] as number) & 127
  if (short < 126) return { opcode, size: 2, payload: short }
  const size = short === 126 ? 4 : 10
  if (at + size > bytes.length) return undefined
  const payload = short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUIntBE(at + 4, 6)
  return { opcode, size, payload }
}
