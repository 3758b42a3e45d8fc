import type { Socket } from 'node:net'
import { decodeBody, tooLong } from './body.ts'
import { Http1Error } from './errors.ts'
import type { RequestHead } from './head.ts'
import { RequestReader } from './reader.ts'
import { encodeResponse, type Http1Response } from './response.ts'

/** The limits of a body. */
export interface BodyLimits {
  /** The most bytes, before and after decoding. */
  readonly maxBytes: number
  /** The longest pause. */
  readonly idleMs: number
  /** The longest time for the whole body. */
  readonly wholeMs: number
  /** Called with the number of bytes of each chunk. An error that it throws rejects the body. */
  readonly onBytes?: (bytes: number) => void
}

export interface Http1Request extends RequestHead {
  readonly socket: Socket
  /** Whether the client has closed the connection. */
  readonly isGone: boolean
  /**
   * Reads and decodes the whole body; empty without one. Can be called once.
   *
   * @throws Http1Error 400 for an incomplete or invalid body, 408, 413 or 415
   * @throws the error of `onBytes`
   */
  readBody(limits: BodyLimits): Promise<Buffer>
}

export interface Http1Options {
  /** Resolves with the response to a request. A rejection closes the connection. */
  readonly handle: (request: Http1Request) => Promise<Http1Response>
  /** The response to an invalid request. */
  readonly refuse: (error: Http1Error) => Http1Response
  /** Takes over the connection for an upgrade to another protocol, with the bytes after the head of the request. */
  readonly upgrade?: (request: Http1Request, after: Buffer) => void
  /** Called with the error of a rejected `handle`. */
  readonly onError?: (error: unknown) => void
  readonly headMs?: number
  readonly idleMs?: number
  readonly writeMs?: number
}

/** The timeouts of a head, of an unused connection, and of a response that the client does not read. */
const defaults = { headMs: 10_000, idleMs: 75_000, writeMs: 120_000 }
/**
 * The most that is read of a rejected request after its response. Closing earlier could reset the connection, and lose the
 * response.
 */
const drainMs = 2000
const drainBytes = 8 * 1024 * 1024

/** The state of a body while it is read. */
interface Arrival {
  readonly chunks: Buffer[]
  bytes: number
  readonly limits: BodyLimits
  idle: NodeJS.Timeout | undefined
  whole: NodeJS.Timeout | undefined
  readonly resolve: (bytes: Buffer) => void
  readonly reject: (error: unknown) => void
}

/** The request that is being handled. */
interface Exchange {
  readonly head: RequestHead
  body: 'unread' | 'read' | 'failed' | Arrival
}

/**
 * One connection of a client. Requests are handled one after the other. While one is handled, the next is not read, so TCP stops
 * the client from sending.
 */
export class Connection {
  readonly #socket: Socket
  readonly #options: Http1Options
  readonly #onClose: () => void
  readonly #reader = new RequestReader()
  #exchange: Exchange | undefined
  #timer: NodeJS.Timeout | undefined
  #timerIsOfHead = false
  /** Whether no further request is read. */
  #isEnding = false
  #isGone = false
  /** Whether the client has closed its side. */
  #hasEnded = false

