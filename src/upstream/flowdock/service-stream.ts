import { createParser } from 'eventsource-parser'
import { UpstreamError } from '../../errors.ts'
import type { Secret } from '../../secret.ts'
import type { Http, HttpStream } from '../http.ts'
import { decodeFrame, type ServiceEvent } from './service-frames.ts'

/** Receives the frames of the connection. It ends with one of the last four. */
export interface ServiceSink {
  opened(log: { readonly log: string; readonly at: number; readonly first: number }): void
  /** @param storedAt when the backend stored it, in milliseconds since 1970 */
  frame(number: number, frame: ServiceEvent, storedAt: number | undefined): void
  signal(frame: Omit<ServiceEvent, 'change' | 'about'>): void
  /** All events up to a number were sent. */
  head(number: number): void
  cut(): void
  /** The log does not have the event to resume after. */
  gone(): void
  /** The service token is wrong. */
  refused(): void
  /** There is no service interface. */
  missing(): void
}

export interface ServiceStreamOptions {
  readonly http: Pick<Http, 'openStream'>
  /** The REST URL, without a trailing slash. */
  readonly restUrl: string
  readonly token: Secret
  readonly sink: ServiceSink
  /** How long a connection may be silent; 15 s by default, because the backend sends something every 5 s. */
  readonly silenceMs?: number
  /** The longest pause after the first failure; 250 ms by default. It doubles with each failure, up to 15 s. */
  readonly firstDelayMs?: number
  /** @param error why there is no connection; a connection is tried again after `delayMs` */
  readonly onRetry?: (error: Error, delayMs: number) => void
}

export interface ServiceStream {
  /**
   * Connects, and replaces an open connection.
   *
   * @param request `after`: the number of the last event, undefined for none; `failures`: the number of failed attempts in a row;
   *   `isRefused`: whether the last one was refused
   */
  connect(request: {
    readonly after: number | undefined
    readonly failures: number
    readonly isRefused: boolean
  }): void
  /** Ends the connection. The sink is not called any more. */
  disconnect(): void
}

const longestDelayMs = 15_000
/** A connection that does not resume begins this many events before the end of the log. */
const warmStart = 5000
/** The limit at which the backend disconnects a reader, too. */
const maxFrameLength = 64 * 1024 * 1024

/** The connection to the service stream of the backend, one at a time. Its user decides when to connect. */
export function createServiceStream(options: ServiceStreamOptions): ServiceStream {
  const { http, restUrl, token, sink, silenceMs = 15_000, firstDelayMs = 250 } = options
  let current: AbortController | undefined
  let timer: NodeJS.Timeout | undefined
  let lastError: Error | undefined
  /** The newest event whose time is known: another event of that number is one of a log that lost commits. */
  let known: { readonly number: number; readonly storedAt: number } | undefined

  function disconnect(): void {
    clearTimeout(timer)
    const ended = current
    current = undefined
    ended?.abort()
  }

  async function run(connection: AbortController, after: number | undefined): Promise<void> {
    let end: 'cut' | 'gone' | 'refused' | 'missing' = 'cut'
    try {
      const url = new URL(`${restUrl}/service/v1/stream${after === undefined ? `?back=${warmStart}` : ''}`)
      const headers = {
        accept: 'text/event-stream',
        authorization: `Bearer ${token.reveal()}`,
        ...(after === undefined ? {} : { 'last-event-id': String(after) }),
        ...(after === undefined || known === undefined || known.number > after
          ? {}
          : { 'flowdock-known-event': `${known.number} ${known.storedAt}` }),
      }
      const answer = await http.openStream(url, headers, connection.signal)
      const { status } = answer
      if (status === 200) await read(connection, answer)
      else if (status === 410) end = 'gone'
      else if (status === 401 || status === 403) end = 'refused'
      else if (status === 404) end = 'missing'
      lastError = new UpstreamError(
        'UPSTREAM_UNAVAILABLE',
        status === 200 ? 'The service stream ended' : `The service stream was refused with ${status}`,
      )
    } catch (error) {
      lastError = error as Error
      // A response that is not read to its end would stay open.
      connection.abort()
    }
    if (current !== connection) return
    current = undefined
    sink[end]()
  }

  async function read(connection: AbortController, answer: HttpStream): Promise<void> {
    const isCurrent = () => current === connection
    const parser = createParser({
      maxBufferSize: maxFrameLength,
      onEvent({ event = '', id, data }) {
        if (isCurrent()) receive(event, id, data)
      },
      onError(error) {
        if (error.type === 'max-buffer-size-exceeded') connection.abort(error)
      },
    })
    const silence = setTimeout(
      () => connection.abort(new UpstreamError('UPSTREAM_TIMEOUT', 'The service stream fell silent')),
      silenceMs,
    )
    try {
      if (isCurrent()) sink.opened(positionOf(answer))
      const text = new TextDecoder()
      for await (const chunk of answer.chunks) {
        silence.refresh()
        parser.feed(text.decode(chunk, { stream: true }))
        connection.signal.throwIfAborted()
      }
    } finally {
      clearTimeout(silence)
    }
  }

  function receive(name: string, id: string | undefined, data: string): void {
    const frame = decodeFrame(name, id, data)
    if (frame?.kind === 'event') {
      const { number, storedAt, ...event } = frame
      if (storedAt !== undefined) known = { number, storedAt }
      sink.frame(number, event, storedAt)
    } else if (frame?.kind === 'signal') sink.signal(frame)
    else if (frame?.kind === 'head') sink.head(frame.number)
  }

  return {
    connect({ after, failures, isRefused }) {
      disconnect()
      const connection = new AbortController()
      current = connection
      if (after === undefined) known = undefined
      if (failures === 0) {
        void run(connection, after)
        return
      }
      const ceiling = isRefused
        ? longestDelayMs
        : Math.min(firstDelayMs * 2 ** (failures - 1), longestDelayMs)
      const delayMs = Math.round(ceiling * (isRefused ? 1 : 0.5 + Math.random() / 2))
      timer = setTimeout(() => void run(connection, after), delayMs)
      options.onRetry?.(lastError ?? new Error('The service stream was lost'), delayMs)
    },
    disconnect,
  }
}

/** @throws UpstreamError for a response that does not say where the stream begins */
function positionOf({ headers }: HttpStream): { log: string; at: number; first: number } {
  const log = headers['flowdock-log-id']
  const at = Number(headers['flowdock-event-id'] ?? Number.NaN)
  const first = Number(headers['flowdock-first-event'] ?? Number.NaN)
  if (typeof log !== 'string' || log === '' || !Number.isSafeInteger(at) || !Number.isSafeInteger(first))
    throw new UpstreamError('UPSTREAM_INVALID', 'The service stream does not say where it begins')
  return { log, at, first }
}
