import type { IncomingMessage, ServerResponse } from 'node:http'
import { discardBody } from '../../net/discard-body.ts'
import type { Connections } from '../http/connections.ts'
import { nodeBody } from '../http/request-body.ts'
import type { RestHandler, WholeResponse } from './handler.ts'

/** Serves the REST API to requests of node:http. */
export function serveNodeRequests(
  { answer, refuse, onBroken, onRequest }: RestHandler,
  connections: Connections,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const { method = 'GET', url: target = '/', headers, socket } = request
    // A client that leaves is noticed when the response is written.
    response.on('error', () => undefined)
    const answered = await answer({
      method,
      target,
      headers,
      socket,
      body: nodeBody(request),
      trust: () => connections.trust(socket),
    })
    try {
      if ('write' in answered) {
        for (const [name, value] of Object.entries(answered.headers)) response.setHeader(name, value)
        await answered.write(response)
      } else await send(request, response, answered)
    } catch (error) {
      if (!response.headersSent) await send(request, response, refuse(error, {}))
      else {
        onBroken(error)
        response.destroy()
      }
    }
    onRequest({ method, target }, response.statusCode)
  }
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body, isRefusal }: WholeResponse,
): Promise<void> {
  // Encoded once for its length and for writing it.
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const length = bytes === undefined ? {} : { 'Content-Length': String(bytes.length) }
  if (isRefusal && !request.complete) {
    await discardBody(request)
    // The rest of the body is not read, so the connection cannot be used again.
    if (!request.complete) response.setHeader('Connection', 'close')
  }
  response.writeHead(status, { ...length, ...headers })
  response.end(bytes)
}
