import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Makes a server of node:http leave its new connections to the other listeners of `connection`.
 *
 * @returns serves a connection by node:http
 */
export function takeConnections(server: Server): (socket: Socket) => void {
  const [serve] = server.listeners('connection')
  if (serve === undefined) throw new Error('The server of node:http has no listener for connections')
  server.off('connection', serve as (socket: Socket) => void)
  return (socket) => void serve.call(server, socket)
}
