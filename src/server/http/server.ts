import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
import type { GraphQLError, OperationTypeNode } from 'graphql'
import type { Departure } from '../../context.ts'
import { type ErrorCode, GatewayError } from '../../errors.ts'
import type { Document } from '../../graphql/documents.ts'
import { discardBody } from '../../net/discard-body.ts'
import type { Admission } from '../../traffic/admission.ts'
import type { BodyMemory, Holding } from '../../traffic/body-memory.ts'
import type { Engine } from '../engine.ts'
import { type Accepted, createNegotiation, errorType, negotiate } from '../negotiation.ts'
import { type OperationParams, operationOf, toParams } from '../operation.ts'
import type { SingleConnections } from '../sse/single-connection.ts'
import type { StreamingResponses } from '../sse/streaming-response.ts'
import { requestErrorStatus, statusOf } from '../status.ts'
import { type OpenDownload, serveDownload } from './downloads.ts'
import { serveFastPath } from './fast-path.ts'
import type { Graphiql } from './graphiql.ts'
import type { OriginPolicy } from './origin-policy.ts'
import {
  type BodyBounds,
  hasFiles,
  hasJson,
  readJson,
  readMultipartOperation,
  readQuery,
} from './request-body.ts'
import type { RequestIds } from './request-id.ts'
import { sendRequestErrors } from './responses.ts'
import { type SendUpload, serveUpload } from './uploads.ts'

