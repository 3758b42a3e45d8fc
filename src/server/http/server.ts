import { createServer, type Server } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
import { sleep } from '../../sleep.ts'
import {
  boundTcpConnections,
  type ClosedTcpConnection,
  type TcpConnectionLimits,
  type TcpConnections,
} from '../../traffic/tcp-connections.ts'
import { BodyArrivals } from './body-arrival.ts'
import { createGraphqlEndpoint } from './graphql-endpoint.ts'
import type { RequestIds } from './request-id.ts'
import { sendFailure } from './responses.ts'
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
/** How long a connection may be silent in the middle of a request or response. Live responses are written to more often. */
const idleMs = 30_000
/** How long requests in flight may take after `close`. */
const inFlightMs = 5000
/** How long the port stays open after `close`: requests on their way still arrive, and load balancers find another target. */
const farewellMs = 250
/** How long the first request of the latest connections may take to be read after that. */
const unreadMs = 100

/** Starts listening; serves everything but WebSockets. @throws the system's error when the port is not available */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let isStopping = false
  const arrivals = new BodyArrivals(options.admission, options.bodies)
  const serveGraphql = createGraphqlEndpoint(options)
  const routes = { ...options, isReady: async () => !isStopping && options.isReady() }
  const server = createServer(
    { headersTimeout, requestTimeout, keepAliveTimeout: 75_000, connectionsCheckingInterval: 1000 },
    (request, response) => {
      response.on('error', () => undefined)
      const arrival = arrivals.add(response)
      let release: (() => void) | undefined
      response.on('close', () => {
        options.onResponse(response.headersSent ? response.statusCode : 0)
        release?.()
      })
      if (isStopping) response.setHeader('Connection', 'close')
      response.setHeader('X-Request-Id', options.requestIds.identify(request))
      response.setHeader('X-Content-Type-Options', 'nosniff')
      try {
        release = connections.use(request)
        serveRoute(request, response, arrival, serveGraphql, routes)
      } catch (error) {
        sendFailure(response, error)
      }
    },
  )
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
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    server,
    connections,
    url: `http://${host}:${port}`,
    announceClosing() {
      isStopping = true
    },
    async close(drainMs) {
      isStopping = true
      await sleep(farewellMs)
      await Promise.all([options.streamingResponses.close(drainMs), options.eventStreams.close(drainMs)])
      // Closing the port drops connections that the system has accepted and Node.js has not. One turn lets it accept them.
      await new Promise((resolve) => setImmediate(resolve))
      // `close` of an HTTP server would also close connections whose first request has not been read yet.
      const closed = new Promise((resolve) => NetServer.prototype.close.call(server, resolve))
      const idle = setTimeout(() => server.closeIdleConnections(), unreadMs)
      const deadline = setTimeout(() => server.closeAllConnections(), inFlightMs)
      await closed
      clearTimeout(idle)
      clearTimeout(deadline)
    },
  }
}
