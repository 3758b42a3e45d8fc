import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { GatewayError } from '../../errors.ts'
import { Outbox, Slab, Turn } from '../../subscriptions/outbox.ts'
import type { Connection } from '../../traffic/admission.ts'
import type { BodyMemory } from '../../traffic/body-memory.ts'
import type { RequestHead } from '../../traffic/client-address.ts'
import type { TcpConnections } from '../../traffic/tcp-connections.ts'
import { endEvenly } from '../end-evenly.ts'
import type { OriginPolicy } from '../http/origin-policy.ts'
import type { RequestIds } from '../http/request-id.ts'
import { maxMessageBytes, SocketClient } from './client.ts'
import { frames } from './frames.ts'
import { createProtocol, type ProtocolOptions } from './protocol.ts'

/** The interval of pings to clients. A client that sends nothing for two of them is disconnected. */
const keepAliveMs = 12_000
/** Over how long sockets are closed on a stop, so that not all clients connect again at once. */
const maxFarewellMs = 3000
/** [spec] RFC 6455, 5.2: of a client, which masks its frames. */
const maxFrameHeaderBytes = 14
const subprotocol = 'graphql-transport-ws'

export interface WebSocketTransport {
  /** How many sockets are open. */
  readonly size: number
  /** The bytes that wait for readers. Bytes that several readers share count for each. */
  readonly waitingBytes: number
  /** Refuses further sockets and closes the open ones, evenly over so many milliseconds. */
  close(drainMs: number): Promise<void>
}

export interface WebSocketOptions extends ProtocolOptions {
  readonly server: Server
  /** Of the server. */
  readonly connections: TcpConnections
  readonly originPolicy: OriginPolicy
  readonly bodies: BodyMemory
  readonly requestIds: RequestIds
}

/**
 * Serves graphql-transport-ws on `/graphql` of an HTTP server. The results of operations are written to the sockets as
 * frames that are made here: the same bytes for all subscribers of a group, all of a turn of the event loop in one write.
 */
