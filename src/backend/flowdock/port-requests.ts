import type { MessagePort } from 'node:worker_threads'
import {
  decodeHeaders,
  encodeHeaders,
  type PortAbort,
  type PortAnswer,
  type PortRequest,
} from '../../net/port-messages.ts'
import { spreadOverTurns } from '../../net/turns.ts'
import type { Background } from '../background.ts'
import { textBody } from '../http/request-body.ts'
import type { RestHandler, WholeResponse } from './handler.ts'

/** The most requests that begin in one turn of the event loop: other clients have their turns, too. */
const requestsInTurn = 32

/** The REST API for the gateway of the same process. */
export interface ServedPort {
  /** Begins no further request, and closes the port after the last response. */
  close(): Promise<void>
  /** Closes the port at once. */
  destroy(): void
}

/**
 * Serves the REST API to requests of a message port. A response that is written over time needs a connection: the other side gets
 * an answer without a status, and asks again over HTTP.
 */
export function servePortRequests(
  { answer, refuse, onRequest }: RestHandler,
  port: MessagePort,
  background: Background,
): ServedPort {
  /** The requests whose responses are awaited. */
  const awaited = new Set<number>()
  let isClosing = false
  const closed = Promise.withResolvers<void>()

  const send = (message: PortAnswer) => port.postMessage(message)

  const begin = spreadOverTurns<PortRequest>(requestsInTurn, (request) => {
    if (awaited.has(request[0])) background.run(serve(request))
  })

  async function serve([id, method, target, headers, body]: PortRequest): Promise<void> {
    const answered = await answer({
      method,
      target,
      headers: decodeHeaders(headers),
      socket: {},
      body: body === undefined ? undefined : textBody(body),
      trust: () => undefined,
    })
    const isAwaited = awaited.delete(id)
    if ('write' in answered) {
      if (isAwaited) send([id])
    } else {
      if (isAwaited) send(encode(id, method, answered))
      onRequest({ method, target }, answered.status)
    }
    closeIfDone()
  }

  function encode(id: number, method: string, response: WholeResponse): PortAnswer {
    try {
      return encodeAnswer(id, method, response)
    } catch (error) {
      return encodeAnswer(id, method, refuse(error, {}))
    }
  }

  function closeIfDone(): void {
    if (isClosing && awaited.size === 0) port.close()
  }

  port.on('message', (message: PortRequest | PortAbort) => {
    if (typeof message === 'number') {
      awaited.delete(message)
      return closeIfDone()
    }
    if (isClosing) return send([message[0]])
    awaited.add(message[0])
    begin(message)
  })
  port.on('close', () => {
    isClosing = true
    awaited.clear()
    closed.resolve()
  })

  return {
    close() {
      isClosing = true
      closeIfDone()
      return closed.promise
    },
    destroy: () => port.close(),
  }
}

function encodeAnswer(id: number, method: string, { status, headers, body }: WholeResponse): PortAnswer {
  if (body === undefined) return [id, status, encodeHeaders(headers), undefined]
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  const lines = encodeHeaders({ 'content-length': String(length), ...headers })
  return [id, status, lines, method === 'HEAD' ? undefined : typeof body === 'string' ? body : itself(body)]
}

/** Bytes without what is beside them in memory, which would be copied to the other thread with them. */
function itself(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes)
}
