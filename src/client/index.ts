/**
 * A client for live queries that resume after lost connections, restarts of the gateway and new tokens, with each event once. For
 * browsers and Node.js. Its only dependency is graphql-ws.
 */
import { type Client, createClient } from 'graphql-ws'

export interface LiveClientOptions {
  /** The URL of the gateway, such as `https://chat.example.com/graphql`. Its scheme may be http or ws. */
  readonly url: string
  /**
   * A token, or a function that returns one. It is called for each connection, and a minute before the token expires, if the
   * gateway knows when that is. A whole `Authorization` value, such as `Basic …`, works, too. An empty text sends none.
   */
  readonly token: string | (() => string | Promise<string>)
  /** Sent with the token when a connection is opened, such as `X-Auth-Account` and `X-Auth-Token` for flowthings. */
  readonly connectionParams?: Readonly<Record<string, string>>
  /** The WebSocket class, where there is no global one. */
  readonly webSocketImpl?: unknown
  /** Called for each lost connection, with the pause before the next attempt. */
  readonly onRetry?: (reason: string, delayMs: number) => void
  /** Called with each state of the connection. The first subscription opens it, and it closes after the last. */
  readonly onStatus?: (status: 'connecting' | 'connected' | 'not connected') => void
}

export interface ListenOptions {
  /** A subscription that selects the `cursor` of its events, so that it can resume after the last of them. */
  readonly query: string
  /** The name of the operation, if the document has several. */
  readonly operationName?: string
  readonly variables?: Readonly<Record<string, unknown>>
  /** The cursor of the last event that the application has. By default, only new events are delivered. */
  readonly after?: string
  /** Called for lost events, if the subscription selects `__typename`. The gap is also one of the events. */
  readonly onGap?: (gap: LiveEvent) => void
  /** Ends the subscription. */
  readonly signal?: AbortSignal
}

/** An event with the selected fields. */
export interface LiveEvent {
  readonly __typename?: string
  /** The position to resume after. Missing when it is not selected. */
  readonly cursor?: string
}

/** The result for one event. */
export interface LiveResult<Event extends LiveEvent> {
  readonly data?: Readonly<Record<string, Event | null>> | null | undefined
  readonly errors?: readonly { readonly message: string }[] | undefined
}

/** A subscription as libraries pass it to a client of graphql-ws. */
export interface SubscribeRequest {
  readonly query: string
  readonly operationName?: string | null | undefined
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined
  /** `lastEventId` is the cursor to resume after. */
  readonly extensions?: Readonly<Record<string, unknown>> | null | undefined
}

/** Receives the results of a subscription. */
export interface ResultSink {
  next(result: LiveResult<LiveEvent>): void
  /** The subscription was refused. `reason` is the list of GraphQL errors, or the error of the token function. */
  error(reason: unknown): void
  /** The client was closed. */
  complete(): void
}

export interface LiveClient {
  /**
   * The events of a subscription, each once and in order, until `signal` ends it.
   *
   * @throws LiveError when the gateway refuses it for good: no such flow, no access, a mistake in the query
   */
  listen<Event extends LiveEvent>(options: ListenOptions): AsyncGenerator<Event, void, undefined>
  /** The same with the whole result of each event: its response name, and errors of fields. */
  results<Event extends LiveEvent>(options: ListenOptions): AsyncGenerator<LiveResult<Event>, void, undefined>
  /**
   * The same for libraries that use a client of graphql-ws, such as Apollo Client, urql and Relay. The subscription must select
   * `cursor` and `__typename`.
   *
   * @returns a function that ends the subscription; `sink` is not called after that
   */
  subscribe(request: SubscribeRequest, sink: ResultSink): () => void
  /** Uses another token on the same connection. Each subscription continues after its last event. */
  setToken(token: LiveClientOptions['token']): void
  close(): void
}

/** The error of a subscription that ended for good. */
export class LiveError extends Error {
  override readonly name = 'LiveError'
  /** The gateway's code, such as `FORBIDDEN`; undefined when it gave none. */
  readonly code: string | undefined
  /** The GraphQL errors, at least one. */
  readonly errors: readonly GraphqlError[]

  constructor(errors: readonly [GraphqlError, ...GraphqlError[]]) {
    super(errors[0].message)
    this.code = errors[0].extensions?.code
    this.errors = errors
  }
}

