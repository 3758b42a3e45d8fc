import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
import type { GraphQLError, OperationTypeNode } from 'graphql'
import type { Departure } from '../context.ts'
import { type ErrorCode, GatewayError } from '../errors.ts'
import type { Admission } from './admission.ts'
import { answerDirectly } from './direct-answer.ts'
import type { Document } from './documents.ts'
import { type OpenDownload, serveDownload } from './downloads.ts'
import type { Engine } from './engine.ts'
import type { EventStreams } from './event-streams.ts'
import type { Graphiql } from './graphiql.ts'
import { type Door, isLocal } from './host.ts'
import type { LiveResponses } from './live-http.ts'
import { type Accepted, createNegotiation, errorType, negotiate } from './negotiation.ts'
import { type OperationParams, operationOf, toParams } from './operation.ts'
import { hasFiles, hasJson, readJson, readMultipartOperation, readQuery } from './operation-request.ts'
import type { RequestIds } from './request-id.ts'
import { requestErrorStatus, sendRequestErrors, statusOf } from './responses.ts'
import { type SendUpload, serveUpload } from './uploads.ts'

export interface HttpServerOptions {
  readonly host: string
  readonly port: number
  readonly engine: Engine
  readonly liveResponses: LiveResponses
  readonly eventStreams: EventStreams
  /** An error as a client may see it. */
  readonly mask: (error: unknown) => GraphQLError
  readonly door: Door
  readonly admission: Admission
  readonly requestIds: RequestIds
  /** Undefined where there is none. */
  readonly graphiql: Graphiql | undefined
  /** Prints the schema in its own language; undefined where it may not be asked for. */
  readonly schemaFile: (() => string) | undefined
  /** Prints the object types of each interface and union as JSON; undefined where the schema is not shown. */
  readonly possibleTypes: (() => string) | undefined
  /** What GraphiQL sends for readers on this machine; undefined when there is no demo user. */
  readonly demoAuthorization: string | undefined
  /** Uses the ticket of an event stream: the `Authorization` it stands for; undefined for one that is not valid. */
  readonly redeemTicket: (ticket: string) => string | undefined
  /** Opens a file by the ticket in its address. */
  readonly openDownload: OpenDownload
  /** Sends a file on, by the ticket in its address. */
  readonly sendUpload: SendUpload
  /** Figures in the text format of Prometheus. */
  readonly metrics: () => Promise<string>
  /** Hears of every answer. @param status 0 when the client left before */
  readonly onResponse: (status: number) => void
  /** What is live at this moment, for readers on this machine. */
  readonly streams: () => object
  /** Whether the upstream answers. */
  readonly isReady: () => Promise<boolean>
}

interface HandlerOptions extends HttpServerOptions {
  readonly negotiate: (request: IncomingMessage) => Accepted
}

export interface HttpServer {
  readonly server: Server
  /** Where it listens, without a trailing slash. */
  readonly url: string
  /** Answers what came, refuses what comes, and resolves when the last connection is closed. */
  close(): Promise<void>
}

/** Browsers send these to another origin only after it agreed; one of them has to come with files. */
const preflightHeaders = ['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with']
/** The media types of responses, as errors name them. */
const jsonTypes = 'application/json, application/graphql-response+json'
const streamTypes = 'text/event-stream or multipart/mixed;subscriptionSpec="1.0"'
/** How long the head of a request may take to arrive, a file, and every other request. */
const headersTimeout = 8000
const uploadMs = 600_000
const arrivalMs = 60_000
/** How long a connection may be silent in the middle of something. */
const idleMs = 30_000
/** From when an answer counts as read slowly, and how long its reader may take from then on. */
const slowReadingMs = 1000
const readingMs = 60_000
/** How long requests in flight may go on after a stop was asked for. */
const drainMs = 5000
/** How long the port stays open after that: requests on their way still arrive, and load balancers look elsewhere. */
const farewellMs = 250
/** What is still read of a request that is refused. */
const maxDrainedBytes = 8 * 1024 * 1024
const drainingMs = 2000
/** How long the request of a connection may be on its way that came last. */
const unreadMs = 100