  /** @param onClose called once, when the socket has closed or was taken over by another protocol */
  constructor(socket: Socket, options: Http1Options, onClose: () => void) {
    this.#socket = socket
    this.#options = options
    this.#onClose = onClose
    socket.setNoDelay(true)
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', ignore)
    socket.on('close', this.#onClosed)
    this.#waitForHead()
  }

  /** Closes the connection, after the response to a request in progress. */
  close(): void {
    if (this.#exchange === undefined && !this.#isEnding) this.#end()
    this.#isEnding = true
  }

  destroy(): void {
    this.#socket.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#reader.feed(chunk)
    this.#advance()
  }

  readonly #onEnd = (): void => {
    this.#hasEnded = true
    if (this.#exchange === undefined) this.#end()
    else this.#failBody(notComplete)
  }

  readonly #onClosed = (): void => {
    this.#isGone = true
    this.#clearTimer()
    this.#failBody(notComplete)
    this.#onClose()
  }

  /** Reads the received bytes as far as possible in the present state. */
  #advance(): void {
    try {
      while (!this.#isEnding || this.#exchange !== undefined) {
        if (this.#exchange !== undefined && typeof this.#exchange.body === 'string') return this.#holdBack()
        const part = this.#reader.next()
        if (part === undefined) break
        if (part.type === 'head') this.#begin(part.head)
        else if (part.type === 'data') this.#takeBytes(part.bytes)
        else this.#completeBody()
      }
    } catch (error) {
      if (!(error instanceof Http1Error)) throw error
      return this.#exchange === undefined ? this.#refuse(error) : this.#failBody(() => error)
    }
    if (this.#exchange === undefined && !this.#timerIsOfHead && this.#reader.isInRequest) this.#limitHead()
  }

  #holdBack(): void {
    if (this.#reader.hasInput) this.#socket.pause()
  }

  #begin(head: RequestHead): void {
    this.#clearTimer()
    const hasBody = head.framing.kind === 'chunked' || head.framing.bytes > 0
    if (!hasBody) this.#reader.next()
    const exchange: Exchange = { head, body: hasBody ? 'unread' : 'read' }
    const request = this.#toRequest(exchange)
    const { upgrade, handle, onError } = this.#options
    if (head.upgrade !== undefined && !hasBody && upgrade !== undefined && !this.#isEnding) {
      this.#release()
      upgrade(request, this.#reader.takeInput())
      return
    }
    this.#exchange = exchange
    handle(request).then(
      (response) => this.#respond(exchange, response),
      (error: unknown) => {
        onError?.(error)
        this.#socket.destroy()
      },
    )
  }

  #toRequest(exchange: Exchange): Http1Request {
    return new IncomingRequest(
      exchange.head,
      this.#socket,
      () => this.#isGone,
      (limits) => this.#readBody(exchange, limits),
    )
  }

  async #readBody(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
    const { head, body } = exchange
    if (body === 'read') return Buffer.alloc(0)
    if (body !== 'unread') throw notComplete()
    if (head.framing.kind === 'length' && head.framing.bytes > limits.maxBytes) throw tooLong(limits.maxBytes)
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      const arrival: Arrival = {
        chunks: [],
        bytes: 0,
        limits,
        resolve,
        reject,
        idle: undefined,
        whole: undefined,
      }
      exchange.body = arrival
      if (this.#isGone || (this.#hasEnded && !this.#reader.hasInput)) return this.#failBody(notComplete)
      if (head.expectsContinue && !this.#reader.hasInput) this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n')
      this.#advance()
      if (this.#hasEnded) this.#failBody(notComplete)
      // Most bodies arrive with their heads, and need no time limits.
      if (exchange.body === arrival) {
        const late = () => this.#failBody(() => new Http1Error(408, 'Body took too long to arrive'))
        arrival.idle = setTimeout(late, limits.idleMs)
        arrival.whole = setTimeout(late, limits.wholeMs)
      }
      this.#socket.resume()
    })
    return decodeBody(bytes, head.headers['content-encoding'], limits.maxBytes)
  }

  #takeBytes(bytes: Buffer): void {
    const body = this.#exchange?.body
    if (body === undefined || typeof body === 'string') return
    body.idle?.refresh()
    body.bytes += bytes.length
    try {
      if (body.bytes > body.limits.maxBytes) throw tooLong(body.limits.maxBytes)
      body.limits.onBytes?.(bytes.length)
      body.chunks.push(bytes)
    } catch (error) {
      this.#failBody(() => error)
    }
  }

  #completeBody(): void {
    const body = this.#exchange?.body
    if (this.#exchange === undefined || body === undefined || typeof body === 'string') return
    this.#exchange.body = 'read'
    clearTimeout(body.idle)
    clearTimeout(body.whole)
    body.resolve(body.chunks.length === 1 ? (body.chunks[0] as Buffer) : Buffer.concat(body.chunks))
  }

