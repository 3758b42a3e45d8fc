import type { MessagePort } from 'node:worker_threads'
import { Dispatcher, errors } from 'undici'
import { decodeHeaders, encodeHeaders, type PortAnswer, type PortRequest } from '../net/port-messages.ts'
import { spreadOverTurns } from '../net/turns.ts'

/** A backend in a thread of this process. */
export interface OwnBackend {
  /** Scheme, host and port of its REST API. */
  readonly origin: string
  /** The present port to its thread; undefined while it does not run. */
  readonly port: MessagePort | undefined
}

export interface PortDispatcherOptions {
  readonly backend: OwnBackend
  /** Makes the calls that a port does not carry. */
  readonly http: Dispatcher
  /** The most calls in progress. Further ones wait, as they would for a connection. */
  readonly connections: number
  /** The most bytes of the body of a response. */
  readonly maxResponseSize: number
}

/** A handler that takes the body of a response as text if it comes as text, in place of `onResponseData`. */
export interface TextHandler extends Dispatcher.DispatchHandler {
  onResponseText?(controller: Dispatcher.DispatchController, text: string): void
}

/** The most responses that are passed on in one turn of the event loop: the gateway's clients have their turns, too. */
const answersInTurn = 32

/** HTTP carries longer targets, or refuses them. */
const longestTarget = 8 * 1024

/**
 * Hands calls to the backend in another thread of this process over a message port, with the semantics of a pool of connections.
 * HTTP carries calls to other servers, long targets, bodies that are no text, responses that are written over time, and all calls
 * while the thread does not run.
 *
 * It has no time limits: who makes a call aborts it.
 */
export class PortDispatcher extends Dispatcher {
  readonly #options: PortDispatcherOptions
  readonly #host: string
  readonly #running = new Map<number, PortCall>()
  readonly #queued = new Set<PortCall>()
  #port: MessagePort | undefined
  /** The last port that was closed. Its thread may take a while to end. */
  #closed: MessagePort | undefined
  #nextId = 1
  #isDestroyed = false