/** An error as the gateway sends it. */
export interface GraphqlError {
  readonly message: string
  readonly extensions?: { readonly code?: string; readonly retryAfterMs?: number }
}

const firstDelayMs = 250
const longestDelayMs = 15_000
/** Events without a position of their own. */
const keptNowhere = ['UserTyping', 'UserActive', 'PresenceChanged']
/** The number of cursors that are remembered to drop repeated events. */
const rememberedCursors = 1000
/** Codes of temporary failures. All others are final. */
const retryableCodes = [
  'SLOW_CONSUMER',
  'UPSTREAM_UNAVAILABLE',
  'UPSTREAM_TIMEOUT',
  'RATE_LIMITED',
  'OVERLOADED',
  'INTERNAL_SERVER_ERROR',
]

interface RunOptions extends ListenOptions {
  readonly extensions?: Readonly<Record<string, unknown>> | undefined
}

export function createLiveClient(options: LiveClientOptions): LiveClient {
  let { token } = options
  const closed = new AbortController()
  let line: WebSocket | undefined
  const authorize = async () => {
    const given = typeof token === 'string' ? token : await token()
    if (given === '') return { ...options.connectionParams }
    return {
      ...options.connectionParams,
      Authorization: /^(basic|bearer) /i.test(given) ? given : `Bearer ${given}`,
    }
  }
  const client: Client = createClient({
    url: options.url.replace(/^http/, 'ws'),
    // This client decides when to reconnect, because only it knows the cursor to resume after.
    retryAttempts: 0,
    connectionParams: authorize,
    on: {
      ping(received, payload) {
        // The token is about to expire. With a function, another one is used.
        if (received && payload?.['tokenExpiresAt'] !== undefined && typeof token === 'function') renew()
      },
      connecting: () => options.onStatus?.('connecting'),
      connected(socket) {
        line = socket as WebSocket
        options.onStatus?.('connected')
      },
      closed() {
        line = undefined
        options.onStatus?.('not connected')
      },
    },
    ...(options.webSocketImpl === undefined ? {} : { webSocketImpl: options.webSocketImpl }),
  })

  function renew(): void {
    const current = line
    // A connection that is being opened gets its own token. One that cannot be told the new token is opened again.
    if (current === undefined) return
    authorize().then(
      (payload) => {
        if (line === current) current.send(JSON.stringify({ type: 'ping', payload }))
      },
      () => {
        if (line === current) client.terminate()
      },
    )
  }

  async function* listen<Event extends LiveEvent>(
    listening: ListenOptions,
  ): AsyncGenerator<Event, void, undefined> {
    for await (const { data } of run<Event>(listening)) {
      const event = eventOf(data)
      if (event != null) yield event
    }
  }

  async function* run<Event extends LiveEvent>({
    query,
    operationName,
    variables = {},
    extensions = {},
    after,
    onGap,
    signal,
  }: RunOptions): AsyncGenerator<LiveResult<Event>, void, undefined> {
    const ended = AbortSignal.any([closed.signal, ...(signal === undefined ? [] : [signal])])
    const seen = new Set<string>()
    let cursor = after
    let failures = 0
    while (!ended.aborted) {
      let reason = 'the gateway ended the subscription'
      let leastDelayMs = 0
      const running = client.iterate<Record<string, Event | null>, Record<string, unknown>>({
        query,
        ...(operationName === undefined ? {} : { operationName }),
        variables,
        extensions: {
          position: true,
          ...extensions,
          ...(cursor === undefined ? {} : { lastEventId: cursor }),
        },
      })
      const leave = () => void running.return?.(undefined)
      ended.addEventListener('abort', leave)
      try {
        for await (const result of running) {
          const errors = (result.errors ?? []) as readonly GraphqlError[]
          const [error] = errors
          const event = eventOf(result.data)
          const position = result.extensions?.['cursor']
          if (typeof position === 'string') cursor = position
          if (event == null) {
            if (error !== undefined) {
              failIfFinal(errors)
              reason = error.message
              leastDelayMs = error.extensions?.retryAfterMs ?? 0
            }
            continue
          }
          failures = 0
          if (isRepeated(event, seen)) continue
          if (event.cursor !== undefined && event.cursor !== '') cursor = event.cursor
          if (isGap(event.__typename)) onGap?.(event)
          yield result
          if (ended.aborted) return
        }
      } catch (error) {
        if (ended.aborted) return
        // A list of errors refuses the subscription. Any other error is about the connection.
        if (error instanceof LiveError) throw error
        if (Array.isArray(error)) failIfFinal(error as readonly GraphqlError[])
        reason = describe(error)
      } finally {
        ended.removeEventListener('abort', leave)
        leave()
      }
      if (ended.aborted) return
      const ceiling = Math.min(firstDelayMs * 2 ** failures, longestDelayMs)
      const delayMs = Math.max(leastDelayMs, Math.round(ceiling * (0.5 + Math.random() / 2)))
      failures += 1
      options.onRetry?.(reason, delayMs)
      await pause(delayMs, ended)
    }
  }

  function subscribe(request: SubscribeRequest, sink: ResultSink): () => void {
    const { query, operationName, variables, extensions } = request
    const after = extensions?.['lastEventId']
    const left = new AbortController()
    const results = run({
      query,
      ...(operationName == null ? {} : { operationName }),
      variables: variables ?? {},
      extensions: extensions ?? {},
      ...(typeof after === 'string' ? { after } : {}),
      signal: left.signal,
    })
    const forward = async () => {
      for await (const result of results) sink.next(result)
    }
    forward().then(
      () => {
        if (!left.signal.aborted) sink.complete()
      },
      (error: unknown) => {
        if (!left.signal.aborted) sink.error(error instanceof LiveError ? error.errors : error)
      },
    )
    return () => left.abort()
  }

  return {
    subscribe,
    listen: <Event extends LiveEvent>(listening: ListenOptions) => leavable(listening, listen<Event>),
    results: <Event extends LiveEvent>(listening: ListenOptions) => leavable(listening, run<Event>),
    setToken(next) {
      token = next
      renew()
    },
    close() {
      closed.abort()
      void client.dispose()
    },
  }
}

