import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Payload, toPayload } from '../../subscriptions/fan-out.ts'
import { type Body, type Envelope, joined, Outbox, Slab } from '../../subscriptions/outbox.ts'
import { endEvenly } from '../end-evenly.ts'
import type { Engine } from '../engine.ts'
import type { LiveFormat } from '../negotiation.ts'
import { type ParsedOperation, prepareOperation, type RejectedOperation, runOperation } from '../operation.ts'

export interface LiveRequest {
  readonly engine: Engine
  readonly format: LiveFormat
  /** The response to a rejected operation delivers its errors and ends. */
  readonly operation: ParsedOperation | RejectedOperation
  /** Called when the operation is a subscription, which is open now. */
  readonly onOpen: () => void
}

/** The responses that are open. */
export interface StreamingResponses {
  readonly size: number
  serve(request: IncomingMessage, response: ServerResponse, options: LiveRequest): void
  /** Ends every response, evenly over so many milliseconds. */
  close(drainMs: number): Promise<void>
}

/** The interval of keep-alive messages. Proxies cut connections that are silent for a minute. */
export const keepAliveMs = 12_000

/** No proxy may buffer or cache a stream. */
export const eventStreamHeaders = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store',
  'X-Accel-Buffering': 'no',
} as const

interface Framing {
  readonly contentType: string
  readonly begin: string
  readonly keepAlive: string
  /** The bytes around a result. */
  readonly envelope: Envelope
  /** The bytes of a result. */
  body(payload: Payload): Body
  readonly complete: string
}

const framings: Readonly<Record<LiveFormat, Framing>> = {
  /** [graphql-sse] PROTOCOL.md, "Distinct connections mode"; [spec] SSE */
  sse: {
    contentType: eventStreamHeaders['Content-Type'],
    begin: '',
    keepAlive: ':\n\n',
    envelope: { head: Buffer.from('event: next\n'), tail: Buffer.from('\n\n') },
    body: ({ cursor, bytes }) => ({
      bytes: Buffer.concat([Buffer.from(`${cursor === undefined ? '' : `id: ${cursor}\n`}data: `), bytes]),
      next: undefined,
    }),
    complete: 'event: complete\ndata: \n\n',
  },
  /**
   * [apollo-router] multipart-subscriptions-protocol. Each part is sent with the boundary after it, because readers wait
   * for it.
   */
  multipart: {
    contentType: 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"',
    begin: '\r\n--graphql',
    keepAlive: '\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql',
    envelope: {
      head: Buffer.from('\r\nContent-Type: application/json\r\n\r\n{"payload":'),
      tail: Buffer.from('}\r\n--graphql'),
    },
    body: (payload) => payload,
    complete: '--\r\n',
  },
}

/** The media type of a response in a format. */
export function liveContentType(format: LiveFormat): string {
  return framings[format].contentType
}

export function createStreamingResponses(): StreamingResponses {
  const open = new Map<ServerResponse, Outbox>()
  const timer = setInterval(() => {
    const now = Date.now()
    for (const writer of open.values()) writer.check(now)
  }, 1000)
  timer.unref()
  const slab = new Slab()
  const last = new Map<
    LiveFormat,
    { readonly payloads: readonly Payload[]; readonly bodies: readonly Body[] }
  >()

  /** Made once for all readers of a group, which receive the same payloads in one turn. */
  function bodiesOf(format: LiveFormat, payloads: readonly Payload[]): readonly Body[] {
    const known = last.get(format)
    if (known?.payloads === payloads) return known.bodies
    const bodies = payloads.map((payload) => framings[format].body(payload))
    last.set(format, { payloads, bodies })
    return bodies
  }

  return {
    get size() {
      return open.size
    },
    serve(request, response, { engine, format, operation: parsed, onOpen }) {
      const framing = framings[format]
      const gone = new AbortController()
      const writer = new Outbox({
        stream: response,
        framing: joined,
        slab,
        // The client connects again and resumes after the last event it received.
        onSlow: () => response.destroy(),
      })
      let keepAlive: NodeJS.Timeout | undefined
      response.on('close', () => {
        gone.abort()
        clearInterval(keepAlive)
        open.delete(response)
      })
      const begin = () => {
        if (response.headersSent || response.destroyed) return
        response.writeHead(200, {
          ...eventStreamHeaders,
          'Content-Type': framing.contentType,
        })
        response.write(framing.begin + framing.keepAlive)
        open.set(response, writer)
        keepAlive = setInterval(() => {
          if (writer.waitingBytes === 0) response.write(framing.keepAlive)
        }, keepAliveMs)
        keepAlive.unref()
      }
      const reader = {
        begin() {
          onOpen()
          begin()
        },
        next(payload: Payload) {
          begin()
          writer.send(framing.envelope, framing.body(payload))
        },
        nextAll(payloads: readonly Payload[]) {
          begin()
          writer.sendNow(framing.envelope, bodiesOf(format, payloads))
        },
        ready: () => writer.ready(),
        complete() {
          begin()
          writer.flushNow()
          response.end(framing.complete)
        },
        disconnect() {
          response.destroy()
        },
      }
      const lastEventId = request.headers['last-event-id']
      const operation =
        parsed.errors === undefined
          ? prepareOperation(engine, parsed, {
              request,
              authorization: request.headers.authorization,
              departure: gone,
              lastEventId: typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : undefined,
            })
          : parsed
      if (!('errors' in operation)) return void runOperation(engine, operation, reader, gone.signal)
      // Clients retry after a status of 400 and do not show its reason. [graphql-sse] PROTOCOL.md, "Distinct connections"
      reader.next(toPayload({ errors: operation.errors }, undefined))
      reader.complete()
    },
    async close(drainMs) {
      const end = ([response, writer]: [ServerResponse, Outbox]) => {
        writer.flushNow()
        response.end()
      }
      await endEvenly(open, drainMs, end)
      // Those that were opened meanwhile.
      for (const each of open) end(each)
      clearInterval(timer)
    },
  }
}