/** Starts listening; answers everything but WebSockets. @throws the system's error when the port cannot be had */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let stopping = false
  const whole = {
    ...{ ...options, negotiate: createNegotiation() },
    isReady: async () => !stopping && options.isReady(),
  }
  const arrivals = new Arrivals()
  const server = createServer(
    {
      ...{ headersTimeout, requestTimeout: uploadMs, keepAliveTimeout: 75_000 },
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      arrivals.add(request)
      response.on('error', () => undefined)
      response.on('close', () => options.onResponse(response.headersSent ? response.statusCode : 0))
      if (stopping) response.setHeader('Connection', 'close')
      response.setHeader('X-Request-Id', options.requestIds.identify(request))
      response.setHeader('X-Content-Type-Options', 'nosniff')
      try {
        handle(request, response, whole)
      } catch (error) {
        refuse(request, response, error)
      }
    },
  )
  // Whoever neither reads nor sends for so long is gone; live answers are written to more often.
  server.setTimeout(idleMs)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    server,
    url: `http://${host}:${port}`,
    async close() {
      stopping = true
      await new Promise((resolve) => setTimeout(resolve, farewellMs))
      options.liveResponses.close()
      options.eventStreams.close()
      // Right after connections were accepted: those that still wait for it are lost with the port.
      await new Promise((resolve) => setImmediate(resolve))
      // Not as HTTP does it, which takes a connection whose request was not read yet for an idle one.
      const closed = new Promise((resolve) => NetServer.prototype.close.call(server, resolve))
      const idle = setTimeout(() => server.closeIdleConnections(), unreadMs)
      const deadline = setTimeout(() => server.closeAllConnections(), drainMs)
      await closed
      clearTimeout(idle)
      clearTimeout(deadline)
    },
  }
}

/** Requests whose bodies have to arrive. Most come in one piece with their heads, and are never waited for. */
class Arrivals {
  /** Those of this turn of the event loop. */
  #fresh: IncomingMessage[] = []

  add(request: IncomingMessage): void {
    if (this.#fresh.push(request) === 1) setImmediate(() => this.#look())
  }

  #look(): void {
    const fresh = this.#fresh
    this.#fresh = []
    for (const request of fresh)
      if (!request.complete && !request.url?.startsWith('/uploads/') && !hasFiles(request))
        boundArrival(request)
  }
}

/** Ends a request whose body does not arrive in time. */
function boundArrival(request: IncomingMessage): void {
  const limit = setTimeout(() => {
    if (request.complete) return
    request.socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n')
    request.destroy()
  }, arrivalMs)
  request.once('close', () => clearTimeout(limit))
}

function handle(request: IncomingMessage, response: ServerResponse, options: HandlerOptions): void {
  const { admission, door, graphiql } = options
  const [path] = (request.url ?? '/').split('?', 1) as [string]
  const problem = door.problem(request)
  // Whoever looks after the process calls it by its address.
  const isForOperators = path === '/metrics' || path.startsWith('/health/')
  if (problem !== undefined && !(isForOperators && problem.status === 421))
    return sendError(response, problem.status, 'BAD_USER_INPUT', problem.message)
  for (const [name, value] of Object.entries(door.corsHeaders(request))) response.setHeader(name, value)
  if (request.method === 'OPTIONS' && door.isAllowedOrigin(request) && request.headers.origin !== undefined)
    return void response.writeHead(204).end()
  if (!path.startsWith('/health/')) admission.count(request)

  switch (path) {
    case '/':
      response.writeHead(302, { Location: '/graphql' })
      response.end()
      return
    case '/graphql':
      return serveGraphql(request, response, options)
    case '/schema.graphql':
      return sendSchema(response, options.schemaFile, 'text/plain; charset=utf-8')
    case '/possible-types.json':
      return sendSchema(response, options.possibleTypes, 'application/json')
    case '/metrics':
      return void options
        .metrics()
        .then((text) => sendText(response, text, 'text/plain; version=0.0.4; charset=utf-8'))
        .catch(() => response.destroy())
    case '/streams':
      if (!isLocal(request))
        return sendError(response, 403, 'FORBIDDEN', 'Only for readers on the machine of the gateway')
      return sendText(response, JSON.stringify(options.streams()), 'application/json')
    case '/health/live':
      return sendText(response, '{"status":"live"}', 'application/json')
    case '/health/ready':
      void options.isReady().then((ready) => {
        response.writeHead(ready ? 200 : 503, {
          'Content-Type': 'application/json',
          'Cache-Control': 'no-store',
        })
        response.end(JSON.stringify({ status: ready ? 'ready' : 'not ready' }))
      })
      return
    default:
      if (
        path.startsWith('/graphiql/') &&
        graphiql?.serveAsset(path.slice('/graphiql/'.length), request, response) === true
      )
        return
      return serveFile(path, request, response, options)
  }
}

