import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { clientAddress } from './client-address.ts'
import { Counts } from './counts.ts'

export interface TcpConnectionLimits {
  /** Open TCP connections in all; 0 for any number. */
  readonly tcpConnections: number
  /** Open TCP connections of one IP address; 0 for any number. */
  readonly tcpConnectionsPerIp: number
  /** How many proxies are in front, each of which adds an address to `X-Forwarded-For`. */
  readonly trustedProxies: number
}

/** A connection that was closed because there were too many. */
export interface ClosedTcpConnection {
  /** The limit that was reached: that of one IP address, or that of all connections. */
  readonly limit: 'ip' | 'all'
  /** Whether the connection was idle, or a new one while all others carried a request or a WebSocket. */
  readonly state: 'idle' | 'new'
}

/** Bounds the TCP connections of a server. */
export interface TcpConnections {
  /** How many are open. */
  readonly open: number
  /**
   * A request or a WebSocket has begun: its connection is in use.
   *
   * @returns what ends that; to be called once, when the response or the WebSocket is closed
   * @throws GatewayError `RATE_LIMITED` when its client has too many, which only a proxy can cause
   */
  use(request: IncomingMessage): () => void
}

/** Connections that one limit counts. */
interface Group {
  readonly limit: number
  readonly key: string | undefined
  open: number
  /** Those without a request, idle for the longest time first. */
  readonly idle: Set<Socket>
}

interface Tracked {
  readonly groups: readonly Group[]
  requests: number
}

/**
 * Past a limit the connection that has been idle for the longest time is closed: its client connects again with its next
 * request. What is under way is never cut, because lower limits bound it. Only when every connection is in use is the
 * new one closed.
 *
 * Connections of a proxy carry requests of many clients. There a client has as many connections as carry a request or a
 * WebSocket of it, and one past its limit is refused.
 *
 * @param onLimit called after a connection was closed
 */
export function boundTcpConnections(
  server: Server,
  { tcpConnections, tcpConnectionsPerIp, trustedProxies }: TcpConnectionLimits,
  onLimit: (closed: ClosedTcpConnection) => void,
): TcpConnections {
  const all: Group = { limit: tcpConnections, key: undefined, open: 0, idle: new Set() }
  const clients = new Map<string, Group>()
  const tracked = new Map<Socket, Tracked>()
  const behindProxy = new Counts(trustedProxies === 0 ? 0 : tcpConnectionsPerIp)

  function groupOf(key: string): Group {
    const group = clients.get(key) ?? { limit: tcpConnectionsPerIp, key, open: 0, idle: new Set() }
    clients.set(key, group)
    return group
  }

  function forget(socket: Socket): void {
    const connection = tracked.get(socket)
    if (!tracked.delete(socket) || connection === undefined) return
    for (const group of connection.groups) {
      group.open -= 1
      group.idle.delete(socket)
      if (group.open === 0 && group.key !== undefined) clients.delete(group.key)
    }
  }

  server.on('connection', (socket) => {
    const isCounted = trustedProxies === 0 && tcpConnectionsPerIp > 0
    const groups = isCounted ? [all, groupOf(clientAddress({ socket, headers: {} }, 0))] : [all]
    tracked.set(socket, { groups, requests: 0 })
    for (const group of groups) {
      group.open += 1
      group.idle.add(socket)
    }
    socket.once('close', () => forget(socket))
    // First those of the client itself, which may already make room for it among all.
    for (const group of groups.toReversed()) {
      if (group.limit === 0 || group.open <= group.limit) continue
      const [longest = socket] = group.idle
      forget(longest)
      longest.destroy()
      onLimit({ limit: group === all ? 'all' : 'ip', state: longest === socket ? 'new' : 'idle' })
    }
  })

  return {
    get open() {
      return all.open
    },
    use({ socket, headers }) {
      const release =
        trustedProxies === 0
          ? undefined
          : behindProxy.take(
              clientAddress({ socket, headers }, trustedProxies),
              (limit) =>
                `There are ${limit} connections in use from your IP address, which is all there may be`,
            )
      const connection = tracked.get(socket)
      if (connection === undefined) return () => release?.()
      connection.requests += 1
      for (const { idle } of connection.groups) idle.delete(socket)
      return () => {
        release?.()
        connection.requests -= 1
        if (connection.requests > 0 || tracked.get(socket) !== connection) return
        for (const { idle } of connection.groups) idle.add(socket)
      }
    },
  }
}
