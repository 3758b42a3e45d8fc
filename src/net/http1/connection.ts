import type { Socket } from 'node:net'
import { decodeBody, tooLong } from './body.ts'
import { Http1Error } from './errors.ts'
import type { RequestHead } from './head.ts'
import { RequestReader } from './reader.ts'
import { encodeResponse, type Http1Response } from './response.ts'

/** How much of a body is taken in, and how long that may take. */
export interface BodyLimits {
  /** Before and after its `Content-Encoding` is undone. */
  readonly maxBytes: number
  /** How long nothing may arrive. */
  readonly idleMs: number
  /** How long the whole body may take. */
  readonly wholeMs: number
  /** Called with the number of bytes that arrived. What it throws rejects the body. */
  readonly onBytes?: (bytes: number) => void
}

export interface Http1Request extends RequestHead {
  readonly socket: Socket
  /** Whether the client has closed the connection. */
  readonly isGone: boolean
  /**
   * The whole body, with its `Content-Encoding` undone; empty where there is none. It can be read once.
   *
   * @throws Http1Error 400 for an incomplete body, 408, 413, 415, and what `onBytes` throws
   */
  readBody(limits: BodyLimits): Promise<Buffer>
}

export interface Http1Options {
  /** Makes the response to a request. A rejection closes the connection. */
  readonly handle: (request: Http1Request) => Promise<Http1Response>
  /** The response to what cannot be read as a request. */
  readonly refuse: (error: Http1Error) => Http1Response
  /** Takes over the connection of a request that asks for another protocol, with the bytes after its head. */
  readonly upgrade?: (request: Http1Request, after: Buffer) => void
  /** Called with what `handle` rejected with. */
  readonly onError?: (error: unknown) => void
  readonly headMs?: number
  readonly idleMs?: number
  readonly writeMs?: number
}

/** How long a head may take, a connection may be unused, and a response may wait for its reader. */
const defaults = { headMs: 10_000, idleMs: 75_000, writeMs: 120_000 }
/** What is read of a rejected request after its response: a connection that is reset loses the response. */
const drainMs = 2000
const drainBytes = 8 * 1024 * 1024

/** A body that is being read. */
interface Arrival {
  readonly chunks: Buffer[]
  bytes: number
  readonly limits: BodyLimits
  readonly idle: NodeJS.Timeout
  readonly whole: NodeJS.Timeout
  readonly resolve: (bytes: Buffer) => void
  readonly reject: (error: unknown) => void
}

/** The request that has no response yet. */
interface Exchange {
  readonly head: RequestHead
  body: 'unread' | 'read' | 'failed' | Arrival
}

/**
 * One connection of a client. Requests are answered one after the other: while one is handled, the next is not read, and the
 * client is held back by TCP.
 */
export class Connection {
  readonly #socket: Socket
  readonly #options: Http1Options
  readonly #onClose: () => void
  readonly #reader = new RequestReader()
  #exchange: Exchange | undefined
  #timer: NodeJS.Timeout | undefined
  #timerIsOfHead = false
  /** Nothing more is read as a request. */
  #isEnding = false
  #isGone = false
  /** The client has sent all that it will. */
  #hasEnded = false

  /** @param onClose is called once, when the socket closed or another protocol took it over */
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

  /** Closes it, after the response to a request that is being handled. */
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
    else this.#failBody(new Http1Error(400, 'Body is not complete'))
  }

  readonly #onClosed = (): void => {
    this.#isGone = true
    this.#clearTimer()
    this.#failBody(new Http1Error(400, 'Body is not complete'))
    this.#onClose()
  }

  /** Reads on as far as what was fed and the state of the exchange allow. */
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
      return this.#exchange === undefined ? this.#refuse(error) : this.#failBody(error)
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
    const isGone = () => this.#isGone
    return {
      ...exchange.head,
      socket: this.#socket,
      get isGone() {
        return isGone()
      },
      readBody: (limits) => this.#readBody(exchange, limits),
    }
  }

  async #readBody(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
    const { head, body } = exchange
    if (body === 'read') return Buffer.alloc(0)
    if (body !== 'unread') throw new Http1Error(400, 'Body is not complete')
    if (head.framing.kind === 'length' && head.framing.bytes > limits.maxBytes) throw tooLong(limits.maxBytes)
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      const late = () => this.#failBody(new Http1Error(408, 'Body took too long to arrive'))
      exchange.body = {
        chunks: [],
        bytes: 0,
        limits,
        resolve,
        reject,
        idle: setTimeout(late, limits.idleMs),
        whole: setTimeout(late, limits.wholeMs),
      }
      if (this.#isGone || (this.#hasEnded && !this.#reader.hasInput))
        return this.#failBody(new Http1Error(400, 'Body is not complete'))
      if (head.expectsContinue && !this.#reader.hasInput) this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n')
      this.#advance()
      if (this.#hasEnded) this.#failBody(new Http1Error(400, 'Body is not complete'))
      this.#socket.resume()
    })
    return decodeBody(bytes, head.headers['content-encoding'], limits.maxBytes)
  }

  #takeBytes(bytes: Buffer): void {
    const body = this.#exchange?.body
    if (body === undefined || typeof body === 'string') return
    body.idle.refresh()
    body.bytes += bytes.length
    try {
      if (body.bytes > body.limits.maxBytes) throw tooLong(body.limits.maxBytes)
      body.limits.onBytes?.(bytes.length)
      body.chunks.push(bytes)
    } catch (error) {
      this.#failBody(error)
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

  /** Rejects the body that is being read, if there is one. Its connection cannot be used again. */
  #failBody(error: unknown): void {
    const exchange = this.#exchange
    if (exchange === undefined || typeof exchange.body === 'string') return
    const { idle, whole, reject } = exchange.body
    exchange.body = 'failed'
    clearTimeout(idle)
    clearTimeout(whole)
    reject(error)
  }

  #respond(exchange: Exchange, response: Http1Response): void {
    if (this.#isGone) return
    const { head } = exchange
    this.#failBody(new Http1Error(400, 'Body is not complete'))
    const keepAlive = head.keepAlive && !this.#isEnding && !this.#hasEnded && this.#isBodyOver(exchange)
    const bytes = encodeResponse(response, {
      keepAlive,
      withBody: head.method !== 'HEAD',
      date: new Date(),
    })
    this.#exchange = undefined
    if (!keepAlive) return this.#endWith(bytes)
    if (this.#socket.write(bytes)) return this.#readNext()
    // The response waits for its reader, and the next request for the response.
    this.#exchange = { head, body: 'read' }
    this.#setTimer(this.#options.writeMs ?? defaults.writeMs, () => this.#socket.destroy())
    this.#socket.once('drain', () => {
      this.#exchange = undefined
      if (this.#isEnding || this.#hasEnded) this.#end()
      else this.#readNext()
    })
  }

  /** Whether the body was read, or has arrived whole and can be passed over. */
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

  /** Says why there is no request in what came, and closes. */
  #refuse(error: Http1Error): void {
    const response = this.#options.refuse(error)
    this.#endWith(encodeResponse(response, { keepAlive: false, withBody: true, date: new Date() }))
  }

  #end(): void {
    this.#endWith(Buffer.alloc(0))
  }

  /** Sends the last bytes and closes, after the client has had time to read them. */
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

  /** Lets go of the socket. */
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

function ignore(): void {}
