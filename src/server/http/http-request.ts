import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { discardBody } from '../../net/discard-body.ts'
import { tooLong } from '../../net/http1/body.ts'
import type { BodyLimits, ResponseObserver } from '../../net/http1/connection.ts'
import { Http1Error } from '../../net/http1/errors.ts'
import type { EncodedHeaders, Http1Response } from '../../net/http1/response.ts'

/** A request to either HTTP server, and the one response to it. Those of `net/http1` are of this form by themselves. */
export interface HttpRequest {
  readonly method: string
  /** The path with the query string. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly socket: Socket
  /** Whether the client has closed the connection. */
  readonly isGone: boolean
  /** Whether the body has arrived. */
  readonly isComplete: boolean
  /** The status of the response; 0 before it. */
  readonly status: number
  observer: ResponseObserver | undefined
  /** Calls `listener` when a body that comes in pieces has arrived, or does not arrive any more. That may be at once. */
  onceBodyEnds(listener: () => void): void
  /** Adds header fields to the response, whichever it will be. */
  addHeaders(headers: EncodedHeaders): void
  /**
   * Reads the whole body, which has no `Content-Encoding`. Can be called once.
   *
   * @throws Http1Error 413 for a longer body
   * @throws the error of `onBytes`
   */
  readBody(limits: BodyLimits): Buffer | Promise<Buffer>
  /** Sends the response. Does nothing after the first one, or when the client has closed the connection. */
  respond(response: Http1Response): void
}

/** A request of node:http. */
export class NodeRequest implements HttpRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  observer: ResponseObserver | undefined

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request
    this.response = response
    response.on('error', () => undefined)
    response.on('prefinish', () => {
      // Most responses are read at once.
      if ((response.socket?.writableLength ?? 0) > 0) this.observer?.unread?.()
    })
    response.on('close', () => this.observer?.closed(response.writableFinished))
  }

  get method(): string {
    return this.request.method ?? ''
  }

  get target(): string {
    return this.request.url ?? '/'
  }

  get headers(): IncomingHttpHeaders {
    return this.request.headers
  }

  get socket(): Socket {
    return this.request.socket
  }

  get isGone(): boolean {
    return this.response.destroyed
  }

  get isComplete(): boolean {
    return this.request.complete || this.request.destroyed
  }

  get status(): number {
    return this.response.headersSent ? this.response.statusCode : 0
  }

  onceBodyEnds(listener: () => void): void {
    this.request.once('end', listener)
    this.request.once('close', listener)
  }

  addHeaders(headers: EncodedHeaders): void {
    for (const [name, value] of headers.fields()) this.response.appendHeader(name, value)
  }

  readBody({ maxBytes, onBytes }: BodyLimits): Promise<Buffer> {
    const { request } = this
    return new Promise((resolve, reject) => {
      if (Number(request.headers['content-length'] ?? 0) > maxBytes) return reject(tooLong(maxBytes))
      const chunks: Buffer[] = []
      let size = 0
      let isRefused = false
      request.on('data', (chunk: Buffer) => {
        if (isRefused) return
        size += chunk.length
        chunks.push(chunk)
        try {
          if (size > maxBytes) throw tooLong(maxBytes)
          onBytes?.(chunk.length)
        } catch (error) {
          isRefused = true
          chunks.length = 0
          reject(error)
        }
      })
      request.once('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)))
      request.once('error', reject)
      request.once('close', () => {
        if (!request.complete) reject(new Http1Error(400, 'Body is not complete'))
      })
    })
  }

  respond({ status, headers, body, closes = false }: Http1Response): void {
    const { request, response } = this
    if (response.headersSent || response.destroyed) return
    this.addHeaders(headers)
    // [spec] RFC 9110, 8.6
    if (status !== 204 && status !== 304) response.setHeader('Content-Length', Buffer.byteLength(body))
    if (closes) response.setHeader('Connection', 'close')
    response.writeHead(status)
    if (!closes || request.complete) {
      // An unread body blocks the next request of the connection.
      if (!request.complete) request.resume()
      return void response.end(body)
    }
    response.write(body)
    void discardBody(request).then(() => response.end())
  }

  /** Sends the response in the middle of the body, and reads no more of it. */
  abort({ status, headers, body }: Http1Response): void {
    const { request, response } = this
    if (response.headersSent || response.destroyed) return
    this.addHeaders(headers)
    response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), Connection: 'close' })
    response.end(body, () => request.destroy())
  }
}