  /** Rejects the body that is being read, if there is one. The connection cannot be used for another request. */
  #failBody(makeError: () => unknown): void {
    const exchange = this.#exchange
    if (exchange === undefined || typeof exchange.body === 'string') return
    const { idle, whole, reject } = exchange.body
    exchange.body = 'failed'
    clearTimeout(idle)
    clearTimeout(whole)
    reject(makeError())
  }

  #respond(exchange: Exchange, response: Http1Response): void {
    if (this.#isGone) return
    const { head } = exchange
    this.#failBody(notComplete)
    const keepAlive = head.keepAlive && !this.#isEnding && !this.#hasEnded && this.#isBodyOver(exchange)
    const bytes = encodeResponse(response, {
      keepAlive,
      withBody: head.method !== 'HEAD',
      date: new Date(),
    })
    this.#exchange = undefined
    if (!keepAlive) return this.#endWith(bytes)
    if (this.#socket.write(bytes)) return this.#readNext()
    // The next request is not read until the client has read the response.
    this.#exchange = { head, body: 'read' }
    this.#setTimer(this.#options.writeMs ?? defaults.writeMs, () => this.#socket.destroy())
    this.#socket.once('drain', () => {
      this.#exchange = undefined
      if (this.#isEnding || this.#hasEnded) this.#end()
      else this.#readNext()
    })
  }

  /** Whether the body was read, or has arrived completely and can be skipped. */
  #isBodyOver(exchange: Exchange): boolean {
    if (exchange.body === 'unread') {
      try {
        let part = this.#reader.next()
        while (part?.type === 'data') part = this.#reader.next()
        if (part?.type === 'end') exchange.body = 'read'
      } catch {
        return false
      }
    }
    return exchange.body === 'read'
  }

  #readNext(): void {
    this.#waitForHead()
    this.#advance()
    if (this.#exchange === undefined || typeof this.#exchange.body !== 'string') this.#socket.resume()
  }

  #waitForHead(): void {
    this.#setTimer(this.#options.idleMs ?? defaults.idleMs, () => this.#end())
  }

  #limitHead(): void {
    this.#setTimer(this.#options.headMs ?? defaults.headMs, () =>
      this.#refuse(new Http1Error(408, 'Head took too long to arrive')),
    )
    this.#timerIsOfHead = true
  }

  /** Responds with the error of an invalid request, and closes the connection. */
  #refuse(error: Http1Error): void {
    const response = this.#options.refuse(error)
    this.#endWith(encodeResponse(response, { keepAlive: false, withBody: true, date: new Date() }))
  }

  #end(): void {
    this.#endWith(Buffer.alloc(0))
  }

  /** Sends the last response and closes the connection when the client has had time to read it. */
  #endWith(bytes: Buffer): void {
    this.#isEnding = true
    const socket = this.#socket
    socket.off('data', this.#onData)
    this.#reader.takeInput()
    let left = drainBytes
    socket.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) socket.destroy()
    })
    this.#setTimer(this.#options.writeMs ?? defaults.writeMs, () => socket.destroy())
    socket.once('finish', () => this.#setTimer(drainMs, () => socket.destroy()))
    socket.end(bytes)
    socket.resume()
  }

  /** Removes the listeners and timers of the socket. */
  #release(): void {
    this.#clearTimer()
    this.#socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClosed)
    this.#onClose()
  }

  #setTimer(ms: number, run: () => void): void {
    this.#clearTimer()
    this.#timer = setTimeout(run, ms)
  }

  #clearTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerIsOfHead = false
  }
}

/** A class, because V8 handles an object literal with a getter as a hash table. */
class IncomingRequest implements Http1Request {
  readonly method: Http1Request['method']
  readonly target: Http1Request['target']
  readonly httpVersion: Http1Request['httpVersion']
  readonly headers: Http1Request['headers']
  readonly framing: Http1Request['framing']
  readonly keepAlive: Http1Request['keepAlive']
  readonly expectsContinue: Http1Request['expectsContinue']
  readonly upgrade: Http1Request['upgrade']
  readonly socket: Socket
  readonly readBody: Http1Request['readBody']
  readonly #checkGone: () => boolean

  constructor(
    head: RequestHead,
    socket: Socket,
    checkGone: () => boolean,
    readBody: Http1Request['readBody'],
  ) {
    this.method = head.method
    this.target = head.target
    this.httpVersion = head.httpVersion
    this.headers = head.headers
    this.framing = head.framing
    this.keepAlive = head.keepAlive
    this.expectsContinue = head.expectsContinue
    this.upgrade = head.upgrade
    this.socket = socket
    this.#checkGone = checkGone
    this.readBody = readBody
  }

  get isGone(): boolean {
    return this.#checkGone()
  }
}

function notComplete(): Http1Error {
  return new Http1Error(400, 'Body is not complete')
}

function ignore(): void {}