  constructor(options: PortDispatcherOptions) {
    super()
    this.#options = options
    this.#host = encodeHeaders({ host: new URL(options.backend.origin).host })
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: TextHandler): boolean {
    const port = this.#openPort()
    if (port === undefined || !this.#isCarried(options)) return this.#options.http.dispatch(options, handler)
    const call = new PortCall(options, handler, (aborted) => this.#leave(aborted))
    handler.onRequestStart?.(call, undefined)
    if (call.aborted) return true
    if (this.#running.size < this.#options.connections) this.#send(call, port)
    else this.#queued.add(call)
    return this.#queued.size === 0
  }

  override async destroy(): Promise<void> {
    this.#isDestroyed = true
    this.#port?.close()
    this.#port = undefined
    for (const call of [...this.#running.values(), ...this.#queued])
      call.fail(new errors.ClientDestroyedError())
    this.#running.clear()
    this.#queued.clear()
    await this.#options.http.destroy()
  }

  #isCarried({ origin, path, headers, body }: Dispatcher.DispatchOptions): boolean {
    return (
      String(origin) === this.#options.backend.origin &&
      path.length <= longestTarget &&
      (body == null || typeof body === 'string') &&
      !Array.isArray(headers)
    )
  }

  /** The port to the running thread, if it is open. */
  #openPort(): MessagePort | undefined {
    const { port } = this.#options.backend
    if (port === this.#port) return port
    if (port === this.#closed || this.#isDestroyed) return undefined
    this.#lose()
    this.#port = port
    const pass = spreadOverTurns<PortAnswer | 'closed'>(answersInTurn, (received) => {
      if (received !== 'closed') this.#take(received)
      else if (this.#port === port) {
        this.#closed = port
        this.#lose()
      }
    })
    port?.on('message', pass)
    // After the answers that came before.
    port?.on('close', () => pass('closed'))
    return port
  }

  #send(call: PortCall, port: MessagePort): void {
    const { method, path, headers, body } = call.options
    const id = this.#nextId++
    try {
      const lines = this.#host + encodeHeaders(headers as Readonly<Record<string, string>>)
      const request: PortRequest = [id, method, path, lines, body == null ? undefined : (body as string)]
      port.postMessage(request)
    } catch (error) {
      return call.fail(new errors.InvalidArgumentError((error as Error).message))
    }
    call.id = id
    this.#running.set(id, call)
  }

  #take([id, status, headers = '', body]: PortAnswer): void {
    const call = this.#running.get(id)
    if (call === undefined) return
    this.#running.delete(id)
    this.#sendQueued()
    if (status === undefined) this.#options.http.dispatch(call.options, call.handler)
    else call.finish(status, headers, body, this.#options.maxResponseSize)
  }

  #sendQueued(): void {
    while (this.#running.size < this.#options.connections) {
      const [next] = this.#queued
      if (next === undefined) return
      this.#queued.delete(next)
      const port = this.#openPort()
      if (port === undefined) this.#options.http.dispatch(next.options, next.handler)
      else this.#send(next, port)
    }
  }

  /** The caller of a call has aborted it. */
  #leave(call: PortCall): void {
    if (this.#queued.delete(call) || call.id === undefined) return
    if (!this.#running.delete(call.id)) return
    this.#port?.postMessage(call.id)
    this.#sendQueued()
  }

  /** The thread has ended: calls in progress fail as on connections that close, and others are made over HTTP. */
  #lose(): void {
    this.#port = undefined
    const running = [...this.#running.values()]
    this.#running.clear()
    for (const call of running) call.fail(new errors.SocketError('The thread of the backend has ended'))
    const queued = [...this.#queued]
    this.#queued.clear()
    for (const { options, handler } of queued) this.#options.http.dispatch(options, handler)
  }
}

/** One call. It is in progress once it has an id. */
class PortCall implements Dispatcher.DispatchController {
  readonly options: Dispatcher.DispatchOptions
  readonly handler: TextHandler
  readonly #onAbort: (call: PortCall) => void
  id: number | undefined
  aborted = false
  reason: Error | null = null
  readonly paused = false

  constructor(options: Dispatcher.DispatchOptions, handler: TextHandler, onAbort: (call: PortCall) => void) {
    this.options = options
    this.handler = handler
    this.#onAbort = onAbort
  }

  abort(reason: Error): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    this.#onAbort(this)
    this.handler.onResponseError?.(this, reason)
  }

  /** A response comes as a whole: there is nothing to pause. */
  pause(): void {}
  resume(): void {}

  fail(error: Error): void {
    this.handler.onResponseError?.(this, error)
  }

  finish(status: number, headers: string, body: PortAnswer[3], maxBytes: number): void {
    const { handler } = this
    handler.onResponseStart?.(this, status, decodeHeaders(headers))
    if (body !== undefined && isLonger(body, maxBytes))
      return this.fail(new errors.ResponseExceededMaxSizeError())
    if (body !== undefined && !this.aborted) this.#passOn(body)
    if (!this.aborted) handler.onResponseEnd?.(this, {})
  }

  #passOn(body: string | Uint8Array): void {
    const { handler } = this
    if (typeof body !== 'string')
      handler.onResponseData?.(this, Buffer.from(body.buffer, body.byteOffset, body.length))
    else if (handler.onResponseText === undefined) handler.onResponseData?.(this, Buffer.from(body))
    else handler.onResponseText(this, body)
  }
}

/** Whether a body has more bytes, in UTF-8. A character of a string has three bytes at most. */
function isLonger(body: string | Uint8Array, maxBytes: number): boolean {
  if (typeof body !== 'string') return body.length > maxBytes
  return body.length * 3 > maxBytes && Buffer.byteLength(body) > maxBytes
}
