import { EventSource, type EventSourceFetchInit, type FetchLikeResponse } from 'eventsource'
import { type GatewayError, UpstreamError } from '../../errors.ts'
import type { Http, HttpStream } from '../http.ts'
import type { Credential } from './credentials.ts'
import { decodeEvent } from './decode.ts'
import { makeGap } from './live-events.ts'
import type { FlowEvent } from './model.ts'
import type { Reconnects } from './reconnects.ts'
import { buildUrl, toError } from './request.ts'

export interface StreamOptions {
  readonly http: Http
  /** The streaming address, without a trailing slash and without `/flows`. */
  readonly base: string
  readonly credential: Credential
  /** Turns for lost connections, which all streams of the upstream share. */
  readonly reconnects: Reconnects
  /** The flows to hear, by id. */
  readonly flowIds: readonly string[]
  /** Whether to hear what is told to the caller alone: private messages, coming into flows. */
  readonly isPrivate: boolean
  /** Whether to hear who comes and goes. */
  readonly wantsPresence?: boolean
  /** Send what happened after this event first. */
  readonly after?: string
  /** End behind this event, or with `now` behind the newest, if the upstream can: then `onFinish` hears of it. */
  readonly until?: string
  /** Connected, again or for the first time. @param at where the upstream's log stood then, if it says so */
  readonly onOpen: (at: string | undefined) => void
  /** Everything up to `until` was told. */
  readonly onFinish?: () => void
  /** @param bytes what the event took on the wire */
  readonly onEvent: (event: FlowEvent, bytes: number) => void
  /** The upstream will not serve this stream again: the credential or the access is gone. */
  readonly onEnd: (error: GatewayError) => void
  /** Each connection that was lost or refused, with what is tried next. */
  readonly onRetry?: (error: Error, delayMs: number) => void
}

export interface FlowdockStream {
  close(): void
}

/** Longest event that is read; a longer one cuts the connection. */
const maxEventBytes = 4 * 1024 * 1024
/** A connection without a byte for so long is taken for dead. The service sends something every 30 s. */
const idleLimitMs = 60_000
const firstDelayMs = 250
const longestDelayMs = 15_000

/**
 * Listens to flows until closed. A lost connection is opened again after a random part of a growing delay, once it is
 * its turn among all that were lost, and resumes with the last event's id, so that nothing in between is missed.
 * [flowdock] streaming.md, [spec] SSE
 *
 * The package does one connection; waiting, resuming and giving up are decided here, because on its own it stops for
 * ever after one failed answer and never notices a silent line.
 */
