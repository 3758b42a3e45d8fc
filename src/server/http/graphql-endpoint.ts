import { GatewayError } from '../../errors.ts'
import { EncodedHeaders } from '../../net/http1/response.ts'
import type { Admission } from '../../traffic/admission.ts'
import type { BodyMemory } from '../../traffic/body-memory.ts'
import type { Engine, EngineOperation } from '../engine.ts'
import { type Accepted, createNegotiation, errorType, type JsonType } from '../negotiation.ts'
import {
  type OperationParams,
  type ParsedOperation,
  parseOperation,
  prepareOperation,
  type RejectedOperation,
  readParams,
} from '../operation.ts'
import type { SingleConnections } from '../sse/single-connection.ts'
import { liveContentType, type StreamingResponses } from '../sse/streaming-response.ts'
import type { BodyArrival } from './body-arrival.ts'
import type { Exchange } from './exchange.ts'
import { serveFastPath } from './fast-path.ts'
import type { CredentialHeaders, Graphiql } from './graphiql.ts'
import type { NodeRequest } from './http-request.ts'
import type { OriginPolicy } from './origin-policy.ts'
import { Permit } from './permit.ts'
import { hasFiles, hasJson, readJson, readMultipartOperation, readQuery } from './request-body.ts'
import { sendError, sendErrors, sendFailure } from './responses.ts'

export interface GraphqlEndpointOptions {
  readonly engine: Engine
  readonly streamingResponses: StreamingResponses
  readonly eventStreams: SingleConnections
  readonly originPolicy: OriginPolicy
  readonly admission: Admission
  readonly bodies: BodyMemory
  /** Checks a credential with the upstream. @throws GatewayError when it is not valid, or the upstream is not available */
  readonly proveCredential: (authorization: unknown) => Promise<void>
  /** Undefined when GraphiQL is turned off. */
  readonly graphiql: Graphiql | undefined
  /** The credentials that GraphiQL sends for a reader with this page key; undefined for any other reader. */
  readonly demoHeaders: (pageKey: string) => CredentialHeaders | undefined
  /** Uses up the ticket of an event stream. @returns its `Authorization`; undefined for a ticket that is not valid */
  readonly redeemTicket: (ticket: string) => string | undefined
}

/** @param arrival undefined for a body that has arrived */
export type ServeGraphql = (exchange: Exchange, arrival: BodyArrival | undefined) => void

/** Browsers send these to another origin only after it agreed; a request with files needs one of them. */
const preflightHeaders = ['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with']
/** The media types of responses, as errors name them. */
const jsonTypes = 'application/json, application/graphql-response+json'
const streamTypes = 'text/event-stream or multipart/mixed;subscriptionSpec="1.0"'
/** PUT and DELETE are for streams that several operations share. */
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']
const allowMethods = new EncodedHeaders({ Allow: methods.join(', ') })
const allowPost = new EncodedHeaders({ Allow: 'POST' })
const uncached = new EncodedHeaders({ 'Cache-Control': 'no-store' })

