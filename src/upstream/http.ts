import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { GatewayError, RateLimitedError, ResponseTooLongError, UpstreamError } from '../errors.ts'
import { isPublic, lookupPublicAddress, NotPublicAddressError } from '../net/public-address.ts'
import type { EqualBodies } from './equal-bodies.ts'
import { type OwnBackend, PortDispatcher, type TextHandler } from './port-dispatcher.ts'

export interface HttpOptions {
  /** The time limit of a call, from the request to the last byte of the response. */
  readonly deadlineMs: number
  /** The longest body of a response. */
  readonly maxBytes: number
  /** The most connections for calls. Streams have connections of their own. */
  readonly connections: number
  /** The backend in a thread of this process. Its calls go over a message port. */
  readonly ownBackend?: OwnBackend | undefined
  /** Called after each call, also after failed ones. */
  readonly onCall?: (call: UpstreamCall) => void
}

export interface UpstreamCall {
  readonly method: string
  readonly url: string
  /** Undefined without a response. */
  readonly status: number | undefined
  readonly kind: 'rest' | 'stream'
  /** The duration; for a stream or a file, until it was open. */
  readonly durationMs: number
}

export interface HttpRequest {
  /** `MGET` and `MPUT` are bulk reads and changes. [flowthings] HTTP API */
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'MGET' | 'MPUT'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
  /** The principal of the call; undefined for a call without a credential. */
  readonly principal?: string | undefined
  readonly signal: AbortSignal | undefined
  /** Where a read looks for a parsed body with the same bytes. */
  readonly equalBodies?: EqualBodies | undefined
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The parsed JSON, which nobody may change, the text when it is not JSON, or undefined when there is no body. */
  readonly body: unknown
}

/** A response that stays open until either side ends it. */
export interface HttpStream {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Empty unless the status is 200 or 206. */
  readonly chunks: AsyncIterable<Uint8Array<ArrayBuffer>>
}

/** Whether a call changes nothing, so that it may be repeated. */
export function isRead(method: HttpRequest['method']): boolean {
  return method === 'GET' || method === 'MGET'
}

