import { createServer, type Server } from 'node:http'
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net'
import type { RequestHead } from '../../net/http1/head.ts'
import { takeConnections } from '../../net/http1/node-connections.ts'
import { EncodedHeaders } from '../../net/http1/response.ts'
import { createHttp1Connections } from '../../net/http1/server.ts'
import { sleep } from '../../sleep.ts'
import {
  boundTcpConnections,
  type ClosedTcpConnection,
  type TcpConnectionLimits,
  type TcpConnections,
} from '../../traffic/tcp-connections.ts'
import { negotiate } from '../negotiation.ts'
import { BodyArrivals } from './body-arrival.ts'
import { Exchange } from './exchange.ts'
import { createGraphqlEndpoint } from './graphql-endpoint.ts'
import { type HttpRequest, NodeRequest } from './http-request.ts'
import { createRefusalByHead } from './refusal-by-head.ts'
import { hasFiles } from './request-body.ts'
import type { RequestIds } from './request-id.ts'
import { nosniff, sendFailure } from './responses.ts'
import { type RouteOptions, serveRoute } from './routes.ts'

export interface HttpServerOptions extends RouteOptions {
  readonly host: string
  readonly port: number
  readonly connectionLimits: TcpConnectionLimits
  /** Called after a TCP connection was closed because there were too many. */
  readonly onConnectionLimit: (closed: ClosedTcpConnection) => void
  readonly requestIds: RequestIds
  /** Called at the end of each response. @param status 0 when the client left before it */
  readonly onResponse: (status: number) => void
}

export interface HttpServer {
  readonly server: Server
  readonly connections: TcpConnections
  /** The URL that it listens on, without a trailing slash. */
  readonly url: string
  /** Says that it is not ready, and goes on serving. */
  announceClosing(): void
  /**
   * Ends the open streams, evenly over so many milliseconds, then finishes the requests in flight and rejects further ones.
   * Resolves when the last connection is closed.
   */
  close(drainMs: number): Promise<void>
}

/** How long the head of a request may take to arrive, and a whole request: the longest of them are files. */
const headersTimeout = 8000
const requestTimeout = 600_000
const keepAliveTimeout = 75_000
/** How long a connection may be silent in the middle of a request or response. Live responses are written to more often. */
const idleMs = 30_000
/** How long a client may take to read a whole response of `net/http1`. `Permit` ends that of an operation earlier, after a minute. */
const wholeReadingMs = 65_000
/** How long requests in flight may take after `close`. */
const inFlightMs = 5000
/** How long the port stays open after `close`: requests on their way still arrive, and load balancers find another target. */
const farewellMs = 250
/** How long the first request of the latest connections may take to be read after that. */
const unreadMs = 100

const ordinaryMethods = new Set(['GET', 'HEAD', 'POST', 'OPTIONS'])
const streamToken = 'x-graphql-event-stream-token'
const lastOne = new EncodedHeaders({ Connection: 'close' })
const none = new EncodedHeaders({})

/** Starts listening; serves everything but WebSockets. @throws the system's error when the port is not available */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let isStopping = false
  const arrivals = new BodyArrivals(options.admission, options.bodies)
  const serveGraphql = createGraphqlEndpoint(options)
  const routes = { ...options, isReady: async () => !isStopping && options.isReady() }
  const serve = (request: HttpRequest, node: NodeRequest | undefined) => {
    let release: (() => void) | undefined
    const exchange = new Exchange(request, node, ({ status }) => {
      options.onResponse(status)
      release?.()
    })
    const arrival = request.isComplete ? undefined : arrivals.add(exchange)
    exchange.addHeaders(new EncodedHeaders({ 'X-Request-Id': options.requestIds.identify(exchange) }))
    exchange.addHeaders(nosniff)
    try {
      release = connections.use(exchange)
      serveRoute(exchange, arrival, serveGraphql, routes)
    } catch (error) {
      sendFailure(exchange, error)
    }
  }
  const server = createServer(
    { headersTimeout, requestTimeout, keepAliveTimeout, connectionsCheckingInterval: 1000 },
    (incoming, response) => {
      const request = new NodeRequest(incoming, response)
      if (isStopping) request.addHeaders(lastOne)
      serve(request, request)
    },
  )
  const http1 = createHttp1Connections({
    handle(request) {
      serve(request, undefined)
      return undefined
    },
    respondByHead: createRefusalByHead({ ...options, use: (request) => connections.use(request) }),
    refuse: ({ status }) => ({ status, headers: none, body: '' }),
    other: { isFor: (head) => !isOrdinary(head), take: takeConnections(server) },
    allowHalfOpen: false,
    headMs: headersTimeout,
    idleMs: keepAliveTimeout,
    writeMs: wholeReadingMs,
  })
  server.on('connection', (socket: Socket) => http1.accept(socket))
  const connections = boundTcpConnections(server, options.connectionLimits, options.onConnectionLimit)
  server.setTimeout(idleMs)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port } = server.address() as AddressInfo
  const announceClosing = () => {
    isStopping = true
    http1.announceClosing()
  }
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    server,
    connections,
    url: `http://${host}:${port}`,
    announceClosing,
    async close(drainMs) {
      announceClosing()
      await sleep(farewellMs)
      await Promise.all([options.streamingResponses.close(drainMs), options.eventStreams.close(drainMs)])
      // Closing the port drops connections that the system has accepted and Node.js has not. One turn lets it accept them.
      await new Promise((resolve) => setImmediate(resolve))
      // `close` of an HTTP server would also close connections whose first request has not been read yet.
      const closed = new Promise((resolve) => NetServer.prototype.close.call(server, resolve))
      const idle = setTimeout(() => {
        http1.close()
        server.closeIdleConnections()
      }, unreadMs)
      const deadline = setTimeout(() => {
        http1.destroy()
        server.closeAllConnections()
      }, inFlightMs)
      await closed
      clearTimeout(idle)
      clearTimeout(deadline)
    },
  }
}

/**
 * Whether a request is for an operation with a response of JSON. Streams, files, pages and upgrades need node:http, and so do clients
 * that wait for `100 Continue`.
 */
function isOrdinary(head: RequestHead): boolean {
  const { target, headers } = head
  if (head.isAbsolute || (target !== '/graphql' && !target.startsWith('/graphql?'))) return false
  if (!ordinaryMethods.has(head.method) || (head.method === 'OPTIONS' && headers['origin'] === undefined))
    return false
  if (head.upgrade !== undefined || head.expectsContinue || hasFiles(head)) return false
  if (target.includes('ticket=') || target.includes('token=') || headers[streamToken] !== undefined)
    return false
  const { json, stream, page } = negotiate(headers['accept'] ?? '')
  return json !== undefined && stream === undefined && !page
}