function sendSchema(response: ServerResponse, print: (() => string) | undefined, type: string): void {
  if (print === undefined)
    return sendError(response, 403, 'FORBIDDEN', 'This gateway does not show its schema')
  sendText(response, print(), type)
}

function serveFile(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  { openDownload, sendUpload, admission }: HttpServerOptions,
): void {
  const [, upload] = /^\/uploads\/([\w-]{22})$/.exec(path) ?? []
  if (upload !== undefined && request.method === 'PUT') {
    response.once('close', admission.openTransfer(request))
    return void serveUpload(upload, request, response, sendUpload)
  }
  const [, ticket] = /^\/files\/([\w-]{22})\/[^/]+$/.exec(path) ?? []
  if (ticket === undefined)
    return sendError(response, 404, 'NOT_FOUND', 'There is nothing here; GraphQL is at /graphql')
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return sendError(response, 405, 'BAD_USER_INPUT', 'A file can only be read')
  response.once('close', admission.openTransfer(request))
  void serveDownload(ticket, request, response, openDownload)
}

function serveGraphql(request: IncomingMessage, response: ServerResponse, options: HandlerOptions): void {
  const { admission, door, engine, eventStreams, graphiql, mask } = options
  const accepted = options.negotiate(request)
  if (request.method === 'GET' && accepted.page) {
    if (graphiql === undefined)
      return sendError(response, 403, 'FORBIDDEN', 'This gateway has no GraphiQL; GRAPHIQL=on brings it')
    // A page of another origin that may read responses must not read the token.
    const isReader = isLocal(request) && request.headers.origin === undefined
    return graphiql.servePage(response, isReader ? options.demoAuthorization : undefined)
  }
  if (!door.isAllowedOrigin(request))
    return sendError(response, 403, 'FORBIDDEN', door.describeRefusal(request))
  const ticket = request.method === 'GET' ? ticketIn(request) : undefined
  if (ticket !== undefined) {
    if (accepted.json !== undefined || accepted.stream !== 'sse')
      return sendError(response, 406, 'BAD_USER_INPUT', 'A ticket needs Accept to be text/event-stream')
    const authorization = options.redeemTicket(ticket)
    // With this status an EventSource ends. It would repeat its URL, but a ticket works once.
    if (authorization === undefined) {
      const message = 'The ticket was used or has expired; createStreamTicket makes another'
      return sendError(response, 401, 'UNAUTHENTICATED', message)
    }
    request.headers.authorization = authorization
  }
  const isMultipart = hasFiles(request)
  // Forms of other pages can send any body but JSON without asking first.
  if (request.method === 'POST' && isMultipart && !preflightHeaders.some((name) => request.headers[name]))
    return sendError(
      response,
      415,
      'BAD_USER_INPUT',
      `Expected a multipart request to have one of the headers ${preflightHeaders.join(', ')}`,
    )
  if (request.method === 'POST' && !isMultipart && !hasJson(request))
    return sendError(response, 415, 'BAD_USER_INPUT', 'Expected Content-Type to be application/json in UTF-8')
  // What is short on the way may be long here.
  if (!/^(identity)?$/i.test(request.headers['content-encoding'] ?? ''))
    return sendError(response, 415, 'BAD_USER_INPUT', 'Expected the body not to be encoded')
  const openLine = () => admission.openLine(request, request.headers.authorization)
  if (eventStreams.isFor(request)) {
    const readParams = async (from: IncomingMessage) => toParams(await readJson(from, engine))
    const enter = () => takePlace(request, response, admission).ready
    eventStreams
      .serve(request, response, { engine, mask, readParams, openLine, enter })
      .catch((error: unknown) => {
        refuse(request, response, error)
      })
    return
  }
  if (accepted.json === undefined && accepted.stream === undefined)
    return sendError(
      response,
      406,
      'BAD_USER_INPUT',
      `Expected Accept to allow ${jsonTypes} or ${streamTypes}`,
    )
  const gone = new LateDeparture()
  const { leave, ready } = takePlace(request, response, admission, gone)
  const serve = () =>
    serveOperation(request, response, {
      ...{ ...options, accepted, gone, isMultipart, leave, openLine },
      hasTicket: ticket !== undefined,
    })
  if (ready === undefined) return serve()
  ready.then(serve).catch((error: unknown) => {
    refuse(request, response, error)
  })
}