/** All requests to the network. Redirects are never followed. */
export interface Http {
  /**
   * Makes a call. A read is repeated when the upstream closed an idle connection just as it was used again.
   *
   * @throws UpstreamError without a response in time, or for a 5xx; RateLimitedError for 429
   */
  request(request: HttpRequest): Promise<HttpAnswer>
  /** Opens a stream, which ends with `signal`. @throws UpstreamError without a response */
  openStream(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpStream>
  /** Opens a file, whose bytes are read on demand. @throws UpstreamError without a response */
  openDownload(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpStream>
  /** The same for a URL that the upstream chose. @throws UpstreamError for this machine or its network */
  openPublicDownload(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<HttpStream>
  /**
   * Posts a body while it arrives.
   *
   * @throws UpstreamError without a response, or for a 5xx; the error of `bytes`
   */
  upload(
    url: URL,
    headers: Readonly<Record<string, string>>,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer>
  close(): Promise<void>
}

/** The longest pause that an upstream can request with `Retry-After`. */
const maxRetryAfterMs = 5 * 60_000

/** How many times a read is repeated because an idle connection was closed. */
const maxLosses = 3
/** The error codes of a connection that the other side closed. [undici] errors.md */
const closings = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

export function createHttp(options: HttpOptions): Http {
  const portions = new Portions()
  /** The error of a closed connection, and when the connection was opened. */
  const endings = new WeakMap<Error, number>()
  const connector = (more: buildConnector.BuildOptions = {}): buildConnector.connector => {
    const connect = buildConnector({ timeout: 3000, ...more })
    return (target, callback) =>
      connect(target, (...outcome) => {
        const [, socket] = outcome
        const madeAt = performance.now()
        socket?.on('error', (error) => endings.set(error, madeAt))
        callback(...outcome)
      })
  }
  // Streams have connections of their own. On shared ones, a few streams would block all calls.
  const agent = new Agent({
    connections: options.connections,
    pipelining: 1,
    connect: connector(),
    headersTimeout: options.deadlineMs,
    bodyTimeout: options.deadlineMs,
    keepAliveTimeout: 30_000,
    maxResponseSize: options.maxBytes,
  })
  const { ownBackend: backend, connections, maxBytes: maxResponseSize } = options
  const calls =
    backend === undefined ? agent : new PortDispatcher({ backend, http: agent, connections, maxResponseSize })
  const streams = new Agent({ connect: connector(), headersTimeout: 10_000, bodyTimeout: 0 })
  const transfers = new Agent({ connect: connector(), headersTimeout: 10_000, bodyTimeout: 30_000 })
  // The request may be long. The response has the same limit as for other calls.
  const uploads = new Agent({
    headersTimeout: 10_000,
    bodyTimeout: options.deadlineMs,
    maxResponseSize: options.maxBytes,
    connect: connector(),
  })
  const strangers = new Agent({
    headersTimeout: 10_000,
    bodyTimeout: 30_000,
    connect: connector({ lookup: lookupPublicAddress }),
  })

  /** Repeats a read if its connection existed before, and was closed just as it was used again. */
  async function overLosses<T>(ask: () => Promise<T>, mayAsk: () => boolean): Promise<T> {
    for (let losses = 0; ; losses += 1) {
      const askedAt = performance.now()
      try {
        return await ask()
      } catch (error) {
        const { code = '' } = error as { code?: string }
        const isLoss = closings.has(code) && (endings.get(error as Error) ?? askedAt) < askedAt
        if (!isLoss || losses === maxLosses || !mayAsk()) throw error
      }
    }
  }

  async function open(
    agent: Agent,
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<HttpStream> {
    const begun = performance.now()
    let status: number | undefined
    try {
      const call = { origin: url.origin, path: url.pathname + url.search, method: 'GET', headers, signal }
      const answer = await overLosses(
        () => agent.request(call),
        () => !signal.aborted,
      )
      status = answer.statusCode
      if (status !== 200 && status !== 206) await answer.body.dump()
      return { status, headers: answer.headers, chunks: answer.body }
    } catch (error) {
      throw translate(error, signal)
    } finally {
      options.onCall?.({
        method: 'GET',
        url: url.href,
        status,
        durationMs: performance.now() - begun,
        kind: agent === streams ? 'stream' : 'rest',
      })
    }
  }

  return {
    async request({ method, url, headers, body, signal, equalBodies }) {
      signal?.throwIfAborted()
      let whole!: WholeAnswer
      const leave = () => whole.abort(signal?.reason)
      const deadline = setTimeout(
        () => whole.abort(new DOMException('The deadline has passed', 'TimeoutError')),
        options.deadlineMs,
      )
      signal?.addEventListener('abort', leave)
      const begun = performance.now()
      let status: number | undefined
      const call = {
        origin: url.origin,
        path: url.pathname + url.search,
        // undici sends any token, although its types name only standard methods.
        method: method as Dispatcher.HttpMethod,
        headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
        body: body === undefined ? null : JSON.stringify(body),
      }
      try {
        await overLosses(
          async () => {
            whole = new WholeAnswer()
            calls.dispatch(call, whole)
            await whole.arrived
          },
          () => isRead(method) && whole.status === 0 && signal?.aborted !== true,
        )
        status = whole.status
        const isShared = status === 200 && method === 'GET' && isJson(whole.headers)
        const find = () => (isShared ? equalBodies?.find(url.href, whole.content, whole.bytes) : undefined)
        let known = find()
        if (known === undefined && isShared && equalBodies !== undefined) {
          const assembled = equalBodies.assemble(url.href, whole.join())
          portions.parsed(assembled?.parsedLength ?? 0)
          known = assembled?.json
        }
        const turn = known === undefined ? portions.enter(whole.bytes) : undefined
        if (turn !== undefined) {
          await turn
          // Another call that waited may have parsed the same bytes.
          known = find()
        }
        if (known !== undefined) return { status, headers: whole.headers, body: known }
        const answer = toAnswer(status, whole.headers, whole.text())
        if (isShared) equalBodies?.keep(url.href, whole.content, whole.bytes, answer.body)
        return answer
      } catch (error) {
        throw translate(error, signal)
      } finally {
        clearTimeout(deadline)
        signal?.removeEventListener('abort', leave)
        options.onCall?.({
          method,
          url: url.href,
          status,
          kind: 'rest',
          durationMs: performance.now() - begun,
        })
      }
    },

    openStream: (url, headers, signal) => open(streams, url, headers, signal),
    openDownload: (url, headers, signal) => open(transfers, url, headers, signal),
    async openPublicDownload(url, headers, signal) {
      if (!isPublic(url)) throw translate(new NotPublicAddressError(url.hostname), signal)
      return open(strangers, url, headers, signal)
    },
    async upload(url, headers, bytes, signal) {
      const begun = performance.now()
      let status: number | undefined
      const late = new AbortController()
      let deadline: NodeJS.Timeout | undefined
      try {
        const answer = await uploads.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method: 'POST',
          headers,
          body: Readable.from(bytes, { objectMode: false }),
          signal: signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
        })
        status = answer.statusCode
        deadline = setTimeout(
          () => late.abort(new DOMException('The deadline has passed', 'TimeoutError')),
          options.deadlineMs,
        )
        return toAnswer(status, answer.headers, await answer.body.text())
      } catch (error) {
        throw error instanceof GatewayError ? error : translate(error, signal)
      } finally {
        clearTimeout(deadline)
        options.onCall?.({
          method: 'POST',
          url: url.href,
          status,
          kind: 'rest',
          durationMs: performance.now() - begun,
        })
      }
    },

    async close() {
      await Promise.all([
        calls.destroy(),
        streams.destroy(),
        transfers.destroy(),
        uploads.destroy(),
        strangers.destroy(),
      ])
    },
  }
}

/**
 * A response that is buffered to its end. A stream for each response, as ordinary calls of undici have, would hold its bytes
 * until the next full garbage collection.
 */
class WholeAnswer implements TextHandler {
  /** Rejects with the error of the call. */
  readonly arrived: Promise<void>
  status = 0
  headers: IncomingHttpHeaders = {}
  /** The body as it came. */
  content: Buffer[] | string = []
  readonly #resolve: () => void
  readonly #reject: (reason: unknown) => void
  #controller: Dispatcher.DispatchController | undefined
  #reason: unknown

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.arrived = promise
    this.#resolve = resolve
    this.#reject = reject
  }

  /** The length of the body; of one that came as text, its characters. */
  bytes = 0

  /** Aborts the call, also while it waits for a connection. */
  abort(reason: unknown): void {
    this.#reason ??= reason
    this.#controller?.abort(reason as Error)
    this.#reject(reason)
  }

  /** The body in one piece. */
  join(): Buffer | string {
    if (typeof this.content === 'string') return this.content
    const [first] = this.content
    const bytes = this.content.length === 1 && first !== undefined ? first : Buffer.concat(this.content)
    this.content = [bytes]
    return bytes
  }

  /** Decodes UTF-8, without a byte order mark. */
  text(): string {
    const content = this.join()
    return typeof content === 'string' ? content : content.toString('utf8').replace(/^\uFEFF/, '')
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#reason === undefined) this.#controller = controller
    else controller.abort(this.#reason as Error)
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    this.status = status
    this.headers = headers
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (typeof this.content !== 'string') this.content.push(chunk)
    this.bytes += chunk.length
  }

  onResponseText(_: Dispatcher.DispatchController, text: string): void {
    this.content = text
    this.bytes = text.length
  }

  onResponseEnd(): void {
    this.#resolve()
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#reject(error)
  }
}

/** The most bytes of responses that are parsed in one turn of the event loop. */
const portionBytes = 128 * 1024

/** Spreads the parsing of responses that arrive together over turns of the event loop, so that other work runs in between. */
class Portions {
  #left = portionBytes
  #isScheduled = false
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = []

  /** Undefined, or resolves, when a response can be parsed. */
  enter(bytes: number): Promise<void> | undefined {
    this.#schedule()
    if (this.#left > 0 && this.#waiting.length === 0) {
      this.#left -= bytes
      return undefined
    }
    return new Promise((go) => this.#waiting.push({ bytes, go }))
  }

  /** As many bytes were parsed at once. */
  parsed(bytes: number): void {
    if (bytes === 0) return
    this.#schedule()
    this.#left -= bytes
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#left = portionBytes
      while (this.#left > 0) {
        const next = this.#waiting.shift()
        if (next === undefined) return
        this.#left -= next.bytes
        next.go()
      }
      if (this.#waiting.length > 0) this.#schedule()
    })
  }
}

/** @throws UpstreamError for a 5xx, RateLimitedError for a 429 */
function toAnswer(status: number, headers: IncomingHttpHeaders, text: string): HttpAnswer {
  if (status === 429) throw new RateLimitedError('The upstream asks to slow down', retryAfterMs(headers))
  if (status >= 500) throw new UpstreamError('UPSTREAM_UNAVAILABLE', `The upstream answered ${status}`)
  return { status, headers, body: parseBody(text, headers) }
}

/** Turns errors of the network into errors of the upstream. Other errors are bugs and stay as they are. */
function translate(error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof UpstreamError || error instanceof RateLimitedError) return error
  if (signal?.aborted) return signal.reason
  if (error instanceof NotPublicAddressError)
    return new UpstreamError(
      'UPSTREAM_INVALID',
      'The upstream sent us into the gateway’s own network; FILE_HOSTS names the hosts there that it may send us to',
      { cause: error },
    )
  const { name, code } = error as { name?: string; code?: string }
  if (name === 'TimeoutError' || code?.endsWith('TIMEOUT'))
    return new UpstreamError('UPSTREAM_TIMEOUT', 'The upstream did not answer in time', { cause: error })
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return new ResponseTooLongError({ cause: error })
  const isNetwork = /^(E(?!RR_)[A-Z_]+|UND_ERR_\w+)$/.test(code ?? '') || name === 'HTTPParserError'
  if (!isNetwork) return error
  return new UpstreamError('UPSTREAM_UNAVAILABLE', 'The upstream cannot be reached', { cause: error })
}

function parseBody(text: string, headers: IncomingHttpHeaders): unknown {
  if (text === '') return undefined
  if (!isJson(headers)) return text
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UpstreamError('UPSTREAM_INVALID', 'The upstream answered with broken JSON', { cause: error })
  }
}

function isJson(headers: IncomingHttpHeaders): boolean {
  return String(headers['content-type'] ?? '').includes('json')
}

/** `Retry-After` in seconds or as a date; undefined when it is neither. */
function retryAfterMs(headers: IncomingHttpHeaders): number | undefined {
  const value = String(headers['retry-after'] ?? '')
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), maxRetryAfterMs)
}
