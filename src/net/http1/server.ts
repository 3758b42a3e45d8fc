import { createServer, type Server, type Socket } from 'node:net'
import { Clock } from './clock.ts'
import { Connection, type Http1Options } from './connection.ts'

/** The connections that a server serves by HTTP/1.1. */
export interface Http1Connections {
  /** The number of open connections, without those that another protocol or server took over. */
  readonly size: number
  /** Serves a new connection. Its client may close its side after a request, so its server has to allow that. */
  accept(socket: Socket): void
  /** Makes each response the last one of its connection. */
  announceClosing(): void
  /**
   * Closes each connection after the response to its request. Those without a request are closed once what has arrived was read: a
   * request may be among it.
   */
  close(): void
  /** Closes all connections at once. */
  destroy(): void
}

export interface Http1Server extends Pick<Http1Connections, 'size' | 'announceClosing' | 'destroy'> {
  readonly server: Server
  /** Stops listening, and closes each connection after the response to its request. Resolves when all are closed. */
  close(): Promise<void>
}

/** The timeouts of a head, of an unused connection, and of a response until the client has read the whole of it. */
const defaults = { headMs: 10_000, idleMs: 75_000, writeMs: 120_000 }
/** How late a timeout may be. */
const maxTickMs = 1000

/** Serves connections that were accepted elsewhere. */
export function createHttp1Connections(options: Http1Options): Http1Connections {
  const timeouts = { ...defaults, ...options }
  const connections = new Set<Connection>()
  const shortestMs = Math.min(timeouts.headMs, timeouts.idleMs, timeouts.writeMs)
  const clock = new Clock(Math.min(Math.ceil(shortestMs / 8), maxTickMs), () => {
    for (const connection of connections) connection.checkTimeout()
  })
  // Clients do not use a connection that is about to be closed.
  const keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(timeouts.idleMs / 1000)}\r\n`
  const shared = {
    ...{ options, timeouts, clock, keepAlive, isClosing: false },
    onClose(connection: Connection) {
      connections.delete(connection)
      if (connections.size === 0) clock.stop()
    },
  }
  return {
    get size() {
      return connections.size
    },
    accept(socket) {
      if (connections.size === 0) clock.start()
      connections.add(new Connection(socket, shared))
    },
    announceClosing() {
      shared.isClosing = true
    },
    close() {
      shared.isClosing = true
      const closeAll = () => {
        for (const connection of connections) connection.close()
      }
      // The first one may come before sockets are read, the second one comes after that.
      setImmediate(() => setImmediate(closeAll))
    },
    destroy() {
      for (const connection of connections) connection.destroy()
    },
  }
}

/**
 * An HTTP/1.1 server for custom methods. The HTTP server of Node.js rejects methods that are not in its fixed list. This one does
 * not stream bodies, because JSON APIs do not need that.
 */
export function createHttp1Server(options: Http1Options): Http1Server {
  const connections = createHttp1Connections(options)
  // A client may close its side after the request, and still reads the response.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => connections.accept(socket))
  return {
    server,
    get size() {
      return connections.size
    },
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      connections.close()
      return closed
    },
    announceClosing: () => connections.announceClosing(),
    destroy: () => connections.destroy(),
  }
}
