import { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'
import { GatewayError, RateLimitedError, UpstreamError } from '../errors.ts'

export interface HttpOptions {
  /** How long a call may take in all, from asking to the last byte. */
  readonly deadlineMs: number
  /** Longest body that is read from the upstream. */
  readonly maxBytes: number
  /** Connections kept for calls, apart from those of streams. */
  readonly connections: number
  /** Hears of every call that was made, whatever came of it. */
  readonly onCall?: (call: UpstreamCall) => void
}

export interface UpstreamCall {
  readonly method: string
  readonly url: string
  /** Undefined when no answer came. */
  readonly status: number | undefined
  readonly kind: 'rest' | 'stream'
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly signal: AbortSignal | undefined
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The parsed JSON, the text when it is not JSON, or undefined when there is no body. */
  readonly body: unknown
}

/** A stream that stays open until either side ends it. */
export interface HttpStream {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Empty unless the status is 200 or 206. */
  readonly chunks: AsyncIterable<Uint8Array<ArrayBuffer>>
}

/** The one door to the network. Redirects are never followed. */
export interface Http {
  /**
   * Makes one call.
   *
   * @throws UpstreamError when no answer can be had in time or it is a 5xx, RateLimitedError on 429
   */
  request(request: HttpRequest): Promise<HttpAnswer>
  /** Opens a stream; it ends with `signal`. @throws UpstreamError when nothing answers */
  openStream(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpStream>
  /** Opens a file; its bytes come as they are read. @throws UpstreamError when nothing answers */
  openDownload(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpStream>
  /**
   * Posts a body as it comes.
   *
   * @throws UpstreamError when no answer can be had or it is a 5xx; whatever `bytes` throws
   */
  upload(
    url: URL,
    headers: Readonly<Record<string, string>>,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer>
  close(): Promise<void>
}

/** Longest wait an upstream can impose through `Retry-After`. */
const maxRetryAfterMs = 5 * 60_000

export function createHttp(options: HttpOptions): Http {
  // Streams have connections of their own: on shared ones a few of them would starve every call.
  const calls = new Agent({
    connections: options.connections,
    pipelining: 1,
    connectTimeout: 3000,
    headersTimeout: options.deadlineMs,
    bodyTimeout: options.deadlineMs,
    keepAliveTimeout: 30_000,
    maxResponseSize: options.maxBytes,
  })
  const streams = new Agent({ connectTimeout: 3000, headersTimeout: 10_000, bodyTimeout: 0 })
  const transfers = new Agent({ connectTimeout: 3000, headersTimeout: 10_000, bodyTimeout: 30_000 })

  async function open(
    agent: Agent,
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<HttpStream> {
    let status: number | undefined
    try {
      const answer = await agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: 'GET',
        headers,
        signal,
      })
      status = answer.statusCode
      if (status !== 200 && status !== 206) await answer.body.dump()
      return { status, headers: answer.headers, chunks: answer.body }
    } catch (error) {
      throw translate(error, signal)
    } finally {
      options.onCall?.({ method: 'GET', url: url.href, status, kind: agent === streams ? 'stream' : 'rest' })
    }
  }

  return {
    async request({ method, url, headers, body, signal }) {
      const deadline = AbortSignal.timeout(options.deadlineMs)
      let status: number | undefined
      try {
        const answer = await calls.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method,
          headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
          body: body === undefined ? null : JSON.stringify(body),
          signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
        })
        status = answer.statusCode
        return await readAnswer(answer)
      } catch (error) {
        throw translate(error, signal)
      } finally {
        options.onCall?.({ method, url: url.href, status, kind: 'rest' })
      }
    },

    openStream: (url, headers, signal) => open(streams, url, headers, signal),
    openDownload: (url, headers, signal) => open(transfers, url, headers, signal),
    async upload(url, headers, bytes, signal) {
      let status: number | undefined
      try {
        const answer = await transfers.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method: 'POST',
          headers,
          body: Readable.from(bytes, { objectMode: false }),
          ...(signal === undefined ? {} : { signal }),
        })
        status = answer.statusCode
        return await readAnswer(answer)
      } catch (error) {
        throw error instanceof GatewayError ? error : translate(error, signal)
      } finally {
        options.onCall?.({ method: 'POST', url: url.href, status, kind: 'rest' })
      }
    },

    async close() {
      await Promise.all([calls.destroy(), streams.destroy(), transfers.destroy()])
    },
  }
}

/** @throws UpstreamError for a 5xx, RateLimitedError for a 429 */
async function readAnswer({
  statusCode: status,
  headers,
  body,
}: Dispatcher.ResponseData): Promise<HttpAnswer> {
  const text = await body.text()
  if (status === 429) throw new RateLimitedError('The upstream asks to slow down', retryAfterMs(headers))
  if (status >= 500) throw new UpstreamError('UPSTREAM_UNAVAILABLE', `The upstream answered ${status}`)
  return { status, headers, body: parseBody(text, headers) }
}

/** Failures of the network become the upstream's; anything else is a mistake of ours and stays what it is. */
function translate(error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof UpstreamError || error instanceof RateLimitedError) return error
  if (signal?.aborted) return signal.reason
  const { name, code } = error as { name?: string; code?: string }
  if (name === 'TimeoutError' || code?.endsWith('TIMEOUT'))
    return new UpstreamError('UPSTREAM_TIMEOUT', 'The upstream did not answer in time', { cause: error })
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE')
    return new UpstreamError('UPSTREAM_INVALID', 'The upstream answered more than is read', { cause: error })
  if (!/^(E(?!RR_)[A-Z_]+|UND_ERR_\w+|HPE_\w+)$/.test(code ?? '')) return error
  return new UpstreamError('UPSTREAM_UNAVAILABLE', 'The upstream cannot be reached', { cause: error })
}

function parseBody(text: string, headers: Dispatcher.ResponseData['headers']): unknown {
  if (text === '') return undefined
  if (!String(headers['content-type'] ?? '').includes('json')) return text
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UpstreamError('UPSTREAM_INVALID', 'The upstream answered with broken JSON', { cause: error })
  }
}

/** `Retry-After` in seconds or as a date; undefined when it is neither. */
function retryAfterMs(headers: Dispatcher.ResponseData['headers']): number | undefined {
  const value = String(headers['retry-after'] ?? '')
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), maxRetryAfterMs)
}