/** Ends at once when the consumer stops, also while it waits for the next event. Generators alone do not. */
function leavable<Item>(
  { signal, ...listening }: ListenOptions,
  make: (listening: ListenOptions) => AsyncGenerator<Item, void, undefined>,
): AsyncGenerator<Item, void, undefined> {
  const left = new AbortController()
  const items = make({
    ...listening,
    signal: signal === undefined ? left.signal : AbortSignal.any([left.signal, signal]),
  })
  const end = items.return.bind(items)
  items.return = (value) => {
    left.abort()
    return end(value)
  }
  return items
}

/** The event of a result: a subscription has one field. */
function eventOf<Event>(
  data: Readonly<Record<string, Event | null>> | null | undefined,
): Event | null | undefined {
  return data == null ? undefined : Object.values(data)[0]
}

/** Whether events are missing at this position. */
function isGap(typename: string | undefined): boolean {
  return typename === 'Gap' || typename === 'DropGap'
}

/** Whether an event is a repetition. Events that are not stored, such as typing, have no position and are always new. */
function isRepeated({ cursor, __typename }: LiveEvent, seen: Set<string>): boolean {
  if (cursor === undefined || cursor === '' || isGap(__typename) || __typename === 'StreamStatus')
    return false
  if (__typename !== undefined && keptNowhere.includes(__typename)) return false
  if (seen.has(cursor)) return true
  seen.add(cursor)
  if (seen.size > rememberedCursors) seen.delete(seen.values().next().value ?? '')
  return false
}

function failIfFinal(errors: readonly GraphqlError[]): void {
  const [first = { message: 'The subscription was refused' }, ...rest] = errors
  const code = first.extensions?.code
  if (code !== undefined && retryableCodes.includes(code)) return
  throw new LiveError([first, ...rest])
}

function describe(error: unknown): string {
  const { code, reason, message } = (error ?? {}) as { code?: number; reason?: string; message?: string }
  if (code === 4401 || code === 4403)
    throw new LiveError([
      { message: reason ?? 'The token is not valid', extensions: { code: 'UNAUTHENTICATED' } },
    ])
  if (code !== undefined) return `closed ${code}${reason === undefined || reason === '' ? '' : `: ${reason}`}`
  return message ?? 'the line was lost'
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done)
  })
}