export function openStream(options: StreamOptions): FlowdockStream {
  const url = buildUrl(options.base, ['flows'], {
    filter: options.flowIds.length === 0 ? undefined : options.flowIds.join(','),
    user: options.isPrivate ? 1 : undefined,
    presence: options.wantsPresence === true ? 1 : undefined,
    until: options.until,
  })
  let viewerId: number | null = null
  let lastEventId: string | undefined = options.after
  /** The id that the upstream does not know any more. What is lost ends with the next connection, so it is told then. */
  let forgotten: string | undefined
  let failures = 0
  let connection: EventSource | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let isOpen = false
  /** The upstream said that `until` was reached. */
  let isFinished = false

  function connect(): void {
    let status: number | undefined
    let at: string | undefined
    const resumedAfter = lastEventId
    const source = new EventSource(url, {
      maxBufferSize: maxEventBytes,
      fetch: async (_, init) => {
        const answer = await openResponse(options, url, lastEventId, init)
        status = answer.status
        viewerId = Number(answer.headers.get('flowdock-user')) || viewerId
        at = answer.headers.get('flowdock-event-id') || undefined
        return answer
      },
    })
    connection = source
    source.addEventListener('open', () => {
      failures = 0
      const wasOpen = isOpen
      isOpen = true
      options.onOpen(at)
      if (wasOpen && resumedAfter === undefined && forgotten === undefined)
        // It was cut before it told anything: nothing says what came in between.
        options.onEvent(makeGap(undefined), 0)
      lastEventId ??= at
      if (forgotten === undefined) return
      options.onEvent(makeGap(forgotten, 'forgotten'), 0)
      forgotten = undefined
    })
    source.addEventListener('finished', () => {
      isFinished = true
    })
    source.addEventListener('message', (message) => {
      lastEventId = message.lastEventId
      receive(String(message.data), message.lastEventId)
    })
    source.addEventListener('error', (error) => {
      source.close()
      if (closed || connection !== source) return
      if (options.until !== undefined && status === 200 && isFinished) {
        close()
        options.onFinish?.()
        return
      }
      if (status === 410 && lastEventId !== undefined) {
        forgotten = lastEventId
        lastEventId = undefined
      }
      const refused = status === 400 || status === 401 || status === 403 || status === 404
      if (refused) end(toError(status as number, undefined, 'listen to the flows'))
      else retry(new Error(error.message ?? 'The stream ended'))
    })
  }

  function receive(data: string, cursor: string): void {
    let event: FlowEvent
    try {
      event = decodeEvent(JSON.parse(data), cursor, viewerId)
    } catch {
      // An event nobody can read is no reason to lose those after it.
      return
    }
    options.onEvent(event, data.length)
  }

  function retry(error: Error): void {
    const ceiling = Math.min(firstDelayMs * 2 ** failures, longestDelayMs)
    const delayMs = Math.round(ceiling * (0.5 + Math.random() / 2))
    failures += 1
    timer = setTimeout(() => {
      timer = setTimeout(connect, options.reconnects.next())
    }, delayMs)
    // Who hears of it may close this.
    options.onRetry?.(error, delayMs)
  }

  function end(error: GatewayError): void {
    close()
    options.onEnd(error)
  }

  function close(): void {
    closed = true
    clearTimeout(timer)
    connection?.close()
  }

  connect()
  return { close }
}

/** A connection as `EventSource` reads it. */
async function openResponse(
  { http, credential }: StreamOptions,
  url: URL,
  lastEventId: string | undefined,
  init: EventSourceFetchInit,
): Promise<FetchLikeResponse> {
  const idle = new AbortController()
  const answer = await http.openStream(
    url,
    {
      accept: 'text/event-stream',
      authorization: credential.authorization.reveal(),
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    },
    AbortSignal.any([init.signal, idle.signal]),
  )
  return {
    status: answer.status,
    url: url.href,
    redirected: false,
    headers: { get: (name) => String(answer.headers[name] ?? '') },
    body: { getReader: () => watchedReader(answer, idle) },
  }
}

/**
 * Reads chunks, and ends the connection when none comes for too long, or an event comes to no end: what is read of it
 * costs memory by its lines, too, of which the package knows nothing.
 */
function watchedReader(stream: HttpStream, idle: AbortController) {
  const chunks = stream.chunks[Symbol.asyncIterator]()
  let unfinishedBytes = 0
  let lastByte = 0
  return {
    async read(): Promise<{ done: false; value: Uint8Array<ArrayBuffer> } | { done: true }> {
      const watchdog = setTimeout(
        () => idle.abort(new UpstreamError('UPSTREAM_TIMEOUT', 'The stream fell silent')),
        idleLimitMs,
      )
      try {
        const { done, value } = await chunks.next()
        if (done === true) return { done }
        unfinishedBytes = endsEvent(lastByte, value) ? 0 : unfinishedBytes + value.length
        lastByte = value.at(-1) ?? lastByte
        if (unfinishedBytes <= maxEventBytes) return { done: false, value }
        idle.abort()
        throw new UpstreamError('UPSTREAM_INVALID', 'The stream sent an event that is longer than is read')
      } finally {
        clearTimeout(watchdog)
      }
    },
    async cancel(): Promise<void> {
      idle.abort()
    },
  }
}

/** Whether there is an empty line in a chunk, or where it goes on. */
function endsEvent(before: number, chunk: Uint8Array<ArrayBuffer>): boolean {
  const isEnd = (byte: number | undefined) => byte === 10 || byte === 13
  if (isEnd(before) && isEnd(chunk[0])) return true
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  return bytes.includes('\n\n') || bytes.includes('\n\r') || bytes.includes('\r\r')
}
