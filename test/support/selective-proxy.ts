import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/**
 * A server in front of another one, which ends with the test. It forwards every request, also streams.
 *
 * @param answer answers a request in place of the server behind, and returns true; or returns false
 */
export async function startSelectiveProxy(
  target: string,
  answer: (request: IncomingMessage, response: ServerResponse) => boolean,
): Promise<string> {
  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    if (answer(request, response)) return
    const outgoing = forward(
      `${target}${request.url}`,
      { method: request.method, headers: request.headers },
      (incoming) => {
        response.writeHead(incoming.statusCode ?? 502, incoming.headers)
        response.flushHeaders()
        incoming.pipe(response)
        incoming.on('error', () => response.destroy())
      },
    )
    outgoing.on('error', () => response.destroy())
    response.on('close', () => outgoing.destroy())
    request.pipe(outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
