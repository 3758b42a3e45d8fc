import type { IncomingMessage } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import type { Http1Request } from '../../../net/http1/connection.ts'
import type { Background } from '../../background.ts'
import type { Connections } from '../../http/connections.ts'
import { HttpError } from '../../http/errors.ts'
import type { Traffic } from '../../http/traffic.ts'
import type { Arrivals } from '../arrivals.ts'
import { failureHead } from '../envelope.ts'
import { findPrincipalByHash, type ThingsPrincipal } from '../principal.ts'
import type { Things } from '../things.ts'
import { SocketClient } from './client.ts'
import type { Session, Sessions } from './sessions.ts'
import { createSubscriptions, type Subscriber } from './subscriptions.ts'

export interface SocketOptions {
  readonly things: Things
  readonly arrivals: Pick<Arrivals, 'listen'>
  readonly sessions: Sessions
  readonly traffic: Traffic
  readonly connections: Connections
  readonly background: Background
  readonly onCall?: (principal: ThingsPrincipal) => void
  readonly onError: (error: unknown) => void
  /** The interval of the checks whether credentials are still valid. */
  readonly checkMs?: number
}

export interface Sockets {
  readonly size: number
  /** Upgrades a connection to a WebSocket. */
  upgrade(request: Http1Request, after: Buffer): void
  /** Closes all sockets, so that their clients subscribe again and read what they missed. */
  restart(): void
  /** Closes all sockets for good. */
  close(): void
  /** Closes what is still open. */
  destroy(): void
}

/** The longest message: a drop of up to 256 KiB, and the command around it. */
const maxMessageBytes = 1024 * 1024
/** The default interval of the checks. A revoked credential receives drops until the next one. */
const defaultCheckMs = 1000
/** The interval of pings. Some clients only send pongs. */
const pingMs = 60_000
const silentMs = 5 * 60_000

/** Serves `/session/ID/ws`. */
export function createSockets(options: SocketOptions): Sockets {
  const { things, sessions, traffic, background, onError } = options
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    // No compression: it needs memory for each socket, and frames could not be shared between sockets.
    perMessageDeflate: false,
  })
  const subscriptions = createSubscriptions()
  const clients = new Set<SocketClient>()
  const endListening = options.arrivals.listen((arrival) => subscriptions.publish(arrival))
  let isChecking = false

  function open(session: Session, request: Http1Request, after: Buffer): void {
    const { socket: stream } = request
    const sender = { key: `things:${session.principal.tokenHash}`, isStranger: false, isGateway: false }
    const endStream = traffic.openStream(sender)
    stream.once('close', endStream)
    options.connections.trust(stream)
    server.handleUpgrade(request as unknown as IncomingMessage, stream, after, (socket) => {
      const client = new SocketClient({
        ...{ session, socket, stream, onError },
        context: { things, subscriptions },
        onCommand() {
          traffic.countRequest(sender)
          options.onCall?.(session.principal)
        },
      })
      clients.add(client)
      sessions.renew(session)
      const touch = () => {
        client.receivedAt = Date.now()
      }
      // An invalid frame closes the socket. Without a listener, the error would end the process.
      socket.on('error', () => undefined)
      socket.on('ping', touch)
      socket.on('pong', touch)
      socket.on('message', (data, isBinary) => {
        touch()
        if (!isBinary) client.receive(String(data))
      })
      socket.on('close', () => {
        clients.delete(client)
        subscriptions.removeAll(client)
        sessions.renew(session)
      })
    })
  }

  /** Closes the sockets of invalid credentials, and ends subscriptions to flows that are not shared any more. */
  async function checkAccess(): Promise<void> {
    const { reader } = things.store
    const principals = new Map<string, ThingsPrincipal | undefined>()
    const check = async (tokenHash: string) => {
      if (!principals.has(tokenHash))
        principals.set(tokenHash, await findPrincipalByHash(reader, tokenHash, Date.now()))
      return principals.get(tokenHash)
    }
    for (const client of clients) {
      if ((await check(client.principal.tokenHash)) !== undefined) continue
      subscriptions.removeAll(client)
      client.socket.close(1008, 'The token is no longer valid')
    }
    const permitted = new Map<string, boolean>()
    for (const [subscriber, flowIds] of subscriptions.all())
      for (const flowId of [...flowIds]) {
        const key = `${subscriber.principal.tokenHash} ${flowId}`
        const isPermitted = permitted.get(key) ?? (await mayRead(subscriber, flowId))
        permitted.set(key, isPermitted)
        if (!isPermitted) subscriptions.remove(subscriber, flowId)
      }
  }

  async function mayRead({ principal, style }: Subscriber, flowId: string): Promise<boolean> {
    const access = things.access(principal, style)
    const flow = await access.findFlow(flowId)
    return flow !== undefined && (await access.rightsAt(flow.account_id, flow.path_key)).dropRead
  }

  const checking = setInterval(() => {
    if (isChecking || clients.size === 0) return
    isChecking = true
    background.run(
      checkAccess().finally(() => {
        isChecking = false
      }),
    )
  }, options.checkMs ?? defaultCheckMs)
  checking.unref()
  const pinging = setInterval(() => {
    for (const { socket, receivedAt } of clients) {
      if (receivedAt < Date.now() - silentMs) socket.terminate()
      else if (socket.readyState === socket.OPEN) socket.ping()
    }
  }, pingMs)
  pinging.unref()

  return {
    get size() {
      return clients.size
    },
    upgrade(request, after) {
      const { socket } = request
      socket.on('error', () => socket.destroy())
      const [, id] = /^\/session\/([0-9a-f]{1,100})\/ws\/?(?:\?|$)/.exec(request.target) ?? []
      const session = id === undefined ? undefined : sessions.find(id)
      if (session === undefined || request.upgrade !== 'websocket' || request.method !== 'GET')
        return refuse(socket, 404, 'There is no such session')
      try {
        open(session, request, after)
      } catch (error) {
        if (!(error instanceof HttpError)) throw error
        refuse(socket, error.status, error.message)
      }
    },
    restart() {
      for (const { socket } of clients) socket.close(1012, 'Drops may be missing')
    },
    close() {
      clearInterval(checking)
      clearInterval(pinging)
      endListening()
      for (const { socket } of clients) socket.close(1001, 'The server stops')
      server.close()
    },
    destroy() {
      for (const { socket } of clients) socket.terminate()
    },
  }
}

function refuse(socket: Socket, status: number, message: string): void {
  const body = JSON.stringify({ head: failureHead(status, message), body: {} })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
