import type { IncomingMessage, ServerResponse } from 'node:http'
import type { GraphQLError } from 'graphql'
import type { Engine } from './engine.ts'
import type { Payload } from './live.ts'
import { type OperationParams, runOperation } from './operation.ts'
import { type Body, type Envelope, joined, PacedWriter, Slab } from './paced-writer.ts'

/** Answers with more than one result. */
export type LiveFormat = 'sse' | 'multipart'

export interface LiveRequest {
  readonly engine: Engine
  readonly format: LiveFormat
  readonly params: OperationParams
  readonly mask: (error: unknown) => GraphQLError
  /** Hears that it is a subscription, and stands. */
  readonly onStanding: () => void
}

/** Every answer that is open. */
export interface LiveResponses {
  readonly size: number
  serve(request: IncomingMessage, response: ServerResponse, options: LiveRequest): void
  /** Ends every answer; clients come back and resume. */
  close(): void
}

/** How often a line is kept alive. Proxies cut after a minute. */
export const keepAliveMs = 12_000

/** Of replies that go on: nobody on the way may keep them. */
export const eventStreamHeaders = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store',
  'X-Accel-Buffering': 'no',
} as const

interface Framing {
  readonly contentType: string
  readonly begin: string
  readonly keepAlive: string
  /** What stands around a result. */
  readonly envelope: Envelope
  /** A result as it stands there. */
  body(payload: Payload): Body
  readonly complete: string
}

/** The format a client asks for by `Accept`; undefined for one that takes a single result. */
export function liveFormat({ headers }: IncomingMessage): LiveFormat | undefined {
  const accept = headers.accept ?? ''
  if (accept.includes('text/event-stream')) return 'sse'
  const isMultipart = (range: string) => {
    const at = range.indexOf('multipart/mixed')
    return at !== -1 && range.includes('subscriptionspec', at)
  }
  return accept.toLowerCase().split(',').some(isMultipart) ? 'multipart' : undefined
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
   * [apollo-router] multipart-subscriptions-protocol. Each part brings the boundary behind it along, because readers wait
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

export function createLiveResponses(): LiveResponses {
  const open = new Map<ServerResponse, PacedWriter>()
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

  /** Made once for all readers of a group: they are told the same in one turn, one after the other. */
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
    serve(request, response, { engine, format, params, mask, onStanding }) {
      const framing = framings[format]
      const gone = new AbortController()
      const writer = new PacedWriter({
        stream: response,
        framing: joined,
        slab,
        // The line is cut: whoever comes back says how far it got.
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
      const lastEventId = request.headers['last-event-id']
      void runOperation(
        {
          ...{ engine, req: request, params, mask, signal: gone.signal },
          authorization: request.headers.authorization,
          isReadOnly: request.method === 'GET',
          lastEventId: typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : undefined,
        },
        {
          begin() {
            onStanding()
            begin()
          },
          next(payload) {
            begin()
            writer.send(framing.envelope, framing.body(payload))
          },
          nextAll(payloads) {
            begin()
            writer.sendNow(framing.envelope, bodiesOf(format, payloads))
          },
          ready: () => writer.ready(),
          complete() {
            begin()
            writer.flushNow()
            response.end(framing.complete)
          },
          refuse(errors) {
            const code = errors[0]?.extensions['code']
            const isMethod = errors[0]?.message === 'A mutation cannot be sent by GET'
            response.writeHead(isMethod ? 405 : code === 'LIMIT_EXCEEDED' ? 413 : 400, {
              'Content-Type': 'application/json; charset=utf-8',
            })
            response.end(JSON.stringify({ errors }))
          },
        },
      )
    },
    close() {
      clearInterval(timer)
      for (const [response, writer] of open) {
        writer.flushNow()
        response.end()
      }
    },
  }
}
