import type { Socket } from 'node:net'
import { decodeBody, tooLong } from './body.ts'
import type { Clock } from './clock.ts'
import { Http1Error } from './errors.ts'
import type { RequestHead } from './head.ts'
import { RequestReader } from './reader.ts'
import { type EncodedHeaders, type Http1Response, writeResponse } from './response.ts'

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

/** What becomes of a response. */
export interface ResponseObserver {
  /** The response was written, and the client has not read all of it yet. */
  unread?(): void
  /** Called once, when the client has received the response, or has closed the connection before. */
  closed(isSent: boolean): void
}

export interface Http1Request extends RequestHead {
  readonly socket: Socket
  /** Whether the client has closed the connection. */
  readonly isGone: boolean
  /** Whether the body has arrived. Of a body in chunks that is not known before it was read. */
  readonly isComplete: boolean
  /** The status of the response; 0 before it. */
  readonly status: number
  observer: ResponseObserver | undefined
  /**
   * Reads and decodes the whole body; empty without one. Can be called once. Most bodies arrive with their heads, and are returned
   * at once.
   *
   * @throws Http1Error 400 for an incomplete or invalid body, 408, 413 or 415
   * @throws the error of `onBytes`
   */
  readBody(limits: BodyLimits): Buffer | Promise<Buffer>
  /** Calls `listener` once, when the body was read, or is not read any more: after the response at the latest. */
  onceBodyEnds(listener: () => void): void
  /** Adds header fields to the response, whichever it will be. */
  addHeaders(headers: EncodedHeaders): void
  /** Sends the response. Does nothing after the first one, or when the client has closed the connection. */
  respond(response: Http1Response): void
}

/** A response that depends only on the head of its request. */
export interface HeadResponse {
  readonly response: Http1Response
  /** Further header lines, which `EncodedHeaders` would accept. */
  readonly added: string
}

export interface Http1Options {
  /**
   * Returns the response to a request; undefined when `respond` sends it. An error closes the connection.
   */
  readonly handle: (request: Http1Request) => Http1Response | Promise<Http1Response> | undefined
  /**
   * Responds to a request that has arrived completely, by its head. No `Http1Request` is made for it, and its body is skipped.
   * Must not throw.
   *
   * @returns undefined for a request that is to be handled
   */
  readonly respondByHead?: (head: RequestHead, socket: Socket) => HeadResponse | undefined
  /** The response to an invalid request. */
  readonly refuse: (error: Http1Error) => Http1Response
  /** Takes over the connection for an upgrade to another protocol, with the bytes after the head of the request. */
  readonly upgrade?: (request: Http1Request, after: Buffer) => void
  /** Another server for requests that this one does not serve. */
  readonly other?: OtherServer
  /** Called with the error of a rejected `handle`. */
  readonly onError?: (error: unknown) => void
  /** Whether a client that has closed its side still gets the response, as by default. Otherwise it counts as gone. */
  readonly allowHalfOpen?: boolean
  readonly headMs?: number
  readonly idleMs?: number
  readonly writeMs?: number
}

/**
 * A server that takes over a connection with the first request that is not for this one, and serves it to its end. It also gets
 * connections with invalid heads.
 */
export interface OtherServer {
  isFor(head: RequestHead): boolean
  /** @param socket the first byte that is read from it is the first one of the request */
  take(socket: Socket): void
}

/** What the connections of a server share. */
export interface Shared {
  readonly options: Http1Options
  readonly timeouts: { readonly headMs: number; readonly idleMs: number; readonly writeMs: number }
  readonly clock: Clock
  /** The header lines of a response after which the connection stays open. */
  readonly keepAlive: string
  /** Whether each response is the last one of its connection. */
  readonly isClosing: boolean
  /** Called once, when the socket has closed or was taken over. */
  readonly onClose: (connection: Connection) => void
}

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
  readonly idle: NodeJS.Timeout
  readonly whole: NodeJS.Timeout
  readonly resolve: (bytes: Buffer) => void
  readonly reject: (error: unknown) => void
}

/**
 * One connection of a client. Requests are handled one after the other. While one is handled, the next is not read, so TCP stops
 * the client from sending.
 */
export class Connection {
  readonly socket: Socket
  readonly #shared: Shared
  readonly #reader = new RequestReader()
  /** The request that is being handled, until its response has been sent. */
  #exchange: Exchange | undefined
  /** The tick of the timeout, and what follows then. */
  #timeout = Number.POSITIVE_INFINITY
  #onTimeout: 'end' | 'refuse' | 'destroy' = 'end'
  #isReading = false
  #isPaused = false
  /** Whether no further request is read. */
  #isEnding = false
  /** Whether this side is closed, and the rest of what the client sends is discarded. */
  #isDraining = false
  #isGone = false
  /** Whether the client has closed its side. */
  #hasEnded = false

