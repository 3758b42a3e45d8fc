import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayError } from '../../errors.ts'
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
import { serveFastPath } from './fast-path.ts'
import type { CredentialHeaders, Graphiql } from './graphiql.ts'
import type { OriginPolicy } from './origin-policy.ts'
import { acquirePermit, type Permit } from './permit.ts'
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

export type ServeGraphql = (request: IncomingMessage, response: ServerResponse, arrival: BodyArrival) => void

/** Browsers send these to another origin only after it agreed; a request with files needs one of them. */
const preflightHeaders = ['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with']
/** The media types of responses, as errors name them. */
const jsonTypes = 'application/json, application/graphql-response+json'
const streamTypes = 'text/event-stream or multipart/mixed;subscriptionSpec="1.0"'
/** PUT and DELETE are for streams that several operations share. */
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']

/** Serves `/graphql` over HTTP: parameters, then document, operation, context, permit and execution. */
export function createGraphqlEndpoint(options: GraphqlEndpointOptions): ServeGraphql {
  const { engine, admission, originPolicy, eventStreams, graphiql } = options
  const negotiate = createNegotiation()

  return (request, response, arrival) => {
    const accepted = negotiate(request)
    const reject = (status: number, code: GatewayError['code'], message: string) =>
      sendError(response, status, code, message)
    if (isRead(request) && accepted.page) {
      if (graphiql === undefined)
        return reject(
          403,
          'FORBIDDEN',
          'This gateway serves no GraphiQL: set GRAPHIQL=on, and install without --omit=dev',
        )
      const key = pageKeyOf(request)
      return graphiql.servePage(response, key === undefined ? undefined : options.demoHeaders(key))
    }
    if (!originPolicy.isAllowedOrigin(request))
      return reject(403, 'FORBIDDEN', originPolicy.describeRefusal(request))
    if (!methods.includes(request.method ?? '')) {
      response.setHeader('Allow', methods.join(', '))
      return reject(405, 'BAD_USER_INPUT', `This method is not served: expected ${methods.join(' or ')}`)
    }
    const ticket = ticketIn(request)
    if (ticket !== undefined) {
      // A HEAD request would use the ticket up.
      if (request.method !== 'GET')
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
      request.headers.authorization = authorization
    }
    const isMultipart = hasFiles(request)
    const isEventStream = eventStreams.isFor(request)
    // A form of another page can send any body but JSON without a preflight.
    if (request.method === 'POST' && isMultipart && !preflightHeaders.some((name) => request.headers[name]))
      return reject(
        415,
        'BAD_USER_INPUT',
        `Expected a multipart request to have one of the headers ${preflightHeaders.join(', ')}`,
      )
    // The reader of files bounds a multipart body. Operations on an event stream have no files.
    if (request.method === 'POST' && (!isMultipart || isEventStream) && !hasJson(request))
      return reject(415, 'BAD_USER_INPUT', 'Expected Content-Type to be application/json in UTF-8')
    // A compressed body could expand past the limit.
    if (!/^(identity)?$/i.test(request.headers['content-encoding'] ?? ''))
      return reject(415, 'BAD_USER_INPUT', 'Expected the body not to be encoded')
    if (isEventStream) return serveEventStream(request, response, arrival)
    if (request.method === 'DELETE')
      return reject(400, 'BAD_USER_INPUT', 'Expected the token of a stream, which PUT returns')
    if (accepted.json === undefined && accepted.stream === undefined)
      return reject(406, 'BAD_USER_INPUT', `Expected Accept to allow ${jsonTypes} or ${streamTypes}`)
    admission.countOperation(request.headers.authorization)
    const execute = (body: object | undefined) =>
      withPermit(request, response, (permit) => {
        response.setHeader('Cache-Control', 'no-store')
        const sent = body ?? (isRead(request) ? readQuery(request) : undefined)
        if (sent === undefined) return respondByYoga(request, response, accepted, permit, undefined)
        const params = readParams(engine, sent)
        const delivery = { accepted, permit, isMultipart, hasTicket: ticket !== undefined }
        serveOperation(request, response, params, delivery)
      })
    if (request.method !== 'POST') return execute(undefined)
    const reading = isMultipart ? readFiles(request, response) : readJson(request, boundsOf(request, arrival))
    reading.then(execute).catch((error: unknown) => sendFailure(response, error))
  }

  function withPermit(
    request: IncomingMessage,
    response: ServerResponse,
    serve: (permit: Permit) => void,
  ): void {
    // The client may have left before its body was complete.
    if (response.destroyed) return
    const permit = acquirePermit(request, response, admission)
    if (permit.ready === undefined) return serve(permit)
    permit.ready.then(() => serve(permit)).catch((error: unknown) => sendFailure(response, error))
  }

  /** Single connection mode: each operation is a request, and one response carries the results of all. */
  function serveEventStream(request: IncomingMessage, response: ServerResponse, arrival: BodyArrival): void {
    const { authorization } = request.headers
    eventStreams
      .serve(request, response, {
        engine,
        readParams: async () => readParams(engine, await readJson(request, boundsOf(request, arrival))),
        openConnection: () => admission.openConnection(request, authorization),
        count: () => admission.countOperation(authorization),
        enter: () => acquirePermit(request, response, admission).ready,
      })
      .catch((error: unknown) => sendFailure(response, error))
  }

  function boundsOf(request: IncomingMessage, arrival: BodyArrival) {
    return {
      hasCredential: admission.principalOf(request.headers.authorization) !== undefined,
      receive: (bytes: number) => arrival.receive(bytes),
    }
  }

  /**
   * Reads an operation with files. The upstream confirms the credential first: otherwise anyone could fill the disk.
   *
   * @throws GatewayError for a request without a valid credential, or a malformed one
   */
  async function readFiles(request: IncomingMessage, response: ServerResponse): Promise<object> {
    const { authorization } = request.headers
    if (admission.principalOf(authorization) === undefined)
      throw new GatewayError('UNAUTHENTICATED', 'Files need a credential; send Authorization')
    response.once('close', admission.openTransfer(request))
    await options.proveCredential(authorization)
    const address = admission.addressOf(request)
    return readMultipartOperation(request, response, {
      memory: options.bodies.hold(address),
      disk: options.bodies.spool(address),
    })
  }

  /** The response is JSON wherever JSON is acceptable. A subscription, which has many results, is a stream. */
  function serveOperation(
    request: IncomingMessage,
    response: ServerResponse,
    params: OperationParams,
    { accepted, permit, isMultipart, hasTicket }: Delivery,
  ): void {
    const parsed = parseOperation(engine, params, request)
    const checked = hasTicket ? expectSubscription(parsed) : parsed
    const isLive = checked.kind === 'subscription'
    if (checked.kind === 'mutation' && isRead(request)) {
      response.setHeader('Allow', 'POST')
      return sendError(
        response,
        405,
        'BAD_USER_INPUT',
        `A mutation cannot be sent by ${request.method}`,
        true,
      )
    }
    const { authorization } = request.headers
    if (accepted.json !== undefined && !isLive) {
      const { departure } = permit
      const operation =
        checked.errors === undefined
          ? prepareOperation(engine, checked, { request, authorization, departure })
          : checked
      if ('errors' in operation) return sendErrors(response, accepted.json, operation.errors)
      if (isMultipart) return respondByYoga(request, response, accepted, permit, operation, params)
      serveFastPath(request, response, engine, operation, accepted.json).catch(() => response.destroy())
      return
    }
    if (accepted.stream === undefined) {
      const message = `A subscription needs a WebSocket, or Accept to name ${streamTypes}`
      return sendError(response, 406, 'BAD_USER_INPUT', message, true)
    }
    if (request.method === 'HEAD') {
      response.writeHead(200, { 'Content-Type': liveContentType(accepted.stream) }).end()
      return
    }
    if (isLive && checked.errors === undefined) {
      const connection = admission.openConnection(request, authorization)
      response.once('close', () => connection.close())
    }
    options.streamingResponses.serve(request, response, {
      engine,
      format: accepted.stream,
      operation: checked,
      onOpen: permit.release,
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
    request: IncomingMessage,
    response: ServerResponse,
    accepted: Accepted,
    { departure }: Permit,
    operation: EngineOperation | undefined,
    body?: OperationParams,
  ): void {
    const responseType: JsonType = accepted.json ?? errorType(request)
    request.headers.accept = responseType
    engine
      .respond(Object.assign(request, { body }), response, {
        operation,
        responseType,
        signal: departure.signal,
      })
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

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD'
}

function ticketIn({ url = '' }: IncomingMessage): string | undefined {
  // Few URLs have one, and parsing a URL costs more than the rest of the endpoint.
  if (!url.includes('ticket=')) return undefined
  return new URL(url, 'http://localhost').searchParams.get('ticket') ?? undefined
}

/** The key in a page URL that the terminal printed. A page of another origin must not learn the credential it opens. */
function pageKeyOf({ url = '', headers }: IncomingMessage): string | undefined {
  if (headers.origin !== undefined) return undefined
  return new URL(url, 'http://localhost').searchParams.get('key') ?? undefined
}
