import type { Server, Socket } from 'node:net'

export interface ConnectionLimits {
  /** The most open connections. */
  readonly all: number
  /** The most open connections of one IP address over which no valid credential was sent yet. */
  readonly strangers: number
}

export const defaultConnections: ConnectionLimits = { all: 16_384, strangers: 256 }

/** Bounds the connections of a server. */
export interface Connections {
  /** A valid credential was sent over a connection, which the limit for strangers does not count any more. */
  trust(socket: Socket): void
}

/**
 * When an IP address has too many connections without a valid credential, the oldest of them is closed. If the newest were
 * refused, a stranger could keep out all clients behind the same proxy. Clients with a credential send it at once.
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
