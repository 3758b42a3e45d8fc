import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { WebSocket } from 'ws'
import type { Result } from './app.ts'
import { basic } from './backend.ts'

/** A subscription as it comes over one transport. */
export interface LiveClient {
  /** Every result so far, with the id its frame had, if it had one. */
  readonly results: { readonly result: Result; readonly id: string | undefined }[]
  /** Resolves when the server ended the subscription, or the line. */
  readonly ended: Promise<string>
  close(): void
  /** Stops reading, so that what is sent waits. */
  pause(): void
  resume(): void
}

export interface LiveClientOptions {
  readonly url: string
  readonly token: string
  readonly query: string
  readonly variables?: Record<string, unknown>
  readonly lastEventId?: string
  readonly onResult?: (result: Result) => void
}

type Connect = (options: LiveClientOptions) => LiveClient

/** graphql-transport-ws, by hand. */
export const overWebSocket: Connect = ({ url, token, query, variables = {}, onResult }) => {
  const results: LiveClient['results'] = []
  const { promise: ended, resolve } = Promise.withResolvers<string>()
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  socket.on('open', () => {
    socket.send(JSON.stringify({ type: 'connection_init', payload: { Authorization: basic(token) } }))
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query, variables } }))
  })
  socket.on('message', (data) => {
    const message = JSON.parse(String(data))
    if (message.type === 'next') {
      results.push({ result: message.payload, id: undefined })
      onResult?.(message.payload)
    }
    if (message.type === 'error') results.push({ result: { errors: message.payload }, id: undefined })
    if (message.type === 'complete' || message.type === 'error') resolve(message.type)
  })
  socket.on('error', () => resolve('error'))
  socket.on('close', (code, reason) => resolve(`closed ${code} ${reason}`))
  return {
    results,
    ended,
    close: () => socket.close(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  }
}

/** An answer over HTTP that goes on, cut into parts. */
function overHttp(
  { url, token, query, variables = {}, lastEventId }: LiveClientOptions,
  accept: string,
  onPart: (part: string) => boolean,
  separator: string,
): Omit<LiveClient, 'results'> {
  const { promise: ended, resolve } = Promise.withResolvers<string>()
  const body = JSON.stringify({ query, variables })
  let answer: IncomingMessage | undefined
  let isPaused = false
  const outgoing: ClientRequest = request(
    `${url}/graphql`,
    {
      method: 'POST',
      headers: {
        ...{ accept, authorization: basic(token), 'content-type': 'application/json' },
        'content-length': Buffer.byteLength(body),
        ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
      },
    },
    (response) => {
      answer = response
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        const parts = text.split(separator)
        text = parts.pop() ?? ''
        for (const part of parts) if (onPart(part)) resolve('complete')
      })
      response.on('end', () => {
        if (onPart(text)) resolve('complete')
        resolve('ended')
      })
      response.on('close', () => resolve('closed'))
      if (isPaused) response.pause()
      response.on('error', () => resolve('error'))
    },
  )
  outgoing.on('error', () => resolve('error'))
  outgoing.end(body)
  return {
    ended,
    close: () => outgoing.destroy(),
    pause() {
      isPaused = true
      answer?.pause()
    },
    resume() {
      isPaused = false
      answer?.resume()
    },
  }
}

/** [graphql-sse] PROTOCOL.md, "Distinct connections mode" */
export const overSse: Connect = (options) => {
  const results: LiveClient['results'] = []
  const onPart = (part: string) => {
    // Only line feeds end lines: JSON may have others in it.
    const field = (name: string) =>
      part
        .split('\n')
        .find((line) => line.startsWith(`${name}: `))
        ?.slice(name.length + 2)
    if (field('event') === 'next') {
      const result = JSON.parse(field('data') ?? '')
      results.push({ result, id: field('id') })
      options.onResult?.(result)
    }
    return field('event') === 'complete'
  }
  return { results, ...overHttp(options, 'text/event-stream', onPart, '\n\n') }
}

/** [apollo-router] multipart-subscriptions-protocol */
export const overMultipart: Connect = (options) => {
  const results: LiveClient['results'] = []
  const onPart = (part: string) => {
    const [, json] = /\r\n\r\n(\{.*\})/s.exec(part) ?? []
    const payload = json === undefined ? undefined : JSON.parse(json).payload
    if (payload !== undefined) {
      results.push({ result: payload, id: undefined })
      options.onResult?.(payload)
    }
    return part === '--\r\n'
  }
  const accept = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'
  return { results, ...overHttp(options, accept, onPart, '\r\n--graphql') }
}

export const liveTransports: readonly [name: string, connect: Connect][] = [
  ['WebSocket', overWebSocket],
  ['SSE', overSse],
  ['multipart', overMultipart],
]