export interface HttpServerOptions {
  readonly host: string
  readonly port: number
  readonly engine: Engine
  readonly streamingResponses: StreamingResponses
  readonly eventStreams: SingleConnections
  /** An error as a client may see it. */
  readonly mask: (error: unknown) => GraphQLError
  readonly originPolicy: OriginPolicy
  readonly admission: Admission
  readonly bodies: BodyMemory
  /** Asks the upstream whether a credential is valid. @throws GatewayError when it is not, or nobody can tell */
  readonly proveCredential: (authorization: unknown) => Promise<void>
  /** Whether a request proves that it comes from an operator of this gateway. */
  readonly isOperator: (request: IncomingMessage) => boolean
  /** Whether `/metrics` needs that proof, too. */
  readonly areMetricsOpen: boolean
  readonly requestIds: RequestIds
  /** Undefined where there is none. */
  readonly graphiql: Graphiql | undefined
  /** Prints the schema in its own language; undefined where it may not be asked for. */
  readonly schemaFile: (() => string) | undefined
  /** Prints the object types of each interface and union as JSON; undefined where the schema is not shown. */
  readonly possibleTypes: (() => string) | undefined
  /** What GraphiQL sends for a reader with this page key; undefined for any other reader. */
  readonly demoAuthorization: (pageKey: string) => string | undefined
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
  /** What is live at this moment, for operators. */
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
/** How long the head of a request may take to arrive, a file, every other body, and that of a stranger. */
const headersTimeout = 8000
const uploadMs = 600_000
const arrivalMs = 60_000
const strangerArrivalMs = 10_000
/** How long a connection may be silent in the middle of something. */
const idleMs = 30_000
/** From when an answer counts as read slowly, and how long its reader may take from then on. */
const slowReadingMs = 1000
const readingMs = 60_000
/** How long requests in flight may go on after a stop was asked for. */
const drainMs = 5000
/** How long the port stays open after that: requests on their way still arrive, and load balancers look elsewhere. */
const farewellMs = 250
/** How long the request of a connection may be on its way that came last. */
const unreadMs = 100

/** Starts listening; answers everything but WebSockets. @throws the system's error when the port cannot be had */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let stopping = false
  const arrivals = new Arrivals(options)
  const whole = {
    ...{ ...options, negotiate: createNegotiation() },
    isReady: async () => !stopping && options.isReady(),
  }
  const server = createServer(
    {
      ...{ headersTimeout, requestTimeout: uploadMs, keepAliveTimeout: 75_000 },
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      response.on('error', () => undefined)
      const arrival = arrivals.add(response)
      response.on('close', () => options.onResponse(response.headersSent ? response.statusCode : 0))
      if (stopping) response.setHeader('Connection', 'close')
      response.setHeader('X-Request-Id', options.requestIds.identify(request))
      response.setHeader('X-Content-Type-Options', 'nosniff')
      try {
        handle(request, response, arrival, whole)
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
      options.streamingResponses.close()
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

/** What has arrived of a body. It counts once the body turns out to arrive in pieces. */
class Arrival {
  readonly response: ServerResponse
  #bytes = 0
  #holding: Holding | undefined

  constructor(response: ServerResponse) {
    this.response = response
  }

  /** @throws GatewayError when more is held than may be */
  receive(bytes: number): void {
    this.#bytes += bytes
    this.#holding?.take(bytes)
  }

  /** The same. */
  count(holding: Holding): void {
    this.#holding = holding
    holding.take(this.#bytes)
  }
}

/** Finds requests whose bodies are incomplete. Most bodies come in one piece with their heads and cost nothing here. */
class Arrivals {
  readonly #options: HttpServerOptions
  /** Those of this turn of the event loop. */
  #fresh: Arrival[] = []

  constructor(options: HttpServerOptions) {
    this.#options = options
  }

  add(response: ServerResponse): Arrival {
    const arrival = new Arrival(response)
    if (this.#fresh.push(arrival) === 1) setImmediate(() => this.#checkFresh())
    return arrival
  }

  #checkFresh(): void {
    const fresh = this.#fresh
    this.#fresh = []
    for (const arrival of fresh) {
      const { req: request } = arrival.response
      if (request.complete || request.destroyed) continue
      if (request.url?.startsWith('/uploads/') !== true && !hasFiles(request)) this.#bound(arrival)
    }
  }

  #bound(arrival: Arrival): void {
    const { admission, bodies } = this.#options
    const { response } = arrival
    const { req: request } = response
    const refuseArrival = ({ code, message }: GatewayError) =>
      endArrival(response, statusOf(code), code, message)
    const holding = bodies.begin(admission.addressOf(request), refuseArrival)
    const isStranger = admission.principalOf(request.headers.authorization) === undefined
    const ms = isStranger ? strangerArrivalMs : arrivalMs
    const limit = setTimeout(() => {
      const message = `The body did not arrive within ${ms / 1000} seconds`
      if (!request.complete) endArrival(response, 408, 'LIMIT_EXCEEDED', message)
    }, ms)
    const end = () => {
      clearTimeout(limit)
      holding.release()
    }
    request.once('end', end)
    request.once('close', end)
    try {
      arrival.count(holding)
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      refuseArrival(error)
    }
  }
}

/** Refuses a request in the middle of its body, of which nothing more is read. */
function endArrival(response: ServerResponse, status: number, code: ErrorCode, message: string): void {
  const { req: request } = response
  if (response.headersSent || response.destroyed) return void request.destroy()
  const text = describeError(code, message)
  response.writeHead(status, {
    'Content-Type': errorType(request),
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    Connection: 'close',
  })
  response.end(text, () => request.destroy())
}

function handle(
  request: IncomingMessage,
  response: ServerResponse,
  arrival: Arrival,
  options: HandlerOptions,
): void {
  const { admission, originPolicy, graphiql } = options
  const [path] = (request.url ?? '/').split('?', 1) as [string]
  const problem = originPolicy.problem(request)
  // Monitoring calls the process by its IP address.
  const isForOperators = path === '/metrics' || path.startsWith('/health/')
  if (problem !== undefined && !(isForOperators && problem.status === 421))
    return sendError(response, problem.status, 'BAD_USER_INPUT', problem.message)
  for (const [name, value] of Object.entries(originPolicy.corsHeaders(request)))
    response.setHeader(name, value)
  if (
    request.method === 'OPTIONS' &&
    originPolicy.isAllowedOrigin(request) &&
    request.headers.origin !== undefined
  )
    return void response.writeHead(204).end()
  if (!path.startsWith('/health/')) admission.count(request)

  if (readPaths.includes(path) && !readMethods.includes(request.method ?? ''))
    return refuseMethod(response, readMethods, 'This can only be read')
  switch (path) {
    case '/':
      response.writeHead(302, { Location: '/graphql' })
      response.end()
      return
    case '/graphql':
      return serveGraphql(request, response, arrival, options)
    case '/schema.graphql':
      return sendSchema(response, options.schemaFile, 'text/plain; charset=utf-8')
    case '/possible-types.json':
      return sendSchema(response, options.possibleTypes, 'application/json')
    case '/metrics':
      if (!options.areMetricsOpen && !options.isOperator(request)) return refuseReader(response)
      return void options
        .metrics()
        .then((text) => sendText(response, text, 'text/plain; version=0.0.4; charset=utf-8'))
        .catch(() => response.destroy())
    case '/streams':
      if (!options.isOperator(request)) return refuseReader(response)
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

const readMethods = ['GET', 'HEAD']
/** PUT and DELETE are for streams that several operations share. */
const graphqlMethods = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']
const readPaths = [
  '/',
  '/schema.graphql',
  '/possible-types.json',
  '/metrics',
  '/streams',
  '/health/live',
  '/health/ready',
]
const uploadPath = /^\/uploads\/([\w-]{22})$/
const downloadPath = /^\/files\/([\w-]{22})\/[^/]+$/

/** [spec] RFC 9110, 15.5.6: the response names every method that the path serves. */
function refuseMethod(response: ServerResponse, methods: readonly string[], reason: string): void {
  response.setHeader('Allow', methods.join(', '))
  sendError(response, 405, 'BAD_USER_INPUT', `${reason}: expected ${methods.join(' or ')}`)
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
  const [, upload] = uploadPath.exec(path) ?? []
  if (upload !== undefined) {
    if (request.method !== 'PUT') return refuseMethod(response, ['PUT'], 'A file is uploaded by PUT')
    response.once('close', admission.openTransfer(request))
    return void serveUpload(upload, request, response, sendUpload)
  }
  const [, ticket] = downloadPath.exec(path) ?? []
  if (ticket === undefined)
    return sendError(response, 404, 'NOT_FOUND', 'There is nothing here; GraphQL is at /graphql')
  if (!readMethods.includes(request.method ?? ''))
    return refuseMethod(response, readMethods, 'A file can only be read')
  response.once('close', admission.openTransfer(request))
  void serveDownload(ticket, request, response, openDownload)
}

function serveGraphql(
  request: IncomingMessage,
  response: ServerResponse,
  arrival: Arrival,
  options: HandlerOptions,
): void {
  const { admission, originPolicy, eventStreams, graphiql } = options
  const accepted = options.negotiate(request)
  if (request.method === 'GET' && accepted.page) {
    if (graphiql === undefined)
      return sendError(
        response,
        403,
        'FORBIDDEN',
        'This gateway serves no GraphiQL: set GRAPHIQL=on, and install without --omit=dev',
      )
    const key = pageKeyOf(request)
    return graphiql.servePage(response, key === undefined ? undefined : options.demoAuthorization(key))
  }
  if (!originPolicy.isAllowedOrigin(request))
    return sendError(response, 403, 'FORBIDDEN', originPolicy.describeRefusal(request))
  if (!graphqlMethods.includes(request.method ?? ''))
    return refuseMethod(response, graphqlMethods, 'This method is not served')
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
  // A body with files is bounded by its reader, which has the credential confirmed first. Operations on an event stream
  // have no files: as multipart, their bodies would be bounded by nothing.
  const mayHaveFiles = isMultipart && !eventStreams.isFor(request)
  if (request.method === 'POST' && !mayHaveFiles && !hasJson(request))
    return sendError(response, 415, 'BAD_USER_INPUT', 'Expected Content-Type to be application/json in UTF-8')
  // What is short on the way may be long here.
  if (!/^(identity)?$/i.test(request.headers['content-encoding'] ?? ''))
    return sendError(response, 415, 'BAD_USER_INPUT', 'Expected the body not to be encoded')
  if (eventStreams.isFor(request)) return serveEventStream(request, response, arrival, options)
  if (request.method === 'DELETE')
    return sendError(response, 400, 'BAD_USER_INPUT', 'Expected the token of a stream, as PUT answers it')
  if (accepted.json === undefined && accepted.stream === undefined)
    return sendError(
      response,
      406,
      'BAD_USER_INPUT',
      `Expected Accept to allow ${jsonTypes} or ${streamTypes}`,
    )
  admission.countOperation(request.headers.authorization)
  if (request.method !== 'POST') return execute(undefined)
  const reading = isMultipart
    ? readFiles(request, response, options)
    : readJson(request, options.engine, boundsOf(request, arrival, admission))
  reading.then(execute).catch((error: unknown) => {
    refuse(request, response, error)
  })

  function execute(body: object | undefined): void {
    // The client may have left while its body came.
    if (response.destroyed) return
    const permit = acquirePermit(request, response, admission)
    const serve = () =>
      serveOperation(request, response, body, {
        ...{ ...options, accepted, isMultipart, permit },
        hasTicket: ticket !== undefined,
      })
    if (permit.ready === undefined) return serve()
    permit.ready.then(serve).catch((error: unknown) => {
      refuse(request, response, error)
    })
  }
}

/** Single connection mode: many operations, of which each is a request, and one response for their results. */
function serveEventStream(
  request: IncomingMessage,
  response: ServerResponse,
  arrival: Arrival,
  options: HttpServerOptions,
): void {
  const { admission, engine, eventStreams, mask } = options
  const { authorization } = request.headers
  eventStreams
    .serve(request, response, {
      engine,
      mask,
      readParams: async (from) => toParams(await readJson(from, engine, boundsOf(from, arrival, admission))),
      openConnection: () => admission.openConnection(request, authorization),
      count: () => admission.countOperation(authorization),
      enter: () => acquirePermit(request, response, admission).ready,
    })
    .catch((error: unknown) => {
      refuse(request, response, error)
    })
}

function boundsOf(request: IncomingMessage, arrival: Arrival, admission: Admission): BodyBounds {
  return {
    hasCredential: admission.principalOf(request.headers.authorization) !== undefined,
    receive: (bytes) => arrival.receive(bytes),
  }
}

/**
 * An operation that comes with files. Nothing of it is read before the upstream has confirmed the credential: a stranger
 * could fill the disk.
 *
 * @throws GatewayError for a request without a valid credential, or one that is not as it should be
 */
async function readFiles(
  request: IncomingMessage,
  response: ServerResponse,
  { admission, bodies, engine, proveCredential }: HttpServerOptions,
): Promise<object> {
  const { authorization } = request.headers
  if (admission.principalOf(authorization) === undefined)
    throw new GatewayError('UNAUTHENTICATED', 'Files are accepted with a credential only; send Authorization')
  response.once('close', admission.openTransfer(request))
  await proveCredential(authorization)
  const address = admission.addressOf(request)
  return readMultipartOperation(request, response, engine, {
    memory: bodies.hold(address),
    disk: bodies.spool(address),
  })
}

interface OperationOptions extends HttpServerOptions {
  readonly accepted: Accepted
  readonly isMultipart: boolean
  /** Whether the credential is that of a ticket, which opens a subscription and nothing else. */
  readonly hasTicket: boolean
  readonly permit: Permit
}

function ticketIn({ url = '' }: IncomingMessage): string | undefined {
  // Few URLs have one, and parsing a URL costs more than everything else here.
  if (!url.includes('ticket=')) return undefined
  return new URL(url, 'http://localhost').searchParams.get('ticket') ?? undefined
}

/** @param posted the body of a POST */
function serveOperation(
  request: IncomingMessage,
  response: ServerResponse,
  posted: object | undefined,
  options: OperationOptions,
): void {
  response.setHeader('Cache-Control', 'no-store')
  const body = posted ?? (request.method === 'GET' ? readQuery(request, options.engine) : undefined)
  if (body === undefined) return answerByFramework(request, response, undefined, options)
  executeOperation(request, response, toParams(body), options)
}

/** @param body undefined for a request of a method that has none */
function answerByFramework(
  request: IncomingMessage,
  response: ServerResponse,
  body: OperationParams | undefined,
  { accepted, engine, permit }: OperationOptions,
): void {
  const responseType = accepted.json ?? errorType(request)
  request.headers.accept = responseType
  const context = { req: request, res: response, responseType, signal: permit.departure.signal }
  engine.respond(Object.assign(request, { body }), response, context).catch(() => response.destroy())
}

/** The response is JSON wherever JSON is acceptable. A subscription, which has many results, is a stream. */
function executeOperation(
  request: IncomingMessage,
  response: ServerResponse,
  params: OperationParams,
  options: OperationOptions,
): void {
  const { accepted, admission, engine, streamingResponses, mask, permit } = options
  const checked = checkOperation(params, request, options)
  const isLive = checked.kind === 'subscription'
  if (checked.kind === 'mutation' && request.method === 'GET') {
    response.setHeader('Allow', 'POST')
    return sendError(response, 405, 'BAD_USER_INPUT', 'A mutation cannot be sent by GET', true)
  }
  if (accepted.json !== undefined && !isLive) {
    if (checked.errors !== undefined) return sendRequestErrors(response, accepted.json, checked.errors)
    const { document } = checked
    if (options.isMultipart) return answerByFramework(request, response, params, options)
    return serveFastPath(request, response, {
      ...{ engine, document, params, type: accepted.json, departure: permit.departure },
    })
  }
  if (accepted.stream === undefined) {
    const message = `A subscription needs a WebSocket, or Accept to name ${streamTypes}`
    return sendError(response, 406, 'BAD_USER_INPUT', message, true)
  }
  if (isLive && checked.errors === undefined) {
    const connection = admission.openConnection(request, request.headers.authorization)
    response.once('close', () => connection.close())
  }
  streamingResponses.serve(request, response, {
    ...{ engine, format: accepted.stream, mask, onStanding: permit.release, params, errors: checked.errors },
  })
}

/** What is known of an operation before it is executed. `errors` keep it from that; without `kind` it has none. */
type CheckedOperation =
  | { readonly errors: readonly GraphQLError[]; readonly kind?: OperationTypeNode }
  | { readonly errors?: never; readonly kind: OperationTypeNode; readonly document: Document }

function checkOperation(
  params: OperationParams,
  request: IncomingMessage,
  { engine, hasTicket, mask }: OperationOptions,
): CheckedOperation {
  try {
    const document = engine.parse(params.query ?? '', request)
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

/** The right to execute one operation. */
interface Permit {
  readonly departure: Departure
  /** Set when the permit is not acquired yet. */
  readonly ready: undefined | Promise<void>
  release(): void
}

/** A permit for an operation that has arrived completely; it is released with the response unless it was before. */
function acquirePermit(request: IncomingMessage, response: ServerResponse, admission: Admission): Permit {
  const departure = new LateDeparture()
  const waiting = admission.enter()
  let isHeld = waiting === undefined
  const release = () => {
    if (isHeld) admission.leave()
    isHeld = false
  }
  response.on('prefinish', () => {
    // Most responses are read at once.
    if ((response.socket?.writableLength ?? 0) > 0) boundReading(request, response, admission, release)
  })
  response.on('close', () => {
    release()
    // Aborting what has ended already costs more than a query.
    if (!response.writableFinished) departure.happen()
  })
  const ready = waiting?.then(() => {
    isHeld = true
    if (!response.destroyed) return
    release()
    throw new Error('The client left while it waited')
  })
  return { departure, ready, release }
}

/**
 * A response that is read slowly gives its permit back and counts as an open connection, for a while; it is cut when there
 * are too many of them.
 */
function boundReading(
  request: IncomingMessage,
  response: ServerResponse,
  admission: Admission,
  release: () => void,
): void {
  const slow = setTimeout(() => {
    release()
    try {
      const connection = admission.openConnection(request, request.headers.authorization)
      response.once('close', () => connection.close())
    } catch {
      response.destroy()
      return
    }
    const limit = setTimeout(() => response.destroy(), readingMs)
    response.once('close', () => clearTimeout(limit))
  }, slowReadingMs)
  response.once('close', () => clearTimeout(slow))
}

/** Of a page URL that the terminal printed. A page of another origin that may read responses must not read the token. */
function pageKeyOf({ url = '', headers }: IncomingMessage): string | undefined {
  if (headers.origin !== undefined) return undefined
  return new URL(url, 'http://localhost').searchParams.get('key') ?? undefined
}

function refuseReader(response: ServerResponse): void {
  response.setHeader('WWW-Authenticate', 'Bearer')
  const message = 'Only for operators: send METRICS_TOKEN, or what DATA_DIR/metrics-token has, as Bearer'
  sendError(response, 401, 'UNAUTHENTICATED', message)
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
  const text = describeError(code, message)
  response.writeHead(status, {
    'Content-Type': errorType(response.req),
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    ...(keepAlive ? {} : { Connection: 'close' }),
  })
  if (keepAlive || response.req.complete) return void response.end(text)
  response.write(text)
  void discardBody(response.req).then(() => response.end())
}

function describeError(code: ErrorCode, message: string): string {
  return JSON.stringify({ errors: [{ message, extensions: { code } }] })
}