interface OperationOptions extends HttpServerOptions {
  readonly accepted: Accepted
  readonly isMultipart: boolean
  /** Whether the credential is that of a ticket, which opens a subscription and nothing else. */
  readonly hasTicket: boolean
  /** Ends when nobody waits for the response any more. */
  readonly gone: LateDeparture
  readonly leave: () => void
  readonly openLine: () => () => void
}

function ticketIn({ url = '' }: IncomingMessage): string | undefined {
  // Few URLs have one, and parsing a URL costs more than everything else here.
  if (!url.includes('ticket=')) return undefined
  return new URL(url, 'http://localhost').searchParams.get('ticket') ?? undefined
}

function serveOperation(request: IncomingMessage, response: ServerResponse, options: OperationOptions): void {
  const { engine, isMultipart } = options
  response.setHeader('Cache-Control', 'no-store')
  const execute = (body: object) => executeOperation(request, response, toParams(body), options)
  if (request.method === 'GET') return execute(readQuery(request, engine))
  if (request.method !== 'POST') return answerByFramework(request, response, undefined, options)
  const reading = isMultipart ? readMultipartOperation(request, response, engine) : readJson(request, engine)
  reading.then(execute).catch((error: unknown) => {
    refuse(request, response, error)
  })
}

/** @param body undefined for a request of a method that has none */
function answerByFramework(
  request: IncomingMessage,
  response: ServerResponse,
  body: OperationParams | undefined,
  { accepted, engine, gone }: OperationOptions,
): void {
  const responseType = accepted.json ?? errorType(request)
  request.headers.accept = responseType
  const context = { req: request, res: response, responseType, signal: gone.signal }
  engine.respond(Object.assign(request, { body }), response, context).catch(() => response.destroy())
}

/** The response is JSON wherever JSON is acceptable. A subscription, which has many results, is a stream. */
function executeOperation(
  request: IncomingMessage,
  response: ServerResponse,
  params: OperationParams,
  options: OperationOptions,
): void {
  const { accepted, engine, liveResponses, mask, leave } = options
  const checked = checkOperation(params, options)
  const isLive = checked.kind === 'subscription'
  if (checked.kind === 'mutation' && request.method === 'GET') {
    response.setHeader('Allow', 'POST')
    return sendError(response, 405, 'BAD_USER_INPUT', 'A mutation cannot be sent by GET', true)
  }
  if (accepted.json !== undefined && !isLive) {
    if (checked.errors !== undefined) return sendRequestErrors(response, accepted.json, checked.errors)
    const { document } = checked
    if (options.isMultipart) return answerByFramework(request, response, params, options)
    return answerDirectly(request, response, {
      ...{ engine, document, params, type: accepted.json, departure: options.gone },
    })
  }
  if (accepted.stream === undefined) {
    const message = `A subscription needs a WebSocket, or Accept to name ${streamTypes}`
    return sendError(response, 406, 'BAD_USER_INPUT', message, true)
  }
  if (isLive && checked.errors === undefined) response.once('close', options.openLine())
  liveResponses.serve(request, response, {
    ...{ engine, format: accepted.stream, mask, onStanding: leave, params, errors: checked.errors },
  })
}

/** What is known of an operation before it is executed. `errors` keep it from that; without `kind` it has none. */
type CheckedOperation =
  | { readonly errors: readonly GraphQLError[]; readonly kind?: OperationTypeNode }
  | { readonly errors?: never; readonly kind: OperationTypeNode; readonly document: Document }

function checkOperation(
  params: OperationParams,
  { engine, hasTicket, mask }: OperationOptions,
): CheckedOperation {
  try {
    const document = engine.parse(params.query ?? '')
    const { operation: kind } = operationOf(document.node, params.operationName)
    if (hasTicket && kind !== 'subscription') {
      const message = 'A ticket opens a subscription, not another operation'
      return { errors: [mask(new GatewayError('BAD_USER_INPUT', message))], kind }
    }
    return document.problems.length > 0 ? { errors: document.problems, kind } : { document, kind }
  } catch (error) {
    return { errors: [mask(error)] }
  }
}

