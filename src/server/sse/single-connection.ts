import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { GraphQLError } from 'graphql'
import { GatewayError } from '../../errors.ts'
import { joined, Outbox, Slab } from '../../subscriptions/outbox.ts'
import type { Connection } from '../../traffic/admission.ts'
import type { Engine } from '../engine.ts'
import { sendRequestErrors } from '../http/responses.ts'
import { errorType } from '../negotiation.ts'
import { type OperationParams, runOperation } from '../operation.ts'
import { eventStreamHeaders, keepAliveMs } from './streaming-response.ts'

export interface SingleConnectionRequest {
  readonly engine: Engine
  readonly mask: (error: unknown) => GraphQLError
  /** Reads the body of a request. @throws GatewayError for what a client got wrong */
  readonly readParams: (request: IncomingMessage) => Promise<OperationParams>
  /** Counts the stream as a connection of the client. @throws GatewayError `RATE_LIMITED` */
  readonly openConnection: () => Connection
  /** Counts an operation for its principal. @throws GatewayError `RATE_LIMITED` */
  readonly count: () => void
  /** Acquires a permit until the request is answered. @throws GatewayError `OVERLOADED` */
  readonly enter: () => undefined | Promise<void>
}

/** Streams that carry the results of many operations, each of which is a request of its own. */
export interface SingleConnections {
  /** How many are open. */
  readonly size: number
  /** Whether a request is about one of them. */
  isFor(request: IncomingMessage): boolean
  serve(request: IncomingMessage, response: ServerResponse, options: SingleConnectionRequest): Promise<void>
  /** Ends every stream. */
  close(): void
}

/** Names the stream a request is about; it is as good as a key to it. */
const tokenHeader = 'x-graphql-event-stream-token'
/** How long a reservation waits for its stream. */
const reservedMs = 30_000
const maxReservations = 10_000
const maxOperations = 100

const closing = Buffer.from('}\n\n')
const bare = { head: Buffer.alloc(0), tail: Buffer.alloc(0) }

interface Stream {
  readonly operations: Map<string, AbortController>
  readonly expiry: NodeJS.Timeout
  readonly connection: Connection
  response: ServerResponse | undefined
  writer: Outbox | undefined
}

/**
 * One reply for all that a page asks, where the number of connections is small, as with HTTP/1: `PUT` reserves it, `GET`
 * opens it, `POST` begins an operation and `DELETE` ends one. [graphql-sse] PROTOCOL.md, "Single connection mode"
 */
