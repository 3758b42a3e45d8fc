import { EventSource, type EventSourceFetchInit, type FetchLikeResponse } from 'eventsource'
import { type GatewayError, UpstreamError } from '../../errors.ts'
import { buildUrl } from '../build-url.ts'
import type { Http, HttpStream } from '../http.ts'
import type { Credential } from './credentials.ts'
import { createEventBound, createStalledEvents, type EventBound, type StalledEvents } from './event-bound.ts'
import type { EventDecoder } from './event-decoder.ts'
import { makeGap } from './live-events.ts'
import type { FlowEvent, GapReason } from './model.ts'
import type { Reconnects } from './reconnects.ts'
import { toError } from './request.ts'

export interface StreamOptions {
  readonly http: Http
  /** The streaming URL, without a trailing slash and without `/flows`. */
  readonly base: string
  readonly credential: Credential
  /** The turns of reconnects, shared by all streams of the upstream. */
  readonly reconnects: Reconnects
  /** Shared by all streams of the upstream. */
  readonly decoder: EventDecoder
  /** The ids of the flows to receive. */
  readonly flowIds: readonly string[]
  /** Whether to receive private events: private messages, and joining or losing flows. */
  readonly isPrivate: boolean
  /** Whether to receive presence. */
  readonly wantsPresence?: boolean
  /** The stream begins after this event. */
  readonly after?: string
  /** Ends the stream after this event, or with `now` after the newest, if the upstream supports it. Then `onFinish` is called. */
  readonly until?: string
  /** Called for each connection. @param at the offset of the upstream's log, if it says so */
  readonly onOpen: (at: string | undefined) => void
  /** Called when all events up to `until` were delivered. */
  readonly onFinish?: () => void
  /** @param bytes the size of the event on the wire */
  readonly onEvent: (event: FlowEvent, bytes: number) => void
  /** Called when the upstream refuses the stream for good: the credential or the access is gone. */
  readonly onEnd: (error: GatewayError) => void
  /** The events in which connections broke, also those of earlier streams from the same position. */
  readonly stalled?: StalledEvents
  /** Called for each connection that was lost or refused, with the pause before the next one. */
  readonly onRetry?: (error: Error, delayMs: number) => void
}

export interface FlowdockStream {
  close(): void
}

/** The longest event. A longer one is skipped and becomes a gap. */
const maxEventBytes = 4 * 1024 * 1024
/** The most bytes of a longer event that are read to find its end. Past that the connection is closed. */
const maxSkippedBytes = 32 * 1024 * 1024
/** A connection without a byte for this long counts as lost. The service sends something every 30 s. */
const idleLimitMs = 60_000
const firstDelayMs = 250
const longestDelayMs = 15_000

/**
 * Receives events of flows until it is closed. A lost connection is opened again after a random part of a growing delay, when it
 * has its turn among all lost connections. It resumes after the last event, so that none is missed. An event that cannot be read,
 * or in which each connection breaks, is skipped and becomes a gap. [flowdock] streaming.md, [spec] SSE
 *
 * The package makes one connection. Pauses, resuming and giving up are decided here, because the package stops for ever after one
 * failed response, and does not notice a silent connection.
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
  /** All events after an event are lost. The gap ends with the next connection, and is delivered then. */
  let lost: { readonly after: string; readonly reason: GapReason } | undefined
  const stalled = options.stalled ?? createStalledEvents()
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
    const bound = createEventBound({ maxBytes: maxEventBytes, maxSkippedBytes })
    const source = new EventSource(url, {
      // Never reached: the bound is stricter.
      maxBufferSize: 2 * maxEventBytes,
      fetch: async (_, init) => {
        const answer = await openResponse(options, url, lastEventId, bound, init)
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
      if (wasOpen && resumedAfter === undefined && lost === undefined)
        // The connection was lost before the first event, so its position is unknown.
        options.onEvent(makeGap(undefined), 0)
      lastEventId ??= at
      if (lost === undefined) return
      options.onEvent(makeGap(lost.after, lost.reason), 0)
      lost = undefined
    })
    source.addEventListener('finished', () => {
      isFinished = true
    })
    source.addEventListener('message', (message) => {
      const before = lastEventId
      const id = message.lastEventId
      // Events that are not stored have no id. A stream resumes after the last event with an id.
      if (id !== '') lastEventId = isPosition(id) ? id : undefined
      receive(String(message.data), lastEventId === undefined ? '' : id, before)
    })
    source.addEventListener('error', (error) => {
      source.close()
      if (closed || connection !== source) return
      if (options.until !== undefined && status === 200 && isFinished) {
        close()
        options.onFinish?.()
        return
      }
      if (status === 410 && lastEventId !== undefined) lose(lastEventId, 'forgotten')
      const unfinished = bound.unfinished()
      if (unfinished !== undefined && lastEventId !== undefined && stalled.ended(lastEventId, unfinished)) {
        if (unfinished.id === undefined || !isPosition(unfinished.id)) lose(lastEventId, 'unreadable')
        else {
          const before = lastEventId
          lastEventId = unfinished.id
          options.onEvent(makeGap(before, 'unreadable', lastEventId), 0)
        }
      }
      const refused = status === 400 || status === 401 || status === 403 || status === 404
      if (refused) end(toError(status as number, undefined, 'listen to the flows'))
      else retry(new Error(error.message ?? 'The stream ended'))
    })
  }

  /** The next connection begins at the end of the log. */
  function lose(after: string, reason: GapReason): void {
    lost = { after, reason }
    lastEventId = undefined
  }

  function receive(data: string, cursor: string, before: string | undefined): void {
    let event: FlowEvent
    try {
      event = options.decoder.decode(data, cursor, viewerId)
    } catch {
      // An event without an id is not stored, unless the upstream sends no ids at all.
      if (cursor === '' || cursor !== before)
        options.onEvent(makeGap(before, 'unreadable', cursor || before), 0)
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
    // The callback may close this stream.
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
  bound: EventBound,
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
    body: { getReader: () => watchedReader(answer, bound, idle) },
  }
}

/** Whether an id can be sent in a header, so that the stream can resume after it. */
function isPosition(id: string): boolean {
  return /^[\x21-\x7e]{1,200}$/.test(id)
}

/** Reads chunks within a bound. Ends the connection when none comes for too long, or an event does not end. */
function watchedReader(stream: HttpStream, bound: EventBound, idle: AbortController) {
  const chunks = stream.chunks[Symbol.asyncIterator]()
  const pieces: Uint8Array<ArrayBuffer>[] = []
  return {
    async read(): Promise<{ done: false; value: Uint8Array<ArrayBuffer> } | { done: true }> {
      for (;;) {
        const piece = pieces.shift()
        if (piece !== undefined) return { done: false, value: piece }
        const watchdog = setTimeout(
          () => idle.abort(new UpstreamError('UPSTREAM_TIMEOUT', 'The stream fell silent')),
          idleLimitMs,
        )
        try {
          const { done, value } = await chunks.next()
          if (done === true) return { done }
          pieces.push(...bound.take(value))
        } catch (error) {
          if (!(error instanceof RangeError)) throw error
          idle.abort()
          throw new UpstreamError('UPSTREAM_INVALID', 'The stream sent an event that does not end', {
            cause: error,
          })
        } finally {
          clearTimeout(watchdog)
        }
      }
    },
    async cancel(): Promise<void> {
      idle.abort()
    },
  }
}
