import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { ErrorCode } from '../../errors.ts'
import { EncodedHeaders } from '../../net/http1/response.ts'
import { joined, Outbox, Slab } from '../../subscriptions/outbox.ts'
import type { Tickets } from '../../tickets.ts'
import type { Connection } from '../../traffic/admission.ts'
import { endEvenly } from '../end-evenly.ts'
import type { Engine } from '../engine.ts'
import type { Exchange } from '../http/exchange.ts'
import type { NodeRequest } from '../http/http-request.ts'
import { noHeaders, retryAfter, sendError, sendErrors } from '../http/responses.ts'
import { errorType } from '../negotiation.ts'
import { type OperationParams, parseOperation, prepareOperation, runOperation } from '../operation.ts'
import { statusOf } from '../status.ts'
import { forwardRequest, hopHeader } from './forward.ts'
import { eventStreamHeaders, keepAliveMs } from './streaming-response.ts'

export interface SingleConnectionRequest {
  readonly engine: Engine
  /** Reads the body of the request. @throws GatewayError for a malformed one */
  readonly readParams: () => Promise<OperationParams>
  /** Counts the stream as an open connection of the client. @throws GatewayError `RATE_LIMITED` */
  readonly openConnection: () => Connection
  /** Counts an operation for its principal. @throws GatewayError `RATE_LIMITED` */
  readonly count: () => void
  /** Acquires a permit until the end of the response. @throws GatewayError `OVERLOADED` */
  readonly enter: () => undefined | Promise<void>
}

type StreamRequest = Pick<Exchange, 'method' | 'url' | 'headers'>

/** Streams that carry the results of many operations, each of which is a request. */
export interface SingleConnections {
  /** How many are open. */
  readonly size: number
  /** Whether a request belongs to a stream. */
  isFor(request: StreamRequest): boolean
  serve(exchange: Exchange, node: NodeRequest, options: SingleConnectionRequest): Promise<void>
  /** Ends every stream, evenly over so many milliseconds. */
  close(drainMs: number): Promise<void>
}

/** Has the token of a stream, which is the key to it. */
const tokenHeader = 'x-graphql-event-stream-token'
/** How long a token names the gateway of its stream. An open stream can be longer at the gateway itself. */
const tokenMs = 30 * 24 * 3600_000
/** How long a reservation is valid. */
const reservedMs = 30_000
const maxReservations = 10_000
const maxOperations = 100

const tokenHeaders = new EncodedHeaders({
  'Content-Type': 'text/plain; charset=utf-8',
  'Cache-Control': 'no-store',
})

const allowed = new EncodedHeaders({ Allow: 'GET, POST, PUT, DELETE, OPTIONS' })
const pause = retryAfter(1000)

const closing = Buffer.from('}\n\n')
const bare = { head: Buffer.alloc(0), tail: Buffer.alloc(0) }

interface Stream {
  readonly operations: Map<string, AbortController>
  readonly expiry: NodeJS.Timeout
  readonly connection: Connection
  response: ServerResponse | undefined
  writer: Outbox | undefined
}

export interface SingleConnectionOptions {
  readonly tickets: Tickets
  /** Where other gateways reach this one; undefined where they do not. */
  readonly ownUrl: string | undefined
}

/**
 * One stream for all operations of a page, because browsers open few connections over HTTP/1: `PUT` reserves it, `GET`
 * opens it, `POST` starts an operation and `DELETE` ends one. [graphql-sse] PROTOCOL.md, "Single connection mode"
 *
 * A stream belongs to the gateway that reserved it. The token names that gateway, sealed, so that another one that receives a
 * request of the stream can forward it.
 *
 * By hand: the handler of `graphql-sse` keeps a reserved stream for ever if no `GET` comes, bounds neither streams nor what waits
 * for a slow reader, and serializes each result for each stream.
 */