/** That nobody waits for an answer any more. Few look out for it: the signal is made when somebody does. */
class LateDeparture implements Departure {
  #controller: AbortController | undefined
  #hasHappened = false

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#hasHappened) this.#controller.abort()
    return this.#controller.signal
  }

  happen(): void {
    this.#hasHappened = true
    this.#controller?.abort()
  }
}

/**
 * A place for an operation, which is given back with its answer unless it is before.
 *
 * @param gone hears that nobody waits for the answer any more
 * @returns `ready` when it has to wait for its turn
 */
function takePlace(
  request: IncomingMessage,
  response: ServerResponse,
  admission: Admission,
  gone?: LateDeparture,
): { readonly leave: () => void; readonly ready: undefined | Promise<void> } {
  const place = admission.enter(request.headers.authorization)
  let isTaken = place === undefined
  const leave = () => {
    if (isTaken) admission.leave()
    isTaken = false
  }
  response.on('prefinish', () => {
    // Most are read at once.
    if ((response.socket?.writableLength ?? 0) > 0) boundReading(request, response, admission, leave)
  })
  response.on('close', () => {
    leave()
    // Telling everybody of what is over already costs more than a query.
    if (!response.writableFinished) gone?.happen()
  })
  const ready = place?.then(() => {
    isTaken = true
    if (!response.destroyed) return
    leave()
    throw new Error('The client left while it waited')
  })
  return { leave, ready }
}

/**
 * An answer that its reader takes time for gives its place back, and is a line of the caller's, for a while: whoever has
 * too many of them loses this one.
 */
function boundReading(
  request: IncomingMessage,
  response: ServerResponse,
  admission: Admission,
  leave: () => void,
): void {
  const slow = setTimeout(() => {
    leave()
    try {
      response.once('close', admission.openLine(request, request.headers.authorization))
    } catch {
      response.destroy()
      return
    }
    const limit = setTimeout(() => response.destroy(), readingMs)
    response.once('close', () => clearTimeout(limit))
  }, slowReadingMs)
  response.once('close', () => clearTimeout(slow))
}

/** Says why a request does not become an operation. */
function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (!(error instanceof GatewayError)) return void response.destroy()
  // A request with a hash is well-formed. Its client looks for the code, and then sends the text.
  const isHash = error.code === 'PERSISTED_QUERY_NOT_FOUND'
  const { json: type } = negotiate(request.headers.accept ?? '')
  const status = isHash && type !== undefined ? requestErrorStatus(type, error.code) : statusOf(error.code)
  if (error.retryAfterMs !== undefined)
    response.setHeader('Retry-After', String(Math.ceil(error.retryAfterMs / 1000)))
  // Whoever is to come back later need not connect again, if what they sent is soon read.
  const isShort =
    Number(request.headers['content-length'] ?? (request.method === 'GET' ? 0 : Infinity)) < 65_536
  const keepAlive = (status === 429 || status === 503) && isShort
  if (keepAlive) request.resume()
  sendError(response, status, error.code, error.message, keepAlive || isHash)
}

function sendText(response: ServerResponse, text: string, type: string): void {
  response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' })
  response.end(text)
}

/**
 * An error as GraphQL clients read it, for requests that never become operations.
 *
 * @param keepAlive whether what else the client sends on this line is to be trusted; after a hash it sends the text
 */
function sendError(
  response: ServerResponse,
  status: number,
  code: ErrorCode,
  message: string,
  keepAlive = status < 300,
): void {
  const text = JSON.stringify({ errors: [{ message, extensions: { code } }] })
  response.writeHead(status, {
    'Content-Type': errorType(response.req),
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    ...(keepAlive ? {} : { Connection: 'close' }),
  })
  if (keepAlive || response.req.complete) return void response.end(text)
  response.write(text)
  drain(response.req, () => response.end())
}

/** Reads on for a while: a client that is still sending would not see the answer, and a proxy would make up its own. */
function drain(request: IncomingMessage, done: () => void): void {
  let left = maxDrainedBytes
  const finish = () => {
    clearTimeout(timer)
    done()
  }
  const timer = setTimeout(finish, drainingMs)
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) finish()
  })
  request.once('end', finish)
  request.once('close', finish)
  request.resume()
}