  constructor(socket: Socket, shared: Shared) {
    this.socket = socket
    this.#shared = shared
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', ignore)
    socket.on('close', this.#onClosed)
    this.#waitForHead()
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** Whether the body of the request in progress has arrived and was not read yet. */
  get hasBody(): boolean {
    return this.#reader.hasBody
  }

  /** Closes the connection, after the response to a request in progress. */
  close(): void {
    if (this.#exchange === undefined && !this.#isEnding) {
      if (this.#reader.isInRequest || this.#reader.hasInput) this.#end()
      else this.#leave()
    }
    this.#isEnding = true
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Called at each tick of the clock. */
  checkTimeout(): void {
    if (this.#shared.clock.ticks < this.#timeout) return
    this.#timeout = Number.POSITIVE_INFINITY
    if (this.#onTimeout === 'destroy') this.socket.destroy()
    else if (this.#onTimeout === 'refuse') this.#refuse(new Http1Error(408, 'Head took too long to arrive'))
    else this.#end()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#reader.feed(chunk)
    if (this.#exchange === undefined) this.#readRequests()
    else if (typeof this.#exchange.body === 'string') this.#pause()
    else this.#readBodyParts(this.#exchange)
  }

  readonly #onEnd = (): void => {
    this.#hasEnded = true
    const exchange = this.#exchange
    if (exchange === undefined) this.#end()
    else if (this.#shared.options.allowHalfOpen !== false) this.#endBody(exchange)
    else if (exchange.status === 0) this.socket.destroy()
  }

  readonly #onClosed = (): void => {
    this.#isGone = true
    this.#timeout = Number.POSITIVE_INFINITY
    const exchange = this.#exchange
    this.#exchange = undefined
    if (exchange !== undefined) {
      this.#endBody(exchange)
      exchange.noteBodyEnd()
      exchange.observer?.closed(false)
    }
    this.#shared.onClose(this)
  }

  /** Handles the requests that have arrived, until one has no response yet. */
  #readRequests(): void {
    // A response that is sent at once gets here again.
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#exchange === undefined && !this.#isEnding) {
        const part = this.#reader.next()
        if (part?.type !== 'head') break
        this.#begin(part.head)
      }
    } catch (error) {
      if (!(error instanceof Http1Error)) throw error
      if (this.#shared.options.other === undefined) this.#refuse(error)
      else this.#handOver(this.#shared.options.other)
    } finally {
      this.#isReading = false
    }
    if (this.#exchange !== undefined) {
      if (this.#reader.hasInput) this.#pause()
    } else if (this.#onTimeout === 'end' && this.#reader.isInRequest) this.#limitHead()
  }

  #begin(head: RequestHead): void {
    const { upgrade, handle, other } = this.#shared.options
    if (other?.isFor(head) === true) return this.#handOver(other)
    if (this.#isAnsweredByHead(head)) return
    const hasBody = head.framing.kind === 'chunked' || head.framing.bytes > 0
    if (!hasBody) this.#reader.next()
    const exchange = new Exchange(head, this, hasBody ? 'unread' : 'read')
    if (head.upgrade !== undefined && !hasBody && upgrade !== undefined) {
      this.#release()
      return upgrade(exchange, this.#reader.takeInput())
    }
    this.#exchange = exchange
    this.#timeout = Number.POSITIVE_INFINITY
    try {
      const response = handle(exchange)
      if (response instanceof Promise)
        response.then(
          (later) => this.respond(exchange, later),
          (error: unknown) => this.#fail(error),
        )
      else if (response !== undefined) this.respond(exchange, response)
    } catch (error) {
      this.#fail(error)
    }
  }

  #isAnsweredByHead(head: RequestHead): boolean {
    const { options, isClosing } = this.#shared
    if (options.respondByHead === undefined || !head.keepAlive || isClosing || this.#hasEnded) return false
    if (!this.#reader.hasBody) return false
    const answer = options.respondByHead(head, this.socket)
    if (answer === undefined) return false
    this.#reader.skipBody()
    this.#write(answer.response, answer.added, true, head.method !== 'HEAD')
    if (this.socket.writableLength === 0) {
      this.#waitForHead()
      return true
    }
    const exchange = new Exchange(head, this, 'read')
    exchange.status = answer.response.status
    this.#exchange = exchange
    this.#awaitReading(exchange)
    return true
  }

  #fail(error: unknown): void {
    this.#shared.options.onError?.(error)
    this.socket.destroy()
  }

  /** For the exchange alone. */
  readBody(exchange: Exchange, limits: BodyLimits): Buffer | Promise<Buffer> {
    const { body, framing, headers } = exchange
    if (body === 'read') return Buffer.alloc(0)
    if (body !== 'unread') throw notComplete()
    if (framing.kind === 'length' && framing.bytes > limits.maxBytes) throw tooLong(limits.maxBytes)
    const encoding = headers['content-encoding']
    const bytes = this.#reader.takeBody()
    if (bytes === undefined)
      return this.#receiveBody(exchange, limits).then((whole) => decodeBody(whole, encoding, limits.maxBytes))
    exchange.body = 'read'
    exchange.noteBodyEnd()
    limits.onBytes?.(bytes.length)
    return encoding === undefined ? bytes : decodeBody(bytes, encoding, limits.maxBytes)
  }

  #receiveBody(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
    return new Promise<Buffer>((resolve, reject) => {
      const late = () => this.#failBody(exchange, new Http1Error(408, 'Body took too long to arrive'))
      const idle = setTimeout(late, limits.idleMs)
      const whole = setTimeout(late, limits.wholeMs)
      exchange.body = { chunks: [], bytes: 0, limits, idle, whole, resolve, reject }
      if (exchange.expectsContinue && !this.#reader.hasInput)
        this.socket.write('HTTP/1.1 100 Continue\r\n\r\n')
      this.#readBodyParts(exchange)
      if (this.#isGone || this.#hasEnded) this.#endBody(exchange)
      this.#resume()
    })
  }

  #readBodyParts(exchange: Exchange): void {
    try {
      while (typeof exchange.body !== 'string') {
        const part = this.#reader.next()
        if (part?.type === 'data') this.#takeBytes(exchange.body, part.bytes)
        else if (part?.type === 'end') this.#completeBody(exchange, exchange.body)
        else break
      }
    } catch (error) {
      this.#failBody(exchange, error)
    }
    if (typeof exchange.body === 'string' && this.#reader.hasInput) this.#pause()
  }

  #takeBytes(arrival: Arrival, bytes: Buffer): void {
    arrival.idle.refresh()
    arrival.bytes += bytes.length
    if (arrival.bytes > arrival.limits.maxBytes) throw tooLong(arrival.limits.maxBytes)
    arrival.limits.onBytes?.(bytes.length)
    arrival.chunks.push(bytes)
  }

  #completeBody(exchange: Exchange, { chunks, idle, whole, resolve }: Arrival): void {
    exchange.body = 'read'
    clearTimeout(idle)
    clearTimeout(whole)
    exchange.noteBodyEnd()
    resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
  }

  /** Rejects the body that is being read, if there is one: no more of it arrives. */
  #endBody(exchange: Exchange): void {
    // Creating an error costs more than the rest of a request.
    if (typeof exchange.body !== 'string') this.#failBody(exchange, notComplete())
  }

  /** Rejects the body that is being read, if there is one. The connection cannot be used for another request. */
  #failBody(exchange: Exchange, error: unknown): void {
    if (typeof exchange.body === 'string') return
    const { idle, whole, reject } = exchange.body
    exchange.body = 'failed'
    clearTimeout(idle)
    clearTimeout(whole)
    exchange.noteBodyEnd()
    reject(error)
  }

  /** For the exchange alone. */
  respond(exchange: Exchange, response: Http1Response): void {
    if (this.#exchange !== exchange || exchange.status !== 0) return
    exchange.status = response.status
    this.#endBody(exchange)
    exchange.noteBodyEnd()
    const keepAlive =
      exchange.keepAlive &&
      response.closes !== true &&
      !this.#isEnding &&
      !this.#hasEnded &&
      !this.#shared.isClosing &&
      this.#isBodyOver(exchange)
    this.#write(response, exchange.added, keepAlive, exchange.method !== 'HEAD')
    if (!keepAlive) this.#isEnding = true
    if (this.socket.writableLength === 0) this.#conclude(exchange)
    else this.#awaitReading(exchange)
  }

  /** The next request is not read until the client has read the response. */
  #awaitReading(exchange: Exchange): void {
    this.#setTimeout(this.#shared.timeouts.writeMs, 'destroy')
    exchange.observer?.unread?.()
    // An empty write is called back after all others.
    this.socket.write('', (error) => {
      if (error == null && !this.#isGone) this.#conclude(exchange)
    })
  }

  /** The response has been sent. */
  #conclude(exchange: Exchange): void {
    this.#exchange = undefined
    exchange.observer?.closed(true)
    if (this.#isEnding || this.#hasEnded) return this.#end()
    this.#waitForHead()
    if (this.#reader.hasInput) this.#readRequests()
    if (this.#exchange === undefined) this.#resume()
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

  #write(response: Http1Response, added: string, keepAlive: boolean, withBody: boolean): void {
    const { clock, keepAlive: keepAliveLines } = this.#shared
    const connection = keepAlive ? keepAliveLines : 'Connection: close\r\n'
    writeResponse(this.socket, response, `${added}Date: ${clock.date}\r\n${connection}\r\n`, withBody)
  }

  #waitForHead(): void {
    this.#setTimeout(this.#shared.timeouts.idleMs, 'end')
  }

  #limitHead(): void {
    this.#setTimeout(this.#shared.timeouts.headMs, 'refuse')
  }

  /** Responds with the error of an invalid request, and closes the connection. */
  #refuse(error: Http1Error): void {
    this.#write(this.#shared.options.refuse(error), '', false, true)
    this.#end()
  }

  /** Closes the connection when the client has had time to read the last response. */
  #end(): void {
    if (this.#isDraining) return
    this.#isEnding = true
    this.#isDraining = true
    const { socket } = this
    socket.off('data', this.#onData)
    this.#reader.takeInput()
    let left = drainBytes
    socket.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) socket.destroy()
    })
    this.#setTimeout(this.#shared.timeouts.writeMs, 'destroy')
    socket.once('finish', () => this.#setTimeout(drainMs, 'destroy'))
    socket.end()
    socket.resume()
  }

  /**
   * Closes an unused connection once its last response is written. It does not wait for the client to close its side: what the client
   * sends from now on gets no response in any case.
   */
  #leave(): void {
    this.#isEnding = true
    this.#isDraining = true
    this.socket.off('data', this.#onData)
    this.#setTimeout(this.#shared.timeouts.writeMs, 'destroy')
    this.socket.destroySoon()
  }

  #handOver(other: OtherServer): void {
    const bytes = this.#reader.takeRequest()
    this.#release()
    this.socket.pause()
    this.socket.unshift(bytes)
    other.take(this.socket)
    this.socket.resume()
  }

  /** Leaves the socket to another protocol or server. */
  #release(): void {
    this.#isEnding = true
    this.#timeout = Number.POSITIVE_INFINITY
    this.socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClosed)
    this.#shared.onClose(this)
  }

  #pause(): void {
    this.#isPaused = true
    this.socket.pause()
  }

  #resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.socket.resume()
  }