/** Serves `/graphql` over HTTP: parameters, then document, operation, context, permit and execution. */
export function createGraphqlEndpoint(options: GraphqlEndpointOptions): ServeGraphql {
  const { engine, admission, originPolicy, eventStreams, graphiql } = options
  const negotiate = createNegotiation()

  return (exchange, arrival) => {
    const { headers, method, node } = exchange
    const accepted = negotiate(exchange)
    const reject = (status: number, code: GatewayError['code'], message: string) =>
      sendError(exchange, status, code, message)
    if (isRead(exchange) && accepted.page && node !== undefined) {
      if (graphiql === undefined)
        return reject(
          403,
          'FORBIDDEN',
          'This gateway serves no GraphiQL: set GRAPHIQL=on, and install without --omit=dev',
        )
      const key = pageKeyOf(exchange)
      return graphiql.servePage(node.response, key === undefined ? undefined : options.demoHeaders(key))
    }
    if (!originPolicy.isAllowedOrigin(exchange))
      return reject(403, 'FORBIDDEN', originPolicy.describeRefusal(exchange))
    if (!methods.includes(method)) {
      exchange.addHeaders(allowMethods)
      return reject(405, 'BAD_USER_INPUT', `This method is not served: expected ${methods.join(' or ')}`)
    }
    const ticket = ticketIn(exchange)
    if (ticket !== undefined) {
      // A HEAD request would use the ticket up.
      if (method !== 'GET')
        return reject(400, 'BAD_USER_INPUT', 'A ticket is for a GET request of an event stream')
      if (accepted.json !== undefined || accepted.stream !== 'sse')
        return reject(406, 'BAD_USER_INPUT', 'A ticket needs Accept to be text/event-stream')
      const authorization = options.redeemTicket(ticket)
      // This status ends an EventSource, which would otherwise repeat its URL; a ticket works once.
      if (authorization === undefined)
        return reject(
          401,
          'UNAUTHENTICATED',
          'The ticket was used or has expired; createStreamTicket makes another',
        )
      headers.authorization = authorization
    }
    const isMultipart = hasFiles(exchange)
    const isEventStream = eventStreams.isFor(exchange)
    // A form of another page can send any body but JSON without a preflight.
    if (method === 'POST' && isMultipart && !preflightHeaders.some((name) => headers[name]))
      return reject(
        415,
        'BAD_USER_INPUT',
        `Expected a multipart request to have one of the headers ${preflightHeaders.join(', ')}`,
      )
    // The reader of files bounds a multipart body. Operations on an event stream have no files.
    if (method === 'POST' && (!isMultipart || isEventStream) && !hasJson(exchange))
      return reject(415, 'BAD_USER_INPUT', 'Expected Content-Type to be application/json in UTF-8')
    // A compressed body could expand past the limit.
    if (!/^(identity)?$/i.test(headers['content-encoding'] ?? ''))
      return reject(415, 'BAD_USER_INPUT', 'Expected the body not to be encoded')
    if (isEventStream && node !== undefined) return serveEventStream(exchange, node, arrival)
    if (method === 'DELETE')
      return reject(400, 'BAD_USER_INPUT', 'Expected the token of a stream, which PUT returns')
    if (accepted.json === undefined && accepted.stream === undefined)
      return reject(406, 'BAD_USER_INPUT', `Expected Accept to allow ${jsonTypes} or ${streamTypes}`)
    admission.countOperation(headers.authorization)
    const execute = (body: object | undefined) =>
      withPermit(exchange, (permit) => {
        const sent = body ?? (isRead(exchange) ? readQuery(exchange) : undefined)
        if (sent === undefined) return respondByYoga(exchange, accepted, permit, undefined)
        const params = readParams(engine, sent)
        const delivery = { accepted, permit, isMultipart, hasTicket: ticket !== undefined }
        serveOperation(exchange, params, delivery)
      })
    if (method !== 'POST') return execute(undefined)
    const reading =
      isMultipart && node !== undefined
        ? readFiles(exchange, node)
        : readJson(exchange, boundsOf(exchange, arrival))
    if (!(reading instanceof Promise)) return execute(reading)
    reading.then(execute).catch((error: unknown) => sendFailure(exchange, error))
  }

  function withPermit(exchange: Exchange, serve: (permit: Permit) => void): void {
    // The client may have left before its body was complete.
    if (exchange.isGone) return
    const permit = new Permit(exchange, admission)
    if (permit.ready === undefined) return serve(permit)
    permit.ready.then(() => serve(permit)).catch((error: unknown) => sendFailure(exchange, error))
  }

  /** Single connection mode: each operation is a request, and one response carries the results of all. */
  function serveEventStream(exchange: Exchange, node: NodeRequest, arrival: BodyArrival | undefined): void {
    const { authorization } = exchange.headers
    eventStreams
      .serve(exchange, node, {
        engine,
        readParams: async () => readParams(engine, await readJson(exchange, boundsOf(exchange, arrival))),
        openConnection: () => admission.openConnection(exchange, authorization),
        count: () => admission.countOperation(authorization),
        enter: () => new Permit(exchange, admission).ready,
      })
      .catch((error: unknown) => sendFailure(exchange, error))
  }

  function boundsOf({ headers }: Exchange, arrival: BodyArrival | undefined) {
    return {
      hasCredential: admission.principalOf(headers.authorization) !== undefined,
      receive: (bytes: number) => arrival?.receive(bytes),
    }
  }

  /**
   * Reads an operation with files. The upstream confirms the credential first: otherwise anyone could fill the disk.
   *
   * @throws GatewayError for a request without a valid credential, or a malformed one
   */
  async function readFiles(exchange: Exchange, node: NodeRequest): Promise<object> {
    const { authorization } = exchange.headers
    if (admission.principalOf(authorization) === undefined)
      throw new GatewayError('UNAUTHENTICATED', 'Files need a credential; send Authorization')
    exchange.observe({ closed: admission.openTransfer(exchange) })
    await options.proveCredential(authorization)
    const address = admission.addressOf(exchange)
    return readMultipartOperation(node, {
      memory: options.bodies.hold(address),
      disk: options.bodies.spool(address),
      files: options.bodies.holdFiles(address),
    })
  }

  /** The response is JSON wherever JSON is acceptable. A subscription, which has many results, is a stream. */
  function serveOperation(
    exchange: Exchange,
    params: OperationParams,
    { accepted, permit, isMultipart, hasTicket }: Delivery,
  ): void {
    const parsed = parseOperation(engine, params, exchange)
    const checked = hasTicket ? expectSubscription(parsed) : parsed
    const isLive = checked.kind === 'subscription'
    if (checked.kind === 'mutation' && isRead(exchange)) {
      exchange.addHeaders(allowPost)
      return sendError(
        exchange,
        405,
        'BAD_USER_INPUT',
        `A mutation cannot be sent by ${exchange.method}`,
        true,
      )
    }
    const { authorization } = exchange.headers
    if (accepted.json !== undefined && !isLive) {
      const operation =
        checked.errors === undefined
          ? prepareOperation(engine, checked, { request: exchange, authorization, departure: permit })
          : checked
      if ('errors' in operation) return sendErrors(exchange, accepted.json, operation.errors)
      if (isMultipart) return respondByYoga(exchange, accepted, permit, operation, params)
      return serveFastPath(exchange, engine, operation, accepted.json)
    }
    if (accepted.stream === undefined || exchange.node === undefined) {
      const message = `A subscription needs a WebSocket, or Accept to name ${streamTypes}`
      return sendError(exchange, 406, 'BAD_USER_INPUT', message, true)
    }
    const { request, response } = exchange.node
    if (exchange.method === 'HEAD') {
      exchange.addHeaders(uncached)
      response.writeHead(200, { 'Content-Type': liveContentType(accepted.stream) }).end()
      return
    }
    if (isLive && checked.errors === undefined) {
      const connection = admission.openConnection(exchange, authorization)
      exchange.observe({ closed: () => connection.close() })
    }
    options.streamingResponses.serve(request, response, {
      engine,
      format: accepted.stream,
      operation: checked,
      onOpen: () => permit.release(),
    })
  }

  function expectSubscription(
    parsed: ParsedOperation | RejectedOperation,
  ): ParsedOperation | RejectedOperation {
    if (parsed.kind === undefined || parsed.kind === 'subscription') return parsed
    const error = new GatewayError('BAD_USER_INPUT', 'A ticket opens a subscription, not another operation')
    return { errors: [engine.mask(error)], kind: parsed.kind }
  }

  /** @param operation undefined for a method without one */
  function respondByYoga(
    exchange: Exchange,
    accepted: Accepted,
    { signal }: Permit,
    operation: EngineOperation | undefined,
    body?: OperationParams,
  ): void {
    // Only node:http gets these requests.
    if (exchange.node === undefined) return exchange.destroy()
    const { request, response } = exchange.node
    const responseType: JsonType = accepted.json ?? errorType(request)
    request.headers.accept = responseType
    exchange.addHeaders(uncached)
    engine
      .respond(Object.assign(request, { body }), response, { operation, responseType, signal })
      .catch(() => response.destroy())
  }
}

interface Delivery {
  readonly accepted: Accepted
  readonly permit: Permit
  readonly isMultipart: boolean
  /** Whether the credential is that of a ticket, which opens a subscription and nothing else. */
  readonly hasTicket: boolean
}

function isRead({ method }: Exchange): boolean {
  return method === 'GET' || method === 'HEAD'
}

function ticketIn({ url }: Exchange): string | undefined {
  // Few URLs have one, and parsing a URL costs more than the rest of the endpoint.
  if (!url.includes('ticket=')) return undefined
  return new URL(url, 'http://localhost').searchParams.get('ticket') ?? undefined
}

/** The key in a page URL that the terminal printed. A page of another origin must not learn the credential it opens. */
function pageKeyOf({ url, headers }: Exchange): string | undefined {
  if (headers.origin !== undefined) return undefined
  return new URL(url, 'http://localhost').searchParams.get('key') ?? undefined
}
