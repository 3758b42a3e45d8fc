import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import type { BodyLimits, ResponseObserver } from '../../net/http1/connection.ts'
import type { EncodedHeaders } from '../../net/http1/response.ts'
import type { RequestHead } from '../../traffic/client-address.ts'
import type { HttpRequest, NodeRequest } from './http-request.ts'

/** A request and its response, whichever server has the connection. */
export class Exchange implements RequestHead, ResponseObserver {
  readonly method: string
  /** The path with the query string. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly socket: Socket
  /** For responses that are streams, and for files. Only node:http has it. */
  readonly node: NodeRequest | undefined
  readonly #request: HttpRequest
  readonly #onClose: (exchange: Exchange) => void
  readonly #observers: ResponseObserver[] = []

  /** @param onClose called at the end, when the client has received the response or has left */
  constructor(request: HttpRequest, node: NodeRequest | undefined, onClose: (exchange: Exchange) => void) {
    this.method = request.method
    this.url = request.target
    this.headers = request.headers
    this.socket = request.socket
    this.node = node
    this.#request = request
    this.#onClose = onClose
    request.observer = this
  }

  /** Whether the client has closed the connection. */
  get isGone(): boolean {
    return this.#request.isGone
  }

  /** The status of the response; 0 before it. */
  get status(): number {
    return this.#request.status
  }

  /** Whether the body has arrived. */
  get isComplete(): boolean {
    return this.#request.isComplete
  }

  observe(observer: ResponseObserver): void {
    this.#observers.push(observer)
  }

  unread(): void {
    for (const observer of this.#observers) observer.unread?.()
  }

  closed(isSent: boolean): void {
    for (const observer of this.#observers) observer.closed(isSent)
    this.#onClose(this)
  }

  readBody(limits: BodyLimits): Buffer | Promise<Buffer> {
    return this.#request.readBody(limits)
  }

  onceBodyEnds(listener: () => void): void {
    this.#request.onceBodyEnds(listener)
  }

  addHeaders(headers: EncodedHeaders): void {
    this.#request.addHeaders(headers)
  }

  /**
   * Sends the response. Does nothing after the first one, or when the client has left.
   *
   * @param closes whether the connection closes after it, so that no more of the request is read
   */
  respond(status: number, headers: EncodedHeaders, body: string | Buffer, closes = false): void {
    this.#request.respond({ status, headers, body, closes })
  }

  /** Sends the response in the middle of the body. The connection closes after it. */
  abort(status: number, headers: EncodedHeaders, body: string): void {
    if (this.node === undefined) this.respond(status, headers, body, true)
    else this.node.abort({ status, headers, body })
  }

  /** Closes the connection. */
  destroy(): void {
    this.socket.destroy()
  }
}
