import type { IncomingMessage } from 'node:http'
import { EncodedHeaders } from '../../net/http1/response.ts'
import type { BodyArrival } from './body-arrival.ts'
import { type OpenDownload, serveDownload } from './downloads.ts'
import type { Exchange } from './exchange.ts'
import type { GraphqlEndpointOptions, ServeGraphql } from './graphql-endpoint.ts'
import type { NodeRequest } from './http-request.ts'
import { noHeaders, sendError, sendText } from './responses.ts'
import { type SendUpload, serveUpload } from './uploads.ts'

export interface RouteOptions extends GraphqlEndpointOptions {
  /** Whether a request proves that it comes from an operator of this gateway. */
  readonly isOperator: (request: Pick<IncomingMessage, 'headers'>) => boolean
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
  exchange: Exchange,
  arrival: BodyArrival | undefined,
  serveGraphql: ServeGraphql,
  options: RouteOptions,
): void {
  const { admission, originPolicy } = options
  const path = pathOf(exchange.url)
  const problem = originPolicy.problem(exchange)
  // Monitoring calls the process by its IP address.
  const isForOperators = path === '/metrics' || path.startsWith('/health/')
  if (problem !== undefined && !(isForOperators && problem.status === 421))
    return sendError(exchange, problem.status, 'BAD_USER_INPUT', problem.message)
  const corsHeaders = originPolicy.corsHeaders(exchange)
  if (corsHeaders !== undefined) exchange.addHeaders(corsHeaders)
  if (
    exchange.method === 'OPTIONS' &&
    originPolicy.isAllowedOrigin(exchange) &&
    exchange.headers.origin !== undefined
  )
    return exchange.respond(204, noHeaders, '')
  if (!path.startsWith('/health/')) admission.count(exchange)
  if (path === '/graphql') return serveGraphql(exchange, arrival)
  if (readPaths.includes(path) && !readMethods.includes(exchange.method))
    return rejectMethod(exchange, readMethods, 'This can only be read')
  serveReadPath(path, exchange, options)
}

function pathOf(url: string): string {
  const end = url.indexOf('?')
  return end === -1 ? url : url.slice(0, end)
}

function serveReadPath(path: string, exchange: Exchange, options: RouteOptions): void {
  switch (path) {
    case '/':
      return exchange.respond(302, new EncodedHeaders({ Location: '/graphql' }), '')
    case '/schema.graphql':
      return sendSchema(exchange, options.schemaFile, 'text/plain; charset=utf-8')
    case '/possible-types.json':
      return sendSchema(exchange, options.possibleTypes, 'application/json')
    case '/metrics':
      if (!options.areMetricsOpen && !options.isOperator(exchange)) return rejectReader(exchange)
      return void options
        .metrics()
        .then((text) => sendText(exchange, text, 'text/plain; version=0.0.4; charset=utf-8'))
        .catch(() => exchange.destroy())
    case '/streams':
      if (!options.isOperator(exchange)) return rejectReader(exchange)
      return sendText(exchange, JSON.stringify(options.streams()), 'application/json')
    case '/health/live':
      return sendText(exchange, '{"status":"live"}', 'application/json')
    case '/health/ready':
      return void options.isReady().then((isReady) => {
        const text = JSON.stringify({ status: isReady ? 'ready' : 'not ready' })
        sendText(exchange, text, 'application/json', isReady ? 200 : 503)
      })
    default:
      // Only node:http gets these paths.
      if (exchange.node !== undefined) serveFile(path, exchange, exchange.node, options)
  }
}

/** [spec] RFC 9110, 15.5.6: the response names every method that the path serves. */
function rejectMethod(exchange: Exchange, methods: readonly string[], reason: string): void {
  exchange.addHeaders(new EncodedHeaders({ Allow: methods.join(', ') }))
  sendError(exchange, 405, 'BAD_USER_INPUT', `${reason}: expected ${methods.join(' or ')}`)
}

function rejectReader(exchange: Exchange): void {
  exchange.addHeaders(new EncodedHeaders({ 'WWW-Authenticate': 'Bearer' }))
  const message =
    'Only for operators: send METRICS_TOKEN, or the content of DATA_DIR/metrics-token, as Bearer'
  sendError(exchange, 401, 'UNAUTHENTICATED', message)
}

function sendSchema(exchange: Exchange, print: (() => string) | undefined, type: string): void {
  if (print === undefined)
    return sendError(exchange, 403, 'FORBIDDEN', 'This gateway does not show its schema')
  sendText(exchange, print(), type)
}

function serveFile(
  path: string,
  exchange: Exchange,
  node: NodeRequest,
  { openDownload, sendUpload, admission, graphiql }: RouteOptions,
): void {
  if (
    path.startsWith('/graphiql/') &&
    graphiql?.serveAsset(path.slice('/graphiql/'.length), node.request, node.response) === true
  )
    return
  const [, upload] = uploadPath.exec(path) ?? []
  if (upload !== undefined) {
    if (exchange.method !== 'PUT') return rejectMethod(exchange, ['PUT'], 'A file is uploaded by PUT')
    exchange.observe({ closed: admission.openTransfer(exchange) })
    return void serveUpload(upload, node.request, node.response, sendUpload)
  }
  const [, ticket] = downloadPath.exec(path) ?? []
  if (ticket === undefined)
    return sendError(exchange, 404, 'NOT_FOUND', 'There is nothing here; GraphQL is at /graphql')
  if (!readMethods.includes(exchange.method))
    return rejectMethod(exchange, readMethods, 'A file can only be read')
  exchange.observe({ closed: admission.openTransfer(exchange) })
  void serveDownload(ticket, node.request, node.response, openDownload)
}