export function createSingleConnections(): SingleConnections {
  const streams = new Map<string, Stream>()
  const slab = new Slab()
  const pacing = setInterval(() => {
    const now = Date.now()
    for (const { writer } of streams.values()) writer?.check(now)
  }, 1000)
  pacing.unref()

  function reserve(response: ServerResponse, openConnection: () => Connection): void {
    if (streams.size >= maxReservations)
      return answer(response, 503, 'LIMIT_EXCEEDED', 'There are too many streams; try again later')
    const token = randomBytes(24).toString('base64url')
    const connection = openConnection()
    const expiry = setTimeout(() => forget(token), reservedMs)
    expiry.unref()
    streams.set(token, { operations: new Map(), expiry, connection, response: undefined, writer: undefined })
    response.writeHead(201, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' })
    response.end(token)
  }

  function forget(token: string): void {
    streams.get(token)?.connection.close()
    streams.delete(token)
  }

  function open(token: string, stream: Stream, response: ServerResponse): void {
    if (stream.response !== undefined) return answer(response, 409, 'CONFLICT', 'This stream is open already')
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
    request: IncomingMessage,
    response: ServerResponse,
    { engine, mask, readParams, count, enter }: SingleConnectionRequest,
  ): Promise<void> {
    const { writer } = stream
    if (writer === undefined)
      return answer(response, 409, 'CONFLICT', 'This stream is not open yet: GET it first')
    count()
    const params = await readParams(request)
    await enter()
    // Its reader may have left while the body came: nobody would end what is begun now.
    if (stream.response?.destroyed !== false)
      return answer(response, 404, 'NOT_FOUND', 'This stream is closed: PUT reserves another')
    const id = params.extensions?.['operationId']
    if (typeof id !== 'string' || id === '' || id.length > 100)
      return answer(response, 400, 'BAD_USER_INPUT', 'Expected extensions.operationId to name the operation')
    if (stream.operations.has(id))
      return answer(response, 409, 'CONFLICT', 'There is an operation of this id on the stream')
    if (stream.operations.size >= maxOperations)
      return answer(
        response,
        429,
        'LIMIT_EXCEEDED',
        `At most ${maxOperations} operations may run on one stream`,
      )
    // The operation may have another credential than the one the stream was reserved with.
    const release = stream.connection.identify(request.headers.authorization)
    const abort = new AbortController()
    abort.signal.addEventListener('abort', release)
    stream.operations.set(id, abort)
    const head = Buffer.from(`event: next\ndata: {"id":${JSON.stringify(id)},"payload":`)
    const envelope = { head, tail: closing }
    const accept = () => {
      if (!response.headersSent) response.writeHead(202).end()
    }
    const over = () => {
      release()
      if (stream.operations.get(id) === abort) stream.operations.delete(id)
    }
    await runOperation(
      {
        ...{ engine, req: request, params, mask, signal: abort.signal },
        authorization: request.headers.authorization,
      },
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
          over()
          const end = Buffer.from(`event: complete\ndata: ${JSON.stringify({ id })}\n\n`)
          writer.send(bare, { bytes: end, next: undefined })
        },
        refuse(errors) {
          over()
          sendRequestErrors(response, errorType(request), errors, 400)
        },
      },
    )
  }

  function end(stream: Stream, request: IncomingMessage, response: ServerResponse): void {
    const id = new URL(request.url ?? '/', 'http://localhost').searchParams.get('operationId') ?? ''
    const operation = stream.operations.get(id)
    if (operation === undefined)
      return answer(response, 404, 'NOT_FOUND', 'There is no operation of this id on the stream')
    operation.abort()
    stream.operations.delete(id)
    response.writeHead(200).end()
  }

  return {
    get size() {
      return [...streams.values()].filter(({ response }) => response !== undefined).length
    },
    isFor: (request) => request.method === 'PUT' || tokenOf(request) !== undefined,
    async serve(request, response, options) {
      if (request.method === 'PUT') return reserve(response, options.openConnection)
      const token = tokenOf(request) ?? ''
      const stream = streams.get(token)
      if (stream === undefined)
        return answer(response, 404, 'NOT_FOUND', 'There is no such stream: PUT reserves one')
      if (request.method === 'GET') return open(token, stream, response)
      if (request.method === 'POST') return begin(stream, request, response, options)
      if (request.method === 'DELETE') return end(stream, request, response)
      response.setHeader('Allow', 'GET, POST, PUT, DELETE, OPTIONS')
      answer(response, 405, 'BAD_USER_INPUT', 'Expected PUT, GET, POST or DELETE')
    },
    close() {
      clearInterval(pacing)
      for (const { response, writer, expiry } of streams.values()) {
        clearTimeout(expiry)
        writer?.flushNow()
        response?.end()
      }
    },
  }
}

/** Browsers' `EventSource` has no headers: there it is in the address. */
function tokenOf({ headers, url }: IncomingMessage): string | undefined {
  const named = headers[tokenHeader]
  if (typeof named === 'string') return named
  // Nearly no address has one, and reading it would take longer than all that looks at it.
  if (url?.includes('token=') !== true) return undefined
  const { searchParams } = new URL(url, 'http://localhost')
  return searchParams.has('query') ? undefined : (searchParams.get('token') ?? undefined)
}

function answer(
  response: ServerResponse,
  status: number,
  code: ConstructorParameters<typeof GatewayError>[0],
  message: string,
): void {
  response.writeHead(status, { 'Content-Type': errorType(response.req) })
  response.end(JSON.stringify({ errors: [new GatewayError(code, message)].map(describe) }))
}

function describe({ message, code }: GatewayError) {
  return { message, extensions: { code } }
}
