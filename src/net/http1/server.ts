import { createServer, type Server } from 'node:net'
import { Connection, type Http1Options } from './connection.ts'

export interface Http1Server {
  readonly server: Server
  /** The number of open connections, without those that another protocol took over. */
  readonly size: number
  /** Stops listening, and closes each connection after the response to its request. Resolves when all are closed. */
  close(): Promise<void>
  /** Closes all connections at once. */
  destroy(): void
}

/**
 * An HTTP/1.1 server for custom methods. The HTTP server of Node.js rejects methods that are not in its fixed list. This one does
 * not stream bodies, because JSON APIs do not need that.
 */
export function createHttp1Server(options: Http1Options): Http1Server {
  const connections = new Set<Connection>()
  // A client may close its side after the request, and still reads the response.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = new Connection(socket, options, () => connections.delete(connection))
    connections.add(connection)
  })
  return {
    server,
    get size() {
      return connections.size
    },
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const connection of connections) connection.close()
      return closed
    },
    destroy() {
      for (const connection of connections) connection.destroy()
    },
  }
}
