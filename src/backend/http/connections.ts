import type { Server } from 'node:http'
import type { Socket } from 'node:net'

export interface ConnectionLimits {
  /** Open connections in all. */
  readonly all: number
  /** Open connections of one address on which no valid credential was sent yet. */
  readonly strangers: number
}

export const defaultConnections: ConnectionLimits = { all: 16_384, strangers: 256 }

/** Bounds the connections of a server. */
export interface Connections {
  /** Notes that a valid credential came over a connection: others do not count it any more. */
  trust(socket: Socket): void
}

/**
 * Closes the connection that waited longest for a valid credential when one address has too many of them. Closing the
 * oldest, rather than refusing the newest, keeps a stranger from occupying the places of everybody behind one proxy:
 * a caller with a credential sends it at once.
 */
export function boundConnections(server: Server, limits: ConnectionLimits): Connections {
  server.maxConnections = limits.all
  const strangers = new Map<string, Set<Socket>>()

  function forget(socket: Socket, address: string): void {
    const sockets = strangers.get(address)
    if (sockets?.delete(socket) === true && sockets.size === 0) strangers.delete(address)
  }

  const addresses = new WeakMap<Socket, string>()
  server.on('connection', (socket) => {
    const address = socket.remoteAddress ?? ''
    addresses.set(socket, address)
    const sockets = strangers.get(address) ?? new Set()
    strangers.set(address, sockets.add(socket))
    socket.once('close', () => forget(socket, address))
    if (sockets.size > limits.strangers) {
      const [oldest] = sockets
      oldest?.destroy()
      if (oldest !== undefined) forget(oldest, address)
    }
  })
  return {
    trust(socket) {
      const address = addresses.get(socket)
      if (address !== undefined) forget(socket, address)
    },
  }
}