export function createSingleConnections({ tickets, ownUrl }: SingleConnectionOptions): SingleConnections {
  const streams = new Map<string, Stream>()
  const slab = new Slab()
  const pacing = setInterval(() => {
    const now = Date.now()
    for (const { writer } of streams.values()) writer?.check(now)
  }, 1000)
  pacing.unref()

  function reserve(exchange: Exchange, openConnection: () => Connection): void {
    if (streams.size >= maxReservations)
      return rejectForNow(exchange, 'OVERLOADED', 'There are too many streams; try again later')
    const token = makeToken()
    const connection = openConnection()
    const expiry = setTimeout(() => forget(token), reservedMs)
    expiry.unref()
    streams.set(token, { operations: new Map(), expiry, connection, response: undefined, writer: undefined })
    exchange.respond(201, tokenHeaders, token)
  }

  function makeToken(): string {
    const unguessable = randomBytes(24).toString('base64url')
    if (ownUrl === undefined) return unguessable
    return tickets.seal('connection', `${unguessable} ${ownUrl}`, Date.now() + tokenMs)
  }

  /** The gateway that has the stream of a token, if it is another one. */
  function ownerOf(token: string): string | undefined {
    const url = tickets.open('connection', token)?.value.split(' ', 2)[1]
    return url === ownUrl ? undefined : url
  }

  function forget(token: string): void {
    streams.get(token)?.connection.close()
    streams.delete(token)
  }

  function open(token: string, stream: Stream, exchange: Exchange, { response }: NodeRequest): void {
    if (stream.response !== undefined) return reject(exchange, 'CONFLICT', 'This stream is open already')
    clearTimeout(stream.expiry)
    const writer = new Outbox({
      stream: response,
      framing: joined,
      slab,
      onSlow: () => response.destroy(),
    })
    stream.response = response
    stream.writer = writer
    response.writeHead(200, eventStreamHeaders)
    response.write(':\n\n')
    const keepAlive = setInterval(() => {
      if (writer.waitingBytes === 0) response.write(':\n\n')
    }, keepAliveMs)
    keepAlive.unref()
    response.on('close', () => {
      clearInterval(keepAlive)
      forget(token)
      for (const operation of stream.operations.values()) operation.abort()
    })
  }

  async function begin(
    stream: Stream,
    exchange: Exchange,
    { engine, readParams, count, enter }: SingleConnectionRequest,
  ): Promise<void> {
    const { writer } = stream
    if (writer === undefined) return reject(exchange, 'CONFLICT', 'This stream is not open yet: GET it first')
    count()
    const params = await readParams()
    await enter()
    // The client may have left before the body was complete; no event would end the operation.
    if (stream.response?.destroyed !== false)
      return reject(exchange, 'NOT_FOUND', 'This stream is closed: PUT reserves another')
    const id = params.extensions['operationId']
    if (typeof id !== 'string' || id === '' || id.length > 100)
      return reject(exchange, 'BAD_USER_INPUT', 'Expected extensions.operationId to name the operation')
    if (stream.operations.has(id))
      return reject(exchange, 'CONFLICT', 'There is an operation of this id on the stream')
    if (stream.operations.size >= maxOperations)
      return rejectForNow(
        exchange,
        'RATE_LIMITED',
        `At most ${maxOperations} operations may run on one stream`,
      )
    const { authorization } = exchange.headers
    const departure = new AbortController()
    const parsed = parseOperation(engine, params, exchange)
    const operation =
      parsed.errors === undefined
        ? prepareOperation(engine, parsed, { request: exchange, authorization, departure })
        : parsed
    if ('errors' in operation) return sendErrors(exchange, errorType(exchange), operation.errors, 400)
    // The operation may have another credential than the one the stream was reserved with.
    const release = stream.connection.identify(authorization)
    departure.signal.addEventListener('abort', release)
    stream.operations.set(id, departure)
    const head = Buffer.from(`event: next\ndata: {"id":${JSON.stringify(id)},"payload":`)
    const envelope = { head, tail: closing }
    const accept = () => {
      exchange.respond(202, noHeaders, '')
    }
    await runOperation(
      engine,
      operation,
      {
        begin: accept,
        next(payload) {
          accept()
          writer.send(envelope, payload)
        },
        nextAll(payloads) {
          accept()
          for (const payload of payloads) writer.send(envelope, payload)
        },
        ready: () => writer.ready(),
        complete() {
          accept()
          release()
          if (stream.operations.get(id) === departure) stream.operations.delete(id)
          const end = Buffer.from(`event: complete\ndata: ${JSON.stringify({ id })}\n\n`)
          writer.send(bare, { bytes: end, next: undefined })
        },
        disconnect() {
          stream.response?.destroy()
        },
      },
      departure.signal,
    )
  }

  function end(stream: Stream, exchange: Exchange): void {
    const id = new URL(exchange.url, 'http://localhost').searchParams.get('operationId') ?? ''
    const operation = stream.operations.get(id)
    if (operation === undefined)
      return reject(exchange, 'NOT_FOUND', 'There is no operation of this id on the stream')
    operation.abort()
    stream.operations.delete(id)
    exchange.respond(200, noHeaders, '')
  }

  /** Forwards a request of a stream that another gateway has. */
  function pass(
    exchange: Exchange,
    { request, response }: NodeRequest,
    owner: string,
    { openConnection }: SingleConnectionRequest,
  ): void {
    if (exchange.method === 'GET') {
      const connection = openConnection()
      exchange.observe({ closed: () => connection.close() })
    }
    forwardRequest(request, response, owner, () =>
      reject(
        exchange,
        'NOT_FOUND',
        'The gateway of this stream does not respond: PUT reserves another stream',
      ),
    )
  }

  return {
    get size() {
      return [...streams.values()].filter(({ response }) => response !== undefined).length
    },
    isFor: (request) => request.method === 'PUT' || tokenOf(request) !== undefined,
    async serve(exchange, node, options) {
      const { method } = exchange
      if (method === 'PUT') return reserve(exchange, options.openConnection)
      const token = tokenOf(exchange) ?? ''
      const stream = streams.get(token)
      const owner = stream === undefined ? ownerOf(token) : undefined
      if (owner !== undefined && exchange.headers[hopHeader] === undefined)
        return pass(exchange, node, owner, options)
      if (stream === undefined)
        return reject(
          exchange,
          'NOT_FOUND',
          'The token names no event stream: PUT reserves one. A credential belongs in the header Authorization',
        )
      if (method === 'GET') return open(token, stream, exchange, node)
      if (method === 'POST') return begin(stream, exchange, options)
      if (method === 'DELETE') return end(stream, exchange)
      exchange.addHeaders(allowed)
      sendError(exchange, 405, 'BAD_USER_INPUT', 'Expected PUT, GET, POST or DELETE', true)
    },
    async close(drainMs) {
      const end = ({ response, writer, expiry }: Stream) => {
        clearTimeout(expiry)
        writer?.flushNow()
        response?.end()
      }
      await endEvenly(streams.values(), drainMs, end)
      for (const stream of streams.values()) end(stream)
      clearInterval(pacing)
    },
  }
}

/** The token is in the URL for `EventSource`, which sends no headers. */
function tokenOf({ headers, url }: StreamRequest): string | undefined {
  const named = headers[tokenHeader]
  if (typeof named === 'string') return named
  // Few URLs have one, and parsing a URL costs more than the rest of the endpoint.
  if (!url.includes('token=')) return undefined
  const { searchParams } = new URL(url, 'http://localhost')
  return searchParams.has('query') ? undefined : (searchParams.get('token') ?? undefined)
}

/** Rejects a request and leaves its connection open, which a browser needs for the stream. */
function reject(exchange: Exchange, code: ErrorCode, message: string): void {
  sendError(exchange, statusOf(code), code, message, true)
}

/** Rejects a request that may succeed later. */
function rejectForNow(exchange: Exchange, code: ErrorCode, message: string): void {
  exchange.addHeaders(pause)
  reject(exchange, code, message)
}
