import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BodyArrival } from './body-arrival.ts'
import { type OpenDownload, serveDownload } from './downloads.ts'
import type { GraphqlEndpointOptions, ServeGraphql } from './graphql-endpoint.ts'
import { sendError, sendText } from './responses.ts'
import { type SendUpload, serveUpload } from './uploads.ts'

export interface RouteOptions extends GraphqlEndpointOptions {
  /** Whether a request proves that it comes from an operator of this gateway. */
  readonly isOperator: (request: IncomingMessage) => boolean
  /** Whether `/metrics` is open to everyone. */
  readonly areMetricsOpen: boolean
  /** Prints the schema in its own language; undefined where the schema is not shown. */
  readonly schemaFile: (() => string) | undefined
  /** Prints the object types of each interface and union as JSON; undefined where the schema is not shown. */
  readonly possibleTypes: (() => string) | undefined
  /** Opens a file by the ticket in its URL. */
  readonly openDownload: OpenDownload
  /** Stores a file by the ticket in its URL. */
  readonly sendUpload: SendUpload
  /** The metrics in the text format of Prometheus. */
  readonly metrics: () => Promise<string>
  /** The state of sources and subscriptions, for operators. */
  readonly streams: () => object
  /** Whether the upstream is available. */
  readonly isReady: () => Promise<boolean>
}

const readMethods = ['GET', 'HEAD']
const readPaths = [
  '/',
  '/schema.graphql',
  '/possible-types.json',
  '/metrics',
  '/streams',
  '/health/live',
  '/health/ready',
]
const uploadPath = /^\/uploads\/([\w-]{44,})$/
const downloadPath = /^\/files\/([\w-]{44,})\/[^/]+$/

/** Serves every path of the HTTP server. @throws GatewayError to reject the request */
export function serveRoute(
  request: IncomingMessage,
  response: ServerResponse,
  arrival: BodyArrival,
  serveGraphql: ServeGraphql,
  options: RouteOptions,
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
    return rejectMethod(response, readMethods, 'This can only be read')
  switch (path) {
    case '/':
      response.writeHead(302, { Location: '/graphql' }).end()
      return
    case '/graphql':
      return serveGraphql(request, response, arrival)
    case '/schema.graphql':
      return sendSchema(response, options.schemaFile, 'text/plain; charset=utf-8')
    case '/possible-types.json':
      return sendSchema(response, options.possibleTypes, 'application/json')
    case '/metrics':
      if (!options.areMetricsOpen && !options.isOperator(request)) return rejectReader(response)
      return void options
        .metrics()
        .then((text) => sendText(response, text, 'text/plain; version=0.0.4; charset=utf-8'))
        .catch(() => response.destroy())
    case '/streams':
      if (!options.isOperator(request)) return rejectReader(response)
      return sendText(response, JSON.stringify(options.streams()), 'application/json')
    case '/health/live':
      return sendText(response, '{"status":"live"}', 'application/json')
    case '/health/ready':
      return void options.isReady().then((isReady) => {
        const text = JSON.stringify({ status: isReady ? 'ready' : 'not ready' })
        sendText(response, text, 'application/json', isReady ? 200 : 503)
      })
    default:
      if (
        path.startsWith('/graphiql/') &&
        graphiql?.serveAsset(path.slice('/graphiql/'.length), request, response) === true
      )
        return
      return serveFile(path, request, response, options)
  }
}

/** [spec] RFC 9110, 15.5.6: the response names every method that the path serves. */
function rejectMethod(response: ServerResponse, methods: readonly string[], reason: string): void {
  response.setHeader('Allow', methods.join(', '))
  sendError(response, 405, 'BAD_USER_INPUT', `${reason}: expected ${methods.join(' or ')}`)
}

function rejectReader(response: ServerResponse): void {
  response.setHeader('WWW-Authenticate', 'Bearer')
  const message =
    'Only for operators: send METRICS_TOKEN, or the content of DATA_DIR/metrics-token, as Bearer'
  sendError(response, 401, 'UNAUTHENTICATED', message)
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
  { openDownload, sendUpload, admission }: RouteOptions,
): void {
  const [, upload] = uploadPath.exec(path) ?? []
  if (upload !== undefined) {
    if (request.method !== 'PUT') return rejectMethod(response, ['PUT'], 'A file is uploaded by PUT')
    response.once('close', admission.openTransfer(request))
    return void serveUpload(upload, request, response, sendUpload)
  }
  const [, ticket] = downloadPath.exec(path) ?? []
  if (ticket === undefined)
    return sendError(response, 404, 'NOT_FOUND', 'There is nothing here; GraphQL is at /graphql')
  if (!readMethods.includes(request.method ?? ''))
    return rejectMethod(response, readMethods, 'A file can only be read')
  response.once('close', admission.openTransfer(request))
  void serveDownload(ticket, request, response, openDownload)
}