  #setTimeout(ms: number, then: 'end' | 'refuse' | 'destroy'): void {
    this.#timeout = this.#shared.clock.ticksAfter(ms)
    this.#onTimeout = then
  }
}

/** A request with its connection. A class, because V8 handles an object literal with a getter as a hash table. */
class Exchange implements Http1Request {
  readonly method: Http1Request['method']
  readonly target: Http1Request['target']
  readonly isAbsolute: Http1Request['isAbsolute']
  readonly httpVersion: Http1Request['httpVersion']
  readonly headers: Http1Request['headers']
  readonly framing: Http1Request['framing']
  readonly keepAlive: Http1Request['keepAlive']
  readonly expectsContinue: Http1Request['expectsContinue']
  readonly upgrade: Http1Request['upgrade']
  observer: Http1Request['observer']
  body: 'unread' | 'read' | 'failed' | Arrival
  status = 0
  /** The header fields that were added to the response. */
  added = ''
  #onBodyEnd: (() => void) | undefined
  readonly #connection: Connection

  constructor(head: RequestHead, connection: Connection, body: 'unread' | 'read') {
    this.method = head.method
    this.target = head.target
    this.isAbsolute = head.isAbsolute
    this.httpVersion = head.httpVersion
    this.headers = head.headers
    this.framing = head.framing
    this.keepAlive = head.keepAlive
    this.expectsContinue = head.expectsContinue
    this.upgrade = head.upgrade
    this.observer = undefined
    this.body = body
    this.#connection = connection
  }

  get socket(): Socket {
    return this.#connection.socket
  }

  get isGone(): boolean {
    return this.#connection.isGone
  }

  get isComplete(): boolean {
    return this.body === 'read' || (this.body === 'unread' && this.#connection.hasBody)
  }

  onceBodyEnds(listener: () => void): void {
    if (this.body === 'read' || this.body === 'failed' || this.status !== 0 || this.isGone) listener()
    else this.#onBodyEnd = listener
  }

  /** For the connection alone. */
  noteBodyEnd(): void {
    const listener = this.#onBodyEnd
    this.#onBodyEnd = undefined
    listener?.()
  }

  addHeaders(headers: EncodedHeaders): void {
    this.added += headers.text
  }

  readBody(limits: BodyLimits): Buffer | Promise<Buffer> {
    return this.#connection.readBody(this, limits)
  }

  respond(response: Http1Response): void {
    this.#connection.respond(this, response)
  }
}

function notComplete(): Http1Error {
  return new Http1Error(400, 'Body is not complete')
}

function ignore(): void {}