export function serveWebSockets(options: WebSocketOptions): WebSocketTransport {
  const { server, connections, engine, originPolicy, admission, bodies, requestIds, log } = options
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    // Compression takes memory for each socket, and a compressed message can expand past the limit.
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  })
  const protocol = createProtocol(options)
  const clients = new Set<SocketClient>()
  const turn = new Turn()
  const slab = new Slab()
  let isClosing = false

  function accept(socket: WebSocket, request: IncomingMessage, stream: Duplex, connection: Connection): void {
    // A broken frame closes the socket; without a listener it would end the process.
    socket.on('error', () => undefined)
    const outbox = new Outbox({
      stream,
      framing: frames,
      turn,
      slab,
      onSlow() {
        log.info({ reason: 'SLOW_CONSUMER' }, 'Closed a socket that is read too slowly')
        client.end(1013, 'SLOW_CONSUMER: too far behind; resume after the last cursor')
      },
    })
    const holding = bodies.hold(admission.addressOf(request))
    const client = new SocketClient(socket, headOf(request), outbox, { admission, connection, holding })
    clients.add(client)
    const served = protocol.open(client)
    socket.on('pong', () => {
      client.isAlive = true
      client.countPing()
    })
    socket.on('ping', () => client.countPing())
    watchIncomplete(client, stream)
    socket.on('message', (data, isBinary) => {
      client.isAlive = true
      if (!client.isOpen) return
      client.incomplete.bytes = 0
      if ((data as Buffer).length > client.maxBytes) client.endTooLong()
      else if (isBinary) client.end(4400, 'Invalid message: expected text, not bytes')
      else served.receive(String(data))
    })
    socket.on('close', (code, reason) => {
      clients.delete(client)
      outbox.close()
      holding.release()
      served.left(code, String(reason))
    })
  }

  /** Bounds an incomplete message: it is counted as it arrives, until it is complete. */
  function watchIncomplete(client: SocketClient, stream: Duplex): void {
    const { incomplete } = client
    stream.prependListener('data', (chunk: Buffer) => {
      incomplete.bytes += chunk.length
    })
    // This listener runs once `ws` has parsed the chunk: the rest belongs to an incomplete message.
    stream.on('data', () => {
      if (incomplete.bytes === 0) {
        if (incomplete.counted > 0) incomplete.holding.release()
        incomplete.counted = 0
        return
      }
      if (incomplete.bytes > client.maxBytes + maxFrameHeaderBytes) return client.endTooLong()
      try {
        incomplete.holding.take(incomplete.bytes - incomplete.counted)
        incomplete.counted = incomplete.bytes
      } catch (error) {
        client.end(1013, engine.mask(error).message)
      }
    })
  }

  const keepAlive = setInterval(() => {
    for (const client of clients) {
      if (!client.isAlive) client.socket.terminate()
      client.isAlive = false
      if (client.isOpen) client.socket.ping()
    }
  }, keepAliveMs)
  keepAlive.unref()
  const pacing = setInterval(() => {
    const now = Date.now()
    for (const client of clients) {
      client.outbox.check(now)
      client.checkInit(now)
    }
  }, 1000)
  pacing.unref()

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', destroy)
    const problem = originPolicy.problem(request)
    const { pathname } = URL.parse(request.url ?? '', 'http://localhost') ?? {}
    if (isClosing) rejectUpgrade(socket, 503)
    else if (problem !== undefined) rejectUpgrade(socket, problem.status)
    else if (pathname !== '/graphql') rejectUpgrade(socket, 404)
    else if (!originPolicy.isAllowedOrigin(request))
      rejectUpgrade(socket, 403, { message: originPolicy.describeRefusal(request) })
    else upgrade(request, socket, head)
  })

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    try {
      // `once` would keep more memory for each socket, and a socket closes once.
      socket.on('close', connections.use(request))
      admission.count(request)
      requestIds.identify(request)
      const connection = admission.openConnection(request)
      closeTogether(socket, connection)
      sockets.handleUpgrade(request, socket, head, (webSocket) =>
        accept(webSocket, request, socket, connection),
      )
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      rejectUpgrade(socket, 429, { retryAfter: Math.ceil((error.retryAfterMs ?? 1000) / 1000) })
    }
  }

  return {
    get size() {
      return clients.size
    },
    get waitingBytes() {
      return [...clients].reduce((sum, { outbox }) => sum + outbox.waitingBytes, 0)
    },
    async close(drainMs) {
      isClosing = true
      const closed = [...clients].map(
        ({ socket }) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      )
      const overMs = Math.max(drainMs, Math.min(clients.size * 2, maxFarewellMs))
      await endEvenly(clients, overMs, (client) => client.end(1001, 'Going away: connect again and resume'))
      await Promise.all(closed)
      clearInterval(keepAlive)
      clearInterval(pacing)
      sockets.close()
    },
  }
}

/** One listener for all sockets. */
function destroy(this: Duplex): void {
  this.destroy()
}

/** A function of its own, so that an open socket does not hold its request. */
function closeTogether(socket: Duplex, connection: Connection): void {
  socket.on('close', () => connection.close())
}

/** The parts of a request that operations need. The rest would stay in memory as long as the socket is open. */
function headOf({ headers, socket }: IncomingMessage): RequestHead {
  const names = [
    ...(['authorization', 'x-request-id', 'x-forwarded-for', 'traceparent'] as const),
    ...(['x-auth-account', 'x-auth-token'] as const),
  ]
  const sent = names.filter((name) => headers[name] !== undefined)
  return { headers: Object.fromEntries(sent.map((name) => [name, headers[name]])), socket }
}

function rejectUpgrade(
  socket: Duplex,
  status: number,
  { message = '', retryAfter }: { readonly message?: string; readonly retryAfter?: number } = {},
): void {
  const later = retryAfter === undefined ? '' : `Retry-After: ${retryAfter}\r\n`
  const type = message === '' ? '' : 'Content-Type: text/plain; charset=utf-8\r\n'
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${later}${type}Connection: close\r\nContent-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
  )
}
