import type { IncomingHttpHeaders, Server } from 'node:http'
import type { Socket } from 'node:net'
import { clientAddress } from './client-address.ts'
import { Counts } from './counts.ts'

export interface TcpConnectionLimits {
  /** The most open TCP connections; 0 for no limit. */
  readonly tcpConnections: number
  /** The most open TCP connections of one IP address; 0 for no limit. */
  readonly tcpConnectionsPerIp: number
  /** The number of proxies in front, each of which adds an IP address to `X-Forwarded-For`. */
  readonly trustedProxies: number
}

/** A connection that was closed because there were too many. */
export interface ClosedTcpConnection {
  /** The limit that was reached: that of one IP address, or that of all connections. */
  readonly limit: 'ip' | 'all'
  /** Whether the connection was idle, or a new one while all others carried a request or a WebSocket. */
  readonly state: 'idle' | 'new'
}

/** The TCP connections of a server. */
export interface TcpConnections {
  /** The number of open connections. */
  readonly open: number
  /**
   * Marks the connection of a request or a WebSocket as in use.
   *
   * @returns a function to call once, when the response or the WebSocket is closed
   * @throws GatewayError `RATE_LIMITED` when its client has too many, only behind a proxy
   */
  use(request: { readonly socket: Socket; readonly headers: IncomingHttpHeaders }): () => void
}

/** The connections that one limit counts. */
interface Group {
  readonly limit: number
  readonly key: string | undefined
  open: number
  /** The idle connections, the one that has been idle for the longest time first. Empty without a limit. */
  readonly idle: Set<Socket>
}

interface Tracked {
  readonly groups: readonly Group[]
  requests: number
}

/**
 * Limits the TCP connections of a server. Past a limit, the connection that has been idle for the longest time is closed; its
 * client connects again with the next request. A connection in use is never closed, because lower limits bound requests. If all
 * are in use, the new one is closed.
 *
 * Connections of a proxy carry requests of many clients. Behind a proxy the limit of an IP address counts connections with a
 * request or a WebSocket of the client, and further requests are refused.
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

  function addIdle({ limit, idle }: Group, socket: Socket): void {
    if (limit > 0) idle.add(socket)
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
      addIdle(group, socket)
    }
    // `once` would keep more memory for each socket, and a socket closes once.
    socket.on('close', () => forget(socket))
    // First the limit of the IP address: closing a connection of it may make room for the limit of all.
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
      for (const { limit, idle } of connection.groups) if (limit > 0) idle.delete(socket)
      return () => {
        release?.()
        connection.requests -= 1
        if (connection.requests > 0 || tracked.get(socket) !== connection) return
        for (const group of connection.groups) addIdle(group, socket)
      }
    },
  }
}
