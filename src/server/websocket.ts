import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { GraphQLError, getOperationAST } from 'graphql'
import type { ConnectionInitMessage } from 'graphql-ws'
import { type Extra, useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { ValidationError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Engine } from './engine.ts'
import { maskError } from './error-mask.ts'
import { isSameOrigin, isValidHost } from './host.ts'

/** Longest message a client may send. */
const maxMessageBytes = 256 * 1024

export interface WebSocketTransport {
  /** Ends every socket with 1001; clients connect again. */
  close(): Promise<void>
}

type Init = Readonly<Record<string, unknown>>

/** What is kept for a socket: how to end the calls of each operation on it. */
type SocketState = Partial<Extra> & Record<PropertyKey, unknown> & { aborts?: Map<string, AbortController> }

/**
 * Serves graphql-transport-ws on `/graphql` of an HTTP server, with the engine's rules.
 * [graphql-ws] PROTOCOL.md
 */
export function serveWebSockets(server: Server, engine: Engine, log: Logger): WebSocketTransport {
  // Compression would cost memory for each socket and open the door to bombs.
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
  })
  const mask = (error: unknown) =>
    maskError(error, (unexpected) => log.error({ err: unexpected }, 'Operation failed unexpectedly'))

  const transport = useServer<Init, SocketState>(
    {
      isProd: true,
      execute: (args) => (args as unknown as Prepared).engine.execute(args),
      subscribe: (args) => (args as unknown as Prepared).engine.subscribe(args),
      async onSubscribe(socket, id, payload) {
        const abort = new AbortController()
        socket.extra.aborts ??= new Map()
        socket.extra.aborts.set(id, abort)
        const connectionParams = (socket.connectionParams ?? {}) as NonNullable<
          ConnectionInitMessage['payload']
        >
        const enveloped = engine.getEnveloped({
          req: socket.extra.request,
          connectionParams,
          signal: abort.signal,
          params: payload,
        })
        try {
          const document = enveloped.parse(payload.query)
          const problems = enveloped.validate(enveloped.schema, document)
          if (problems.length > 0) return [...problems]
          if (getOperationAST(document, payload.operationName) == null)
            return [mask(new ValidationError('Expected operationName to name an operation of the document'))]
          return {
            schema: enveloped.schema,
            document,
            operationName: payload.operationName,
            variableValues: payload.variables,
            contextValue: await enveloped.contextFactory(),
            engine: enveloped,
          }
        } catch (error) {
          // Answered to this operation alone: thrown, it would end the socket and all else on it.
          return [
            error instanceof GraphQLError && error.extensions['code'] !== undefined ? error : mask(error),
          ]
        }
      },
      onComplete(socket, id) {
        socket.extra.aborts?.get(id)?.abort()
        socket.extra.aborts?.delete(id)
      },
      onClose(socket) {
        for (const abort of socket.extra.aborts?.values() ?? []) abort.abort()
      },
    },
    sockets,
  )

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const { pathname } = URL.parse(request.url ?? '', 'http://localhost') ?? {}
    if (!isValidHost(request.headers.host)) refuse(socket, 400, 'Bad Request')
    else if (pathname !== '/graphql') refuse(socket, 404, 'Not Found')
    else if (!isSameOrigin(request)) refuse(socket, 403, 'Forbidden')
    else
      sockets.handleUpgrade(request, socket, head, (webSocket) =>
        sockets.emit('connection', webSocket, request),
      )
  })

  return {
    async close() {
      await transport.dispose()
    },
  }
}

interface Prepared {
  readonly engine: ReturnType<Engine['getEnveloped']>
}

function refuse(socket: Duplex, status: number, reason: string): void {
  socket.end(`HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
